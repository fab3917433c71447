// Reading of names (host/data/names.hpp).
#include "host/data/names.hpp"

#include <fmt/format.h>

#include <limits>
#include <string_view>

#include "host/console/printable.hpp"
#include "host/data/class_ids.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

Names names_in(const NpyArray& a) {
    Names names;
    if (a.shape.size() == 1) {
        const std::vector<Index> numbers = a.as_index();
        names.numbers.assign(numbers.begin(), numbers.end());
        return names;
    }
    if (a.shape.size() != 2 || a.dtype != "|u1")
        throw DataError(fmt::format("{}: rank {} of {}, expected integers of rank 1 or rows of uint8", a.name,
                                    a.shape.size(), a.dtype));
    const auto width = static_cast<std::size_t>(a.shape[1]);
    const std::string_view bytes(reinterpret_cast<const char*>(a.bytes.data()), a.bytes.size());
    for (std::size_t i = 0; i < static_cast<std::size_t>(a.shape[0]); ++i) {
        const std::string_view row = bytes.substr(i * width, width);
        const std::string& text = names.texts.emplace_back(row.substr(0, row.find('\0')));
        if (printable(text, std::numeric_limits<std::size_t>::max()) != text)
            throw DataError(
                fmt::format("{}: {} in row {}, expected UTF-8 without control characters", a.name, printable(text), i));
    }
    return names;
}

void name_nodes(const NpyArray& array, Dataset& d) {
    d.node_ids = names_in(array);
    if (const auto ids = static_cast<Index>(d.node_ids.size()); ids != d.nodes)
        throw DataError(fmt::format("{}: {} names, expected {}, one a node", array.name, ids, d.nodes));
}

void name_classes(const NpyArray& array, Dataset& d) {
    d.class_names = names_in(array);
    const auto names = static_cast<Index>(d.class_names.size());
    if (d.classes == 0) return;
    // Classes that no node has leave gaps between the others' numbers, which their names close.
    const Index needed = class_id(d.class_ids, d.classes - 1) + 1;
    if (names < needed || (d.multi_label() && names > needed))
        throw DataError(fmt::format("{}: {} names, expected {}, one a class", array.name, names, needed));
    if (d.multi_label()) return;
    for (std::int32_t& label : d.labels)
        if (label >= 0) label = static_cast<std::int32_t>(class_id(d.class_ids, label));
    d.class_ids.clear();
    d.classes = names;
}

}  // namespace pdadmm
