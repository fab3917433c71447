// Which layers' tensors a rank with layers a..b holds, and which layers lie together: p holds p_a..p_{b+1} within 2..L,
// z and r hold layers a..b and q and u layers a-1..b within 1..L-1, each as one stack of (n, N), so that the neighbours
// of a stack of layers are views into the same allocations, and a rank's border looks like any other.
#pragma once

#include <algorithm>
#include <vector>

#include "host/network/network.hpp"

namespace pdadmm {

inline LayerRange within(LayerRange range, int first, int last) {
    return {std::max(range.first, first), std::min(range.last, last)};
}
inline LayerRange slots_of_p(LayerRange r, int L) { return r.count() == 0 ? r : within({r.first, r.last + 1}, 2, L); }
inline LayerRange slots_of_zr(LayerRange r, int L) { return within(r, 1, L - 1); }
inline LayerRange slots_of_qu(LayerRange r, int L) {
    return r.count() == 0 ? r : within({r.first - 1, r.last}, 1, L - 1);
}
inline LayerRange hidden_weights(LayerRange r, int L) { return within(r, 2, L - 1); }

/// First layer, hidden layers in stacks, last layer, as far as they are in `range`.
inline std::vector<LayerRange> group_spans(LayerRange range, int L, int stacked) {
    std::vector<LayerRange> spans;
    if (range.has(1)) spans.push_back({1, 1});
    const LayerRange hidden = hidden_weights(range, L);
    for (int layer = hidden.first; layer <= hidden.last; layer += stacked)
        spans.push_back({layer, std::min(hidden.last, layer + stacked - 1)});
    if (range.has(L)) spans.push_back({L, L});
    return spans;
}

}  // namespace pdadmm
