// A backend that hands every operation to another one: the base of test doubles that change one of them.
#pragma once

#include "pdadmm/backend.hpp"

namespace pdadmm {

class ForwardingBackend : public Backend {
public:
    explicit ForwardingBackend(Backend& inner) : inner_(inner) {}

    std::string name() const override { return inner_.name(); }
    std::string description() const override { return inner_.description(); }
    std::string product_kernels() const override { return inner_.product_kernels(); }
    void divide_nodes(NodeSums* others) override { inner_.divide_nodes(others); }
    CMat all_nodes(CMat own, Mat whole) override { return inner_.all_nodes(own, whole); }
    void* allocate(std::size_t bytes) override { return inner_.allocate(bytes); }
    void release(void* memory) noexcept override { inner_.release(memory); }
    void upload(const void* host, void* device, std::size_t bytes) override { inner_.upload(host, device, bytes); }
    void download(const void* device, void* host, std::size_t bytes) override { inner_.download(device, host, bytes); }
    void fill(Mat a, real value) override { inner_.fill(a, value); }
    void copy(CMat from, Mat to) override { inner_.copy(from, to); }
    void zero(void* memory, std::size_t bytes) override { inner_.zero(memory, bytes); }
    void add_parts(std::span<const PartSum> sums, Index count, float* parts) override {
        inner_.add_parts(sums, count, parts);
    }
    void add_parts(std::span<const PartSum> sums, Index count, double* parts) override {
        inner_.add_parts(sums, count, parts);
    }
    void copy_bytes(const void* from, void* to, std::size_t bytes) override { inner_.copy_bytes(from, to, bytes); }
    std::size_t free_memory() const override { return inner_.free_memory(); }
    const void* shared(const void* host) const override { return inner_.shared(host); }

    void gemm(Trans ta, Trans tb, real alpha, CMat A, CMat B, real beta, Mat C, Precision precision) override {
        inner_.gemm(ta, tb, alpha, A, B, beta, C, precision);
    }
    void gram(CMat A, Mat C) override { inner_.gram(A, C); }
    PropagationOperator propagation_operator(const Csr& adjacency, const GraphOptions& options) override {
        return inner_.propagation_operator(adjacency, options);
    }
    Index spmm_slab_features(Index nodes) const override { return inner_.spmm_slab_features(nodes); }
    std::string spmm_algorithm() const override { return inner_.spmm_algorithm(); }
    void spmm(const CsrView& a, CMat X, Mat Y) override { inner_.spmm(a, X, Y); }
    void gather_columns(CMat X, const std::int32_t* columns, Mat Y) override { inner_.gather_columns(X, columns, Y); }

    void p_gradient(CMat u, CMat p, CMat q, const Controls* k, Mat g, double* norm_sq) override {
        inner_.p_gradient(u, p, q, k, g, norm_sq);
    }
    void W_gradient(CMat W, DecayTo decay, const Controls* k, Mat G, double* norm_sq) override {
        inner_.W_gradient(W, decay, k, G, norm_sq);
    }
    void step_size(Variable v, const double* norm_sq, CMat h, const Controls* k, StepSpec spec,
                   real* inverse) override {
        inner_.step_size(v, norm_sq, h, k, spec, inverse);
    }
    void descend(const real* inverse, CMat g, Mat p, CMat h, Mat r) override { inner_.descend(inverse, g, p, h, r); }
    void descend(const real* inverse, CMat G, Mat W, DecayTo decay, LayerFigures* figures) override {
        inner_.descend(inverse, G, W, decay, figures);
    }

    void node_product(CMat A, CMat B, Mat C, Precision precision) override { inner_.node_product(A, B, C, precision); }
    void center(CMat X, Mat Y) override { inner_.center(X, Y); }
    void invert(Variable v, const Controls* k, Mat F, std::int32_t* failed) override { inner_.invert(v, k, F, failed); }
    void keep_inverse(CMat gram, const Controls* k, KeptInverse* kept, Mat F, std::int32_t* failed) override {
        inner_.keep_inverse(gram, k, kept, F, failed);
    }
    void descent_check(const Quantizer& q, CMat g, CMat d, CMat h, const Controls* k, real* inverse,
                       std::int32_t* pending, MessageHeader* headers) override {
        inner_.descent_check(q, g, d, h, k, inverse, pending, headers);
    }
    void push_through(Variable v, const Controls* k, CMat X, Mat Y, real* inverse, std::int32_t* failed) override {
        inner_.push_through(v, k, X, Y, inverse, failed);
    }
    void node_space_target(const Controls* k, DecayTo decay, CMat p, CMat z, CMat r, Mat y) override {
        inner_.node_space_target(k, decay, p, z, r, y);
    }
    void node_space_close(const NodeSpaceClosing& a, const Controls* k, const KeptInverse* kept, NodeSpaceScalars* s,
                          LayerFigures* figures) override {
        inner_.node_space_close(a, k, kept, s, figures);
    }

    void dual_gradient(CMat S, const Controls* k, Mat R) override { inner_.dual_gradient(S, k, R); }
    void conjugate_weight(CMat R, CMat T, bool first, ConjugateScalars* s) override {
        inner_.conjugate_weight(R, T, first, s);
    }
    void conjugate_direction(CMat R, CMat T, CMat V, const Controls* k, const ConjugateScalars* s, Mat E, Mat U,
                             real* inverse, NodeSpaceScalars* weights, LayerFigures* figures) override {
        inner_.conjugate_direction(R, T, V, k, s, E, U, inverse, weights, figures);
    }
    void conjugate_step(const real* inverse, const Controls* k, CMat E, CMat U, CMat d, Mat S, Mat V, Mat r,
                        Mat R) override {
        inner_.conjugate_step(inverse, k, E, U, d, S, V, r, R);
    }

    void set_inverse(real* inverse, Index layers, double value) override { inner_.set_inverse(inverse, layers, value); }
    void reset_pending(std::int32_t* pending, Index layers) override { inner_.reset_pending(pending, layers); }
    void grid_move(const Quantizer& q, CMat p, CMat g, const real* inverse, const std::int32_t* pending,
                   Mat d) override {
        inner_.grid_move(q, p, g, inverse, pending, d);
    }
    void grid_check(CMat d, CMat h, const Controls* k, real* inverse, std::int32_t* pending) override {
        inner_.grid_check(d, h, k, inverse, pending);
    }
    void snap(const Quantizer& q, Mat x) override { inner_.snap(q, x); }
    void difference_move(const Quantizer& q, CMat g, const real* inverse, Mat d, MessageHeader* headers) override {
        inner_.difference_move(q, g, inverse, d, headers);
    }
    void difference_check(CMat d, CMat h, const Controls* k, real* inverse, MessageHeader* headers) override {
        inner_.difference_check(d, h, k, inverse, headers);
    }
    void repeat_while(const std::int32_t* pending, Index layers, int most, const std::function<void()>& body) override {
        inner_.repeat_while(pending, layers, most, body);
    }

    void node_space_step(CMat r, Mat T, CMat V, const Controls* k, StepSpec spec, real* inverse, NodeSpaceScalars* s,
                         LayerFigures* figures) override {
        inner_.node_space_step(r, T, V, k, spec, inverse, s, figures);
    }
    void node_space_descend(const real* inverse, CMat r, CMat H, const Controls* k, Mat S, Mat V) override {
        inner_.node_space_descend(inverse, r, H, k, S, V);
    }
    void scale_by_c(const NodeSpaceScalars* s, Mat A) override { inner_.scale_by_c(s, A); }

    void bias_step(CMat r, CMat h, const real* inverse, Mat d, Mat b) override {
        inner_.bias_step(r, h, inverse, d, b);
    }
    void activation_step(const Activation& a, const Controls* k, const Quantizer& quantizer, LayerFigures* figures,
                         MessageHeader* headers) override {
        inner_.activation_step(a, k, quantizer, figures, headers);
    }
    void last_step(const real* inverse, CMat h, CMat d, Labels labels, const Controls* k, Mat r, Mat z,
                   LayerFigures* figures) override {
        inner_.last_step(inverse, h, d, labels, k, r, z, figures);
    }
    void rebuild_q(CMat z, CMat u, const Controls* k, Mat q) override { inner_.rebuild_q(z, u, k, q); }
    void close_residual(CMat b, CMat z, Mat r) override { inner_.close_residual(b, z, r); }
    void schedule(const RhoSchedule& rule, const double* watched, Controls* k) override {
        inner_.schedule(rule, watched, k);
    }
    void archive(const LayerFigures* figures, const Controls* k, const History& history) override {
        inner_.archive(figures, k, history);
    }

    void encode(const Quantizer& q, CMat x, const MessageHeader* header, std::byte* message) override {
        inner_.encode(q, x, header, message);
    }
    void decode(const Quantizer& q, const std::byte* message, Mat x) override { inner_.decode(q, message, x); }
    void dual_step(CMat p_next, CMat q, const Controls* k, Mat u) override { inner_.dual_step(p_next, q, k, u); }

    void add_bias(CMat b, bool linear, Mat A) override { inner_.add_bias(b, linear, A); }
    void classify(CMat logits, Labels labels, Tally* tally) override { inner_.classify(logits, labels, tally); }

    void count_step(Index* step) override { inner_.count_step(step); }
    void dropped_activation(CMat b, const Dropout& dropout, const Index* step, Mat A) override {
        inner_.dropped_activation(b, dropout, step, A);
    }
    void loss_gradient(Labels labels, double scale, Mat Z, LayerFigures* figures) override {
        inner_.loss_gradient(labels, scale, Z, figures);
    }
    void activation_gradient(CMat A, real scale, Mat g, real beta, Mat d) override {
        inner_.activation_gradient(A, scale, g, beta, d);
    }
    void pull(real strength, CMat to, Mat x) override { inner_.pull(strength, to, x); }
    void elastic_pull(real strength, int workers, CMat sum, Mat x, Mat centre) override {
        inner_.elastic_pull(strength, workers, sum, x, centre);
    }
    void optimizer_step(const UpdateRule& rule, const Index* step, CMat G, Mat w, Mat first, Mat second,
                        LayerFigures* figures) override {
        inner_.optimizer_step(rule, step, G, w, first, second, figures);
    }

protected:
    Backend& inner_;
};

}  // namespace pdadmm
