// Allocations and copies.
#include <cstdlib>
#include <cstring>

#include "emulation/runtime_api.hpp"
#include "tests/emulation/device.hpp"

using namespace emulation;

namespace {

struct Rows {
    std::size_t pitch, width, height;
    std::size_t extent() const { return height == 0 || width == 0 ? 0 : (height - 1) * pitch + width; }
};

cudaError_t allocate(Device& device, void** memory, std::size_t bytes) {
    *memory = nullptr;
    if (bytes == 0) return cudaSuccess;
    *memory = device.memory.allocate(bytes);
    return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t release(Device& device, void* memory) {
    if (!memory || device.memory.release(memory)) return cudaSuccess;
    device.fault("free of memory that was not given out", cudaErrorInvalidValue);
    return cudaErrorInvalidValue;
}

bool fits(const Device& device, const void* at, std::size_t bytes, bool on_device) {
    return on_device ? device.memory.contains(at, bytes) : at && !device.memory.touches(at, bytes);
}

cudaError_t direction(const Device& device, const void* to, std::size_t to_bytes, const void* from,
                      std::size_t from_bytes, cudaMemcpyKind kind) {
    if (kind == cudaMemcpyDefault) {
        const bool target = device.memory.contains(to, to_bytes), source = device.memory.contains(from, from_bytes);
        return fits(device, to, to_bytes, target) && fits(device, from, from_bytes, source) ? cudaSuccess
                                                                                            : cudaErrorInvalidValue;
    }
    const bool target = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool source = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    return fits(device, to, to_bytes, target) && fits(device, from, from_bytes, source) ? cudaSuccess
                                                                                        : cudaErrorInvalidValue;
}

// Host memory is read and written when the work runs, not before: page-locked or not, nobody may rely on more.
cudaError_t copy(Device& device, void* to, Rows of_to, const void* from, Rows of_from, cudaMemcpyKind kind,
                 cudaStream_t stream) {
    if (of_to.extent() == 0) return cudaSuccess;
    if (of_to.width > of_to.pitch || of_from.width > of_from.pitch) return cudaErrorInvalidValue;
    const cudaError_t status = direction(device, to, of_to.extent(), from, of_from.extent(), kind);
    if (status != cudaSuccess) return status;
    const auto may_stay = [&](const void* at) { return device.memory.contains(at, 1) || device.memory.is_pinned(at); };
    if (stream && stream->capture && !(may_stay(to) && may_stay(from))) return device.refuse_capture(*stream);
    return device.submit(stream, "copy", [=, &device] {
        if (direction(device, to, of_to.extent(), from, of_from.extent(), kind) != cudaSuccess)
            return device.fault("copy from or to memory that was freed", cudaErrorIllegalAddress);
        for (std::size_t row = 0; row < of_to.height; ++row)
            std::memmove(static_cast<std::byte*>(to) + row * of_to.pitch,
                         static_cast<const std::byte*>(from) + row * of_from.pitch, of_to.width);
    });
}

cudaError_t set(Device& device, void* memory, Rows rows, int value, cudaStream_t stream) {
    if (rows.extent() == 0) return cudaSuccess;
    if (rows.width > rows.pitch || !device.memory.contains(memory, rows.extent())) return cudaErrorInvalidValue;
    return device.submit(stream, "memset", [=, &device] {
        if (!device.memory.contains(memory, rows.extent()))
            return device.fault("memset of memory that was freed", cudaErrorIllegalAddress);
        for (std::size_t row = 0; row < rows.height; ++row)
            std::memset(static_cast<std::byte*>(memory) + row * rows.pitch, value, rows.width);
    });
}

}  // namespace

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
    return call([&](Device& device) {
        const cudaError_t status = device.refuse_capture();
        return status != cudaSuccess ? status : allocate(device, memory, bytes);
    });
}

cudaError_t cudaFree(void* memory) {
    return call([&](Device& device) {
        const cudaError_t status = device.refuse_capture();
        if (status != cudaSuccess) return status;
        device.run_own();
        const cudaError_t given_back = release(device, memory);
        return device.refused("cudaFree") ? cudaErrorLaunchFailure : given_back;
    });
}

// In stream order; memory is given out at once and taken back when the stream comes to it.
cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t stream) {
    return call([&](Device& device) {
        if (stream && stream->capture) return cudaErrorNotSupported;
        return allocate(device, memory, bytes);
    });
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
    return call([&](Device& device) {
        if (stream && stream->capture) return cudaErrorNotSupported;
        return device.submit(stream, "free", [&device, memory] { release(device, memory); });
    });
}

cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
    return call([&](Device& device) {
        const cudaError_t status = device.refuse_capture();
        if (status != cudaSuccess) return status;
        *memory = std::malloc(bytes == 0 ? 1 : bytes);
        if (!*memory) return cudaErrorMemoryAllocation;
        std::memset(*memory, 0xFF, bytes);
        device.memory.pin(*memory, bytes);
        return cudaSuccess;
    });
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
    return cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
}
cudaError_t cudaFreeHost(void* memory) {
    return call([&](Device& device) {
        if (!memory) return cudaSuccess;
        device.run_own();
        if (!device.memory.unpin(memory)) return cudaErrorInvalidValue;
        std::free(memory);
        return cudaSuccess;
    });
}
cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned) {
    return call([&](Device& device) {
        if (device.memory.is_pinned(memory)) return cudaErrorInvalidValue;
        device.memory.pin(memory, bytes);
        return cudaSuccess;
    });
}
cudaError_t cudaHostUnregister(void* memory) {
    return call([&](Device& device) {
        device.run_own();
        return device.memory.unpin(memory) ? cudaSuccess : cudaErrorInvalidValue;
    });
}
cudaError_t cudaHostGetDevicePointer(void** of_device, void* host, unsigned) {
    return call([&](Device& device) {
        *of_device = host;
        return device.memory.is_pinned(host) ? cudaSuccess : cudaErrorInvalidValue;
    });
}

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total) {
    return call([&](Device& device) {
        *total = device.memory.total();
        *free_bytes = *total > device.memory.used() ? *total - device.memory.used() : 0;
        return cudaSuccess;
    });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
    return call([&](Device& device) {
        void* const plain = const_cast<void*>(pointer);
        if (device.memory.contains(pointer, 1))
            *attributes = {cudaMemoryTypeDevice, 0, plain, nullptr};
        else if (device.memory.is_pinned(pointer))
            *attributes = {cudaMemoryTypeHost, 0, plain, plain};
        else
            *attributes = {cudaMemoryTypeUnregistered, -1, nullptr, plain};
        return cudaSuccess;
    });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    return call([&](Device& device) {
        return copy(device, to, {bytes, bytes, 1}, from, {bytes, bytes, 1}, kind, stream);
    });
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
    return call([&](Device& device) {
        return copy(device, to, {to_pitch, width, height}, from, {from_pitch, width, height}, kind, stream);
    });
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    return call([&](Device& device) {
        const cudaError_t status = device.refuse_capture();
        return status != cudaSuccess ? status
                                     : copy(device, to, {bytes, bytes, 1}, from, {bytes, bytes, 1}, kind, nullptr);
    });
}
cudaError_t cudaMemcpy2D(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                         std::size_t height, cudaMemcpyKind kind) {
    return call([&](Device& device) {
        const cudaError_t status = device.refuse_capture();
        return status != cudaSuccess
                   ? status
                   : copy(device, to, {to_pitch, width, height}, from, {from_pitch, width, height}, kind, nullptr);
    });
}
cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
    return call([&](Device& device) { return set(device, memory, {bytes, bytes, 1}, value, nullptr); });
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
    return call([&](Device& device) { return set(device, memory, {bytes, bytes, 1}, value, stream); });
}
cudaError_t cudaMemset2DAsync(void* memory, std::size_t pitch, int value, std::size_t width, std::size_t height,
                              cudaStream_t stream) {
    return call([&](Device& device) { return set(device, memory, {pitch, width, height}, value, stream); });
}
