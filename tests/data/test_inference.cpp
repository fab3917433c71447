// A saved model on a graph, block by block (host/run/inference.hpp): the blocks change no bit, and none is larger than
// it may be.
#include "host/run/inference.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "host/data/sbm.hpp"
#include "pdadmm/error.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

SavedModel random_model(Index inputs, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    SavedModel saved;
    saved.model.shape = {3, inputs, 7, 3, 0};
    saved.augment.hops = 2;
    for (int layer = 1; layer <= 3; ++layer) {
        const NetworkShape& s = saved.model.shape;
        for (auto [parts, size] :
             {std::pair{&saved.model.W, s.rows(layer) * s.cols(layer)}, std::pair{&saved.model.b, s.rows(layer)}}) {
            parts->emplace_back(static_cast<std::size_t>(size));
            for (real& value : parts->back()) value = static_cast<real>(normal(random));
        }
    }
    return saved;
}

TEST(Inference, BlocksChangeNoBit) {
    PDADMM_SEEDED();
    const auto cpu = make_backend("cpu", {1, 0});
    const Dataset graph = make_sbm(parse_sbm("sbm:nodes=3000,classes=3,features=4,seed=2"));
    const SavedModel saved = random_model(8, seed);
    std::vector<std::int32_t> nodes(3000);
    std::iota(nodes.rbegin(), nodes.rend(), 0);  // from the last to the first
    for (const int layer : {1, 2, 3}) {
        std::vector<real> whole, parts;
        std::vector<std::int32_t> seen;
        int blocks = 0;
        const auto keep = [&](std::vector<real>& all) {
            return [&](std::span<const std::int32_t> block, const std::vector<real>& values) {
                EXPECT_EQ(values.size(), block.size() * static_cast<std::size_t>(saved.model.shape.rows(layer)));
                all.insert(all.end(), values.begin(), values.end());
                seen.insert(seen.end(), block.begin(), block.end());
                ++blocks;
            };
        };
        each_block(*cpu, saved, graph, nodes, layer, keep(whole));
        EXPECT_EQ(blocks, 1);
        constexpr auto block_bytes = static_cast<std::uint64_t>(ForwardPass::columns) * 8 * sizeof(real);
        each_block(*cpu, saved, graph, nodes, layer, keep(parts), block_bytes + 100);
        EXPECT_EQ(blocks, 1 + 3);
        EXPECT_EQ(whole, parts);
        std::vector<std::int32_t> twice = nodes;
        twice.insert(twice.end(), nodes.begin(), nodes.end());
        EXPECT_EQ(seen, twice);
    }
}

TEST(Inference, AnotherNumberOfFeaturesIsRefused) {
    const auto cpu = make_backend("cpu", {1, 0});
    const Dataset graph = make_sbm(parse_sbm("sbm:nodes=50,classes=3,features=5,seed=2"));
    const std::vector<std::int32_t> nodes{0};
    EXPECT_THROW(each_block(*cpu, random_model(8, 1), graph, nodes, 3, {}), DataError);
}

}  // namespace
