// Augmentation that ranks divide by features: the bits of one rank for any number of them, whoever wants X; the bytes
// that the count of host/RANKS.md says; and nobody works where all find X in their caches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "host/data/sbm.hpp"
#include "host/data/split.hpp"
#include "host/run/shared_augmentation.hpp"
#include "host/transport/local.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/forwarding_backend.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

namespace fs = std::filesystem;

/// Counts sparse products.
class CountingBackend : public ForwardingBackend {
public:
    using ForwardingBackend::ForwardingBackend;
    void spmm(const CsrView& a, CMat X, Mat Y) override {
        ++products;
        ForwardingBackend::spmm(a, X, Y);
    }
    int products = 0;
};

struct Found {
    AugmentedNodes nodes;
    std::uint64_t bytes = 0;  // sent
    int products = 0;
};

/// On ranks that are threads; rank k wants X where bit k is set, and has a cache folder of its own in `caches`.
std::vector<Found> on_ranks(int ranks, unsigned wanting, const Dataset& dataset, const Split& split,
                            const AugmentOptions& options, const fs::path& caches = {}) {
    std::vector<Found> found(static_cast<std::size_t>(ranks));
    run_local_ranks(ranks, [&](LocalRank& rank) {
        const int number = rank.control.rank();
        const auto own = open_test_backend(1).backend;
        CountingBackend backend(*own);
        Found& here = found[static_cast<std::size_t>(number)];
        here.nodes =
            augment_by_ranks(backend, dataset, split, options,
                             caches.empty() ? caches : caches / std::to_string(number), [](const std::string&) {},
                             {{&rank.transport, &rank.control, &rank.nodes}, ((wanting >> number) & 1U) != 0, ranks});
        here.bytes = rank.transport.traffic(Direction::send).bytes;
        here.products = backend.products;
    });
    return found;
}

struct Example {
    Dataset dataset;
    AugmentOptions options;
};
std::vector<Example> examples(std::uint64_t seed) {
    SbmSpec sbm;
    sbm.nodes = 90;
    sbm.classes = 3;
    sbm.features = 37;
    sbm.seed = seed;
    const Dataset dense = make_sbm(sbm);
    Dataset sparse = dense;
    sparse.features.dense.clear();
    sparse.features.sparse = {dense.nodes, 37, {0}, {}, {}};
    Csr& rows = sparse.features.sparse;
    for (Index i = 0; i < dense.nodes; ++i) {
        for (Index k = i % 3; k < 37; k += 3) {
            rows.columns.push_back(static_cast<std::int32_t>(k));
            rows.values.push_back(dense.features.dense[static_cast<std::size_t>(i * 37 + k)]);
        }
        rows.offsets.push_back(rows.columns.size());
    }
    AugmentOptions plain, unit, several;
    plain.hops = 3;
    plain.feature_norm = FeatureNorm::row;
    unit.hops = 2;
    unit.feature_norm = FeatureNorm::l2;
    several.hops = 3;
    several.operators = parse_operators("--augment", "gcn,high");
    return {{dense, plain}, {sparse, plain}, {sparse, unit}, {dense, several}, {dense, unit}};
}

TEST(SharedAugmentation, GivesTheBitsOfOneRank) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    for (const Example& example : examples(seed)) {
        const Split split = make_split(example.dataset, "random:10/20/30", 1);
        const AugmentedNodes whole = augment_split(*backend, example.dataset, split, example.options);
        for (const int ranks : {1, 2, 3, 12})  // there are ten slabs of four features
            for (const unsigned wanting : {1U, (1U << ranks) - 1, 2U & ((1U << ranks) - 1)}) {
                const std::vector<Found> found = on_ranks(ranks, wanting, example.dataset, split, example.options);
                std::uint64_t sent = 0, expected = 0;
                for (int k = 0; k < ranks; ++k) {
                    const Found& here = found[static_cast<std::size_t>(k)];
                    EXPECT_EQ(here.nodes.labels, whole.labels);
                    const bool wants = ((wanting >> k) & 1U) != 0;
                    EXPECT_EQ(here.nodes.X, wants ? whole.X : std::vector<real>())
                        << "rank " << k << " of " << ranks << ", " << to_string(example.options);
                    const Index share = FeatureRange::part(37, k, ranks).count;
                    if (wants)
                        expected += static_cast<std::uint64_t>(37 - share) * (whole.X.size() / 37) * sizeof(real);
                    EXPECT_EQ(here.products == 0, wanting == 0 || share == 0) << "rank " << k << " of " << ranks;
                    sent += here.bytes;
                }
                EXPECT_EQ(sent, expected) << ranks << " ranks";
            }
    }
}

TEST(SharedAugmentation, IsNotDoneWhereAllFindTheirs) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    const Example example = examples(seed)[0];
    const Split split = make_split(example.dataset, "random:10/20/30", 1);
    const fs::path caches = fs::path(testing::TempDir()) / ("shared-augmentation-" + std::to_string(seed));
    const AugmentedNodes whole = augment_split(*backend, example.dataset, split, example.options);
    const auto products = [&](unsigned wanting) {
        int all = 0;
        for (const Found& here : on_ranks(3, wanting, example.dataset, split, example.options, caches)) {
            all += here.products;
            if (!here.nodes.X.empty()) {
                EXPECT_EQ(here.nodes.X, whole.X);
            }
        }
        return all;
    };
    EXPECT_GT(products(1), 0);
    EXPECT_EQ(products(1), 0) << "rank 0 has kept it";
    EXPECT_GT(products(3), 0) << "rank 1 has not";
    EXPECT_EQ(products(3), 0);
    fs::remove_all(caches);
}

}  // namespace
