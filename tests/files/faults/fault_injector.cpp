// LD_PRELOAD library that counts, records and breaks the I/O calls of a process on files under one folder.
//
//   FAULT_ROOT=DIR            only calls on DIR and what is under it are seen, and of opens only those that make a file
//   or
//                             open a folder: reading is not what is tested
//   FAULT=CALL:N:ACTION       at the N-th call (from 1) of that name ("any": of all) do ACTION: an errno by name (EIO,
//   ENOSPC,
//                             EINTR, ...), "short" (a write of half the bytes), "kill" (SIGKILL before it),
//                             "kill-after"
//   FAULT_TRACE=FILE          append a line a call that succeeded, as tab-separated fields:
//                             call  path [path2]  and for write: offset  bytes in hex;  and "ack  TEXT" for writes to
//                             stdout
//
// Everything goes to the kernel by syscall(), so that nothing here meets itself.
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>

namespace {

struct Plan {
    char call[32] = "", action[32] = "", root[PATH_MAX] = "";
    long at = 0;
    int trace = -1;
};

const Plan& plan() {
    static const Plan made = [] {
        Plan p;
        if (const char* root = getenv("FAULT_ROOT")) snprintf(p.root, sizeof p.root, "%s", root);
        if (const char* fault = getenv("FAULT");
            fault && sscanf(fault, "%31[^:]:%ld:%31s", p.call, &p.at, p.action) != 3)
            abort();
        if (const char* trace = getenv("FAULT_TRACE"))
            p.trace =
                static_cast<int>(syscall(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
        return p;
    }();
    return made;
}

int errno_of(const char* name) {
    const struct {
        const char* name;
        int number;
    } known[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EINTR", EINTR}, {"EDQUOT", EDQUOT},
                 {"EACCES", EACCES}, {"EMFILE", EMFILE}, {"EROFS", EROFS}};
    for (const auto& entry : known)
        if (strcmp(name, entry.name) == 0) return entry.number;
    return 0;
}

/// The absolute path of `name` relative to `folder`, in `out`.
void resolve(int folder, const char* name, char (&out)[PATH_MAX]) {
    out[0] = 0;
    char start[PATH_MAX] = "";
    if (name[0] != '/') {
        char link[64];
        if (folder == AT_FDCWD) {
            snprintf(link, sizeof link, "/proc/self/cwd");
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        }
        const ssize_t length = readlink(link, start, sizeof start - 1);
        if (length < 0) return;
        start[length] = 0;
    }
    size_t used = 0;
    for (const char* part : {static_cast<const char*>(start), name[0] && name[0] != '/' && start[0] ? "/" : "", name})
        for (; *part && used + 1 < sizeof out; ++part) out[used++] = *part;
    out[used] = 0;
}

bool is_ours(const char* path) {
    const size_t length = strlen(plan().root);
    return length > 0 && strncmp(path, plan().root, length) == 0 && (path[length] == 0 || path[length] == '/');
}

enum class Verdict { run, fail, shorten, die_after };

/// Counts one call and says what becomes of it; `fail` has set errno.
Verdict judge(const char* call) {
    static long all = 0, named = 0;
    const Plan& p = plan();
    ++all;
    if (strcmp(p.call, call) == 0) ++named;
    const bool here = strcmp(p.call, "any") == 0 ? all == p.at : strcmp(p.call, call) == 0 && named == p.at;
    if (!here) return Verdict::run;
    if (strcmp(p.action, "kill") == 0) kill(getpid(), SIGKILL);
    if (strcmp(p.action, "kill-after") == 0) return Verdict::die_after;
    if (strcmp(p.action, "short") == 0) return Verdict::shorten;
    errno = errno_of(p.action);
    if (errno == 0) abort();
    return Verdict::fail;
}

void put(const char* text, size_t length) {
    if (syscall(SYS_write, plan().trace, text, length) != static_cast<long>(length)) abort();
}

void record(const char* call, const char* path, const char* second = nullptr) {
    if (plan().trace < 0) return;
    char line[3 * PATH_MAX];
    const int length =
        snprintf(line, sizeof line, "%s\t%s%s%s\n", call, path, second ? "\t" : "", second ? second : "");
    put(line, static_cast<size_t>(length));
}

void record_write(const char* path, long offset, const void* data, size_t count) {
    if (plan().trace < 0) return;
    const size_t room = PATH_MAX + 64 + 2 * count;
    char* line = static_cast<char*>(malloc(room));
    if (!line) abort();
    size_t used = static_cast<size_t>(snprintf(line, room, "write\t%s\t%ld\t", path, offset));
    for (size_t i = 0; i < count; ++i, used += 2)
        snprintf(line + used, 3, "%02x", static_cast<const unsigned char*>(data)[i]);
    line[used++] = '\n';
    put(line, used);
    free(line);
}

/// A call on one path: judge, run, record.
template <typename Act>
long around(const char* call, const char* path, const char* second, Act act) {
    if (!is_ours(path)) return act();
    const Verdict verdict = judge(call);
    if (verdict == Verdict::fail) return -1;
    const long result = act();
    const int error_number = errno;
    if (result >= 0) record(call, path, second);
    if (verdict == Verdict::die_after) kill(getpid(), SIGKILL);
    errno = error_number;
    return result;
}

int open_call(int folder, const char* name, int flags, mode_t mode) {
    const auto act = [&] { return syscall(SYS_openat, folder, name, flags, mode); };
    char path[PATH_MAX];
    resolve(folder, name, path);
    if (!(flags & (O_CREAT | O_DIRECTORY))) return static_cast<int>(act());
    // Only an open that makes a file changes the disk; the trace calls it "create" then.
    const bool makes = (flags & O_CREAT) && is_ours(path) && faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
    return static_cast<int>(around(makes ? "create" : "open", path, nullptr, act));
}

long path_call(const char* call, int folder, const char* name, long number, long argument) {
    char path[PATH_MAX];
    resolve(folder, name, path);
    return around(call, path, nullptr, [&] { return syscall(number, folder, name, argument); });
}

}  // namespace

extern "C" {

int openat(int folder, const char* name, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_call(folder, name, flags, mode);
}

int open(const char* name, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_call(AT_FDCWD, name, flags, mode);
}

ssize_t write(int fd, const void* data, size_t count) {
    if (fd == STDOUT_FILENO && plan().trace >= 0) {
        char text[64];
        snprintf(text, sizeof text, "%.*s", static_cast<int>(count > 60 ? 60 : count), static_cast<const char*>(data));
        text[strcspn(text, "\n")] = 0;
        const ssize_t done = syscall(SYS_write, fd, data, count);
        record("ack", text);
        return done;
    }
    char path[PATH_MAX];
    resolve(fd, "", path);
    if (!is_ours(path)) return syscall(SYS_write, fd, data, count);
    const Verdict verdict = judge("write");
    if (verdict == Verdict::fail) return -1;
    if (verdict == Verdict::shorten && count > 1) count /= 2;
    struct stat status;
    const bool appends = fcntl(fd, F_GETFL) & O_APPEND;
    const long offset = appends && fstat(fd, &status) == 0 ? status.st_size : lseek(fd, 0, SEEK_CUR);
    const ssize_t done = syscall(SYS_write, fd, data, count);
    const int error_number = errno;
    if (done > 0) record_write(path, offset, data, static_cast<size_t>(done));
    if (verdict == Verdict::die_after) kill(getpid(), SIGKILL);
    errno = error_number;
    return done;
}

int fsync(int fd) {
    char path[PATH_MAX];
    resolve(fd, "", path);
    return static_cast<int>(around("fsync", path, nullptr, [&] { return syscall(SYS_fsync, fd); }));
}

int ftruncate(int fd, off_t length) noexcept {
    char path[PATH_MAX], size[32];
    resolve(fd, "", path);
    snprintf(size, sizeof size, "%ld", static_cast<long>(length));
    return static_cast<int>(around("ftruncate", path, size, [&] { return syscall(SYS_ftruncate, fd, length); }));
}

int close(int fd) {
    char path[PATH_MAX];
    resolve(fd, "", path);
    if (!is_ours(path)) return static_cast<int>(syscall(SYS_close, fd));
    const Verdict verdict = judge("close");
    const int error_number = errno;
    const long result = syscall(SYS_close, fd);  // Linux closes it, whatever it reports
    if (verdict == Verdict::die_after) kill(getpid(), SIGKILL);
    if (verdict != Verdict::fail) return static_cast<int>(result);
    errno = error_number;
    return -1;
}

int mkdirat(int folder, const char* name, mode_t mode) noexcept {
    return static_cast<int>(path_call("mkdir", folder, name, SYS_mkdirat, mode));
}

int unlinkat(int folder, const char* name, int flags) noexcept {
    return static_cast<int>(path_call(flags & AT_REMOVEDIR ? "rmdir" : "unlink", folder, name, SYS_unlinkat, flags));
}

int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
    char source[PATH_MAX], target[PATH_MAX];
    resolve(from_folder, from, source);
    resolve(to_folder, to, target);
    return static_cast<int>(
        around("rename", source, target, [&] { return syscall(SYS_renameat, from_folder, from, to_folder, to); }));
}
}
