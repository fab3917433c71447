// In place of the NCCL transport where the program is built without it.
#include "host/transport/nccl.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

bool nccl_built() { return false; }

std::unique_ptr<Transport> make_nccl(Backend&, Control&) {
    throw DeviceError("nccl: built without NCCL, expected a build with CUDA and NCCL; configure with -DPDADMM_CUDA=ON where NCCL is installed");
}

}  // namespace pdadmm
