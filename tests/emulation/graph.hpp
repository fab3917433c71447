// Graphs: what a capture writes down, its form after instantiation, and one launch of it, node by node.
#pragma once

#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "tests/emulation/queue.hpp"

struct CUgraphNode_st {
    std::function<void()> work;  // empty: an empty node, or one with bodies
    std::vector<cudaGraphNode_t> after;
    cudaGraphConditionalHandle handle = 0;
    std::optional<cudaGraphConditionalNodeType> condition;
    std::vector<std::unique_ptr<CUgraph_st>> bodies;
    std::vector<cudaGraph_t> body_pointers;  // the same, as the interface hands them out
};

struct CUgraph_st {
    std::vector<std::unique_ptr<CUgraphNode_st>> nodes;
    std::vector<cudaGraphConditionalHandle> handles;
};

namespace emulation {

/// An instantiated graph: nodes by number, bodies instantiated too.
struct FixedGraph {
    struct Node {
        std::function<void()> work;
        std::vector<std::size_t> before;  // nodes that wait for this one
        std::size_t after = 0;            // how many this one waits for
        cudaGraphConditionalHandle handle = 0;
        std::optional<cudaGraphConditionalNodeType> condition;
        std::vector<FixedGraph> bodies;
    };
    std::vector<Node> nodes;
    std::vector<cudaGraphConditionalHandle> handles;
    static FixedGraph of(const CUgraph_st& graph);
    /// Most nodes that stand one behind the other.
    std::size_t longest_path() const;
};

/// One launch.
class GraphRun {
public:
    explicit GraphRun(const FixedGraph& graph);
    /// Runs one node that nothing stands before; true once all are done.
    bool step(Dice& dice);

private:
    void complete(std::size_t node);
    bool enter(std::size_t node);
    const FixedGraph* graph_;
    std::vector<std::size_t> missing_, ready_;
    std::size_t left_;
    std::unique_ptr<GraphRun> body_;  // of the node `inside_`
    std::size_t inside_ = 0;
};

/// Values of conditional handles, over all graphs.
cudaGraphConditionalHandle new_condition(unsigned value, bool reset_at_launch);
void reset_condition(cudaGraphConditionalHandle handle);

/// A capture under way.
class Capture {
public:
    CUgraph_st* graph = nullptr;
    std::unique_ptr<CUgraph_st> owned;  // until the capture's end; null for a capture into a given graph
    cudaStream_t origin = nullptr;
    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
    std::thread::id thread;  // that began it
    bool invalid = false;
    unsigned long long id = 0;
    std::size_t first = 0;  // nodes of the graph before this capture
    /// A new node after the stream's frontier, which it then is.
    void add(CUstream_st& stream, std::function<void()> work) const;
};

}  // namespace emulation

struct CUgraphExec_st {
    std::shared_ptr<const emulation::FixedGraph> graph;
};
