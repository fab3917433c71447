// Limits of memory, read from /proc and /sys (host/machine/memory.hpp).
#include "host/machine/memory.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace pdadmm {
namespace {

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

std::uint64_t left(std::uint64_t limit, std::uint64_t used) { return limit > used ? limit - used : 0; }

std::uint64_t available_on_machine() {
    std::ifstream info("/proc/meminfo");
    std::string key;
    std::uint64_t kib = 0;
    while (info >> key >> kib) {
        if (key == "MemAvailable:") return kib * 1024;
        info.ignore(256, '\n');
    }
    return unlimited;
}

/// Version 2 of control groups; file pages that the kernel would give back count as free.
std::uint64_t available_in_group() {
    std::ifstream membership("/proc/self/cgroup");
    std::string line;
    while (std::getline(membership, line) && !line.starts_with("0::")) {
    }
    if (!line.starts_with("0::")) return unlimited;
    std::uint64_t least = unlimited;
    for (std::string path = line.substr(3);; path.erase(path.rfind('/'))) {
        const std::string folder = "/sys/fs/cgroup" + path + "/";
        std::uint64_t most = 0, used = 0, reclaimable = 0, value = 0;
        if (std::ifstream(folder + "memory.max") >> most && std::ifstream(folder + "memory.current") >> used) {
            std::ifstream statistics(folder + "memory.stat");
            for (std::string key; statistics >> key >> value;)
                if (key == "inactive_file" || key == "active_file") reclaimable += value;
            least = std::min(least, left(most, left(used, reclaimable)));
        }
        if (path.find('/') == std::string::npos) return least;
    }
}

}  // namespace

std::uint64_t available_address_space() {
    rlimit limit{};
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return unlimited;
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return left(limit.rlim_cur, pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
}

std::uint64_t available_memory() {
    return std::min({available_on_machine(), available_in_group(), available_address_space()});
}

}  // namespace pdadmm
