// Handlers that only touch lock-free atomics, the one kind of shared object a handler may write besides sig_atomic_t.
#include "host/console/signals.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

std::atomic<int> first_signal{0};
std::atomic<int> interrupts{0};
static_assert(std::atomic<int>::is_always_lock_free);

void note_signal(int signal) {
    int none = 0;
    first_signal.compare_exchange_strong(none, signal);
    if (signal == SIGINT && interrupts.fetch_add(1) >= 1) _exit(static_cast<int>(ExitCode::interrupted));
}

void set_handler(int signal, void (*handler)(int)) {
    struct sigaction action = {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, nullptr);  // cannot fail for these numbers
}

}  // namespace

void ignore_signals_of_writing() {
    for (const int signal : {SIGPIPE, SIGXFSZ}) set_handler(signal, SIG_IGN);
}

void install_signal_handlers() {
    ignore_signals_of_writing();
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) set_handler(signal, note_signal);
}

int stop_signal() { return first_signal.load(); }

int exit_code_of_signal(int signal) {
    return static_cast<int>(signal == SIGINT ? ExitCode::interrupted : ExitCode::terminated);
}

void reset_stop_signal() {
    first_signal = 0;
    interrupts = 0;
}

}  // namespace pdadmm
