// In place of cuda/graph_preparation.cu on the emulated device, which has no Thrust: the CPU's operator, taken to the
// device.
#include "cuda/augmentation.cuh"
#include "host/data/graph.hpp"

namespace pdadmm::cuda {

PropagationOperator prepare_graph(Backend& backend, cudaStream_t, const Csr& adjacency, const GraphOptions& options) {
    return stored_operator(backend, pdadmm::propagation_operator(adjacency, options));
}

}  // namespace pdadmm::cuda
