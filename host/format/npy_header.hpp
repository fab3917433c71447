// The header of an .npy file.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// What the header says, and how long it is.
struct NpyHeader {
    std::string dtype;  // as in NpyArray
    bool big_endian = false, fortran = false;
    std::vector<Index> shape;
    std::size_t bytes = 0;  // before the data
};

/// The header of a whole .npy file. `name` goes into messages. Throws DataError: another magic or version, a header
/// above 64 KiB or outside the grammar of npy_header.cpp, rank above 2, or a dtype that is not read.
NpyHeader parse_npy_header(std::span<const std::byte> file, const std::string& name);

}  // namespace pdadmm
