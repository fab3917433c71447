// Conjugate gradients on the first layer's W and b in node space (design 2, `block`), where W1 = c W1_0 - S X_c' and
// the gradient by W1 is R X_c'. Shapes: R T E U S V r (n, N), d (n, 1); one layer.
#pragma once

#include "pdadmm/backend/figures.hpp"
#include "pdadmm/closed_forms.hpp"

namespace pdadmm {

class ConjugatePasses {
public:
    virtual ~ConjugatePasses() = default;

    /// R = nu R - mu S over R = r_c.
    virtual void dual_gradient(CMat S, const Controls* k, Mat R) = 0;
    /// s by conjugate_weight() from T = R K_c; `first` of an iteration's steps.
    virtual void conjugate_weight(CMat R, CMat T, bool first, ConjugateScalars* s) = 0;
    /// The direction E X_c' = R X_c' + s->weight E X_c' and U = E K_c likewise; inverse and |W1|^2 by
    /// conjugate_length().
    virtual void conjugate_direction(CMat R, CMat T, CMat V, const Controls* k, const ConjugateScalars* s, Mat E, Mat U,
                                     real* inverse, NodeSpaceScalars* weights, LayerFigures* figures) = 0;
    /// W1 -= inverse E X_c', with d = E X_c' xbar: S += inverse E; V and r -= inverse (U + d); R -= inverse (nu U + mu
    /// E).
    virtual void conjugate_step(const real* inverse, const Controls* k, CMat E, CMat U, CMat d, Mat S, Mat V, Mat r,
                                Mat R) = 0;
};

}  // namespace pdadmm
