// The weights of a growth stage's best evaluation, kept beside the iterate for the next stage to grow from
// (--stage-from best).
#pragma once

#include <vector>

#include "host/network/network.hpp"

namespace pdadmm {

class Trainer;

/// A copy of what growth takes of this rank's layers (Trainer::weights), in backend memory.
class WeightCopy {
public:
    /// Allocates for the trainer's present layers.
    explicit WeightCopy(Trainer& trainer);
    /// What that takes. In node space (pdADMM-G) the first layer is S and V in place of W; `keeps_z`: z of the last
    /// layer too.
    static std::size_t bytes(const NetworkShape& shape, LayerRange own, bool node_space, bool keeps_z);

    void take(Trainer& trainer);
    void put_back(Trainer& trainer) const;

    /// As Trainer::state: named best_*, of another rank's layer only names and shapes.
    const std::vector<NamedTensor>& state(int layer) const { return state_[static_cast<std::size_t>(layer - 1)]; }
    NodeSpaceScalars scalars{1, 0};  // of the first layer in node space

private:
    LayerRange own_;
    Buffer<real> values_;
    std::vector<std::vector<NamedTensor>> state_;
};

}  // namespace pdadmm
