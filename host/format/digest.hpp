// The one checksum of the program: XXH3-128, which finds damage (it is no protection against a forger).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace pdadmm {

/// XXH3-128 (seed 0) of `bytes` as 32 lower-case hexadecimal digits in the canonical (big-endian) order, which is what
/// `xxhsum -H2` prints.
std::string digest_hex(std::span<const std::byte> bytes);
std::string digest_hex(std::string_view text);

}  // namespace pdadmm
