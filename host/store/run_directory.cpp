// Opening, locking and writing the folder of a run.
#include "host/store/run_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/store/checkpoint_store.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr const char* lock_name = "lock";
constexpr const char* metrics_name = "metrics.jsonl";
constexpr const char* checkpoints_name = "checkpoints";
constexpr const char* configuration_name = "config.toml";
constexpr std::array<const char*, 9> written_whole = {"config.json",
                                                      configuration_name,
                                                      "origin.json",
                                                      "summary.json",
                                                      "status.json",
                                                      "model-best.safetensors",
                                                      "model-final.safetensors",
                                                      "confusion.csv",
                                                      "report.html"};

bool is_written_whole(const std::string& name) {
    return std::find(written_whole.begin(), written_whole.end(), name) != written_whole.end();
}

bool is_seed(const std::string& name) {
    return name.starts_with("seed-") && name.size() > 5 && name.size() < 26 &&
           name.find_first_not_of("0123456789", 5) == std::string::npos;
}

bool is_owner(const std::string& name) {
    return name.starts_with("owner-") && name.size() > 6 && name.size() < 27 &&
           name.find_first_not_of("0123456789", 6) == std::string::npos;
}

/// The folder of a seed, or of an owner of nodes.
bool is_part(const std::string& name) { return is_seed(name) || is_owner(name); }

/// A name that a run makes; a dead run may have left the temporary form of one.
bool is_ours(const std::string& name) {
    if (name == lock_name || name == metrics_name || name == checkpoints_name || is_written_whole(name) ||
        is_part(name))
        return true;
    return std::any_of(written_whole.begin(), written_whole.end(),
                       [&](const char* whole) { return name == Folder::temporary_name(whole); });
}

bool is_leftover(const std::string& name) { return name.starts_with(".tmp-") && is_ours(name); }

Descriptor take_lock(const Folder& folder, Warnings& warnings) {
    Descriptor lock = folder.open_or_make_file(lock_name);
    constexpr int tries = 5;  // RunDirectory::held takes it for moments
    for (int i = 0; i < tries; ++i) {
        if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
        if (errno != EWOULDBLOCK) break;
        if (i + 1 < tries) ::usleep(10000);
    }
    if (errno == EWOULDBLOCK)
        throw OutputError(printable(folder.path(), 400) +
                          ": another run is writing there, expected none; wait for it or name another folder");
    if (errno != ENOLCK && errno != ENOSYS && errno != EOPNOTSUPP)
        throw_output_error(folder.path_of(lock_name), "be locked", errno);
    warnings.push_back(printable(folder.path(), 400) + ": the file system has no locks (" + std::strerror(errno) +
                       "); start no second run there");
    return lock;
}

/// Judged before the lock file is made, so that a refused folder is left as it was; a second run that passes here as
/// well is stopped by the lock, and one that finished in between by claim.
void refuse_foreign(const Folder& folder, const std::vector<std::string>& names, RunMode mode) {
    const auto foreign = std::find_if_not(names.begin(), names.end(), is_ours);
    if (mode == RunMode::create && foreign != names.end())
        throw OutputError(printable(folder.path(), 400) + ": holds " + printable(*foreign) +
                          ", which is not a run's file, expected an empty folder; name another one or add --overwrite");
}

/// A run that died before its configuration was written leaves nothing to go on with.
[[noreturn]] void refuse_earlier(const Folder& folder, const std::vector<std::string>& names) {
    const bool resumable = std::find(names.begin(), names.end(), configuration_name) != names.end();
    throw OutputError(printable(folder.path(), 400) + ": holds " +
                      (resumable ? "an earlier run" : "what a run that ended before it began left") +
                      ", expected an empty folder; " +
                      (resumable ? "continue it with --resume, or add --overwrite" : "add --overwrite"));
}

}  // namespace

std::vector<std::filesystem::path> RunDirectory::seed_folders(const std::filesystem::path& path) {
    namespace fs = std::filesystem;
    std::vector<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error))
        if (is_seed(entry->path().filename().native())) found.push_back(entry->path());
    std::sort(found.begin(), found.end(), [](const fs::path& a, const fs::path& b) {  // seed-9 before seed-10
        return a.native().size() != b.native().size() ? a.native().size() < b.native().size() : a < b;
    });
    return found;
}

bool RunDirectory::is_one_of_several(const std::filesystem::path& path) {
    std::error_code ignored;
    return is_seed(path.filename().native()) &&
           std::filesystem::exists(path.parent_path() / configuration_name, ignored);
}

bool RunDirectory::held(const std::filesystem::path& path) {
    const Descriptor lock(::open((path / lock_name).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    return lock && ::flock(lock.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

void RunDirectory::remove(const std::string& path, Warnings& warnings) {
    {
        const RunDirectory run(path, RunMode::overwrite, warnings, RunKind::several_seeds);
        run.folder_.remove_file(lock_name);
    }
    std::error_code not_empty;  // files that are not a run's stay, in their folder
    std::filesystem::remove(path, not_empty);
}

void RunDirectory::check_new(const std::string& path, RunMode mode) {
    const std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
    std::filesystem::path there = whole;  // of it, what exists
    struct stat status;
    while (::stat(there.c_str(), &status) != 0 && errno == ENOENT && there.has_relative_path())
        there = there.parent_path();
    const int failed = ::stat(there.c_str(), &status) != 0 || ::access(there.c_str(), W_OK | X_OK) != 0 ? errno
                       : !S_ISDIR(status.st_mode)                                                       ? ENOTDIR
                                                                                                        : 0;
    if (failed != 0) throw_output_error(path, "be made", failed);
    if (there != whole) return;
    const Folder folder = Folder::open(path);
    const std::vector<std::string> names = folder.names();
    refuse_foreign(folder, names, mode);
    for (const std::string& name : names)
        if (mode == RunMode::create && name != lock_name && !is_leftover(name)) refuse_earlier(folder, names);
}

RunDirectory::RunDirectory(const std::string& path, RunMode mode, Warnings& warnings, RunKind kind)
    : folder_(mode == RunMode::resume ? Folder::open(path) : Folder::open_or_make(path)) {
    const std::vector<std::string> names = folder_.names();
    refuse_foreign(folder_, names, mode);
    const char* needed = kind == RunKind::one_seed ? checkpoints_name : configuration_name;
    if (mode == RunMode::resume && std::find(names.begin(), names.end(), needed) == names.end())
        throw DataError(printable(folder_.path(), 400) + ": holds no " + needed +
                        ", expected the folder of a run; name that or start anew");
    lock_ = take_lock(folder_, warnings);
    claim(mode, folder_.names(), warnings);
    if (kind == RunKind::several_seeds) {
        folder_.sync();
        return;
    }
    metrics_ = folder_.open_append(metrics_name);
    struct stat status;
    if (::fstat(metrics_.get(), &status) != 0) throw_output_error(folder_.path_of(metrics_name), "be examined", errno);
    metrics_bytes_ = static_cast<std::uint64_t>(status.st_size);
    folder_.sync();
}

void RunDirectory::claim(RunMode mode, const std::vector<std::string>& before, Warnings& warnings) {
    for (const std::string& name : before) {
        if (!is_ours(name) || name == lock_name) continue;
        const Folder::Kind expected =
            name == checkpoints_name || is_part(name) ? Folder::Kind::folder : Folder::Kind::file;
        if (folder_.kind(name) != expected)
            throw OutputError(printable(folder_.path_of(name), 400) + ": a link or of another kind, expected a " +
                              (expected == Folder::Kind::folder ? "folder" : "regular file") +
                              " of an earlier run; remove it");
        if (is_leftover(name)) {
            folder_.remove_file(name);
            continue;
        }
        if (mode == RunMode::create) refuse_earlier(folder_, before);
        if (mode != RunMode::overwrite) continue;
        if (is_part(name)) {
            remove_part(name, warnings);
        } else if (name == checkpoints_name) {
            CheckpointStore::remove_all(folder_.open_child(name));
            folder_.remove_if_empty(name);
        } else {
            folder_.remove_file(name);
        }
    }
}

void RunDirectory::remove_part(const std::string& name, Warnings& warnings) {
    const RunDirectory part(folder_.path_of(name), RunMode::overwrite,
                            warnings);  // the lock: it may be a run of its own
    for (const char* file : {metrics_name, lock_name}) part.folder_.remove_file(file);
    folder_.remove_if_empty(name);
}

void RunDirectory::write(const std::string& name, std::span<const std::byte> bytes) {
    if (!is_written_whole(name))
        throw Error(ExitCode::internal, "run folder: no file of a run is called " + printable(name));
    folder_.replace(name, bytes);
}

void RunDirectory::write(const std::string& name, std::string_view text) {
    write(name, std::as_bytes(std::span(text)));
}

void RunDirectory::write_status(const RunStatus& status) {
    nlohmann::ordered_json json;
    json["end"] = status.end;
    json["signal"] = status.signal;
    json["iteration"] = status.iteration;
    json["exit"] = status.exit;
    write("status.json", json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

void RunDirectory::append_metrics(std::string_view line) {
    if (line.find('\n') != std::string_view::npos)
        throw Error(ExitCode::internal, "metrics.jsonl: a line with a newline in it");
    const std::string whole = std::string(line) + "\n";
    if (const int failed = write_all(metrics_.get(), std::as_bytes(std::span(whole)))) {
        // The error below stands whether or not the torn line can be taken back.
        if (::ftruncate(metrics_.get(), static_cast<off_t>(metrics_bytes_)) != 0) errno = 0;
        throw_output_error(folder_.path_of(metrics_name), "be written", failed);
    }
    metrics_bytes_ += whole.size();
}

std::uint64_t RunDirectory::sync_metrics() {
    if (const int failed = sync_file(metrics_.get()))
        throw_output_error(folder_.path_of(metrics_name), "be stored (fsync)", failed);
    return metrics_bytes_;
}

void RunDirectory::rewind_metrics(std::uint64_t offset, Warnings& warnings) {
    const std::uint64_t wanted = offset;
    offset = std::min(offset, metrics_bytes_);
    // Back to the end of a line; where nothing was damaged the byte before `offset` is one already.
    for (char byte = 0; offset > 0; --offset) {
        if (::pread(metrics_.get(), &byte, 1, static_cast<off_t>(offset - 1)) != 1)
            throw_output_error(folder_.path_of(metrics_name), "be read", errno);
        if (byte == '\n') break;
    }
    if (offset != wanted)
        warnings.push_back(printable(folder_.path_of(metrics_name), 400) + ": " + std::to_string(offset) +
                           " bytes of whole lines, the checkpoint expected " + std::to_string(wanted) +
                           "; rows before it are missing");
    if (::ftruncate(metrics_.get(), static_cast<off_t>(offset)) != 0)
        throw_output_error(folder_.path_of(metrics_name), "be cut back", errno);
    metrics_bytes_ = offset;
    sync_metrics();
}

}  // namespace pdadmm
