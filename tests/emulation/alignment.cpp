// Accesses that a device refuses: a vector of 16 bytes must lie at a multiple of 16. The processor does not mind, so
// kernels are compiled with -fsanitize=alignment, whose report comes here instead of into the sanitizer's library.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "emulation/lane.hpp"

namespace {

/// What the compiler hands over, as GCC and Clang lay it out.
struct TypeMismatch {
    struct {
        const char* file;
        std::uint32_t line, column;
    } place;
    struct Type {
        std::uint16_t kind, info;
        char name[1];
    } const* type;
    unsigned char log_alignment, kind;
};

}  // namespace

extern "C" [[noreturn]] void __ubsan_handle_type_mismatch_v1_abort(const TypeMismatch* found, const void* at) {
    const char* const slash = std::strrchr(found->place.file, '/');
    char what[300];  // no string: stop() never comes back to free it
    std::snprintf(what, sizeof what, "access of %s at an address that is no multiple of %u (%s:%u)", found->type->name,
                  1u << found->log_alignment, slash ? slash + 1 : found->place.file, found->place.line);
    if (emulation::current) emulation::lane_fault(what, emulation::Place::current());
    std::fprintf(stderr, "emulated device, on the host: %s: %p\n", what, at);
    std::abort();
}
