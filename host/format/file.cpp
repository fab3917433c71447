// Checked reads and atomic writes on POSIX descriptors, where every call's result is looked at.
#include "host/format/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "host/console/printable.hpp"
#include "host/machine/memory.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

namespace {

class Descriptor {
public:
    explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    int get() const { return descriptor_; }
    int release() { return std::exchange(descriptor_, -1); }
    void reset(int descriptor) { descriptor_ = descriptor; }

private:
    int descriptor_;
};

int open_retrying(int directory, const char* name, int flags, mode_t mode = 0) {
    int descriptor;
    do descriptor = ::openat(directory, name, flags, mode);
    while (descriptor < 0 && errno == EINTR);
    return descriptor;
}

struct stat status_of(int descriptor, const std::string& name) {
    struct stat status {};
    if (::fstat(descriptor, &status) != 0)
        throw DataError(fmt::format("{}: cannot be read: {}", name, std::strerror(errno)));
    return status;
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& path) : name_(printable_path(path)) {
    // Without O_NONBLOCK the open of a FIFO would wait for a writer.
    Descriptor file(open_retrying(AT_FDCWD, path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (file.get() < 0) throw DataError(fmt::format("{}: cannot be opened: {}", name_, std::strerror(errno)));
    const struct stat status = status_of(file.get(), name_);
    if (!S_ISREG(status.st_mode)) {
        throw DataError(fmt::format("{}: is {}, expected a regular file", name_,
                                    S_ISDIR(status.st_mode)    ? "a directory"
                                    : S_ISFIFO(status.st_mode) ? "a pipe"
                                                               : "a device or socket"));
    }
    if (status.st_size <= 0) throw DataError(fmt::format("{}: is empty, expected data", name_));
    size_ = static_cast<std::uint64_t>(status.st_size);
    modified_s_ = status.st_mtim.tv_sec;
    modified_ns_ = status.st_mtim.tv_nsec;
    descriptor_ = file.release();
}

InputFile::InputFile(InputFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_),
      modified_s_(other.modified_s_),
      modified_ns_(other.modified_ns_),
      name_(std::move(other.name_)) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    size_ = other.size_;
    modified_s_ = other.modified_s_;
    modified_ns_ = other.modified_ns_;
    name_ = std::move(other.name_);
    return *this;
}

InputFile::~InputFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

void InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
    if (offset > size_ || out.size() > size_ - offset)
        throw DataError(
            fmt::format("{}: has {} bytes, expected at least {} more from byte {}", name_, size_, out.size(), offset));
    while (!out.empty()) {
        const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            throw DataError(fmt::format("{}: cannot be read at byte {}: {}", name_, offset, std::strerror(errno)));
        if (got == 0) throw DataError(fmt::format("{}: became shorter while it was read, at byte {}", name_, offset));
        out = out.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
}

void InputFile::check_unchanged() const {
    const struct stat now = status_of(descriptor_, name_);
    if (static_cast<std::uint64_t>(now.st_size) != size_ || now.st_mtim.tv_sec != modified_s_ ||
        now.st_mtim.tv_nsec != modified_ns_)
        throw DataError(fmt::format("{}: was changed while it was read; start again when nothing writes to it", name_));
}

ByteReader reader_of(std::shared_ptr<const InputFile> file) {
    return [file = std::move(file)](std::uint64_t offset, std::span<std::byte> out) {
        file->read_at(offset, out);
        file->check_unchanged();
    };
}

ByteReader reader_of(std::span<const std::byte> memory) {
    return [memory](std::uint64_t offset, std::span<std::byte> out) {
        if (!out.empty()) std::memcpy(out.data(), memory.data() + offset, out.size());
    };
}

namespace {

std::vector<std::byte> bytes_of(const InputFile& file, std::uint64_t max_bytes) {
    if (file.size() > max_bytes)
        throw TooLargeError(fmt::format("{}: has {} bytes, expected at most {}", file.name(), file.size(), max_bytes));
    std::vector<std::byte> bytes(file.size());
    file.read_at(0, bytes);
    return bytes;
}

}  // namespace

std::vector<std::byte> read_growing_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
    return bytes_of(InputFile(path), max_bytes);
}

std::vector<std::byte> read_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
    const InputFile file(path);
    std::vector<std::byte> bytes = bytes_of(file, max_bytes);
    file.check_unchanged();
    return bytes;
}

std::string read_text(const std::filesystem::path& path, std::uint64_t max_bytes) {
    const std::vector<std::byte> bytes = read_file(path, max_bytes);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint64_t default_input_budget() {
    constexpr std::uint64_t most = std::uint64_t{16} << 30;
    return std::min(most, available_memory() / 2);
}

struct AtomicFile::Place {
    std::string shown, target, temporary;
    // One descriptor for the directory: the temporary file, the rename and the fsync then concern the same directory
    // even when somebody moves it meanwhile.
    Descriptor directory, file{-1};

    [[noreturn]] void fail(const char* doing) const {
        throw OutputError(
            fmt::format("{}: cannot {}: {}, expected a file that can be written; mend that or name another", shown,
                        doing, std::strerror(errno)));
    }
    void remove_temporary() {
        if (temporary.empty()) return;
        ::unlinkat(directory.get(), temporary.c_str(), 0);
        temporary.clear();
    }
    [[noreturn]] void abandon(const char* doing) {
        const int problem = errno;
        remove_temporary();
        errno = problem;
        fail(doing);
    }
    void create_temporary() {
        static std::atomic<unsigned> counter{0};
        std::string name;
        int opened = -1;
        for (int tries = 0; tries < 100 && opened < 0; ++tries) {
            name = fmt::format("{}{}-{}", atomic_file_prefix, ::getpid(), counter.fetch_add(1));
            opened = open_retrying(directory.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                   0666);
            if (opened < 0 && errno != EEXIST)
                break;  // EEXIST: a dead process of the same number left its file, or a planted link
        }
        if (opened < 0) fail("create a temporary file beside it");
        temporary = name;
        file.reset(opened);
    }
};

AtomicFile::AtomicFile(const std::filesystem::path& path) {
    const std::string shown = printable_path(path), target = path.filename().native();
    if (target.empty() || target == "." || target == "..")
        throw OutputError(fmt::format("{}: is not a file name, expected one to write to", shown));
    const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    const int directory = open_retrying(AT_FDCWD, parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    place_ = std::unique_ptr<Place>(new Place{shown, target, {}, Descriptor(directory)});
    if (directory < 0) place_->fail("open its directory");

    // A device or a pipe would be replaced by a file; a folder, or a name too long, would be refused when all is done.
    struct stat there {};
    if (::fstatat(directory, target.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) place_->fail("be put in place");
    } else if (!S_ISREG(there.st_mode) && !S_ISLNK(there.st_mode)) {
        throw OutputError(fmt::format("{}: is {}, expected a file name; name another file", shown,
                                      S_ISDIR(there.st_mode) ? "a folder" : "a device or a pipe"));
    }
    place_->create_temporary();
}

AtomicFile::~AtomicFile() { place_->remove_temporary(); }

int write_whole(int file, std::span<const std::byte> bytes, std::optional<std::uint64_t> offset) {
    while (!bytes.empty()) {
        const ssize_t put = offset ? ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(*offset))
                                   : ::write(file, bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return put == 0 ? ENOSPC : errno;
        bytes = bytes.subspan(static_cast<std::size_t>(put));
        if (offset) *offset += static_cast<std::uint64_t>(put);
    }
    return 0;
}

void AtomicFile::write(std::span<const std::byte> bytes, std::optional<std::uint64_t> offset) {
    if (const int failed = write_whole(place_->file.get(), bytes, offset)) {
        errno = failed;
        place_->abandon("be written");
    }
}

void AtomicFile::commit() {
    Place& p = *place_;
    if (::fsync(p.file.get()) != 0) p.abandon("be brought to disk");
    if (::close(p.file.release()) != 0 && errno != EINTR) p.abandon("be closed");
    if (::renameat(p.directory.get(), p.temporary.c_str(), p.directory.get(), p.target.c_str()) != 0)
        p.abandon("be put in place");
    p.temporary.clear();
    // Some network file systems have no fsync for directories and say EINVAL; there is nothing more to do on those.
    if (::fsync(p.directory.get()) != 0 && errno != EINVAL) p.fail("bring its directory to disk");
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    write_file_atomically(path, std::initializer_list<std::span<const std::byte>>{bytes});
}

void write_file_atomically(const std::filesystem::path& path, std::initializer_list<std::span<const std::byte>> parts) {
    AtomicFile file(path);
    for (const std::span<const std::byte> part : parts) file.write(part);
    file.commit();
}

}  // namespace pdadmm
