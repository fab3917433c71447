// Ownership of a folder (host/large/work_folder.hpp).
#include "host/large/work_folder.hpp"

#include <fmt/format.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "host/console/printable.hpp"
#include "host/data/augmented_folder.hpp"
#include "host/format/file.hpp"
#include "host/large/manifest.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr const char *work_name = "work", *lock_name = "lock";

[[noreturn]] void refuse(const std::string& folder, const std::string& name) {
    throw UsageError(fmt::format("--out: {} holds {}, expected a new or empty folder; name another",
                                 printable(folder, 400), printable(name, 60)));
}

/// Before the first manifest there is a lock at most, and a manifest under its temporary name.
Folder open_work(const Folder& folder) {
    Folder work = folder.open_or_make_child(work_name);
    if (read_manifest(work).identity.empty())
        for (const std::string& name : work.names())
            if (name != lock_name && !name.starts_with(Folder::temporary_name("")))
                refuse(folder.path(), fmt::format("{}/{}", work_name, name));
    return work;
}

Descriptor locked(const Folder& work) {
    Descriptor lock = work.open_or_make_file(lock_name);
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        throw OutputError(
            fmt::format("{}: another command writes here, expected one; wait for it or name another folder",
                        printable(work.path(), 400)));
    return lock;
}

}  // namespace

bool holds_result(const Folder& folder, const std::string& identity) {
    const std::vector<std::string> names = folder.names();
    const auto has = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
    if (has(augmented_record_name)) {
        if (read_augmented_record(folder.path()).identity == identity) return true;
        throw UsageError(fmt::format(
            "--out: {} holds an augmentation of another graph or with other options, expected a new folder; name "
            "another or remove it",
            printable(folder.path(), 400)));
    }
    if (!names.empty() && !has(work_name)) refuse(folder.path(), names.front());
    return false;
}

WorkFolder::WorkFolder(const Folder& folder) : work_(open_work(folder)), lock_(locked(work_)) {
    for (const std::string& name : folder.names())  // X that a killed command was writing, as large as X
        if (name.starts_with(atomic_file_prefix)) folder.remove_file(name);
    for (const std::string& name : work_.names())
        if (name.starts_with(Folder::temporary_name(""))) work_.remove_file(name);
}

void remove_work(const Folder& folder) {
    if (folder.kind(work_name) == Folder::Kind::folder) folder.remove_folder(work_name);
}

}  // namespace pdadmm
