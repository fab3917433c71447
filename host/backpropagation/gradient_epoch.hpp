// How the ranks of a grid form an epoch's gradient together. Workers (host/backpropagation/workers.hpp) have a gradient
// each.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "host/backpropagation/passes.hpp"
#include "host/ranks/ranks.hpp"

namespace pdadmm {

/// Sums of range gradients over all ranges, bucket after bucket of layers, on all ranks of a layer block.
class GradientSums {
public:
    GradientSums(Backend& backend, const GradientNetwork& net, Ranks& ranks);
    GradientSums(const GradientSums&) = delete;
    GradientSums& operator=(const GradientSums&) = delete;
    ~GradientSums();

    /// The range gradients of bucket `bucket`, of 0 and following, are there. Its messages, and those that finish the
    /// bucket before it, travel until the next call.
    void add(std::size_t bucket);
    /// After the last one: the gradient is there.
    void finish();

private:
    void complete(std::size_t bucket, std::vector<Message>& messages);

    const GradientNetwork& net_;
    Transport* transport_;  // null: all ranges are here
    TreeSums sums_;
};

/// Layers on ranks as GPipe has them: micro-batches flow to the right, and when all have arrived their gradients flow
/// to the left, while the messages of one travel under the work on another. Ranks with the same layers go through them
/// with their own nodes, and their gradients are added (GradientSums) under the last micro-batch's way back. Same bits
/// as backpropagate() with as many pieces of the same ranges.
class GradientEpoch {
public:
    GradientEpoch(Backend& backend, const GradientNetwork& net, const GradientTask& task, Ranks& ranks);
    GradientEpoch(const GradientEpoch&) = delete;
    GradientEpoch& operator=(const GradientEpoch&) = delete;
    ~GradientEpoch();

    /// Counts the step; leaves the gradient of the layers of this rank, and the risks of its ranges where the last
    /// layer is. All ranks at once.
    void run();

private:
    /// One direction: what comes from one neighbour and goes to the other (either may be missing), a message a
    /// micro-batch.
    struct Way {
        std::function<void(std::size_t)> work;  // on a micro-batch
        std::vector<Message> in, out;           // likewise, or none
    };
    /// Sends what `left_over` still holds with the first receives, and leaves there what remains to be sent.
    void pass(const Way& way, std::vector<Message>& left_over);
    void go_back(std::size_t micro_batch);

    Ranks& ranks_;
    GradientSums sums_;
    std::size_t batches_ = 0;
    std::vector<std::unique_ptr<Phase>> forward_work_, backward_work_;  // the last one's, a phase a bucket, follow
    Way forward_, backward_;
};

}  // namespace pdadmm
