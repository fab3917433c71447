// Any bytes as an .npy file: DataError or an array whose bytes fit its shape; both entry points agree; converters too
// throw nothing but DataError.
#include <cstring>
#include <optional>

#include "host/format/npy.hpp"
#include "pdadmm/error.hpp"
#include "tests/files/fuzz/require.hpp"

using namespace pdadmm;

namespace {

template <typename Act>
bool accepted(Act act) {
    try {
        act();
        return true;
    } catch (const DataError& error) {
        PDADMM_FUZZ_REQUIRE(std::strchr(error.what(), '\n') == nullptr);
        return false;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span file(reinterpret_cast<const std::byte*>(data), size);
    std::optional<NpyArray> array, moved;
    accepted([&] { array = parse_npy(file, "fuzz.npy"); });
    accepted([&] { moved = parse_npy(std::vector<std::byte>(file.begin(), file.end()), "fuzz.npy"); });
    PDADMM_FUZZ_REQUIRE(array.has_value() == moved.has_value());
    if (!array) return 0;
    PDADMM_FUZZ_REQUIRE(array->bytes == moved->bytes && array->shape == moved->shape && array->dtype == moved->dtype);
    const auto count = static_cast<std::size_t>(array->size());
    PDADMM_FUZZ_REQUIRE(array->bytes.size() <= size && array->bytes.size() >= count && array->shape.size() <= 2);
    accepted([&] { PDADMM_FUZZ_REQUIRE(array->as_float().size() == count); });
    accepted([&] { PDADMM_FUZZ_REQUIRE(array->as_double().size() == count); });
    const bool narrow = accepted([&] { PDADMM_FUZZ_REQUIRE(array->as_int32().size() == count); });
    const bool wide = accepted([&] { PDADMM_FUZZ_REQUIRE(array->as_index().size() == count); });
    PDADMM_FUZZ_REQUIRE(wide || !narrow);
    if (array->dtype == "<f8" && array->shape.size() == 2) {
        const std::vector<double> values = array->as_double();
        const NpyArray again = parse_npy(format_npy(std::span<const double>(values), array->shape), "again.npy");
        PDADMM_FUZZ_REQUIRE(again.bytes == array->bytes && again.shape == array->shape);
    }
    return 0;
}
