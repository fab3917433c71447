// pdadmm predict: classes, probabilities or activations of nodes by a saved model, written block by block.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <numeric>
#include <optional>
#include <span>

#include "host/cli/commands.hpp"
#include "host/cli/model_session.hpp"
#include "host/cli/parse.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/format/csv.hpp"
#include "host/format/file.hpp"
#include "host/format/npy.hpp"
#include "host/run/inference.hpp"
#include "pdadmm/error.hpp"
#include "pdadmm/sigmoid.hpp"

namespace pdadmm {
namespace {

struct PredictOptions : ModelOptions {
    std::string nodes = "all", out;
    bool probabilities = false;
    int top = 1, layer = 0;

    bool npy() const { return out.ends_with(".npy"); }
};

Options predict_options(PredictOptions& o) {
    const Options own{
        {"--nodes", &o.nodes, "which nodes", {.choices = {"all", "train", "val", "test"}}},
        {"--out,-o", &o.out, "FILE.csv or FILE.npy, a row a node; default: CSV on stdout", {.named = true}},
        {"--probabilities", &o.probabilities, "CSV: with the probability of each class; .npy: probabilities alone"},
        {"--top", &o.top, "so many classes of each node, the likeliest first", {.range = Range{1, 1e6}}},
        {"--layer",
         &o.layer,
         ".npy: what this layer makes of a node, f(W p + b), in place of its class; of the last layer the logits; 0: "
         "off",
         {.range = from_zero}}};
    return joined({model_options(o), own});
}

void refuse_contradictions(const PredictOptions& o) {
    if (!o.out.empty() && !o.npy() && !o.out.ends_with(".csv"))
        throw UsageError(fmt::format("--out: {}, expected a name ending in .csv or .npy", printable(o.out)));
    if (o.layer > 0 && !o.npy())
        throw UsageError("--layer: without --out FILE.npy, expected it; numbers of a layer are written as .npy only");
    if (o.layer > 0 && (o.probabilities || o.top > 1))
        throw UsageError("--layer: with --probabilities or --top, expected one of them; they are of the classes");
    if (o.npy() && o.probabilities && o.top > 1)
        throw UsageError("--top: with --probabilities in a .npy file, expected FILE.csv; or leave one of them out");
}

std::vector<std::int32_t> wanted_nodes(const PredictOptions& o, const ModelSession& s) {
    if (o.nodes == "all") {
        std::vector<std::int32_t> all(static_cast<std::size_t>(s.dataset.nodes));
        std::iota(all.begin(), all.end(), 0);
        return all;
    }
    const Split split = split_of(o, s);
    return o.nodes == "train"         ? split.train
           : o.nodes == "val"         ? split.val
           : split.every_test.empty() ? split.test
                                      : split.every_test;
}

/// The `top` largest of a node's logits, of equal ones the lower class first.
std::vector<Index> likeliest(const real* z, Index classes, Index top) {
    std::vector<Index> order(static_cast<std::size_t>(classes));
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + top, order.end(),
                      [z](Index a, Index b) { return z[a] != z[b] ? z[a] > z[b] : a < b; });
    order.resize(static_cast<std::size_t>(top));
    return order;
}

/// A node gets all its labels, and not its likeliest ones.
bool gives_labels(const PredictOptions& o, const ModelSession& s) { return s.saved.multi_label && o.top == 1; }

/// Of classes, of which a node has one, or of labels, each by itself.
std::vector<double> probabilities(const ModelSession& s, const real* z) {
    const Index classes = s.classes();
    if (s.saved.multi_label) {
        std::vector<double> p(z, z + classes);
        for (double& value : p) value = label_gradient(value, 0.0);
        return p;
    }
    const real most = *std::max_element(z, z + classes);
    std::vector<double> p;
    double sum = 0;
    for (Index c = 0; c < classes; ++c) sum += p.emplace_back(std::exp(static_cast<double>(z[c] - most)));
    for (double& value : p) value /= sum;
    return p;
}

/// Where rows go: stdout, or a file that appears when all are there. `head` goes before the first of them, so that a
/// graph that is refused leaves no head behind.
class Sink {
public:
    Sink(const std::string& path, std::string head) : head_(std::move(head)) {
        if (!path.empty()) file_ = std::make_unique<AtomicFile>(path);
    }
    void put(std::string_view text) {
        put_head();
        put_text(text);
    }
    template <typename T>
    void put(const std::vector<T>& values) {
        put_head();
        file_->write(std::as_bytes(std::span(values)));
    }
    void commit() {
        put_head();
        if (file_) file_->commit();
    }

private:
    void put_head() { put_text(std::exchange(head_, {})); }
    void put_text(std::string_view text) { file_ ? file_->write(std::as_bytes(std::span(text))) : put_result(text); }

    std::string head_;
    std::unique_ptr<AtomicFile> file_;
};

/// The names of the labels that a node is given, in order: "3;17;40".
std::string labels_given(const ModelSession& s, const real* z) {
    std::vector<std::string> given;
    for (Index c = 0; c < s.classes(); ++c)
        if (z[c] > 0) given.push_back(s.names.of(c));
    return fmt::format("{}", fmt::join(given, ";"));
}

/// "node,class,p0,p1,p2", or with --top 2 "node,class1,p1,class2,p2"; of several labels a node "node,labels,p0,p1,p2".
std::string csv_head(const PredictOptions& o, const ModelSession& s) {
    std::vector<std::string> columns{"node"};
    if (o.top == 1) columns.emplace_back(s.saved.multi_label ? "labels" : "class");
    for (int k = 1; o.top > 1 && k <= o.top; ++k) {
        columns.push_back(fmt::format("class{}", k));
        if (o.probabilities) columns.push_back(fmt::format("p{}", k));
    }
    const Names& names = s.names;
    for (Index c = 0; o.top == 1 && o.probabilities && c < s.classes(); ++c)
        columns.push_back(csv_cell(fmt::format("{}{}", names.texts.empty() ? "p" : "p_", names.of(c))));
    return fmt::format("{}\n", fmt::join(columns, ","));
}

std::string csv_rows(const PredictOptions& o, const ModelSession& s, std::span<const std::int32_t> nodes,
                     const std::vector<real>& logits) {
    const Index classes = s.classes();
    std::string text;
    const auto out = std::back_inserter(text);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const real* z = logits.data() + static_cast<Index>(i) * classes;
        const std::vector<double> p = o.probabilities ? probabilities(s, z) : std::vector<double>();
        text += csv_cell(s.dataset.node_ids.of(nodes[i]));
        if (gives_labels(o, s))
            fmt::format_to(out, ",{}", csv_cell(labels_given(s, z)));
        else
            for (const Index c : likeliest(z, classes, o.top)) {
                fmt::format_to(out, ",{}", csv_cell(s.names.of(c)));
                if (o.probabilities && o.top > 1) fmt::format_to(out, ",{:.6g}", p[static_cast<std::size_t>(c)]);
            }
        for (std::size_t c = 0; o.top == 1 && c < p.size(); ++c) fmt::format_to(out, ",{:.6g}", p[c]);
        text += '\n';
    }
    return text;
}

/// Rows of a .npy file: activations or probabilities as real numbers.
std::vector<real> real_rows(const PredictOptions& o, const ModelSession& s, const std::vector<real>& values) {
    if (o.layer > 0) return values;
    std::vector<real> rows;
    rows.reserve(values.size());
    for (std::size_t at = 0; at < values.size(); at += static_cast<std::size_t>(s.classes()))
        for (const double p : probabilities(s, values.data() + at)) rows.push_back(static_cast<real>(p));
    return rows;
}

/// Rows of a .npy file: classes, by the user's numbers where those are numbers; of several labels a node, 0 or 1 for
/// each label.
std::vector<std::int64_t> class_rows(const PredictOptions& o, const ModelSession& s, const std::vector<real>& logits) {
    const std::vector<std::int64_t>& numbers = s.names.numbers;
    std::vector<std::int64_t> rows;
    if (gives_labels(o, s)) {
        for (const real z : logits) rows.push_back(z > 0 ? 1 : 0);
        return rows;
    }
    for (std::size_t at = 0; at < logits.size(); at += static_cast<std::size_t>(s.classes()))
        for (const Index c : likeliest(logits.data() + at, s.classes(), o.top))
            rows.push_back(numbers.empty() ? c : numbers[static_cast<std::size_t>(c)]);
    return rows;
}

}  // namespace

int predict_command(const std::vector<std::string>& arguments) {
    PredictOptions o;
    const Command line{
        "pdadmm predict",
        "Classes or labels of nodes by a saved model, on any graph with the same features, labelled or not",
        "pdadmm predict --model runs/cora/seed-0 --dataset new.npz --out classes.csv"};
    const std::optional<Given> given = parse_options(line, predict_options(o), arguments);
    if (!given) return 0;
    refuse_contradictions(o);
    const ModelSession s = open_session(o);
    if (o.layer > s.layers())
        throw UsageError(fmt::format("--layer: {}, expected at most {}, the model's layers", o.layer, s.layers()));
    if (o.top > s.classes())
        throw UsageError(fmt::format("--top: {}, expected at most {}, the model's classes", o.top, s.classes()));
    const std::vector<std::int32_t> nodes = wanted_nodes(o, s);
    const int layer = o.layer > 0 ? o.layer : s.layers();
    const bool real_numbers = o.layer > 0 || o.probabilities;
    const Index columns = real_numbers ? s.saved.model.shape.rows(layer) : gives_labels(o, s) ? s.classes() : o.top;
    Sink sink(o.out, o.npy() ? npy_prefix(!real_numbers       ? "<i8"
                                          : sizeof(real) == 4 ? "<f4"
                                                              : "<f8",
                                          {static_cast<Index>(nodes.size()), columns})
                             : csv_head(o, s));
    each_block(*s.backend, s.saved, s.dataset, nodes, layer,
               [&](std::span<const std::int32_t> block, const std::vector<real>& values) {
                   if (!o.npy())
                       sink.put(csv_rows(o, s, block, values));
                   else if (real_numbers)
                       sink.put(real_rows(o, s, values));
                   else
                       sink.put(class_rows(o, s, values));
               });
    sink.commit();
    return 0;
}

}  // namespace pdadmm
