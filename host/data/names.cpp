// Reading of names (host/data/names.hpp).
#include "host/data/names.hpp"

#include <fmt/format.h>

#include <limits>
#include <string_view>

#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

Names read_names(const NpzFile& npz, const std::string& member) {
    Names names;
    if (!npz.has(member)) return names;
    const NpyArray a = npz.read(member);
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

void read_all_names(const NpzFile& npz, const std::string& file, Dataset& d) {
    d.node_ids = read_names(npz, "node_ids");
    if (const auto ids = static_cast<Index>(d.node_ids.size()); ids != 0 && ids != d.nodes)
        throw DataError(fmt::format("{}: node_ids: {}, expected {}, one a node", file, ids, d.nodes));
    d.class_names = read_names(npz, "class_names");
    const auto names = static_cast<Index>(d.class_names.size());
    if (names == 0 || d.classes == 0) return;
    if (names < d.classes)
        throw DataError(fmt::format("{}: class_names: {}, expected {}, one a class", file, names, d.classes));
    d.classes = names;
}

}  // namespace pdadmm
