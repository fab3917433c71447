// Finding, choosing and loading the BLAS library (host/blas/blas_library.hpp).
#include "host/blas/blas_library.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "host/console/printable.hpp"
#include "host/format/digest.hpp"
#include "host/format/file.hpp"
#include "host/machine/paths.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kernel_variable = "OPENBLAS_CORETYPE";
constexpr int probe_seconds = 20;

/// What the user's OPENBLAS_CORETYPE says, or null.
const char* users_kernel() { return std::getenv(kernel_variable); }

/// A variable of the environment for as long as this lives.
class Variable {
public:
    Variable(const char* name, const char* value) : name_(name) {
        if (const char* before = std::getenv(name)) before_ = before;
        setenv(name, value, 1);
    }
    ~Variable() { before_ ? setenv(name_, before_->c_str(), 1) : unsetenv(name_); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

private:
    const char* name_;
    std::optional<std::string> before_;
};

/// A function of the library by its own name or by SciPy's, whose build gives every name a prefix.
template <typename F>
void find(void* library, const std::string& file, const char* name, F& function) {
    void* found = dlsym(library, name);
    if (!found) found = dlsym(library, (std::string("scipy_") + name).c_str());
    if (!found)
        throw DeviceError(
            fmt::format("BLAS: {}: no function {}, expected OpenBLAS; give its file with --blas or PDADMM_BLAS",
                        printable_path(file), name));
    std::memcpy(&function, &found, sizeof found);
}

/// Loads `file` for good. `kernel` is set while it loads, "" leaves the choice to the library or the environment.
BlasLibrary load(const std::string& file, const std::string& kernel) {
    std::optional<Variable> chosen;
    if (!kernel.empty()) chosen.emplace(kernel_variable, kernel.c_str());
    const Variable one_thread("OPENBLAS_NUM_THREADS", "1");
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library)
        throw DeviceError(
            fmt::format("BLAS: {}, expected the library OpenBLAS; install libopenblas0-openmp, or give its "
                        "file with --blas or PDADMM_BLAS",
                        printable(dlerror(), 400)));
    BlasLibrary found;
    found.file = file;
    BlasFunctions& f = found.functions;
    char* (*config)() = nullptr;
    char* (*corename)() = nullptr;
    int (*parallel)() = nullptr;
    find(library, file, "openblas_get_config", config);
    find(library, file, "openblas_get_corename", corename);
    find(library, file, "openblas_get_parallel", parallel);
    find(library, file, "openblas_set_num_threads", f.set_threads);
    find(library, file, "cblas_sgemm", f.sgemm);
    find(library, file, "cblas_dgemm", f.dgemm);
    find(library, file, "cblas_ssyrk", f.ssyrk);
    find(library, file, "cblas_dsyrk", f.dsyrk);
    find(library, file, "cblas_dtrsm", f.dtrsm);
    find(library, file, "dpotrf_", f.dpotrf);
    find(library, file, "dpotri_", f.dpotri);
    find(library, file, "dtrtri_", f.dtrtri);
    if (parallel() == 0)  // built without locks: wrong products where two threads multiply at the same time
        throw DeviceError(
            fmt::format("BLAS: {}: its serial variant, expected one with threads; install "
                        "libopenblas0-openmp, or give its file with --blas or PDADMM_BLAS",
                        printable_path(file)));
    const std::string words = config();
    found.version = words.substr(0, words.find(' ', words.find(' ') + 1));
    found.kernel = corename();
    f.set_threads(1);
    return found;
}

/// What a process of its own found out about a library with a kernel.
struct Probe {
    std::string kernel, fault;  // fault: why it cannot be used
    bool loaded = true;         // else the fault is a whole message
};

Probe probe(const std::string& file, const std::string& kernel) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
        throw DeviceError(fmt::format("BLAS: {}, expected a pipe; close other programs", std::strerror(errno)));
    const pid_t child = fork();
    if (child == 0) {
        std::string answer;
        alarm(probe_seconds);
        try {
            const BlasLibrary library = load(file, kernel);
            answer = fmt::format("{}\n{}", library.kernel, blas_fault(library.functions));
        } catch (const std::exception& error) {
            answer = fmt::format("not loaded\n{}", error.what());
        }
        const bool told = write(ends[1], answer.data(), answer.size()) == static_cast<ssize_t>(answer.size());
        _exit(told ? 0 : 1);
    }
    close(ends[1]);
    std::string answer;
    std::array<char, 512> buffer;
    for (;;) {
        const ssize_t count = child > 0 ? read(ends[0], buffer.data(), buffer.size()) : 0;
        if (count > 0) answer.append(buffer.data(), static_cast<std::size_t>(count));
        if (count == 0 || (count < 0 && errno != EINTR)) break;
    }
    close(ends[0]);
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child < 0) return {"", "no process could be started to test it"};
    if (WIFSIGNALED(status)) return {"", fmt::format("ended by signal {}", strsignal(WTERMSIG(status)))};
    const std::size_t line = answer.find('\n');
    if (line == std::string::npos) return {"", "no answer"};
    const std::string first = answer.substr(0, line);
    return {first, answer.substr(line + 1), first != "not loaded"};
}

/// Kernels for processors with these instructions, the newest first.
std::vector<std::string> offered_kernels() {
#if defined(__x86_64__)
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512cd");
    if (avx2 && avx512) return {"SkylakeX", "Haswell"};
    if (avx2) return {"Haswell"};
#endif
    return {};
}

/// Maker, model and stepping of the first processor.
std::string processor_text() {
    try {
        const std::vector<std::byte> bytes = read_file("/proc/cpuinfo", 1 << 24);
        const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return text.substr(0, text.find("cpu MHz"));  // which changes all the time
    } catch (const Error&) {
        return {};
    }
}

/// Changes when the library, the processor, the user's kernel or what is tested do.
std::string choice_key(const std::string& file) {
    struct stat of {};
    if (stat(file.c_str(), &of) != 0) return {};  // a name that the loader looks up: not remembered
    return digest_hex(fmt::format("blas 1 {} {} {} {}.{} {}", file, of.st_size, of.st_ino, of.st_mtim.tv_sec,
                                  of.st_mtim.tv_nsec, fmt::join(offered_kernels(), ",")) +
                      processor_text() + (users_kernel() ? users_kernel() : ""));
}

std::optional<std::string> remembered(const fs::path& file) {
    try {
        const std::vector<std::byte> bytes = read_file(file, 64);
        const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        if (text == "its own\n") return "";
        for (const std::string& kernel : offered_kernels())
            if (text == kernel + "\n") return kernel;
    } catch (const Error&) {
    }
    return std::nullopt;
}

void remember(const fs::path& file, const std::string& kernel) {
    try {
        const std::string text = kernel.empty() ? "its own\n" : kernel + "\n";
        fs::create_directories(file.parent_path());
        write_file_atomically(file, std::as_bytes(std::span(text)));
    } catch (const std::exception&) {  // tried again by the next run
    }
}

/// The kernel to set, "" for the library's own choice. Throws DeviceError where no kernel gives right products.
std::string choose_kernel(const std::string& file) {
    const Probe own = probe(file, "");
    if (!own.loaded) throw DeviceError(own.fault);
    if (const char* users = users_kernel()) {
        if (own.fault.empty()) return {};
        throw DeviceError(fmt::format("BLAS: {} with {}={}: {}, expected right products; unset {} or choose another",
                                      printable_path(file), kernel_variable, printable(users), own.fault,
                                      kernel_variable));
    }
    const int level = own.fault.empty() ? kernel_level(own.kernel) : -1;
    for (const std::string& kernel : offered_kernels()) {
        if (kernel_level(kernel) <= level) break;
        const Probe better = probe(file, kernel);
        if (better.fault.empty() && kernel_level(better.kernel) > level) return kernel;
    }
    if (level >= 0) return {};
    throw DeviceError(
        fmt::format("BLAS: {}: {}, expected right products; give another library with --blas or PDADMM_BLAS",
                    printable_path(file), own.fault));
}

/// The library to load: the user's, else the first of those that were found at configuration and are still there.
std::string library_file(const std::string& asked) {
    if (asked != "auto" && asked != "as-is") return asked;
    std::error_code ignored;
    for (const fs::path& file : path_list(PDADMM_BLAS_FILES))
        if (fs::exists(file, ignored)) return file;
    return "libopenblas.so.0";
}

std::mutex asking;
std::string asked_by_program;

BlasLibrary chosen_library() {
    const std::lock_guard<std::mutex> lock(asking);
    const char* variable = std::getenv("PDADMM_BLAS");
    const std::string asked = !asked_by_program.empty() ? asked_by_program : variable && *variable ? variable : "auto";
    const std::string file = library_file(asked);
    std::string kernel;
    if (asked != "as-is") {
        const std::string key = choice_key(file);
        const fs::path folder = cache_folder();
        const fs::path memory = key.empty() || folder.empty() ? fs::path() : folder / "blas" / key;
        const std::optional<std::string> known = memory.empty() ? std::nullopt : remembered(memory);
        kernel = known ? *known : choose_kernel(file);
        if (!known && !memory.empty()) remember(memory, kernel);
    }
    BlasLibrary library = load(file, kernel);
    library.choice = !kernel.empty() ? "set for this processor" : users_kernel() ? kernel_variable : "its own choice";
    return library;
}

}  // namespace

int kernel_level(const std::string& kernel) {
    for (const char* name : {"SkylakeX", "Cooperlake", "SapphireRapids"})
        if (kernel == name) return 3;
    for (const char* name : {"Haswell", "Zen", "Excavator"})
        if (kernel == name) return 2;
    for (const char* name : {"Sandybridge", "Bulldozer", "Piledriver", "Steamroller"})
        if (kernel == name) return 1;
    return 0;
}

void use_blas(const std::string& library) {
    const std::lock_guard<std::mutex> lock(asking);
    asked_by_program = library;
}

std::string describe(const BlasLibrary& library) {
    return fmt::format("{}, {} kernels ({}), {}", library.version, library.kernel, library.choice,
                       fs::path(library.file).filename().string());
}

const BlasLibrary& blas_library() {
    static const BlasLibrary library = chosen_library();
    return library;
}

}  // namespace pdadmm
