// One rank under mpirun, run by test_mpi.py:
//   schedule SEED   random messages, counters, collectives; large messages in blocks
//   short | long    rank 1 sends fewer or more bytes than rank 0 expects
//   lost SIGNAL     rank 1 sends itself a signal while the others wait for its message
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "host/console/console.hpp"
#include "host/transport/control.hpp"
#include "host/transport/mpi.hpp"
#include "pdadmm/error.hpp"
#include "tests/ranks/message_schedule.hpp"

namespace {

using namespace pdadmm;

void check(bool good, const std::string& what) {
    if (!good) throw Error(ExitCode::internal, what);
}

void work(const std::string& mode, const std::string& argument, const Launch& launch, Control& control, Mpi& mpi);

void run(const std::string& mode, const std::string& argument) {
    Launch launch = launch_from_environment(current_environment());
    const auto mpi = make_mpi(launch);
    Listener listener = mpi->agree_address(launch);
    ControlOptions options;
    options.peer_timeout_s = 2;
    options.connect_timeout_s = 20;
    const auto control = make_control(launch, options, std::move(listener));
    control->run([&] { work(mode, argument, launch, *control, *mpi); });
}

void work(const std::string& mode, const std::string& argument, const Launch& launch, Control& control, Mpi& mpi) {
    const auto transport = mpi.make_transport();
    if (mode == "schedule") {
        const std::uint64_t seed = std::stoull(argument);
        auto schedule = make_schedule(seed, launch.size, 8, std::size_t{1} << 20);
        const auto small = make_schedule(seed + 1, launch.size, 40, 2000);
        schedule.insert(schedule.end(), small.begin(), small.end());
        const std::string problem = play_schedule(*transport, seed, schedule);
        check(problem.empty(), problem);
        const double own[] = {0.1 * launch.rank, static_cast<double>(transport->traffic(Direction::send).bytes) -
                                                     static_cast<double>(transport->traffic(Direction::receive).bytes)};
        const auto all = control.gather(own);
        double difference = 0;
        for (int k = 0; k < launch.size; ++k) {
            check(all[2 * static_cast<std::size_t>(k)] == 0.1 * k, "gathered figures are wrong");
            difference += all[2 * static_cast<std::size_t>(k) + 1];
        }
        check(difference == 0, "bytes sent and received differ");
        const auto blocks = mpi.make_transport(1000);  // nearly all go as blocks and a rest
        const std::string in_blocks =
            play_schedule(*blocks, seed + 2, make_schedule(seed + 2, launch.size, 4, (std::size_t{2} << 20) + 77));
        check(in_blocks.empty(), "in blocks: " + in_blocks);
    } else {
        std::vector<std::byte> bytes(300000);
        const std::size_t expected = argument == "large" ? 200000 : 100;
        const std::size_t sent = mode == "short" ? expected - 1 : mode == "long" ? expected + 1 : expected;
        if (mode == "lost" && launch.rank == 1) ::raise(std::atoi(argument.c_str()));
        const Message out[] = {Message::send(0, bytes.data(), sent)},
                      in[] = {Message::receive(1, bytes.data(), expected)};
        if (launch.rank == 1) transport->exchange(out);
        if (launch.rank == 0) transport->exchange(in);
        control.barrier();
    }
    mpi.finalize();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        run(argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "");
        return 0;
    } catch (const PeerError& error) {
        leave_after_peer_failure({error.what()});
    } catch (const Error& error) {
        put_note(fmt::format("pdadmm: error: {}", error.what()));
        return static_cast<int>(error.code());
    }
}
