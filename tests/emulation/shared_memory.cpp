#include "tests/emulation/shared_memory.hpp"

#include <link.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "emulation/lane.hpp"

namespace pdadmm::cuda {
// What `extern __shared__ std::byte dynamic_shared[]` of the kernels stands for.
alignas(1024) thread_local std::byte dynamic_shared[emulation::most_shared_bytes];
}  // namespace pdadmm::cuda

namespace emulation {
namespace {

constexpr int poison = 0xFF;
constexpr std::size_t watched_bytes = 1024;  // behind dynamic shared memory

struct Span {
    std::byte* begin = nullptr;
    std::size_t bytes = 0;
};

int find_block(dl_phdr_info* module, std::size_t, void* result) {
    Span& span = *static_cast<Span*>(result);
    auto* begin = static_cast<std::byte*>(module->dlpi_tls_data);
    for (int k = 0; begin && k < module->dlpi_phnum; ++k) {
        if (module->dlpi_phdr[k].p_type != PT_TLS) continue;
        const std::size_t bytes = module->dlpi_phdr[k].p_memsz;
        const auto at = reinterpret_cast<std::uintptr_t>(&current), from = reinterpret_cast<std::uintptr_t>(begin);
        if (at < from || at >= from + bytes) continue;
        span = {begin, bytes};
        return 1;
    }
    return 0;
}

// Looked up once: `current` has the same place in the block of every thread.
Span find_span() {
    static const auto [offset, bytes] = [] {
        Span span;
        dl_iterate_phdr(find_block, &span);
        if (!span.begin) throw std::runtime_error("emulated device: the program's thread-local memory is not found");
        return std::pair(reinterpret_cast<std::byte*>(&current) - span.begin, span.bytes);
    }();
    return {reinterpret_cast<std::byte*>(&current) - offset, bytes};
}

std::size_t watched(std::size_t bytes) { return std::min(bytes + watched_bytes, most_shared_bytes); }

}  // namespace

std::byte* thread_local_block() { return find_span().begin; }

void poison_shared_memory(std::size_t bytes) {
    const Span all = find_span();
    Lane* const kept = current;
    std::byte* const dynamic = pdadmm::cuda::dynamic_shared;
    std::memset(all.begin, poison, static_cast<std::size_t>(dynamic - all.begin));
    std::memset(dynamic, poison, watched(bytes));
    std::byte* const behind = dynamic + most_shared_bytes;
    std::memset(behind, poison, static_cast<std::size_t>(all.begin + all.bytes - behind));
    current = kept;
}

bool shared_memory_intact(std::size_t bytes) {
    return std::all_of(pdadmm::cuda::dynamic_shared + bytes, pdadmm::cuda::dynamic_shared + watched(bytes),
                       [](std::byte b) { return b == std::byte{poison}; });
}

}  // namespace emulation
