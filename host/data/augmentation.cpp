// Augmentation in feature slabs (host/data/augmentation.hpp).
#include "host/data/augmentation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "host/data/augmented_folder.hpp"
#include "host/data/block_chains.hpp"
#include "host/data/graph_products.hpp"
#include "host/data/split.hpp"
#include "host/machine/large_pages.hpp"
#include "host/machine/memory.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr Index lanes =
    16 / sizeof(real);  // columns of a slab begin at multiples of 16 bytes, which a GPU loads at once

Index padded(Index features) { return (features + lanes - 1) / lanes * lanes; }

[[noreturn]] void refuse(std::uint64_t available, std::uint64_t need, const std::string& what) {
    throw NoRoomError(fmt::format(
        "augmentation: {:.3g} GiB free, expected {:.3g} GiB for {}; use fewer hops or nodes, or more memory",
        static_cast<double>(available) / (1 << 30), static_cast<double>(need) / (1 << 30), what));
}

/// Features of a slab: what the backend likes, as far as two slabs of all nodes and one of the kept nodes fit in half
/// of its free memory. The other half is for what a product takes beside them, and for our copies where a backend has
/// no memory of its own.
Index slab_features(const Backend& be, Index nodes, Index kept, Index features) {
    const std::uint64_t free = be.free_memory(),
                        feature_bytes = static_cast<std::uint64_t>(2 * nodes + kept) * sizeof(real);
    const std::uint64_t fitting = free / 2 / std::max<std::uint64_t>(1, feature_bytes) / lanes * lanes;
    if (fitting == 0)
        refuse(free, 2 * lanes * feature_bytes, fmt::format("slabs of {} features of {} nodes", lanes, nodes));
    return std::min(
        {features, be.spmm_slab_features(nodes), static_cast<Index>(std::min<std::uint64_t>(fitting, INT32_MAX))});
}

/// Fills slabs of H (width x nodes) in order of features; sparse rows keep a cursor, so all slabs together cost O(nnz).
class FeatureSlabs {
public:
    FeatureSlabs(const Features& features, Index nodes, bool divide_by_sum) : features_(features), nodes_(nodes) {
        if (features.is_sparse()) sorted_ = transpose(transpose(features.sparse));
        if (!divide_by_sum) return;
        scale_.resize(static_cast<std::size_t>(nodes));
        for (Index i = 0; i < nodes; ++i) {
            double sum = 0;
            each(i, [&](Index, float value) { sum += static_cast<double>(value); });
            scale_[static_cast<std::size_t>(i)] = row_scale(sum);
        }
    }

    /// slab (padded(width), nodes) = features first .. first + width, and zeros.
    void fill(Index first, Index width, std::vector<real>& slab) {
        const Index ld = padded(width);
        slab.assign(static_cast<std::size_t>(ld * nodes_), 0);
        if (cursor_.empty() && features_.is_sparse()) cursor_ = sorted_.offsets;
        for (Index i = 0; i < nodes_; ++i) {
            real* to = slab.data() + i * ld;
            const real scale = scale_.empty() ? real(1) : scale_[static_cast<std::size_t>(i)];
            if (features_.is_sparse()) {
                Index& e = cursor_[static_cast<std::size_t>(i)];
                for (; e < sorted_.offsets[static_cast<std::size_t>(i) + 1]; ++e) {
                    const Index column = sorted_.columns[static_cast<std::size_t>(e)];
                    if (column >= first + width) break;
                    to[column - first] = scale * static_cast<real>(sorted_.values[static_cast<std::size_t>(e)]);
                }
            } else {
                const float* from = features_.dense.data() + i * features_.count + first;
                for (Index k = 0; k < width; ++k) to[k] = scale * static_cast<real>(from[k]);
            }
        }
    }

private:
    template <typename F>
    void each(Index node, F&& visit) const {
        if (features_.is_sparse())
            for (Index e = sorted_.offsets[static_cast<std::size_t>(node)];
                 e < sorted_.offsets[static_cast<std::size_t>(node) + 1]; ++e)
                visit(sorted_.columns[static_cast<std::size_t>(e)], sorted_.values[static_cast<std::size_t>(e)]);
        else
            for (Index k = 0; k < features_.count; ++k)
                visit(k, features_.dense[static_cast<std::size_t>(node * features_.count + k)]);
    }

    const Features& features_;
    Index nodes_;
    Csr sorted_;
    std::vector<Index> cursor_;
    std::vector<real> scale_;
};

}  // namespace

Index augmented_inputs(const AugmentOptions& options, Index features) {
    return features * static_cast<Index>(diffusion_blocks(options.operators, options.hops).size());
}

std::vector<real> augment(Backend& be, const Dataset& dataset, std::span<const std::int32_t> nodes,
                          const AugmentOptions& options) {
    if (dataset.made) return made_columns(dataset, nodes, options);
    const Index all = dataset.nodes, d = dataset.features.count, count = static_cast<Index>(nodes.size()),
                inputs = augmented_inputs(options, d);
    const std::uint64_t result_bytes = static_cast<std::uint64_t>(inputs * count) * sizeof(real);
    if (const std::uint64_t available = available_memory(); result_bytes > available)
        refuse(available, result_bytes, fmt::format("{} inputs of {} nodes", inputs, count));
    std::vector<real> result;
    const auto values = static_cast<std::size_t>(inputs * count);
    result.reserve(values);
    prefer_large_pages(result.data(), result_bytes);
    result.resize(values);
    const std::vector<BlockChain> chains = block_chains(options.operators, options.hops);
    std::vector<PropagationOperator> operators;
    for (const BlockChain& chain : chains)
        operators.push_back(
            chain.powers > 1
                ? be.propagation_operator(dataset.adjacency, chain.walk ? walk_options(options.graph) : options.graph)
                : PropagationOperator());
    const Index widest = slab_features(be, all, count, d);
    const Buffer<std::int32_t> ids(be, std::vector<std::int32_t>(nodes.begin(), nodes.end()));
    Buffer<real> even(be, padded(widest) * all), odd(be, padded(widest) * all), kept(be, padded(widest) * count);
    FeatureSlabs slabs(dataset.features, all, options.feature_norm == FeatureNorm::row);
    std::vector<real> slab, host(static_cast<std::size_t>(padded(widest) * count));
    for (Index first = 0; first < d; first += widest) {
        const Index width = std::min(widest, d - first), rows = padded(width);
        slabs.fill(first, width, slab);
        for (std::size_t at = 0; at < chains.size(); ++at) {
            const BlockChain& chain = chains[at];
            Mat x{even.data(), rows, all, rows}, y{odd.data(), rows, all, rows};
            be.upload(slab.data(), x.data, slab.size() * sizeof(real));
            for (std::size_t k = 0; k < chain.powers; ++k) {
                if (k > 0) {
                    be.spmm(operators[at].view(), x, y);
                    std::swap(x, y);
                }
                if (!chain.takes(k)) continue;
                be.gather_columns(x, ids.data(), {kept.data(), rows, count, rows});
                be.download(kept.data(), host.data(), static_cast<std::size_t>(rows * count) * sizeof(real));
                for (const auto& [place, c] : chain.blocks)
                    if (k < c.size() && c[k] != 0)
                        for (Index j = 0; j < count; ++j)
                            take_power(c[k], is_first_power(c, k), host.data() + j * rows,
                                       result.data() + j * inputs + place * d + first, width);
            }
        }
    }
    if (options.feature_norm == FeatureNorm::l2)
        for (std::size_t first = 0; first < result.size(); first += static_cast<std::size_t>(d))
            scale_to_unit_length(std::span(result).subspan(first, static_cast<std::size_t>(d)));
    return result;
}

AugmentedNodes describe_split(const Dataset& dataset, const Split& split, const AugmentOptions& options) {
    AugmentedNodes result;
    result.inputs = augmented_inputs(options, dataset.features.count);
    result.classes = dataset.classes;
    result.graph_work = graph_work(dataset, split, options);
    std::size_t set = 0;
    for (const auto* part : {&split.train, &split.val, &split.test}) {
        result.counts[set++] = static_cast<Index>(part->size());
        for (const std::int32_t node : *part) {
            result.labels.push_back(dataset.labels[static_cast<std::size_t>(node)]);
            if (!dataset.multi_label()) continue;
            const auto row = dataset.targets.begin() + node * dataset.classes;
            result.targets.insert(result.targets.end(), row, row + dataset.classes);
        }
    }
    return result;
}

AugmentedNodes augment_split(Backend& backend, const Dataset& dataset, const Split& split,
                             const AugmentOptions& options) {
    AugmentedNodes result = describe_split(dataset, split, options);
    const std::vector<std::int32_t> nodes = nodes_in(split);
    if (dataset.made) result.mapped_X = mapped_columns(dataset, nodes, options);
    if (!result.mapped_X) result.X = augment(backend, dataset, nodes, options);
    take_graph_products(backend, dataset, split, options, result);
    return result;
}

std::string to_string(const AugmentOptions& o) {
    const char* norms[] = {"sym", "row", "none"};
    const char* loops[] = {"add", "keep", "none"};
    const char* features[] = {"none", "row", "l2"};
    const std::string operators = o.operators == AugmentOptions{}.operators ? "" : "augment " + to_string(o.operators);
    return fmt::format("hops {}, {}{}norm {}, self-loops {}, feature-norm {}, {}", o.hops, operators,
                       operators.empty() ? "" : ", ", norms[static_cast<int>(o.graph.norm)],
                       loops[static_cast<int>(o.graph.self_loops)], features[static_cast<int>(o.feature_norm)],
                       o.graph.directed ? "directed" : "undirected");
}

}  // namespace pdadmm
