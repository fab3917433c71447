// Products of augmented features by the graph, a slab of columns of X at a time (pdadmm/graph_products.hpp). Every
// column has the same bits in any slab.
#include "pdadmm/graph_products.hpp"

#include <atomic>
#include <memory>
#include <numeric>

#include "host/cpu/cpu_backend.hpp"
#include "host/cpu/row_product.hpp"

namespace pdadmm {
namespace {

constexpr Index slab = 32;  // columns of X side by side: whole rows of sparse_row stay in registers

struct FreeMemory {
    void operator()(real* memory) const { std::free(memory); }
};

/// Rows of `slab` values, uninitialised.
class Rows {
public:
    explicit Rows(Index count)
        : values_(static_cast<real*>(
              std::aligned_alloc(64, std::max<std::size_t>(1, static_cast<std::size_t>(count)) * slab * sizeof(real)))),
          count_(count) {
        if (!values_) throw std::bad_alloc();
    }
    real* operator[](Index row) const { return values_.get() + row * slab; }
    CMat view() const { return {values_.get(), slab, count_, slab}; }

private:
    std::unique_ptr<real, FreeMemory> values_;
    Index count_;
};

void multiply(const CsrView& a, const Rows& x, const Rows& y) {
    for (Index i = 0; i < a.rows; ++i)
        sparse_row(a.columns, a.values, a.offsets[i], a.offsets[i + 1], a.nnz, x.view(), y[i]);
}

/// What a thread needs for slabs.
class SlabOfProducts {
public:
    explicit SlabOfProducts(const GraphProducts& by)
        : by_(by),
          features_(by.H.cols),
          power_(by.H.rows),
          next_(by.H.rows),
          sums_(by.training) {}

    /// to (train, columns of X) = X_train' X of at most `slab` columns; the means of its columns where `means`.
    void form(CMat X, Mat to, double* means) {
        const auto N = by_.training;
        std::fill_n(sums_[0], N * slab, real(0));
        for (const GraphProducts::Chain& chain : by_.chains)
            for (const GraphProducts::Block& block : chain.blocks) add(chain.propagation, block, X);
        for (Index i = 0; i < N; ++i)
            for (Index j = 0; j < X.cols; ++j) to.data[j * to.ld + i] = sums_[i][j];
        for (Index j = 0; means && j < X.cols; ++j)
            means[j] = std::accumulate(to.data + j * to.ld, to.data + j * to.ld + N, 0.0) / static_cast<double>(N);
    }

private:
    void add(const SparseMatrix& propagation, const GraphProducts::Block& block, CMat X) {
        const Index d = by_.H.cols;
        for (Index f = 0; f < d; ++f)
            for (Index j = 0; j < slab; ++j)
                features_[f][j] = j < X.cols ? X.data[j * X.ld + block.place * d + f] : real(0);
        multiply(by_.H.view(), features_, power_);
        for (std::size_t k = 0; k < block.coefficients.size(); ++k) {
            if (k > 0) {
                multiply(propagation.view(), power_, next_);
                std::swap(power_, next_);
            }
            if (block.coefficients[k] == 0) continue;
            for (Index i = 0; i < by_.training; ++i)
                add_scaled(block.coefficients[k] * block.scale(static_cast<std::size_t>(i)),
                           power_[by_.nodes[static_cast<std::size_t>(i)]], sums_[i], slab);
        }
    }

    const GraphProducts& by_;
    Rows features_, power_, next_, sums_;
};

}  // namespace

bool CpuBackend::products_by_graph(const GraphProducts& by, CMat X, Centring centring, Mat to) {
    const auto N = by.training;
    if (to.rows != N || to.cols != X.cols || (centring == Centring::both && X.cols != N))
        throw Error(ExitCode::internal, "products_by_graph: shapes differ");
    std::vector<std::unique_ptr<SlabOfProducts>> scratch;
    for (int thread = 0; thread < pool_.threads(); ++thread) scratch.push_back(std::make_unique<SlabOfProducts>(by));
    std::vector<double> means(centring == Centring::none ? 0 : static_cast<std::size_t>(X.cols));
    std::atomic<Index> taken{0};
    each_task(pool_.threads(), [&](Index thread) {
        while (true) {
            const Index first = slab * taken.fetch_add(1);
            if (first >= X.cols) return;
            const Index count = std::min(slab, X.cols - first);
            const Mat part = to.columns(first, count);
            double* of_part = means.empty() ? nullptr : means.data() + first;
            scratch[static_cast<std::size_t>(thread)]->form(X.columns(first, count), part, of_part);
            if (centring != Centring::columns) continue;
            for (Index j = 0; j < count; ++j)
                for (Index i = 0; i < N; ++i)
                    part.data[j * part.ld + i] = static_cast<real>(static_cast<double>(part.data[j * part.ld + i]) - of_part[j]);
        }
    });
    if (centring == Centring::both) center_both_ways(means, to);
    return true;
}

// K is symmetric but for rounding; its lower half counts.
void CpuBackend::center_both_ways(const std::vector<double>& means, Mat K) {
    const double all = std::accumulate(means.begin(), means.end(), 0.0) / static_cast<double>(means.size());
    const Index tile = 64, side = (K.cols + tile - 1) / tile;
    each_task(side * side, [&](Index task) {
        const Index row = task / side * tile, column = task % side * tile;
        if (column > row) return;
        for (Index c = column; c < std::min(K.cols, column + tile); ++c)
            for (Index r = std::max(row, c); r < std::min(K.rows, row + tile); ++r) {
                const double mean = means[static_cast<std::size_t>(r)] + means[static_cast<std::size_t>(c)];
                K.data[r * K.ld + c] = K.data[c * K.ld + r] =
                    static_cast<real>(static_cast<double>(K.data[c * K.ld + r]) - mean + all);
            }
    });
}

}  // namespace pdadmm
