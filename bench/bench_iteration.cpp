// Time of one iteration beside the bare products it cannot do without: bench_iteration [--threads T] [--rounds R]
// [--step exact|block].
//
// For each network the same process alternates between iterations and the sgemm calls of the same shapes on arrays of
// the same sizes (host/network/layer_form.hpp: four a layer, W' r, W g, r p', G p; of closed forms those of the form
// that is used, but no inverse or solve; one, r K, for the first layer in node space), so that both see the same
// machine. Prints medians, and the ratio as the median of the pairwise ratios. Evaluation is not included.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "bench/rounds.hpp"
#include "host/admm/solver.hpp"
#include "host/blas/blas.hpp"
#include "host/network/weights.hpp"

namespace {

using namespace pdadmm;

struct Case {
    const char* name;
    NetworkShape shape;
    Quantize quantize;
};

// The shapes of the data sets' training problems (5 hops): inputs n0, classes, training nodes.
const Case cases[] = {
    {"cora 10 x 100", {10, 7165, 100, 7, 140}, Quantize::none},
    {"cora 10 x 100, pq 4 bits", {10, 7165, 100, 7, 140}, Quantize::pq},
    {"cora 10 x 500", {10, 7165, 500, 7, 140}, Quantize::none},
    {"cs 10 x 1000", {10, 34025, 1000, 15, 300}, Quantize::none},
};

void bare_gemm(BlasTrans ta, BlasTrans tb, Index m, Index n, Index k, const real* a, Index lda, const real* b,
               Index ldb, real* c) {
    const auto i = [](Index v) { return static_cast<int>(v); };
    blas_gemm(ta, tb, i(m), i(n), i(k), real(1), a, i(lda), b, i(ldb), real(0), c, i(m));
}

/// The products of one iteration on arrays of their own, layer by layer.
class BareProducts {
public:
    explicit BareProducts(const NetworkShape& s) {
        std::uint64_t stream = 0;
        for (int layer = 1; layer <= s.layers; ++layer)
            for (const Product& p : iteration_products(s, layer).products)
                products_.push_back({p, normal_draws(2, ++stream, p.m * p.k, 0.1),
                                     normal_draws(3, stream, p.k * p.n, 0.1),
                                     std::vector<real>(static_cast<std::size_t>(p.m * p.n))});
    }
    void run() {
        const auto blas = [](Trans t) { return t == Trans::yes ? BlasTrans::yes : BlasTrans::no; };
        for (Operands& o : products_) {
            const Product& p = o.shape;
            bare_gemm(blas(p.ta), blas(p.tb), p.m, p.n, p.k, o.a.data(), p.ta == Trans::yes ? p.k : p.m, o.b.data(),
                      p.tb == Trans::yes ? p.n : p.k, o.c.data());
        }
    }

private:
    struct Operands {
        Product shape;
        std::vector<real> a, b, c;
    };
    std::vector<Operands> products_;
};

const char* option(int argc, char** argv, const char* name, const char* fallback) {
    for (int i = 1; i + 1 < argc; ++i)
        if (std::strcmp(argv[i], name) == 0) return argv[i + 1];
    return fallback;
}
int integer_option(int argc, char** argv, const char* name, int fallback) {
    const char* text = option(argc, argv, name, nullptr);
    return text ? std::atoi(text) : fallback;
}

}  // namespace

int main(int argc, char** argv) {
    const int threads = integer_option(argc, argv, "--threads", 1), rounds = integer_option(argc, argv, "--rounds", 15);
    const auto backend = make_backend("cpu", {threads, 0});
    fmt::print("{}\n{:<28}{:>14}{:>18}{:>8}\n", backend->description(), "network", "iteration, ms", "its products, ms",
               "ratio");
    const bool block = std::strcmp(option(argc, argv, "--step", "exact"), "block") == 0;
    for (Case c : cases) {
        if (block) c.shape.rule = StepRule::block;
        const NodeData data(*backend, random_nodes(c.shape));
        SolverOptions options;
        options.stages = {{c.shape.layers, 1 << 30, 0.01, 0.01, 0.01, ZInit::forward, LastInit::carry}};
        options.hidden = c.shape.hidden;
        options.step.rule = c.shape.rule;
        options.quantize = c.quantize;
        options.bits = 4;
        options.eval_every = 1 << 30;
        Solver solver(*backend, data, options);
        BareProducts bare(c.shape);
        const double once = seconds_of([&] { solver.step(); }, 3);
        const int repeats = std::max(1, static_cast<int>(0.1 / once));
        seconds_of([&] { bare.run(); }, repeats);
        std::vector<double> ours, products, ratios;
        for (int round = 0; round < rounds; ++round) {
            ours.push_back(seconds_of([&] { solver.step(); }, repeats));
            products.push_back(seconds_of([&] { bare.run(); }, repeats));
            ratios.push_back(ours.back() / products.back());
        }
        fmt::print("{:<28}{:>14.3f}{:>18.3f}{:>8.2f}\n", c.name, 1e3 * median(ours), 1e3 * median(products),
                   median(ratios));
    }
}
