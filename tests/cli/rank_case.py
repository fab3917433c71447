"""What the tests of several ranks share: processes under mpirun or by hand, and their ends."""
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from cli_case import PROGRAM, Case

MPIRUN = shutil.which("mpirun")


def with_mpi():
    """"" where ranks can be started by mpirun, else why not."""
    if not MPIRUN:
        return "no mpirun"
    info = subprocess.run([PROGRAM, "info"], capture_output=True, text=True, timeout=60).stdout
    return "" if re.search("^transports .*, mpi", info, re.M) else "built without MPI"


NO_MPI = with_mpi()


def unused_port():
    """Not one that the system would give to whoever asks for any (from 32768 on), and another one for every test that runs."""
    for port in itertools.chain(range(20000 + os.getpid() % 12000, 32000), range(20000, 32000)):
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass  # in use
    raise OSError("no port is free from 20000 to 31999")


class RankCase(Case):
    def setUp(self):
        super().setUp()
        # Open MPI leaks, and its tcp module inverts locks. One processor is plenty for these networks.
        self.env |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_btl_base_warn_component_unused": "0",
                     "OMPI_MCA_btl": "self,vader", "OMPI_MCA_btl_vader_single_copy_mechanism": "none", "OMPI_MCA_orte_abort_on_non_zero_status": "1",
                     "ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "detect_deadlocks=0:report_thread_leaks=0"}  # leaving after a failure joins no thread

    def start(self, command, environment=()):
        process = subprocess.Popen(list(map(str, command)), cwd=self.folder, env=self.env | dict(environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def mpi(self, ranks, *arguments):
        if NO_MPI:
            self.skipTest(NO_MPI)
        return self.start([MPIRUN, "-n", ranks, "--oversubscribe", PROGRAM, *arguments])

    def by_hand(self, ranks, arguments):
        """One process a rank, told by RANK and WORLD_SIZE; arguments(rank)."""
        port = unused_port()
        known = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "PDADMM_PORT": str(port), "PDADMM_JOB": str(self.folder)}
        return [self.start([PROGRAM, *arguments(rank)], known | {"RANK": str(rank)}) for rank in range(ranks)]

    def outcome(self, process, timeout=300):
        """Exit code, stdout and our lines of stderr."""
        out, errors = process.communicate(timeout=timeout)
        self.assertNotIn("runtime error", errors)
        self.assertNotIn("Sanitizer", errors)
        return process.returncode, out, [line for line in errors.splitlines() if line.startswith("pdadmm")]

    def mpi_ok(self, ranks, *arguments):
        code, out, lines = self.outcome(self.mpi(ranks, *arguments))
        self.assertEqual((code, lines), (0, []), out)
        return out

    def mpi_refused(self, code, words, ranks, *arguments):
        found, out, lines = self.outcome(self.mpi(ranks, *arguments))
        self.assertEqual(found, code, lines)
        self.assertEqual(len(lines), 1, lines)
        self.assertFalse(out)
        for word in words:
            self.assertIn(word, lines[0])

    def wait_for(self, condition, what, seconds=120):
        until = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), until, f"no {what} within {seconds} s")
            time.sleep(0.02)

    def ranks_of(self, process):
        """Process ids of the ranks of an mpirun, in order."""
        def children():
            found = {}
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{pid}/stat") as stat:
                        parent = int(stat.read().rsplit(")", 1)[1].split()[1])
                    if parent != process.pid:
                        continue
                    with open(f"/proc/{pid}/environ", "rb") as environ:
                        rank = re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", environ.read())
                    if rank:
                        found[int(rank[1])] = int(pid)
                except OSError:
                    pass  # it has ended
            return found
        found = children()
        return [found[rank] for rank in sorted(found)]

    def assert_same_model(self, name):
        for file in ("model-final.safetensors", "model-best.safetensors"):
            self.assertEqual((self.folder / name / file).read_bytes(), (self.folder / "one" / file).read_bytes(), f"{file} of {name}")
        for mine, alone in ((self.rows(name), self.rows("one")), ([self.summary(name)], [self.summary("one")])):
            self.assertTrue(alone)
            self.assertEqual(*[[self.untimed(row, "bytes", "border_bytes") for row in rows] for rows in (mine, alone)], name)
