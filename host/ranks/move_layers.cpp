// Layers change ranks (host/ranks/move_layers.hpp). The order is the same on all ranks: layer by layer, then border by
// border.
#include "host/ranks/move_layers.hpp"

namespace pdadmm {
namespace {

template <typename T>
void copy_value(Backend& be, const T* from, T* to) {
    T value;
    be.download(from, &value, sizeof value);
    be.upload(&value, to, sizeof value);
}

}  // namespace

void move_layers(Network& from, const Placement& before, Network& to, Ranks& ranks) {
    Backend& be = to.backend();
    for (int layer = 1; layer <= to.shape().layers; ++layer) {
        const std::vector<NamedTensor> old = from.state(layer), next = to.state(layer);
        for (std::size_t t = 0; t < next.size(); ++t)
            ranks.move(old[t].value, before.owner(layer), next[t].value, ranks.owner(layer));
    }
    for (int rank = 0; rank + 1 < ranks.placement().active(); ++rank) {
        const int last = ranks.placement().of(rank).last, left = before.owner(last), right = before.owner(last + 1);
        ranks.move(from.p(last + 1), right, to.p(last + 1), rank);
        ranks.move(from.q(last), left, to.q(last), rank + 1);
        ranks.move(from.u(last), left, to.u(last), rank + 1);
    }
    copy_value(be, from.controls(), to.controls());
    to.take_inverse(from);
    if (!to.node_space() || !to.layers().has(1)) return;  // layer 1 is always on rank 0
    be.copy(from.V0(), to.V0());
    copy_value(be, from.node_scalars(), to.node_scalars());
}

}  // namespace pdadmm
