// Passes and SpMM of the CPU backend, one thread: bytes that a pass must move over time beside a plain copy, and SpMM
// beside Eigen's where Eigen is installed. Run as bench_kernels [--benchmark_filter=...].
#include <benchmark/benchmark.h>

#include <cstring>
#include <random>

#ifdef PDADMM_HAVE_EIGEN
#include <Eigen/Sparse>
#endif

#include "host/data/graph.hpp"
#include "host/network/weights.hpp"
#include "pdadmm/backend.hpp"

namespace {

using namespace pdadmm;

/// A stack of `layers` (rows x cols) matrices of random numbers.
struct Stack {
    Buffer<real> memory;
    Mat view;
    Stack(Backend& be, Index rows, Index cols, Index layers, std::uint64_t stream)
        : memory(be, normal_draws(7, stream, rows * cols * layers, 1)), view{memory.data(), rows,   cols,
                                                                             rows,          layers, rows * cols} {}
};

Controls controls() { return {real(0.01), real(0.01), real(0.01), 0, 0}; }

void count_bytes(benchmark::State& state, double arrays, Index elements) {
    state.SetBytesProcessed(static_cast<std::int64_t>(arrays * static_cast<double>(elements) * sizeof(real)) *
                            state.iterations());
}

constexpr Index layers = 8;

void copy(benchmark::State& state) {
    const auto be = make_backend("cpu", {1, 0});
    const Index n = state.range(0), N = state.range(1);
    Stack a(*be, n, N, layers, 1), b(*be, n, N, layers, 2);
    for (auto _ : state) std::memcpy(b.view.data, a.view.data, static_cast<std::size_t>(n * N * layers) * sizeof(real));
    count_bytes(state, 2, n * N * layers);
}

void p_gradient(benchmark::State& state) {
    const auto be = make_backend("cpu", {1, 0});
    const Index n = state.range(0), N = state.range(1);
    Stack u(*be, n, N, layers, 1), p(*be, n, N, layers, 2), q(*be, n, N, layers, 3), g(*be, n, N, layers, 4);
    const Controls k = controls();
    std::vector<double> norm_sq(layers);
    for (auto _ : state) be->p_gradient(u.view, p.view, q.view, &k, g.view, norm_sq.data());
    count_bytes(state, 5, n * N * layers);
}

void descend(benchmark::State& state) {
    const auto be = make_backend("cpu", {1, 0});
    const Index n = state.range(0), N = state.range(1);
    Stack g(*be, n, N, layers, 1), p(*be, n, N, layers, 2), h(*be, n, N, layers, 3), r(*be, n, N, layers, 4);
    const std::vector<real> inverse(layers, real(1e-3));
    for (auto _ : state) be->descend(inverse.data(), g.view, p.view, h.view, r.view);
    count_bytes(state, 6, n * N * layers);
}

void center(benchmark::State& state) {
    const auto be = make_backend("cpu", {1, 0});
    const Index n = state.range(0), N = state.range(1);
    Stack p(*be, n, N, layers, 1), c(*be, n, N, layers, 2);
    for (auto _ : state) be->center(p.view, c.view);
    count_bytes(state, 3, n * N * layers);
}

// Of one matrix: forming factors and inverse takes its size cubed multiply-adds, in double.
void invert(benchmark::State& state) {
    const auto be = make_backend("cpu", {1, 0});
    const Index m = state.range(0);
    Stack a(*be, m, m, 1, 1), gram(*be, m, m, 1, 2), F(*be, m, m, 1, 3);
    be->gemm(Trans::no, Trans::yes, 1, a.view, a.view, 0, gram.view);
    const Controls k = controls();
    std::int32_t failed = 0;
    for (auto _ : state) {
        be->copy(gram.view, F.view);
        be->invert(Backend::Variable::W, &k, F.view, &failed);
    }
    state.SetItemsProcessed(2 * m * m * m * state.iterations());
}

void activation_step(benchmark::State& state) {
    const auto be = make_backend("cpu", {1, 0});
    const Index n = state.range(0), N = state.range(1);
    Stack h(*be, n, N, layers, 1), p(*be, n, N, layers, 2), r(*be, n, N, layers, 3), z(*be, n, N, layers, 4),
        q(*be, n, N, layers, 5), u(*be, n, N, layers, 6), d(*be, n, 1, layers, 7);
    const std::vector<real> inverse(layers, real(1e-3));
    std::vector<LayerFigures> figures(layers);
    std::vector<MessageHeader> headers(layers);
    const Controls k = controls();
    Quantizer quantizer;
    if (state.range(2) > 0) quantizer = {Codec::difference, static_cast<int>(state.range(2)), nullptr, 0};
    for (auto _ : state)
        be->activation_step({inverse.data(), h.view, d.view, p.view, r.view, z.view, q.view, u.view}, &k, quantizer,
                            figures.data(), headers.data());
    count_bytes(state, 10, n * N * layers);  // reads r h z p q u, writes r z q u
}

void last_step(benchmark::State& state) {
    const auto be = make_backend("cpu", {1, 0});
    const Index classes = state.range(0), N = state.range(1);
    Stack h(*be, classes, N, 1, 1), r(*be, classes, N, 1, 2), z(*be, classes, N, 1, 3), d(*be, classes, 1, 1, 4);
    std::vector<std::int32_t> labels(static_cast<std::size_t>(N));
    for (std::size_t i = 0; i < labels.size(); ++i)
        labels[i] = static_cast<std::int32_t>(static_cast<Index>(i) % classes);
    const real inverse = real(1e-3);
    LayerFigures figures{};
    const Controls k = controls();
    for (auto _ : state) be->last_step(&inverse, h.view, d.view, labels.data(), &k, r.view, z.view, &figures);
    state.SetItemsProcessed(N * state.iterations());
}

/// nodes x nodes, about `degree` random neighbours a row.
Csr random_graph(Index nodes, Index degree) {
    std::mt19937_64 bits(11);
    Csr a{nodes, nodes, {0}, {}, {}};
    for (Index i = 0; i < nodes; ++i) {
        for (Index k = 0; k < degree; ++k) {
            a.columns.push_back(static_cast<std::int32_t>(bits() % static_cast<std::uint64_t>(nodes)));
            a.values.push_back(1);
        }
        a.offsets.push_back(a.nnz());
    }
    return propagation_operator(a, {});
}

// One hop on a graph of the size and degree of Amazon Computers, in a slab of `range` features.
void spmm(benchmark::State& state) {
    const auto be = make_backend("cpu", {1, 0});
    const Csr a = random_graph(13752, 18);
    const std::vector<real> values(a.values.begin(), a.values.end());
    Stack x(*be, state.range(0), a.rows, 1, 1), y(*be, state.range(0), a.rows, 1, 2);
    for (auto _ : state)
        be->spmm({a.rows, a.cols, a.nnz(), a.offsets.data(), a.columns.data(), values.data()}, x.view, y.view);
    state.SetItemsProcessed(a.nnz() * state.range(0) * state.iterations());
}

#ifdef PDADMM_HAVE_EIGEN
void spmm_eigen(benchmark::State& state) {
    const Csr a = random_graph(13752, 18);
    const std::vector<int> offsets(a.offsets.begin(), a.offsets.end());
    const std::vector<real> values(a.values.begin(), a.values.end());
    const Eigen::Map<const Eigen::SparseMatrix<real, Eigen::RowMajor>> A(a.rows, a.cols, a.nnz(), offsets.data(),
                                                                         a.columns.data(), values.data());
    using Dense = Eigen::Matrix<real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const Dense x = Dense::Random(a.rows, state.range(0));
    Dense y(a.rows, state.range(0));
    for (auto _ : state) {
        y.noalias() = A * x;
        benchmark::DoNotOptimize(y.data());
    }
    state.SetItemsProcessed(a.nnz() * state.range(0) * state.iterations());
}
#endif

void networks(benchmark::internal::Benchmark* b) { b->Args({100, 140})->Args({500, 140})->Args({1000, 300}); }
void quantised_networks(benchmark::internal::Benchmark* b) {
    for (const int bits : {0, 4}) b->Args({100, 140, bits})->Args({1000, 300, bits});
}

BENCHMARK(copy)->Apply(networks);
BENCHMARK(p_gradient)->Apply(networks);
BENCHMARK(descend)->Apply(networks);
BENCHMARK(center)->Apply(networks);
BENCHMARK(invert)->Arg(100)->Arg(500)->Arg(1000)->Unit(benchmark::kMillisecond);
BENCHMARK(activation_step)->Apply(quantised_networks);
BENCHMARK(last_step)->Args({7, 140})->Args({15, 300})->Args({40, 10000});
BENCHMARK(spmm)->Arg(64)->Arg(192)->Arg(767)->Unit(benchmark::kMillisecond);
#ifdef PDADMM_HAVE_EIGEN
BENCHMARK(spmm_eigen)->Arg(64)->Arg(192)->Arg(767)->Unit(benchmark::kMillisecond);
#endif

}  // namespace

BENCHMARK_MAIN();
