// Times of marks on the CUDA backend: events on the stream of the present lane, read after the host has waited for
// them.
#include <chrono>
#include <vector>

#include "cuda/cuda_backend.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

class EventTimeline final : public Timeline {
public:
    explicit EventTimeline(Lane& lane) : lane_(lane) { PDADMM_CUDA_CHECK(cudaEventCreate(origin_.out())); }

    void mark() override {
        if (used_ == events_.size()) {
            events_.emplace_back();
            PDADMM_CUDA_CHECK(cudaEventCreate(events_.back().out()));
        }
        PDADMM_CUDA_CHECK(cudaEventRecord(events_[used_++], lane_.stream));
    }

    // Events only tell the time between them, in milliseconds as float: the origin is set now, so that no time between
    // is long.
    std::vector<double> times() override {
        PDADMM_CUDA_CHECK(cudaEventRecord(origin_, lane_.stream));
        PDADMM_CUDA_CHECK(cudaEventSynchronize(origin_));
        const double now = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
        std::vector<double> reached;
        for (std::size_t k = 0; k < used_; ++k) {
            float before_ms = 0;
            PDADMM_CUDA_CHECK(cudaEventElapsedTime(&before_ms, events_[k], origin_));
            reached.push_back(now - 1e-3 * static_cast<double>(before_ms));
        }
        used_ = 0;
        return reached;
    }

private:
    Lane& lane_;
    Event origin_;
    std::vector<Event> events_;  // the first used_ are set
    std::size_t used_ = 0;
};

}  // namespace

std::unique_ptr<Timeline> CudaBackend::timeline() { return std::make_unique<EventTimeline>(lane()); }

}  // namespace pdadmm
