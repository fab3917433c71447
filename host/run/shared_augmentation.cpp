// The shares of ranks, and how they come together (host/run/shared_augmentation.hpp).
#include "host/run/shared_augmentation.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "host/data/split.hpp"

namespace pdadmm {
namespace {

/// `own` rows of every rank into X, where there is one: one rank after the other, so that a rank holds one share beside
/// X and its own. `wants[k]`: rank k has an X.
void gather_rows(const std::vector<real>& own, const std::vector<double>& wants, RankLinks links, Index features,
                 Index blocks, Index nodes, std::vector<real>& X) {
    const int rank = links.control->rank(), ranks = links.control->size();
    const bool wanted = wants[static_cast<std::size_t>(rank)] != 0;
    std::vector<real> received;
    for (int from = 0; from < ranks; ++from) {
        const FeatureRange share = FeatureRange::part(features, from, ranks);
        const std::size_t values = static_cast<std::size_t>(blocks * share.count * nodes),
                          bytes = values * sizeof(real);
        if (values == 0) continue;
        std::vector<Message> messages;
        for (int to = 0; from == rank && to < ranks; ++to)
            if (to != rank && wants[static_cast<std::size_t>(to)] != 0)
                messages.push_back(Message::send(to, own.data(), bytes));
        if (from != rank && wanted) {
            received.resize(values);
            messages.push_back(Message::receive(from, received.data(), bytes));
        }
        links.transport->exchange(messages);
        if (wanted) place_part(from == rank ? own : received, share, features, nodes, X);
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
