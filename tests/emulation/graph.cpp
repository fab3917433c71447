#include "tests/emulation/graph.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "emulation/lane.hpp"
#include "emulation/runtime_api.hpp"

namespace emulation {
namespace {

struct Condition {
    std::atomic<unsigned> value;
    unsigned at_launch;
    bool reset_at_launch;
};

class Conditions {
public:
    cudaGraphConditionalHandle add(unsigned value, bool reset) {
        const std::lock_guard lock(mutex_);
        auto condition = std::make_unique<Condition>(value, value, reset);
        all_[++last_] = std::move(condition);
        return last_;
    }
    Condition* find(cudaGraphConditionalHandle handle) {
        const std::lock_guard lock(mutex_);
        const auto found = all_.find(handle);
        return found == all_.end() ? nullptr : found->second.get();
    }

private:
    std::mutex mutex_;
    std::map<cudaGraphConditionalHandle, std::unique_ptr<Condition>> all_;
    cudaGraphConditionalHandle last_ = 0;
};

Conditions& conditions() {
    static Conditions all;
    return all;
}

unsigned value_of(cudaGraphConditionalHandle handle) { return conditions().find(handle)->value; }

}  // namespace

cudaGraphConditionalHandle new_condition(unsigned value, bool reset_at_launch) {
    return conditions().add(value, reset_at_launch);
}

void reset_condition(cudaGraphConditionalHandle handle) {
    Condition* condition = conditions().find(handle);
    if (condition->reset_at_launch) condition->value = condition->at_launch;
}

FixedGraph FixedGraph::of(const CUgraph_st& graph) {
    FixedGraph fixed;
    fixed.handles = graph.handles;
    std::map<const CUgraphNode_st*, std::size_t> number;
    for (const auto& node : graph.nodes) number.emplace(node.get(), number.size());
    fixed.nodes.resize(graph.nodes.size());
    for (const auto& node : graph.nodes) {
        Node& mine = fixed.nodes[number[node.get()]];
        mine.work = node->work;
        mine.handle = node->handle;
        mine.condition = node->condition;
        mine.after = node->after.size();
        for (const cudaGraphNode_t other : node->after)
            fixed.nodes[number.at(other)].before.push_back(number[node.get()]);
        for (const auto& body : node->bodies) mine.bodies.push_back(of(*body));
    }
    return fixed;
}

std::size_t FixedGraph::longest_path() const {
    std::vector<std::size_t> missing, ready, length(nodes.size(), 1);
    for (const Node& node : nodes) missing.push_back(node.after);
    for (std::size_t k = 0; k < nodes.size(); ++k)
        if (missing[k] == 0) ready.push_back(k);
    std::size_t longest = 0;
    while (!ready.empty()) {
        const std::size_t node = ready.back();
        ready.pop_back();
        longest = std::max(longest, length[node]);
        for (const std::size_t other : nodes[node].before) {
            length[other] = std::max(length[other], length[node] + 1);
            if (--missing[other] == 0) ready.push_back(other);
        }
    }
    return longest;
}

GraphRun::GraphRun(const FixedGraph& graph) : graph_(&graph), left_(graph.nodes.size()) {
    for (std::size_t k = 0; k < graph.nodes.size(); ++k) {
        missing_.push_back(graph.nodes[k].after);
        if (missing_[k] == 0) ready_.push_back(k);
    }
}

bool GraphRun::step(Dice& dice) {
    if (left_ == 0) return true;
    if (body_ && (ready_.empty() || dice.below(2) == 0)) {
        if (!body_->step(dice)) return false;
        const bool again =
            graph_->nodes[inside_].condition == cudaGraphCondTypeWhile && value_of(graph_->nodes[inside_].handle) != 0;
        body_ = again ? std::make_unique<GraphRun>(graph_->nodes[inside_].bodies[0]) : nullptr;
        if (!again) complete(inside_);
        return left_ == 0;
    }
    const std::uint32_t at = dice.below(ready_.size());
    const std::size_t node = ready_[at];
    if (!graph_->nodes[node].bodies.empty() && body_) {  // one body at a time
        body_->step(dice);
        return false;
    }
    ready_.erase(ready_.begin() + at);
    if (enter(node)) return false;
    if (graph_->nodes[node].work) graph_->nodes[node].work();
    complete(node);
    return left_ == 0;
}

// Whether the node has a body to run now.
bool GraphRun::enter(std::size_t node) {
    const FixedGraph::Node& n = graph_->nodes[node];
    if (n.bodies.empty()) return false;
    std::size_t chosen = 0;
    if (n.condition) {
        const unsigned value = value_of(n.handle);
        if (n.condition == cudaGraphCondTypeSwitch)
            chosen = value;
        else
            chosen = value != 0 ? 0 : n.condition == cudaGraphCondTypeIf ? 1 : n.bodies.size();
    }
    if (chosen >= n.bodies.size()) return false;
    body_ = std::make_unique<GraphRun>(n.bodies[chosen]);
    inside_ = node;
    return true;
}

void GraphRun::complete(std::size_t node) {
    --left_;
    for (const std::size_t other : graph_->nodes[node].before)
        if (--missing_[other] == 0) ready_.push_back(other);
}

void Capture::add(CUstream_st& stream, std::function<void()> work) const {
    auto node = std::make_unique<CUgraphNode_st>();
    node->work = std::move(work);
    node->after = stream.frontier;
    stream.frontier = {node.get()};
    graph->nodes.push_back(std::move(node));
}

}  // namespace emulation

void cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned value) {
    if (emulation::Condition* condition = emulation::conditions().find(handle))
        condition->value = value;
    else
        emulation::lane_fault("cudaGraphSetConditional of a handle that is none", emulation::Place::current());
}
