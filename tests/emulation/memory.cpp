#include "tests/emulation/memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emulation {
namespace {

constexpr std::size_t band_bytes = 512;  // before and after; the alignment of an allocation is 256, as on the device
constexpr int band = 0xEE, poison = 0xFF;

std::size_t padded(std::size_t bytes) { return (bytes + 255) / 256 * 256; }
/// Bytes behind the allocation: the rest of its last 256 and a band.
std::size_t behind(std::size_t bytes) { return padded(bytes) - bytes + band_bytes; }

}  // namespace

// Under the address sanitizer nobody may touch the bands, so that a read is found too, with the kernel's stack.
void Memory::guard(std::byte* base, std::size_t bytes) {
    std::memset(base - band_bytes, band, band_bytes);
    std::memset(base + bytes, band, behind(bytes));
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(base - band_bytes, band_bytes);
    __asan_poison_memory_region(base + bytes, behind(bytes));
#endif
}

bool Memory::intact([[maybe_unused]] std::byte* base, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    return true;
#else
    static const std::vector<unsigned char> whole(band_bytes + 256, band);
    return std::memcmp(base - band_bytes, whole.data(), band_bytes) == 0 &&
           std::memcmp(base + bytes, whole.data(), behind(bytes)) == 0;
#endif
}

void* Memory::allocate(std::size_t bytes) {
    if (until_failure_ >= 0 && until_failure_-- == 0) return nullptr;
    if (used_ + padded(bytes) > total_) return nullptr;
    auto* start = static_cast<std::byte*>(std::aligned_alloc(256, padded(bytes) + 2 * band_bytes));
    if (!start) return nullptr;
    std::byte* base = start + band_bytes;
    std::memset(base, poison, bytes);
    guard(base, bytes);
    live_[base] = bytes;
    used_ += padded(bytes);
    return base;
}

bool Memory::release(void* memory) {
    const auto found = live_.find(static_cast<std::byte*>(memory));
    if (found == live_.end()) return false;
    const auto [base, bytes] = *found;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(base - band_bytes, bytes + band_bytes + behind(bytes));
#endif
    std::memset(base, poison, bytes);
    used_ -= padded(bytes);
    live_.erase(found);
    std::free(base - band_bytes);
    return true;
}

bool Memory::contains(const void* at, std::size_t bytes) const {
    auto next = live_.upper_bound(static_cast<std::byte*>(const_cast<void*>(at)));
    if (next == live_.begin()) return false;
    const auto& [base, size] = *std::prev(next);
    const auto offset = static_cast<std::size_t>(static_cast<const std::byte*>(at) - base);
    return offset <= size && bytes <= size - offset;
}

bool Memory::touches(const void* at, std::size_t bytes) const {
    const auto* from = static_cast<const std::byte*>(at);
    return std::any_of(live_.begin(), live_.end(), [&](const auto& a) {
        return from < a.first + a.second + behind(a.second) && from + bytes > a.first - band_bytes;
    });
}

std::string Memory::damage() {
    for (const auto& [base, bytes] : live_)
        if (!intact(base, bytes)) {
            guard(base, bytes);
            return "write out of the bounds of an allocation of " + std::to_string(bytes) + " bytes";
        }
    return "";
}

bool Memory::is_pinned(const void* at) const {
    return std::any_of(pinned_.begin(), pinned_.end(),
                       [&](const auto& p) { return at >= p.first && at < p.first + p.second; });
}

}  // namespace emulation
