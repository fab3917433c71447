// CPU backend: memory, task cutting and products.
#include "host/cpu/cpu_backend.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "host/blas/blas.hpp"
#include "host/cpu/row_product.hpp"
#include "host/data/graph.hpp"
#include "host/machine/large_pages.hpp"
#include "host/machine/memory.hpp"
#include "host/machine/processors.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

/// In every thread that multiplies: with OpenMP, OpenBLAS keeps the number of its threads by calling thread.
void one_blas_thread() {
    static std::mutex order;
    const std::lock_guard<std::mutex> lock(order);
    blas().set_threads(1);
}

BlasTrans blas_trans(Trans t) { return t == Trans::yes ? BlasTrans::yes : BlasTrans::no; }

}  // namespace

CpuBackend::CpuBackend(int threads)
    : pool_((one_blas_thread(), threads > 0 ? threads : available_processors()), &one_blas_thread) {
}  // the caller loads the library: no other thread could say why it cannot be

std::string CpuBackend::description() const {
    return fmt::format("cpu, {} thread{}, {}", pool_.threads(), pool_.threads() == 1 ? "" : "s",
                       describe(blas_library()));
}

std::string CpuBackend::product_kernels() const {
    return fmt::format("{} {}", blas_library().version, blas_library().kernel);
}

void* CpuBackend::allocate(std::size_t bytes) {
    const std::size_t aligned = (std::max<std::size_t>(bytes, 64) + 63) / 64 * 64;
    // What is free stands in files of the kernel: they are not read for each of a network's thousands of small arrays.
    const bool fits = bytes < (std::size_t{64} << 20) || bytes <= free_memory();
    void* memory = !fits                           ? nullptr
                   : bytes >= least_on_large_pages ? allocate_on_large_pages(bytes)
                                                   : std::aligned_alloc(64, aligned);
    if (!memory)
        throw DeviceError(fmt::format(
            "memory: {:.2f} GiB free, expected {:.2f} GiB; use a smaller network, fewer hops or a larger machine",
            static_cast<double>(free_memory()) / (1 << 30), static_cast<double>(bytes) / (1 << 30)));
    std::memset(memory, 0, aligned);
    return memory;
}

std::size_t CpuBackend::free_memory() const {
    // OpenBLAS maps 128 MiB a thread at its first product, and waits for ever where an address space limit forbids
    // that.
    const std::uint64_t mapped = static_cast<std::uint64_t>(pool_.threads()) << 27, space = available_address_space();
    return std::min(available_memory(), space > mapped ? space - mapped : 0);
}

void CpuBackend::upload(const void* host, void* device, std::size_t bytes) {
    if (bytes) std::memcpy(device, host, bytes);
}
void CpuBackend::download(const void* device, void* host, std::size_t bytes) {
    if (bytes) std::memcpy(host, device, bytes);
}

void CpuBackend::fill(Mat a, real value) {
    for (Index l = 0; l < a.batch; ++l)
        for (Index j = 0; j < a.cols; ++j) std::fill_n(a.layer(l).columns(j, 1).data, a.rows, value);
}

void CpuBackend::zero(void* memory, std::size_t bytes) {
    if (bytes) std::memset(memory, 0, bytes);
}

void CpuBackend::copy(CMat from, Mat to) {
    if (from.rows != to.rows || from.cols != to.cols || from.batch != to.batch)
        throw Error(ExitCode::internal, "copy: shapes differ");
    for (Index l = 0; l < to.batch; ++l)
        for (Index j = 0; j < to.cols; ++j)
            std::copy_n(from.layer(l).columns(j, 1).data, to.rows, to.layer(l).columns(j, 1).data);
}

namespace {

template <typename T>
void add_in_order(std::span<const PartSum> sums, Index count, T* parts) {
    for (const auto [to, from] : sums) {
        T* __restrict sum = parts + to * count;
        const T* __restrict part = parts + from * count;
        for (Index e = 0; e < count; ++e) sum[e] += part[e];
    }
}

}  // namespace

void CpuBackend::add_parts(std::span<const PartSum> sums, Index count, float* parts) {
    add_in_order(sums, count, parts);
}
void CpuBackend::add_parts(std::span<const PartSum> sums, Index count, double* parts) {
    add_in_order(sums, count, parts);
}

void check_shapes(const char* operation, CMat shape, std::initializer_list<CMat> others) {
    bool good = shape.contiguous();
    for (const CMat& m : others)
        good = good && m.contiguous() && m.rows == shape.rows && m.cols == shape.cols && m.batch == shape.batch;
    if (!good) throw Error(ExitCode::internal, fmt::format("{}: shapes differ", operation));
}

CpuBackend::Blocks::Blocks(Index layer_count, Index row_count, const NodeRanges& cut, bool nodes, Index elements)
    : layers(layer_count), rows(row_count), ranges(cut), of_nodes(nodes) {
    columns = std::max<Index>(1, elements / std::max<Index>(1, rows));
    per_range = blocks_of(0);
    per_layer =
        (ranges.bounds ? before(ranges.count - 1) : (ranges.count - 1) * per_range) + blocks_of(ranges.count - 1);
}

CpuBackend::Blocks CpuBackend::Blocks::tiles(Index layers, Index rows, const NodeRanges& cut, bool nodes) {
    return {layers, rows, cut, nodes, tile_length(cut.length) * rows};
}

CpuBackend::Block CpuBackend::Blocks::operator[](Index task) const {
    Index block = task % per_layer, range = 0;
    if (ranges.bounds) {
        for (; block >= blocks_of(range); ++range) block -= blocks_of(range);
    } else {
        range = per_range == 0 ? 0 : std::min(block / per_range, ranges.count - 1);
        block -= range * per_range;
    }
    const Index within = block * columns;
    return {task / per_layer, ranges.first(range) + within, std::min(columns, ranges.size(range) - within)};
}

CMat CpuBackend::all_nodes(CMat own, Mat whole) {
    if (!others_) return own;
    if (whole.rows != own.rows || whole.cols != others_->nodes() || whole.batch != own.batch || !own.contiguous() ||
        !whole.contiguous())
        throw Error(ExitCode::internal, "all_nodes: shapes differ");
    for (Index l = 0; l < own.batch; ++l)
        others_->gather(reinterpret_cast<const std::byte*>(own.layer(l).data),
                        reinterpret_cast<std::byte*>(whole.layer(l).data),
                        static_cast<std::size_t>(own.rows) * sizeof(real));
    return whole;
}

void CpuBackend::gemm(Trans ta, Trans tb, real alpha, CMat A, CMat B, real beta, Mat C, Precision) {
    const Index m = ta == Trans::no ? A.rows : A.cols, k = ta == Trans::no ? A.cols : A.rows;
    const Index kb = tb == Trans::no ? B.rows : B.cols, n = tb == Trans::no ? B.cols : B.rows;
    if (C.rows != m || C.cols != n || k != kb) throw Error(ExitCode::internal, "gemm: shapes differ");
    // Cut along the longer side of C, or of a range of its nodes, by shape alone: each task packs its own part of one
    // operand and all of the shorter one.
    const bool by_rows = m > C.columns_of_call();
    const NodeRanges whole(n, 1), ranges = C.range > 0 ? NodeRanges(C) : whole;
    const Index calls = by_rows ? ranges.count : 1;
    const Blocks tiles = by_rows ? Blocks::tiles(C.batch * calls, n, NodeRanges(m)) : Blocks::tiles(CMat(C));
    each_task(tiles.count(), [&](Index task) {
        const auto [call, first, count] = tiles[task];
        const Index layer = call / calls, range = call % calls;
        const CMat a = A.layer(layer), b = B.layer(layer);
        const Mat c = C.layer(layer);
        const Index row = by_rows ? first : 0, column = by_rows ? ranges.first(range) : first;
        blas_gemm(blas_trans(ta), blas_trans(tb), static_cast<int>(by_rows ? count : m),
                  static_cast<int>(by_rows ? ranges.size(range) : count), static_cast<int>(k), alpha,
                  a.data + (ta == Trans::no ? row : row * a.ld), static_cast<int>(a.ld),
                  b.data + (tb == Trans::no ? column * b.ld : column), static_cast<int>(b.ld), beta,
                  c.data + column * c.ld + row, static_cast<int>(c.ld));
    });
}

const double* CpuBackend::sum_ranges(const Blocks& blocks, Index count) {
    const Index all = blocks.layers * count;
    of_ranges_.resize(std::max(of_ranges_.size(), static_cast<std::size_t>(blocks.ranges.count * all)));
    std::fill_n(of_ranges_.data(), blocks.ranges.count * all, 0.0);
    const auto of_range = [&](Index range) { return of_ranges_.data() + range * all; };
    for (Index range = 0; range < blocks.ranges.count; ++range)
        for (Index layer = 0; layer < blocks.layers; ++layer) {
            double* __restrict sums = of_range(range) + layer * count;
            for (Index block = blocks.before(range); block < blocks.before(range + 1); ++block) {
                const double* __restrict of_block = partial_.data() + (layer * blocks.per_layer + block) * count;
                for (Index i = 0; i < count; ++i) sums[i] += of_block[i];
            }
        }
    add_ranges(blocks.of_nodes, blocks.ranges.count, of_ranges_.data(), all);
    return of_ranges_.data();
}

// Tiles of the lower triangle, each mirrored by the task that forms it.
void CpuBackend::gram(CMat A, Mat C) {
    if (C.rows != A.cols || C.cols != A.cols || A.batch != 1 || C.batch != 1)
        throw Error(ExitCode::internal, "gram: shapes differ");
    const Index side = tile_count(C.cols), tile = tile_length(C.cols);
    each_task(side * (side + 1) / 2, [&](Index task) {
        Index i = 0, j = task;  // tile (i, j), i >= j
        while (j > i) j -= ++i;
        const Index row = i * tile, column = j * tile, rows = std::min(tile, C.rows - row),
                    columns = std::min(tile, C.cols - column);
        if (rows <= 0 || columns <= 0) return;
        blas_gemm(BlasTrans::yes, BlasTrans::no, static_cast<int>(rows), static_cast<int>(columns),
                  static_cast<int>(A.rows), 1, A.data + row * A.ld, static_cast<int>(A.ld), A.data + column * A.ld,
                  static_cast<int>(A.ld), 0, C.data + column * C.ld + row, static_cast<int>(C.ld));
        for (Index c = column; c < column + columns; ++c)
            for (Index r = std::max(row, c + 1); r < row + rows; ++r) C.data[r * C.ld + c] = C.data[c * C.ld + r];
    });
}

PropagationOperator CpuBackend::propagation_operator(const Csr& adjacency, const GraphOptions& options) {
    return stored_operator(*this, pdadmm::propagation_operator(adjacency, options));
}

// A slab of all nodes should stay in the last-level cache, where the gathers of a sparse product find it.
Index CpuBackend::spmm_slab_features(Index nodes) const {
    constexpr Index slab_bytes = Index{16} << 20;
    return std::max<Index>(16, slab_bytes / (std::max<Index>(1, nodes) * static_cast<Index>(sizeof(real))) / 16 * 16);
}

void CpuBackend::spmm(const CsrView& a, CMat X, Mat Y) {
    if (X.cols != a.cols || Y.cols != a.rows || X.rows != Y.rows)
        throw Error(ExitCode::internal, "spmm: shapes differ");
    constexpr Index nodes_per_task = 64;
    each_task((a.rows + nodes_per_task - 1) / nodes_per_task, [&](Index task) {
        const Index first = task * nodes_per_task, last = std::min(a.rows, first + nodes_per_task);
        for (Index node = first; node < last; ++node)
            sparse_row(a.columns, a.values, a.offsets[node], a.offsets[node + 1], a.offsets[last], X,
                       Y.data + node * Y.ld);
    });
}

void CpuBackend::gather_columns(CMat X, const std::int32_t* columns, Mat Y) {
    if (X.rows != Y.rows) throw Error(ExitCode::internal, "gather_columns: shapes differ");
    constexpr Index nodes_per_task = 4096;
    each_task((Y.cols + nodes_per_task - 1) / nodes_per_task, [&](Index task) {
        const Index last = std::min(Y.cols, (task + 1) * nodes_per_task);
        for (Index j = task * nodes_per_task; j < last; ++j)
            std::copy_n(X.data + columns[j] * X.ld, X.rows, Y.data + j * Y.ld);
    });
}

}  // namespace pdadmm
