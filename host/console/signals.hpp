// Signals of a run. A handler sets a flag and nothing else; the solver loop polls it once an iteration, saves and ends.
#pragma once

namespace pdadmm {

/// SIGPIPE and SIGXFSZ are ignored, so that a closed pipe and a file size limit arrive as errors of the call instead.
void ignore_signals_of_writing();

/// From now on there is something to save: SIGINT, SIGTERM and SIGUSR1 ask the run to save and stop; a second SIGINT
/// ends the process at once with 130. Until then they end it as they end any program. Also ignores those of writing.
void install_signal_handlers();

/// The first signal that asked the run to stop, 0 before any. Safe from every thread.
int stop_signal();

/// The exit code of a run that a signal stopped: 130 for SIGINT, 143 for the others.
int exit_code_of_signal(int signal);

/// Forgets what arrived so far (tests, and a process that starts another run).
void reset_stop_signal();

}  // namespace pdadmm
