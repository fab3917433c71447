// In place of nccl.cpp where the program is built without NCCL.
#include "host/transport/nccl.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

bool nccl_built() { return false; }

std::unique_ptr<Transport> make_nccl(Backend&, Control&, std::function<void(const PeerFailure&)>) {
    throw DeviceError(
        "nccl: built without NCCL, expected it; configure with -DPDADMM_CUDA=ON -DPDADMM_NCCL=ON, or use --transport "
        "local");
}

}  // namespace pdadmm
