// Transparent huge pages (host/machine/large_pages.hpp).
#include "host/machine/large_pages.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

namespace pdadmm {

void prefer_large_pages(void* begin, std::size_t bytes) {
    const auto address = reinterpret_cast<std::uintptr_t>(begin), first = (address + large_page - 1) / large_page,
               last = (address + bytes) / large_page;
    if (first < last)  // a wish: small pages do as well where it is refused
        ::madvise(reinterpret_cast<void*>(first * large_page), (last - first) * large_page, MADV_HUGEPAGE);
}

void* allocate_on_large_pages(std::size_t bytes) {
    const std::size_t whole = (bytes + large_page - 1) / large_page * large_page;
    void* memory = std::aligned_alloc(large_page, whole);
    if (memory) prefer_large_pages(memory, whole);
    return memory;
}

}  // namespace pdadmm
