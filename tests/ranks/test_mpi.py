"""Ranks under mpirun: test_mpi.py MPIRUN PROGRAM CASE. Each run has a limit; nothing of it is left behind.

CASE is "schedule R" (R ranks), "sizes" or "lost".
"""
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from seed import test_seed

LIMIT = 120  # s a run, reached only where it hangs


def run(mpirun, program, ranks, *arguments):
    """Exit code, stderr and seconds of one mpirun."""
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                       OMPI_MCA_btl_base_warn_component_unused="0",
                       ASAN_OPTIONS="detect_leaks=0", TSAN_OPTIONS="detect_deadlocks=0")  # Open MPI leaks, and its tcp module inverts locks
    begin = time.monotonic()
    process = subprocess.Popen([mpirun, "-n", str(ranks), "--oversubscribe", program, *map(str, arguments)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment,
                               start_new_session=True)
    try:
        errors = process.communicate(timeout=LIMIT)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        errors = process.communicate()[1] + f"\nnot ended after {LIMIT} s"
    return process.returncode, errors, time.monotonic() - begin


def expect(good, what, errors):
    if not good:
        sys.exit(f"{what}\n{errors}")


def schedule(mpirun, program, ranks):
    seed = test_seed()
    code, errors, _ = run(mpirun, program, ranks, "schedule", seed)
    expect(code == 0 and "pdadmm" not in errors, f"{ranks} ranks: exit {code}; repeat with PDADMM_TEST_SEED={seed}", errors)


def sizes(mpirun, program):
    for mode, sent in ("short", "{}"), ("long", "more"):
        for size, expected in ("small", 100), ("large", 200000):  # eager and by rendezvous
            code, errors, _ = run(mpirun, program, 3, mode, size)
            line = f"pdadmm: error: rank 1: sent {sent.format(expected - 1)} bytes to rank 0, expected {expected}"
            expect(code == 75, f"{mode} {size}: exit {code}, expected 75", errors)
            expect(line in errors, f"{mode} {size}: expected {line}", errors)


def lost(mpirun, program):
    code, errors, seconds = run(mpirun, program, 3, "lost", int(signal.SIGSTOP))
    silent = re.search(r"pdadmm: error: rank 1: silent for ([0-9.]+) s", errors)
    expect(code == 75 and silent and float(silent[1]) >= 2, f"stopped rank: exit {code}", errors)
    expect(seconds < 60, f"stopped rank: {seconds:.1f} s", errors)
    code, errors, seconds = run(mpirun, program, 3, "lost", int(signal.SIGKILL))
    expect(code in (75, 137), f"killed rank: exit {code}", errors)  # whether mpirun or a rank sees it first
    expect(seconds < 60, f"killed rank: {seconds:.1f} s", errors)


def main():
    mpirun, program, case, *arguments = sys.argv[1:]
    if not mpirun or mpirun.endswith("NOTFOUND"):
        print("SKIP: built without MPI, or no mpirun")
        sys.exit(77)
    if case == "schedule":
        schedule(mpirun, program, int(arguments[0]))
    else:
        {"sizes": sizes, "lost": lost}[case](mpirun, program)


if __name__ == "__main__":
    main()
