// The CPU backend with one bug: what the checks of the algorithm must find. Only for tests; nothing shipped knows of
// it.
#pragma once

#include <map>
#include <vector>

#include "tests/support/forwarding_backend.hpp"

namespace pdadmm {

enum class Bug {
    none,  // the same plain loops as the bugs of z, q and u below, without one: must be found right
    p_gradient_with_minus_u,
    p_gradient_without_q,
    tau_too_small,
    tau_too_large,
    tau_without_rho,
    one_step_for_all_layers,
    theta_too_small,
    theta_without_mu,
    W_gradient_without_mu,
    W_from_stale_p,
    r_without_p_move,
    b_sum_for_mean,
    b_over_n_minus_1,
    b_before_W,
    z_wrong_branch,
    z_always_linear,
    z_without_proximal_term,
    z_against_new_q,
    r_not_updated_after_z,
    z_last_without_gradient,
    z_last_nu_doubled,
    z_last_wrong_label,
    z_last_unweighted,
    risk_unweighted,
    label_dropped,
    labels_as_classes,
    risk_without_labels,
    q_without_u,
    q_with_minus_u,
    q_linear,
    q_and_u_from_stale_p,
    u_wrong_sign,
    u_with_nu,
    coupling_of_old_u,
    p_off_the_grid,
    first_trial_always_accepted,
    q_off_the_grid,
    codes_truncated,
    one_width_for_all_layers,
    rms_not_clipped,
    rms_of_twice_the_reach,
    mean_for_rms,
    one_bit_of_the_largest,
    difference_always_accepted,
    S_not_decayed,
    c_not_decayed,
    V_not_moved,
    not_centred,
    ridge_subtracted,
    ridge_left_out,
    P_from_stale_W,
    kept_inverse_outdated,
    always_decays_to_zero,
    always_decays_to_identity,
    weight_sq_from_zero,
    majorisation_for_descent,
    descent_always_accepted,
    node_space_without_mean,
    c_not_cleared,
    push_through_without_ridge,
    push_through_unscaled,
    push_through_step_of_one,
    target_without_reference,
    target_is_the_residual,
    schedule_never_resets,
    schedule_without_most,
    count
};
const char* text(Bug bug);

/// For CPU memory.
class PlantedBackend final : public ForwardingBackend {
public:
    PlantedBackend(Backend& inner, Bug bug) : ForwardingBackend(inner), bug_(bug) {}

    void gemm(Trans ta, Trans tb, real alpha, CMat A, CMat B, real beta, Mat C, Precision precision) override;
    void node_product(CMat A, CMat B, Mat C, Precision precision) override;
    void p_gradient(CMat u, CMat p, CMat q, const Controls* k, Mat g, double* norm_sq) override;
    void center(CMat X, Mat Y) override;
    void invert(Variable v, const Controls* k, Mat F, std::int32_t* failed) override;
    void push_through(Variable v, const Controls* k, CMat X, Mat Y, real* inverse, std::int32_t* failed) override;
    void node_space_target(const Controls* k, DecayTo decay, CMat p, CMat z, CMat r, Mat y) override;
    void keep_inverse(CMat gram, const Controls* k, KeptInverse* kept, Mat F, std::int32_t* failed) override;
    void W_gradient(CMat W, DecayTo decay, const Controls* k, Mat G, double* norm_sq) override;
    void step_size(Variable v, const double* norm_sq, CMat h, const Controls* k, StepSpec spec, real* inverse) override;
    void descend(const real* inverse, CMat g, Mat p, CMat h, Mat r) override;
    void descend(const real* inverse, CMat G, Mat W, DecayTo decay, LayerFigures* figures) override;
    void grid_check(CMat d, CMat h, const Controls* k, real* inverse, std::int32_t* pending) override;
    void snap(const Quantizer& q, Mat x) override;
    void difference_move(const Quantizer& q, CMat g, const real* inverse, Mat d, MessageHeader* headers) override;
    void difference_check(CMat d, CMat h, const Controls* k, real* inverse, MessageHeader* headers) override;
    void descent_check(const Quantizer& q, CMat g, CMat d, CMat h, const Controls* k, real* inverse,
                       std::int32_t* pending, MessageHeader* headers) override;
    void node_space_step(CMat r, Mat T, CMat V, const Controls* k, StepSpec spec, real* inverse, NodeSpaceScalars* s,
                         LayerFigures* figures) override;
    void node_space_descend(const real* inverse, CMat r, CMat H, const Controls* k, Mat S, Mat V) override;
    void node_space_close(const NodeSpaceClosing& a, const Controls* k, const KeptInverse* kept, NodeSpaceScalars* s,
                          LayerFigures* figures) override;
    void bias_step(CMat r, CMat h, const real* inverse, Mat d, Mat b) override;
    void activation_step(const Activation& a, const Controls* k, const Quantizer& quantizer, LayerFigures* figures,
                         MessageHeader* headers) override;
    void last_step(const real* inverse, CMat h, CMat d, Labels labels, const Controls* k, Mat r, Mat z,
                   LayerFigures* figures) override;
    void schedule(const RhoSchedule& rule, const double* watched, Controls* k) override;

private:
    bool has(Bug bug) const { return bug_ == bug; }
    void plain_activation_layer(const Activation& a, Index layer, const Controls& k, const Quantizer& quantizer,
                                LayerFigures& f);
    const real* before_move(const real* x) const;
    void keep_before_move(Mat x);

    Bug bug_;
    std::map<const real*, std::vector<real>> stale_;  // a layer's p or W before its move
};

}  // namespace pdadmm
