// What the tests of the emulated device share: a launch, an owner of device memory and a stream.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "cuda_runtime.h"
#include "emulation/hooks.hpp"
#include "tests/support/test_seed.hpp"

namespace emulation_test {

struct Shape {
    dim3 grid, block;
    std::size_t shared_bytes = 0;
    unsigned cluster = 1;
    bool cooperative = false;
};

template <typename... Parameters, typename... Arguments>
cudaError_t start(const Shape& shape, cudaStream_t stream, void (*kernel)(Parameters...), Arguments... arguments) {
    cudaLaunchAttribute attributes[2] = {};
    cudaLaunchConfig_t config{shape.grid, shape.block, shape.shared_bytes, stream, attributes, 2};
    attributes[0].id = shape.cluster > 1 ? cudaLaunchAttributeClusterDimension : cudaLaunchAttributeIgnore;
    attributes[0].val.clusterDim = {shape.cluster, 1, 1};
    attributes[1].id = cudaLaunchAttributeCooperative;
    attributes[1].val.cooperative = shape.cooperative;
    return cudaLaunchKernelEx(&config, kernel, arguments...);
}

/// A stream and device memory for a test; no faults before, and none that the test did not take after.
class EmulationTest : public testing::Test {
protected:
    EmulationTest() {
        seed_ = pdadmm::test_seed();
        emulation::set_seed(seed_);
        EXPECT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
        EXPECT_EQ(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), cudaSuccess);
    }
    ~EmulationTest() override {
        if (HasFailure()) std::printf("seed %llu\n", static_cast<unsigned long long>(seed_));
        EXPECT_THAT(emulation::take_faults(), testing::IsEmpty());
        emulation::clear_errors();
        for (void* memory : owned_) EXPECT_EQ(cudaFree(memory), cudaSuccess);
        EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
        EXPECT_EQ(cudaStreamDestroy(other), cudaSuccess);
        EXPECT_EQ(emulation::used_memory(), 0u);
    }

    template <typename T>
    T* array(std::size_t count) {
        T* memory = nullptr;
        EXPECT_EQ(cudaMalloc(&memory, count * sizeof(T)), cudaSuccess);
        owned_.push_back(memory);
        return memory;
    }
    template <typename T>
    T* filled(const std::vector<T>& values) {
        T* memory = array<T>(values.size());
        EXPECT_EQ(cudaMemcpy(memory, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
        return memory;
    }
    template <typename T>
    std::vector<T> read(const T* memory, std::size_t count) {
        std::vector<T> values(count);
        EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        EXPECT_EQ(cudaMemcpy(values.data(), memory, count * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
        return values;
    }
    /// The one fault that a planted bug leaves; calls work again.
    std::string fault() {
        EXPECT_NE(cudaDeviceSynchronize(), cudaSuccess);
        const std::vector<std::string> all = emulation::take_faults();
        emulation::clear_errors();
        EXPECT_EQ(all.size(), 1u);
        return all.empty() ? "" : all[0];
    }

    cudaStream_t stream = nullptr, other = nullptr;

private:
    std::vector<void*> owned_;
    std::uint64_t seed_ = 0;
};

}  // namespace emulation_test
