// Ranks that are threads, each with a backend on the emulated device and NCCL between them (tests/emulation/nccl.cpp).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "host/transport/local.hpp"
#include "host/transport/nccl.hpp"
#include "pdadmm/error.hpp"
#include "tests/support/random_run.hpp"

namespace pdadmm {

/// One of them.
struct DeviceRank {
    Backend& backend;
    Transport& transport;
    Control& control;
    Transport* nodes = nullptr;  // RankLinks::nodes, where it was asked for
    int rank() const { return control.rank(); }
};

/// `lines`, where given: the PeerError that each rank ended with.
inline void run_device_ranks(int ranks, const std::function<void(DeviceRank&)>& body,
                             std::vector<std::string>* lines = nullptr, bool nodes = false) {
    if (lines) lines->assign(static_cast<std::size_t>(ranks), "");
    run_local_ranks(ranks, [&](LocalRank& rank) {
        try {
            const auto backend = make_backend("cuda", {});
            const auto connect = [&] { return make_nccl(*backend, rank.control, [](const PeerFailure&) {}); };
            const auto transport = connect(), of_nodes = nodes ? connect() : nullptr;
            DeviceRank device{*backend, *transport, rank.control, of_nodes.get()};
            body(device);
            rank.control.barrier();  // a communicator ends when all ranks have come to its end
        } catch (const PeerError& error) {
            if (lines) (*lines)[static_cast<std::size_t>(rank.control.rank())] = error.what();
            throw;
        }
    });
}

/// As finish_run_on_ranks, over NCCL, on the grid that the options' blocks of nodes make.
inline std::vector<Trace> finish_run_over_nccl(const RunSpec& spec, int ranks,
                                               const CheckpointData* checkpoint = nullptr,
                                               const std::function<void(DeviceRank&)>& at_end = nullptr) {
    std::vector<Trace> runs(static_cast<std::size_t>(ranks));
    run_device_ranks(
        ranks,
        [&](DeviceRank& rank) {
            runs[static_cast<std::size_t>(rank.rank())] =
                finish_run_as_rank(spec, rank.backend, {&rank.transport, &rank.control, rank.nodes}, checkpoint);
            if (at_end) at_end(rank);
        },
        nullptr, spec.options.node_blocks > 1);
    return runs;
}

}  // namespace pdadmm
