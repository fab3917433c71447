// Writing checkpoints: the protocol is at the head of checkpoint_store.hpp.
#include "host/store/checkpoint_store.hpp"

#include <algorithm>

#include "host/console/printable.hpp"
#include "host/format/digest.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr std::string_view unfinished = ".tmp-", doomed = ".old-", aside = "aside-";

std::string unfinished_name(std::uint64_t step) { return std::string(unfinished) + step_name(step); }
std::string doomed_name(std::uint64_t step) { return std::string(doomed) + step_name(step); }
std::string aside_name(std::uint64_t step) { return std::string(aside) + step_name(step); }

bool is_leftover(std::string_view name) {
    return (name.starts_with(unfinished) || name.starts_with(doomed)) && step_of_name(name.substr(unfinished.size()));
}

void remove_leftovers(const Folder& folder, std::string_view prefix = "") {
    for (const std::string& name : folder.names())
        if (is_leftover(name) && name.starts_with(prefix)) folder.remove_folder(name);
}

/// Ascending.
std::vector<std::uint64_t> steps_in(const Folder& folder) {
    std::vector<std::uint64_t> steps;
    for (const std::string& name : folder.names())
        if (const auto step = step_of_name(name); step && folder.kind(name) == Folder::Kind::folder)
            steps.push_back(*step);
    std::sort(steps.begin(), steps.end());
    return steps;
}

/// A removal that is cut short must not leave a folder with a checkpoint's name and half of its files.
void remove_step(const Folder& folder, std::uint64_t step) {
    folder.rename(step_name(step), doomed_name(step));
    folder.remove_folder(doomed_name(step));
}

/// An upper bound for the file of a shard with an ordinary header.
std::uint64_t bytes_of(const SafetensorsFile& shard) {
    std::uint64_t bytes = 64;
    for (const auto& [key, value] : shard.metadata) bytes += key.size() + value.size() + 16;
    for (const Tensor& tensor : shard.tensors) bytes += tensor.bytes.size() + tensor.name.size() + 256;
    return bytes;
}

}  // namespace

CheckpointStore::CheckpointStore(const RunDirectory& run, std::size_t keep, bool check_space)
    : folder_(run.folder().open_or_make_child("checkpoints")), keep_(keep), check_space_(check_space) {
    if (keep_ < 1) throw UsageError("number of checkpoints to keep: 0, expected at least 1");
    remove_leftovers(folder_);
}

void CheckpointStore::save(const CheckpointData& data, Warnings& warnings) {
    if (last_saved_ == data.step) return;
    std::uint64_t bytes = 0;
    for (const auto& shard : data.shards) bytes += bytes_of(shard.second);
    const std::string temporary = begin(data.step, bytes);
    try {
        Manifest manifest{data.step, data.meta, {}};
        for (const auto& [name, shard] : data.shards) manifest.shards.push_back(write_shard(temporary, name, shard));
        commit(manifest, warnings);
    } catch (...) {
        abandon(data.step);
        throw;
    }
}

std::string CheckpointStore::begin(std::uint64_t step, std::uint64_t bytes) {
    if (folder_.kind(step_name(step)) != Folder::Kind::none)
        throw OutputError(printable(folder_.path_of(step_name(step)), 400) +
                          ": exists, expected a new checkpoint's name to be free; resume from it, or remove it");
    const double needed = 1.05 * static_cast<double>(bytes) + 65536;  // manifest and folder entries
    if (const std::uint64_t free = folder_.free_bytes(); check_space_ && static_cast<double>(free) < needed)
        throw OutputError(printable(folder_.path(), 400) + ": " + std::to_string(free) +
                          " bytes free, expected at least " + std::to_string(static_cast<std::uint64_t>(needed)) +
                          " for checkpoint " + step_name(step) + "; free some and restart with --resume");
    return folder_.make_child(unfinished_name(step)).path();
}

ShardEntry CheckpointStore::write_shard(const std::string& temporary_folder, const std::string& name,
                                        const SafetensorsFile& shard) {
    if (!is_shard_name(name)) throw Error(ExitCode::internal, "checkpoint: a shard called " + printable(name));
    const std::vector<std::byte> bytes = format_safetensors(shard);
    ShardEntry entry{name, bytes.size(), digest_hex(bytes)};
    Folder::open(temporary_folder).write_new(entry.file(), bytes);
    return entry;
}

void CheckpointStore::commit(const Manifest& manifest, Warnings& warnings) {
    const std::string text = format_manifest(manifest);
    const Folder temporary = folder_.open_child(unfinished_name(manifest.step));
    temporary.write_new(manifest_name, std::as_bytes(std::span(text)));
    temporary.sync();
    folder_.rename(unfinished_name(manifest.step), step_name(manifest.step));
    folder_.sync();
    last_saved_ = manifest.step;
    remove_older(manifest.step, warnings);
}

void CheckpointStore::abandon(std::uint64_t step) noexcept {
    try {
        if (folder_.kind(unfinished_name(step)) == Folder::Kind::folder) folder_.remove_folder(unfinished_name(step));
    } catch (const std::exception&) {
        // The error that made the save fail is the one to report; the next run removes what is left.
    }
}

void CheckpointStore::remove_older(std::uint64_t step, Warnings& warnings) const {
    try {
        remove_leftovers(folder_, doomed);
        std::vector<std::uint64_t> older = steps_in(folder_);
        std::erase_if(older, [step](std::uint64_t other) { return other >= step; });
        for (std::size_t i = 0; i + keep_ - 1 < older.size(); ++i) remove_step(folder_, older[i]);
    } catch (const OutputError& error) {
        warnings.push_back(std::string("an old checkpoint stays: ") + error.what());
    }
}

void CheckpointStore::set_aside_newer(std::uint64_t step, Warnings& warnings) {
    for (const std::uint64_t other : steps_in(folder_)) {
        if (other <= step) continue;
        if (folder_.kind(aside_name(other)) != Folder::Kind::none) folder_.remove_folder(aside_name(other));
        folder_.rename(step_name(other), aside_name(other));
        warnings.push_back("checkpoint " + step_name(other) + " is newer than what is resumed from; kept as " +
                           printable(folder_.path_of(aside_name(other)), 400));
    }
    folder_.sync();
}

void CheckpointStore::remove_all(const Folder& checkpoints) {
    remove_leftovers(checkpoints);
    for (const std::uint64_t step : steps_in(checkpoints)) remove_step(checkpoints, step);
    for (const std::string& name : checkpoints.names())
        if (name.starts_with(aside) && step_of_name(std::string_view(name).substr(aside.size())))
            checkpoints.remove_folder(name);
    checkpoints.sync();
}

}  // namespace pdadmm
