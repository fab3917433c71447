// The way from names to cuda/ for the NCCL transport (host/transport/nccl.hpp).
#include "host/transport/nccl.hpp"

#include "pdadmm/cuda.hpp"

namespace pdadmm {

bool nccl_built() { return true; }

std::unique_ptr<Transport> make_nccl(Backend& backend, Control& control,
                                     std::function<void(const PeerFailure& failure)> on_failure) {
    return make_nccl_transport(backend, control, [&control, leave = std::move(on_failure)](const PeerError& error) {
        control.fail(error);
        leave({error.what(), error.code(), control.known_to_first()});
    });
}

}  // namespace pdadmm
