#include "tests/emulation/device.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "emulation/hooks.hpp"
#include "emulation/runtime_api.hpp"

namespace emulation {
namespace {

constexpr std::size_t most_waiting = 4096;  // operations of a stream before some are run
constexpr int untaken_faults = 86;          // exit code

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

thread_local cudaError_t last_error = cudaSuccess;  // of a host thread
thread_local int chosen_device = 0;

}  // namespace

thread_local cudaStreamCaptureMode Device::thread_mode = cudaStreamCaptureModeGlobal;

void set_last_error(cudaError_t status) { last_error = status; }
int current_device() { return chosen_device; }

Device& Device::instance() {
    static Device device;
    [[maybe_unused]] static const int registered = std::atexit([] {  // after the device was made, so before it goes
        if (device.take_faults().empty()) return;
        std::fprintf(stderr, "emulated device: faults were reported, see above\n");
        std::fflush(nullptr);
        std::_Exit(untaken_faults);
    });
    return device;
}

/// Of the order in which threads run: the same each time, as test_seed.hpp draws those of inputs.
std::uint64_t usual_seed() {
    const char* given = std::getenv("PDADMM_TEST_SEED");
    return given && std::string(given) == "fresh" ? std::random_device{}() : 1;
}

Device::Device() : dice(0) {
    reseed(number_from("PDADMM_EMULATION_SEED", usual_seed()));
    memory.set_total(number_from("PDADMM_EMULATION_MEMORY", memory.total()));
    device_count = static_cast<int>(number_from("PDADMM_EMULATION_DEVICES", 1));
    if (std::getenv("PDADMM_EMULATION_FAIL_ALLOCATION"))
        memory.fail_after(static_cast<int>(number_from("PDADMM_EMULATION_FAIL_ALLOCATION", 0)));
}

void Device::reseed(std::uint64_t seed) {
    seed_ = seed;
    dice = Dice(seed);
}

void Device::fault(const std::string& text, cudaError_t status) {
    if (!seed_told_)
        std::fprintf(stderr, "emulated device: PDADMM_EMULATION_SEED=%llu\n", static_cast<unsigned long long>(seed_));
    seed_told_ = true;
    std::fprintf(stderr, "emulated device: %s\n", text.c_str());
    faults_.push_back(text);
    last_words_ = text;
    if (sticky == cudaSuccess) sticky = status;
}

bool Device::refused(const std::string& name) {
    const std::lock_guard lock(mutex);
    for (Refusal& r : refusals_) {
        if (r.call != name || r.times == 0) continue;
        if (r.after > 0) return --r.after, false;
        return --r.times, true;
    }
    return false;
}

std::vector<std::string> Device::take_faults() {
    const std::lock_guard lock(mutex);
    return std::exchange(faults_, {});
}

cudaError_t Device::submit(cudaStream_t stream, const char* name, std::function<void()> work) {
    return submit(
        stream, [name] { return std::string(name); }, std::move(work));
}
cudaError_t Device::submit(cudaStream_t stream, const void* kernel, std::function<void()> work) {
    return submit(
        stream, [kernel] { return kernel_name(kernel); }, std::move(work));
}

cudaError_t Device::submit(cudaStream_t stream, std::function<std::string()> name, std::function<void()> work) {
    if (!queue.knows(stream)) return cudaErrorInvalidResourceHandle;
    const auto checked = [this, name = std::move(name), work = std::move(work)] {
        if (sticky != cudaSuccess) return;
        ++operations;
        work();
        const std::string damage = memory.damage();
        if (!damage.empty()) fault(name() + ": " + damage, cudaErrorIllegalAddress);
    };
    if (!stream) {  // the null stream waits for all that do not opt out; here it is never behind the host
        for (const auto& capture : captures)
            if (capture->origin->blocking) return cudaErrorStreamCaptureImplicit;
        run_until([this] {
            bool idle = true;
            queue.each([&idle](const CUstream_st& s) { idle = idle && (!s.blocking || s.waiting.empty()); });
            return idle;
        });
        checked();
        return cudaSuccess;
    }
    if (stream->capture) {
        if (stream->capture->invalid) return cudaErrorStreamCaptureInvalidated;
        stream->capture->add(*stream, checked);
        return cudaSuccess;
    }
    queue.put(*stream, {checked, nullptr, nullptr, nullptr});
    if (stream->waiting.size() > most_waiting)
        run_until([stream] { return stream->waiting.size() < most_waiting / 2; });
    return cudaSuccess;
}

void Device::run_until(const std::function<bool()>& done) {
    constexpr std::chrono::microseconds turn{20};
    for (;;) {
        queue.run_until(done, dice);
        if (awaited == 0 || done()) return;
        mutex.unlock();  // held once: by call()
        std::this_thread::sleep_for(turn);
        mutex.lock();
    }
}

void Device::run_own() {
    run_all();
    run_until([this] {
        bool idle = true;
        queue.each([&idle](const CUstream_st& s) {
            idle = idle && (s.waiting.empty() || s.thread != std::this_thread::get_id());
        });
        return idle;
    });
}

cudaError_t Device::refuse_capture() {
    cudaError_t status = cudaSuccess;
    if (thread_mode == cudaStreamCaptureModeRelaxed) return status;
    for (const auto& capture : captures)
        if (capture->mode == cudaStreamCaptureModeGlobal ||
            (capture->mode == cudaStreamCaptureModeThreadLocal && capture->thread == std::this_thread::get_id())) {
            capture->invalid = true;
            status = cudaErrorStreamCaptureUnsupported;
        }
    return status;
}

cudaError_t Device::refuse_capture(CUstream_st& stream) {
    if (!stream.capture) return cudaSuccess;
    stream.capture->invalid = true;
    return cudaErrorStreamCaptureUnsupported;
}

bool Device::is_event(cudaEvent_t event) const {
    return std::any_of(events.begin(), events.end(), [event](const auto& e) { return e.get() == event; });
}

// What tests plant and ask (hooks.hpp).
std::vector<std::string> take_faults() { return Device::instance().take_faults(); }
void clear_errors() {
    Device& device = Device::instance();
    const std::lock_guard lock(device.mutex);
    device.run_all();  // nothing that waited runs any more
    device.captures.clear();
    device.sticky = cudaSuccess;
    device.refuse_nothing();
    last_error = cudaSuccess;
}
void set_seed(std::uint64_t seed) { Device::instance().reseed(seed); }
void set_memory(std::size_t bytes) { Device::instance().memory.set_total(bytes); }
void lose_device(int calls) { Device::instance().calls_until_loss = calls; }
void refuse(const std::string& call, int times, int after) { Device::instance().refuse(call, times, after); }
void truncate_tf32(bool truncates) { Device::instance().truncates_tf32 = truncates; }
void fail_allocation(int allocations) { Device::instance().memory.fail_after(allocations); }
void set_devices(int count) { Device::instance().device_count = count; }
std::size_t used_memory() { return Device::instance().memory.used(); }
std::uint64_t operations() { return Device::instance().operations; }
std::size_t longest_path() { return Device::instance().longest_path; }

}  // namespace emulation

using namespace emulation;

cudaError_t cudaGetDeviceCount(int* count) {
    *count = Device::instance().device_count;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
    *device = chosen_device;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int number) {
    return call([&](Device& device) {
        if (number < 0 || number >= device.device_count) return cudaErrorInvalidDevice;
        chosen_device = number;
        return cudaSuccess;
    });
}
cudaError_t cudaDriverGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) { return cudaDriverGetVersion(version); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int number) {
    return call([&](Device& device) {
        if (number < 0 || number >= device.device_count) return cudaErrorInvalidDevice;
        cudaDeviceProp p{};
        std::strcpy(p.name, "emulated");
        p.totalGlobalMem = device.memory.total();
        p.sharedMemPerBlock = std::size_t{48} << 10;
        p.sharedMemPerBlockOptin = std::size_t{227} << 10;
        p.sharedMemPerMultiprocessor = std::size_t{228} << 10;
        p.reservedSharedMemPerBlock = 1024;
        p.regsPerBlock = 65536;
        p.warpSize = 32;
        p.maxThreadsPerBlock = 1024;
        p.maxThreadsPerMultiProcessor = threads_per_processor;
        p.maxBlocksPerMultiProcessor = blocks_per_processor;
        p.multiProcessorCount = processors;
        p.major = 9;
        p.l2CacheSize = 50 << 20;
        p.persistingL2CacheMaxSize = 32 << 20;
        p.cooperativeLaunch = p.clusterLaunch = p.concurrentKernels = p.unifiedAddressing = 1;
        p.asyncEngineCount = 3;
        *properties = p;
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int number) {
    cudaDeviceProp p{};
    const cudaError_t status = cudaGetDeviceProperties(&p, number);
    if (status != cudaSuccess) return status;
    switch (attribute) {
        case cudaDevAttrMaxThreadsPerBlock:
            *value = p.maxThreadsPerBlock;
            break;
        case cudaDevAttrWarpSize:
            *value = p.warpSize;
            break;
        case cudaDevAttrMultiProcessorCount:
            *value = p.multiProcessorCount;
            break;
        case cudaDevAttrL2CacheSize:
            *value = p.l2CacheSize;
            break;
        case cudaDevAttrComputeCapabilityMajor:
            *value = p.major;
            break;
        case cudaDevAttrComputeCapabilityMinor:
            *value = p.minor;
            break;
        case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
            *value = static_cast<int>(p.sharedMemPerMultiprocessor);
            break;
        case cudaDevAttrCooperativeLaunch:
            *value = p.cooperativeLaunch;
            break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
            *value = static_cast<int>(p.sharedMemPerBlockOptin);
            break;
        case cudaDevAttrClusterLaunch:
            *value = p.clusterLaunch;
            break;
    }
    return cudaSuccess;
}

cudaError_t cudaGetLastError() {
    const cudaError_t status = cudaPeekAtLastError();
    last_error = cudaSuccess;
    return status;
}
cudaError_t cudaPeekAtLastError() {
    Device& device = Device::instance();
    const std::lock_guard lock(device.mutex);
    return device.sticky != cudaSuccess ? device.sticky : last_error;
}
