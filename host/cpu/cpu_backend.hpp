// The CPU backend: OpenBLAS for products, threads over layers and fixed blocks for both.
//
// Same bits for any number of threads: work is cut into tasks that depend on shapes alone, each BLAS call runs one
// thread, and sums are formed per task and then added in task order.
#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>
#include <initializer_list>
#include <vector>

#include "host/cpu/thread_pool.hpp"
#include "pdadmm/backend.hpp"
#include "pdadmm/node_ranges.hpp"

namespace pdadmm {

class CpuBackend final : public Backend {
public:
    explicit CpuBackend(int threads);

    std::string name() const override { return "cpu"; }
    std::string description() const override;
    std::string product_kernels() const override;
    void divide_nodes(NodeSums* others) override {
        others_ = others;
        for (Products& products : products_) products.C = {};  // of an error between its two calls
    }
    CMat all_nodes(CMat own, Mat whole) override;
    void* allocate(std::size_t bytes) override;
    void release(void* memory) noexcept override { std::free(memory); }
    void upload(const void* host, void* device, std::size_t bytes) override;
    void download(const void* device, void* host, std::size_t bytes) override;
    void fill(Mat a, real value) override;
    void copy(CMat from, Mat to) override;
    void zero(void* memory, std::size_t bytes) override;
    void add_parts(std::span<const PartSum> sums, Index count, float* parts) override;
    void add_parts(std::span<const PartSum> sums, Index count, double* parts) override;
    void copy_bytes(const void* from, void* to, std::size_t bytes) override { upload(from, to, bytes); }
    std::size_t free_memory() const override;
    const void* shared(const void* host) const override { return host; }

    void gemm(Trans ta, Trans tb, real alpha, CMat A, CMat B, real beta, Mat C, Precision precision) override;
    void gram(CMat A, Mat C) override;
    PropagationOperator propagation_operator(const Csr& adjacency, const GraphOptions& options) override;
    Index spmm_slab_features(Index nodes) const override;
    std::string spmm_algorithm() const override { return "in order"; }
    void spmm(const CsrView& a, CMat X, Mat Y) override;
    void gather_columns(CMat X, const std::int32_t* columns, Mat Y) override;

    void p_gradient(CMat u, CMat p, CMat q, const Controls* k, Mat g, double* norm_sq) override;
    void W_gradient(CMat W, DecayTo decay, const Controls* k, Mat G, double* norm_sq) override;
    void step_size(Variable variable, const double* norm_sq, CMat h, const Controls* k, StepSpec spec,
                   real* inverse) override;
    void descend(const real* inverse, CMat g, Mat p, CMat h, Mat r) override;
    void descend(const real* inverse, CMat G, Mat W, DecayTo decay, LayerFigures* figures) override;

    void p_step(const StepOfP& a, const Controls* k, StepSpec spec) override;
    void W_b_step(const StepOfWb& a, const Controls* k, StepSpec spec) override;

    void node_product(CMat A, CMat B, Mat C, Precision precision) override {
        begin_node_product(A, B, C, precision);
        end_node_product(C);
    }
    void begin_node_product(CMat A, CMat B, Mat C, Precision precision) override;
    void end_node_product(Mat C) override;
    bool sums_travel(CMat C) const override { return others_ && C.batch * C.rows * C.cols > NodeSums::few; }
    void center(CMat X, Mat Y) override;
    void invert(Variable variable, const Controls* k, Mat F, std::int32_t* failed) override;
    void push_through(Variable variable, const Controls* k, CMat X, Mat Y, real* inverse,
                      std::int32_t* failed) override;
    void keep_inverse(CMat gram, const Controls* k, KeptInverse* kept, Mat F, std::int32_t* failed) override;
    void descent_check(const Quantizer& q, CMat g, CMat d, CMat h, const Controls* k, real* inverse,
                       std::int32_t* pending, MessageHeader* headers) override;
    void node_space_target(const Controls* k, DecayTo decay, CMat p, CMat z, CMat r, Mat y) override;
    void node_space_close(const NodeSpaceClosing& a, const Controls* k, const KeptInverse* kept, NodeSpaceScalars* s,
                          LayerFigures* figures) override;

    void dual_gradient(CMat S, const Controls* k, Mat R) override;
    void conjugate_weight(CMat R, CMat T, bool first, ConjugateScalars* s) override;
    void conjugate_direction(CMat R, CMat T, CMat V, const Controls* k, const ConjugateScalars* s, Mat E, Mat U,
                             real* inverse, NodeSpaceScalars* weights, LayerFigures* figures) override;
    void conjugate_step(const real* inverse, const Controls* k, CMat E, CMat U, CMat d, Mat S, Mat V, Mat r,
                        Mat R) override;

    void set_inverse(real* inverse, Index layers, double value) override;
    void reset_pending(std::int32_t* pending, Index layers) override;
    void grid_move(const Quantizer& q, CMat p, CMat g, const real* inverse, const std::int32_t* pending,
                   Mat d) override;
    void grid_check(CMat d, CMat h, const Controls* k, real* inverse, std::int32_t* pending) override;
    void snap(const Quantizer& q, Mat x) override;
    void difference_move(const Quantizer& q, CMat g, const real* inverse, Mat d, MessageHeader* headers) override;
    void difference_check(CMat d, CMat h, const Controls* k, real* inverse, MessageHeader* headers) override;
    void repeat_while(const std::int32_t* pending, Index layers, int most, const std::function<void()>& body) override;

    void node_space_step(CMat r, Mat T, CMat V, const Controls* k, StepSpec spec, real* inverse, NodeSpaceScalars* s,
                         LayerFigures* figures) override;
    void node_space_descend(const real* inverse, CMat r, CMat H, const Controls* k, Mat S, Mat V) override;
    void scale_by_c(const NodeSpaceScalars* s, Mat A) override;

    void bias_step(CMat r, CMat h, const real* inverse, Mat d, Mat b) override;
    void activation_step(const Activation& a, const Controls* k, const Quantizer& quantizer, LayerFigures* figures,
                         MessageHeader* headers) override;
    void last_step(const real* inverse, CMat h, CMat d, Labels labels, const Controls* k, Mat r, Mat z,
                   LayerFigures* figures) override;
    void rebuild_q(CMat z, CMat u, const Controls* k, Mat q) override;
    void close_residual(CMat b, CMat z, Mat r) override;
    void schedule(const RhoSchedule& rule, const double* watched, Controls* k) override;
    void archive(const LayerFigures* figures, const Controls* k, const History& history) override;

    void encode(const Quantizer& q, CMat x, const MessageHeader* header, std::byte* message) override;
    void decode(const Quantizer& q, const std::byte* message, Mat x) override;
    void dual_step(CMat p_next, CMat q, const Controls* k, Mat u) override;

    void add_bias(CMat b, bool linear, Mat A) override;
    void classify(CMat logits, Labels labels, Tally* tally) override;

    void count_step(Index* step) override;
    void dropped_activation(CMat b, const Dropout& dropout, const Index* step, Mat A) override;
    void loss_gradient(Labels labels, double scale, Mat Z, LayerFigures* figures) override;
    void activation_gradient(CMat A, real scale, Mat g, real beta, Mat d) override;
    void pull(real strength, CMat to, Mat x) override;
    void elastic_pull(real strength, int workers, CMat sum, Mat x, Mat centre) override;
    void optimizer_step(const UpdateRule& rule, const Index* step, CMat G, Mat w, Mat first, Mat second,
                        LayerFigures* figures) override;

private:
    /// A fixed range of columns of one layer of a stack.
    struct Block {
        Index layer, first, columns;
    };
    /// How a stack of contiguous layers is cut: blocks of about `elements` values within the ranges of nodes, by shape
    /// alone.
    struct Blocks {
        Index layers, rows;
        NodeRanges ranges;
        bool of_nodes;                        // columns are training nodes, of which other ranks may have more
        Index columns, per_range, per_layer;  // per_range: of the first range, and of equal ones
        template <typename T>
        Blocks(const MatView<T>& m, Index elements = 16384)
            : Blocks(m.batch, m.rows, NodeRanges(m), m.range > 0, elements) {
        }  // a few arrays of so many fit in a core's second-level cache
        Blocks(Index layer_count, Index row_count, const NodeRanges& cut, bool nodes, Index elements);
        /// Tiles of columns that one call of a product takes.
        template <typename T>
        static Blocks tiles(const MatView<T>& m) {
            return tiles(m.batch, m.rows, NodeRanges(m), m.range > 0);
        }
        static Blocks tiles(Index layers, Index rows, const NodeRanges& cut, bool nodes = false);
        Index count() const { return layers * per_layer; }
        Block operator[](Index task) const;
        /// Blocks of a layer that belong to ranges before `range`.
        Index before(Index range) const {
            if (!ranges.bounds) return std::min(range * per_range, per_layer);
            Index blocks = 0;
            for (Index earlier = 0; earlier < range; ++earlier) blocks += blocks_of(earlier);
            return blocks;
        }

    private:
        Index blocks_of(Index range) const { return (ranges.size(range) + columns - 1) / columns; }
    };
    // `work` copies the scalars of its loop into locals of its own: what is captured by reference is read anew for
    // every element, because the loop's stores might change it.
    template <typename F>
    void each_task(Index tasks, F&& work);
    /// Of a product, under which sums of other ranks may travel.
    template <typename F>
    void each_task_over_sums(Index tasks, F&& work);
    /// work(block) -> array of K sums; total(layer, sums) once a layer, in order.
    template <std::size_t K, typename F, typename G>
    void each_block_sum(const Blocks& blocks, F&& work, G&& total);
    template <typename F>
    void each_block(CMat shape, F&& work);
    /// add(block, sums) adds to a layer's `count` sums; total(layer, sum), where sum(i) is that of all blocks, once a
    /// layer, in order.
    template <typename F, typename G>
    void each_block_sum(const Blocks& blocks, Index count, F&& add, G&& total);
    /// The same with a sum for every row; total(layer, row, sum) once a row.
    template <typename F, typename G>
    void each_row_sum(CMat shape, F&& add, G&& total);
    /// Sums over nodes of every row of X, layer by layer; where rows are many without a part for each block of nodes,
    /// which would take more memory than X. The order of sums, and so the bits, is that of each_row_sum. Valid until
    /// the next sum.
    const double* row_sums(CMat X);
    /// d and b of a layer, from the sums over nodes of r and h.
    static void take_bias(double sum_r, double sum_h, real inverse, Index nodes, real& d, real& b);
    /// Training nodes of which the columns of `m` are this rank's.
    Index node_count(CMat m) const { return m.range > 0 && others_ ? others_->nodes() : m.cols; }
    /// The `count` sums of every layer from those of its blocks in partial_: of every range in their order, then along
    /// the tree. Valid until the next call.
    const double* sum_ranges(const Blocks& blocks, Index count);
    /// Part 0 of `ranges` parts of `count` values becomes their sum, and that of the ranges of other ranks.
    template <typename T>
    void add_ranges(bool of_nodes, Index ranges, T* parts, Index count);
    /// decide(layer, |x|^2, |y|^2) once a layer.
    template <typename F>
    void each_pair_of_squares(CMat x, CMat y, F&& decide);
    template <Codec codec>
    void activation_pass(const Activation& a, const Controls* k, const Quantizer& quantizer, LayerFigures* figures);
    void difference_q(const Activation& a, const Controls* k, const Quantizer& quantizer, LayerFigures* figures,
                      MessageHeader* headers);

    void label_step(const real* inverse, CMat h, CMat d, const std::uint8_t* targets, const Controls* k, Mat r, Mat z,
                    LayerFigures* figures);
    void label_gradients(const std::uint8_t* targets, double scale, Mat Z, LayerFigures* figures);
    static void tally_labels(CMat logits, Labels labels, Tally* tally);

    /// Y = X minus the mean of its rows over nodes, layer by layer.
    void subtract_means(CMat X, Mat Y);

    ThreadPool pool_;
    NodeSums* others_ = nullptr;
    std::vector<double> partial_;  // grows to the largest need in the first iteration
    std::vector<double> of_ranges_;
    /// Parts of a product, one for each range of nodes; C while they travel.
    struct Products {
        std::vector<real> parts;
        Mat C;
        bool symmetric = false;
    };
    std::array<Products, 2> products_;
    const Products* under_way_ = nullptr;    // that sums of other ranks were begun for last
    std::vector<double> factors_;            // double matrices for each layer of a stack
    std::vector<real> means_;                // of rows
    std::vector<double> along_, of_layers_;  // a value a layer
};

template <typename F>
void CpuBackend::each_task(Index tasks, F&& work) {
    pool_.run(tasks, work);
}

template <typename F>
void CpuBackend::each_task_over_sums(Index tasks, F&& work) {
    if (!others_) return each_task(tasks, work);
    const Index half = tasks / 2;
    each_task(half, work);
    others_->advance();
    each_task(tasks - half, [&work, half](Index task) { work(half + task); });
}

template <typename F>
void CpuBackend::each_block(CMat shape, F&& work) {
    const Blocks blocks(shape);
    each_task(blocks.count(), [&](Index t) { work(blocks[t]); });
}

template <std::size_t K, typename F, typename G>
void CpuBackend::each_block_sum(const Blocks& blocks, F&& work, G&& total) {
    partial_.resize(std::max(partial_.size(), static_cast<std::size_t>(blocks.count()) * K));
    double* partial = partial_.data();
    each_task(blocks.count(), [&](Index t) {
        const std::array<double, K> sums = work(blocks[t]);
        for (std::size_t k = 0; k < K; ++k) partial[static_cast<std::size_t>(t) * K + k] = sums[k];
    });
    const double* of_layers = sum_ranges(blocks, K);
    for (Index layer = 0; layer < blocks.layers; ++layer, of_layers += K) {
        std::array<double, K> sums;
        std::copy_n(of_layers, K, sums.begin());
        total(layer, sums);
    }
}

template <typename F, typename G>
void CpuBackend::each_row_sum(CMat shape, F&& add, G&& total) {
    each_block_sum(shape, shape.rows, add, [&](Index layer, auto&& sum) {
        for (Index i = 0; i < shape.rows; ++i) total(layer, i, sum(i));
    });
}

template <typename F, typename G>
void CpuBackend::each_block_sum(const Blocks& blocks, Index count, F&& add, G&& total) {
    partial_.resize(std::max(partial_.size(), static_cast<std::size_t>(blocks.count() * count)));
    double* partial = partial_.data();
    each_task_over_sums(blocks.count(), [&](Index t) {
        std::fill_n(partial + t * count, count, 0.0);
        add(blocks[t], partial + t * count);
    });
    const double* of_layers = sum_ranges(blocks, count);
    for (Index layer = 0; layer < blocks.layers; ++layer, of_layers += count)
        total(layer, [of_layers](Index i) { return of_layers[i]; });
}

template <typename T>
void CpuBackend::add_ranges(bool of_nodes, Index ranges, T* parts, Index count) {
    if (of_nodes && others_) return others_->complete(parts, count);
    add_along_tree(ranges, [&](Index i, Index j) {
        for (Index e = 0; e < count; ++e) parts[i * count + e] += parts[j * count + e];
    });
}

/// sums += the columns of x (rows, columns; `ld` apart), eight at a time. Of so many streams at once the processor
/// fetches none ahead by itself: the next eight are asked for where they follow without gaps.
inline void add_columns(const real* x, Index ld, Index rows, Index columns, double* __restrict sums) {
    constexpr Index line = 64 / sizeof(real);
    for (; columns >= 8; columns -= 8, x += 8 * ld) {
        for (Index i = 8 * rows; ld == rows && i < 16 * rows; i += line) __builtin_prefetch(x + i);
        const auto at = [x, ld](Index column, Index i) { return static_cast<double>(x[column * ld + i]); };
#pragma omp simd
        for (Index i = 0; i < rows; ++i)
            sums[i] +=
                ((at(0, i) + at(1, i)) + (at(2, i) + at(3, i))) + ((at(4, i) + at(5, i)) + (at(6, i) + at(7, i)));
    }
    for (; columns > 0; --columns, x += ld) {
#pragma omp simd
        for (Index i = 0; i < rows; ++i) sums[i] += static_cast<double>(x[i]);
    }
}

/// Sum of squares of `count` values, in double.
inline double sum_sq(const real* x, Index count) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index i = 0; i < count; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    return sum;
}

/// g = nu g + u + rho (p - q) of `count` elements; returns |g|^2.
double p_gradient_of_block(const Controls& k, const real* __restrict u, const real* __restrict p,
                           const real* __restrict q, real* __restrict g, Index count);

/// Throws Error(internal) unless every matrix has the rows, columns and batch of `shape` and no gap between columns.
void check_shapes(const char* operation, CMat shape, std::initializer_list<CMat> others);

template <typename F>
void CpuBackend::each_pair_of_squares(CMat x, CMat y, F&& decide) {
    const auto squares = [](CMat m) {
        return [m](Block block) {
            return std::array<double, 1>{
                sum_sq(m.layer(block.layer).data + block.first * m.rows, block.columns * m.rows)};
        };
    };
    check_shapes("squares", x, {});
    check_shapes("squares", y, {});
    of_layers_.resize(std::max(of_layers_.size(), static_cast<std::size_t>(x.batch)));
    const auto of_x = [this](Index l) -> double& { return of_layers_[static_cast<std::size_t>(l)]; };
    each_block_sum<1>(x, squares(x), [&](Index l, const auto& sums) { of_x(l) = sums[0]; });
    each_block_sum<1>(y, squares(y), [&](Index l, const auto& sums) { decide(l, of_x(l), sums[0]); });
}

}  // namespace pdadmm
