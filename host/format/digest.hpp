// The one checksum of the program: XXH3-128, which finds damage (it is no protection against a forger).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pdadmm {

/// XXH3-128 (seed 0) of `bytes` as 32 lower-case hexadecimal digits in the canonical (big-endian) order, which is what
/// `xxhsum -H2` prints.
std::string digest_hex(std::span<const std::byte> bytes);
std::string digest_hex(std::string_view text);

/// Digest of numbered records that come in any order and from any thread: the sum of XXH3-128 of each, seeded with its
/// number.
class RecordDigest {
public:
    void add(std::uint64_t number, std::span<const std::byte> record);
    std::string hex() const;

private:
    std::atomic<std::uint64_t> low_{0}, high_{0};
};

}  // namespace pdadmm
