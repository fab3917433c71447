// Memory of a backend, and its owner.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "pdadmm/types.hpp"

namespace pdadmm {

class Memory {
public:
    virtual ~Memory() = default;

    // allocate throws DeviceError with the need and what is free.
    virtual void* allocate(std::size_t bytes) = 0;
    virtual void release(void* memory) noexcept = 0;
    virtual void upload(const void* host, void* device, std::size_t bytes) = 0;
    virtual void download(const void* device, void* host, std::size_t bytes) = 0;  // waits for all work before it
    virtual void fill(Mat a, real value) = 0;
    virtual void copy(CMat from, Mat to) = 0;
    virtual void zero(void* memory, std::size_t bytes) = 0;
    virtual std::size_t free_memory() const = 0;
    /// What lies at `host` as backend memory, for as long as it stays there; null where it has to be uploaded.
    virtual const void* shared(const void* /*host*/) const { return nullptr; }
};

/// Move-only owner of `count` elements of backend memory.
template <typename T>
class Buffer {
public:
    Buffer() = default;
    Buffer(Memory& memory, Index count)
        : memory_(&memory),
          data_(static_cast<T*>(memory.allocate(static_cast<std::size_t>(count) * sizeof(T)))),
          count_(count) {}
    Buffer(Memory& memory, const std::vector<T>& host) : Buffer(memory, static_cast<Index>(host.size())) {
        upload(host);
    }
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        swap(other);
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() {
        if (data_) memory_->release(data_);
    }

    T* data() const { return data_; }
    Index count() const { return count_; }
    void upload(const std::vector<T>& host) { memory_->upload(host.data(), data_, host.size() * sizeof(T)); }
    std::vector<T> download() const {
        std::vector<T> host(static_cast<std::size_t>(count_));
        memory_->download(data_, host.data(), host.size() * sizeof(T));
        return host;
    }

private:
    void swap(Buffer& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(data_, other.data_);
        std::swap(count_, other.count_);
    }
    Memory* memory_ = nullptr;
    T* data_ = nullptr;
    Index count_ = 0;
};

}  // namespace pdadmm
