// Streams, graphs, memory and products of the emulated device, with planted bugs between streams.
#include <cmath>

#include "cublasLt.h"
#include "cuda_bf16.h"
#include "cusparse.h"
#include "tests/emulation/emulation_bench.hpp"

using namespace emulation_test;
using testing::HasSubstr;

namespace {

class EmulationStreams : public EmulationTest {
protected:
    void SetUp() override {
        ASSERT_EQ(cudaEventCreateWithFlags(&done, cudaEventDisableTiming), cudaSuccess);
        ASSERT_EQ(cudaEventCreateWithFlags(&back, cudaEventDisableTiming), cudaSuccess);
    }
    void TearDown() override {
        cudaEventDestroy(done);
        cudaEventDestroy(back);
    }
    cudaEvent_t done = nullptr, back = nullptr;
};

__global__ void set_kernel(int* at, int value) { *at = value; }
__global__ void double_kernel(const int* from, int* to) { *to = 2 * *from; }
__global__ void add_kernel(int* at, int value) { *at += value; }

constexpr int trials = 64;
const Shape one{1, 1};

TEST_F(EmulationStreams, AMissingEventGivesWrongResults) {
    for (const bool linked : {true, false}) {
        int wrong = 0;
        for (int trial = 1; trial <= trials; ++trial) {
            int *a = filled<int>({0}), *b = filled<int>({0});
            ASSERT_EQ(start(one, stream, set_kernel, a, trial), cudaSuccess);
            ASSERT_EQ(cudaEventRecord(done, stream), cudaSuccess);
            if (linked) {
                ASSERT_EQ(cudaStreamWaitEvent(other, done), cudaSuccess);
            }
            ASSERT_EQ(start(one, other, double_kernel, a, b), cudaSuccess);
            ASSERT_EQ(cudaStreamSynchronize(other), cudaSuccess);
            wrong += read(b, 1)[0] != 2 * trial;
        }
        EXPECT_EQ(wrong == 0, linked) << wrong << " of " << trials;
    }
}

TEST_F(EmulationStreams, NothingHappensBeforeSynchronisation) {
    int* a = filled<int>({1});
    int value = 0;
    ASSERT_EQ(cudaMemcpyAsync(&value, a, sizeof value, cudaMemcpyDeviceToHost, stream), cudaSuccess);
    EXPECT_EQ(value, 0);
    EXPECT_EQ(cudaEventRecord(done, stream), cudaSuccess);
    EXPECT_EQ(cudaEventSynchronize(done), cudaSuccess);
    EXPECT_EQ(value, 1);
}

/// b = 2 a beside c = 2 a, then b += c, forked over two streams.
void fork(cudaStream_t stream, cudaStream_t other, cudaEvent_t done, cudaEvent_t back, int* a, int* b, int* c,
          bool joined) {
    EXPECT_EQ(start(one, stream, set_kernel, a, 5), cudaSuccess);
    EXPECT_EQ(cudaEventRecord(done, stream), cudaSuccess);
    EXPECT_EQ(cudaStreamWaitEvent(other, done), cudaSuccess);
    EXPECT_EQ(start(one, stream, double_kernel, a, b), cudaSuccess);
    EXPECT_EQ(start(one, other, double_kernel, a, c), cudaSuccess);
    EXPECT_EQ(cudaEventRecord(back, other), cudaSuccess);
    if (joined) {
        EXPECT_EQ(cudaStreamWaitEvent(stream, back), cudaSuccess);
    }
    EXPECT_EQ(start(one, stream, add_kernel, b, 1), cudaSuccess);
}

TEST_F(EmulationStreams, ACaptureForksAndJoins) {
    int *a = filled<int>({0}), *b = filled<int>({0}), *c = filled<int>({0});
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    fork(stream, other, done, back, a, b, c, true);
    ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    std::size_t nodes = 0;
    ASSERT_EQ(cudaGraphGetNodes(graph, nullptr, &nodes), cudaSuccess);
    EXPECT_EQ(nodes, 4u);
    EXPECT_EQ(read(a, 1)[0], 0) << "a capture runs nothing";
    ASSERT_EQ(cudaGraphInstantiate(&exec, graph), cudaSuccess);
    ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    for (int launch = 0; launch < 3; ++launch) ASSERT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
    EXPECT_EQ(read(b, 1)[0], 11);
    EXPECT_EQ(read(c, 1)[0], 10);
    ASSERT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);

    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    fork(stream, other, done, back, a, b, c, false);
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureUnjoined);
}

TEST_F(EmulationStreams, ACaptureRefusesWhatItCannotHold) {
    void* memory = nullptr;
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    EXPECT_EQ(cudaMalloc(&memory, 16), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaGetLastError(), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), cudaSuccess);
    EXPECT_EQ(cudaMalloc(&memory, 16), cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(cudaFree(memory), cudaSuccess);
    ASSERT_EQ(cudaEventRecord(done, other), cudaSuccess);
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    EXPECT_EQ(cudaStreamWaitEvent(stream, done), cudaErrorStreamCaptureIsolation);
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
}

__global__ void count_down_kernel(int* left, int* rounds, cudaGraphConditionalHandle handle) {
    if (*left > 0) ++*rounds;
    --*left;
    cudaGraphSetConditional(handle, *left > 0);
}
__global__ void condition_kernel(const int* left, cudaGraphConditionalHandle handle) {
    cudaGraphSetConditional(handle, *left > 0);
}

TEST_F(EmulationStreams, AWhileNodeRepeatsItsBody) {
    int *left = filled<int>({0}), *rounds = filled<int>({0});
    cudaGraph_t graph = nullptr, looped = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    cudaStreamCaptureStatus status{};
    ASSERT_EQ(cudaStreamGetCaptureInfo(stream, &status, nullptr, &graph), cudaSuccess);
    ASSERT_EQ(status, cudaStreamCaptureStatusActive);
    cudaGraphConditionalHandle handle{};
    ASSERT_EQ(cudaGraphConditionalHandleCreate(&handle, graph, 0, cudaGraphCondAssignDefault), cudaSuccess);
    ASSERT_EQ(start(one, stream, condition_kernel, left, handle), cudaSuccess);
    const cudaGraphNode_t* before = nullptr;
    const cudaGraphEdgeData* edges = nullptr;
    std::size_t count = 0;
    ASSERT_EQ(cudaStreamGetCaptureInfo(stream, &status, nullptr, &graph, &before, &edges, &count), cudaSuccess);
    ASSERT_EQ(count, 1u);
    cudaGraphNodeParams parameters{};
    parameters.type = cudaGraphNodeTypeConditional;
    parameters.conditional.handle = handle;
    parameters.conditional.type = cudaGraphCondTypeWhile;
    parameters.conditional.size = 1;
    cudaGraphNode_t node = nullptr;
    ASSERT_EQ(cudaGraphAddNode(&node, graph, before, edges, count, &parameters), cudaSuccess);
    ASSERT_EQ(cudaStreamBeginCaptureToGraph(other, parameters.conditional.phGraph_out[0], nullptr, nullptr, 0,
                                            cudaStreamCaptureModeThreadLocal),
              cudaSuccess);
    ASSERT_EQ(start(one, other, count_down_kernel, left, rounds, handle), cudaSuccess);
    ASSERT_EQ(cudaStreamEndCapture(other, &looped), cudaSuccess);
    ASSERT_EQ(cudaStreamUpdateCaptureDependencies(stream, &node, nullptr, 1, cudaStreamSetCaptureDependencies),
              cudaSuccess);
    ASSERT_EQ(start(one, stream, add_kernel, rounds, 100), cudaSuccess);
    ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    cudaGraphExec_t exec = nullptr;
    ASSERT_EQ(cudaGraphInstantiate(&exec, graph), cudaSuccess);
    for (const int wanted : {7, 0, 3}) {
        ASSERT_EQ(start(one, stream, set_kernel, left, wanted), cudaSuccess);
        ASSERT_EQ(start(one, stream, set_kernel, rounds, 0), cudaSuccess);
        ASSERT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
        EXPECT_EQ(read(rounds, 1)[0], 100 + wanted);
    }
    ASSERT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
    ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}

TEST_F(EmulationStreams, MemoryRunsOut) {
    std::size_t free_bytes = 0, total = 0;
    ASSERT_EQ(cudaMemGetInfo(&free_bytes, &total), cudaSuccess);
    EXPECT_EQ(free_bytes, total);
    emulation::set_memory(1 << 20);
    void *a = nullptr, *b = nullptr;
    EXPECT_EQ(cudaMalloc(&a, 900 << 10), cudaSuccess);
    EXPECT_EQ(cudaMalloc(&b, 200 << 10), cudaErrorMemoryAllocation);
    EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
    EXPECT_EQ(cudaFree(a), cudaSuccess);
    emulation::fail_allocation(1);
    EXPECT_EQ(cudaMalloc(&a, 16), cudaSuccess);
    EXPECT_EQ(cudaMalloc(&b, 16), cudaErrorMemoryAllocation);
    EXPECT_EQ(cudaMalloc(&b, 16), cudaSuccess);
    emulation::set_memory(total);
    int host[8] = {};
    EXPECT_EQ(cudaMemcpyAsync(b, host, 17, cudaMemcpyHostToDevice, stream), cudaErrorInvalidValue)
        << "longer than the allocation";
    EXPECT_EQ(cudaMemcpyAsync(b, a, 16, cudaMemcpyHostToDevice, stream), cudaErrorInvalidValue) << "not host memory";
    EXPECT_EQ(cudaFree(a), cudaSuccess);
    EXPECT_EQ(cudaFree(b), cudaSuccess);
    EXPECT_EQ(cudaFree(host), cudaErrorInvalidValue);
    EXPECT_THAT(fault(), HasSubstr("free of memory that was not given out"));
}

TEST_F(EmulationStreams, ProductsRoundTheirInputs) {
    const float x = 1 + 1.0f / 512 + 1.0f / 4096;  // 12 bits of mantissa
    const float *A = filled<float>({x}), *B = filled<float>({1});
    float* C = filled<float>({0});
    cublasLtHandle_t handle = nullptr;
    ASSERT_EQ(cublasLtCreate(&handle), CUBLAS_STATUS_SUCCESS);
    cublasLtMatrixLayout_t layout = nullptr;
    ASSERT_EQ(cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 1, 1, 1), CUBLAS_STATUS_SUCCESS);
    const auto product = [&](cublasComputeType_t compute) {
        cublasLtMatmulDesc_t description = nullptr;
        EXPECT_EQ(cublasLtMatmulDescCreate(&description, compute, CUDA_R_32F), CUBLAS_STATUS_SUCCESS);
        const float one_host = 1, zero = 0;
        EXPECT_EQ(cublasLtMatmul(handle, description, &one_host, A, layout, B, layout, &zero, C, layout, C, layout,
                                 nullptr, nullptr, 0, stream),
                  CUBLAS_STATUS_SUCCESS);
        cublasLtMatmulDescDestroy(description);
        return read(C, 1)[0];
    };
    EXPECT_EQ(product(CUBLAS_COMPUTE_32F), x);
    EXPECT_EQ(product(CUBLAS_COMPUTE_32F_FAST_TF32), 1 + 1.0f / 512);  // 1/4096 is below half of 2^-10
    EXPECT_EQ(product(CUBLAS_COMPUTE_32F_FAST_16BF), 1.0f);
    EXPECT_EQ(static_cast<float>(__float2bfloat16(1 + 1.0f / 128 + 1.0f / 256)), 1 + 2.0f / 128) << "half to even";
    cublasLtMatrixLayoutDestroy(layout);
    cublasLtDestroy(handle);
}

TEST_F(EmulationStreams, BelongToTheDeviceThatWasChosen) {
    int* a = filled<int>({1});
    emulation::set_devices(2);
    ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
    EXPECT_EQ(start(one, stream, set_kernel, a, 2), cudaErrorInvalidResourceHandle);
    cudaEvent_t theirs = nullptr;
    ASSERT_EQ(cudaEventCreateWithFlags(&theirs, cudaEventDisableTiming), cudaSuccess);
    EXPECT_EQ(cudaEventRecord(theirs, stream), cudaErrorInvalidResourceHandle);
    ASSERT_EQ(cudaEventDestroy(theirs), cudaSuccess);
    ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
    emulation::set_devices(1);
    EXPECT_EQ(start(one, stream, set_kernel, a, 2), cudaSuccess);
    EXPECT_EQ(read(a, 1)[0], 2);
}

TEST_F(EmulationStreams, ACaptureHoldsNoPageableMemory) {
    int *a = filled<int>({1}), value = 0;
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    EXPECT_EQ(cudaMemcpyAsync(&value, a, sizeof value, cudaMemcpyDeviceToHost, stream),
              cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
}

TEST_F(EmulationStreams, SparseMatricesHaveIndicesOfOneWidth) {
    float *values = filled<float>({1}), *x = filled<float>({2}), *y = array<float>(1);
    std::int64_t* offsets = filled<std::int64_t>({0, 1});
    std::int32_t* columns = filled<std::int32_t>({0});
    cusparseHandle_t handle = nullptr;
    cusparseSpMatDescr_t matrix = nullptr;
    cusparseDnMatDescr_t X = nullptr, Y = nullptr;
    ASSERT_EQ(cusparseCreate(&handle), CUSPARSE_STATUS_SUCCESS);
    ASSERT_EQ(cusparseCreateCsr(&matrix, 1, 1, 1, offsets, columns, values, CUSPARSE_INDEX_64I, CUSPARSE_INDEX_32I,
                                CUSPARSE_INDEX_BASE_ZERO, CUDA_R_32F),
              CUSPARSE_STATUS_SUCCESS);
    ASSERT_EQ(cusparseCreateDnMat(&X, 1, 1, 1, x, CUDA_R_32F, CUSPARSE_ORDER_ROW), CUSPARSE_STATUS_SUCCESS);
    ASSERT_EQ(cusparseCreateDnMat(&Y, 1, 1, 1, y, CUDA_R_32F, CUSPARSE_ORDER_ROW), CUSPARSE_STATUS_SUCCESS);
    const float factor = 1;
    std::size_t bytes = 0;
    constexpr cusparseOperation_t plain = CUSPARSE_OPERATION_NON_TRANSPOSE;
    EXPECT_EQ(cusparseSpMM_bufferSize(handle, plain, plain, &factor, matrix, X, &factor, Y, CUDA_R_32F,
                                      CUSPARSE_SPMM_CSR_ALG3, &bytes),
              CUSPARSE_STATUS_INVALID_VALUE);
    cusparseDestroySpMat(matrix);
    cusparseDestroyDnMat(X);
    cusparseDestroyDnMat(Y);
    cusparseDestroy(handle);
}

}  // namespace
