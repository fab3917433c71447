// Figures of predictions (host/train/metric.hpp) against those of scikit-learn in metrics.json, and against counts of
// pairs on random nodes with many ties.
#include "host/train/metric.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

void expect(const nlohmann::json& c, Metric metric, double found) {
    const auto& expected = c.at(name_of(metric));
    if (expected.is_null())
        EXPECT_TRUE(std::isnan(found)) << name_of(metric) << " of " << c.at("name") << ": " << found;
    else
        EXPECT_NEAR(found, expected.get<double>(), 1e-12) << name_of(metric) << " of " << c.at("name");
}

TEST(Metric, AgreesWithScikitLearn) {
    const auto cases = nlohmann::json::parse(std::ifstream(PDADMM_METRICS));
    ASSERT_GT(cases.size(), 15u);
    for (const auto& c : cases) {
        const Index classes = c.at("classes");
        const auto logits = c.at("logits").get<std::vector<real>>();
        if (c.contains("targets")) {
            const auto targets = c.at("targets").get<std::vector<std::uint8_t>>();
            for (const Metric metric : label_metrics) expect(c, metric, measure(metric, classes, logits, targets));
            continue;
        }
        const auto labels = c.at("labels").get<std::vector<std::int32_t>>();
        Confusion confusion(classes);
        confusion.add(logits, labels);
        for (Index i = 0; i < classes * classes; ++i)
            EXPECT_EQ(confusion.at(i / classes, i % classes), c.at("confusion").at(static_cast<std::size_t>(i)))
                << c.at("name");
        for (const Metric metric : all_metrics) expect(c, metric, measure(metric, classes, logits, labels));
        EXPECT_EQ(measure(Metric::micro_f1, classes, logits, labels),
                  measure(Metric::accuracy, classes, logits, labels));
    }
}

/// Nodes of class 1 above nodes of class 0, ties being half.
double pairs(const std::vector<real>& logits, const std::vector<std::int32_t>& labels) {
    double above = 0, all = 0;
    for (std::size_t i = 0; i < labels.size(); ++i)
        for (std::size_t j = 0; j < labels.size(); ++j) {
            if (labels[i] != 1 || labels[j] != 0) continue;
            const real a = logits[2 * i + 1] - logits[2 * i], b = logits[2 * j + 1] - logits[2 * j];
            above += a > b ? 1 : a == b ? 0.5 : 0;
            all += 1;
        }
    return above / all;
}

TEST(Metric, RocAucCountsPairsWhateverTheOrderOfNodes) {
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    for (int repeat = 0; repeat < 20; ++repeat) {
        std::vector<real> logits;
        std::vector<std::int32_t> labels{0, 1};
        for (int i = 0; i < 60; ++i) labels.push_back(static_cast<std::int32_t>(random() % 2));
        for (std::size_t i = 0; i < 2 * labels.size(); ++i)
            logits.push_back(static_cast<real>(random() % 6));  // whole numbers: differences are exact, and tie
        const double auc = roc_auc(2, logits, labels), precision = average_precision(2, logits, labels);
        EXPECT_NEAR(auc, pairs(logits, labels), 1e-14);
        std::vector<real> turned;
        for (std::size_t i = labels.size(); i-- > 0;) turned.insert(turned.end(), {logits[2 * i], logits[2 * i + 1]});
        const std::vector<std::int32_t> turned_labels(labels.rbegin(), labels.rend());
        EXPECT_EQ(auc, roc_auc(2, turned, turned_labels));
        EXPECT_EQ(precision, average_precision(2, turned, turned_labels));
    }
}

TEST(Metric, WithoutNodesNothingIsDefined) {
    for (const Metric metric : all_metrics)
        EXPECT_TRUE(std::isnan(measure(metric, 3, {}, std::span<const std::int32_t>{}))) << name_of(metric);
    for (const Metric metric : label_metrics)
        EXPECT_TRUE(std::isnan(measure(metric, 3, {}, std::span<const std::uint8_t>{}))) << name_of(metric);
}

}  // namespace
