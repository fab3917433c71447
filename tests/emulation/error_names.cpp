// Names and words of the runtime's errors. Those of a fault say what went wrong in which kernel.
#include "emulation/runtime_api.hpp"
#include "tests/emulation/device.hpp"

const char* cudaGetErrorName(cudaError_t status) {
#define EMULATION_NAME(error) \
    case error:               \
        return #error
    switch (status) {
        EMULATION_NAME(cudaSuccess);
        EMULATION_NAME(cudaErrorInvalidValue);
        EMULATION_NAME(cudaErrorMemoryAllocation);
        EMULATION_NAME(cudaErrorInitializationError);
        EMULATION_NAME(cudaErrorInvalidConfiguration);
        EMULATION_NAME(cudaErrorInvalidMemcpyDirection);
        EMULATION_NAME(cudaErrorInsufficientDriver);
        EMULATION_NAME(cudaErrorInvalidDeviceFunction);
        EMULATION_NAME(cudaErrorNoDevice);
        EMULATION_NAME(cudaErrorInvalidDevice);
        EMULATION_NAME(cudaErrorInvalidResourceHandle);
        EMULATION_NAME(cudaErrorNotReady);
        EMULATION_NAME(cudaErrorIllegalAddress);
        EMULATION_NAME(cudaErrorLaunchOutOfResources);
        EMULATION_NAME(cudaErrorLaunchFailure);
        EMULATION_NAME(cudaErrorCooperativeLaunchTooLarge);
        EMULATION_NAME(cudaErrorNotSupported);
        EMULATION_NAME(cudaErrorStreamCaptureUnsupported);
        EMULATION_NAME(cudaErrorStreamCaptureInvalidated);
        EMULATION_NAME(cudaErrorStreamCaptureMerge);
        EMULATION_NAME(cudaErrorStreamCaptureUnmatched);
        EMULATION_NAME(cudaErrorStreamCaptureUnjoined);
        EMULATION_NAME(cudaErrorStreamCaptureIsolation);
        EMULATION_NAME(cudaErrorStreamCaptureImplicit);
        EMULATION_NAME(cudaErrorCapturedEvent);
        EMULATION_NAME(cudaErrorStreamCaptureWrongThread);
        EMULATION_NAME(cudaErrorInvalidClusterSize);
        EMULATION_NAME(cudaErrorUnknown);
    }
#undef EMULATION_NAME
    return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t status) {
    emulation::Device& device = emulation::Device::instance();
    const std::lock_guard lock(device.mutex);
    if (status != cudaSuccess && status == device.sticky) return device.last_words().c_str();
    return status == cudaErrorMemoryAllocation ? "out of memory" : cudaGetErrorName(status);
}
