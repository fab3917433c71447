// A held directory handle: every output file of a run is made through one, by a plain name, so that no path is looked
// up twice and no symbolic link is ever followed. All functions throw OutputError with the path, the call and the
// system's words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pdadmm {

/// Owner of one file descriptor.
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept;
    ~Descriptor();

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    /// Closes it; 0 or the errno of close, which for a written file is an error like that of a write.
    int close();

private:
    int fd_ = -1;
};

/// Throws OutputError: "<path>: cannot <what>: <words of error_number>, expected ...; ...".
[[noreturn]] void throw_output_error(const std::string& path, const std::string& what, int error_number);

class Folder {
public:
    enum class Kind { none, file, folder, other };  // other: symbolic link, FIFO, device, socket

    /// Opens the folder `path`; a symbolic link is refused.
    static Folder open(const std::string& path);
    /// The same, after making it and every missing parent durably (each new entry's parent is fsync'ed; where the
    /// folder is there already its parent is too, as well as permissions allow, since a run that died may have made
    /// it).
    static Folder open_or_make(const std::string& path);

    const std::string& path() const { return path_; }
    std::string path_of(std::string_view name) const { return path_ + "/" + std::string(name); }

    Kind kind(const std::string& name) const;
    std::vector<std::string> names() const;  // sorted, without "." and ".."
    Folder open_child(const std::string& name) const;
    /// Makes the child, which must not exist. Not durable before sync().
    Folder make_child(const std::string& name) const;
    /// The child, made where it is missing; durable in either case.
    Folder open_or_make_child(const std::string& name) const;

    /// A new file of `bytes`, written and fsync'ed; its name becomes durable with sync(). The name must be free.
    void write_new(const std::string& name, std::span<const std::byte> bytes) const;
    /// Replaces the file `name` atomically and durably. Refused where the name is held by something that is no regular
    /// file.
    void replace(const std::string& name, std::span<const std::byte> bytes) const;
    /// A regular file opened for appending, made where missing.
    Descriptor open_append(const std::string& name) const;
    /// A regular file opened for reading and writing, made where missing (the lock).
    Descriptor open_or_make_file(const std::string& name) const;

    /// Renames a child; `to` must be free.
    void rename(const std::string& from, const std::string& to) const;
    void remove_file(const std::string& name) const;
    /// Removes a child folder that holds plain files only; a symbolic link or a folder in it is an error, and so is one
    /// at `name`.
    void remove_folder(const std::string& name) const;
    /// Removes a child folder that holds nothing; one that does stays.
    void remove_if_empty(const std::string& name) const;
    /// fsync of the folder: its entries are durable when this returns.
    void sync() const;
    /// Bytes an unprivileged writer may still store here.
    std::uint64_t free_bytes() const;

    /// What replace() calls its temporary file; one that is met belongs to a dead run.
    static std::string temporary_name(const std::string& name) { return ".tmp-" + name; }

private:
    Folder(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    Descriptor fd_;
    std::string path_;
};

/// fsync, repeated only after EINTR (which reports no lost data); 0 or errno.
int sync_file(int fd);

}  // namespace pdadmm
