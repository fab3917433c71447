// Slabs on the processor (host/large/slab_worker.hpp).
#include "host/large/slab.hpp"
#include "host/large/slab_worker.hpp"

namespace pdadmm {
namespace {

class SlabsInMemory final : public SlabWorker {
public:
    SlabsInMemory(const SlabInput& input, Index widest, ThreadPool& pool)
        : input_(input), pool_(pool), x_(static_cast<std::size_t>(input.features.nodes * widest)) {}

    void load_features(Index first, Index width) override {
        width_ = width;
        pdadmm::load_features(input_.panels, input_.features, first, width, 0, input_.features.nodes, x_.data(), pool_);
    }

    void load_state(const PartReader& state, Index width) override {
        width_ = width;
        read_state(state, 0, input_.features.nodes, width, x_.data(), pool_);
    }

    void keep(std::span<const std::int32_t> kept, PartWriter& out) override {
        each_row_block(pool_, input_.features.nodes, rows_of_task, {}, [&](Index first, Index last) {
            write_kept(x_.data() + first * width_, first, last, width_, kept, out);
        });
    }

    void hop(const DiskOperator& a, const HopRows& rows, HopOutput out, HopWatch& watch) override {
        slab_product(input_.graph, a, x_.data(), width_, rows, out, watch, pool_);
    }

    void advance(const PartReader& state) override { load_state(state, width_); }

private:
    SlabInput input_;
    ThreadPool& pool_;
    Slab x_;
    Index width_ = 0;
};

}  // namespace

std::unique_ptr<SlabWorker> slabs_in_memory(const SlabInput& input, Index widest, ThreadPool& pool) {
    return std::make_unique<SlabsInMemory>(input, widest, pool);
}

}  // namespace pdadmm
