// Order of work on the CUDA backend: recorded phases as graphs, groups of layers on lanes side by side, and the loop
// over trials that the device decides itself.
#include <algorithm>
#include <vector>

#include "cuda/cuda_backend.cuh"
#include "cuda/small_network.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

cudaStreamCaptureStatus capture_status(cudaStream_t stream) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    PDADMM_CUDA_CHECK(cudaStreamIsCapturing(stream, &status));
    return status;
}

/// The first run is an ordinary one: it sizes scratch and chooses algorithms, which capture forbids. The second is
/// captured, and from there on a run is one launch. What cannot be captured, or is no graph that can run, runs call by
/// call: no library promises that its calls can be, and where it was another fault, it comes again. Messages are in no
/// graph: a phase with messages between its kernels is several graphs, and messages between their launches.
class GraphPhase final : public Phase, private Recording {
public:
    GraphPhase(Lane& lane, std::function<void()> body, std::vector<std::string>& notes)
        : lane_(lane), body_(std::move(body)), notes_(notes) {}
    void run() override {
        if (form_ == Form::not_captured) capture();
        if (form_ == Form::captured)
            replay();
        else
            body_();
        if (form_ == Form::not_run) form_ = Form::not_captured;
    }

private:
    void capture() {
        form_ = Form::call_by_call;
        const Recorded recorded(lane_, this);
        try {
            begin();
            body_();
            end({});
            for (Piece& piece : pieces_) {
                PDADMM_CUDA_CHECK(cudaGraphInstantiate(piece.exec.out(), piece.graph, 0));
                piece.graph = {};
                PDADMM_CUDA_CHECK(cudaGraphUpload(piece.exec, lane_.stream));
            }
        } catch (const DeviceError& error) {
            give_up();
            notes_.push_back(std::string("a phase is not recorded but runs call by call: ") + error.what());
            return;
        } catch (...) {
            give_up();
            throw;
        }
        form_ = Form::captured;
    }
    void begin() { PDADMM_CUDA_CHECK(cudaStreamBeginCapture(lane_.stream, cudaStreamCaptureModeThreadLocal)); }
    void end(std::function<void()> messages) {
        pieces_.push_back({{}, {}, std::move(messages)});
        PDADMM_CUDA_CHECK(cudaStreamEndCapture(lane_.stream, pieces_.back().graph.out()));
    }
    void part(std::function<void()> messages) override {
        end(std::move(messages));
        begin();
    }
    void replay() {
        for (const Piece& piece : pieces_) {
            PDADMM_CUDA_CHECK(cudaGraphLaunch(piece.exec, lane_.stream));
            if (piece.messages) piece.messages();
        }
    }
    /// So that the stream is usable again.
    void give_up() {
        Graph graph;
        if (capture_status(lane_.stream) != cudaStreamCaptureStatusNone)
            cudaStreamEndCapture(lane_.stream, graph.out());
        cudaGetLastError();
        pieces_.clear();
    }
    /// Messages that the lane is to send are this phase's.
    struct Recorded {
        Lane& lane;
        Recorded(Lane& of, Recording* recording) : lane(of) { lane.recording = recording; }
        Recorded(const Recorded&) = delete;
        Recorded& operator=(const Recorded&) = delete;
        ~Recorded() { lane.recording = nullptr; }
    };
    struct Piece {
        Graph graph;  // until it is executable
        GraphExec exec;
        std::function<void()> messages;  // behind it; none behind the last piece
    };
    enum class Form { not_run, not_captured, captured, call_by_call };
    Lane& lane_;
    std::function<void()> body_;
    std::vector<std::string>& notes_;
    Form form_ = Form::not_run;
    std::vector<Piece> pieces_;
};

/// condition = some pending[l] is positive.
__global__ void condition_kernel(const std::int32_t* pending, Index layers, cudaGraphConditionalHandle condition) {
    unsigned any = 0;
    for (Index l = 0; l < layers; ++l) any |= pending[l] > 0 ? 1u : 0u;
    cudaGraphSetConditional(condition, any);
}

/// The persistent kernel of a small network, with its figures in the history.
class SmallNetworkRun final : public FusedIterations {
public:
    SmallNetworkRun(Lane& lane, SmallNetwork plan, std::shared_ptr<const Stall> stall, const History& history)
        : lane_(lane), plan_(std::move(plan)), stall_(std::move(stall)), history_(history) {}
    void run(Index first, int count) override {
        plan_.enqueue(lane_.stream, history_.figures + first * history_.layers, history_.controls + first, count);
    }
    std::string description() const override {
        return "clusters of " + std::to_string(plan_.cluster()) + " blocks, " + std::to_string(plan_.shared_bytes()) +
               " bytes each";
    }

private:
    Lane& lane_;
    SmallNetwork plan_;
    std::shared_ptr<const Stall> stall_;
    History history_;
};

}  // namespace

std::unique_ptr<FusedIterations> CudaBackend::fuse(std::span<const LayerGroup> groups, const Controls* k, StepSpec spec,
                                                   const History& history) {
    if (!fused_) return nullptr;
    const std::shared_ptr<Stall> stall = page_locked_stall();
    std::optional<SmallNetwork> plan = SmallNetwork::plan(*this, groups, k, spec, lane().stream, stall.get());
    if (!plan) return nullptr;
    std::erase_if(stalls_, [](const auto& old) { return old.expired(); });
    stalls_.push_back(stall);
    return std::make_unique<SmallNetworkRun>(lane(), std::move(*plan), stall, history);
}

std::unique_ptr<Phase> CudaBackend::record(std::function<void()> body) {
    return graphs_ ? std::make_unique<GraphPhase>(lane(), std::move(body), product_algorithms_)
                   : Backend::record(std::move(body));
}

void CudaBackend::concurrently(Index count, const std::function<void(Index)>& body) {
    while (static_cast<Index>(lanes_.size()) < count) add_lane();
    Lane& first = lane();
    PDADMM_CUDA_CHECK(cudaEventRecord(first.done, first.stream));
    for (Index i = 1; i < count; ++i)
        PDADMM_CUDA_CHECK(cudaStreamWaitEvent(lanes_[static_cast<std::size_t>(i)].stream, first.done, 0));
    struct BackToFirst {
        std::size_t& lane;
        ~BackToFirst() { lane = 0; }
    };
    {
        const BackToFirst guard{lane_};
        for (Index i = 0; i < count; ++i) {
            lane_ = static_cast<std::size_t>(i);
            body(i);
        }
    }
    for (Index i = 1; i < count; ++i) {
        const Lane& other = lanes_[static_cast<std::size_t>(i)];
        PDADMM_CUDA_CHECK(cudaEventRecord(other.done, other.stream));
        PDADMM_CUDA_CHECK(cudaStreamWaitEvent(first.stream, other.done, 0));
    }
}

void CudaBackend::wait() { synchronize(stream()); }

/// Kernels are loaded when they are first launched; this one's first launch would be within a capture.
void CudaBackend::load_loop_kernel() {
    cudaFuncAttributes attributes{};
    PDADMM_CUDA_CHECK(cudaFuncGetAttributes(&attributes, condition_kernel));
}

void CudaBackend::repeat_while(const std::int32_t* pending, Index layers, int most, const std::function<void()>& body) {
    if (capture_status(lane().stream) == cudaStreamCaptureStatusActive) {
        if (others_) throw DeviceError("trials of quantised steps ask other ranks, which no graph can");
        return repeat_on_device(pending, layers, body);
    }
    std::vector<std::int32_t> left(static_cast<std::size_t>(layers));
    for (int trial = 0; trial < most; ++trial) {
        PDADMM_CUDA_CHECK(cudaMemcpyAsync(left.data(), pending, left.size() * sizeof(std::int32_t),
                                          cudaMemcpyDeviceToHost, lane().stream));
        synchronize(lane().stream);
        if (std::none_of(left.begin(), left.end(), [](std::int32_t trials) { return trials > 0; })) return;
        body();
    }
}

// A WHILE node; every trial counts `pending` down, so it ends by itself.
void CudaBackend::repeat_on_device(const std::int32_t* pending, Index layers, const std::function<void()>& body) {
    Lane& here = lane();
    cudaStreamCaptureStatus status{};
    cudaGraph_t graph = nullptr;
    PDADMM_CUDA_CHECK(cudaStreamGetCaptureInfo(here.stream, &status, nullptr, &graph, nullptr, nullptr, nullptr));
    cudaGraphConditionalHandle condition{};
    PDADMM_CUDA_CHECK(cudaGraphConditionalHandleCreate(&condition, graph, 0, 0));
    launch("condition", condition_kernel, 1, 1, here.stream, pending, layers, condition);

    const cudaGraphNode_t* before = nullptr;
    const cudaGraphEdgeData* edges = nullptr;
    std::size_t count = 0;
    PDADMM_CUDA_CHECK(cudaStreamGetCaptureInfo(here.stream, &status, nullptr, &graph, &before, &edges, &count));
    cudaGraphNodeParams parameters{};
    parameters.type = cudaGraphNodeTypeConditional;
    parameters.conditional.handle = condition;
    parameters.conditional.type = cudaGraphCondTypeWhile;
    parameters.conditional.size = 1;
    cudaGraphNode_t node = nullptr;
    PDADMM_CUDA_CHECK(cudaGraphAddNode(&node, graph, before, edges, count, &parameters));

    PDADMM_CUDA_CHECK(cudaStreamBeginCaptureToGraph(here.loop, parameters.conditional.phGraph_out[0], nullptr, nullptr,
                                                    0, cudaStreamCaptureModeThreadLocal));
    struct Back {
        Lane& lane;
        ~Back() { std::swap(lane.stream, lane.loop); }
    };
    cudaGraph_t looped = nullptr;
    try {
        std::swap(here.stream, here.loop);
        const Back back{here};
        body();
        launch("condition", condition_kernel, 1, 1, here.stream, pending, layers, condition);
    } catch (...) {
        cudaStreamEndCapture(here.loop, &looped);  // so that the stream is usable again
        throw;
    }
    PDADMM_CUDA_CHECK(cudaStreamEndCapture(here.loop, &looped));
    PDADMM_CUDA_CHECK(
        cudaStreamUpdateCaptureDependencies(here.stream, &node, nullptr, 1, cudaStreamSetCaptureDependencies));
}

}  // namespace pdadmm
