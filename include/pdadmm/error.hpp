// Errors that end a run. Each carries the exit code that main returns (host/run/README.md, "Exit codes"); the text is
// one line:
// "<object>: <what was found>, expected <what>; <what to do>".
#pragma once

#include <stdexcept>
#include <string>

namespace pdadmm {

enum class ExitCode : int {
    done = 0,
    internal = 1,
    usage = 2,
    data = 3,
    device = 4,
    output = 5,
    peer = 75,
    diverged = 79,
    interrupted = 130,
    terminated = 143,
};

class Error : public std::runtime_error {
public:
    Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
    ExitCode code() const { return code_; }

private:
    ExitCode code_;
};

/// The command line or configuration cannot be used, or ranks disagree (exit 2).
struct UsageError : Error {
    explicit UsageError(const std::string& message) : Error(ExitCode::usage, message) {}
};
/// An input file, data set, model or checkpoint is broken or does not fit (exit 3).
struct DataError : Error {
    explicit DataError(const std::string& message) : Error(ExitCode::data, message) {}
};
/// A device, library, amount of memory or part of the installation is missing (exit 4).
struct DeviceError : Error {
    explicit DeviceError(const std::string& message) : Error(ExitCode::device, message) {}
};
/// Output cannot be written; a run may be resumed once that is mended (exit 5).
struct OutputError : Error {
    explicit OutputError(const std::string& message) : Error(ExitCode::output, message) {}
};
/// A peer rank or its device failed; restart with --resume (exit 75). A rank that said why it ended gave its own exit
/// code.
struct PeerError : Error {
    explicit PeerError(const std::string& message, ExitCode code = ExitCode::peer) : Error(code, message) {}
};
/// The iterates became non-finite (exit 79).
struct DivergedError : Error {
    explicit DivergedError(const std::string& message) : Error(ExitCode::diverged, message) {}
};

}  // namespace pdadmm
