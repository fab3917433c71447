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
#include "pdadmm/backend/order.hpp"
#include "pdadmm/backend/products.hpp"
#include "pdadmm/backend/weight_passes.hpp"

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
                public GradientPasses {
public:
    ~Backend() override = default;
    virtual std::string name() const = 0;         // "cpu", "cuda"
    virtual std::string description() const = 0;  // device and libraries, one line
    /// Library and kernels that decide the last bits of products, where there is a choice of them.
    virtual std::string product_kernels() const { return name(); }
    /// 1/theta, as step_size of W, and with it b, as bias_step: one reading of r and h where the backend can.
    virtual void W_step(const double* norm_sq, CMat r, CMat h, const Controls* k, StepSpec spec, real* inverse, Mat d,
                        Mat b) {
        step_size(Variable::W, norm_sq, h, k, spec, inverse);
        bias_step(r, h, inverse, d, b);
    }
    /// Iterations of these groups without quantisation, with constant penalties and without refresh, in a form that is
    /// worth having for a small network; none where the backend has none or was not asked to (BackendOptions::fused).
    virtual std::unique_ptr<FusedIterations> fuse(std::span<const LayerGroup>, const Controls*, StepSpec,
                                                  const History&) {
        return nullptr;
    }
};

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
