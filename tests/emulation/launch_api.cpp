// Launches: the checks that the device makes, and what fits on it.
#include <algorithm>
#include <map>

#include "emulation/runtime_api.hpp"
#include "tests/emulation/device.hpp"
#include "tests/emulation/shared_memory.hpp"

namespace emulation {
namespace {

constexpr std::size_t plain_shared_bytes = std::size_t{48} << 10, processor_shared_bytes = std::size_t{228} << 10,
                      reserved_bytes = 1024;
constexpr unsigned most_threads = 1024, portable_cluster = 8, most_cluster = 16;

struct Attributes {
    std::size_t shared_bytes = plain_shared_bytes;
    bool large_clusters = false;
};

std::map<const void*, Attributes>& attributes() {
    static std::map<const void*, Attributes> of_kernels;
    return of_kernels;
}

std::size_t product(dim3 d) { return std::size_t{d.x} * d.y * d.z; }

int blocks_at_once(std::size_t threads, std::size_t shared_bytes) {
    const std::size_t warps = (threads + 31) / 32 * 32;
    const std::size_t fits =
        std::min({std::size_t{threads_per_processor} / warps, processor_shared_bytes / (shared_bytes + reserved_bytes),
                  std::size_t{blocks_per_processor}});
    return static_cast<int>(fits);
}

Kernel kernel_of(const cudaLaunchConfig_t& config, const void* entry) {
    Kernel kernel;
    kernel.entry = entry;
    kernel.grid = config.gridDim;
    kernel.block = config.blockDim;
    kernel.shared_bytes = config.dynamicSmemBytes;
    for (unsigned k = 0; k < config.numAttrs; ++k) {
        const cudaLaunchAttribute& a = config.attrs[k];
        if (a.id == cudaLaunchAttributeCooperative) kernel.cooperative = a.val.cooperative != 0;
        if (a.id == cudaLaunchAttributeClusterDimension) {
            kernel.cluster = {a.val.clusterDim.x, a.val.clusterDim.y, a.val.clusterDim.z};
            kernel.clustered = true;
        }
    }
    return kernel;
}

cudaError_t check(const Kernel& kernel) {
    const dim3 g = kernel.grid, b = kernel.block, c = kernel.cluster;
    const Attributes& known = attributes()[kernel.entry];
    if (product(g) == 0 || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535) return cudaErrorInvalidConfiguration;
    if (product(b) == 0 || product(b) > most_threads || b.z > 64) return cudaErrorInvalidConfiguration;
    if (kernel.shared_bytes > known.shared_bytes) return cudaErrorInvalidValue;
    if (product(c) == 0 || g.x % c.x != 0 || g.y % c.y != 0 || g.z % c.z != 0) return cudaErrorInvalidConfiguration;
    if (product(c) > (known.large_clusters ? most_cluster : portable_cluster)) return cudaErrorInvalidClusterSize;
    const int fits = blocks_at_once(product(b), kernel.shared_bytes);
    if (kernel.cooperative && product(g) > static_cast<std::size_t>(fits) * processors)
        return cudaErrorCooperativeLaunchTooLarge;
    return cudaSuccess;
}

}  // namespace

cudaError_t launch(const cudaLaunchConfig_t& config, const void* entry, std::function<void()> body) {
    return call([&](Device& device) {
        Kernel kernel = kernel_of(config, entry);
        if (config.stream && device.queue.knows(config.stream) && config.stream->device != current_device())
            return cudaErrorInvalidResourceHandle;
        const cudaError_t status = check(kernel);
        if (status != cudaSuccess) return status;
        if (kernel.cooperative && device.refused("cooperative launch")) return cudaErrorCooperativeLaunchTooLarge;
        kernel.body = std::move(body);
        return device.submit(config.stream, entry, [&device, kernel] {
            const std::string fault = Grid(kernel, device.dice.next()).run();
            if (!fault.empty()) device.fault(fault);
        });
    });
}

cudaError_t set_attribute(const void* kernel, cudaFuncAttribute attribute, int value) {
    return call([&](Device&) {
        if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize) {
            if (value < 0 || static_cast<std::size_t>(value) > most_shared_bytes) return cudaErrorInvalidValue;
            attributes()[kernel].shared_bytes = static_cast<std::size_t>(value);
        }
        if (attribute == cudaFuncAttributeNonPortableClusterSizeAllowed)
            attributes()[kernel].large_clusters = value != 0;
        return cudaSuccess;
    });
}

cudaError_t get_attributes(cudaFuncAttributes* result, const void* kernel) {
    return call([&](Device&) {
        *result = {0,  0,  0,  static_cast<int>(most_threads),
                   64, 90, 90, static_cast<int>(attributes()[kernel].shared_bytes)};
        return cudaSuccess;
    });
}

cudaError_t active_blocks(int* blocks, int threads, std::size_t shared_bytes) {
    return call([&](Device&) {
        if (threads < 1 || threads > static_cast<int>(most_threads)) return cudaErrorInvalidValue;
        *blocks = blocks_at_once(static_cast<std::size_t>(threads), shared_bytes);
        return cudaSuccess;
    });
}

cudaError_t active_clusters(int* clusters, const cudaLaunchConfig_t* config) {
    return call([&](Device&) {
        const Kernel kernel = kernel_of(*config, nullptr);
        *clusters = blocks_at_once(product(kernel.block), kernel.shared_bytes) * processors /
                    static_cast<int>(product(kernel.cluster));
        return cudaSuccess;
    });
}

cudaError_t largest_cluster(int* size, const void* kernel) {
    return call([&](Device&) {
        *size = static_cast<int>(attributes()[kernel].large_clusters ? most_cluster : portable_cluster);
        return cudaSuccess;
    });
}

}  // namespace emulation
