// The bugs (tests/algorithm/planted/planted_backend.hpp).
#include "tests/algorithm/planted/planted_backend.hpp"

#include <algorithm>
#include <cmath>

namespace pdadmm {

const char* text(Bug bug) {
    static const char* const names[] = {"none",
                                        "p_gradient_with_minus_u",
                                        "p_gradient_without_q",
                                        "tau_too_small",
                                        "tau_too_large",
                                        "tau_without_rho",
                                        "one_step_for_all_layers",
                                        "theta_too_small",
                                        "theta_without_mu",
                                        "W_gradient_without_mu",
                                        "W_from_stale_p",
                                        "r_without_p_move",
                                        "b_sum_for_mean",
                                        "b_over_n_minus_1",
                                        "b_before_W",
                                        "z_wrong_branch",
                                        "z_always_linear",
                                        "z_without_proximal_term",
                                        "z_against_new_q",
                                        "r_not_updated_after_z",
                                        "z_last_without_gradient",
                                        "z_last_nu_doubled",
                                        "z_last_wrong_label",
                                        "z_last_unweighted",
                                        "risk_unweighted",
                                        "label_dropped",
                                        "labels_as_classes",
                                        "risk_without_labels",
                                        "q_without_u",
                                        "q_with_minus_u",
                                        "q_linear",
                                        "q_and_u_from_stale_p",
                                        "u_wrong_sign",
                                        "u_with_nu",
                                        "coupling_of_old_u",
                                        "p_off_the_grid",
                                        "first_trial_always_accepted",
                                        "q_off_the_grid",
                                        "codes_truncated",
                                        "one_width_for_all_layers",
                                        "rms_not_clipped",
                                        "rms_of_twice_the_reach",
                                        "mean_for_rms",
                                        "one_bit_of_the_largest",
                                        "difference_always_accepted",
                                        "S_not_decayed",
                                        "c_not_decayed",
                                        "V_not_moved",
                                        "not_centred",
                                        "ridge_subtracted",
                                        "ridge_left_out",
                                        "P_from_stale_W",
                                        "kept_inverse_outdated",
                                        "always_decays_to_zero",
                                        "always_decays_to_identity",
                                        "weight_sq_from_zero",
                                        "majorisation_for_descent",
                                        "descent_always_accepted",
                                        "node_space_without_mean",
                                        "c_not_cleared",
                                        "push_through_without_ridge",
                                        "push_through_unscaled",
                                        "push_through_step_of_one",
                                        "target_without_reference",
                                        "target_is_the_residual",
                                        "schedule_never_resets",
                                        "schedule_without_most"};
    static_assert(std::size(names) == static_cast<std::size_t>(Bug::count));
    return names[static_cast<std::size_t>(bug)];
}

const real* PlantedBackend::before_move(const real* x) const {
    const auto found = stale_.find(x);
    return found == stale_.end() ? x : found->second.data();
}

void PlantedBackend::keep_before_move(Mat x) {
    for (Index l = 0; l < x.batch; ++l) stale_[x.layer(l).data].assign(x.layer(l).data, x.layer(l).data + x.size());
}

void PlantedBackend::gemm(Trans ta, Trans tb, real alpha, CMat A, CMat B, real beta, Mat C, Precision precision) {
    if (!has(Bug::P_from_stale_W) || A.data != B.data) return inner_.gemm(ta, tb, alpha, A, B, beta, C, precision);
    for (Index l = 0; l < C.batch; ++l) {  // W'W
        CMat W = A.layer(l);
        W.data = before_move(W.data);
        inner_.gemm(ta, tb, alpha, W, W, beta, C.layer(l), precision);
    }
}

void PlantedBackend::node_product(CMat A, CMat B, Mat C, Precision precision) {
    if (!has(Bug::W_from_stale_p) || A.data == B.data) return inner_.node_product(A, B, C, precision);
    for (Index l = 0; l < C.batch; ++l) {  // G = r p'
        CMat p = B.layer(l);
        p.data = before_move(p.data);
        inner_.node_product(A.layer(l), p, C.layer(l), precision);
    }
}

void PlantedBackend::p_gradient(CMat u, CMat p, CMat q, const Controls* k, Mat g, double* norm_sq) {
    inner_.p_gradient(u, p, q, k, g, norm_sq);
    if (!has(Bug::p_gradient_with_minus_u) && !has(Bug::p_gradient_without_q)) return;
    for (Index l = 0; l < g.batch; ++l) {
        double sum = 0;
        for (Index i = 0; i < g.size(); ++i) {
            real& x = g.layer(l).data[i];
            x += has(Bug::p_gradient_with_minus_u) ? -2 * u.layer(l).data[i] : k->rho * q.layer(l).data[i];
            sum += static_cast<double>(x) * static_cast<double>(x);
        }
        if (norm_sq) norm_sq[l] = sum;
    }
}

void PlantedBackend::center(CMat X, Mat Y) { has(Bug::not_centred) ? inner_.copy(X, Y) : inner_.center(X, Y); }

void PlantedBackend::invert(Variable v, const Controls* k, Mat F, std::int32_t* failed) {
    Controls wrong = *k;
    if (has(Bug::ridge_left_out)) wrong.rho = wrong.mu = 0;  // but for what keeps it regular
    for (Index l = 0; l < F.batch && has(Bug::ridge_subtracted); ++l)
        for (Index i = 0; i < F.rows; ++i)
            F.layer(l).data[i * F.rows + i] -= 2 * (v == Variable::p ? k->rho : k->mu) / k->nu;
    inner_.invert(v, &wrong, F, failed);
}

void PlantedBackend::push_through(Variable v, const Controls* k, CMat X, Mat Y, real* inverse, std::int32_t* failed) {
    Controls wrong = *k;
    if (has(Bug::push_through_without_ridge)) wrong.rho = wrong.mu = 0;  // but for what keeps it regular
    inner_.push_through(v, &wrong, X, Y, inverse, failed);
    for (Index l = 0; l < Y.batch; ++l) {
        const real scale = v == Variable::p ? k->nu : 1 / inverse[l];
        for (Index i = 0; i < Y.size() && has(Bug::push_through_unscaled); ++i) Y.layer(l).data[i] /= scale;
        if (has(Bug::push_through_step_of_one)) inverse[l] = 1;
    }
}

void PlantedBackend::node_space_target(const Controls* k, DecayTo decay, CMat p, CMat z, CMat r, Mat y) {
    Controls wrong = *k;
    if (has(Bug::target_is_the_residual)) wrong.mu = 0;
    if (has(Bug::target_without_reference)) decay = DecayTo::zero;
    inner_.node_space_target(&wrong, decay, p, z, r, y);
}

void PlantedBackend::keep_inverse(CMat gram, const Controls* k, KeptInverse* kept, Mat F, std::int32_t* failed) {
    if (!has(Bug::kept_inverse_outdated) || kept->nu == 0) inner_.keep_inverse(gram, k, kept, F, failed);
}

void PlantedBackend::W_gradient(CMat W, DecayTo decay, const Controls* k, Mat G, double* norm_sq) {
    Controls wrong = *k;
    if (has(Bug::W_gradient_without_mu)) wrong.mu = 0;
    if (has(Bug::always_decays_to_zero)) decay = DecayTo::zero;
    if (has(Bug::always_decays_to_identity) && W.rows == W.cols) decay = DecayTo::identity;
    inner_.W_gradient(W, decay, &wrong, G, norm_sq);
}

void PlantedBackend::step_size(Variable v, const double* norm_sq, CMat h, const Controls* k, StepSpec spec,
                               real* inverse) {
    const bool of_p = v == Variable::p;
    Controls wrong = *k;
    if (has(Bug::tau_without_rho)) wrong.rho = 0;
    if (has(Bug::theta_without_mu)) wrong.mu = 0;
    inner_.step_size(v, norm_sq, h, &wrong, spec, inverse);
    for (Index l = 0; l < h.batch; ++l) {
        if ((of_p && has(Bug::tau_too_small)) || (!of_p && has(Bug::theta_too_small))) inverse[l] *= real(2.5);
        if (of_p && has(Bug::tau_too_large)) inverse[l] /= real(2.5);
        if (has(Bug::one_step_for_all_layers)) inverse[l] = inverse[0];
    }
}

void PlantedBackend::descend(const real* inverse, CMat g, Mat p, CMat h, Mat r) {
    keep_before_move(p);
    if (!has(Bug::r_without_p_move)) return inner_.descend(inverse, g, p, h, r);
    const std::vector<real> old(r.data, r.data + (r.batch - 1) * r.stride + r.size());
    inner_.descend(inverse, g, p, h, r);
    std::copy(old.begin(), old.end(), r.data);
}

void PlantedBackend::descend(const real* inverse, CMat G, Mat W, DecayTo decay, LayerFigures* figures) {
    keep_before_move(W);
    inner_.descend(inverse, G, W, has(Bug::weight_sq_from_zero) ? DecayTo::zero : decay, figures);
}

void PlantedBackend::grid_check(CMat d, CMat h, const Controls* k, real* inverse, std::int32_t* pending) {
    if (has(Bug::first_trial_always_accepted))
        std::fill_n(pending, d.batch, 0);
    else
        inner_.grid_check(d, h, k, inverse, pending);
}

void PlantedBackend::snap(const Quantizer& q, Mat x) {
    inner_.snap(q, x);
    if (!has(Bug::p_off_the_grid)) return;
    for (Index l = 0; l < x.batch; ++l) x.layer(l).data[0] *= real(1.001);
    for (Index l = 0; l < x.batch; ++l) x.layer(l).data[x.size() - 1] += real(0.001);
}

void PlantedBackend::difference_move(const Quantizer& q, CMat g, const real* inverse, Mat d, MessageHeader* headers) {
    inner_.difference_move(q, g, inverse, d, headers);
    const bool by_rms = change_measure(q) == ChangeMeasure::squares, one_bit = q.bits == 1;
    const bool planted =
        has(Bug::one_width_for_all_layers) || (has(Bug::codes_truncated) && !one_bit) ||
        (has(Bug::one_bit_of_the_largest) && one_bit) ||
        (by_rms && (has(Bug::rms_not_clipped) || has(Bug::rms_of_twice_the_reach) || has(Bug::mean_for_rms)));
    if (!planted) return;
    const real widest =
        std::max_element(headers, headers + g.batch, [](auto& a, auto& b) { return a.width < b.width; })->width;
    for (Index l = 0; l < g.batch; ++l) {
        double squares = 0, magnitudes = 0, most = 0;
        for (Index i = 0; i < g.size(); ++i) {
            const double change = std::fabs(static_cast<double>(inverse[l] * g.layer(l).data[i]));
            squares += change * change;
            magnitudes += change;
            most = std::max(most, change);
        }
        real& width = headers[l].width;
        if (has(Bug::one_width_for_all_layers)) width = widest;
        if (has(Bug::rms_of_twice_the_reach)) width *= 2;
        if (has(Bug::mean_for_rms))
            width *= static_cast<real>(magnitudes / std::sqrt(squares * static_cast<double>(g.size())));
        if (has(Bug::one_bit_of_the_largest)) width = static_cast<real>(most);
        for (Index i = 0; i < g.size(); ++i) {
            const real change = -(inverse[l] * g.layer(l).data[i]), code = change / width;
            const bool clipped = !has(Bug::codes_truncated) && !has(Bug::rms_not_clipped);
            d.layer(l).data[i] = width * (clipped ? difference_code(change, width, largest_code(q.bits))
                                          : has(Bug::codes_truncated) ? std::trunc(code)
                                                                      : std::rint(code));
        }
    }
}

void PlantedBackend::difference_check(CMat d, CMat h, const Controls* k, real* inverse, MessageHeader* headers) {
    if (has(Bug::difference_always_accepted))
        std::fill_n(inverse, d.batch, real(-1));
    else
        inner_.difference_check(d, h, k, inverse, headers);
}

void PlantedBackend::descent_check(const Quantizer& q, CMat g, CMat d, CMat h, const Controls* k, real* inverse,
                                   std::int32_t* pending, MessageHeader* headers) {
    const bool grid = q.codec == Codec::grid;
    if (has(Bug::majorisation_for_descent))
        grid ? inner_.grid_check(d, h, k, inverse, pending) : inner_.difference_check(d, h, k, inverse, headers);
    else if (has(Bug::descent_always_accepted))
        grid ? static_cast<void>(std::fill_n(pending, d.batch, 0))
             : static_cast<void>(std::fill_n(inverse, d.batch, real(-1)));
    else
        inner_.descent_check(q, g, d, h, k, inverse, pending, headers);
}

void PlantedBackend::node_space_step(CMat r, Mat T, CMat V, const Controls* k, StepSpec spec, real* inverse,
                                     NodeSpaceScalars* s, LayerFigures* figures) {
    const double c = s->c;
    inner_.node_space_step(r, T, V, k, spec, inverse, s, figures);
    if (has(Bug::c_not_decayed)) s->c = c;
}

void PlantedBackend::node_space_descend(const real* inverse, CMat r, CMat H, const Controls* k, Mat S, Mat V) {
    if (has(Bug::S_not_decayed)) {
        Controls wrong = *k;
        wrong.mu = 0;
        return inner_.node_space_descend(inverse, r, H, &wrong, S, V);
    }
    const std::vector<real> old(V.data, V.data + V.size());
    inner_.node_space_descend(inverse, r, H, k, S, V);
    if (has(Bug::V_not_moved)) std::copy(old.begin(), old.end(), V.data);
}

void PlantedBackend::node_space_close(const NodeSpaceClosing& a, const Controls* k, const KeptInverse* kept,
                                      NodeSpaceScalars* s, LayerFigures* figures) {
    const double c = s->c;
    NodeSpaceClosing wrong = a;
    const std::vector<real> zero(static_cast<std::size_t>(a.w.rows), 0);
    if (has(Bug::node_space_without_mean)) wrong.w.data = zero.data();
    inner_.node_space_close(wrong, k, kept, s, figures);
    if (has(Bug::c_not_cleared)) s->c = c;
}

void PlantedBackend::bias_step(CMat r, CMat h, const real* inverse, Mat d, Mat b) {
    std::vector<real> zero(static_cast<std::size_t>(r.batch), 0);
    const std::vector<real> old(b.data, b.data + (b.batch - 1) * b.stride + b.rows);
    inner_.bias_step(r, h, has(Bug::b_before_W) ? zero.data() : inverse, d, b);
    const double nodes = static_cast<double>(r.cols);
    const double factor = has(Bug::b_sum_for_mean)                  ? nodes
                          : has(Bug::b_over_n_minus_1) && nodes > 1 ? nodes / (nodes - 1)
                                                                    : 1;
    for (Index l = 0; l < b.batch; ++l)
        for (Index i = 0; i < b.rows && factor != 1; ++i) {
            d.layer(l).data[i] = static_cast<real>(static_cast<double>(d.layer(l).data[i]) * factor);
            b.layer(l).data[i] = old[static_cast<std::size_t>(l * b.stride + i)] - d.layer(l).data[i];
        }
}

void PlantedBackend::activation_step(const Activation& a, const Controls* k, const Quantizer& quantizer,
                                     LayerFigures* figures, MessageHeader* headers) {
    if (quantizer.codec == Codec::difference) return inner_.activation_step(a, k, quantizer, figures, headers);
    for (Index l = 0; l < a.r.batch; ++l) plain_activation_layer(a, l, *k, quantizer, figures[l]);
}

void PlantedBackend::plain_activation_layer(const Activation& a, Index layer, const Controls& k,
                                            const Quantizer& quantizer, LayerFigures& f) {
    real *rs = a.r.layer(layer).data, *zs = a.z.layer(layer).data, *qs = a.q.layer(layer).data,
         *us = a.u.layer(layer).data;
    const real *hs = a.h.layer(layer).data, *ds = a.d.layer(layer).data, *ps = a.p_next.layer(layer).data;
    const real* old_ps = before_move(ps);
    f = {0, 0, 0, 0, f.weight_sq, 0};
    for (Index e = 0; e < a.r.size(); ++e) {
        rs[e] -= a.inverse[layer] * hs[e] + ds[e % a.r.rows];
        const real target = rs[e] + zs[e], old_u = us[e];
        const real p = has(Bug::q_and_u_from_stale_p) ? old_ps[e] : ps[e];
        const auto new_q = [&](real z) {
            const real dual = has(Bug::q_without_u) ? 0 : has(Bug::q_with_minus_u) ? -us[e] : us[e];
            real q = (k.rho * p + dual + k.nu * (has(Bug::q_linear) ? z : std::max(z, real(0)))) / (k.rho + k.nu);
            if (quantizer.codec == Codec::grid && !has(Bug::q_off_the_grid))
                q = quantizer.levels[nearest_level(quantizer.levels, quantizer.level_count, q)];
            return q;
        };
        const real q_seen = has(Bug::z_against_new_q) ? new_q(zs[e]) : qs[e];
        real z = hidden_z(target, q_seen, zs[e]);
        if (has(Bug::z_wrong_branch))
            z = z > 0 ? std::min((target + zs[e]) / 2, real(0)) : std::max((target + q_seen + zs[e]) / 3, real(0));
        if (has(Bug::z_always_linear)) z = (target + q_seen + zs[e]) / 3;
        if (has(Bug::z_without_proximal_term)) z = z > 0 ? (target + q_seen) / 2 : std::min(target, real(0));
        zs[e] = z;
        const real q = new_q(z), r = target - z;
        if (!has(Bug::r_not_updated_after_z)) rs[e] = r;
        const real gap = p - q, kink = q - std::max(z, real(0));
        us[e] = old_u + (has(Bug::u_wrong_sign) ? -k.rho : has(Bug::u_with_nu) ? k.nu : k.rho) * gap;
        qs[e] = q;
        const double shown_u = static_cast<double>(has(Bug::coupling_of_old_u) ? old_u : us[e]);
        f.linear_sq += static_cast<double>(rs[e]) * static_cast<double>(rs[e]);
        f.activation_sq += static_cast<double>(kink) * static_cast<double>(kink);
        f.coupling += shown_u * static_cast<double>(gap);
        f.primal_sq += static_cast<double>(gap) * static_cast<double>(gap);
    }
}

void PlantedBackend::last_step(const real* inverse, CMat h, CMat d, Labels labels, const Controls* k, Mat r, Mat z,
                               LayerFigures* figures) {
    Controls wrong = *k;
    if (has(Bug::z_last_nu_doubled)) wrong.nu *= 2;
    if (has(Bug::z_last_without_gradient)) wrong.nu *= real(1e6);  // so large that z = a
    std::vector<std::int32_t> shifted(labels.of_nodes, labels.of_nodes + r.cols);
    if (has(Bug::z_last_wrong_label))
        for (std::int32_t& y : shifted) y = static_cast<std::int32_t>((y + 1) % r.rows);
    const double* weights = has(Bug::z_last_unweighted) ? nullptr : labels.class_weights;
    std::vector<std::uint8_t> targets;
    if (labels.several()) targets.assign(labels.targets, labels.targets + r.size());
    if (has(Bug::label_dropped))
        if (const auto one = std::find(targets.begin(), targets.end(), 1); one != targets.end()) *one = 0;
    const bool as_targets = labels.several() && !has(Bug::labels_as_classes);
    inner_.last_step(inverse, h, d, {shifted.data(), weights, as_targets ? targets.data() : nullptr}, &wrong, r, z,
                     figures);
    if (has(Bug::risk_unweighted) && labels.class_weights) figures->risk /= labels.weight(0);
    if (has(Bug::risk_without_labels) && labels.several())
        for (Index i = 0; i < r.size(); ++i)  // log(1 + e^z) alone
            figures->risk += targets[static_cast<std::size_t>(i)] != 0 ? static_cast<double>(z.data[i]) : 0;
}

void PlantedBackend::schedule(const RhoSchedule& rule, const double* watched, Controls* k) {
    RhoSchedule wrong = rule;
    if (has(Bug::schedule_without_most)) wrong.most = 1e30;
    const real before = k->rho;
    inner_.schedule(wrong, watched, k);
    if (has(Bug::schedule_never_resets) && k->rho != before) k->stalls = rule.patience;
}

}  // namespace pdadmm
