// Any bytes as an .npz archive: DataError, or arrays that together stay within the budget, and a graph or DataError.
// (Under the fuzzer CRCs are not compared, so that it gets past them; in a replay they are.)
#include <cstring>

#include "host/data/bundle.hpp"
#include "host/format/npz.hpp"
#include "pdadmm/error.hpp"
#include "tests/files/fuzz/require.hpp"

using namespace pdadmm;

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
