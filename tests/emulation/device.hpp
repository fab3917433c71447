// The emulated device: what all calls share. Calls of several host threads take turns.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "tests/emulation/graph.hpp"
#include "tests/emulation/grid.hpp"
#include "tests/emulation/memory.hpp"
#include "tests/emulation/queue.hpp"

namespace emulation {

inline constexpr int processors = 132, threads_per_processor = 2048, blocks_per_processor = 32;

class Device {
public:
    static Device& instance();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    Memory memory;
    Queue queue;
    Dice dice;
    std::recursive_mutex mutex;
    std::vector<std::shared_ptr<Capture>> captures;  // under way
    std::set<std::unique_ptr<CUevent_st>> events;
    std::set<std::unique_ptr<CUgraph_st>> graphs;
    cudaError_t sticky = cudaSuccess;
    static thread_local cudaStreamCaptureMode thread_mode;
    std::uint64_t operations = 0;
    std::size_t longest_path = 0;  // of the graph that was instantiated last
    std::size_t awaited = 0;       // marks that streams wait for and that another host thread may see done (nccl.cpp)
    bool truncates_tf32 = false;
    int device_count = 1;       // that it answers to: several devices are this one, with the memory of all
    int calls_until_loss = -1;  // then the device is lost, as after a kernel's fault; -1: never

    /// Whether a test planted a failure of this call (hooks.hpp).
    bool refused(const std::string& name);
    void refuse(const std::string& name, int times, int after) { refusals_.push_back({name, times, after}); }
    void refuse_nothing() { refusals_.clear(); }
    /// Notes a fault; calls fail with `status` from now on.
    void fault(const std::string& text, cudaError_t status = cudaErrorLaunchFailure);
    std::vector<std::string> take_faults();
    void reseed(std::uint64_t seed);
    /// Words of the last fault, for cudaGetErrorString.
    const std::string& last_words() const { return last_words_; }

    /// Queues `work` in the stream, or writes it down where the stream is captured. `name` is said where it does
    /// damage: that of a call, or of a kernel by its entry.
    cudaError_t submit(cudaStream_t stream, const char* name, std::function<void()> work);
    cudaError_t submit(cudaStream_t stream, const void* kernel, std::function<void()> work);
    /// Runs what waits until done(); other host threads get their turn where nothing can go on without them.
    void run_until(const std::function<bool()>& done);
    /// Until the work of the calling host thread's streams is done: all work of the device, were each thread a process.
    void run_own();
    /// Runs all that can go on without other host threads.
    void run_all() {
        queue.run_until([this] { return queue.empty(); }, dice);
    }
    /// An error where a call that may not happen during a capture happens during one; the capture is lost.
    cudaError_t refuse_capture();
    cudaError_t refuse_capture(CUstream_st& stream);
    bool is_event(cudaEvent_t event) const;

private:
    Device();
    cudaError_t submit(cudaStream_t stream, std::function<std::string()> name, std::function<void()> work);
    struct Refusal {
        std::string call;
        int times, after;
    };
    std::vector<Refusal> refusals_;
    std::vector<std::string> faults_;
    std::string last_words_;
    std::uint64_t seed_ = 0;
    bool seed_told_ = false;
};

void set_last_error(cudaError_t status);

/// A call of the interface: one at a time, refused after a fault, its error kept for cudaGetLastError.
template <typename F>
cudaError_t call(F f) {
    Device& device = Device::instance();
    const std::lock_guard lock(device.mutex);
    if (device.calls_until_loss >= 0 && device.calls_until_loss-- == 0) device.sticky = cudaErrorLaunchFailure;
    const cudaError_t before = device.sticky;
    const cudaError_t status = before != cudaSuccess ? before : f(device);
    const cudaError_t result = status == cudaSuccess ? device.sticky : status;
    if (result != cudaSuccess && result != cudaErrorNotReady) set_last_error(result);
    return result;
}

}  // namespace emulation
