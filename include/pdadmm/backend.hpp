// What a device must do for pdADMM-G: own memory, multiply, and make single passes over stacks of layers. The
// algorithm (host/admm/admm.cpp) is written over this interface and names no backend.
//
// Every matrix argument is a stack of `batch` layers (types.hpp) in the backend's memory, and so are step sizes, rho,
// nu, mu and the figures: nothing here returns a number to the host except download(). Shapes: W (n, m), p g (m, N), z
// r q u h (n, N), b d (n, 1), one scalar a layer. Shape errors throw Error(internal).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "pdadmm/backend/activation_passes.hpp"
#include "pdadmm/backend/block_passes.hpp"
#include "pdadmm/backend/codec_passes.hpp"
#include "pdadmm/backend/conjugate_passes.hpp"
#include "pdadmm/backend/figures.hpp"
#include "pdadmm/backend/gradient_passes.hpp"
#include "pdadmm/backend/memory.hpp"
#include "pdadmm/backend/node_parts.hpp"
#include "pdadmm/backend/order.hpp"
#include "pdadmm/backend/products.hpp"
#include "pdadmm/backend/weight_passes.hpp"
#include "pdadmm/error.hpp"
#include "pdadmm/node_sums.hpp"

namespace pdadmm {

struct LayerGroup;

/// Whole iterations in one piece of work (Backend::fuse).
class FusedIterations {
public:
    virtual ~FusedIterations() = default;
    /// `count` iterations, with figures and penalties in the history's slots `first` and following.
    virtual void run(Index first, int count) = 0;
    /// How it lies on the device, for the record.
    virtual std::string description() const { return ""; }
};

class Backend : public Memory,
                public Order,
                public Products,
                public WeightPasses,
                public BlockPasses,
                public ConjugatePasses,
                public CodecPasses,
                public ActivationPasses,
                public Figures,
                public NodeParts,
                public GradientPasses {
public:
    ~Backend() override = default;
    virtual std::string name() const = 0;         // "cpu", "cuda"
    virtual std::string description() const = 0;  // device and libraries, one line
    /// Library and kernels that decide the last bits of products, where there is a choice of them.
    virtual std::string product_kernels() const { return name(); }
    /// From here on matrices over training nodes are this rank's columns, and sums over them those of all ranks; null:
    /// this rank has them all.
    virtual void divide_nodes(NodeSums* others) = 0;

    /// `own` over all training nodes: itself, or where other ranks hold some of them `whole`, which gets the columns of
    /// all, layer by layer. For products that sum over nodes one way and keep them the other.
    virtual CMat all_nodes(CMat own, Mat whole) = 0;

    // Lines of an iteration whose operations follow one another on the same nodes. A backend may do them tile by tile,
    // while a tile is in its cache; these do one after the other.
    struct StepOfP {
        CMat W, r, u, p, q;  // r without data: g holds W'r
        Mat g, h;
        double* norm_sq;
        real* inverse;
    };
    /// g = nu W'r + u + rho (p - q);  norm_sq = |g|^2;  h = W g;  inverse = 1/tau.
    virtual void p_step(const StepOfP& a, const Controls* k, StepSpec spec);
    struct StepOfWb {
        CMat G, p, r;  // the direction of W
        Mat h, d, b;
        const double* norm_sq;  // |G|^2; null: inverse is what it is
        real* inverse;
    };
    /// h = G p;  inverse = 1/theta;  d = mean over nodes of (r - inverse h);  b -= d.
    virtual void W_b_step(const StepOfWb& a, const Controls* k, StepSpec spec);

    /// Iterations of these groups without quantisation, with constant penalties and without refresh, in a form that is
    /// worth having for a small network; none where the backend has none or was not asked to (BackendOptions::fused).
    virtual std::unique_ptr<FusedIterations> fuse(std::span<const LayerGroup>, const Controls*, StepSpec,
                                                  const History&) {
        return nullptr;
    }
};

inline void Backend::p_step(const StepOfP& a, const Controls* k, StepSpec spec) {
    if (a.r.data) gemm(Trans::yes, Trans::no, 1, a.W, a.r, 0, a.g, Precision::working);
    p_gradient(a.u, a.p, a.q, k, a.g, a.norm_sq);
    gemm(Trans::no, Trans::no, 1, a.W, a.g, 0, a.h, Precision::working);
    step_size(Variable::p, a.norm_sq, a.h, k, spec, a.inverse);
}

inline void Backend::W_b_step(const StepOfWb& a, const Controls* k, StepSpec spec) {
    gemm(Trans::no, Trans::no, 1, a.G, a.p, 0, a.h, Precision::working);
    if (a.norm_sq) step_size(Variable::W, a.norm_sq, a.h, k, spec, a.inverse);
    bias_step(a.r, a.h, a.inverse, a.d, a.b);
}

struct BackendOptions {
    int threads = 0;                                           // CPU: 0 takes the processors this process may use
    int device = 0;                                            // CUDA
    Math math = Math::fp32;                                    // CUDA: of products in `working` precision
    bool graphs = true;                                        // CUDA: recorded phases are replayed as graphs
    bool fused = false;                                        // CUDA: small networks run in one persistent kernel
    std::function<void(const std::string&)> notice = nullptr;  // gets a line where "auto" falls back to the CPU
    bool fast_spmm = false;                                    // CUDA: sparse products add in any order
    Index most_narrow_entries = INT32_MAX;  // CUDA: operators with more entries have 64-bit indices (a test lowers it)
};
/// name: "cpu", "cuda" or "auto" (CUDA where a usable device is found, else the CPU). Throws DeviceError or UsageError.
std::unique_ptr<Backend> make_backend(const std::string& name, const BackendOptions& options);

}  // namespace pdadmm
