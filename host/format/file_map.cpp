// Files as memory (InputFile::map of host/format/file.hpp). A page that the file has no longer comes as SIGBUS, which
// is made one line here; what others wrote into pages that are there still is not noticed.
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "host/format/file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

/// Where a file is mapped, as a handler of signals may read it.
struct Place {
    std::atomic<std::uintptr_t> begin{0}, end{0};  // 0: free
    std::string line;                              // that the process ends with
};

std::array<Place, 16> places;  // a file beyond them ends without a line
std::mutex places_change;
std::atomic_flag said;
struct sigaction action_before;

void end_with_line(int signal, siginfo_t* info, void*) {
    const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    for (const Place& place : places) {
        if (address < place.begin || address >= place.end) continue;
        if (said.test_and_set()) ::pause();  // another thread ends the process
        const ssize_t put = ::write(STDERR_FILENO, place.line.data(), place.line.size());
        ::_exit(static_cast<int>(put < 0 ? ExitCode::internal : ExitCode::data));
    }
    ::sigaction(signal, &action_before, nullptr);  // of other memory: touched again, it takes the way that it had
}

void take_signal() {
    struct sigaction action = {};
    action.sa_sigaction = end_with_line;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &action_before);  // cannot fail for this number
}

void remember(const void* memory, std::uint64_t bytes, const std::string& name) {
    static std::once_flag taken;
    std::call_once(taken, take_signal);
    const std::lock_guard lock(places_change);
    const auto free = std::find_if(places.begin(), places.end(), [](const Place& place) { return place.begin == 0; });
    if (free == places.end()) return;
    free->line = fmt::format(
        "pdadmm: error: {}: became shorter, or its disk failed, while it was in use, expected {} bytes; make it anew\n",
        name, bytes);
    free->begin = reinterpret_cast<std::uintptr_t>(memory);  // then the end: a handler never sees more than there is
    free->end = reinterpret_cast<std::uintptr_t>(memory) + bytes;
}

void forget(const void* memory) {
    const std::lock_guard lock(places_change);
    for (Place& place : places) {
        if (place.begin != reinterpret_cast<std::uintptr_t>(memory)) continue;
        place.end = 0;
        place.begin = 0;
    }
}

}  // namespace

std::shared_ptr<const std::byte> InputFile::map() const {
    void* memory = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_, 0);
    if (memory == MAP_FAILED)
        throw DeviceError(fmt::format("{}: cannot be mapped: {}, expected {:.2f} GiB of address space; raise ulimit -v",
                                      name_, std::strerror(errno), static_cast<double>(size_) / (1 << 30)));
    remember(memory, size_, name_);
    return {static_cast<const std::byte*>(memory), [bytes = size_](const std::byte* mapped) {
                forget(mapped);
                ::munmap(const_cast<std::byte*>(mapped), bytes);
            }};
}

}  // namespace pdadmm
