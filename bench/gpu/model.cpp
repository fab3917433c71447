// What the counts of an iteration allow (model.hpp).
#include "bench/gpu/model.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bench/gpu/traffic.hpp"

namespace pdadmm::bench {
namespace {

// Of an H200, assumed: bytes a second of a device copy, operations a second of products.
constexpr double copy_rate = 4.3e12, fp32_rate = 55e12, tf32_rate = 390e12, bf16_rate = 780e12;
constexpr Index least_narrow_side = 768;  // pdadmm/cuda.hpp: of products with operands in bf16
constexpr double refresh_every = 25, split_products = 3;

struct Counts {
    double flops = 0, narrow_flops = 0;  // of an iteration; of these, in products that take operands in bf16
    double refresh_flops = 0;            // of W p of all layers
    double pass_bytes = 0;
    double rounded_bytes = 0;  // operands over nodes that are read to be rounded to bf16
};

Counts counts_of(const NetworkShape& shape) {
    Counts c;
    for (const LayerWork& work : iteration_work(shape, Quantize::none, Codec::none, false)) {
        const auto layers = static_cast<double>(work.count);
        c.pass_bytes += work.pass_bytes;
        for (const Product& p : work.products) {
            c.flops += layers * p.flops();
            if (std::min({p.m, p.n, p.k}) < least_narrow_side) continue;
            c.narrow_flops += layers * p.flops();
            c.rounded_bytes += layers * static_cast<double>((p.m + p.n) * p.k) * sizeof(real);
        }
    }
    for (int layer = 1; layer <= shape.layers; ++layer)
        c.refresh_flops += Product{Trans::no, Trans::no, shape.rows(layer), shape.nodes, shape.cols(layer)}.flops();
    return c;
}

}  // namespace

void print_model() {
    const NetworkShape shape{16, 640, 4000, 40, 90941};
    const Counts c = counts_of(shape);
    fmt::print("{} x {} x {}: {:.1f} Tflop, {:.0f} GB in passes\n", shape.layers, shape.hidden, shape.nodes,
               1e-12 * c.flops, 1e-9 * c.pass_bytes);
    fmt::print(
        "| `--math` | products | passes | refresh | one behind the other | side by side "
        "|\n|---|---|---|---|---|---|\n");
    const auto row = [&](const char* name, double products, double bytes, double refresh) {
        const double passes = bytes / copy_rate;
        fmt::print("| {} | {:.0f} ms | {:.0f} ms | {:.0f} ms | {:.0f} ms | {:.0f} ms |\n", name, 1e3 * products,
                   1e3 * passes, 1e3 * refresh, 1e3 * (products + passes + refresh),
                   1e3 * (std::max(products, passes) + refresh));
    };
    const double split = split_products * c.refresh_flops / bf16_rate / refresh_every;
    row("fp32", c.flops / fp32_rate, c.pass_bytes, c.refresh_flops / fp32_rate / refresh_every);
    row("tf32", c.flops / tf32_rate, c.pass_bytes, split);
    row("bf16", c.narrow_flops / bf16_rate + (c.flops - c.narrow_flops) / tf32_rate, c.pass_bytes + c.rounded_bytes,
        split);
}

}  // namespace pdadmm::bench
