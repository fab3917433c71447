// The last layer: its proximal step with one warp a node, and the classification of logits.
#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"
#include "cuda/warp_lanes.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

constexpr Index nodes_per_block = pass_threads / 32;
constexpr Index most_blocks = 2048;

unsigned blocks_of(Index items, Index per_block) {
    const Index wanted = (items + per_block - 1) / per_block;
    return static_cast<unsigned>(wanted < most_blocks ? wanted : most_blocks);
}

/// Of the risk and |r|^2.
struct RiskFinish {
    LayerFigures* figures;
    __device__ void operator()(Index, const double (&sums)[2]) const {
        *figures = {sums[1], 0, 0, 0, figures->weight_sq, sums[0]};
    }
};

__global__ void __launch_bounds__(pass_threads)
    last_step_kernel(const real* inverse, const real* h, const real* d, Labels labels, const Controls* k, real* r,
                     real* z, std::int32_t classes, Cut nodes, RiskFinish finish, Meeting meeting, OfRanges of) {
    const double nu = k->nu;
    const real step = inverse[0];
    const Index range = blockIdx.z, end = nodes.begin(range) + nodes.size(range);
    double sums[2] = {};
    for (Index node = nodes.begin(range) + blockIdx.x * nodes_per_block + threadIdx.x / 32; node < end;
         node += gridDim.x * nodes_per_block) {
        const Index at = node * classes;
        last_node({classes, labels[node], labels.weight(node), labels.targets_of(node, classes), step, h + at, d,
                   r + at, z + at},
                  nu, sums[0], sums[1]);
    }
    if (meet(sums, blockIdx.x, gridDim.x, {meeting.partial + range * gridDim.x * 2, meeting.arrived + range}))
        take_range(finish, range, 0, 1, sums, of);
}

__device__ void tally_labels(const real* zs, const std::uint8_t* ts, std::int32_t count, double (&sums)[4]) {
    LabelCounts counts;
    for (std::int32_t i = 0; i < count; ++i) {
        counts.see(zs[i] > 0, ts[i] != 0);
        sums[1] += label_cost(static_cast<double>(zs[i]), static_cast<double>(ts[i]));
    }
    Tally of_node{};
    counts.add_to(of_node);
    sums[0] += of_node.correct;
    sums[2] += of_node.hits;
    sums[3] += of_node.marks;
}

__global__ void __launch_bounds__(pass_threads)
    classify_kernel(const real* logits, Index ld, std::int32_t classes, Index nodes, Labels labels, Tally* tally,
                    Meeting meeting) {
    double sums[4] = {};
    for (Index node = static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x; node < nodes;
         node += static_cast<Index>(gridDim.x) * pass_threads) {
        const std::int32_t label = labels[node];
        if (label < 0) continue;
        const real* zs = logits + node * ld;
        if (labels.several()) {
            tally_labels(zs, labels.targets_of(node, classes), classes, sums);
            continue;
        }
        std::int32_t best = 0;
        for (std::int32_t i = 1; i < classes; ++i)
            if (zs[i] > zs[best]) best = i;
        double sum = 0;
        for (std::int32_t i = 0; i < classes; ++i)
            sum += exp(static_cast<double>(zs[i]) - static_cast<double>(zs[best]));
        sums[0] += best == label ? 1 : 0;
        sums[2] += best == label ? 1 : 0;
        sums[3] += 2;
        sums[1] += static_cast<double>(zs[best]) + log(sum) - static_cast<double>(zs[label]);
    }
    if (meet(sums, blockIdx.x, gridDim.x, meeting)) {
        tally->correct += sums[0];
        tally->cost += sums[1];
        tally->hits += sums[2];
        tally->marks += sums[3];
    }
}

}  // namespace

void CudaBackend::last_step(const real* inverse, CMat h, CMat d, Labels labels, const Controls* k, Mat r, Mat z,
                            LayerFigures* figures) {
    if (!r.contiguous() || !z.contiguous() || !h.contiguous() || r.size() != z.size() || r.size() != h.size())
        throw Error(ExitCode::internal, "last_step: shapes differ");
    const RangesOf ranges(r);
    const Index length = r.columns_of_call();
    const dim3 grid(blocks_of(length, nodes_per_block), 1, static_cast<unsigned>(ranges.ranges));
    const Meeting meeting{lane().partials.at_least(2 * static_cast<Index>(grid.x) * ranges.ranges),
                          lane().arrivals.at_least(ranges.ranges)};
    const OfRanges of = of_ranges(lane(), ranges, 2);
    const RiskFinish finish{figures};
    launch("last_step", last_step_kernel, grid, pass_threads, lane().stream, inverse, h.data, d.data, labels, k, r.data,
           z.data, static_cast<std::int32_t>(r.rows), Cut{r.cols, length}, finish, meeting, of);
    finish_ranges<2>("last_step", lane(), ranges, of, finish);
}

void CudaBackend::classify(CMat logits, Labels labels, Tally* tally) {
    const unsigned blocks = blocks_of(logits.cols, pass_threads);
    if (blocks == 0) return;
    const Meeting meeting{lane().partials.at_least(4 * static_cast<Index>(blocks)), lane().arrivals.at_least(1)};
    launch("classify", classify_kernel, blocks, pass_threads, lane().stream, logits.data, logits.ld,
           static_cast<std::int32_t>(logits.rows), logits.cols, labels, tally, meeting);
}

}  // namespace pdadmm
