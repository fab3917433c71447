// XXH3-128 in canonical order, compiled in from the header so that no library version is involved.
#include "host/format/digest.hpp"

#define XXH_INLINE_ALL
#ifdef __AVX512F__
#define XXH_VECTOR \
    XXH_AVX2  // same digests; the AVX-512 intrinsics of gcc 12 warn of uninitialised values (gcc bug 105593)
#endif
#include <fmt/format.h>
#include <xxhash.h>

namespace pdadmm {

std::string digest_hex(std::span<const std::byte> bytes) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
    constexpr char digits[] = "0123456789abcdef";
    std::string hex;
    hex.reserve(2 * sizeof canonical.digest);
    for (const unsigned char byte : canonical.digest) {
        hex += digits[byte >> 4];
        hex += digits[byte & 15];
    }
    return hex;
}

std::string digest_hex(std::string_view text) { return digest_hex(std::as_bytes(std::span(text))); }

void RecordDigest::add(std::uint64_t number, std::span<const std::byte> record) {
    const XXH128_hash_t hash = XXH3_128bits_withSeed(record.data(), record.size(), number);
    low_ += hash.low64;
    high_ += hash.high64;
}

std::string RecordDigest::hex() const { return fmt::format("{:016x}{:016x}", high_.load(), low_.load()); }

}  // namespace pdadmm
