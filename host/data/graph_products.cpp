// Products of augmented features by the graph: what they take (host/data/graph_products.hpp).
#include "host/data/graph_products.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "host/data/block_chains.hpp"
#include "host/data/graph.hpp"
#include "host/data/split.hpp"

namespace pdadmm {
namespace {

SparseMatrix in_working_precision(const Csr& a) {
    return {a.rows, a.cols, a.offsets, a.columns, {a.values.begin(), a.values.end()}};
}

/// Blocks are each one power of an operator, and features that become of unit length have a sum that is not 0.
bool says_X(const Dataset& dataset, const AugmentOptions& options) {
    if (dataset.made || !dataset.features.is_sparse()) return false;
    const std::vector<DiffusionBlock> blocks = diffusion_blocks(options.operators, options.hops);
    const auto one_power = [](const DiffusionBlock& block) {
        return std::count(block.coefficients.begin(), block.coefficients.end(), 0.0) + 1 ==
               static_cast<std::ptrdiff_t>(block.coefficients.size());
    };
    const std::vector<float>& values = dataset.features.sparse.values;
    return std::all_of(blocks.begin(), blocks.end(), one_power) &&
           (options.feature_norm != FeatureNorm::l2 ||
            std::none_of(values.begin(), values.end(), [](float value) { return value < 0; }));
}

/// Rows sorted, and divided by their sums where `divide`; of a column that stands twice in one, the last.
SparseMatrix sparse_features(const Features& features, bool divide) {
    const Csr sorted = transpose(transpose(features.sparse));
    SparseMatrix H = in_working_precision(sorted);
    for (Index i = 0; i < H.rows; ++i) {
        const auto begin = static_cast<std::size_t>(H.offsets[static_cast<std::size_t>(i)]),
                   end = static_cast<std::size_t>(H.offsets[static_cast<std::size_t>(i) + 1]);
        for (std::size_t e = begin + 1; e < end; ++e)
            if (H.columns[e] == H.columns[e - 1]) H.values[e - 1] = 0;
        if (!divide) continue;
        const real scale = row_scale(std::accumulate(sorted.values.begin() + static_cast<std::ptrdiff_t>(begin),
                                                     sorted.values.begin() + static_cast<std::ptrdiff_t>(end), 0.0));
        for (std::size_t e = begin; e < end; ++e) H.values[e] *= scale;
    }
    return H;
}

std::vector<double> times(const SparseMatrix& a, const std::vector<double>& x) {
    std::vector<double> y(static_cast<std::size_t>(a.rows));
    for (std::size_t i = 0; i < y.size(); ++i)
        for (auto e = static_cast<std::size_t>(a.offsets[i]); e < static_cast<std::size_t>(a.offsets[i + 1]); ++e)
            y[i] += static_cast<double>(a.values[e]) * x[static_cast<std::size_t>(a.columns[e])];
    return y;
}

/// From the sums of features: those in X, of unit length, over those before. No feature is negative.
void find_scales(GraphProducts& made, std::span<const real> X, Index inputs) {
    const Index d = made.H.cols;
    const std::vector<double> of_H = times(made.H, std::vector<double>(static_cast<std::size_t>(d), 1));
    for (GraphProducts::Chain& chain : made.chains)
        for (GraphProducts::Block& block : chain.blocks) {
            std::vector<double> before = of_H;
            for (std::size_t k = 0; k < block.powers; ++k) before = times(chain.propagation, before);
            for (std::size_t j = 0; j < made.nodes.size(); ++j) {
                const real* x = X.data() + static_cast<Index>(j) * inputs + block.place * d;
                const double sum = std::accumulate(x, x + d, 0.0),
                             all = static_cast<double>(block.coefficient) *
                                   before[static_cast<std::size_t>(made.nodes[j])];
                block.scales.push_back(all > 0 ? static_cast<real>(sum / all) : real(0));
            }
        }
}

}  // namespace

GraphWork graph_work(const Dataset& dataset, const Split& split, const AugmentOptions& options) {
    if (!says_X(dataset, options)) return {};
    const auto of_features = static_cast<double>(dataset.features.sparse.nnz()),
               of_operator = static_cast<double>((options.graph.directed ? 1 : 2) * dataset.adjacency.nnz() +
                                                 dataset.nodes);  // at most
    GraphWork work{0, augmented_inputs(options, dataset.features.count)};
    const double of_X = static_cast<double>(work.columns) * static_cast<double>(split.train.size());
    for (const DiffusionBlock& block : diffusion_blocks(options.operators, options.hops)) {
        const std::size_t powers = block.coefficients.size() - 1;
        work.entries += of_features + static_cast<double>(powers) * of_operator;
        if (powers > 0) work.columns += dataset.nodes;
    }
    const bool indexed = work.columns <= INT32_MAX;
    return indexed && entry_over_product * work.entries < of_X ? work : GraphWork();
}

std::shared_ptr<const GraphProducts> graph_products(const Dataset& dataset, const Split& split,
                                                    const AugmentOptions& options, std::span<const real> X) {
    if (!says_X(dataset, options)) return nullptr;
    GraphProducts made;
    made.H = sparse_features(dataset.features, options.feature_norm == FeatureNorm::row);
    made.nodes = nodes_in(split);
    made.training = static_cast<Index>(split.train.size());
    for (const BlockChain& chain : block_chains(options.operators, options.hops)) {
        GraphProducts::Chain of_operator;
        if (chain.powers > 1)
            of_operator.propagation = in_working_precision(
                propagation_operator(dataset.adjacency, chain.walk ? walk_options(options.graph) : options.graph));
        for (const auto& [place, coefficients] : chain.blocks)
            of_operator.blocks.push_back({place, coefficients.size() - 1, static_cast<real>(coefficients.back()), {}});
        made.chains.push_back(std::move(of_operator));
    }
    if (options.feature_norm == FeatureNorm::l2)
        find_scales(made, X, augmented_inputs(options, dataset.features.count));
    return std::make_shared<const GraphProducts>(std::move(made));
}

void take_graph_products(const Backend& backend, const Dataset& dataset, const Split& split,
                         const AugmentOptions& options, AugmentedNodes& nodes) {
    if (nodes.graph_work.entries > 0 && backend.shared(nodes.values().data()))
        nodes.by_graph = graph_products(dataset, split, options, nodes.values());
}

}  // namespace pdadmm
