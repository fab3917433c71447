// Figures of predictions (host/train/metric.hpp).
#include "host/train/metric.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "pdadmm/elementary.hpp"

namespace pdadmm {
namespace {

const real* column(Index classes, std::span<const real> logits, std::size_t node) {
    return logits.data() + node * static_cast<std::size_t>(classes);
}

/// Of one class against the rest: a number that rises with the class's probability, of every node. The logarithm of the
/// probability, in a form that keeps probabilities near 1 apart; of two classes the difference of logits.
std::vector<double> scores_of(Index c, Index classes, std::span<const real> logits, std::size_t nodes) {
    std::vector<double> scores(nodes);
    for (std::size_t i = 0; i < nodes; ++i) {
        const real* z = column(classes, logits, i);
        if (classes == 2) {
            scores[i] = static_cast<double>(z[c]) - static_cast<double>(z[1 - c]);
            continue;
        }
        const Index best = std::max_element(z, z + classes) - z;
        const auto most = static_cast<double>(z[best]);
        double others = 0;
        for (Index j = 0; j < classes; ++j)
            if (j != best) others += exp_of(static_cast<double>(z[j]) - most);
        scores[i] = (static_cast<double>(z[c]) - most) - log1p_of(others);
    }
    return scores;
}

/// Nodes of one score: how many are of the class, and how many are not.
struct Step {
    Index within = 0, without = 0;
};

/// From the lowest score to the highest. NaN, which no sound model has, is the lowest.
template <typename Within>
std::vector<Step> steps_of(std::vector<double> scores, Within&& within) {
    for (double& score : scores)
        if (std::isnan(score)) score = -HUGE_VAL;
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
    std::vector<Step> steps;
    for (std::size_t k = 0; k < order.size(); ++k) {
        if (k == 0 || scores[order[k]] != scores[order[k - 1]]) steps.emplace_back();
        ++(within(order[k]) ? steps.back().within : steps.back().without);
    }
    return steps;
}

double auc_of(const std::vector<Step>& steps) {
    Index within = 0, without = 0, doubled = 0;  // pairs in the right order, and of ties a half, both twice
    for (const Step& s : steps) {
        doubled += s.within * (2 * without + s.without);
        within += s.within;
        without += s.without;
    }
    return static_cast<double>(doubled) / (2 * static_cast<double>(within) * static_cast<double>(without));
}

double precision_of(const std::vector<Step>& steps) {
    Index all = 0, found = 0, taken = 0;
    for (const Step& s : steps) all += s.within;
    double sum = 0;
    for (auto s = steps.rbegin(); s != steps.rend(); ++s) {
        found += s->within;
        taken += s->within + s->without;
        sum += static_cast<double>(s->within) * static_cast<double>(found) / static_cast<double>(taken);
    }
    return sum / static_cast<double>(all);
}

/// Mean of figure(c) over c from `first` to classes - 1; NaN is left out.
template <typename Figure>
double mean_over(Index first, Index classes, Figure&& figure) {
    double sum = 0;
    Index counted = 0;
    for (Index c = first; c < classes; ++c) {
        const double value = figure(c);
        if (std::isnan(value)) continue;
        sum += value;
        ++counted;
    }
    return counted > 0 ? sum / static_cast<double>(counted) : NAN;
}

/// Of what `of` makes of the classes' steps. Of two classes only that of class 1.
template <typename Of>
double mean_over_classes(Index classes, std::span<const real> logits, std::span<const std::int32_t> labels, Of&& of) {
    return mean_over(classes == 2 ? 1 : 0, classes, [&](Index c) {
        return of(
            steps_of(scores_of(c, classes, logits, labels.size()), [&](std::size_t i) { return labels[i] == c; }));
    });
}

/// The same of labels, each by its own logit.
template <typename Of>
double mean_over_labels(Index classes, std::span<const real> logits, std::span<const std::uint8_t> targets, Of&& of) {
    const auto width = static_cast<std::size_t>(classes);
    return mean_over(0, classes, [&](Index c) {
        std::vector<double> scores(targets.size() / width);
        for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = static_cast<double>(column(classes, logits, i)[c]);
        return of(steps_of(std::move(scores),
                           [&](std::size_t i) { return targets[i * width + static_cast<std::size_t>(c)] != 0; }));
    });
}

/// Of one label, or of all: times it was given to a node that has it, times it was given, and nodes that have it.
struct Hits {
    Index hits = 0, given = 0, had = 0;
    double f1() const { return 2 * static_cast<double>(hits) / static_cast<double>(given + had); }
};

double f1_of_labels(Metric metric, Index classes, std::span<const real> logits, std::span<const std::uint8_t> targets) {
    std::vector<Hits> of_label(static_cast<std::size_t>(classes));
    Hits all;
    for (std::size_t i = 0; i < targets.size(); ++i) {
        const bool given = logits[i] > 0, had = targets[i] != 0;
        for (Hits* h : {&of_label[i % of_label.size()], &all}) {
            h->hits += given && had ? 1 : 0;
            h->given += given ? 1 : 0;
            h->had += had ? 1 : 0;
        }
    }
    if (metric == Metric::micro_f1) return all.f1();
    if (metric == Metric::macro_f1)
        return mean_over(0, classes, [&](Index c) { return of_label[static_cast<std::size_t>(c)].f1(); });
    double sum = 0;
    for (const Hits& h : of_label) sum += h.had > 0 ? static_cast<double>(h.had) * h.f1() : 0;
    return sum / static_cast<double>(all.had);
}

}  // namespace

const char* name_of(Metric metric) {
    constexpr std::array names{"accuracy",          "macro-f1", "weighted-f1", "roc-auc",
                               "average-precision", "micro-f1", "auto"};
    return names[static_cast<std::size_t>(metric)];
}

void Confusion::add(std::span<const real> logits, std::span<const std::int32_t> labels) {
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const real* z = column(classes_, logits, i);
        ++counts_[static_cast<std::size_t>(labels[i] * classes_ + (std::max_element(z, z + classes_) - z))];
    }
}

Index Confusion::nodes() const { return std::accumulate(counts_.begin(), counts_.end(), Index{0}); }

Index Confusion::correct() const {
    Index sum = 0;
    for (Index c = 0; c < classes_; ++c) sum += at(c, c);
    return sum;
}

double Confusion::accuracy() const { return static_cast<double>(correct()) / static_cast<double>(nodes()); }

template <typename Weight>
double Confusion::mean_f1(Weight&& weight) const {
    double sum = 0, weights = 0;
    for (Index c = 0; c < classes_; ++c) {
        Index labelled = 0, predicted = 0;
        for (Index other = 0; other < classes_; ++other) {
            labelled += at(c, other);
            predicted += at(other, c);
        }
        if (labelled + predicted == 0) continue;
        const double w = weight(labelled);
        sum += w * (2 * static_cast<double>(at(c, c)) / static_cast<double>(labelled + predicted));
        weights += w;
    }
    return sum / weights;
}

double Confusion::macro_f1() const {
    return mean_f1([](Index) { return 1.0; });
}

double Confusion::weighted_f1() const {
    return mean_f1([](Index labelled) { return static_cast<double>(labelled); });
}

double roc_auc(Index classes, std::span<const real> logits, std::span<const std::int32_t> labels) {
    return mean_over_classes(classes, logits, labels, auc_of);
}

double average_precision(Index classes, std::span<const real> logits, std::span<const std::int32_t> labels) {
    return mean_over_classes(classes, logits, labels, precision_of);
}

double measure(Metric metric, Index classes, std::span<const real> logits, std::span<const std::int32_t> labels) {
    if (metric == Metric::roc_auc) return roc_auc(classes, logits, labels);
    if (metric == Metric::average_precision) return average_precision(classes, logits, labels);
    Confusion confusion(classes);
    confusion.add(logits, labels);
    return metric == Metric::macro_f1      ? confusion.macro_f1()
           : metric == Metric::weighted_f1 ? confusion.weighted_f1()
                                           : confusion.accuracy();  // and micro-f1, which is the same of classes
}

double measure(Metric metric, Index classes, std::span<const real> logits, std::span<const std::uint8_t> targets) {
    if (metric == Metric::roc_auc) return mean_over_labels(classes, logits, targets, auc_of);
    if (metric == Metric::average_precision) return mean_over_labels(classes, logits, targets, precision_of);
    if (metric != Metric::accuracy) return f1_of_labels(metric, classes, logits, targets);
    const auto width = static_cast<std::size_t>(classes);
    Index right = 0;
    for (std::size_t first = 0; first < targets.size(); first += width) {
        bool all = true;
        for (std::size_t i = first; i < first + width; ++i) all = all && (logits[i] > 0) == (targets[i] != 0);
        right += all ? 1 : 0;
    }
    return static_cast<double>(right) / static_cast<double>(targets.size() / width);
}

}  // namespace pdadmm
