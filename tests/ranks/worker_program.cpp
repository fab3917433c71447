// What tests of the launcher start: a rank that meets the others through its environment, then does as its arguments
// say:
//   agree            a collective and a clean end; CUDA is told to load its kernels at once
//   exit RANK CODE   that rank exits with CODE before the others are done; they wait for it
//   kill RANK SIGNAL that rank sends itself a signal
//   stubborn RANK    that rank exits with 3; the others ignore SIGTERM and have no control channel
//   signals          every rank waits for a signal, and exits with 130 for SIGINT, 143 for SIGTERM
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "host/console/signals.hpp"
#include "host/transport/control.hpp"
#include "pdadmm/error.hpp"

namespace {

int work(int argc, char** argv) {
    using namespace pdadmm;
    const std::string mode = argc > 1 ? argv[1] : "";
    const int subject = argc > 2 ? std::atoi(argv[2]) : -1, value = argc > 3 ? std::atoi(argv[3]) : 0;
    const Launch launch = launch_from_environment(current_environment());
    if (mode == "stubborn") {
        if (launch.rank == subject) return 3;
        ::signal(SIGTERM, SIG_IGN);
        for (;;) ::pause();
    }
    ControlOptions options;
    options.peer_timeout_s = 2;
    options.connect_timeout_s = 60;
    const auto control = make_control(launch, options);
    if (mode == "agree") {
        if (control->max(launch.rank) != launch.size - 1) return 1;
        const char* loading = std::getenv("CUDA_MODULE_LOADING");
        if (!loading || std::string(loading) != "EAGER") return 1;
    } else if (mode == "signals") {
        install_signal_handlers();
        control->barrier();
        if (launch.rank == 0) {
            std::puts("ready");
            std::fflush(stdout);
        }
        while (control->stop() == 0) {
            if (stop_signal()) control->request_stop(stop_signal());
            control->barrier();
            ::usleep(1000);
        }
        control->close();
        return exit_code_of_signal(control->stop());
    } else {
        control->barrier();
        if (launch.rank == subject) {
            ::usleep(100000);
            if (mode == "kill") ::raise(value);
            if (mode == "exit") ::_exit(value);
        }
        control->barrier();
    }
    control->close();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return work(argc, argv);
    } catch (const pdadmm::Error& error) {
        std::fprintf(stderr, "pdadmm: error: %s\n", error.what());
        return static_cast<int>(error.code());
    }
}
