// Figures of predictions that papers report, for one class a node and for several labels. All are sums of counts, or
// sums in a fixed order: the same for any number of ranks and threads.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "pdadmm/training.hpp"

namespace pdadmm {

/// Those of one class a node, and of several labels.
inline constexpr std::array all_metrics{Metric::accuracy, Metric::macro_f1, Metric::weighted_f1, Metric::roc_auc,
                                        Metric::average_precision};
inline constexpr std::array label_metrics{Metric::accuracy,    Metric::micro_f1, Metric::macro_f1,
                                          Metric::weighted_f1, Metric::roc_auc,  Metric::average_precision};
/// "macro-f1", as an option's value.
const char* name_of(Metric metric);

/// How many nodes of each class were taken for which: (true class, predicted class).
class Confusion {
public:
    explicit Confusion(Index classes) : classes_(classes), counts_(static_cast<std::size_t>(classes * classes)) {}

    /// Nodes by the largest of their logits (classes x nodes, column-major), of equal ones the lower class.
    void add(std::span<const real> logits, std::span<const std::int32_t> labels);
    Index at(Index label, Index predicted) const {
        return counts_[static_cast<std::size_t>(label * classes_ + predicted)];
    }
    Index classes() const { return classes_; }
    Index nodes() const;
    Index correct() const;
    /// Share of correct nodes; NaN without nodes, as are the following.
    double accuracy() const;
    /// 2 TP / (2 TP + FP + FN) of each class: their mean over classes that are somebody's label or prediction, or that
    /// weighted by the numbers of labels.
    double macro_f1() const;
    double weighted_f1() const;

private:
    template <typename Weight>
    double mean_f1(Weight&& weight) const;

    Index classes_;
    std::vector<Index> counts_;
};

/// Area under the ROC curve by counts of pairs, ties being half a pair. With two classes that of class 1; with more the
/// mean over classes, each against the rest, of those with nodes within and without; NaN where there is none.
double roc_auc(Index classes, std::span<const real> logits, std::span<const std::int32_t> labels);

/// Sum over distinct scores, from the highest, of recall gained times precision there. With two classes that of class
/// 1; with more the mean over classes that have nodes; NaN where there is none.
double average_precision(Index classes, std::span<const real> logits, std::span<const std::int32_t> labels);

/// Any of them.
double measure(Metric metric, Index classes, std::span<const real> logits, std::span<const std::int32_t> labels);

/// The same of nodes with several labels: `targets` (classes x nodes, column-major, 0 or 1). A node is given the labels
/// whose logit is above 0, that is whose probability is above a half.
///   accuracy           share of nodes that are given all their labels and no others
///   micro-f1           2 TP / (2 TP + FP + FN) over all nodes and labels
///   macro-f1           its mean over labels that some node has or is given; weighted-f1 weights it by nodes that have
///                      the label
///   roc-auc, average-precision   means over labels that some nodes have and some have not, or that some nodes have
/// NaN where there is nothing to count.
double measure(Metric metric, Index classes, std::span<const real> logits, std::span<const std::uint8_t> targets);

}  // namespace pdadmm
