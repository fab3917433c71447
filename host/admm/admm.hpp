// One iteration of pdADMM-G and pdADMM-G-Q (design 2, 3 and 4).
#pragma once

#include <span>

#include "pdadmm/layer_group.hpp"

namespace pdadmm {

/// What does not change within a growth stage.
struct Rules {
    StepSpec step;
    Quantizer p, q;
    int refresh_every = 25;  // iterations between recomputations of r against drift; 0: never
    int lanes = 1;           // groups that may run at the same time: those whose numbers differ by no multiple of it
    /// Whether r is recomputed before iteration `iteration` of the whole run, counted from 1.
    bool refresh_due(Index iteration) const { return refresh_every > 0 && iteration % refresh_every == 0; }
};

/// One iteration, all layers at once in each line: p_2..p_L, then W, b, z, q, u; and its two halves.
void iterate(Backend& be, std::span<LayerGroup> groups, const Controls* k, const Rules& rules);
void update_p(Backend& be, std::span<LayerGroup> groups, const Controls* k, const Rules& rules);
void update_W_b_zqu(Backend& be, std::span<LayerGroup> groups, const Controls* k, const Rules& rules);

// The parts of an iteration, for ranks that exchange messages between them (host/admm/ranked_iteration.hpp).
void begin_p(Backend& be, LayerGroup& s, const Controls* k);  // needs nothing of the neighbours
void update_p(Backend& be, LayerGroup& s, const Controls* k, const Rules& rules, bool begun = false);
void update_W_b(Backend& be, LayerGroup& s, const Controls* k, const Rules& rules);
void update_zqu(Backend& be, LayerGroup& s, const Controls* k, const Rules& rules);

/// r = W p + b - z from scratch (and V = c V0 - S K in node space), for one group and for all.
void refresh_residual(Backend& be, LayerGroup& s);
void refresh(Backend& be, std::span<LayerGroup> groups);

}  // namespace pdadmm
