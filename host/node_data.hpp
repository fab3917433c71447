// The augmented features and labels of the nodes that a run uses, in backend memory: columns train | val | test.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "pdadmm/backend.hpp"

namespace pdadmm {

/// What augmentation hands to training, on the host. X is column-major, inputs x nodes.
struct AugmentedNodes {
    Index inputs = 0;
    Index classes = 0;
    std::array<Index, 3> counts{};  // train, val, test
    std::vector<real> X;
    std::vector<std::int32_t> labels;
    Index nodes() const { return counts[0] + counts[1] + counts[2]; }
};

class NodeData {
public:
    /// Without `features` X is left out: only the rank of the first layer reads it.
    NodeData(Backend& backend, const AugmentedNodes& nodes, bool features = true);

    Index inputs() const { return inputs_; }
    Index classes() const { return classes_; }
    Index nodes() const { return counts_[0] + counts_[1] + counts_[2]; }
    Index train() const { return counts_[0]; }
    const std::array<Index, 3>& counts() const { return counts_; }
    CMat X() const { return {X_.data(), inputs_, nodes(), inputs_, 1, 0}; }
    CMat X_train() const { return X().columns(0, train()); }
    const std::int32_t* labels() const { return labels_.data(); }
    const std::vector<std::int32_t>& host_labels() const { return host_labels_; }

    /// X_train' X of every kept node (N x all); formed on first use.
    CMat gram(Backend& backend) const;

private:
    Index inputs_, classes_;
    std::array<Index, 3> counts_;
    Buffer<real> X_;
    Buffer<std::int32_t> labels_;
    std::vector<std::int32_t> host_labels_;
    mutable Buffer<real> gram_;
};

}  // namespace pdadmm
