// What a file that is no archive of arrays is instead, by its first bytes, and what to do with it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace pdadmm {

struct ForeignKind {
    std::string kind;    // "a PyTorch file"
    std::string advice;  // what turns it into what is read
};

/// How many bytes of a file tell its kind.
inline constexpr std::size_t kind_bytes = 256;

/// Of the first bytes (kind_bytes, or the whole file); nothing where they are none of the known kinds: perhaps arrays.
std::optional<ForeignKind> foreign_kind(std::span<const std::byte> head);

/// Throws DataError "<file>: is <kind>, expected an .npz archive; <advice>" where the file is of a known other kind, or
/// cannot be read.
void refuse_foreign_kind(const std::filesystem::path& path);

}  // namespace pdadmm
