// Passes of b, z, q and u, of the last layer, and of the forward pass. Shapes: z r q u h (n, N), b d (n, 1).
#pragma once

#include "pdadmm/backend/figures.hpp"
#include "pdadmm/codec.hpp"
#include "pdadmm/labels.hpp"

namespace pdadmm {

/// Of a range of columns. A node of one class is given the class of its largest logit; of several labels it is given
/// those with logits above 0, and is correct where they are its labels and no others.
struct Tally {
    double correct, cost;  // nodes that are given what is true; summed cross entropy
    double hits, marks;    // labels given that are true; labels given, and labels true, both counted
};

/// Those of one node with several labels.
struct LabelCounts {
    std::int32_t hits = 0, marks = 0;
    PDADMM_HD void see(bool given, bool is_true) {
        hits += given && is_true ? 1 : 0;
        marks += (given ? 1 : 0) + (is_true ? 1 : 0);
    }
    PDADMM_HD void add_to(Tally& tally) const {
        tally.correct += 2 * hits == marks ? 1 : 0;
        tally.hits += hits;
        tally.marks += marks;
    }
};

class ActivationPasses {
public:
    virtual ~ActivationPasses() = default;

    /// d = mean over nodes of (r - inverse h);  b -= d.
    virtual void bias_step(CMat r, CMat h, const real* inverse, Mat d, Mat b) = 0;
    struct Activation {
        const real* inverse;  // 1/theta a layer
        Mat h;                // G p on entry; scratch afterwards (codec difference: the decoded change of q)
        CMat d, p_next;
        Mat r, z, q, u;
    };
    /// One pass: r -= inverse h + d;  z;  r;  q (quantised by `quantizer`);  u;  figures.
    virtual void activation_step(const Activation& a, const Controls* k, const Quantizer& quantizer,
                                 LayerFigures* figures, MessageHeader* headers) = 0;
    /// r -= inverse h + d;  z_L = prox at r + z;  r; risk and linear_sq of the last layer.
    virtual void last_step(const real* inverse, CMat h, CMat d, Labels labels, const Controls* k, Mat r, Mat z,
                           LayerFigures* figures) = 0;
    /// q = f(z) + u / nu: what q must be after an iteration where it is unquantised and rho and nu are constant (design
    /// 2).
    virtual void rebuild_q(CMat z, CMat u, const Controls* k, Mat q) = 0;
    /// r += b - z (a refresh of the carried residual, after r = W p).
    virtual void close_residual(CMat b, CMat z, Mat r) = 0;

    // Forward pass.
    /// A = f(A + b), or A + b where `linear`.
    virtual void add_bias(CMat b, bool linear, Mat A) = 0;
    /// Adds to the tally of columns with labels y >= 0, unweighted.
    virtual void classify(CMat logits, Labels labels, Tally* tally) = 0;
};

}  // namespace pdadmm
