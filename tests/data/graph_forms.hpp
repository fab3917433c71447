// One graph, that of graph_npz.hpp, under the names of other people's arrays; small arrays of two dimensions; how tests
// ask for refusals.
#pragma once

#include <gmock/gmock.h>

#include "host/data/split.hpp"
#include "pdadmm/error.hpp"
#include "tests/data/graph_npz.hpp"

namespace graph_npz {

template <typename T>
zip::Bytes matrix(const std::string& dtype, pdadmm::Index rows, pdadmm::Index cols, const std::vector<double>& values) {
    std::vector<T> converted;
    for (const double v : values) converted.push_back(static_cast<T>(v));
    return npy(dtype, fmt::format("({}, {})", rows, cols), converted.data(), converted.size() * sizeof(T));
}
inline zip::Bytes ints2(pdadmm::Index rows, pdadmm::Index cols, const std::vector<double>& v) {
    return matrix<std::int64_t>("<i8", rows, cols, v);
}
inline zip::Bytes mask(const std::vector<double>& v) { return vector_npy<std::uint8_t>("|b1", v); }
inline zip::Bytes masks(pdadmm::Index rows, pdadmm::Index cols, const std::vector<double>& v) {
    return matrix<std::uint8_t>("|b1", rows, cols, v);
}
inline zip::Bytes text(const std::string& word) {
    return npy(fmt::format("|S{}", word.size()), "()", word.data(), word.size());
}

inline const std::vector<double> kSources = {0, 1, 1, 2, 2, 3, 5}, kTargets = {1, 0, 2, 1, 3, 2, 5};

inline std::vector<double> joined(std::vector<double> a, const std::vector<double>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}
inline std::vector<double> pairs() {
    std::vector<double> out;
    for (std::size_t k = 0; k < kSources.size(); ++k) out.insert(out.end(), {kSources[k], kTargets[k]});
    return out;
}

inline Members without(Members m, const std::vector<const char*>& names) {
    for (const char* name : names) m.erase(name);
    return m;
}

/// dense_bundle() as torch_geometric names it.
inline Members pyg() {
    return {{"x", dense_bundle().at("features")},
            {"y", ints({0, 1, 0, 1, -1, 0})},
            {"edge_index", ints2(2, 7, joined(kSources, kTargets))},
            {"train_mask", mask({1, 1, 0, 0, 0, 0})},
            {"val_mask", mask({0, 0, 1, 0, 0, 0})},
            {"test_mask", mask({0, 0, 0, 1, 0, 1})}};
}

/// The same as the heterophilous graphs, with two splits in rows.
inline Members heterophilous() {
    return {{"node_features", dense_bundle().at("features")},
            {"node_labels", ints({0, 1, 0, 1, -1, 0})},
            {"edges", ints2(7, 2, pairs())},
            {"train_masks", masks(2, 6, {0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0})},
            {"val_masks", masks(2, 6, {1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0})},
            {"test_masks", masks(2, 6, {0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1})}};
}

inline void expect_the_split(const pdadmm::Dataset& d) {
    EXPECT_THAT(d.stored_split.train, testing::ElementsAre(0, 1));
    EXPECT_THAT(d.stored_split.val, testing::ElementsAre(2));
    EXPECT_THAT(d.stored_split.test, testing::ElementsAre(3, 5));
    EXPECT_THAT(d.stored_split.every_test, testing::IsEmpty());
}

inline std::string refused(const Members& m, const pdadmm::ReadOptions& options = {}) {
    return refusal<pdadmm::DataError>([&] { read(m, options); });
}
/// Refused by what wants the stored split, and by nothing else.
inline std::string split_refused(const Members& m, const pdadmm::ReadOptions& options = {}) {
    const pdadmm::Dataset d = read(m, options);
    EXPECT_NO_THROW(pdadmm::make_split(d, "random:1/1/1", 0));
    const std::string message = refusal<pdadmm::DataError>([&] { pdadmm::make_split(d, "auto", 0); });
    EXPECT_EQ(refusal<pdadmm::DataError>([&] { pdadmm::make_split(d, "stored", 0); }), message);
    return message;
}

}  // namespace graph_npz
