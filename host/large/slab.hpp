// Memory of a slab of features of all nodes.
#pragma once

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdlib>
#include <memory>

#include "pdadmm/error.hpp"
#include "pdadmm/types.hpp"

namespace pdadmm {

/// X of a slab. On large pages where the system has them: every gather would else miss the table of small ones.
class Slab {
public:
    explicit Slab(std::size_t values)
        : data_(static_cast<real*>(std::aligned_alloc(page, (values * sizeof(real) + page - 1) / page * page))) {
        if (!data_)
            throw DeviceError(fmt::format("memory: none for a slab of {} bytes, expected as much; give less --memory",
                                          values * sizeof(real)));
        ::madvise(data_.get(), values * sizeof(real), MADV_HUGEPAGE);  // a wish
    }
    real* data() { return data_.get(); }

private:
    static constexpr std::size_t page = std::size_t{2} << 20;
    struct Free {
        void operator()(real* memory) const { std::free(memory); }
    };
    std::unique_ptr<real, Free> data_;
};

}  // namespace pdadmm
