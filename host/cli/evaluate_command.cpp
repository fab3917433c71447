// pdadmm evaluate: how well a saved model predicts the labels of a graph.
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "host/cli/commands.hpp"
#include "host/cli/model_session.hpp"
#include "host/cli/parse.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/data/split.hpp"
#include "host/run/inference.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

struct Part {
    const char* name;
    std::vector<std::int32_t> nodes;
};

/// What is measured: the parts of a split, or on another graph than the model's, where none was asked for and none is
/// stored, all labelled nodes.
std::vector<Part> parts_of(const ModelOptions& o, const ModelSession& s) {
    const Dataset& d = s.dataset;
    const bool choose = o.split.empty() && !s.own_graph();
    if (choose && d.stored_split.train.empty()) {
        std::vector<std::int32_t> labelled;
        for (Index i = 0; i < d.nodes; ++i)
            if (d.labels[static_cast<std::size_t>(i)] >= 0) labelled.push_back(static_cast<std::int32_t>(i));
        if (labelled.empty()) throw no_labels(d);
        return {{"all", labelled}};
    }
    const Split split = choose ? d.stored_split : split_of(o, s);
    return {{"train", split.train}, {"val", split.val}, {"test", split.test}};
}

}  // namespace

int evaluate_command(const std::vector<std::string>& arguments) {
    ModelOptions o;
    const Command line{"pdadmm evaluate", "Accuracy of a saved model on a labelled graph",
                       "pdadmm evaluate --model runs/cora/seed-0 --dataset cora"};
    if (!parse_options(line, model_options(o), arguments)) return 0;
    ModelSession s = open_session(o);
    take_classes_of_model(s);
    const Index classes = s.classes();
    if (classes < s.dataset.classes)
        throw DataError(fmt::format("{}: {} classes, expected at most {} as in {}", s.dataset.name, s.dataset.classes,
                                    classes, printable_path(o.model)));
    for (const auto& [name, nodes] : parts_of(o, s)) {
        Index correct = 0;
        each_block(*s.backend, s.saved, s.dataset, nodes, s.layers(),
                   [&](std::span<const std::int32_t> block, const std::vector<real>& logits) {
                       for (std::size_t i = 0; i < block.size(); ++i) {
                           const real* z = logits.data() + static_cast<Index>(i) * classes;
                           correct += std::max_element(z, z + classes) - z ==
                                      s.dataset.labels[static_cast<std::size_t>(block[i])];
                       }
                   });
        const std::string accuracy =
            nodes.empty() ? "-"
                          : fmt::format("{:.4f}", static_cast<double>(correct) / static_cast<double>(nodes.size()));
        put_result(fmt::format("{:<5}  {}  ({} of {} nodes)\n", name, accuracy, correct, nodes.size()));
    }
    return 0;
}

}  // namespace pdadmm
