// One rank with a GPU, run by test_nccl.py:
//   device          whether there is NCCL and a GPU: 0, or 77 with the reason
//   schedule SEED   random messages and counters
//   train SEED      rank 0 prints a checksum of every run: figures, state and best model
//   grid SEED LxJ   the same of runs on nodes in ranges, on a grid of layers x nodes
// The device is RANK modulo the number of devices.
#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "host/console/console.hpp"
#include "host/format/digest.hpp"
#include "host/transport/control.hpp"
#include "host/transport/nccl.hpp"
#include "pdadmm/cuda.hpp"
#include "tests/ranks/grid_specs.hpp"
#include "tests/ranks/host_messages.hpp"
#include "tests/ranks/message_schedule.hpp"
#include "tests/support/random_run.hpp"

namespace {

using namespace pdadmm;

constexpr int skipped = 77;

int find_device() {
    if (!nccl_built()) {
        put_note("built without NCCL");
        return skipped;
    }
    try {
        cuda_devices();
        return 0;
    } catch (const DeviceError& error) {
        put_note(error.what());
        return skipped;
    }
}

std::string checksum(const Trace& run) {
    std::string bytes;
    const auto add = [&](const std::vector<unsigned char>& part) { bytes.append(part.begin(), part.end()); };
    for (const auto& part : run.figures) add(part);
    for (const auto& part : run.states) add(part);
    add(run.best_model);
    return digest_hex(bytes);
}

void train(const std::vector<RunSpec>& specs, Backend& backend, RankLinks links) {
    for (const RunSpec& spec : specs) {
        const Trace run = finish_run_as_rank(spec, backend, links);
        if (links.control->rank() == 0)
            put_result(fmt::format("{}: {} epochs, {}\n", spec.name, run.figures.size(), checksum(run)));
    }
}

void work(const std::string& mode, std::uint64_t seed, const std::string& grid, Control& control) {
    BackendOptions options;
    options.device = control.rank() % static_cast<int>(cuda_devices().size());
    const auto backend = make_backend("cuda", options);
    const auto transport = make_nccl(*backend, control);
    if (mode == "schedule") {
        auto schedule = make_schedule(seed, control.size(), 8, std::size_t{1} << 20);
        const auto small = make_schedule(seed + 1, control.size(), 60, 2000);
        schedule.insert(schedule.end(), small.begin(), small.end());
        HostMessages messages(*transport, *backend);
        const std::string problem = play_schedule(messages, seed, schedule);
        if (!problem.empty()) throw Error(ExitCode::internal, problem);
    } else if (mode == "train") {
        train(ranked_specs(seed), *backend, {transport.get(), &control});
    } else if (mode == "grid") {
        std::vector<RunSpec> specs = ranged_specs(seed);
        for (RunSpec& spec : specs) spec.options.node_blocks = parse_grid(grid).value().nodes;
        const auto nodes = make_nccl(*backend, control);
        train(specs, *backend, {transport.get(), &control, nodes.get()});
        control.barrier();
    } else {
        throw UsageError(fmt::format("'{}': unknown, expected device, schedule, train or grid", mode));
    }
    control.barrier();  // a communicator ends when all ranks have come to its end
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const std::string mode = argc > 1 ? argv[1] : "";
        if (mode == "device") return find_device();
        ControlOptions options;
        options.peer_timeout_s = 5;
        options.connect_timeout_s = 60;
        const auto control = make_control(launch_from_environment(current_environment()), options);
        control->run([&] { work(mode, argc > 2 ? std::stoull(argv[2]) : 0, argc > 3 ? argv[3] : "", *control); });
        return 0;
    } catch (const PeerError& error) {
        leave_after_peer_failure({error.what(), error.code(), false});
    } catch (const Error& error) {
        put_note(fmt::format("pdadmm: error: {}", error.what()));
        return static_cast<int>(error.code());
    }
}
