// Blocks and their arithmetic (host/data/block_chains.hpp).
#include "host/data/block_chains.hpp"

#include <algorithm>
#include <cmath>

namespace pdadmm {

real row_scale(double sum) { return sum > 0 ? static_cast<real>(1 / sum) : real(0); }

void scale_to_unit_length(std::span<real> block) {
    double square = 0;
    for (const real x : block) square += static_cast<double>(x) * static_cast<double>(x);
    const real scale = square > 0 ? static_cast<real>(1 / std::sqrt(square)) : real(0);
    for (real& x : block) x *= scale;
}

void take_power(double c, bool first, const real* from, real* to, Index width) {
    const real factor = static_cast<real>(c);
    if (first)
        for (Index i = 0; i < width; ++i) to[i] = factor * from[i];
    else
        for (Index i = 0; i < width; ++i) to[i] += factor * from[i];
}

bool is_first_power(const std::vector<double>& coefficients, std::size_t k) {
    return std::all_of(coefficients.begin(), coefficients.begin() + static_cast<std::ptrdiff_t>(k),
                       [](double before) { return before == 0; });
}

bool BlockChain::takes(std::size_t k) const {
    return std::any_of(blocks.begin(), blocks.end(),
                       [k](const auto& block) { return k < block.second.size() && block.second[k] != 0; });
}

std::vector<BlockChain> block_chains(const AugmentOperators& operators, int hops) {
    const std::vector<DiffusionBlock> blocks = diffusion_blocks(operators, hops);
    std::vector<BlockChain> chains;
    for (const bool walk : {false, true}) {
        BlockChain chain{walk, {}, 0};
        for (std::size_t place = 0; place < blocks.size(); ++place) {
            if (blocks[place].walk != walk) continue;
            chain.blocks.emplace_back(static_cast<Index>(place), blocks[place].coefficients);
            chain.powers = std::max(chain.powers, blocks[place].coefficients.size());
        }
        if (!chain.blocks.empty()) chains.push_back(std::move(chain));
    }
    return chains;
}

}  // namespace pdadmm
