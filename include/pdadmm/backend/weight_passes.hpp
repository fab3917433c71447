// Passes of p and W by gradient steps, and of the first layer in node space.
// Shapes: W G (n, m), p g (m, N), h r (n, N).
#pragma once

#include "pdadmm/backend/figures.hpp"
#include "pdadmm/closed_forms.hpp"

namespace pdadmm {

class WeightPasses {
public:
    virtual ~WeightPasses() = default;

    /// g = nu g + u + rho (p - q) over g = W' r;  norm_sq[l] = |g|^2, a sum over nodes, unless norm_sq is null.
    virtual void p_gradient(CMat u, CMat p, CMat q, const Controls* k, Mat g, double* norm_sq) = 0;
    /// G = nu G + mu (W - W_ref) over G = r p';  norm_sq[l] = |G|^2.
    virtual void W_gradient(CMat W, DecayTo decay, const Controls* k, Mat G, double* norm_sq) = 0;
    enum class Variable { p, W };
    /// In `failed`: the variable's matrix could not be inverted.
    static constexpr std::int32_t bit_of(Variable variable) { return 1 << static_cast<int>(variable); }
    /// inverse[l] = 1/tau for gradient g, given as |g|^2, and h = W g (kappa = rho), or 1/theta for G and H = G p
    /// (kappa = mu).
    virtual void step_size(Variable variable, const double* norm_sq, CMat h, const Controls* k, StepSpec spec,
                           real* inverse) = 0;
    /// p -= inverse g, r -= inverse h.
    virtual void descend(const real* inverse, CMat g, Mat p, CMat h, Mat r) = 0;
    /// W -= inverse G;  figures[l].weight_sq = |W - W_ref|^2.
    virtual void descend(const real* inverse, CMat G, Mat W, DecayTo decay, LayerFigures* figures) = 0;

    // First layer in node space; T = r K1 on entry of the first pass, H on its exit.
    /// H = nu T + mu V over T; theta from <T, r>, <r, V>, |H|^2 and the scalars, which move on with it;
    /// figures->weight_sq = |W1|^2.
    virtual void node_space_step(CMat r, Mat T, CMat V, const Controls* k, StepSpec spec, real* inverse,
                                 NodeSpaceScalars* s, LayerFigures* figures) = 0;
    /// S = (1 - mu inverse) S + nu inverse r;  V -= inverse H.
    virtual void node_space_descend(const real* inverse, CMat r, CMat H, const Controls* k, Mat S, Mat V) = 0;
    /// A = c A (refresh and export of node-space quantities).
    virtual void scale_by_c(const NodeSpaceScalars* s, Mat A) = 0;
};

}  // namespace pdadmm
