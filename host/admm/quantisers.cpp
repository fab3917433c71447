// Quantisers from options (host/admm/quantisers.hpp).
#include "host/admm/quantisers.hpp"

#include <fmt/format.h>

#include "pdadmm/error.hpp"

namespace pdadmm {

int wire_bits(std::size_t levels) {
    for (const int bits : {2, 4, 8, 16})
        if (levels <= std::size_t{1} << bits) return bits;
    throw UsageError(fmt::format("--levels: {} levels, expected at most 65536; use fewer", levels));
}

BorderQuantizers border_quantizers(const SolverOptions& o, const real* levels) {
    Quantizer quantizer{o.codec, o.bits, nullptr, 0, o.scale};
    if (o.codec == Codec::grid)
        quantizer = {Codec::grid, wire_bits(o.levels.size()), levels, static_cast<std::int32_t>(o.levels.size())};
    return {o.quantize == Quantize::none ? Quantizer{} : quantizer,
            o.quantize == Quantize::pq ? quantizer : Quantizer{}};
}

std::vector<double> uniform_levels(double lo, double hi, int count) {
    std::vector<double> levels(static_cast<std::size_t>(count));
    const double step = (hi - lo) / (count - 1);
    for (int i = 0; i < count; ++i) levels[static_cast<std::size_t>(i)] = i * step + lo;
    levels.back() = hi;
    return levels;
}

}  // namespace pdadmm
