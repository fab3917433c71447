// Penalties, their schedule, and the figures of an iteration, all in backend memory (design 2).
#pragma once

#include "pdadmm/steps.hpp"

namespace pdadmm {

/// Penalties and the state of their schedule, in backend memory (design 2, "rho schedules").
struct Controls {
    real rho, nu, mu;
    Stalls stalls;        // how many iterations in a row the watched figure fell by less than the threshold
    double last_watched;  // its value an iteration ago
};
static_assert(sizeof(Controls) == 3 * sizeof(real) + sizeof(Stalls) + sizeof(double),
              "no padding: equal states are equal bytes");

/// When rho and nu grow: after `patience` iterations in a row in which the watched figure fell by less than
/// `threshold` (summed over training nodes), both are multiplied by `factor`, up to `most`.
struct RhoSchedule {
    enum class Watch { off, cost, risk } watch = Watch::off;
    double threshold = 1e-3, factor = 10, most = 1;
    int patience = 2;
};

/// Sums over one layer after an iteration (design 1; r and q - f(z) after the z and q updates, u after its own).
struct LayerFigures {
    double linear_sq;      // |z - W p - b|^2
    double activation_sq;  // |q - f(z)|^2
    double coupling;       // <u, p_next - q>
    double primal_sq;      // |p_next - q|^2
    double weight_sq;      // |W - W_ref|^2
    double risk;           // summed cross entropy of z_L, weighted (last layer only)
};

/// Figures and penalties of past iterations, in backend memory, until the host reads them: iteration i since the start
/// of a stage is in slot i % capacity. `figures` holds `layers` values a slot.
struct History {
    LayerFigures* figures = nullptr;
    Controls* controls = nullptr;
    Index* position = nullptr;  // iterations archived so far
    Index capacity = 0;
    int layers = 0;
};

class Figures {
public:
    virtual ~Figures() = default;

    /// Moves k's rho and nu on by the schedule; `watched` is a figure in backend memory.
    virtual void schedule(const RhoSchedule& rule, const double* watched, Controls* k) = 0;
    /// Puts an iteration's figures and the penalties that it used into the history.
    virtual void archive(const LayerFigures* figures, const Controls* k, const History& history) = 0;
};

}  // namespace pdadmm
