// Confusion matrices as CSV, of a run's folder and of pdadmm evaluate.
#pragma once

#include <string>
#include <vector>

#include "host/train/evaluation.hpp"
#include "host/train/metric.hpp"
#include "pdadmm/dataset.hpp"

namespace pdadmm {

struct SetConfusion {
    std::string name;  // "train", "val", "test", or "all"
    Confusion confusion;
};

/// "set,class,CLASS,CLASS,...": a row for every set and class, with the numbers of its nodes that were predicted as
/// each class. Classes go by `names`.
std::string confusion_csv(const std::vector<SetConfusion>& sets, const Names& names);

/// Those of a model on the train, val and test nodes that a run keeps.
std::vector<SetConfusion> confusions_of(Backend& backend, const Model& model, const AugmentedNodes& nodes);

}  // namespace pdadmm
