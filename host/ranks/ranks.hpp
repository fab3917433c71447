// What ranks do together outside iterations: tensors and values that go from one to another. Everything here is
// collective, or its two sides are called in the same order by all; with one rank nothing travels.
#pragma once

#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "host/ranks/placement.hpp"
#include "pdadmm/transport.hpp"

namespace pdadmm {

/// How a rank reaches the others; both must outlive what uses them. Null: there are none.
struct RankLinks {
    Transport* transport = nullptr;
    Control* control = nullptr;
};

/// A contiguous matrix's values on the host.
std::vector<real> download(Memory& memory, CMat m);

class Ranks {
public:
    Ranks(Backend& backend, RankLinks links) : backend_(backend), links_(links), shared_(backend, 1) {}

    int rank() const { return links_.control ? links_.control->rank() : 0; }
    int size() const { return links_.control ? links_.control->size() : 1; }
    bool several() const { return size() > 1; }
    Transport& transport() const { return *links_.transport; }
    Control* control() const { return links_.control; }

    /// From here on layers lie as `placement` says.
    void place(Placement placement) { placement_ = std::move(placement); }
    const Placement& placement() const { return placement_; }
    LayerRange own() const { return placement_.of(rank()); }
    int owner(int layer) const { return several() ? placement_.owner(layer) : 0; }

    /// `to` of rank `receiver` = `from` of rank `sender`; contiguous. Other ranks have nothing to do with it.
    void move(CMat from, int sender, Mat to, int receiver);
    void send_right(CMat m);
    void receive_left(Mat m);
    /// Values of a matrix of rank `owner`, on rank 0; nothing on the others.
    std::vector<real> collect(CMat m, int owner);

    /// What rank `owner` holds, on every rank.
    template <typename T>
    requires(std::is_trivially_copyable_v<T>) std::vector<T> share(const std::vector<T>& values, int owner) {
        if (!several()) return values;
        const bool own = rank() == owner;
        const std::vector<std::byte> bytes =
            links_.control->broadcast(own ? std::as_bytes(std::span(values)) : std::span<const std::byte>(), owner);
        std::vector<T> all(bytes.size() / sizeof(T));
        if (!bytes.empty()) std::memcpy(all.data(), bytes.data(), bytes.size());
        return all;
    }
    /// A figure in backend memory of rank `owner`, in backend memory of every rank until the next call.
    const double* share(const double* figure, int owner);
    /// Values of all ranks, in the order of ranks, that is of layers.
    std::vector<double> gather(const std::vector<double>& own);
    /// Figures of `iterations` iterations, own layers of each after those of the one before, as those of all layers on
    /// every rank.
    std::vector<LayerFigures> gather(std::vector<LayerFigures> own, Index iterations);

private:
    Backend& backend_;
    RankLinks links_;
    Placement placement_;
    Buffer<double> shared_;
};

}  // namespace pdadmm
