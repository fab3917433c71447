// Memory of a slab of features of all nodes.
#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <memory>

#include "host/machine/large_pages.hpp"
#include "pdadmm/error.hpp"
#include "pdadmm/types.hpp"

namespace pdadmm {

/// X of a slab. On large pages where the system has them: every gather would else miss the table of small ones.
class Slab {
public:
    explicit Slab(std::size_t values) : data_(static_cast<real*>(allocate_on_large_pages(values * sizeof(real)))) {
        if (!data_)
            throw DeviceError(fmt::format("memory: none for a slab of {} bytes, expected as much; give less --memory",
                                          values * sizeof(real)));
    }
    real* data() { return data_.get(); }

private:
    struct Free {
        void operator()(real* memory) const { std::free(memory); }
    };
    std::unique_ptr<real, Free> data_;
};

}  // namespace pdadmm
