// Output through held directory handles (openat and friends, never following a link).
#include "host/store/folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr int folder_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr int file_flags = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;  // O_NONBLOCK: opening a planted FIFO must not wait

const char* advice(int error_number) {
    switch (error_number) {
        case ENOSPC:
        case EDQUOT:
            return "expected room for it; free some and restart with --resume";
        case EFBIG:
            return "expected no such limit; raise the file size limit (ulimit -f) and restart with --resume";
        case ELOOP:
            return "expected no symbolic link there; remove it or name another folder";
        case ENOTDIR:
            return "expected a folder; name another one";
        case EEXIST:
            return "expected that name to be free; remove it or name another folder";
        case EACCES:
        case EPERM:
        case EROFS:
            return "expected to be allowed; change the permissions or name another folder";
        case EMFILE:
        case ENFILE:
            return "expected a free descriptor; raise the limit (ulimit -n)";
        default:
            return "expected the file system to take it; mend that and restart with --resume";
    }
}

int open_at(int folder, const std::string& name, int flags, mode_t mode = 0) {
    for (;;) {
        const int fd = ::openat(folder, name.c_str(), flags, mode);
        if (fd >= 0 || errno != EINTR) return fd;
    }
}

void require_regular(int fd, const std::string& path) {
    struct stat status;
    if (::fstat(fd, &status) != 0) throw_output_error(path, "be examined", errno);
    if (!S_ISREG(status.st_mode))
        throw OutputError(printable(path, 400) +
                          ": not a regular file, expected one of an earlier run or none; remove it");
}

}  // namespace

void throw_output_error(const std::string& path, const std::string& what, int error_number) {
    throw OutputError(printable(path, 400) + ": cannot " + what + ": " + std::strerror(error_number) + ", " +
                      advice(error_number));
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
    if (this != &other) {
        close();
        fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
}

Descriptor::~Descriptor() { close(); }

int Descriptor::close() {
    if (fd_ < 0) return 0;
    // Linux has released the descriptor even where close reports EINTR, so that is no failure and is never repeated.
    return ::close(std::exchange(fd_, -1)) == 0 || errno == EINTR ? 0 : errno;
}

int sync_file(int fd) {
    for (;;) {
        if (::fsync(fd) == 0) return 0;
        if (errno != EINTR) return errno;
    }
}

Folder Folder::open(const std::string& path) {
    std::string plain = path;  // "link/" would be followed, "link" is not
    while (plain.size() > 1 && plain.back() == '/') plain.pop_back();
    Descriptor fd(open_at(AT_FDCWD, plain, folder_flags));
    if (!fd) {
        const int error_number = errno;  // for a symbolic link Linux says ENOTDIR here; say what it is
        struct stat status;
        if (::lstat(plain.c_str(), &status) == 0 && S_ISLNK(status.st_mode))
            throw_output_error(plain, "be opened", ELOOP);
        throw_output_error(plain, "be opened as a folder", error_number);
    }
    return Folder(std::move(fd), plain);
}

Folder Folder::open_or_make(const std::string& path) {
    std::string plain = path;
    while (plain.size() > 1 && plain.back() == '/') plain.pop_back();
    std::string parent = std::filesystem::path(plain).parent_path().string();
    if (parent.empty()) parent.push_back('.');
    struct stat status;
    if (::lstat(plain.c_str(), &status) == 0) {
        Folder found = Folder::open(plain);
        if (const Descriptor above(open_at(AT_FDCWD, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)); above)
            sync_file(above.get());
        return found;
    }
    if (errno != ENOENT) throw_output_error(plain, "be opened", errno);
    // Parents that exist may be links of the user's; what is made here may not.
    std::error_code failed;
    const bool parent_there = std::filesystem::is_directory(parent, failed);
    const Folder above =
        parent_there ? Folder::open(std::filesystem::canonical(parent, failed).string()) : Folder::open_or_make(parent);
    const std::string name = std::filesystem::path(plain).filename().string();
    if (::mkdirat(above.fd_.get(), name.c_str(), 0777) != 0 && errno != EEXIST)
        throw_output_error(plain, "be made", errno);
    above.sync();
    return Folder::open(plain);
}

Folder::Kind Folder::kind(const std::string& name) const {
    struct stat status;
    if (::fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
        return S_ISREG(status.st_mode) ? Kind::file : S_ISDIR(status.st_mode) ? Kind::folder : Kind::other;
    if (errno == ENOENT) return Kind::none;
    throw_output_error(path_of(name), "be examined", errno);
}

std::vector<std::string> Folder::names() const {
    Descriptor fd(open_at(fd_.get(), ".", folder_flags));  // an own position in the listing
    if (!fd) throw_output_error(path_, "be listed", errno);
    struct CloseListing {
        void operator()(DIR* listing) const { ::closedir(listing); }
    };
    std::unique_ptr<DIR, CloseListing> listing(::fdopendir(fd.get()));
    if (!listing) throw_output_error(path_, "be listed", errno);
    fd.release();  // now the listing's
    std::vector<std::string> found;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(listing.get());
        if (!entry) break;
        const std::string name = entry->d_name;
        if (name != "." && name != "..") found.push_back(name);
    }
    if (errno != 0) throw_output_error(path_, "be listed", errno);
    std::sort(found.begin(), found.end());
    return found;
}

Folder Folder::open_child(const std::string& name) const {
    if (kind(name) == Kind::other) throw_output_error(path_of(name), "be opened", ELOOP);
    Descriptor fd(open_at(fd_.get(), name, folder_flags));
    if (!fd) throw_output_error(path_of(name), "be opened as a folder", errno);
    return Folder(std::move(fd), path_of(name));
}

Folder Folder::make_child(const std::string& name) const {
    if (::mkdirat(fd_.get(), name.c_str(), 0777) != 0) throw_output_error(path_of(name), "be made", errno);
    return open_child(name);
}

Folder Folder::open_or_make_child(const std::string& name) const {
    Folder child = kind(name) == Kind::none ? make_child(name) : open_child(name);
    sync();
    return child;
}

void Folder::write_new(const std::string& name, std::span<const std::byte> bytes) const {
    Descriptor fd(open_at(fd_.get(), name, O_WRONLY | O_CREAT | O_EXCL | file_flags, 0666));
    if (!fd) throw_output_error(path_of(name), "be made", errno);
    if (const int failed = write_all(fd.get(), bytes)) throw_output_error(path_of(name), "be written", failed);
    if (const int failed = sync_file(fd.get())) throw_output_error(path_of(name), "be stored (fsync)", failed);
    if (const int failed = fd.close()) throw_output_error(path_of(name), "be closed", failed);
}

void Folder::replace(const std::string& name, std::span<const std::byte> bytes) const {
    const Kind held = kind(name);
    if (held != Kind::none && held != Kind::file)
        throw OutputError(printable(path_of(name), 400) +
                          ": not a regular file, expected one of an earlier run or none; remove it");
    const std::string temporary = temporary_name(name);
    if (kind(temporary) != Kind::none) throw_output_error(path_of(temporary), "be made", EEXIST);
    try {
        write_new(temporary, bytes);
        if (::renameat(fd_.get(), temporary.c_str(), fd_.get(), name.c_str()) != 0)
            throw_output_error(path_of(name), "be renamed into place", errno);
        sync();
    } catch (...) {
        ::unlinkat(fd_.get(), temporary.c_str(), 0);  // gives its room back; after the rename there is none
        throw;
    }
}

Descriptor Folder::open_append(const std::string& name) const {
    Descriptor fd(open_at(fd_.get(), name, O_RDWR | O_APPEND | O_CREAT | file_flags, 0666));
    if (!fd) throw_output_error(path_of(name), "be opened", errno);
    require_regular(fd.get(), path_of(name));
    return fd;
}

Descriptor Folder::open_or_make_file(const std::string& name) const {
    Descriptor fd(open_at(fd_.get(), name, O_RDWR | O_CREAT | file_flags, 0666));
    if (!fd) throw_output_error(path_of(name), "be opened", errno);
    require_regular(fd.get(), path_of(name));
    return fd;
}

void Folder::rename(const std::string& from, const std::string& to) const {
    if (kind(to) != Kind::none) throw_output_error(path_of(to), "be made", EEXIST);
    if (::renameat(fd_.get(), from.c_str(), fd_.get(), to.c_str()) != 0)
        throw_output_error(path_of(to), "be renamed into place", errno);
}

void Folder::remove_file(const std::string& name) const {
    if (::unlinkat(fd_.get(), name.c_str(), 0) != 0) throw_output_error(path_of(name), "be removed", errno);
}

void Folder::remove_folder(const std::string& name) const {
    const Folder child = open_child(name);
    for (const std::string& file : child.names()) {
        if (child.kind(file) != Kind::file)
            throw OutputError(printable(child.path_of(file), 400) +
                              ": not a regular file, expected only files of a run; remove it");
        child.remove_file(file);
    }
    if (::unlinkat(fd_.get(), name.c_str(), AT_REMOVEDIR) != 0) throw_output_error(path_of(name), "be removed", errno);
}

void Folder::remove_if_empty(const std::string& name) const {
    if (::unlinkat(fd_.get(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOTEMPTY && errno != EEXIST)
        throw_output_error(path_of(name), "be removed", errno);
}

void Folder::sync() const {
    if (const int failed = sync_file(fd_.get())) throw_output_error(path_, "be stored (fsync of the folder)", failed);
}

std::uint64_t Folder::free_bytes() const {
    struct statvfs status;
    if (::fstatvfs(fd_.get(), &status) != 0) throw_output_error(path_, "be examined", errno);
    return static_cast<std::uint64_t>(status.f_bavail) * static_cast<std::uint64_t>(status.f_frsize);
}

}  // namespace pdadmm
