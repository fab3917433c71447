// Generator of block-model graphs. The standard library's distributions and log/cos are left out on purpose: their
// results differ between implementations, those of the engine do not.
#include "host/data/sbm.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "host/console/printable.hpp"
#include "host/data/graph_arrays.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr double kMeanLength = 1.75;
constexpr const char* kKeys =
    "keys nodes (10 to 100000000), classes (2 to 1000, at most nodes / 5), features (1 to 65536), degree (0 to 1000, "
    "below "
    "nodes), "
    "homophily (0 to 1), noise (0 to 1e6), seed";

class Draws {
public:
    explicit Draws(std::uint64_t seed) : engine_(seed) {}
    double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }  // [0, 1)
    std::uint64_t below(std::uint64_t n) { return engine_() % n; }            // bias below n / 2^64
    /// Mean 0, variance 1, bell-shaped, within +-4.9: the sum of eight 16-bit draws is an exact integer.
    double bell() {
        std::uint64_t sum = 0;
        for (std::uint64_t bits : {engine_(), engine_()})
            for (int shift = 0; shift < 64; shift += 16) sum += (bits >> shift) & 0xffff;
        constexpr double mean = 8 * 32767.5;
        constexpr double deviation = 53509.91992145008;  // sqrt(8 (2^32 - 1) / 12)
        return (static_cast<double>(sum) - mean) / deviation;
    }
    void shuffle(std::vector<std::int32_t>& v) {
        for (std::size_t n = v.size(); n > 1; --n) std::swap(v[n - 1], v[below(n)]);
    }

private:
    std::mt19937_64 engine_;
};

[[noreturn]] void fail(const std::string& text, const std::string& problem) {
    throw UsageError(fmt::format("data set {}: {}, expected {}", printable(text, 120), problem, kKeys));
}

template <typename T>
T parse_number(const std::string& text, std::string_view key, std::string_view value, T lowest, T highest) {
    T number{};
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc{} || end != value.data() + value.size() || !(number >= lowest && number <= highest))
        fail(text, fmt::format("{}={}", key, printable(value, 40)));
    return number;
}

void set_key(SbmSpec& s, const std::string& text, std::string_view key, std::string_view value) {
    if (key == "nodes")
        s.nodes = parse_number<Index>(text, key, value, 10, 100'000'000);
    else if (key == "classes")
        s.classes = parse_number<Index>(text, key, value, 2, 1000);
    else if (key == "features")
        s.features = parse_number<Index>(text, key, value, 1, 65536);
    else if (key == "degree")
        s.degree = parse_number<double>(text, key, value, 0, 1000);
    else if (key == "homophily")
        s.homophily = parse_number<double>(text, key, value, 0, 1);
    else if (key == "noise")
        s.noise = parse_number<double>(text, key, value, 0, 1e6);
    else if (key == "seed")
        s.seed = parse_number<std::uint64_t>(text, key, value, 0, ~std::uint64_t{0});
    else
        fail(text, fmt::format("unknown key {}", printable(key, 40)));
}

std::vector<std::int32_t> draw_labels(const SbmSpec& s, Draws& draws) {
    std::vector<std::int32_t> labels(s.nodes);
    for (Index i = 0; i < s.nodes; ++i) labels[i] = static_cast<std::int32_t>(i % s.classes);
    draws.shuffle(labels);
    return labels;
}

std::vector<std::vector<std::int32_t>> members_of(const std::vector<std::int32_t>& labels, Index classes) {
    std::vector<std::vector<std::int32_t>> members(classes);
    for (std::size_t i = 0; i < labels.size(); ++i) members[labels[i]].push_back(static_cast<std::int32_t>(i));
    return members;
}

/// Both directions of every edge drawn; rows are sorted and merged later (graph_arrays.hpp).
RawCsr draw_edges(const SbmSpec& s, const std::vector<std::int32_t>& labels,
                  const std::vector<std::vector<std::int32_t>>& members, Draws& draws) {
    std::vector<std::pair<std::int32_t, std::int32_t>> edges;
    const Index count = static_cast<Index>(static_cast<double>(s.nodes) * s.degree / 2 + 0.5);
    edges.reserve(count);
    for (Index e = 0; e < count; ++e) {
        const auto a = static_cast<std::int32_t>(draws.below(s.nodes));
        Index c = labels[a];
        if (!(draws.unit() < s.homophily)) c = (c + 1 + static_cast<Index>(draws.below(s.classes - 1))) % s.classes;
        const std::int32_t b = members[c][draws.below(members[c].size())];
        if (a != b) edges.emplace_back(a, b);
    }
    RawCsr raw;
    raw.name = "adj";
    raw.rows = raw.cols = s.nodes;
    raw.indptr.assign(s.nodes + 1, 0);
    for (const auto& [a, b] : edges) ++raw.indptr[a + 1], ++raw.indptr[b + 1];
    for (Index i = 0; i < s.nodes; ++i) raw.indptr[i + 1] += raw.indptr[i];
    raw.indices.resize(2 * edges.size());
    std::vector<Index> next(raw.indptr.begin(), raw.indptr.end() - 1);
    for (const auto& [a, b] : edges) raw.indices[next[a]++] = b, raw.indices[next[b]++] = a;
    return raw;
}

std::vector<float> draw_features(const SbmSpec& s, const std::vector<std::int32_t>& labels, Draws& draws) {
    std::vector<double> means(s.classes * s.features);
    const double scale = kMeanLength / std::sqrt(static_cast<double>(s.features));
    for (double& m : means) m = scale * draws.bell();
    std::vector<float> x(s.nodes * s.features);
    for (Index i = 0; i < s.nodes; ++i)
        for (Index f = 0; f < s.features; ++f)
            x[i * s.features + f] = static_cast<float>(means[labels[i] * s.features + f] + s.noise * draws.bell());
    return x;
}

Split draw_split(const SbmSpec& s, const std::vector<std::vector<std::int32_t>>& members, Draws& draws) {
    Split split;
    split.name = "stored";
    std::vector<std::int32_t> rest;
    for (std::vector<std::int32_t> nodes : members) {
        draws.shuffle(nodes);
        const std::size_t taken = std::min<std::size_t>(20, nodes.size() / 2);
        split.train.insert(split.train.end(), nodes.begin(), nodes.begin() + taken);
        rest.insert(rest.end(), nodes.begin() + taken, nodes.end());
    }
    std::sort(rest.begin(), rest.end());
    draws.shuffle(rest);
    const Index left = s.nodes - static_cast<Index>(split.train.size());
    const Index val = std::min<Index>(500, left / 3), test = std::min<Index>(1000, left - val);
    split.val.assign(rest.begin(), rest.begin() + val);
    split.test.assign(rest.begin() + val, rest.begin() + val + test);
    return split;
}

}  // namespace

SbmSpec parse_sbm(const std::string& text) {
    SbmSpec spec;
    std::string_view rest = text;
    if (!rest.starts_with("sbm")) fail(text, "no such recipe");
    rest.remove_prefix(3);
    if (!rest.empty() && rest.front() != ':') fail(text, "no such recipe");
    if (!rest.empty()) rest.remove_prefix(1);
    std::vector<std::string_view> seen;
    while (!rest.empty()) {
        const std::string_view item = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(item.size() + 1, rest.size()));
        const std::size_t equals = item.find('=');
        if (equals == std::string_view::npos)
            fail(text, fmt::format("{} without a value", item.empty() ? "empty item" : printable(item, 40)));
        const std::string_view key = item.substr(0, equals);
        if (std::find(seen.begin(), seen.end(), key) != seen.end())
            fail(text, fmt::format("{} twice", printable(key, 40)));
        seen.push_back(key);
        set_key(spec, text, key, item.substr(equals + 1));
    }
    if (spec.classes * 5 > spec.nodes) fail(text, fmt::format("{} classes for {} nodes", spec.classes, spec.nodes));
    if (spec.degree >= static_cast<double>(spec.nodes))
        fail(text, fmt::format("degree {} for {} nodes", spec.degree, spec.nodes));
    return spec;
}

std::string to_string(const SbmSpec& s) {
    return fmt::format("sbm:nodes={},classes={},features={},degree={},homophily={},noise={},seed={}", s.nodes,
                       s.classes, s.features, s.degree, s.homophily, s.noise, s.seed);
}

Dataset make_sbm(const SbmSpec& spec) {
    // One engine per part, so that for instance another number of features leaves the edges as they are.
    Draws label_draws(4 * spec.seed), edge_draws(4 * spec.seed + 1), feature_draws(4 * spec.seed + 2),
        split_draws(4 * spec.seed + 3);
    const std::vector<std::int32_t> labels = draw_labels(spec, label_draws);
    const std::vector<std::vector<std::int32_t>> members = members_of(labels, spec.classes);
    RawGraph raw;
    raw.file = raw.name = to_string(spec);
    raw.adjacency = draw_edges(spec, labels, members, edge_draws);
    raw.dense = draw_features(spec, labels, feature_draws);
    raw.dense_rows = spec.nodes;
    raw.dense_cols = spec.features;
    raw.labels.emplace(labels.begin(), labels.end());
    raw.classes = spec.classes;
    Dataset d = build_dataset(std::move(raw), false);
    d.stored_split = draw_split(spec, members, split_draws);
    d.facts.stored_entries = d.adjacency.nnz();  // repeated draws are no fault of a file
    d.facts.duplicates = 0;
    return d;
}

}  // namespace pdadmm
