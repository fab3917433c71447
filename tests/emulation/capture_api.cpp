// Capture of streams, and graphs.
#include <algorithm>
#include <set>

#include "emulation/runtime_api.hpp"
#include "tests/emulation/device.hpp"

using namespace emulation;

namespace {

cudaError_t begin(Device& device, cudaStream_t stream, CUgraph_st* graph, std::vector<cudaGraphNode_t> frontier,
                  cudaStreamCaptureMode mode) {
    if (!stream) return cudaErrorStreamCaptureUnsupported;
    if (!device.queue.knows(stream)) return cudaErrorInvalidResourceHandle;
    if (stream->capture) return cudaErrorStreamCaptureUnsupported;
    static unsigned long long last_id = 0;
    auto capture = std::make_shared<Capture>();
    if (!graph) capture->owned = std::make_unique<CUgraph_st>();
    capture->graph = graph ? graph : capture->owned.get();
    capture->origin = stream;
    capture->mode = mode;
    capture->thread = std::this_thread::get_id();
    capture->id = ++last_id;
    capture->first = capture->graph->nodes.size();
    stream->capture = capture;
    stream->frontier = std::move(frontier);
    device.captures.push_back(std::move(capture));
    return cudaSuccess;
}

/// Whether all that was captured comes before the end of the stream where the capture began.
bool joined(const Capture& capture, const std::vector<cudaGraphNode_t>& frontier) {
    std::set<cudaGraphNode_t> reached;
    std::vector<cudaGraphNode_t> open = frontier;
    while (!open.empty()) {
        const cudaGraphNode_t node = open.back();
        open.pop_back();
        if (reached.insert(node).second) open.insert(open.end(), node->after.begin(), node->after.end());
    }
    return std::all_of(capture.graph->nodes.begin() + static_cast<std::ptrdiff_t>(capture.first),
                       capture.graph->nodes.end(), [&](const auto& node) { return reached.count(node.get()) == 1; });
}

void reset_conditions(const FixedGraph& graph) {
    for (const cudaGraphConditionalHandle handle : graph.handles) reset_condition(handle);
    for (const FixedGraph::Node& node : graph.nodes)
        for (const FixedGraph& body : node.bodies) reset_conditions(body);
}

}  // namespace

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
    return call([&](Device& device) { return begin(device, stream, nullptr, {}, mode); });
}
cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t stream, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                          const cudaGraphEdgeData*, std::size_t count, cudaStreamCaptureMode mode) {
    return call([&](Device& device) {
        return graph ? begin(device, stream, graph, {dependencies, dependencies + count}, mode) : cudaErrorInvalidValue;
    });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    return call([&](Device& device) {
        *graph = nullptr;
        if (!stream || !stream->capture) return cudaErrorInvalidValue;
        const std::shared_ptr<Capture> capture = stream->capture;
        if (capture->origin != stream) return cudaErrorStreamCaptureUnmatched;
        const bool whole = joined(*capture, stream->frontier);
        device.queue.each([&](CUstream_st& other) {
            if (other.capture != capture) return;
            other.capture = nullptr;
            other.frontier.clear();
        });
        std::erase(device.captures, capture);
        if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
        if (!whole) return cudaErrorStreamCaptureUnjoined;
        *graph = capture->graph;
        if (capture->owned) device.graphs.insert(std::move(capture->owned));
        return cudaSuccess;
    });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    return cudaStreamGetCaptureInfo(stream, status);
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long* id,
                                     cudaGraph_t* graph, const cudaGraphNode_t** dependencies,
                                     const cudaGraphEdgeData** edges, std::size_t* count) {
    return call([&](Device& device) {
        if (!device.queue.knows(stream)) return cudaErrorInvalidResourceHandle;
        *status = !stream || !stream->capture ? cudaStreamCaptureStatusNone
                  : stream->capture->invalid  ? cudaStreamCaptureStatusInvalidated
                                              : cudaStreamCaptureStatusActive;
        if (*status != cudaStreamCaptureStatusActive) return cudaSuccess;
        if (id) *id = stream->capture->id;
        if (graph) *graph = stream->capture->graph;
        if (dependencies) *dependencies = stream->frontier.data();
        if (edges) *edges = nullptr;
        if (count) *count = stream->frontier.size();
        return cudaSuccess;
    });
}

cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t stream, cudaGraphNode_t* dependencies,
                                                const cudaGraphEdgeData*, std::size_t count, unsigned flags) {
    return call([&](Device&) {
        if (!stream || !stream->capture) return cudaErrorInvalidValue;
        if (flags == cudaStreamSetCaptureDependencies) stream->frontier.clear();
        stream->frontier.insert(stream->frontier.end(), dependencies, dependencies + count);
        return cudaSuccess;
    });
}

// A thread that asks for relaxed mode makes calls that a capture forbids legal.
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
    return call([&](Device&) { return std::swap(Device::thread_mode, *mode), cudaSuccess; });
}

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned) {
    return call([&](Device& device) {
        auto created = std::make_unique<CUgraph_st>();
        *graph = created.get();
        device.graphs.insert(std::move(created));
        return cudaSuccess;
    });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    return call([&](Device& device) {
        return std::erase_if(device.graphs, [graph](const auto& g) { return g.get() == graph; }) > 0
                   ? cudaSuccess
                   : cudaErrorInvalidValue;
    });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
    return call([&](Device&) {
        for (std::size_t k = 0; nodes && k < *count; ++k)
            nodes[k] = k < graph->nodes.size() ? graph->nodes[k].get() : nullptr;
        *count = graph->nodes.size();
        return cudaSuccess;
    });
}

cudaError_t cudaGraphAddNode(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                             const cudaGraphEdgeData*, std::size_t count, cudaGraphNodeParams* parameters) {
    return call([&](Device&) {
        auto created = std::make_unique<CUgraphNode_st>();
        created->after.assign(dependencies, dependencies + count);
        if (parameters->type == cudaGraphNodeTypeConditional) {
            cudaConditionalNodeParams& c = parameters->conditional;
            if (std::find(graph->handles.begin(), graph->handles.end(), c.handle) == graph->handles.end() ||
                c.size == 0)
                return cudaErrorInvalidValue;
            if ((c.type == cudaGraphCondTypeWhile && c.size != 1) || (c.type == cudaGraphCondTypeIf && c.size > 2))
                return cudaErrorInvalidValue;
            created->condition = c.type;
            created->handle = c.handle;
            for (unsigned k = 0; k < c.size; ++k) {
                created->bodies.push_back(std::make_unique<CUgraph_st>());
                created->body_pointers.push_back(created->bodies.back().get());
            }
            c.phGraph_out = created->body_pointers.data();
        } else if (parameters->type != cudaGraphNodeTypeEmpty) {
            return cudaErrorNotSupported;
        }
        *node = created.get();
        graph->nodes.push_back(std::move(created));
        return cudaSuccess;
    });
}

cudaError_t cudaGraphConditionalHandleCreate(cudaGraphConditionalHandle* handle, cudaGraph_t graph,
                                             unsigned default_value, unsigned flags) {
    return call([&](Device&) {
        *handle = new_condition(default_value, flags == cudaGraphCondAssignDefault);
        graph->handles.push_back(*handle);
        return cudaSuccess;
    });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
    return call([&](Device& device) {
        if (!graph) return cudaErrorInvalidValue;
        if (device.refused("cudaGraphInstantiate")) return cudaErrorNotSupported;
        *exec = new CUgraphExec_st{std::make_shared<const FixedGraph>(FixedGraph::of(*graph))};
        device.longest_path = (*exec)->graph->longest_path();
        return cudaSuccess;
    });
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    return call([&](Device&) { return delete exec, cudaSuccess; });  // a launch under way keeps its graph
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    return call([&](Device& device) {
        if (!exec || !device.queue.knows(stream)) return cudaErrorInvalidResourceHandle;
        if (!stream || stream->capture) return cudaErrorNotSupported;
        const auto graph = exec->graph;
        device.queue.put(*stream, {[graph] { reset_conditions(*graph); }, nullptr, nullptr, nullptr});
        const std::shared_ptr<GraphRun> run(new GraphRun(*graph), [graph](const GraphRun* r) { delete r; });
        device.queue.put(*stream, {nullptr, run, nullptr, nullptr});
        return cudaSuccess;
    });
}
