// Chains of sparse products in place of X (host/network/features_by_graph.hpp).
#include "host/network/features_by_graph.hpp"

#include <cmath>

#include "pdadmm/sparse_matrix.hpp"

namespace pdadmm {
namespace {

/// Adds factor times row `row` of `a` to the last row of `to`, its columns from `first` on.
void append(SparseMatrix& to, const SparseMatrix& a, Index row, real factor, Index first) {
    for (auto e = static_cast<std::size_t>(a.offsets[static_cast<std::size_t>(row)]);
         e < static_cast<std::size_t>(a.offsets[static_cast<std::size_t>(row) + 1]); ++e) {
        to.columns.push_back(static_cast<std::int32_t>(first + a.columns[e]));
        to.values.push_back(factor * a.values[e]);
    }
}

void end_row(SparseMatrix& to) {
    ++to.rows;
    to.offsets.push_back(to.nnz());
}

/// One over the weight of every row of `a` (FeatureWeights::by_size); 0 for a row of zeros, which is never looked at.
std::vector<double> over_weights(const SparseMatrix& a) {
    std::vector<double> over;
    double squares = 0, weighed = 0;
    for (std::size_t row = 0; row + 1 < a.offsets.size(); ++row) {
        double sum = 0;
        for (auto e = static_cast<std::size_t>(a.offsets[row]); e < static_cast<std::size_t>(a.offsets[row + 1]); ++e)
            sum += static_cast<double>(a.values[e]) * static_cast<double>(a.values[e]);
        over.push_back(sum > 0 ? std::pow(sum, -0.25) : 0);
        squares += sum;
        weighed += sum * over.back();
    }
    for (double& one : over) one *= weighed > 0 ? squares / weighed : 0;
    return over;
}

/// Values of `a`, each times the factor of its row.
std::vector<real> times_rows(const SparseMatrix& a, const std::vector<double>& factors) {
    std::vector<real> values;
    for (std::size_t row = 0; row + 1 < a.offsets.size(); ++row)
        for (auto e = static_cast<std::size_t>(a.offsets[row]); e < static_cast<std::size_t>(a.offsets[row + 1]); ++e)
            values.push_back(static_cast<real>(factors[row] * static_cast<double>(a.values[e])));
    return values;
}

CsrView with_values(const SparseMatrix& a, const std::vector<real>& values) {
    CsrView view = a.view();
    view.values = values.data();
    return view;
}

}  // namespace

GraphMatrices::GraphMatrices(const GraphProducts& products)
    : by(products),
      H_transposed(transposed(by.H)),
      to_nodes{0, by.inputs(), {0}, {}, {}},
      transposed_(by.chains.size()) {
    struct Source {  // of a block's last power
        const SparseMatrix& last;
        const GraphProducts::Block& from;
        Index column;
    };
    std::vector<Source> sources;
    for (std::size_t c = 0; c < by.chains.size(); ++c) {
        const GraphProducts::Chain& chain = by.chains[c];
        for (const GraphProducts::Block& from : chain.blocks) {
            Block block{from.place * by.H.cols, from.powers, &chain.propagation, &transposed_[c], {}, {},
                        to_nodes.cols};
            if (block.powers > 1 && transposed_[c].offsets.empty()) transposed_[c] = transposed(chain.propagation);
            if (block.powers > 0) to_nodes.cols += by.H.rows;
            sources.push_back(
                {block.powers > 0 ? chain.propagation : by.H, from, block.powers > 0 ? block.spread : block.features});
            blocks.push_back(std::move(block));
        }
    }
    const std::vector<double> over = over_weights(H_transposed);
    weighed = times_rows(H_transposed, over);
    for (std::size_t b = 0; b < blocks.size(); ++b) {
        SparseMatrix training{0, sources[b].last.cols, {0}, {}, {}};
        for (Index i = 0; i < by.training; ++i) {
            const auto node = static_cast<std::size_t>(i);
            append(training, sources[b].last, by.nodes[node], sources[b].from.factor(node), 0);
            end_row(training);
        }
        blocks[b].from_training = transposed(training);
        if (blocks[b].powers == 0) blocks[b].weighed = times_rows(blocks[b].from_training, over);
    }
    for (std::size_t node = 0; node < by.nodes.size(); ++node) {
        for (const Source& source : sources)
            append(to_nodes, source.last, by.nodes[node], source.from.factor(node), source.column);
        end_row(to_nodes);
    }
}

std::size_t FeaturesByGraph::bytes(const GraphWork& work, Index rows) {
    const double matrices = 3 * work.entries * (sizeof(real) + sizeof(std::int32_t)),  // with transposes, at most
        values = static_cast<double>(rows * (2 * work.columns + rows)) * sizeof(real);
    return work.entries > 0 ? static_cast<std::size_t>(matrices + values) : 0;
}

FeaturesByGraph::FeaturesByGraph(Backend& backend, std::shared_ptr<const GraphMatrices> matrices, Index rows)
    : backend_(backend),
      matrices_(std::move(matrices)),
      space_(backend, rows * matrices_->to_nodes.cols),
      other_(backend, rows * matrices_->by.H.rows),
      weights_{space_.data(), rows, matrices_->by.inputs(), rows} {
    std::vector<real> minus(static_cast<std::size_t>(rows * rows));
    for (Index i = 0; i < rows; ++i) minus[static_cast<std::size_t>(i * rows + i)] = -1;
    minus_one_ = {backend, minus};
}

Mat FeaturesByGraph::spread_of(const GraphMatrices::Block& block) const {
    return {space_.data() + block.spread * weights_.rows, weights_.rows, matrices_->by.H.rows, weights_.rows};
}

void FeaturesByGraph::take(CMat R, FeatureWeights weights) {
    spread_ = false;
    const auto view = [&](const SparseMatrix& a, const std::vector<real>& weighed) {
        return weights == FeatureWeights::none ? a.view() : with_values(a, weighed);
    };
    for (const GraphMatrices::Block& block : matrices_->blocks) {
        if (block.powers == 0) {
            backend_.spmm(view(block.from_training, block.weighed), R, features_of(block));
            continue;
        }
        Mat x = spread_of(block), y{other_.data(), x.rows, x.cols, x.ld};
        backend_.spmm(block.from_training.view(), R, x);
        for (std::size_t power = 1; power < block.powers; ++power, std::swap(x, y))
            backend_.spmm(block.backward->view(), x, y);
        backend_.spmm(view(matrices_->H_transposed, matrices_->weighed), x, features_of(block));
    }
}

void FeaturesByGraph::put(CMat W) {
    spread_ = false;
    backend_.copy(W, weights_);
}

void FeaturesByGraph::multiply(NodeRange nodes, Mat to) {
    for (const GraphMatrices::Block& block : matrices_->blocks) {
        if (spread_ || block.powers == 0) continue;
        Mat x = spread_of(block), y{other_.data(), x.rows, x.cols, x.ld};
        if (block.powers % 2 == 0) std::swap(x, y);  // so that the last of powers - 1 swaps leaves it where it belongs
        backend_.spmm(matrices_->by.H.view(), features_of(block), x);
        for (std::size_t power = 1; power < block.powers; ++power, std::swap(x, y))
            backend_.spmm(block.forward->view(), x, y);
    }
    spread_ = true;
    CsrView rows = matrices_->to_nodes.view();
    rows.offsets += nodes.first;
    rows.rows = nodes.count;
    backend_.spmm(rows, {space_.data(), weights_.rows, rows.cols, weights_.rows}, to);
}

void FeaturesByGraph::subtract(CMat B, Mat A) {
    backend_.gemm(Trans::no, Trans::no, 1, {minus_one_.data(), A.rows, A.rows, A.rows}, B, 1, A);
}

}  // namespace pdadmm
