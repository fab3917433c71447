// Time of one iteration beside the bare products it cannot do without, and beside Adam's on the same network:
// bench_iteration [--threads T] [--rounds R] [--step exact|block] [--only BEGINNING] [--format table|json]
// [--clock wall|cpu].
//
// For each network the same process takes turns between iterations, the sgemm calls of the same shapes on arrays of the
// same sizes (host/network/layer_form.hpp: four a layer, W' r, W g, r p', G p; of closed forms those of the form that
// is used, but no inverse or solve; one, r K, for the first layer in node space), each cut among the threads once, and
// an epoch of Adam, so that all see the same machine. Prints medians, and ratios as medians of the pairwise ratios.
// Evaluation is not included. --only takes the networks whose names begin so. As JSON, a line a network, every round's
// milliseconds are there, and the flops and bytes of an iteration by count. The processor's clock, of one thread, does
// not count what other processes take.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ctime>
#include <string_view>
#include <vector>

#include "bench/arguments.hpp"
#include "bench/rounds.hpp"
#include "host/admm/solver.hpp"
#include "host/backpropagation/backpropagation.hpp"
#include "host/blas/blas.hpp"
#include "host/cpu/thread_pool.hpp"
#include "host/network/layer_kind.hpp"
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
    {"made-up 4 x 128, N 20000", {4, 640, 128, 10, 20000}, Quantize::none},
    {"made-up 4 x 128, N 80000", {4, 640, 128, 10, 80000}, Quantize::none},
};

/// The products of one iteration on arrays of their own, layer by layer, each cut once among all threads.
class BareProducts {
public:
    BareProducts(const NetworkShape& s, int threads) : pool_(threads, [] { blas().set_threads(1); }) {
        std::uint64_t stream = 0;
        for (int layer = 1; layer <= s.layers; ++layer)
            for (const Product& p : iteration_products(s, layer).products)
                products_.push_back({p, normal_draws(2, ++stream, p.m * p.k, 0.1),
                                     normal_draws(3, stream, p.k * p.n, 0.1),
                                     std::vector<real>(static_cast<std::size_t>(p.m * p.n))});
    }
    void run() {
        for (Operands& o : products_) {
            const bool by_rows = o.shape.m > o.shape.n;
            const Index longer = by_rows ? o.shape.m : o.shape.n,
                        width = (longer + pool_.threads() - 1) / pool_.threads();
            pool_.run(pool_.threads(), [&](Index task) {
                const Index first = task * width, count = std::min(width, longer - first);
                if (count > 0)
                    multiply(o, by_rows ? first : 0, by_rows ? 0 : first, by_rows ? count : o.shape.m,
                             by_rows ? o.shape.n : count);
            });
        }
    }

private:
    struct Operands {
        Product shape;
        std::vector<real> a, b, c;
    };
    /// C(row .., column ..) of m x n elements.
    static void multiply(Operands& o, Index row, Index column, Index m, Index n) {
        const Product& p = o.shape;
        const bool a_turned = p.ta == Trans::yes, b_turned = p.tb == Trans::yes;
        const auto i = [](Index v) { return static_cast<int>(v); };
        const auto blas_trans = [](bool turned) { return turned ? BlasTrans::yes : BlasTrans::no; };
        blas_gemm(blas_trans(a_turned), blas_trans(b_turned), i(m), i(n), i(p.k), real(1),
                  o.a.data() + (a_turned ? row * p.k : row), i(a_turned ? p.k : p.m),
                  o.b.data() + (b_turned ? column : column * p.k), i(b_turned ? p.n : p.k), real(0),
                  o.c.data() + column * p.m + row, i(p.m));
    }
    std::vector<Operands> products_;
    ThreadPool pool_;
};

/// Of an iteration: products and factors, what passes read and write, and every matrix of a product once.
Work counted(const Case& c) {
    Work all;
    for (int layer = 1; layer <= c.shape.layers; ++layer) {
        const bool quantised = c.quantize != Quantize::none;
        all += layer_work(c.shape, layer, c.shape.nodes, quantised).sum();
        for (const Product& p : iteration_products(c.shape, layer, quantised).products)
            all.bytes += static_cast<double>(p.m * p.k + p.k * p.n + p.m * p.n) * sizeof(real);
    }
    return all;
}

SolverOptions options_of(const Case& c, Optimizer optimizer) {
    SolverOptions options;
    options.optimizer = optimizer;
    options.stages = {{c.shape.layers, 1 << 30, 0.01, 0.01, 0.01, ZInit::forward, LastInit::carry}};
    options.hidden = c.shape.hidden;
    options.step.rule = c.shape.rule;
    if (optimizer == Optimizer::admm) options.quantize = c.quantize;
    options.bits = 4;
    options.eval_every = 1 << 30;
    return options;
}

void measure(const Case& c, Backend& backend, int threads, int rounds, bool json, bool cpu_clock) {
    const AugmentedNodes nodes = random_nodes(c.shape);
    const NodeData data(backend, nodes);
    Solver solver(backend, data, options_of(c, Optimizer::admm));
    Backpropagation adam(backend, data, options_of(c, Optimizer::adam));
    BareProducts bare(c.shape, threads);
    const auto seconds = [&](const auto& work, int repeats) {
        if (!cpu_clock) return seconds_of(work, repeats);
        const std::clock_t began = std::clock();
        for (int i = 0; i < repeats; ++i) work();
        return static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC / repeats;
    };
    const double once = seconds([&] { solver.step(); }, 3);
    const int repeats = std::max(1, static_cast<int>(0.1 / once));
    seconds([&] { bare.run(); }, repeats);
    seconds([&] { adam.step(); }, 3);
    std::vector<double> ours, products, of_products, adams, of_adam;  // milliseconds and their ratios
    for (int round = 0; round < rounds; ++round) {
        ours.push_back(1e3 * seconds([&] { solver.step(); }, repeats));
        products.push_back(1e3 * seconds([&] { bare.run(); }, repeats));
        adams.push_back(1e3 * seconds([&] { adam.step(); }, repeats));
        of_products.push_back(ours.back() / products.back());
        of_adam.push_back(ours.back() / adams.back());
    }
    const Work work = counted(c);
    if (json)
        fmt::print(
            "{{\"network\": \"{}\", \"ms\": [{:.6g}], \"products_ms\": [{:.6g}], \"adam_ms\": [{:.6g}], "
            "\"flops\": {:.6g}, \"bytes\": {:.6g}}}\n",
            c.name, fmt::join(ours, ", "), fmt::join(products, ", "), fmt::join(adams, ", "), work.flops, work.bytes);
    else
        fmt::print("{:<28}{:>14.3f}{:>18.3f}{:>8.2f}{:>12.3f}{:>8.2f}\n", c.name, median(ours), median(products),
                   median(of_products), median(adams), median(of_adam));
}

}  // namespace

int main(int argc, char** argv) {
    const Arguments given(argc, argv);
    const int threads = given.integer("--threads", 1), rounds = given.integer("--rounds", 15);
    const auto backend = make_backend("cpu", {threads, 0});
    const bool block = given.text("--step", "exact") == "block";
    const bool json = given.text("--format", "table") == "json";
    const bool cpu_clock = given.text("--clock", "wall") == "cpu";
    const std::string only = given.text("--only", "");
    if (!json)
        fmt::print("{}, {} steps\n{:<28}{:>14}{:>18}{:>8}{:>12}{:>8}\n", backend->description(),
                   block ? "block" : "exact", "network", "iteration, ms", "its products, ms", "ratio", "Adam, ms",
                   "ratio");
    for (Case c : cases) {
        if (block) c.shape.rule = StepRule::block;
        if (std::string_view(c.name).starts_with(only)) measure(c, *backend, threads, rounds, json, cpu_clock);
    }
}
