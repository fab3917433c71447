// What a device must do for pdADMM-G: own memory, multiply, and make single passes over stacks of layers. The
// algorithm (host/admm.cpp) is written over this interface and names no backend.
//
// Every matrix argument is a stack of `batch` layers (types.hpp) in the backend's memory, and so are step sizes, rho,
// nu, mu and the figures: nothing here returns a number to the host except download(). Shapes: W (n, m), p g (m, N), z
// r q u h (n, N), b d (n, 1), one scalar a layer. Shape errors throw Error(internal).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pdadmm/codec.hpp"
#include "pdadmm/math.hpp"
#include "pdadmm/types.hpp"

namespace pdadmm {

/// How exactly a product multiplies: `working` may be TF32 or bfloat16 where the user asked for it
/// (BackendOptions::math), `full` never is. The carried residual and its refresh in full precision keep the difference
/// out of the results.
enum class Precision { full, working };
enum class Math { fp32, tf32, bf16 };

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
    double risk;           // summed cross entropy of z_L (last layer only)
};

/// What an inverse that is kept between iterations was formed for (Backend::keep_inverse), in backend memory; all zero:
/// for nothing yet.
struct KeptInverse {
    double nu, mu, kappa;
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

/// Correct predictions and summed cross entropy over a range of columns.
struct Tally {
    double correct, cost;
};

struct Csr;
struct GraphOptions;
struct PropagationOperator;

/// A piece of work that a backend may keep in a form which costs less to repeat (CUDA: a graph).
class Phase {
public:
    virtual ~Phase() = default;
    virtual void run() = 0;
};

/// Whole iterations in one piece of work (Backend::fuse).
class FusedIterations {
public:
    virtual ~FusedIterations() = default;
    /// `count` iterations, with figures and penalties in the history's slots `first` and following.
    virtual void run(Index first, int count) = 0;
};

/// Marks in the order of a backend's work, and when they were reached.
class Timeline {
public:
    virtual ~Timeline() = default;
    /// A mark behind the work that was given so far; nothing waits for it. Not within a recorded phase.
    virtual void mark() = 0;
    /// When each mark since the last call was reached, in seconds of std::chrono::steady_clock; waits for them.
    virtual std::vector<double> times() = 0;
};
struct LayerGroup;

class Backend {
public:
    virtual ~Backend() = default;
    virtual std::string name() const = 0;         // "cpu", "cuda"
    virtual std::string description() const = 0;  // device and libraries, one line

    // Memory. allocate throws DeviceError with the need and what is free.
    virtual void* allocate(std::size_t bytes) = 0;
    virtual void release(void* memory) noexcept = 0;
    virtual void upload(const void* host, void* device, std::size_t bytes) = 0;
    virtual void download(const void* device, void* host, std::size_t bytes) = 0;  // waits for all work before it
    virtual void fill(Mat a, real value) = 0;
    virtual void copy(CMat from, Mat to) = 0;
    virtual void zero(void* memory, std::size_t bytes) = 0;
    virtual std::size_t free_memory() const = 0;

    // Order of work.
    /// The work that `body` does, to be repeated by run(): always on the same memory, with no decision of the host in
    /// it. `body` must stay callable as long as the phase lives.
    virtual std::unique_ptr<Phase> record(std::function<void()> body);
    /// body(0) .. body(count - 1), which depend on nothing of each other and share no memory that is written, as at the
    /// same time as the device allows; what follows waits for all of them.
    virtual void concurrently(Index count, const std::function<void(Index)>& body);
    /// Returns when all work so far is done, so that others than this backend may use its memory.
    virtual void wait() {}
    /// How many iterations are worth queueing before the host reads a figure: 1 where work is done when a call returns.
    virtual Index run_ahead() const { return 1; }
    /// Iterations of these groups without quantisation, with constant penalties and without refresh, in a form that is
    /// worth having for a small network; none where the backend has none or was not asked to (BackendOptions::fused).
    virtual std::unique_ptr<FusedIterations> fuse(std::span<const LayerGroup> groups, const Controls* k, StepSpec spec,
                                                  const History& history);
    /// Marks in the work of this backend.
    virtual std::unique_ptr<Timeline> timeline();
    /// The algorithms that a library chose for products so far, a line each, for the record.
    virtual std::vector<std::string> product_algorithms() const { return {}; }

    // Products.
    /// C = alpha op(A) op(B) + beta C, layer by layer; A or B with stride 0 is shared by all layers.
    virtual void gemm(Trans ta, Trans tb, real alpha, CMat A, CMat B, real beta, Mat C,
                      Precision precision = Precision::full) = 0;
    /// The operator of a stored adjacency (graph.hpp): rows sorted by column, each column once. The same bits on every
    /// backend. Throws DeviceError where memory is short, before taking it.
    virtual PropagationOperator propagation_operator(const Csr& adjacency, const GraphOptions& options) = 0;
    /// Features that spmm is fastest with at once; the caller takes fewer where memory is short.
    virtual Index spmm_slab_features(Index nodes) const = 0;
    /// How spmm adds: results of different names may differ in their last bits.
    virtual std::string spmm_algorithm() const = 0;
    /// Y = X A' for features x nodes matrices: column i of Y is the sum over j of a_ij X(:, j).
    virtual void spmm(const CsrView& a, CMat X, Mat Y) = 0;
    /// Y(:, i) = X(:, columns[i]).
    virtual void gather_columns(CMat X, const std::int32_t* columns, Mat Y) = 0;

    // p and W.
    /// g = nu g + u + rho (p - q) over g = W' r;  norm_sq[l] = |g|^2.
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

    // Closed forms of p and W (design 2, `block`).
    /// C = A B' over A (n, N) and B (m, N): a sum over nodes, formed per range and along one tree (node_ranges.hpp).
    /// With B = A it is symmetric but for rounding.
    virtual void node_product(CMat A, CMat B, Mat C, Precision precision) = 0;
    /// Y = X minus its mean over nodes, formed in double.
    virtual void center(CMat X, Mat Y) = 0;
    /// F = (nu F + kappa I)^-1 over the lower triangles of Gram matrices F (m, m), in double; kappa is rho of p and mu
    /// of W, or ridge_of(). Where a matrix is not positive definite, F is NaN and failed[l] gets the variable's bit.
    virtual void invert(Variable variable, const Controls* k, Mat F, std::int32_t* failed) = 0;
    /// The same by the smaller of two Gram matrices (push-through identity), whole in double. Of p: X = W (n, m) and Y
    /// = nu (nu W W' + kappa I)^-1 W.  Of W: X = p_c (m, N) and Y = kappa p_c (nu p_c' p_c + kappa I)^-1. inverse[l] =
    /// 1/kappa. Y may be X.
    virtual void push_through(Variable variable, const Controls* k, CMat X, Mat Y, real* inverse,
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

    // Quantised p.
    /// inverse[l] = 1/value for every layer.
    virtual void set_inverse(real* inverse, Index layers, double value) = 0;
    /// pending[l] = all trials, and the snap in place after them.
    virtual void reset_pending(std::int32_t* pending, Index layers) = 0;
    /// Codec grid: where pending[l], d = snap(p - inverse g) - p.
    virtual void grid_move(const Quantizer& q, CMat p, CMat g, const real* inverse, const std::int32_t* pending,
                           Mat d) = 0;
    /// Where pending[l]: accept the move if nu |h|^2 + rho |d|^2 <= |d|^2 / inverse or inverse = 0, else halve inverse,
    /// and set it to 0 (p snapped in place) after the last trial. pending counts the trials that are left.
    virtual void grid_check(CMat d, CMat h, const Controls* k, real* inverse, std::int32_t* pending) = 0;
    /// x = nearest level.
    virtual void snap(const Quantizer& q, Mat x) = 0;
    /// Codec difference: d = decode(code(-inverse g)) with the width of a code that follows from all of the layer's
    /// inverse g (difference_width, codec.hpp); headers[l] = {width of a code, 1}.
    virtual void difference_move(const Quantizer& q, CMat g, const real* inverse, Mat d, MessageHeader* headers) = 0;
    /// headers[l].factor = the factor with which the move is accepted, inverse[l] = -factor: descend(inverse, d, p, h,
    /// r) then applies it.
    virtual void difference_check(CMat d, CMat h, const Controls* k, real* inverse, MessageHeader* headers) = 0;
    /// Runs body up to `most` times, until no pending[l] is positive.
    virtual void repeat_while(const std::int32_t* pending, Index layers, int most,
                              const std::function<void()>& body) = 0;

    // First layer in node space; T = r K1 on entry of the first pass, H on its exit.
    /// H = nu T + mu V over T; theta from <T, r>, <r, V>, |H|^2 and the scalars, which move on with it;
    /// figures->weight_sq = |W1|^2.
    virtual void node_space_step(CMat r, Mat T, CMat V, const Controls* k, StepSpec spec, real* inverse,
                                 NodeSpaceScalars* s, LayerFigures* figures) = 0;
    /// S = (1 - mu inverse) S + nu inverse r;  V -= inverse H.
    virtual void node_space_descend(const real* inverse, CMat r, CMat H, const Controls* k, Mat S, Mat V) = 0;
    /// A = c A (refresh and export of node-space quantities).
    virtual void scale_by_c(const NodeSpaceScalars* s, Mat A) = 0;

    // b, z, q, u.
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
    virtual void last_step(const real* inverse, CMat h, CMat d, const std::int32_t* labels, const Controls* k, Mat r,
                           Mat z, LayerFigures* figures) = 0;
    /// q = f(z) + u / nu: what q must be after an iteration where it is unquantised and rho and nu are constant (design
    /// 2).
    virtual void rebuild_q(CMat z, CMat u, const Controls* k, Mat q) = 0;
    /// r += b - z (a refresh of the carried residual, after r = W p).
    virtual void close_residual(CMat b, CMat z, Mat r) = 0;
    /// Moves k's rho and nu on by the schedule; `watched` is a figure in backend memory.
    virtual void schedule(const RhoSchedule& rule, const double* watched, Controls* k) = 0;
    /// Puts an iteration's figures and the penalties that it used into the history.
    virtual void archive(const LayerFigures* figures, const Controls* k, const History& history) = 0;

    // Messages between ranks (codec.hpp), one layer each.
    /// message = x (codec none), the codes of x (grid), or header and codes of the decoded change x (difference).
    virtual void encode(const Quantizer& q, CMat x, const MessageHeader* header, std::byte* message) = 0;
    /// x as the sender has it after its update; x must hold what the sender had before.
    virtual void decode(const Quantizer& q, const std::byte* message, Mat x) = 0;
    /// u += rho (p_next - q): the dual step on the far side of a border.
    virtual void dual_step(CMat p_next, CMat q, const Controls* k, Mat u) = 0;

    // Forward pass.
    /// A = f(A + b), or A + b where `linear`.
    virtual void add_bias(CMat b, bool linear, Mat A) = 0;
    /// Adds to the tally of columns with labels y >= 0.
    virtual void classify(CMat logits, const std::int32_t* labels, Tally* tally) = 0;

    // Backpropagation (host/backpropagation/). `step` counts the steps of a growth stage, in backend memory.
    /// step += 1.
    virtual void count_step(Index* step) = 0;
    /// A = dropout of f(A + b), with the random numbers of *step.
    virtual void dropped_activation(CMat b, const Dropout& dropout, const Index* step, Mat A) = 0;
    /// Z = scale (softmax(Z) - e_y) over logits (C, N);  figures->risk = summed cross entropy.
    virtual void softmax_gradient(const std::int32_t* labels, double scale, Mat Z, LayerFigures* figures) = 0;
    /// g = scale g where A > 0, else 0 (A without data: g stays);  d = beta d + sum over nodes of g.
    virtual void activation_gradient(CMat A, real scale, Mat g, real beta, Mat d) = 0;
    /// sum = parts[0] + parts[1] + ..., a stack's matrices added in their order, in double.
    virtual void sum_in_order(CMat parts, Mat sum) = 0;
    /// One step of all parameters w by their gradient G, `first` and `second` being the optimizer's memory, as far as
    /// it has one; figures[l].weight_sq = |w|^2 before the step.
    virtual void optimizer_step(const UpdateRule& rule, const Index* step, CMat G, Mat w, Mat first, Mat second,
                                LayerFigures* figures) = 0;
};

namespace detail {
struct EagerPhase final : Phase {
    explicit EagerPhase(std::function<void()> work) : body(std::move(work)) {}
    void run() override { body(); }
    std::function<void()> body;
};
/// Of work that is done when a call returns.
struct HostTimeline final : Timeline {
    static double now() {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    }
    void mark() override { marks.push_back(now()); }
    std::vector<double> times() override { return std::exchange(marks, {}); }
    std::vector<double> marks;
};
}  // namespace detail
inline std::unique_ptr<Timeline> Backend::timeline() { return std::make_unique<detail::HostTimeline>(); }
inline std::unique_ptr<Phase> Backend::record(std::function<void()> body) {
    return std::make_unique<detail::EagerPhase>(std::move(body));
}
inline std::unique_ptr<FusedIterations> Backend::fuse(std::span<const LayerGroup>, const Controls*, StepSpec,
                                                      const History&) {
    return nullptr;
}
inline void Backend::concurrently(Index count, const std::function<void(Index)>& body) {
    for (Index i = 0; i < count; ++i) body(i);
}

/// Move-only owner of `count` elements of backend memory.
template <typename T>
class Buffer {
public:
    Buffer() = default;
    Buffer(Backend& backend, Index count)
        : backend_(&backend),
          data_(static_cast<T*>(backend.allocate(static_cast<std::size_t>(count) * sizeof(T)))),
          count_(count) {}
    Buffer(Backend& backend, const std::vector<T>& host) : Buffer(backend, static_cast<Index>(host.size())) {
        upload(host);
    }
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        swap(other);
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() {
        if (data_) backend_->release(data_);
    }

    T* data() const { return data_; }
    Index count() const { return count_; }
    void upload(const std::vector<T>& host) { backend_->upload(host.data(), data_, host.size() * sizeof(T)); }
    std::vector<T> download() const {
        std::vector<T> host(static_cast<std::size_t>(count_));
        backend_->download(data_, host.data(), host.size() * sizeof(T));
        return host;
    }

private:
    void swap(Buffer& other) noexcept {
        std::swap(backend_, other.backend_);
        std::swap(data_, other.data_);
        std::swap(count_, other.count_);
    }
    Backend* backend_ = nullptr;
    T* data_ = nullptr;
    Index count_ = 0;
};

/// Move-only owner of a square operator in backend memory.
struct PropagationOperator {
    Index nodes = 0;
    Buffer<Index> offsets;  // (nodes + 1)
    Buffer<std::int32_t> columns;
    Buffer<real> values;
    std::shared_ptr<void> plan;  // the backend's, for products with it

    CsrView view() const {
        return {nodes, nodes, columns.count(), offsets.data(), columns.data(), values.data(), plan.get()};
    }
};

struct BackendOptions {
    int threads = 0;                                           // CPU: 0 takes the processors this process may use
    int device = 0;                                            // CUDA
    Math math = Math::fp32;                                    // CUDA: of products in `working` precision
    bool graphs = true;                                        // CUDA: recorded phases are replayed as graphs
    bool fused = false;                                        // CUDA: small networks run in one persistent kernel
    std::function<void(const std::string&)> notice = nullptr;  // gets a line where "auto" falls back to the CPU
    bool deterministic_spmm = false;                           // CUDA: sparse products add in a fixed order
    Index most_narrow_entries = INT32_MAX;  // CUDA: operators with more entries have 64-bit indices (a test lowers it)
};
/// name: "cpu", "cuda" or "auto" (CUDA where a usable device is found, else the CPU). Throws DeviceError or UsageError.
std::unique_ptr<Backend> make_backend(const std::string& name, const BackendOptions& options);

}  // namespace pdadmm
