// Graph preparation on a device: Thrust on the backend's stream, with temporary memory of the backend's own.
#include "cuda/graph_preparation.cuh"

#include <thrust/system/cuda/execution_policy.h>
#include <thrust/system_error.h>

#include "cuda/augmentation.cuh"

namespace pdadmm::cuda {
namespace {

/// Thrust's temporary memory.
class Allocator {
public:
    using value_type = char;
    explicit Allocator(Backend& backend) : backend_(&backend) {}
    char* allocate(std::ptrdiff_t bytes) {
        return static_cast<char*>(backend_->allocate(static_cast<std::size_t>(bytes)));
    }
    void deallocate(char* memory, std::size_t) { backend_->release(memory); }

private:
    Backend* backend_;
};

}  // namespace

PropagationOperator prepare_graph(Backend& backend, cudaStream_t stream, const Csr& adjacency,
                                  const GraphOptions& options) {
    const std::size_t free = backend.free_memory(),
                      need = graph_preparation::bytes_needed(adjacency.rows, adjacency.nnz(), options);
    if (need > free)
        throw DeviceError("CUDA memory: " + gibibytes(free) + " free, expected " + gibibytes(need) +
                          " to prepare a graph of " + std::to_string(adjacency.nnz()) +
                          " stored edges; augment it with --backend cpu");
    Allocator allocator(backend);
    try {
        PropagationOperator a = graph_preparation::propagation_operator(thrust::cuda::par(allocator).on(stream),
                                                                        backend, adjacency, options);
        PDADMM_CUDA_CHECK(cudaStreamSynchronize(stream));  // a fault of these kernels is reported here
        return a;
    } catch (const thrust::system_error& error) {
        fail("graph preparation", error.what(), std::source_location::current());
    }
}

}  // namespace pdadmm::cuda
