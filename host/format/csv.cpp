// Fields by from_chars, which knows no locale (host/format/csv.hpp).
#include "host/format/csv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

std::string_view trimmed(std::string_view field) {
    while (!field.empty() && (field.front() == ' ' || field.front() == '\t')) field.remove_prefix(1);
    while (!field.empty() && (field.back() == ' ' || field.back() == '\t')) field.remove_suffix(1);
    return field;
}

template <typename T>
T number(std::string_view text, const TextFile& file) {
    const std::string_view field = trimmed(text);
    if constexpr (std::is_floating_point_v<T>)
        if (field.empty()) return std::numeric_limits<T>::quiet_NaN();
    T value{};
    const auto [stop, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc{} || stop != field.data() + field.size()) {
        if (error == std::errc::result_out_of_range)
            file.fail(fmt::format("'{}' is out of range, expected a number that fits", printable(field, 40)));
        file.fail(fmt::format("'{}', expected {}{}", printable(field, 40),
                              std::is_floating_point_v<T> ? "a number" : "a whole number",
                              text.find('"') != std::string_view::npos ? " without quotes" : ""));
    }
    return value;
}

/// The next row of numbers; false behind the last. `fields` is 0 before the first row, then what all rows have.
template <typename T>
bool next_row(TextFile& file, Index& fields, std::vector<T>& row) {
    std::string_view line;
    std::uint64_t empty_line = 0;
    while (file.next(line)) {
        if (trimmed(line).empty()) {
            if (empty_line == 0) empty_line = file.number();
            continue;
        }
        if (empty_line != 0)
            throw DataError(fmt::format("{}: line {}: empty, expected a row of numbers", file.name(), empty_line));
        row.clear();
        for (std::size_t begin = 0; begin <= line.size();) {
            const std::size_t end = std::min(line.find(',', begin), line.size());
            row.push_back(number<T>(line.substr(begin, end - begin), file));
            begin = end + 1;
        }
        if (fields == 0) fields = static_cast<Index>(row.size());
        if (static_cast<Index>(row.size()) != fields)
            file.fail(fmt::format("{} fields, expected {} as in line 1", row.size(), fields));
        return true;
    }
    return false;
}

[[noreturn]] void refuse_empty(const TextFile& file) { throw DataError(file.name() + ": no row, expected numbers"); }

template <typename T>
NpyArray table(TextFile& file, const char* dtype, std::uint64_t max_bytes) {
    NpyArray array{file.name(), dtype, {0, 0}, {}};
    std::vector<T> row;
    while (next_row(file, array.shape[1], row)) {
        ++array.shape[0];
        const std::size_t old = array.bytes.size();
        if (old + row.size() * sizeof(T) > max_bytes)
            throw DataError(
                fmt::format("{}: more than {} bytes of numbers, expected at most that", file.name(), max_bytes));
        array.bytes.resize(old + row.size() * sizeof(T));
        std::memcpy(array.bytes.data() + old, row.data(), row.size() * sizeof(T));
    }
    if (array.shape[0] == 0) refuse_empty(file);
    return array;
}

}  // namespace

NpyArray read_csv(TextFile& file, CsvNumbers numbers, std::uint64_t max_bytes) {
    switch (numbers) {
        case CsvNumbers::whole:
            return table<std::int64_t>(file, "<i8", max_bytes);
        case CsvNumbers::single:
            return table<float>(file, "<f4", max_bytes);
        default:
            return table<double>(file, "<f8", max_bytes);
    }
}

CsvRows::CsvRows(TextFile& file) : file_(file) {
    if (!next_row(file_, fields_, first_)) refuse_empty(file);
}

std::vector<std::int64_t> CsvRows::next(Index most) {
    std::vector<std::int64_t> values = std::exchange(first_, {}), row;
    for (Index rows = values.empty() ? 0 : 1; rows < most && next_row(file_, fields_, row); ++rows)
        values.insert(values.end(), row.begin(), row.end());
    return values;
}

std::string csv_cell(const std::string& text) {
    if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
}

}  // namespace pdadmm
