// Chains of sparse products in place of X (host/network/features_by_graph.hpp).
#include "host/network/features_by_graph.hpp"

#include <numeric>

namespace pdadmm {
namespace {

SparseMatrix transpose(const SparseMatrix& a) {
    SparseMatrix t{a.cols, a.rows, std::vector<Index>(static_cast<std::size_t>(a.cols + 1)), {}, {}};
    for (const std::int32_t column : a.columns) ++t.offsets[static_cast<std::size_t>(column) + 1];
    std::partial_sum(t.offsets.begin(), t.offsets.end(), t.offsets.begin());
    t.columns.resize(a.columns.size());
    t.values.resize(a.values.size());
    std::vector<Index> next(t.offsets.begin(), t.offsets.end() - 1);
    for (Index i = 0; i < a.rows; ++i)
        for (auto e = static_cast<std::size_t>(a.offsets[static_cast<std::size_t>(i)]);
             e < static_cast<std::size_t>(a.offsets[static_cast<std::size_t>(i) + 1]); ++e) {
            const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(a.columns[e])]++);
            t.columns[to] = static_cast<std::int32_t>(i);
            t.values[to] = a.values[e];
        }
    return t;
}

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

/// W and, of every block that takes a power, a column a node of the graph.
Index columns_of_space(const GraphProducts& by) {
    Index columns = by.inputs();
    for (const GraphProducts::Chain& chain : by.chains)
        for (const GraphProducts::Block& block : chain.blocks) columns += block.powers() > 0 ? by.H.rows : 0;
    return columns;
}

}  // namespace

std::size_t FeaturesByGraph::bytes(const GraphProducts& by, Index rows) {
    const auto dense = static_cast<double>(rows * (columns_of_space(by) + by.H.rows) + rows * rows);
    const double entries = 2 * by.entries() + static_cast<double>(by.H.nnz());
    return static_cast<std::size_t>(dense * sizeof(real) + entries * (sizeof(real) + sizeof(std::int32_t)));
}

FeaturesByGraph::FeaturesByGraph(Backend& backend, const GraphProducts& by, Index rows)
    : backend_(backend),
      by_(by),
      transposed_(by.chains.size()),
      H_transposed_(transpose(by.H)),
      to_nodes_{0, columns_of_space(by), {0}, {}, {}},
      space_(backend, rows * columns_of_space(by)),
      other_(backend, rows * by.H.rows),
      weights_{space_.data(), rows, by.inputs(), rows} {
    std::vector<real> minus(static_cast<std::size_t>(rows * rows));
    for (Index i = 0; i < rows; ++i) minus[static_cast<std::size_t>(i * rows + i)] = -1;
    minus_one_ = {backend, minus};
    Index column = by.inputs();
    for (std::size_t c = 0; c < by.chains.size(); ++c) {
        const GraphProducts::Chain& chain = by.chains[c];
        for (const GraphProducts::Block& from : chain.blocks) {
            Block block{from.place, from.powers(), &chain.propagation, &transposed_[c], {}, {}};
            if (block.powers > 1 && transposed_[c].offsets.empty()) transposed_[c] = transpose(chain.propagation);
            const SparseMatrix& last = block.powers > 0 ? chain.propagation : by.H;
            SparseMatrix training{0, last.cols, {0}, {}, {}};
            for (Index i = 0; i < by.training; ++i) {
                const auto at = static_cast<std::size_t>(i);
                append(training, last, by.nodes[at], from.coefficients.back() * from.scale(at), 0);
                end_row(training);
            }
            block.from_training = transpose(training);
            if (block.powers > 0) {
                block.spread = {space_.data() + column * rows, rows, by.H.rows, rows};
                column += by.H.rows;
            }
            blocks_.push_back(std::move(block));
        }
    }
    for (std::size_t i = 0; i < by.nodes.size(); ++i) {
        std::size_t b = 0;
        for (const GraphProducts::Chain& chain : by.chains)
            for (const GraphProducts::Block& from : chain.blocks) {
                const Block& block = blocks_[b++];
                const real factor = from.coefficients.back() * from.scale(i);
                if (block.powers > 0)
                    append(to_nodes_, chain.propagation, by.nodes[i], factor, (block.spread.data - space_.data()) / rows);
                else
                    append(to_nodes_, by.H, by.nodes[i], factor, block.place * by.H.cols);
            }
        end_row(to_nodes_);
    }
}

void FeaturesByGraph::take(CMat R) {
    spread_ = false;
    for (const Block& block : blocks_) {
        const Mat of_block = weights_.columns(block.place * by_.H.cols, by_.H.cols);
        if (block.powers == 0) {
            backend_.spmm(block.from_training.view(), R, of_block);
            continue;
        }
        Mat x = block.spread, y{other_.data(), x.rows, x.cols, x.ld};
        backend_.spmm(block.from_training.view(), R, x);
        for (std::size_t power = 1; power < block.powers; ++power, std::swap(x, y))
            backend_.spmm(block.backward->view(), x, y);
        backend_.spmm(H_transposed_.view(), x, of_block);
    }
}

void FeaturesByGraph::put(CMat W) {
    spread_ = false;
    backend_.copy(W, weights_);
}

void FeaturesByGraph::multiply(NodeRange nodes, Mat to) {
    for (const Block& block : blocks_) {
        if (spread_ || block.powers == 0) continue;
        // The last of powers - 1 swaps leaves the result in `spread`.
        Mat x = block.spread, y{other_.data(), x.rows, x.cols, x.ld};
        if (block.powers % 2 == 0) std::swap(x, y);
        backend_.spmm(by_.H.view(), weights_.columns(block.place * by_.H.cols, by_.H.cols), x);
        for (std::size_t power = 1; power < block.powers; ++power, std::swap(x, y))
            backend_.spmm(block.forward->view(), x, y);
    }
    spread_ = true;
    CsrView rows = to_nodes_.view();
    rows.offsets += nodes.first;
    rows.rows = nodes.count;
    backend_.spmm(rows, {space_.data(), to.rows, to_nodes_.cols, to.rows}, to);
}

void FeaturesByGraph::subtract(CMat B, Mat A) {
    backend_.gemm(Trans::no, Trans::no, 1, {minus_one_.data(), A.rows, A.rows, A.rows}, B, 1, A);
}

}  // namespace pdadmm
