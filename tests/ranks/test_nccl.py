"""Ranks with GPUs over NCCL: test_nccl.py PROGRAM CASE. Each run has a limit; nothing of it is left behind.

CASE is "schedule R" (R ranks), "train": 2 and 3 ranks leave the bits of one, or "grid": so do grids of layers x nodes. Where there are fewer GPUs than ranks, ranks share
one: NCCL does not support that, but passes its check where every rank believes to be a host of its own (NCCL_HOSTID), and then
talks over sockets. Where it still refuses, the case is skipped with its words.
"""
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from seed import test_seed

LIMIT = 180  # s a run
SKIPPED = 77


def environment(rank, ranks, port):
    """The variables of one rank; none for a lone one."""
    if ranks == 1:
        return dict(os.environ)
    return dict(os.environ, RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", PDADMM_PORT=str(port),
                NCCL_HOSTID=f"pdadmm-test-{rank}", NCCL_SOCKET_IFNAME="lo", NCCL_NET="Socket", NCCL_IB_DISABLE="1", NCCL_DEBUG="WARN")


def run(program, ranks, *arguments):
    """Exit codes, stdouts and stderrs of all ranks of one run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [subprocess.Popen([program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env=environment(rank, ranks, port), start_new_session=True) for rank in range(ranks)]
    until = time.monotonic() + LIMIT
    codes, outputs, errors = [], [], []
    for rank, process in enumerate(processes):
        try:
            output, error = process.communicate(timeout=max(1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, error = process.communicate()
            error += f"\nnot ended after {LIMIT} s"
        codes.append(process.returncode)
        outputs.append(output)
        errors.append(f"rank {rank}, exit {process.returncode}:\n{output}{error}")
    return codes, outputs, "\n".join(errors)


def finish(program, ranks, *arguments):
    """What rank 0 printed; ends the test where a rank did not end well."""
    codes, outputs, errors = run(program, ranks, *arguments)
    if any(codes) and "Duplicate GPU" in errors:
        print(f"SKIP: NCCL refuses {ranks} ranks on one GPU\n{errors}")
        sys.exit(SKIPPED)
    if any(codes):
        sys.exit(f"{ranks} ranks, {' '.join(map(str, arguments))}: exit {codes}\n{errors}")
    return outputs[0]


def main():
    program, case, *arguments = sys.argv[1:]
    found = subprocess.run([program, "device"], stderr=subprocess.PIPE, text=True, timeout=LIMIT)
    if found.returncode == SKIPPED:
        print(f"SKIP: {found.stderr.strip()}")
    if found.returncode != 0:
        sys.exit(found.returncode)
    seed = test_seed()
    print(f"repeat with PDADMM_TEST_SEED={seed}")
    if case == "schedule":
        finish(program, int(arguments[0]), "schedule", seed)
        return
    runs = [(1, "1x1"), (2, "1x2"), (4, "2x2")] if case == "grid" else [(1,), (2,), (3,)]
    whole = finish(program, runs[0][0], case, seed, *runs[0][1:])
    if whole.count("epochs") < 5:
        sys.exit(f"one rank printed {whole!r}, expected a line a run")
    for ranks, *grid in runs[1:]:
        several = finish(program, ranks, case, seed, *grid)
        if several != whole:
            sys.exit(f"{ranks} ranks {' '.join(grid)}:\n{several}\nexpected, of one rank:\n{whole}")


if __name__ == "__main__":
    main()
