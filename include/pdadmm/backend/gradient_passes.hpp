// Passes of full-batch backpropagation (host/backpropagation/). `step` counts the steps of a growth stage, in backend
// memory.
#pragma once

#include "pdadmm/backend/figures.hpp"
#include "pdadmm/gradients.hpp"
#include "pdadmm/labels.hpp"

namespace pdadmm {

class GradientPasses {
public:
    virtual ~GradientPasses() = default;

    /// step += 1.
    virtual void count_step(Index* step) = 0;
    /// A = dropout of f(A + b), with the random numbers of *step.
    virtual void dropped_activation(CMat b, const Dropout& dropout, const Index* step, Mat A) = 0;
    /// Z = scale w_y (softmax(Z) - e_y) over logits (C, N), of several labels scale (sigmoid(Z) - T);  figures->risk =
    /// summed cross entropy, weighted.
    virtual void loss_gradient(Labels labels, double scale, Mat Z, LayerFigures* figures) = 0;
    /// g = scale g where A > 0, else 0 (A without data: g stays);  d = beta d + sum over nodes of g.
    virtual void activation_gradient(CMat A, real scale, Mat g, real beta, Mat d) = 0;
    /// x += strength (to - x).
    virtual void pull(real strength, CMat to, Mat x) = 0;
    /// x += strength (centre - x) and centre += strength (sum - workers centre), both by what they were.
    virtual void elastic_pull(real strength, int workers, CMat sum, Mat x, Mat centre) = 0;
    /// One step of all parameters w by their gradient G, `first` and `second` being the optimizer's memory, as far as
    /// it has one; figures[l].weight_sq = |w|^2 before the step.
    virtual void optimizer_step(const UpdateRule& rule, const Index* step, CMat G, Mat w, Mat first, Mat second,
                                LayerFigures* figures) = 0;
};

}  // namespace pdadmm
