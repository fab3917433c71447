// Slabs of graphs larger than memory on a device (pdadmm/slab_device.hpp).
//
// The products are our own: cuSPARSE wants an array of values, half the graph's memory again, and promises neither the
// same bits for rows by themselves and in a whole matrix nor for slabs of any width. Here a few lanes walk a row in
// order of columns, as the processor does, so the bits are those of the processor, whatever the blocks and slabs.
#include <algorithm>
#include <array>
#include <utility>

#include "cuda/check.cuh"
#include "cuda/device.cuh"
#include "pdadmm/cuda.hpp"

namespace pdadmm {
namespace cuda {
namespace {

/// As many numbers as one instruction loads. A column of a slab has a whole number of them.
struct alignas(16) Pack {
    real values[16 / sizeof(real)];
};
constexpr Index pack_values = sizeof(Pack) / sizeof(real);

/// Entries of some rows: `offsets` from the first row on, `columns` from the first entry on.
struct RowsOnDevice {
    GraphRows rows;
    const Index* offsets;
    const std::int32_t* columns;
    const float* weights;  // null: all are 1
};

struct OperatorOnDevice {
    Norm norm = Norm::none;
    SelfLoops self_loops = SelfLoops::keep;
    const double* scale = nullptr;
    const std::uint8_t* reach = nullptr;  // null: every node is computed
    int most = 0;                         // reach of those that are
};

__device__ void add(Pack& sum, real value, const Pack& x) {
    for (Index i = 0; i < pack_values; ++i) sum.values[i] += value * x.values[i];
}

/// One pack of a row: its entries in order of columns, self loops as the options say.
__device__ Pack row_product(const RowsOnDevice& a, const OperatorOnDevice& op, Index row, const Pack* X, Index packs) {
    const Index* offsets = a.offsets + (row - a.rows.first);
    const std::int32_t *begin = a.columns + (offsets[0] - a.rows.begin), *end = a.columns + (offsets[1] - a.rows.begin);
    Pack sum{};
    const auto add_entries = [&](const std::int32_t* from, const std::int32_t* to) {
        for (; from != to; ++from) {
            const float weight = a.weights ? a.weights[from - a.columns] : 1.0f;
            add(sum, operator_value(op.norm, op.scale, row, *from, weight), X[*from * packs]);
        }
    };
    if (op.self_loops == SelfLoops::keep) {
        add_entries(begin, end);
        return sum;
    }
    const std::int32_t *loop = begin, *behind = end;  // where the row's own column is or would be
    while (loop != behind) {
        const std::int32_t* middle = loop + (behind - loop) / 2;
        if (*middle < row)
            loop = middle + 1;
        else
            behind = middle;
    }
    add_entries(begin, loop);
    if (op.self_loops == SelfLoops::add)
        add(sum, operator_value(op.norm, op.scale, row, row, loop_weight), X[row * packs]);
    add_entries(loop != end && *loop == row ? loop + 1 : loop, end);
    return sum;
}

/// Lanes along x take the packs of a row, rows lie along y.
__global__ void slab_kernel(RowsOnDevice a, OperatorOnDevice op, const Pack* X, Pack* Y, Index packs) {
    const Index step = static_cast<Index>(gridDim.x) * blockDim.y;
    for (Index row = a.rows.first + static_cast<Index>(blockIdx.x) * blockDim.y + threadIdx.y; row < a.rows.last;
         row += step) {
        const bool computed = !op.reach || op.reach[row] <= op.most;
        for (Index pack = threadIdx.x; pack < packs; pack += blockDim.x)
            Y[row * packs + pack] = computed ? row_product(a, op, row, X + pack, packs) : Pack{};
    }
}

[[noreturn]] void refuse(const char* memory, std::uint64_t bytes) {
    cudaGetLastError();  // not sticky: forget it
    throw DeviceError(std::string(memory) + ": none for " + gibibytes(bytes) +
                      " of a slab and rows of the graph, expected as much; end what else takes it and give the same "
                      "command again, which goes on");
}

struct OnDevice {
    static void* take(std::size_t bytes) {
        void* memory = nullptr;
        const cudaError_t status = cudaMalloc(&memory, bytes);
        if (status == cudaErrorMemoryAllocation) refuse("CUDA memory", bytes);
        check(status, "cudaMalloc");
        return memory;
    }
    static void give_back(void* memory) { cudaFree(memory); }
};
struct PageLocked {
    static void* take(std::size_t bytes) {
        void* memory = nullptr;
        const cudaError_t status = cudaHostAlloc(&memory, bytes, cudaHostAllocDefault);
        if (status == cudaErrorMemoryAllocation) refuse("page-locked memory", bytes);
        check(status, "cudaHostAlloc");
        return memory;
    }
    static void give_back(void* memory) { cudaFreeHost(memory); }
};

/// Move-only owner of `count` elements; of none it is null.
template <typename Kind, typename T>
class Owned {
public:
    Owned() = default;
    explicit Owned(Index count)
        : data_(count > 0 ? static_cast<T*>(Kind::take(static_cast<std::size_t>(count) * sizeof(T))) : nullptr) {}
    Owned(Owned&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
    Owned& operator=(Owned&& other) noexcept {
        T* const mine = std::exchange(data_, std::exchange(other.data_, nullptr));
        if (mine) Kind::give_back(mine);
        return *this;
    }
    ~Owned() {
        if (data_) Kind::give_back(data_);
    }
    T* data() const { return data_; }

private:
    T* data_ = nullptr;
};

/// Rows of the graph, or the whole graph.
template <typename Kind>
struct Rows {
    Owned<Kind, Index> offsets;
    Owned<Kind, std::int32_t> columns;
    Owned<Kind, float> weights;
    Rows() = default;
    Rows(Index rows, Index entries, bool weighted)
        : offsets(rows + 1), columns(entries), weights(weighted ? entries : 0) {}
};

class CudaSlabs final : public SlabDevice {
public:
    explicit CudaSlabs(int device) : device_(device) {
        take_device(device_);
        for (Turn& turn : turns_) {
            PDADMM_CUDA_CHECK(cudaStreamCreateWithFlags(turn.stream.out(), cudaStreamNonBlocking));
            for (Event* event : {&turn.copied, &turn.multiplied, &turn.moved})
                PDADMM_CUDA_CHECK(cudaEventCreateWithFlags(event->out(), cudaEventDisableTiming));
        }
        PDADMM_CUDA_CHECK(cudaStreamCreateWithFlags(moves_.out(), cudaStreamNonBlocking));
    }
    CudaSlabs(const CudaSlabs&) = delete;
    CudaSlabs& operator=(const CudaSlabs&) = delete;
    ~CudaSlabs() override {  // nothing may be on its way to memory that goes
        cudaSetDevice(device_);
        cudaDeviceSynchronize();
    }

    std::string name() const override {
        cudaDeviceProp p{};
        PDADMM_CUDA_CHECK(cudaGetDeviceProperties(&p, device_));
        return "device " + std::to_string(device_) + ", " + p.name;
    }

    std::uint64_t free_memory() const override {
        PDADMM_CUDA_CHECK(cudaSetDevice(device_));
        return plannable_memory();
    }

    void reserve(const SlabRoom& room) override {
        PDADMM_CUDA_CHECK(cudaSetDevice(device_));
        room_ = room;
        x_ = {};
        y_ = {};
        scale_ = {};
        reach_ = {};
        whole_ = {};
        for (Turn& turn : turns_) {
            turn.locked = {};
            turn.block = {};
            turn.range = {};
        }
        const Index packs = room.nodes * room.width / pack_values;
        x_ = Owned<OnDevice, Pack>(packs);
        y_ = Owned<OnDevice, Pack>(packs);
        scale_ = Owned<OnDevice, double>(room.scaled ? room.nodes : 0);
        reach_ = Owned<OnDevice, std::uint8_t>(room.limited ? room.nodes : 0);
        if (room.holds_graph) whole_ = {room.nodes, room.entries, room.weighted};
        for (Turn& turn : turns_) {
            turn.locked = {room.range_rows, room.block_entries, room.weighted};
            if (!room.holds_graph) turn.block = {room.range_rows, room.block_entries, room.weighted};
            turn.range = Owned<PageLocked, real>(room.range_rows * room.width);
        }
    }

    Block block(int turn) override {
        Turn& t = at(turn);
        PDADMM_CUDA_CHECK(cudaEventSynchronize(t.copied));
        return {t.locked.offsets.data(), t.locked.columns.data(), t.locked.weights.data()};
    }

    real* range(int turn) override {
        Turn& t = at(turn);
        PDADMM_CUDA_CHECK(cudaEventSynchronize(t.moved));
        return t.range.data();
    }

    void hold(int turn, const GraphRows& rows) override {
        Turn& t = at(turn);
        copy_rows(t, rows, whole_.offsets.data() + rows.first, whole_.columns.data() + rows.begin,
                  room_.weighted ? whole_.weights.data() + rows.begin : nullptr);
        PDADMM_CUDA_CHECK(cudaEventRecord(t.multiplied, t.stream));
    }

    void set_operator(const GraphOptions& options, std::span<const double> scale) override {
        operator_.norm = options.norm;
        operator_.self_loops = options.self_loops;
        operator_.scale = scale_.data();
        place(scale_.data(), scale);
    }
    void set_reach(std::span<const std::uint8_t> reach) override {
        operator_.reach = reach_.data();
        place(reach_.data(), reach);
    }

    void begin_slab(Index width) override { packs_ = width / pack_values; }

    void put(int turn, Index first, Index last) override {
        move(
            turn,
            [&](Turn& t, std::size_t bytes) {
                PDADMM_CUDA_CHECK(
                    cudaMemcpyAsync(x_.data() + first * packs_, t.range.data(), bytes, cudaMemcpyHostToDevice, moves_));
            },
            last - first);
    }
    void get_X(int turn, Index first, Index last) override { get(x_, turn, first, last); }
    void get_Y(int turn, Index first, Index last) override { get(y_, turn, first, last); }

    // Either stream waits for what the other wrote into X, and for all that still reads what Y's memory held.
    void begin_hop(int most) override {
        PDADMM_CUDA_CHECK(cudaSetDevice(device_));
        operator_.most = most;
        for (Turn& t : turns_)
            for (Turn& other : turns_) {
                PDADMM_CUDA_CHECK(cudaStreamWaitEvent(t.stream, other.multiplied, 0));
                PDADMM_CUDA_CHECK(cudaStreamWaitEvent(t.stream, other.moved, 0));
            }
    }

    void multiply(int turn, const GraphRows& rows) override {
        Turn& t = at(turn);
        RowsOnDevice a{rows, t.block.offsets.data(), t.block.columns.data(), t.block.weights.data()};
        if (room_.holds_graph)
            a = {{rows.first, rows.last, 0, 0},
                 whole_.offsets.data() + rows.first,
                 whole_.columns.data(),
                 whole_.weights.data()};
        else
            copy_rows(t, rows, t.block.offsets.data(), t.block.columns.data(), t.block.weights.data());
        unsigned lanes = 1;
        while (lanes < 32 && lanes < packs_) lanes *= 2;
        constexpr unsigned threads = 256;
        const Index blocks = (rows.last - rows.first + threads / lanes - 1) / (threads / lanes);
        launch("slab_kernel", slab_kernel, dim3(static_cast<unsigned>(std::min<Index>(blocks, INT32_MAX))),
               dim3(lanes, threads / lanes), t.stream, a, operator_, x_.data(), y_.data(), packs_);
        PDADMM_CUDA_CHECK(cudaEventRecord(t.multiplied, t.stream));
    }

    void advance() override { std::swap(x_, y_); }

private:
    struct Turn {
        Stream stream;  // of the graph's rows and their products
        Event copied, multiplied, moved;
        Rows<PageLocked> locked;
        Rows<OnDevice> block;
        Owned<PageLocked, real> range;
    };
    Turn& at(int turn) {
        PDADMM_CUDA_CHECK(cudaSetDevice(device_));
        return turns_[static_cast<std::size_t>(turn)];
    }

    template <typename T>
    static void send(const T* from, T* to, Index count, cudaStream_t stream) {
        if (count > 0)
            PDADMM_CUDA_CHECK(
                cudaMemcpyAsync(to, from, static_cast<std::size_t>(count) * sizeof(T), cudaMemcpyHostToDevice, stream));
    }

    void copy_rows(Turn& t, const GraphRows& rows, Index* offsets, std::int32_t* columns, float* weights) {
        send(t.locked.offsets.data(), offsets, rows.last - rows.first + 1, t.stream);
        send(t.locked.columns.data(), columns, rows.end - rows.begin, t.stream);
        if (room_.weighted) send(t.locked.weights.data(), weights, rows.end - rows.begin, t.stream);
        PDADMM_CUDA_CHECK(cudaEventRecord(t.copied, t.stream));
    }

    /// One move between the host and X or Y, behind all products that were queued.
    template <typename Copy>
    void move(int turn, const Copy& copy, Index rows) {
        Turn& t = at(turn);
        wait_for_products();
        copy(t, static_cast<std::size_t>(rows * packs_) * sizeof(Pack));
        PDADMM_CUDA_CHECK(cudaEventRecord(t.moved, moves_));
    }
    void get(const Owned<OnDevice, Pack>& from, int turn, Index first, Index last) {
        move(
            turn,
            [&](Turn& t, std::size_t bytes) {
                PDADMM_CUDA_CHECK(cudaMemcpyAsync(t.range.data(), from.data() + first * packs_, bytes,
                                                  cudaMemcpyDeviceToHost, moves_));
            },
            last - first);
    }
    void wait_for_products() {
        for (Turn& t : turns_) PDADMM_CUDA_CHECK(cudaStreamWaitEvent(moves_, t.multiplied, 0));
    }

    /// Memory of the host's own, so the host waits.
    template <typename T>
    void place(T* to, std::span<const T> values) {
        PDADMM_CUDA_CHECK(cudaSetDevice(device_));
        wait_for_products();
        send(values.data(), to, static_cast<Index>(values.size()), moves_);
        PDADMM_CUDA_CHECK(cudaStreamSynchronize(moves_));
    }

    int device_;
    SlabRoom room_;
    Index packs_ = 0;  // of a column of X
    Stream moves_;
    std::array<Turn, 2> turns_;
    Owned<OnDevice, Pack> x_, y_;
    Owned<OnDevice, double> scale_;
    Owned<OnDevice, std::uint8_t> reach_;
    Rows<OnDevice> whole_;
    OperatorOnDevice operator_;
};

}  // namespace
}  // namespace cuda

std::unique_ptr<SlabDevice> make_cuda_slab_device(int device) { return std::make_unique<cuda::CudaSlabs>(device); }

}  // namespace pdadmm
