// heading, comments, "rows columns entries", then an entry a line (host/format/matrix_market.hpp)
#include "host/format/matrix_market.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

/// The next word of a line in lower case; "" at its end.
std::string word(std::string_view& line) {
    const std::size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
    const std::size_t end = std::min(line.find_first_of(" \t", begin), line.size());
    std::string found = lower(line.substr(begin, end - begin));
    line.remove_prefix(end);
    return found;
}

template <typename T>
T number(std::string_view& line, const TextFile& file, const char* wanted) {
    const std::string text = word(line);
    T value{};
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || stop != text.data() + text.size())
        file.fail(fmt::format("'{}', expected {}", printable(text, 40), wanted));
    return value;
}

struct Heading {
    bool pattern = false, symmetric = false;
};

Heading read_heading(TextFile& file) {
    std::string_view line;
    if (!file.next(line) || word(line) != "%%matrixmarket")
        throw DataError(file.name() + ": does not begin with %%MatrixMarket, expected a Matrix Market file");
    const std::string object = word(line), form = word(line), field = word(line), symmetry = word(line);
    const auto refuse = [&](const std::string& found, const char* expected) {
        file.fail(fmt::format("'{}', expected {}", printable(found, 40), expected));
    };
    if (object != "matrix") refuse(object, "matrix");
    if (form != "coordinate") refuse(form, "coordinate: a sparse matrix");
    if (field != "real" && field != "integer" && field != "double" && field != "pattern")
        refuse(field, "real, integer or pattern; save real numbers");
    if (symmetry != "general" && symmetry != "symmetric") refuse(symmetry, "general or symmetric");
    return {field == "pattern", symmetry == "symmetric"};
}

/// The next line that is neither empty nor a comment.
bool next_content(TextFile& file, std::string_view& line) {
    while (file.next(line)) {
        const std::size_t first = line.find_first_not_of(" \t");
        if (first != std::string_view::npos && line[first] != '%') return true;
    }
    return false;
}

}  // namespace

MatrixMarket read_matrix_market(TextFile& file, std::uint64_t max_bytes) {
    const Heading heading = read_heading(file);
    std::string_view line;
    if (!next_content(file, line)) throw DataError(file.name() + ": ends before its sizes, expected entries");
    MatrixMarket m;
    m.pattern = heading.pattern;
    m.rows = number<Index>(line, file, "the number of rows");
    m.cols = number<Index>(line, file, "the number of columns");
    const Index entries = number<Index>(line, file, "the number of entries");
    for (const Index size : {m.rows, m.cols})
        if (size < 1 || size > INT32_MAX)
            file.fail(fmt::format("{} rows or columns, expected 1 to {}", size, INT32_MAX));
    if (heading.symmetric && m.rows != m.cols)
        file.fail(fmt::format("{} x {} and symmetric, expected a square matrix", m.rows, m.cols));
    Index found = 0;
    while (next_content(file, line)) {
        const Index row = number<Index>(line, file, "a row"), col = number<Index>(line, file, "a column");
        if (row < 1 || row > m.rows || col < 1 || col > m.cols)
            file.fail(
                fmt::format("entry ({}, {}), expected rows 1 to {} and columns 1 to {}", row, col, m.rows, m.cols));
        const float value = heading.pattern ? 1.0f : number<float>(line, file, "a value");
        if (!word(line).empty()) file.fail("more than an entry, expected row, column and value alone");
        if (++found > entries) file.fail(fmt::format("entry {}, expected {} as promised", found, entries));
        for (const bool mirrored : {false, true}) {
            if (mirrored && (!heading.symmetric || row == col)) continue;
            m.row.push_back(static_cast<std::int32_t>((mirrored ? col : row) - 1));
            m.col.push_back(static_cast<std::int32_t>((mirrored ? row : col) - 1));
            if (!heading.pattern) m.values.push_back(value);
        }
        if (m.row.size() * 12 > max_bytes)
            throw DataError(
                fmt::format("{}: more than {} bytes of entries, expected at most that", file.name(), max_bytes));
    }
    if (found != entries)
        throw DataError(
            fmt::format("{}: {} entries, expected {} as promised; is the file cut off?", file.name(), found, entries));
    return m;
}

}  // namespace pdadmm
