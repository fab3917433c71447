// Finding, verifying and loading checkpoints; nothing here writes.
#include <algorithm>
#include <filesystem>
#include <set>

#include "host/console/printable.hpp"
#include "host/format/digest.hpp"
#include "host/format/file.hpp"
#include "host/store/checkpoint_store.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr const char* checkpoints_name = "checkpoints";

std::string shown(const std::string& path) { return printable(path, 400); }

/// Newest first; what has no checkpoint's name is not looked at.
std::vector<std::uint64_t> steps_newest_first(const std::string& folder) {
    std::vector<std::uint64_t> steps;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
        if (const auto step = step_of_name(entry->path().filename().string())) steps.push_back(*step);
    if (error && error != std::errc::no_such_file_or_directory)
        throw DataError(shown(folder) + ": cannot be listed: " + error.message() +
                        ", expected the checkpoints of a run");
    std::sort(steps.rbegin(), steps.rend());
    return steps;
}

std::string text_of(const nlohmann::json& value) {
    return printable(value.is_string() ? value.get<std::string>()
                                       : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

const SafetensorsFile& CheckpointData::shard(std::string_view name) const {
    const auto found =
        std::find_if(shards.begin(), shards.end(), [&](const auto& entry) { return entry.first == name; });
    if (found == shards.end())
        throw DataError(shown(folder) + ": no shard " + printable(name) + ", expected one; name another checkpoint");
    return found->second;
}

CheckpointData load_checkpoint(const std::string& folder, const ShardFilter& wanted) {
    const std::string manifest_path = folder + "/" + manifest_name;
    const std::vector<std::byte> text = read_file(manifest_path, manifest_max_bytes);
    Manifest manifest = parse_manifest({reinterpret_cast<const char*>(text.data()), text.size()}, shown(manifest_path));

    CheckpointData data{manifest.step, std::move(manifest.meta), {}, folder};
    for (const ShardEntry& entry : manifest.shards) {
        const std::string path = folder + "/" + entry.file();
        const std::vector<std::byte> bytes = read_file(path, entry.bytes);
        if (bytes.size() != entry.bytes)
            throw DataError(shown(path) + ": " + std::to_string(bytes.size()) + " bytes, expected " +
                            std::to_string(entry.bytes) + "; name another checkpoint");
        if (const std::string digest = digest_hex(bytes); digest != entry.digest)
            throw DataError(shown(path) + ": digest " + digest + ", expected " + printable(entry.digest) +
                            "; name another checkpoint");
        if (!wanted || wanted(entry.name)) data.shards.emplace_back(entry.name, parse_safetensors(bytes, shown(path)));
    }
    return data;
}

CheckpointData load_newest_checkpoint(const std::string& run_folder, Warnings& warnings, const ShardFilter& wanted) {
    const std::string folder = run_folder + "/" + checkpoints_name;
    std::string newest_fault;
    for (const std::uint64_t step : steps_newest_first(folder)) {
        try {
            CheckpointData data = load_checkpoint(folder + "/" + step_name(step), wanted);
            if (data.step == step) return data;
            throw DataError(shown(data.folder) + ": holds step " + std::to_string(data.step) + ", expected " +
                            std::to_string(step));
        } catch (const NewerFormatError&) {
            throw;
        } catch (const DataError& error) {
            if (newest_fault.empty()) newest_fault = error.what();
            warnings.push_back("checkpoint " + step_name(step) + " is not used: " + error.what());
        }
    }
    if (newest_fault.empty())
        throw NoCheckpointError(shown(folder) + ": no checkpoint, expected at least one; start the run anew");
    throw DataError(shown(folder) + ": no valid checkpoint (" + newest_fault +
                    "), expected at least one; start the run anew");
}

ResumeSource resume_source(const std::string& path) {
    // Absolute, so that "." inside a checkpoint folder is recognised; `path` itself where it names a run.
    std::filesystem::path full = std::filesystem::absolute(path).lexically_normal();
    if (!full.has_filename()) full = full.parent_path();
    if (step_of_name(full.filename().string()) && full.parent_path().filename() == checkpoints_name)
        return {full.parent_path().parent_path().string(), full.string()};
    return {path, std::nullopt};
}

CheckpointData load_checkpoint(const ResumeSource& source, Warnings& warnings, const ShardFilter& wanted) {
    return source.checkpoint ? load_checkpoint(*source.checkpoint, wanted)
                             : load_newest_checkpoint(source.run_folder, warnings, wanted);
}

std::string config_difference(const nlohmann::json& checkpoint, const nlohmann::json& run,
                              std::span<const std::string_view> may_differ) {
    std::set<std::string> keys;
    for (const nlohmann::json* config : {&checkpoint, &run})
        for (const auto& item : config->items()) keys.insert(item.key());
    for (const std::string& key : keys) {
        if (std::find(may_differ.begin(), may_differ.end(), key) != may_differ.end()) continue;
        const auto was = checkpoint.find(key), is = run.find(key);
        if (was != checkpoint.end() && is != run.end() && *was == *is) continue;
        return "checkpoint has " +
               (was == checkpoint.end() ? "no " + printable(key) : printable(key) + "=" + text_of(*was)) +
               ", this run " + (is == run.end() ? "none" : text_of(*is));
    }
    return "";
}

}  // namespace pdadmm
