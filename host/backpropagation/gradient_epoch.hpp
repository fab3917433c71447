// How several ranks form an epoch's gradient together: each one holds some of the layers (pipeline), or some of the
// nodes (data). Workers (host/backpropagation/workers.hpp) have nodes as well, and a gradient each.
#pragma once

#include <memory>
#include <vector>

#include "host/backpropagation/passes.hpp"
#include "host/backpropagation/rank_sums.hpp"
#include "host/ranks/ranks.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm {

class GradientEpoch {
public:
    virtual ~GradientEpoch() = default;
    /// Counts the step; leaves the gradient of the layers of this rank, and the risk where the last layer is. All ranks
    /// at once.
    virtual void run() = 0;
};

/// Where layers lie: blocks whose costliest one is cheapest. Where ranks divide the nodes every rank holds all of them,
/// and rank 0 speaks for them.
Placement gradient_placement(const SolverOptions& options, const NetworkShape& shape, int ranks);
GradientPart gradient_part(const SolverOptions& options, const NetworkShape& shape, int rank, int ranks);
/// Of the messages of an epoch after which `done` ones of the stage are done, all ranks together; on one rank, of a
/// split after every layer.
std::uint64_t gradient_bytes(const SolverOptions& options, const NetworkShape& shape, int ranks, Index done);
/// Backend memory that an epoch on several ranks takes beside the network's.
std::size_t gradient_epoch_bytes(const SolverOptions& options, const NetworkShape& shape, int ranks);

/// Layers on ranks as GPipe has them: micro-batches flow to the right, and when all have arrived their gradients flow
/// to the left, while the messages of one travel under the work on another. Same bits as backpropagate() with as many
/// micro-batches.
class PipelineEpoch final : public GradientEpoch {
public:
    PipelineEpoch(Backend& backend, const GradientNetwork& net, const GradientTask& task, Ranks& ranks);
    PipelineEpoch(const PipelineEpoch&) = delete;
    PipelineEpoch& operator=(const PipelineEpoch&) = delete;
    ~PipelineEpoch() override;
    void run() override;

private:
    /// One direction: what comes from rank `from` and what goes to rank `to` (either may be missing), a message a
    /// micro-batch.
    struct Way {
        std::vector<std::unique_ptr<Phase>> work;  // a phase a micro-batch
        std::vector<Message> in, out;              // likewise, or none
    };
    /// Sends what `left_over` still holds with the first receives, and leaves there what remains to be sent.
    void pass(const Way& way, std::vector<Message>& left_over);

    Ranks& ranks_;
    Way forward_, backward_;
};

/// Nodes on ranks: each goes through all layers with its own, and the gradients are added over ranks (RankSums). A
/// bucket of layers travels under the work on the layers below.
class DataParallelEpoch final : public GradientEpoch {
public:
    DataParallelEpoch(Backend& backend, const GradientNetwork& net, const GradientTask& task, Ranks& ranks);
    DataParallelEpoch(const DataParallelEpoch&) = delete;
    DataParallelEpoch& operator=(const DataParallelEpoch&) = delete;
    ~DataParallelEpoch() override;
    void run() override;

    /// Contiguous layers from the last to the first, each bucket just large enough to be worth a message.
    static std::vector<LayerRange> buckets(const NetworkShape& shape);
    /// Reals of the parts of a chunk that lie beside each other while they are added.
    static Index staging(const NetworkShape& shape, int ranks);

private:
    struct Bucket {
        Mat gradient;
        std::unique_ptr<Phase> backward, sum;
    };
    Ranks& ranks_;
    RankSums sums_;
    std::unique_ptr<Phase> forward_;
    std::vector<Bucket> buckets_;
};

}  // namespace pdadmm
