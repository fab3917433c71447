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
    "homophily (0 to 1), noise (0 to 1e6), exponent (0, or 2.1 to 10), seed";

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
    else if (key == "exponent")
        s.exponent = parse_number<double>(text, key, value, 0, 10);
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

/// Ends of edges: every place of a list alike, or place k in proportion to k^(-1 / (exponent - 1)) as it is counted
/// along a walk through the list, so that the hubs are scattered over it.
class Ends {
public:
    explicit Ends(double exponent)
        : eighths_(exponent > 0 ? static_cast<int>(8 * (exponent - 1) / (exponent - 2) + 0.5) : 0) {}

    std::size_t draw(std::size_t count, Draws& draws) const {
        if (eighths_ == 0) return draws.below(count);
        constexpr std::uint64_t stride = 2654435761;  // a prime above all counts: the walk meets every place once
        const auto place = static_cast<std::uint64_t>(static_cast<double>(count) * power(draws.unit()));
        return std::min<std::uint64_t>(place, count - 1) * stride % count;
    }

private:
    /// u^(eighths / 8), by products and square roots alone, which every processor rounds alike.
    double power(double u) const {
        double result = 1, root = u;
        for (int i = 0; i < eighths_ / 8; ++i) result *= u;
        for (int bit = 4; bit > 0; bit /= 2) {
            root = std::sqrt(root);
            if (eighths_ & bit) result *= root;
        }
        return result;
    }

    int eighths_;
};

/// Both directions of every edge drawn; rows are sorted and merged later (graph_arrays.hpp).
RawCsr compressed_edges(const SbmStream& stream) {
    RawCsr raw;
    raw.name = "adj";
    raw.rows = raw.cols = stream.spec().nodes;
    raw.indptr.assign(static_cast<std::size_t>(raw.rows) + 1, 0);
    stream.edges([&](std::int32_t a, std::int32_t b) { ++raw.indptr[a + 1], ++raw.indptr[b + 1]; });
    for (Index i = 0; i < raw.rows; ++i) raw.indptr[i + 1] += raw.indptr[i];
    raw.indices.resize(static_cast<std::size_t>(raw.indptr.back()));
    std::vector<Index> next(raw.indptr.begin(), raw.indptr.end() - 1);
    stream.edges([&](std::int32_t a, std::int32_t b) { raw.indices[next[a]++] = b, raw.indices[next[b]++] = a; });
    return raw;
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
    if (spec.exponent > 0 && spec.exponent < 2.1) fail(text, fmt::format("exponent={}", spec.exponent));
    return spec;
}

std::string to_string(const SbmSpec& s) {
    return fmt::format("sbm:nodes={},classes={},features={},degree={},homophily={},noise={},seed={}{}", s.nodes,
                       s.classes, s.features, s.degree, s.homophily, s.noise, s.seed,
                       s.exponent > 0 ? fmt::format(",exponent={}", s.exponent) : "");
}

// One engine per part, so that for instance another number of features leaves the edges as they are.
SbmStream::SbmStream(const SbmSpec& spec) : spec_(spec) {
    Draws draws(4 * spec.seed);
    labels_ = draw_labels(spec, draws);
    members_ = members_of(labels_, spec.classes);
}

void SbmStream::edges(const std::function<void(std::int32_t, std::int32_t)>& take) const {
    Draws draws(4 * spec_.seed + 1);
    const Ends ends(spec_.exponent);
    const Index count = static_cast<Index>(static_cast<double>(spec_.nodes) * spec_.degree / 2 + 0.5);
    for (Index e = 0; e < count; ++e) {
        const auto a = static_cast<std::int32_t>(ends.draw(labels_.size(), draws));
        Index c = labels_[a];
        if (!(draws.unit() < spec_.homophily))
            c = (c + 1 + static_cast<Index>(draws.below(spec_.classes - 1))) % spec_.classes;
        const std::int32_t b = members_[c][ends.draw(members_[c].size(), draws)];
        if (a != b) take(a, b);
    }
}

void SbmStream::features(const std::function<void(Index, std::span<const float>)>& take) const {
    Draws draws(4 * spec_.seed + 2);
    const Index width = spec_.features, at_once = std::min(spec_.nodes, std::max<Index>(1, (Index{1} << 20) / width));
    std::vector<double> means(spec_.classes * width);
    const double scale = kMeanLength / std::sqrt(static_cast<double>(width));
    for (double& m : means) m = scale * draws.bell();
    std::vector<float> x(static_cast<std::size_t>(at_once * width));
    for (Index first = 0; first < spec_.nodes; first += at_once) {
        const Index rows = std::min(at_once, spec_.nodes - first);
        for (Index i = 0; i < rows; ++i)
            for (Index f = 0; f < width; ++f)
                x[i * width + f] =
                    static_cast<float>(means[labels_[first + i] * width + f] + spec_.noise * draws.bell());
        take(first, std::span(x).first(static_cast<std::size_t>(rows * width)));
    }
}

Dataset SbmStream::description() const {
    Draws draws(4 * spec_.seed + 3);
    Dataset d;
    d.name = to_string(spec_);
    d.nodes = spec_.nodes;
    d.classes = spec_.classes;
    d.features.count = spec_.features;
    d.labels = labels_;
    d.stored_split = draw_split(spec_, members_, draws);
    return d;
}

Dataset make_sbm(const SbmSpec& spec) {
    const SbmStream stream(spec);
    Dataset described = stream.description();
    RawGraph raw;
    raw.file = raw.name = described.name;
    raw.adjacency = compressed_edges(stream);
    raw.dense.reserve(static_cast<std::size_t>(spec.nodes * spec.features));
    stream.features(
        [&](Index, std::span<const float> rows) { raw.dense.insert(raw.dense.end(), rows.begin(), rows.end()); });
    raw.dense_rows = spec.nodes;
    raw.dense_cols = spec.features;
    raw.labels.emplace(described.labels.begin(), described.labels.end());
    raw.classes = spec.classes;
    Dataset d = build_dataset(std::move(raw), false);
    d.stored_split = std::move(described.stored_split);
    d.facts.stored_entries = d.adjacency.nnz();  // repeated draws are no fault of a file
    d.facts.duplicates = 0;
    return d;
}

}  // namespace pdadmm
