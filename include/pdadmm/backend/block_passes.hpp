// Closed forms of p and W (design 2, `block`). Shapes: X p (m, N), F (m, m), z r h (n, N).
#pragma once

#include "pdadmm/backend/products.hpp"
#include "pdadmm/backend/weight_passes.hpp"
#include "pdadmm/codec.hpp"

namespace pdadmm {

/// What an inverse that is kept between iterations was formed for (BlockPasses::keep_inverse), in backend memory; all
/// zero: for nothing yet.
struct KeptInverse {
    double nu, mu, kappa;
};

class BlockPasses {
public:
    virtual ~BlockPasses() = default;

    /// C = A B' over A (n, N) and B (m, N): a sum over nodes, formed per range and along one tree (node_ranges.hpp).
    /// With B = A it is symmetric but for rounding.
    virtual void node_product(CMat A, CMat B, Mat C, Precision precision) = 0;
    /// The same in two calls, between which sums of other ranks may travel under other work; C is there after the
    /// second. At most two products at a time.
    virtual void begin_node_product(CMat A, CMat B, Mat C, Precision precision) { node_product(A, B, C, precision); }
    virtual void end_node_product(Mat /*C*/) {}
    /// Whether they do for a product of C's size.
    virtual bool sums_travel(CMat /*C*/) const { return false; }
    /// Y = X minus its mean over nodes, formed in double.
    virtual void center(CMat X, Mat Y) = 0;
    /// F = (nu F + kappa I)^-1 over the lower triangles of Gram matrices F (m, m), in double; kappa is rho of p and mu
    /// of W, or ridge_of(). Where a matrix is not positive definite, F is NaN and failed[l] gets the variable's bit.
    virtual void invert(WeightPasses::Variable variable, const Controls* k, Mat F, std::int32_t* failed) = 0;
    /// The same by the smaller of two Gram matrices (push-through identity), whole in double. Of p: X = W (n, m) and Y
    /// = nu (nu W W' + kappa I)^-1 W.  Of W: X = p_c (m, N) and Y = kappa p_c (nu p_c' p_c + kappa I)^-1. inverse[l] =
    /// 1/kappa. Y may be X. Of p kappa is at least least_ridge_of_outputs of nu W W''s mean diagonal.
    virtual void push_through(WeightPasses::Variable variable, const Controls* k, CMat X, Mat Y, real* inverse,
                              std::int32_t* failed) = 0;
    /// F as by invert, of one Gram matrix that stays: F = (nu gram + kappa I)^-1, unless nu and mu are those of `kept`.
    virtual void keep_inverse(CMat gram, const Controls* k, KeptInverse* kept, Mat F, std::int32_t* failed) = 0;
    /// Whether a quantised move d with h = W d and gradient g is taken: codec grid as grid_check, codec difference as
    /// difference_check, where phi does not rise.
    virtual void descent_check(const Quantizer& q, CMat g, CMat d, CMat h, const Controls* k, real* inverse,
                               std::int32_t* pending, MessageHeader* headers) = 0;
    /// y = W_ref p - z, or r where mu = 0, minus its mean over nodes; p is read where W decays to the identity only.
    virtual void node_space_target(const Controls* k, DecayTo decay, CMat p, CMat z, CMat r, Mat y) = 0;
    struct NodeSpaceClosing {
        CMat raw, w;  // y F (n, N) and raw X_c' xbar (n, 1)
        CMat b, z, r;
        Mat h;  // y on entry, the change of r on exit
        Mat S, V;
    };
    /// W1 = c W1_0 - S X' in closed form (node_space_minimiser): S, V and the scalars, and h = r - (V + b - z).
    virtual void node_space_close(const NodeSpaceClosing& a, const Controls* k, const KeptInverse* kept,
                                  NodeSpaceScalars* s, LayerFigures* figures) = 0;
};

}  // namespace pdadmm
