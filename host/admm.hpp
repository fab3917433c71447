// One iteration of pdADMM-G and pdADMM-G-Q (design.md, sections 2 to 4).
#pragma once

#include <span>

#include "pdadmm/layer_group.hpp"

namespace pdadmm {

/// What does not change within a growth stage.
struct Rules {
    StepSpec step;
    bool weight_decay = false;  // mu > 0
    Quantizer p, q;
    int refresh_every = 25;  // iterations between recomputations of r against drift; 0: never
};

/// One iteration, all layers at once in each line: p_2..p_L, then W, b, z, q, u. `iteration` counts from 1 over the
/// whole run and decides when r is recomputed.
void iterate(Backend& be, std::span<LayerGroup> groups, const Controls* k, const Rules& rules, Index iteration);

/// r = W p + b - z from scratch (and V = c V0 - S K in node space).
void refresh_residual(Backend& be, LayerGroup& s);

}  // namespace pdadmm
