// Any bytes as an .npz archive: DataError, or arrays that together stay within the budget, as wholes and as streams
// alike, and a graph or DataError. (Under the fuzzer CRCs are not compared, so that it gets past them; in a replay they
// are.)
#include <cstring>

#include "host/data/bundle.hpp"
#include "host/format/npz.hpp"
#include "pdadmm/error.hpp"
#include "tests/files/fuzz/require.hpp"

using namespace pdadmm;

namespace {

/// The array piece by piece is the array as a whole.
void require_same_stream(const NpzFile& file, const std::string& name, const NpyArray& array) {
    if (array.dtype[1] == 'S') return;
    const auto stream = file.stream(name);
    std::vector<std::byte> bytes;
    for (NpyArray piece = stream->next(1000); piece.size() > 0; piece = stream->next(1000))
        bytes.insert(bytes.end(), piece.bytes.begin(), piece.bytes.end());
    PDADMM_FUZZ_REQUIRE(stream->shape() == array.shape);
    PDADMM_FUZZ_REQUIRE(stream->column_major() ? bytes.size() == array.bytes.size() : bytes == array.bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::uint64_t budget = 1 << 20;
    try {
        const NpzFile file = NpzFile::from_memory({reinterpret_cast<const std::byte*>(data), size}, "fuzz.npz", budget);
        std::uint64_t unpacked = 0;
        for (const std::string& name : file.names()) {
            PDADMM_FUZZ_REQUIRE(file.has(name));
            try {
                const NpyArray array = file.read(name);
                unpacked += array.bytes.size();
                PDADMM_FUZZ_REQUIRE(array.bytes.size() >= static_cast<std::uint64_t>(array.size()));
                require_same_stream(file, name, array);
                if (!array.is_float()) array.as_index();
            } catch (const DataError& error) {
                PDADMM_FUZZ_REQUIRE(std::strchr(error.what(), '\n') == nullptr);
            }
        }
        PDADMM_FUZZ_REQUIRE(unpacked <= budget);
        const NpzFile again =
            NpzFile::from_memory({reinterpret_cast<const std::byte*>(data), size}, "fuzz.npz", budget);
        const Dataset d = read_graph(again, "fuzz.npz", "fuzz", {.split_index = 1, .unlabelled = 3});
        PDADMM_FUZZ_REQUIRE(d.nodes == static_cast<Index>(d.labels.size()) && d.features.count >= 1);
        PDADMM_FUZZ_REQUIRE(static_cast<Index>(d.targets.size()) == (d.multi_label() ? d.nodes * d.classes : 0));
    } catch (const DataError& error) {
        PDADMM_FUZZ_REQUIRE(std::strchr(error.what(), '\n') == nullptr);
    }
    return 0;
}
