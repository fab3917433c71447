// Standard streams, written without buffers between (host/run/console.hpp).
#include "host/run/console.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <span>
#include <string>

#include "host/run/folder.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

void prepare_console() {
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        while (::fcntl(standard, F_GETFD) <
               0)  // the lowest free number is this one; reading refuses writes and the reverse
            if (::open("/dev/null", standard == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) break;
    for (const int signal : {SIGPIPE, SIGXFSZ}) ::signal(signal, SIG_IGN);
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
