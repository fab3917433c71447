// The copy and its memory (host/train/weight_copy.hpp).
#include "host/train/weight_copy.hpp"

#include "host/train/trainer.hpp"

namespace pdadmm {
namespace {

/// Reals of one layer; see WeightCopy::bytes.
Index reals_of(const NetworkShape& s, int layer, bool node_space, bool keeps_z) {
    const Index W = layer == 1 && node_space ? 2 * s.hidden * s.own_nodes() : s.rows(layer) * s.cols(layer);
    return W + s.rows(layer) + (keeps_z && layer == s.layers ? s.classes * s.own_nodes() : 0);
}

}  // namespace

std::size_t WeightCopy::bytes(const NetworkShape& shape, LayerRange own, bool node_space, bool keeps_z) {
    Index reals = 0;
    for (int layer = own.first; layer <= own.last; ++layer) reals += reals_of(shape, layer, node_space, keeps_z);
    return static_cast<std::size_t>(reals) * sizeof(real);
}

WeightCopy::WeightCopy(Trainer& trainer) : own_(trainer.layers()) {
    Index reals = 0;
    for (int layer = own_.first; layer <= own_.last; ++layer)
        for (const NamedTensor& t : trainer.weights(layer)) reals += t.value.size();
    values_ = {trainer.backend(), reals};
    real* at = values_.data();
    for (int layer = 1; layer <= trainer.shape().layers; ++layer) {
        state_.push_back(trainer.weights(layer));
        for (NamedTensor& t : state_.back()) {
            t.name = "best_" + t.name;
            t.value.data = own_.has(layer) ? at : nullptr;
            if (own_.has(layer)) at += t.value.size();
        }
    }
}

void WeightCopy::take(Trainer& trainer) {
    for (int layer = own_.first; layer <= own_.last; ++layer) {
        const std::vector<NamedTensor> from = trainer.weights(layer);
        for (std::size_t t = 0; t < from.size(); ++t) trainer.backend().copy(from[t].value, state(layer)[t].value);
    }
    if (const NodeSpaceScalars* from = trainer.weight_scalars())
        trainer.backend().download(from, &scalars, sizeof scalars);
}

void WeightCopy::put_back(Trainer& trainer) const {
    for (int layer = own_.first; layer <= own_.last; ++layer) {
        const std::vector<NamedTensor> to = trainer.weights(layer);
        for (std::size_t t = 0; t < to.size(); ++t) trainer.backend().copy(state(layer)[t].value, to[t].value);
    }
    if (NodeSpaceScalars* to = trainer.weight_scalars()) trainer.backend().upload(&scalars, to, sizeof scalars);
}

}  // namespace pdadmm
