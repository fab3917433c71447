// Any bytes as a table of numbers, as a Matrix Market matrix, as GraphSAINT's JSON and as a file of another kind:
// DataError with one line, or an array whose bytes fit its shape, entries that lie in the matrix, rows that lie side by
// side. The first byte says which.
#include <cstring>

#include "host/format/csv.hpp"
#include "host/format/file_kind.hpp"
#include "host/format/matrix_market.hpp"
#include "host/format/number_table.hpp"
#include "pdadmm/error.hpp"
#include "tests/files/fuzz/require.hpp"

using namespace pdadmm;

namespace {

constexpr std::uint64_t budget = 1 << 20;

void read_table(TextFile file, CsvNumbers numbers) {
    const NpyArray array = read_csv(file, numbers, budget);
    const std::size_t item = numbers == CsvNumbers::single ? 4 : 8;
    PDADMM_FUZZ_REQUIRE(array.bytes.size() == static_cast<std::size_t>(array.size()) * item && array.shape[0] > 0);
    PDADMM_FUZZ_REQUIRE(array.bytes.size() <= budget);
    if (numbers == CsvNumbers::whole) array.as_index();
}

void read_matrix(TextFile file) {
    const MatrixMarket m = read_matrix_market(file, budget);
    PDADMM_FUZZ_REQUIRE(m.row.size() == m.col.size() && m.values.size() == (m.pattern ? 0 : m.row.size()));
    for (std::size_t k = 0; k < m.row.size(); ++k)
        PDADMM_FUZZ_REQUIRE(m.row[k] >= 0 && m.row[k] < m.rows && m.col[k] >= 0 && m.col[k] < m.cols);
}

void read_rows(std::span<const std::byte> json) {
    const NumberTable table = parse_number_table(json, "fuzz.json");
    std::size_t at = 0;
    for (const NumberTable::Row& row : table.rows) {
        PDADMM_FUZZ_REQUIRE(row.first == at && (row.list || row.count == 1));
        at += row.count;
    }
    PDADMM_FUZZ_REQUIRE(at == table.numbers.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::span bytes(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
    foreign_kind(bytes);
    try {
        if (data[0] % 8 == 4) {
            read_rows(bytes);
            return 0;
        }
        TextFile file = TextFile::from_memory(bytes, "fuzz.txt");
        switch (data[0] % 8) {
            case 0:
                read_matrix(std::move(file));
                break;
            case 1:
                read_table(std::move(file), CsvNumbers::whole);
                break;
            case 2:
                read_table(std::move(file), CsvNumbers::single);
                break;
            default:
                read_table(std::move(file), CsvNumbers::wide);
        }
    } catch (const DataError& error) {
        PDADMM_FUZZ_REQUIRE(std::strchr(error.what(), '\n') == nullptr);
    }
    return 0;
}
