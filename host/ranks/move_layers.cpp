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
            ranks.move(old[t].value, ranks.rank_of(before.owner(layer)), next[t].value, ranks.owner(layer));
    }
    for (int block = 0; block + 1 < ranks.placement().active(); ++block) {
        const int last = ranks.placement().of(block).last, left = ranks.rank_of(before.owner(last)),
                  right = ranks.rank_of(before.owner(last + 1));
        ranks.move(from.p(last + 1), right, to.p(last + 1), ranks.rank_of(block));
        ranks.move(from.q(last), left, to.q(last), ranks.rank_of(block + 1));
        ranks.move(from.u(last), left, to.u(last), ranks.rank_of(block + 1));
    }
    copy_value(be, from.controls(), to.controls());
    to.take_inverse(from);
    if (!to.node_space() || !to.layers().has(1)) return;  // layer 1 is always on the first block
    to.take_W0(from);
    copy_value(be, from.node_scalars(), to.node_scalars());
}

}  // namespace pdadmm
