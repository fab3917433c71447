// Messages between processes with one GPU each, by NCCL (host/transport/nccl.hpp).
//
// All messages of a set are one group on a stream of their own. Events put that behind the backend's work so far and
// the backend's later work behind it, so they travel under what the backend does between start() and finish(). The
// communicator does not block: the host polls it until NCCL has queued a set, never until a set has arrived.
#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <thread>

#include "cuda/cuda_backend.cuh"
#include "pdadmm/cuda.hpp"

namespace pdadmm {
namespace {

using cuda::Event;
using cuda::Stream;

constexpr int polls_before_sleep = 1000;  // some 50 us, longer than NCCL takes to queue a set once connections are made
constexpr std::chrono::microseconds sleep_between_polls{50};
constexpr std::chrono::seconds longest_farewell{5};

/// NCCL's words as part of one line.
std::string words_of(ncclResult_t result, ncclComm_t communicator) {
    constexpr std::size_t most = 300;
    std::string words = ncclGetErrorString(result);
    const char* const last = communicator ? ncclGetLastError(communicator) : nullptr;
    if (last && *last) words += std::string(": ") + last;
    std::replace_if(
        words.begin(), words.end(), [](unsigned char c) { return c < ' ' || c == 127; }, ' ');
    words.resize(std::min(words.find_last_not_of(' ') + 1, most));
    return words;
}

class NcclTransport final : public Transport {
public:
    NcclTransport(CudaBackend& backend, Control& control, std::function<void(const PeerError&)> on_failure);
    ~NcclTransport() override;
    std::string name() const override { return "nccl"; }

private:
    void start_messages(std::span<const Message> messages) override;
    void finish_messages(std::span<const Message> messages) override;
    void abandon_messages() noexcept override { intact_ = false; }

    void check(ncclResult_t result, const char* call);
    ncclResult_t poll();
    void wait_until_queued(const char* call);

    CudaBackend& backend_;
    std::function<void(const PeerError&)> on_failure_;
    Stream stream_;
    Event ready_, done_;
    ncclComm_t communicator_ = nullptr;
    bool travelling_ = false;  // the set under way has messages that NCCL was given
    bool intact_ = true;
    const int exceptions_ = std::uncaught_exceptions();
};

NcclTransport::NcclTransport(CudaBackend& backend, Control& control, std::function<void(const PeerError&)> on_failure)
    : Transport(control.rank(), control.size()), backend_(backend), on_failure_(std::move(on_failure)) {
    int least = 0, most = 0;  // the most: blocks that send do not wait behind all blocks of a product
    PDADMM_CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&least, &most));
    PDADMM_CUDA_CHECK(cudaStreamCreateWithPriority(stream_.out(), cudaStreamNonBlocking, most));
    for (Event* event : {&ready_, &done_})
        PDADMM_CUDA_CHECK(cudaEventCreateWithFlags(event->out(), cudaEventDisableTiming));
    ncclUniqueId id{};
    if (rank() == 0) check(ncclGetUniqueId(&id), "ncclGetUniqueId");
    const std::vector<std::byte> shared = control.broadcast(std::as_bytes(std::span(id.internal)), 0);
    if (shared.size() != sizeof id.internal)
        throw PeerError("rank 0: an id of NCCL of " + std::to_string(shared.size()) + " bytes, expected " +
                        std::to_string(sizeof id.internal) + "; start all ranks with the same build");
    std::copy_n(reinterpret_cast<const char*>(shared.data()), shared.size(), id.internal);
    ncclConfig_t configuration = NCCL_CONFIG_INITIALIZER;
    configuration.blocking = 0;
    check(ncclCommInitRankConfig(&communicator_, size(), id, rank(), &configuration), "ncclCommInitRankConfig");
    wait_until_queued("ncclCommInitRankConfig");
}

// After an error the other ranks may not come to their end, and NCCL would wait for them: the process is about to
// leave.
NcclTransport::~NcclTransport() {
    if (!intact_ || travelling_ || std::uncaught_exceptions() != exceptions_) return;
    const auto until = std::chrono::steady_clock::now() + longest_farewell;
    ncclResult_t state = ncclCommFinalize(communicator_);
    while (state == ncclInProgress && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(sleep_between_polls);
        if (ncclCommGetAsyncError(communicator_, &state) != ncclSuccess) return;
    }
    if (state == ncclSuccess) ncclCommDestroy(communicator_);
}

void NcclTransport::check(ncclResult_t result, const char* call) {
    if (result == ncclSuccess || result == ncclInProgress) return;
    intact_ = false;
    const PeerError error("rank " + std::to_string(rank()) + ": " + call + ": " + words_of(result, communicator_) +
                          ", expected NCCL to reach all ranks; restart with --resume, NCCL_DEBUG=INFO tells more");
    on_failure_(error);
    throw error;
}

ncclResult_t NcclTransport::poll() {
    ncclResult_t state = ncclInProgress;
    check(ncclCommGetAsyncError(communicator_, &state), "ncclCommGetAsyncError");
    return state;
}

/// Work may be put into the stream again, and lies behind what NCCL put there. Also finds what failed since the last
/// call.
void NcclTransport::wait_until_queued(const char* call) {
    ncclResult_t state = poll();
    for (int polls = 0; state == ncclInProgress; state = poll())
        if (++polls > polls_before_sleep) std::this_thread::sleep_for(sleep_between_polls);
    check(state, call);
}

void NcclTransport::start_messages(std::span<const Message> messages) {
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    PDADMM_CUDA_CHECK(cudaStreamIsCapturing(backend_.stream(), &capture));
    if (capture != cudaStreamCaptureStatusNone) throw Error(ExitCode::internal, "nccl: messages in a recorded phase");
    wait_until_queued("an earlier message");
    travelling_ = std::any_of(messages.begin(), messages.end(), [](const Message& m) { return m.bytes > 0; });
    if (!travelling_) return;
    PDADMM_CUDA_CHECK(cudaEventRecord(ready_, backend_.stream()));
    PDADMM_CUDA_CHECK(cudaStreamWaitEvent(stream_, ready_, 0));
    check(ncclGroupStart(), "ncclGroupStart");
    for (const Message& message : messages) {
        if (message.bytes == 0) continue;
        if (message.direction == Direction::send)
            check(ncclSend(message.data, message.bytes, ncclUint8, message.peer, communicator_, stream_), "ncclSend");
        else
            check(ncclRecv(message.data, message.bytes, ncclUint8, message.peer, communicator_, stream_), "ncclRecv");
    }
    check(ncclGroupEnd(), "ncclGroupEnd");
}

void NcclTransport::finish_messages(std::span<const Message>) {
    wait_until_queued("ncclGroupEnd");
    if (!travelling_) return;
    PDADMM_CUDA_CHECK(cudaEventRecord(done_, stream_));
    PDADMM_CUDA_CHECK(cudaStreamWaitEvent(backend_.stream(), done_, 0));
    travelling_ = false;
}

}  // namespace

std::unique_ptr<Transport> make_nccl_transport(Backend& backend, Control& control,
                                               std::function<void(const PeerError&)> on_failure) {
    auto* const on_device = dynamic_cast<CudaBackend*>(&backend);
    if (!on_device)
        throw UsageError("--transport nccl: backend " + backend.name() +
                         ", expected cuda; use --transport local or mpi");
    return std::make_unique<NcclTransport>(*on_device, control, std::move(on_failure));
}

}  // namespace pdadmm
