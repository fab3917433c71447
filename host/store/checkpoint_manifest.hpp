// manifest.json of a checkpoint: what belongs to it, with lengths and digests, closed by a digest of itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pdadmm/error.hpp"

namespace pdadmm {

constexpr int checkpoint_format_version = 1;
constexpr const char* manifest_name = "manifest.json";
constexpr std::size_t manifest_max_bytes = std::size_t{4} << 20;

struct ShardEntry {
    std::string name;
    std::uint64_t bytes = 0;
    std::string digest;  // digest_hex of the file

    std::string file() const { return name + ".safetensors"; }
};

struct Manifest {
    std::uint64_t step = 0;
    nlohmann::json meta = nlohmann::json::object();
    std::vector<ShardEntry> shards;
};

/// A checkpoint of a format that this program does not know: not damaged, so never fallen back from.
struct NewerFormatError : DataError {
    using DataError::DataError;
};

/// The file's text. An internal Error where a name is no shard name or stands twice, or where `meta` does not survive
/// JSON (non-finite numbers, invalid UTF-8) or is too large.
std::string format_manifest(const Manifest& manifest);

/// The inverse. `name` goes into messages. Throws DataError for any byte that differs from what format_manifest wrote
/// and NewerFormatError for a higher version. Every version ends in the same closing line, which holds the digest of
/// all before.
Manifest parse_manifest(std::string_view text, const std::string& name);

/// [a-z0-9-], 1 to 64 characters: such a name cannot leave its folder.
bool is_shard_name(std::string_view name);

/// "00000412", and back (nothing where it is not written in exactly that way).
std::string step_name(std::uint64_t step);
std::optional<std::uint64_t> step_of_name(std::string_view name);

}  // namespace pdadmm
