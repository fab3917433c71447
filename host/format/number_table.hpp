// A JSON object whose values are whole numbers or lists of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace pdadmm {

struct NumberTable {
    struct Row {
        std::string key;
        std::size_t first = 0, count = 0;  // its numbers; one where it is no list
        bool list = false;
    };
    std::string name;       // for messages
    std::vector<Row> rows;  // in the file's order; keys may come twice
    std::vector<std::int32_t> numbers;

    std::span<const std::int32_t> of(const Row& row) const { return std::span(numbers).subspan(row.first, row.count); }
};

/// Parses without a tree in memory: four bytes a number and a key a row. Floats that are whole pass. Throws DataError
/// with the byte: no JSON, no object, another value than a number of 32 bits or a list of such, a list within a list.
NumberTable parse_number_table(std::span<const std::byte> json, const std::string& name);
/// The same of a file of at most `max_bytes` bytes.
NumberTable read_number_table(const std::filesystem::path& path, std::uint64_t max_bytes);

}  // namespace pdadmm
