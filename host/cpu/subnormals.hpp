// Subnormal numbers count as zero in the work of the CPU backend: residuals fade into them as the iterates converge,
// and many processors take a hundred times longer over them. No figure of a run is that small.
#pragma once

#include <cstdint>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace pdadmm {

/// From construction to destruction, in this thread. On processors other than x86-64 and arm64 nothing changes.
class FlushSubnormals {
public:
    FlushSubnormals() : before_(mode()) { set_mode(before_ | flush); }
    ~FlushSubnormals() { set_mode(before_); }
    FlushSubnormals(const FlushSubnormals&) = delete;
    FlushSubnormals& operator=(const FlushSubnormals&) = delete;

private:
#if defined(__SSE2__)
    static constexpr std::uint64_t flush = 0x8040;  // results and operands
    static std::uint64_t mode() { return _mm_getcsr(); }
    static void set_mode(std::uint64_t bits) { _mm_setcsr(static_cast<unsigned>(bits)); }
#elif defined(__aarch64__)
    static constexpr std::uint64_t flush = std::uint64_t{1} << 24;
    static std::uint64_t mode() {
        std::uint64_t bits;
        asm volatile("mrs %0, fpcr" : "=r"(bits));
        return bits;
    }
    static void set_mode(std::uint64_t bits) { asm volatile("msr fpcr, %0" : : "r"(bits)); }
#else
    static constexpr std::uint64_t flush = 0;
    static std::uint64_t mode() { return 0; }
    static void set_mode(std::uint64_t) {}
#endif

    std::uint64_t before_;
};

}  // namespace pdadmm
