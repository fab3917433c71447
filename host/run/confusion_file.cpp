// Confusion matrices as CSV (host/run/confusion_file.hpp).
#include "host/run/confusion_file.hpp"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <span>

#include "host/format/csv.hpp"

namespace pdadmm {

std::string confusion_csv(const std::vector<SetConfusion>& sets, const Names& names) {
    std::string text = "set,class";
    const Index classes = sets.empty() ? 0 : sets.front().confusion.classes();
    const auto out = std::back_inserter(text);
    for (Index c = 0; c < classes; ++c) fmt::format_to(out, ",{}", csv_cell(names.of(c)));
    text += '\n';
    for (const SetConfusion& set : sets)
        for (Index label = 0; label < classes; ++label) {
            fmt::format_to(out, "{},{}", set.name, csv_cell(names.of(label)));
            for (Index c = 0; c < classes; ++c) fmt::format_to(out, ",{}", set.confusion.at(label, c));
            text += '\n';
        }
    return text;
}

std::vector<SetConfusion> confusions_of(Backend& backend, const Model& model, const AugmentedNodes& nodes) {
    const ForwardPass forward(backend, model, model.shape.layers);
    const std::span<const real> X = nodes.values();
    const std::span<const std::int32_t> labels(nodes.labels);
    constexpr std::array names{"train", "val", "test"};
    std::vector<SetConfusion> sets;
    std::size_t first = 0;
    for (std::size_t set = 0; set < 3; ++set) {
        const auto count = static_cast<std::size_t>(nodes.counts[set]), inputs = static_cast<std::size_t>(nodes.inputs);
        sets.push_back({names[set], Confusion(nodes.classes)});
        sets.back().confusion.add(forward(X.subspan(first * inputs, count * inputs)), labels.subspan(first, count));
        first += count;
    }
    return sets;
}

}  // namespace pdadmm
