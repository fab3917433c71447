// Weights by draws and by growth (host/network/weights.hpp).
#include "host/network/weights.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <span>
#include <thread>

#include "host/machine/processors.hpp"

namespace pdadmm {
namespace {

template <typename T>
void put(Memory& memory, Mat to, const std::vector<T>& host) {
    memory.upload(host.data(), to.data, host.size() * sizeof(T));
}

void identity_layer(Memory& memory, Mat W, Mat b) {
    std::vector<real> host(static_cast<std::size_t>(W.size()));
    for (Index i = 0; i < std::min(W.rows, W.cols); ++i) host[static_cast<std::size_t>(i * W.rows + i)] = 1;
    put(memory, W, host);
    memory.fill(b, 0);
}

constexpr std::size_t most_drawn = std::size_t{1} << 22;    // values at once: even
constexpr std::size_t shared_draws = std::size_t{1} << 18;  // values that are worth threads

/// Part `part` of `parts` of `values`, two from two draws of 64 bits.
void box_muller(std::span<const std::uint64_t> drawn, double std, std::span<real> values, std::size_t part,
                std::size_t parts) {
    const auto uniform = [](std::uint64_t bits) { return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53; };
    const std::size_t pairs = (values.size() + 1) / 2;
    for (std::size_t i = 2 * (pairs * part / parts); i < 2 * (pairs * (part + 1) / parts); i += 2) {
        const double radius = std * std::sqrt(-2 * std::log(uniform(drawn[i]))),
                     angle = 2 * std::numbers::pi * uniform(drawn[i + 1]);
        values[i] = static_cast<real>(radius * std::cos(angle));
        if (i + 1 < values.size()) values[i + 1] = static_cast<real>(radius * std::sin(angle));
    }
}

}  // namespace

std::vector<real> normal_draws(std::uint64_t seed, std::uint64_t stream, Index count, double std) {
    std::seed_seq words{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                        static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)};
    std::mt19937_64 bits(words);
    std::vector<real> values(static_cast<std::size_t>(count));
    std::vector<std::uint64_t> drawn(std::min(values.size() + 1, most_drawn));
    for (std::size_t first = 0; first < values.size(); first += drawn.size()) {
        const std::span<real> some = std::span(values).subspan(first, std::min(drawn.size(), values.size() - first));
        std::generate_n(drawn.begin(), (some.size() + 1) / 2 * 2, [&bits] { return bits(); });
        const std::size_t parts = some.size() < shared_draws ? 1 : static_cast<std::size_t>(available_processors());
        std::vector<std::jthread> helpers;
        for (std::size_t part = 1; part < parts; ++part)
            helpers.emplace_back([=, &drawn] { box_muller(drawn, std, some, part, parts); });
        box_muller(drawn, std, some, 0, parts);
    }
    return values;
}

void draw_layer(Memory& memory, Mat W, Mat b, int layer, const SolverOptions& options, int stage_index) {
    const bool kaiming = options.weight_init == WeightInit::kaiming;
    const double std = kaiming ? std::sqrt(2.0 / static_cast<double>(W.cols)) : options.init_std;
    const auto stream = static_cast<std::uint64_t>(stage_index * 100000 + layer) * 2;
    put(memory, W, normal_draws(options.seed, stream, W.size(), std));
    put(memory, b,
        kaiming ? std::vector<real>(static_cast<std::size_t>(b.rows))
                : normal_draws(options.seed, stream + 1, b.rows, std));
}

void grow_layers(Memory& memory, int old_last, const Parameters& net, LayerRange own, const CarryLayer& carry,
                 const SolverOptions& options, const Stage& stage, int stage_index) {
    const int L = net.shape.layers;
    const auto W = [&net](int layer) { return net.W[static_cast<std::size_t>(layer - 1)]; };
    const auto b = [&net](int layer) { return net.b[static_cast<std::size_t>(layer - 1)]; };
    for (int layer = 2; layer < L; ++layer) {
        if (layer < old_last)
            carry(layer, layer);
        else if (own.has(layer))
            identity_layer(memory, W(layer), b(layer));
    }
    if (stage.last_init == LastInit::carry) carry(old_last, L);
    if (stage.last_init == LastInit::identity && own.has(L)) identity_layer(memory, W(L), b(L));
    if (stage.last_init == LastInit::random && own.has(L)) draw_layer(memory, W(L), b(L), L, options, stage_index);
}

}  // namespace pdadmm
