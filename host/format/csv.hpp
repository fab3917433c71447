// Tables of numbers, a row a line, separated by commas.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/format/npy.hpp"
#include "host/format/text_file.hpp"

namespace pdadmm {

enum class CsvNumbers { whole, single, wide };  // as <i8, <f4 or <f8

/// The table as an array (rows, columns) of at most `max_bytes` bytes. Spaces around numbers and empty lines at the end
/// are accepted; in single and wide tables an empty field or `nan` is NaN. Throws DataError with the line: something
/// else than a number (a heading, quotes), a row with another number of fields than the first, and no row at all.
NpyArray read_csv(TextFile& file, CsvNumbers numbers, std::uint64_t max_bytes);

/// The rows of a table of whole numbers, a few at a time, by the same rules. The file must outlive it.
class CsvRows {
public:
    explicit CsvRows(TextFile& file);
    Index fields() const { return fields_; }
    /// Values of the next rows, `most` at most; none behind the last.
    std::vector<std::int64_t> next(Index most);

private:
    TextFile& file_;
    Index fields_ = 0;
    std::vector<std::int64_t> first_;
};

/// A cell of a CSV file (RFC 4180).
std::string csv_cell(const std::string& text);

}  // namespace pdadmm
