// Splits. torch.randperm(n) on the CPU is a Fisher-Yates walk from the front with mt19937 reduced modulo the nodes
// left, so the published split can be drawn without torch (checked there for n = 10 and 13,752).
#include "host/data/split.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <optional>
#include <random>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "host/console/printable.hpp"
#include "host/data/class_ids.hpp"
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
std::vector<std::int32_t> draw_train(const Dataset& d, Index per_class, std::vector<std::int32_t>& train,
                                     auto&& permute_ids) {
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
             fmt::format("{} labelled nodes besides the training nodes, expected {}; use random:TRAIN/VAL/TEST", found,
                         needed));
}

/// What learns from labels, or measures by them, needs two classes at least.
void require_labels(const Dataset& d) {
    if (d.classes == 0) throw no_labels(d);
    if (d.classes == 1) throw DataError(fmt::format("{}: labels: one class only, expected two or more", d.name));
}

/// Splits by class, and all that goes by the one class of a node.
void require_one_class(const Dataset& d, const std::string& spec) {
    if (d.multi_label())
        fail(d, spec,
             "several labels a node, expected stored or shares such as random:60%/20%/20%; a node has no class");
}

constexpr Index kPaperPerClass = 20, kPaperTest = 1000, kPaperVal = 1000;

/// Whether there are nodes for the published code's numbers.
bool paper_split_fits(const Dataset& d) {
    Index rest = 0;
    for (const auto& nodes : nodes_by_class(d))
        rest += std::max<Index>(0, static_cast<Index>(nodes.size()) - kPaperPerClass);
    return rest >= kPaperTest + kPaperVal;
}

Split paper_split(const Dataset& d) {
    constexpr std::uint32_t seed = 100;
    constexpr Index per_class = kPaperPerClass, test = kPaperTest, val = kPaperVal;
    require_one_class(d, "paper");
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

[[noreturn]] void not_understood(const Dataset& d, const std::string& spec) {
    fail(d, spec,
         "not understood, expected random:TRAIN_PER_CLASS/VAL/TEST such as random:20/500/1000, or shares of the "
         "labelled nodes such as "
         "random:60%/20%/20% (TEST may be rest)");
}

using Fields = std::array<std::string_view, 3>;

/// TRAIN, VAL and TEST behind "random:".
Fields fields_of(const Dataset& d, const std::string& spec) {
    Fields fields;
    std::string_view rest = std::string_view(spec).substr(spec.find(':') + 1);
    if (std::count(rest.begin(), rest.end(), '/') != 2) not_understood(d, spec);
    for (std::string_view& field : fields) {
        const std::size_t end = std::min(rest.find('/'), rest.size());
        field = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return fields;
}

std::optional<Index> whole_number(std::string_view text) {
    Index value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && stop == text.data() + text.size() && value >= 0 && text.front() != '-'
               ? std::optional(value)
               : std::nullopt;
}

Counts parse_counts(const Dataset& d, const std::string& spec) {
    const Fields fields = fields_of(d, spec);
    const std::optional<Index> train = whole_number(fields[0]), val = whole_number(fields[1]),
                               test = fields[2] == "rest" ? kRest : whole_number(fields[2]);
    if (!train || *train == 0 || !val || !test) not_understood(d, spec);
    return {*train, *val, *test};
}

// A share is a whole number of millionths of a per cent: cumulative ones of decimal numbers are then exact, and 33.3
// + 33.3 + 33.4 is all.
constexpr Index kWhole = 100'000'000;
constexpr std::size_t kDecimals = 6;

std::optional<Index> share_of(std::string_view field) {
    if (!field.ends_with('%')) return std::nullopt;
    field.remove_suffix(1);
    const std::size_t point = std::min(field.find('.'), field.size());
    std::string decimals(field.substr(std::min(point + 1, field.size())));
    if (decimals.size() > kDecimals || (point < field.size() && decimals.empty())) return std::nullopt;
    decimals.resize(kDecimals, '0');
    const std::optional<Index> whole = whole_number(field.substr(0, point)), parts = whole_number(decimals);
    return whole && parts && *whole <= 100 ? std::optional(*whole * (kWhole / 100) + *parts) : std::nullopt;
}

/// Shares of all labelled nodes whatever their class; cumulative ones are rounded down, so that shares of 100 % leave
/// none over.
Split proportional_split(const Dataset& d, const std::string& spec, auto&& shuffle) {
    const Fields fields = fields_of(d, spec);
    std::array<Index, 3> ends{};
    for (std::size_t k = 0; k < 3; ++k) {
        const std::optional<Index> share = share_of(fields[k]);
        if (k == 2 && fields[k] == "rest")
            ends[k] = kWhole;
        else if (share)
            ends[k] = (k > 0 ? ends[k - 1] : 0) + *share;
        else
            not_understood(d, spec);
    }
    if (std::max(ends[1], ends[2]) > kWhole)
        fail(d, spec, "more than 100 % in all, expected at most that; lower a share");
    std::vector<std::int32_t> labelled;
    for (Index i = 0; i < d.nodes; ++i)
        if (d.labels[i] >= 0) labelled.push_back(static_cast<std::int32_t>(i));
    shuffle(labelled);
    const auto nodes = static_cast<Index>(labelled.size());
    const auto up_to = [&](std::size_t k) { return labelled.begin() + nodes * ends[k] / kWhole; };
    Split split;
    split.name = spec;
    split.train.assign(labelled.begin(), up_to(0));
    split.val.assign(up_to(0), up_to(1));
    split.test.assign(up_to(1), up_to(2));
    if (split.train.empty())
        fail(d, spec,
             fmt::format("no training node among {} labelled ones, expected one at least; raise the first share",
                         nodes));
    return split;
}

Split random_split(const Dataset& d, const std::string& spec, std::uint64_t seed) {
    std::mt19937_64 engine(seed);
    const auto shuffle = [&](std::vector<std::int32_t>& ids) {
        for (std::size_t i = 0; i + 1 < ids.size(); ++i) std::swap(ids[i], ids[i + engine() % (ids.size() - i)]);
    };
    if (spec.find('%') != std::string::npos) return proportional_split(d, spec, shuffle);
    require_one_class(d, spec);
    Counts c = parse_counts(d, spec);
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

DataError no_labels(const Dataset& d) {
    return DataError(
        fmt::format("{}: labels: no labelled node, expected some; only pdadmm predict needs none", d.name));
}

Split make_split(const Dataset& d, const std::string& spec, std::uint64_t seed) {
    require_labels(d);
    const bool automatic = spec == "auto", has_stored = !d.stored_split.train.empty();
    if ((spec == "stored" || automatic) && !d.split_fault.empty()) throw DataError(d.split_fault);
    if (spec == "stored" || (automatic && has_stored)) {
        if (!has_stored) fail(d, spec, "the data set holds no split; use paper or random:20/500/1000");
        Split split = d.stored_split;
        split.name = "stored";
        return split;
    }
    if (automatic) {
        const bool fits = !d.multi_label() && paper_split_fits(d);
        Split split = fits ? paper_split(d) : random_split(d, "random:60%/20%/20%", seed);
        split.reason = fits              ? "the data set holds none"
                       : d.multi_label() ? "the data set holds none, and nodes have several labels"
                                         : "the data set holds none and is too small for paper";
        return split;
    }
    if (spec == "paper") return paper_split(d);
    if (spec.starts_with("random:")) return random_split(d, spec, seed);
    throw UsageError(fmt::format(
        "split {}: unknown, expected auto, stored, paper, random:TRAIN_PER_CLASS/VAL/TEST or random:60%/20%/20%",
        printable(spec)));
}

std::vector<std::int32_t> nodes_in(const Split& split) {
    std::vector<std::int32_t> nodes;
    for (const auto* part : {&split.train, &split.val, &split.test})
        nodes.insert(nodes.end(), part->begin(), part->end());
    return nodes;
}

std::vector<Index> class_counts(std::span<const std::int32_t> labels, Index classes) {
    std::vector<Index> counts(static_cast<std::size_t>(classes));
    for (const std::int32_t label : labels) ++counts[static_cast<std::size_t>(label)];
    return counts;
}

std::vector<double> balanced_weights(const std::vector<Index>& counts) {
    const auto nodes = static_cast<double>(std::accumulate(counts.begin(), counts.end(), Index{0}));
    const auto present =
        static_cast<double>(std::count_if(counts.begin(), counts.end(), [](Index n) { return n > 0; }));
    std::vector<double> weights(counts.size(), 1.0);
    for (std::size_t c = 0; c < counts.size(); ++c)
        if (counts[c] > 0) weights[c] = nodes / (present * static_cast<double>(counts[c]));
    return weights;
}

std::string described(const Split& split) {
    return fmt::format("{}{}: {} train, {} val, {} test", split.name,
                       split.reason.empty() ? "" : fmt::format(" ({})", split.reason), split.train.size(),
                       split.val.size(), split.test.size());
}

std::vector<std::string> split_warnings(const Dataset& d, const Split& split) {
    std::vector<std::string> warnings;
    std::vector<bool> trained(d.classes, false);
    for (const std::int32_t node : split.train) {
        if (!d.multi_label()) trained[d.labels[node]] = true;
        for (Index c = 0; d.multi_label() && c < d.classes; ++c)
            if (d.targets[node * d.classes + c] != 0) trained[c] = true;
    }
    std::vector<std::int64_t> missing;
    for (Index c = 0; c < d.classes; ++c)
        if (!trained[c]) missing.push_back(class_id(d.class_ids, c));
    const std::size_t count = missing.size();
    if (count > 0) {
        missing.resize(std::min<std::size_t>(count, 10));
        warnings.push_back(fmt::format(
            "{}: no training node of {} {}{}: {} cannot be learned{}", d.name, count == 1 ? "class" : "classes",
            fmt::join(missing, ", "), count > missing.size() ? fmt::format(" and {} more", count - missing.size()) : "",
            count == 1 ? "it" : "they",
            count == 1 && !d.multi_label() ? fmt::format("; if {0} means unlabelled, add --unlabelled {0}", missing[0])
                                           : ""));
    }
    if (split.val.empty())
        warnings.push_back(
            fmt::format("{}: split {} has no validation nodes: no model can be selected by them", d.name, split.name));
    if (split.test.empty()) warnings.push_back(fmt::format("{}: split {} has no test nodes", d.name, split.name));
    return warnings;
}

}  // namespace pdadmm
