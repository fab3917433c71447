// Passes, products and SpMM of the CPU backend, one thread: nanoseconds an element of every pass, and its time over
// that of a plain copy which moves as many bytes, in cache (8 layers of few nodes) and out of it (2 layers of 20,000);
// and SpMM beside Eigen's where Eigen is installed. The counters flops and bytes are those of one call: what must be
// computed, and what must be read and written once. Run as bench_kernels [--benchmark_filter=...].
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <functional>
#include <map>
#include <random>
#include <utility>

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

/// Processor seconds of a copy that reads and writes `bytes` in all: the least of several.
double copy_seconds(std::size_t bytes) {
    static std::map<std::size_t, double> known;
    const auto [entry, is_new] = known.try_emplace(bytes, 1e9);
    if (!is_new) return entry->second;
    std::vector<char> from(bytes / 2, 1), to(bytes / 2, 2);
    const std::size_t repeats = std::max<std::size_t>(1, (std::size_t{1} << 26) / bytes);
    for (int round = 0; round < 7; ++round) {
        const std::clock_t began = std::clock();
        for (std::size_t i = 0; i < repeats; ++i) {
            std::memcpy(to.data(), from.data(), bytes / 2);
            benchmark::DoNotOptimize(to.data());
            benchmark::ClobberMemory();
        }
        entry->second = std::min(
            entry->second, static_cast<double>(std::clock() - began) / (CLOCKS_PER_SEC * static_cast<double>(repeats)));
    }
    return entry->second;
}

/// Of one call.
void count_work(benchmark::State& state, double bytes, double flops) {
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
    state.counters["bytes"] = bytes;
    state.counters["flops"] = flops;
}

/// `arrays`: how often an element is read or written.
void count_pass(benchmark::State& state, double arrays, double flops, Index elements) {
    using benchmark::Counter;
    const auto inverse_rate = static_cast<Counter::Flags>(Counter::kIsIterationInvariantRate | Counter::kInvert);
    const double bytes = arrays * static_cast<double>(elements) * sizeof(real);
    count_work(state, bytes, flops * static_cast<double>(elements));
    state.counters["ns_an_element"] = Counter(static_cast<double>(elements) * 1e-9, inverse_rate);
    state.counters["over_copy"] = Counter(copy_seconds(static_cast<std::size_t>(bytes)), inverse_rate);
}

/// What the passes over nodes work on, and their results.
struct Operands {
    std::unique_ptr<Backend> be = make_backend("cpu", {1, 0});
    Index n, N, layers;
    Stack g, h, p, q, r, u, z, W, d, b;
    std::vector<real> inverse;
    std::vector<LayerFigures> figures;
    std::vector<MessageHeader> headers;
    std::vector<double> norm_sq;
    Controls k{real(0.01), real(0.01), real(0.01), 0, 0};

    Operands(Index rows, Index nodes)
        : n(rows),
          N(nodes),
          layers(nodes > 1000 ? 2 : 8),
          g(*be, n, N, layers, 1),
          h(*be, n, N, layers, 2),
          p(*be, n, N, layers, 3),
          q(*be, n, N, layers, 4),
          r(*be, n, N, layers, 5),
          u(*be, n, N, layers, 6),
          z(*be, n, N, layers, 7),
          W(*be, n, n, layers, 8),
          d(*be, n, 1, layers, 9),
          b(*be, n, 1, layers, 10),
          inverse(static_cast<std::size_t>(layers), real(1e-3)),
          figures(static_cast<std::size_t>(layers)),
          headers(static_cast<std::size_t>(layers)),
          norm_sq(static_cast<std::size_t>(layers), 1) {}

    void activate(const Quantizer& quantizer) {
        be->activation_step({inverse.data(), h.view, d.view, p.view, r.view, z.view, q.view, u.view}, &k, quantizer,
                            figures.data(), headers.data());
    }
};

const Quantizer four_bits{Codec::difference, 4, nullptr, 0};

/// flops: additions, products, quotients, comparisons and roundings of an element, as its formula is written.
struct Pass {
    const char* name;
    double arrays, flops;
    std::function<void(Operands&)> run;
};
const Pass passes[] = {
    {"copy", 2, 0,
     [](Operands& o) {
         std::memcpy(o.g.view.data, o.h.view.data, static_cast<std::size_t>(o.n * o.N * o.layers) * sizeof(real));
     }},
    {"p_gradient", 5, 7,
     [](Operands& o) { o.be->p_gradient(o.u.view, o.p.view, o.q.view, &o.k, o.g.view, o.norm_sq.data()); }},
    {"step_size", 1, 2,
     [](Operands& o) {
         std::vector<real> found(o.inverse.size());
         o.be->step_size(Backend::Variable::p, o.norm_sq.data(), o.h.view, &o.k, {}, found.data());
     }},
    {"descend", 6, 4, [](Operands& o) { o.be->descend(o.inverse.data(), o.g.view, o.p.view, o.h.view, o.r.view); }},
    {"bias_step", 2, 2, [](Operands& o) { o.be->bias_step(o.r.view, o.h.view, o.inverse.data(), o.d.view, o.b.view); }},
    {"activation_step", 10, 39, [](Operands& o) { o.activate({}); }},  // reads r h z p q u, writes r z q u
    {"activation_step_4_bits", 10, 51, [](Operands& o) { o.activate(four_bits); }},
    {"rebuild_q", 3, 3, [](Operands& o) { o.be->rebuild_q(o.z.view, o.u.view, &o.k, o.q.view); }},
    {"close_residual", 3, 2, [](Operands& o) { o.be->close_residual(o.b.view, o.z.view, o.r.view); }},
    {"center", 3, 2, [](Operands& o) { o.be->center(o.p.view, o.g.view); }},
    {"difference_move", 3, 11,
     [](Operands& o) { o.be->difference_move(four_bits, o.g.view, o.inverse.data(), o.h.view, o.headers.data()); }},
    {"difference_check", 2, 4,
     [](Operands& o) {
         std::vector<real> found(o.inverse);
         o.be->difference_check(o.g.view, o.h.view, &o.k, found.data(), o.headers.data());
     }},
    {"dual_step", 4, 3, [](Operands& o) { o.be->dual_step(o.p.view, o.q.view, &o.k, o.u.view); }},
    {"node_space_descend", 6, 5,
     [](Operands& o) { o.be->node_space_descend(o.inverse.data(), o.r.view, o.h.view, &o.k, o.u.view, o.z.view); }},
    {"add_bias", 2, 2, [](Operands& o) { o.be->add_bias(o.b.view, false, o.z.view); }},
    {"activation_gradient", 3, 3, [](Operands& o) { o.be->activation_gradient(o.z.view, 1, o.g.view, 0, o.d.view); }},
};

Operands& operands_of(const benchmark::State& state) {
    static std::map<std::pair<Index, Index>, Operands> kept;  // drawing them takes longer than a pass
    return kept.try_emplace({state.range(0), state.range(1)}, state.range(0), state.range(1)).first->second;
}

void measure(benchmark::State& state, const Pass& pass) {
    Operands& operands = operands_of(state);
    for (auto _ : state) pass.run(operands);
    count_pass(state, pass.arrays, pass.flops, operands.n * operands.N * operands.layers);
}

/// C (m, n) = A (m, k) B (k, n), `layers` times.
void count_product(benchmark::State& state, Index m, Index n, Index k, Index layers) {
    const auto all = [layers](Index a, Index b) { return static_cast<double>(a * layers) * static_cast<double>(b); };
    count_work(state, sizeof(real) * (all(m, k) + all(k, n) + all(m, n)), 2 * all(m, n) * static_cast<double>(k));
}

// W p of all layers.
void product(benchmark::State& state) {
    Operands& o = operands_of(state);
    for (auto _ : state) o.be->gemm(Trans::no, Trans::no, 1, o.W.view, o.p.view, 0, o.h.view);
    count_product(state, o.n, o.N, o.n, o.layers);
}

// A product so large that nothing but arithmetic counts.
void product_peak(benchmark::State& state) {
    const auto be = make_backend("cpu", {1, 0});
    const Index m = state.range(0);
    Stack a(*be, m, m, 1, 1), b(*be, m, m, 1, 2), c(*be, m, m, 1, 3);
    for (auto _ : state) be->gemm(Trans::no, Trans::no, 1, a.view, b.view, 0, c.view);
    count_product(state, m, m, m, 1);
}

Controls controls() { return {real(0.01), real(0.01), real(0.01), 0, 0}; }

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

/// Of y = A x with so many rows of x: x and y once, and A.
void count_hop(benchmark::State& state, const Csr& a, Index features) {
    const auto of_features = static_cast<double>(features);
    const double columns = static_cast<double>(a.rows + a.cols) * of_features * sizeof(real);
    const double entries = static_cast<double>(a.nnz()) * (sizeof(real) + sizeof(std::int32_t));
    count_work(state, columns + entries, 2 * static_cast<double>(a.nnz()) * of_features);
}

// One hop on a graph of the size and degree of Amazon Computers, in a slab of `range` features.
void spmm(benchmark::State& state) {
    const auto be = make_backend("cpu", {1, 0});
    const Csr a = random_graph(13752, 18);
    const std::vector<real> values(a.values.begin(), a.values.end());
    Stack x(*be, state.range(0), a.rows, 1, 1), y(*be, state.range(0), a.rows, 1, 2);
    for (auto _ : state)
        be->spmm({a.rows, a.cols, a.nnz(), a.offsets.data(), a.columns.data(), values.data()}, x.view, y.view);
    count_hop(state, a, state.range(0));
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
    count_hop(state, a, state.range(0));
}
#endif

BENCHMARK(product)->Args({100, 140})->Args({500, 140})->Args({1000, 300})->Args({128, 20000});
BENCHMARK(product_peak)->Arg(1536)->Unit(benchmark::kMillisecond);
BENCHMARK(invert)->Arg(100)->Arg(500)->Arg(1000)->Unit(benchmark::kMillisecond);
BENCHMARK(last_step)->Args({7, 140})->Args({15, 300})->Args({40, 10000});
BENCHMARK(spmm)->Arg(64)->Arg(192)->Arg(767)->Unit(benchmark::kMillisecond);
#ifdef PDADMM_HAVE_EIGEN
BENCHMARK(spmm_eigen)->Arg(64)->Arg(192)->Arg(767)->Unit(benchmark::kMillisecond);
#endif

}  // namespace

int main(int argc, char** argv) {
    for (const Pass& pass : passes)
        benchmark::RegisterBenchmark(pass.name, [&pass](benchmark::State& state) { measure(state, pass); })
            ->Args({100, 140})
            ->Args({500, 140})
            ->Args({1000, 300})
            ->Args({128, 20000});
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
