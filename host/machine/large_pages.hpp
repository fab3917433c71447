// Memory on large pages: filled with fewer faults, and read with fewer misses of the table that maps addresses.
#pragma once

#include <cstddef>

namespace pdadmm {

/// From here on an array is worth large pages: what is rounded up is then little.
constexpr std::size_t large_page = std::size_t{2} << 20, least_on_large_pages = 4 * large_page;

/// Memory for `bytes` that begins where a large page may, on such pages where the system has them (Linux: transparent
/// huge pages, if only on request). To be freed by std::free; null where there is none.
void* allocate_on_large_pages(std::size_t bytes);

/// Asks for large pages in what lies whole within `begin` .. `begin + bytes` and was not touched yet.
void prefer_large_pages(void* begin, std::size_t bytes);

}  // namespace pdadmm
