// Any bytes as a safetensors file: DataError, or tensors that cover the file's data exactly and survive being written.
#include <cstring>

#include "host/format/safetensors.hpp"
#include "pdadmm/error.hpp"
#include "tests/files/fuzz/require.hpp"

using namespace pdadmm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    SafetensorsFile file;
    try {
        file = parse_safetensors({reinterpret_cast<const std::byte*>(data), size}, "fuzz.safetensors");
    } catch (const DataError& error) {
        PDADMM_FUZZ_REQUIRE(std::strchr(error.what(), '\n') == nullptr);
        return 0;
    }
    std::uint64_t header = 0, total = 0;
    std::memcpy(&header, data, sizeof header);
    for (const Tensor& tensor : file.tensors) {
        total += tensor.bytes.size();
        PDADMM_FUZZ_REQUIRE(file.has(tensor.name) && &file.at(tensor.name) == &tensor);
        try {
            if (tensor.dtype.starts_with('F')) {
                tensor.as_float();
            } else {
                PDADMM_FUZZ_REQUIRE(tensor.as_index().size() == static_cast<std::size_t>(tensor.size()));
            }
        } catch (const DataError&) {
        }
    }
    PDADMM_FUZZ_REQUIRE(8 + header + total == size);
    const std::vector<std::byte> written = format_safetensors(file);
    const SafetensorsFile again = parse_safetensors(written, "again.safetensors");
    PDADMM_FUZZ_REQUIRE(again.metadata == file.metadata && again.tensors.size() == file.tensors.size());
    for (std::size_t i = 0; i < file.tensors.size(); ++i) {
        const Tensor &a = file.tensors[i], &b = again.tensors[i];
        PDADMM_FUZZ_REQUIRE(a.name == b.name && a.dtype == b.dtype && a.shape == b.shape && a.bytes == b.bytes);
    }
    PDADMM_FUZZ_REQUIRE(format_safetensors(again) == written);
    return 0;
}
