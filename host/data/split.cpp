// Splits. torch.randperm(n) on the CPU is a Fisher-Yates walk from the front with mt19937 reduced modulo the nodes left, so
// the published split can be drawn without torch (checked there for n = 10 and 13,752).
#include "host/data/split.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <random>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "host/format/file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr Index kRest = -1;

struct Counts {
    Index train_per_class = 0, val = 0, test = 0;
};

[[noreturn]] void fail(const Dataset& d, const std::string& spec, const std::string& problem) {
    throw UsageError(fmt::format("split {}: {}: {}", printable(spec), d.name, problem));
}

void permute(std::vector<std::int32_t>& ids, std::uint32_t seed) {
    std::mt19937 engine(seed);
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) std::swap(ids[i], ids[i + engine() % (ids.size() - i)]);
}

/// Nodes of each class in ascending order.
std::vector<std::vector<std::int32_t>> nodes_by_class(const Dataset& d) {
    std::vector<std::vector<std::int32_t>> nodes(d.classes);
    for (Index i = 0; i < d.nodes; ++i)
        if (d.labels[i] >= 0) nodes[d.labels[i]].push_back(static_cast<std::int32_t>(i));
    return nodes;
}

/// Takes `per_class` nodes of each class into `train`; returns the others in ascending order.
std::vector<std::int32_t> draw_train(const Dataset& d, Index per_class, std::vector<std::int32_t>& train, auto&& permute_ids) {
    std::vector<std::int32_t> rest;
    for (std::vector<std::int32_t>& nodes : nodes_by_class(d)) {
        permute_ids(nodes);
        const auto end = nodes.begin() + std::min<Index>(per_class, static_cast<Index>(nodes.size()));
        train.insert(train.end(), nodes.begin(), end);
        rest.insert(rest.end(), end, nodes.end());
    }
    std::sort(rest.begin(), rest.end());
    return rest;
}

void check_enough(const Dataset& d, const std::string& spec, Index needed, Index found) {
    if (needed > found)
        fail(d, spec,
             fmt::format("{} labelled nodes besides the training nodes, expected {}; use random:TRAIN/VAL/TEST", found, needed));
}

Split paper_split(const Dataset& d) {
    constexpr std::uint32_t seed = 100;
    constexpr Index per_class = 20, test = 1000, val = 1000;
    Split split;
    split.name = "paper";
    std::vector<std::int32_t> rest =
        draw_train(d, per_class, split.train, [](auto& ids) { permute(ids, seed); });  // the same seed for every class
    check_enough(d, "paper", test + val, static_cast<Index>(rest.size()));
    permute(rest, seed);
    split.test.assign(rest.begin(), rest.begin() + test);
    split.val.assign(rest.begin() + test, rest.begin() + test + val);
    return split;
}

/// TRAIN/VAL/TEST behind "random:".
Counts parse_counts(const Dataset& d, const std::string& spec) {
    Counts c;
    Index* const fields[] = {&c.train_per_class, &c.val, &c.test};
    std::string_view rest = std::string_view(spec).substr(spec.find(':') + 1);
    for (int k = 0; k < 3; ++k) {
        const std::size_t end = k < 2 ? rest.find('/') : rest.size();
        const std::string_view field = rest.substr(0, end);
        const auto [stop, error] = std::from_chars(field.data(), field.data() + field.size(), *fields[k]);
        const bool number = error == std::errc{} && stop == field.data() + field.size() && *fields[k] >= (k == 0 ? 1 : 0);
        if (k == 2 && field == "rest")
            c.test = kRest;
        else if (end == std::string_view::npos || !number)
            fail(d, spec,
                 "not understood, expected random:TRAIN_PER_CLASS/VAL/TEST such as random:20/500/1000 (TEST may be rest)");
        if (k < 2) rest.remove_prefix(end + 1);
    }
    return c;
}

Split random_split(const Dataset& d, const std::string& spec, std::uint64_t seed) {
    Counts c = parse_counts(d, spec);
    std::mt19937_64 engine(seed);
    const auto shuffle = [&](std::vector<std::int32_t>& ids) {
        for (std::size_t i = 0; i + 1 < ids.size(); ++i) std::swap(ids[i], ids[i + engine() % (ids.size() - i)]);
    };
    Split split;
    split.name = spec;
    std::vector<std::int32_t> rest = draw_train(d, c.train_per_class, split.train, shuffle);
    const Index left = static_cast<Index>(rest.size());
    check_enough(d, spec, c.val, left);
    if (c.test == kRest) c.test = left - c.val;
    check_enough(d, spec, c.test, left - c.val);
    shuffle(rest);
    split.val.assign(rest.begin(), rest.begin() + c.val);
    split.test.assign(rest.begin() + c.val, rest.begin() + c.val + c.test);
    return split;
}

}  // namespace

Split make_split(const Dataset& d, const std::string& spec, std::uint64_t seed) {
    const bool has_stored = !d.stored_split.train.empty();
    if (spec == "stored" || (spec == "auto" && has_stored)) {
        if (!has_stored) fail(d, spec, "the data set holds no split; use paper or random:20/500/1000");
        Split split = d.stored_split;
        split.name = "stored";
        return split;
    }
    if (spec == "paper" || spec == "auto") return paper_split(d);
    if (spec.starts_with("random:")) return random_split(d, spec, seed);
    throw UsageError(
        fmt::format("split {}: unknown, expected auto, stored, paper or random:TRAIN_PER_CLASS/VAL/TEST", printable(spec)));
}

std::vector<std::string> split_warnings(const Dataset& d, const Split& split) {
    std::vector<std::string> warnings;
    std::vector<bool> trained(d.classes, false);
    for (const std::int32_t node : split.train) trained[d.labels[node]] = true;
    std::vector<Index> missing;
    for (Index c = 0; c < d.classes; ++c)
        if (!trained[c]) missing.push_back(c);
    const std::size_t count = missing.size();
    if (count > 0) {
        missing.resize(std::min<std::size_t>(count, 10));
        warnings.push_back(fmt::format("{}: no training node of class {}{}: it cannot be learned", d.name,
                                       fmt::join(missing, ", "),
                                       count > missing.size() ? fmt::format(" and {} more", count - missing.size()) : ""));
    }
    if (split.val.empty())
        warnings.push_back(
            fmt::format("{}: split {} has no validation nodes: no model can be selected by them", d.name, split.name));
    if (split.test.empty()) warnings.push_back(fmt::format("{}: split {} has no test nodes", d.name, split.name));
    return warnings;
}

}  // namespace pdadmm
