// The shares of ranks, and how they come together (host/run/shared_augmentation.hpp).
#include "host/run/shared_augmentation.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "host/data/split.hpp"

namespace pdadmm {
namespace {

constexpr Index bytes_at_once = Index{32} << 20;  // that a rank receives before it puts them into X

/// `own` rows of every rank into X, where there is one: one rank after the other, some nodes at a time. `wants[k]`:
/// rank k has an X.
void gather_rows(const std::vector<real>& own, const std::vector<double>& wants, RankLinks links, Index features,
                 Index blocks, Index nodes, std::vector<real>& X) {
    const int rank = links.control->rank(), ranks = links.control->size();
    const bool wanted = wants[static_cast<std::size_t>(rank)] != 0;
    std::vector<real> received;
    for (int from = 0; from < ranks; ++from) {
        const FeatureRange share = FeatureRange::part(features, from, ranks);
        const Index rows = blocks * share.count;
        if (rows == 0) continue;
        if (from == rank && wanted) place_part(own, share, features, nodes, X.data());
        const Index at_once = std::max<Index>(1, bytes_at_once / (rows * static_cast<Index>(sizeof(real))));
        for (Index first = 0; first < nodes; first += at_once) {
            const Index count = std::min(at_once, nodes - first);
            const std::size_t bytes = static_cast<std::size_t>(rows * count) * sizeof(real);
            std::vector<Message> messages;
            for (int to = 0; from == rank && to < ranks; ++to)
                if (to != rank && wants[static_cast<std::size_t>(to)] != 0)
                    messages.push_back(Message::send(to, own.data() + first * rows, bytes));
            if (from != rank && wanted) {
                received.resize(static_cast<std::size_t>(rows * count));
                messages.push_back(Message::receive(from, received.data(), bytes));
            }
            links.transport->exchange(messages);
            if (from != rank && wanted)
                place_part(received, share, features, count, X.data() + first * blocks * features);
        }
    }
}

}  // namespace

AugmentedNodes augment_by_ranks(Backend& backend, const Dataset& dataset, const Split& split,
                                const AugmentOptions& options, const std::filesystem::path& cache,
                                const std::function<void(const std::string&)>& note, const AugmentingRank& rank) {
    Control& control = *rank.links.control;
    std::optional<AugmentedNodes> cached;
    if (rank.wants) cached = cached_nodes(backend, dataset, split, options, cache, note);
    const bool lacks = rank.wants && !cached;
    const std::vector<double> lacking = control.gather(std::array{lacks ? 1.0 : 0.0});
    AugmentedNodes nodes = cached ? std::move(*cached) : describe_split(dataset, split, options);
    if (std::all_of(lacking.begin(), lacking.end(), [](double lacks_it) { return lacks_it == 0; })) return nodes;
    const Index features = dataset.features.count, blocks = nodes.inputs / features;
    const FeatureRange share = FeatureRange::part(features, control.rank(), control.size());
    if (lacks) nodes.X = room_for_rows(nodes.inputs, nodes.nodes());
    const std::vector<real> own = augment_part(backend, dataset, nodes_in(split), options, share, rank.sharers);
    gather_rows(own, lacking, rank.links, features, blocks, nodes.nodes(), nodes.X);
    if (!lacks) return nodes;
    finish_augmentation(options, features, nodes.X);
    keep_in_cache(backend, dataset, split, options, cache, nodes, note);
    return nodes;
}

}  // namespace pdadmm
