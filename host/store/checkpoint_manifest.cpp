// Writing and reading manifest.json.
#include "host/store/checkpoint_manifest.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "host/console/printable.hpp"
#include "host/format/digest.hpp"

namespace pdadmm {
namespace {

constexpr const char* format_word = "pdadmm checkpoint";

[[noreturn]] void refuse(const std::string& name, const std::string& found, const std::string& expected) {
    throw DataError(name + ": " + found + ", expected " + expected + "; name another checkpoint");
}

std::string closing_line(std::string_view before) { return "\n\"digest\":\"" + digest_hex(before) + "\"}\n"; }

Manifest manifest_of(const nlohmann::json& json, const std::string& name) {
    if (!json.is_object() || json.value("format", "") != format_word)
        refuse(name, "no manifest", "one of a pdadmm checkpoint");
    if (!json.at("version").is_number_unsigned()) refuse(name, "no version", "a number");
    if (const auto version = json.at("version").get<std::uint64_t>(); version != checkpoint_format_version) {
        const std::string text = name + ": format version " + std::to_string(version) + ", expected " +
                                 std::to_string(checkpoint_format_version);
        if (version > checkpoint_format_version) throw NewerFormatError(text + "; use the newer pdadmm that wrote it");
        throw DataError(text + "; name another checkpoint");
    }
    if (!json.at("step").is_number_unsigned() || !json.at("meta").is_object() || !json.at("shards").is_array())
        refuse(name, "a field of the wrong type", "step, meta and shards");
    Manifest manifest{json.at("step").get<std::uint64_t>(), json.at("meta"), {}};
    std::set<std::string> seen;
    for (const nlohmann::json& shard : json.at("shards")) {
        if (!shard.at("bytes").is_number_unsigned()) refuse(name, "a length that is no number", "bytes");
        ShardEntry entry{shard.at("name").get<std::string>(), shard.at("bytes").get<std::uint64_t>(),
                         shard.at("xxh3_128").get<std::string>()};
        if (!is_shard_name(entry.name))
            refuse(name, "a shard called " + printable(entry.name), "a name of a-z, 0-9 and -");
        if (!seen.insert(entry.name).second) refuse(name, "shard " + entry.name + " twice", "each once");
        manifest.shards.push_back(std::move(entry));
    }
    return manifest;
}

}  // namespace

std::string format_manifest(const Manifest& manifest) {
    const auto fault = [](const std::string& text) {
        return Error(ExitCode::internal, "checkpoint manifest: " + text);
    };
    std::string text = std::string("{\"format\":\"") + format_word +
                       "\",\"version\":" + std::to_string(checkpoint_format_version) +
                       ",\"step\":" + std::to_string(manifest.step) + ",\n\"meta\":";
    if (!manifest.meta.is_object()) throw fault("meta is no JSON object");
    try {
        const std::string meta = manifest.meta.dump();
        if (nlohmann::json::parse(meta) != manifest.meta)
            throw fault("meta changes when written as JSON (a non-finite number?)");
        text += meta;
    } catch (const nlohmann::json::exception& error) {
        throw fault(error.what());
    }
    text += ",\n\"shards\":[";
    std::set<std::string> seen;
    for (const ShardEntry& shard : manifest.shards) {
        if (!is_shard_name(shard.name)) throw fault("a shard called " + printable(shard.name));
        if (!seen.insert(shard.name).second) throw fault("shard " + shard.name + " twice");
        text += (seen.size() == 1 ? "\n" : ",\n") + std::string("{\"name\":\"") + shard.name +
                "\",\"bytes\":" + std::to_string(shard.bytes) + ",\"xxh3_128\":\"" + shard.digest + "\"}";
    }
    text += "],";
    text += closing_line(text);
    if (text.size() > manifest_max_bytes) throw fault("larger than " + std::to_string(manifest_max_bytes) + " bytes");
    return text;
}

Manifest parse_manifest(std::string_view text, const std::string& name) {
    const std::size_t closing = closing_line("").size();
    const std::string_view before = text.substr(0, text.size() - std::min(closing, text.size()));
    if (text.substr(before.size()) != closing_line(before))
        refuse(name, "its digest does not match or is missing", "an undamaged file");
    try {
        return manifest_of(nlohmann::json::parse(text), name);
    } catch (const nlohmann::json::exception& error) {
        refuse(name, printable(error.what(), 160), "a manifest");
    }
}

bool is_shard_name(std::string_view name) {
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
}

std::string step_name(std::uint64_t step) {
    const std::string digits = std::to_string(step);
    return std::string(8 - std::min<std::size_t>(8, digits.size()), '0') + digits;
}

std::optional<std::uint64_t> step_of_name(std::string_view name) {
    std::uint64_t step = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
    if (error != std::errc() || end != name.data() + name.size() || step_name(step) != name) return std::nullopt;
    return step;
}

}  // namespace pdadmm
