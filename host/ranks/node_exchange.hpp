// Sums over training nodes that several ranks hold (design 3, "Second axis"), for the ranks of one layer block.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "host/ranks/tree_sums.hpp"

namespace pdadmm {

class NodeExchange final : public NodeSums {
public:
    /// Of parts in the memory of `backend`. `transport` joins all ranks of `grid` and carries nothing else meanwhile;
    /// `ranges` are those of the training nodes.
    NodeExchange(Backend& backend, Transport& transport, Grid grid, const NodeRanges& ranges);

    /// Messages that are still under way after an error are let go.
    ~NodeExchange() override { transport_.abandon(); }
    NodeExchange(const NodeExchange&) = delete;
    NodeExchange& operator=(const NodeExchange&) = delete;

    Index nodes() const override { return ranges_.nodes; }
    void begin(float* parts, Index count) override { begin_parts(parts, count); }
    void begin(double* parts, Index count) override { begin_parts(parts, count); }
    void advance() override {
        if (returns_) take_round();
    }
    void end() override;

    /// Throws an internal Error where nodes have owners.
    void gather(const std::byte* own, std::byte* all, std::size_t bytes) override;

    /// Training nodes of each block.
    NodeRange nodes_of(int block) const { return NodeBlock{block, grid_.nodes}.nodes_of(ranges_); }

private:
    template <typename T>
    void begin_parts(T* parts, Index count);
    void take_round() {
        transport_.finish();
        returns_ = false;
        std::exchange(arrived_, {})();
    }
    int peer(int block) const { return grid_.rank(grid_.layer_block(transport_.rank()), block); }

    Backend& backend_;
    Transport& transport_;
    Grid grid_;
    NodeRanges ranges_;
    int own_;  // node block of this rank
    TreeSums sums_;
    std::function<void()> arrived_;  // what follows the first round, while that is under way
    bool returns_ = false;           // by a second round
};

}  // namespace pdadmm
