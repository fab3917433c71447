// Standard streams, written without buffers between (host/console/console.hpp).
#include "host/console/console.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>

#include "pdadmm/error.hpp"

namespace pdadmm {

int write_all(int fd, std::span<const std::byte> bytes) {
    constexpr std::size_t largest = std::size_t{1} << 30;  // Linux writes at most 2 GiB - 4 KiB a call
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), std::min(bytes.size(), largest));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        if (written == 0) return EIO;
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return 0;
}

void prepare_console() {
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        while (::fcntl(standard, F_GETFD) <
               0)  // the lowest free number is this one; reading refuses writes and the reverse
            if (::open("/dev/null", standard == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) break;
    for (const int signal : {SIGPIPE, SIGXFSZ}) ::signal(signal, SIG_IGN);
}

std::size_t terminal_width(int fd, std::size_t otherwise) {
    winsize size{};
    return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : otherwise;
}

void put_result(std::string_view text) {
    const int failed = write_all(STDOUT_FILENO, std::as_bytes(std::span(text)));
    if (failed == 0 || failed == EPIPE) return;
    throw OutputError(
        fmt::format("stdout: cannot be written: {}, expected room for the results; mend that and start again",
                    std::strerror(failed)));
}

void draw_note(std::string_view text) { static_cast<void>(write_all(STDERR_FILENO, std::as_bytes(std::span(text)))); }

void put_note(std::string_view line) { draw_note(std::string(line) + "\n"); }

}  // namespace pdadmm
