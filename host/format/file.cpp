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

#include "host/memory.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

namespace {

/// Length in bytes of the valid UTF-8 character that `text` begins with, 0 where there is none; its code point in
/// `code`.
std::size_t utf8_length(std::string_view text, char32_t& code) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned first = byte(0);
    std::size_t length;
    if (first < 0x80) {
        code = first;
        return 1;
    } else if (first >= 0xC2 && first <= 0xDF) {
        length = 2, code = first & 0x1F;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3, code = first & 0x0F;
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4, code = first & 0x07;
    } else {
        return 0;
    }
    if (text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return 0;
        code = code << 6 | (byte(i) & 0x3F);
    }
    const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return overlong || surrogate || code > 0x10FFFF ? 0 : length;
}

bool steers_terminal(char32_t code) {
    return code < 0x20 || (code >= 0x7F && code < 0xA0) ||  // C0, DEL, C1
           (code >= 0x200B && code <= 0x200F) ||
           (code >= 0x2028 && code <= 0x202E) ||  // invisible, line breaks, direction
           (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF;
}

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

std::string printable(std::string_view text, std::size_t limit) {
    std::string out;
    std::size_t used = 0, cut = 0;  // characters so far; where the text ends if "..." must follow
    while (!text.empty()) {
        char32_t code = 0;
        const std::size_t length = utf8_length(text, code);
        std::string piece;
        if (length == 0 || steers_terminal(code)) {
            for (std::size_t i = 0; i < std::max<std::size_t>(length, 1); ++i)
                piece += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
        } else {
            piece = text.substr(0, length);
        }
        const std::size_t width = length > 0 && !steers_terminal(code) ? 1 : piece.size();
        if (used + width > limit) return out.substr(0, cut) + "...";
        out += piece;
        used += width;
        if (used + 3 <= limit) cut = out.size();
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return out;
}

std::string printable_path(const std::filesystem::path& path) { return printable(path.native(), 4096); }

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

std::vector<std::byte> read_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
    const InputFile file(path);
    if (file.size() > max_bytes)
        throw DataError(fmt::format("{}: has {} bytes, expected at most {}", file.name(), file.size(), max_bytes));
    std::vector<std::byte> bytes(file.size());
    file.read_at(0, bytes);
    file.check_unchanged();
    return bytes;
}

std::uint64_t default_input_budget() {
    constexpr std::uint64_t most = std::uint64_t{16} << 30;
    return std::min(most, available_memory() / 2);
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    const std::string shown = printable_path(path);
    const auto fail = [&](const char* doing) {
        throw OutputError(fmt::format("{}: cannot {}: {}", shown, doing, std::strerror(errno)));
    };
    const std::string target = path.filename().native();
    if (target.empty() || target == "." || target == "..")
        throw OutputError(fmt::format("{}: is not a file name, expected one to write to", shown));
    const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    // One descriptor for the directory: the temporary file, the rename and the fsync then concern the same directory
    // even when somebody moves it meanwhile.
    Descriptor directory(open_retrying(AT_FDCWD, parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.get() < 0) fail("open its directory");

    struct stat there {};  // a device or a pipe would be replaced by a file
    if (::fstatat(directory.get(), target.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(there.st_mode) &&
        !S_ISLNK(there.st_mode) && !S_ISDIR(there.st_mode))
        throw OutputError(fmt::format("{}: is a device or a pipe, expected a file name; name another file", shown));

    static std::atomic<unsigned> counter{0};
    std::string temporary;
    int opened = -1;
    for (int tries = 0; tries < 100 && opened < 0; ++tries) {
        temporary = fmt::format(".pdadmm-tmp-{}-{}", ::getpid(), counter.fetch_add(1));
        opened = open_retrying(directory.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                               0666);
        if (opened < 0 && errno != EEXIST)
            break;  // EEXIST: a dead process of the same number left its file, or a planted link
    }
    if (opened < 0) fail("create a temporary file beside it");
    Descriptor file(opened);
    const auto abandon = [&](const char* doing) {
        const int problem = errno;
        ::unlinkat(directory.get(), temporary.c_str(), 0);
        errno = problem;
        fail(doing);
    };

    while (!bytes.empty()) {
        const ssize_t put = ::write(file.get(), bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put == 0) errno = ENOSPC;
        if (put <= 0) abandon("be written");
        bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    if (::fsync(file.get()) != 0) abandon("be brought to disk");
    if (::close(file.release()) != 0 && errno != EINTR) abandon("be closed");
    if (::renameat(directory.get(), temporary.c_str(), directory.get(), target.c_str()) != 0)
        abandon("be put in place");
    // Some network file systems have no fsync for directories and say EINVAL; there is nothing more to do on those.
    if (::fsync(directory.get()) != 0 && errno != EINVAL) fail("bring its directory to disk");
}

}  // namespace pdadmm
