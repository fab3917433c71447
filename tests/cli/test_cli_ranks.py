"""Ranks from the command line: threads, mpirun and processes started by hand give one result, and end together. test_cli_ranks.py PROGRAM"""
import json
import os
import re
import signal
import time
import unittest

from cli_case import DATA, GRAPH, GROWING, NET, PROGRAM, bundle, safetensors
from rank_case import MPIRUN, NO_MPI, RankCase

DEEP = ["--preset", "none", "--layers", "10", "--hidden", "8", "--epochs", "12", "--eval-every", "4"]
RANGED = ["--dataset", GRAPH, "--split", "random:60%/20%/20%", "--threads", "1", "--node-ranges", "4"]  # of 180 nodes
ADAM = ["--optimizer", "adam", "--learning-rate", "0.02"]
ENDLESS = [*NET, "--epochs", "100000000", "-q"]
LIMIT = 2.0  # s of --peer-timeout
SLACK = 60.0  # s that a busy machine, and mpirun's own end, may take beyond it


class SameResult(RankCase):
    def compare(self, arguments, threads, processes):
        """Any number of ranks, however started, leaves what one rank leaves, but for seconds and for bytes."""
        self.ok("train", *DATA, *arguments, "-q", "--out", "one", "--ranks", "1")
        run = ["train", *DATA, *arguments, "-q", "--out"]
        for ranks in threads:
            self.ok(*run, f"t{ranks}", "--ranks", ranks)
        for ranks in [] if NO_MPI else processes:
            self.mpi_ok(ranks, *run, f"m{ranks}")
        bytes_of = {}
        for name in [f"t{r}" for r in threads] + ([] if NO_MPI else [f"m{r}" for r in processes]):
            self.assert_same_model(name)
            bytes_of.setdefault(int(name[1:]), set()).add(self.summary(name)["bytes"])
        for ranks, found in bytes_of.items():
            self.assertEqual(len(found), 1, f"bytes of {ranks} ranks by threads and by mpirun")
        if NO_MPI:
            self.skipTest(NO_MPI)

    def test_unquantised(self):
        self.compare(DEEP, (2, 3, 5, 10), (2, 3, 10))

    def test_quantised_difference(self):
        self.compare([*DEEP, "--quantize", "pq", "--bits", "4"], (3, 10), (3,))

    def test_quantised_grid(self):
        self.compare([*DEEP, "--quantize", "pq", "--codec", "grid", "--levels", "-1:3:20"], (2,), (3,))

    def test_growth(self):
        """Stages of 2, 3 and 5 layers: ranks without layers at first."""
        self.compare(GROWING, (2, 5), (3, 5))

    def test_several_seeds_and_one_summary(self):
        run = ["train", *DATA, *NET, "-q", "--seeds", "3", "--json"]
        alone, out = self.ok(*run, "--out", "one").stdout, self.mpi_ok(3, *run, "--out", "m")
        without_borders = re.sub(r'"border_bytes": \[[^]]*\],\s*', "", out)
        figures = [re.sub(r'"(bytes|ms_per_iteration|seconds|setup_seconds)": [0-9.e+-]+', "", text) for text in (alone, without_borders)]
        self.assertEqual(*figures)
        for seed in ("seed-0", "seed-1", "seed-2"):
            self.assertEqual((self.folder / "m" / seed / "model-final.safetensors").read_bytes(), (self.folder / "one" / seed / "model-final.safetensors").read_bytes())
        self.assertEqual(self.mpi_ok(2, "train", "--resume", "m", "-q", "--json"), out, "the summary of runs that had finished")

    def test_resumed_by_others(self):
        """One run goes on as 3 processes, 2 threads and alone."""
        self.ok("train", *DATA, *GROWING, "-q", "--out", "one")
        self.ok("train", *DATA, *GROWING, "-q", "--out", "t", "--checkpoint-every", "5", "--epochs", "9,7,2")
        self.mpi_ok(3, "train", "--resume", "t", "--epochs", "9,7,8", "-q")
        self.ok("train", "--resume", "t", "--epochs", "9,7,14", "-q", "--ranks", "2")
        self.ok("train", "--resume", "t", "--epochs", "9,7,20", "-q")
        self.assertEqual((self.folder / "t" / "model-final.safetensors").read_bytes(), (self.folder / "one" / "model-final.safetensors").read_bytes())
        self.assertEqual(self.rows("t")[-1]["objective"], self.rows("one")[-1]["objective"])


class SameResultOfGrids(RankCase):
    def test_unquantised(self):
        self.compare(["--step", "exact"])

    def test_quantised_difference(self):
        self.compare(["--step", "block", "--quantize", "pq", "--bits", "4"])

    def test_first_layer_by_nodes(self):
        self.compare(["--step", "block", "--quantize", "p", "--bits", "4"], hops=12)  # 192 inputs, 180 nodes

    def compare(self, options, hops=2):
        run = ["train", *RANGED, "--hops", hops, *GROWING[:GROWING.index("--quantize")], *options, "-q", "--out"]
        self.ok(*run, "one")
        for grid in ("1x4", "2x2", "3x2"):
            self.ok(*run, grid, "--grid", grid)
            self.assert_same_model(grid)
        if NO_MPI:
            self.skipTest(NO_MPI)
        self.mpi_ok(4, *run, "m", "--grid", "-1x2")
        self.assert_same_model("m")
        self.mpi_ok(3, *run, "r", "--grid", "1x3", "--epochs", "9,7,4", "--checkpoint-every", "5")
        self.ok("train", "--resume", "r", "--epochs", "9,7,20", "--grid", "2x2", "-q")
        self.assertEqual((self.folder / "r" / "model-final.safetensors").read_bytes(), (self.folder / "one" / "model-final.safetensors").read_bytes())


    def test_backpropagation(self):
        """Forms of ranks are one thing: --parallel data is 1xR, --parallel pipeline Rx1, and all have the bits of one rank."""
        run = ["train", *RANGED, *NET, "--hops", "2", *ADAM, "--dropout", "0.3", "-q"]
        self.ok(*run, "--out", "one")

        def same_as_one(name):  # whose micro-batches are another number
            models = [safetensors(self.folder / folder / "model-final.safetensors")[0] for folder in (name, "one")]
            self.assertEqual(*models, name)
            figures = [[row["objective"] for row in self.rows(folder)] for folder in (name, "one")]
            self.assertEqual(*figures, name)

        for name, options in (("data", ["--parallel", "data", "--ranks", "3"]), ("pipeline", ["--ranks", "2", "--micro-batches", "4"]),
                              ("grid", ["--grid", "2x2", "--micro-batches", "3"]), ("wide", ["--grid", "1x4"])):
            self.ok(*run, *options, "--out", name)
            same_as_one(name)
        text = self.ok(*run[:-1], "--grid", "2x2", "--epochs", "1").stderr
        self.assertRegex(text, r"rank  layers   nodes  share of cost  memory\n   0  1 +1/2 ")
        if NO_MPI:
            self.skipTest(NO_MPI)
        self.mpi_ok(4, *run, "--grid", "-1x2", "--micro-batches", "2", "--out", "m")
        same_as_one("m")
        self.mpi_ok(3, *run, "--parallel", "data", "--epochs", "4", "--checkpoint-every", "2", "--out", "r")
        self.ok("train", "--resume", "r", "--epochs", "20", "--ranks", "2", "-q")  # on two blocks of nodes
        self.assertEqual(self.rows("r")[3]["objective"], self.rows("one")[3]["objective"])

    def test_chosen_by_count(self):
        """auto is what plan chooses on the same devices, the same on threads and processes, and says so."""
        run = ["train", *RANGED, *NET, "--hops", "2"]
        plan = self.ok("plan", *run[1:], "--grid", "auto", "--devices", "4", "--json", "--sums", "hidden", "--per-machine", "4", "--network", "nvlink=4GB/s:10us,nic=4GB/s:10us",
                       "--device-rates", "flops=40GFLOP/s,bytes=8GB/s").stdout
        said = re.compile("^grid: ([0-9]+x[0-9]+) .layers x nodes., by count [0-9.]+ times one rank; [0-9]x[0-9] ", re.M)
        self.ok(*run, "-q", "--out", "one")
        self.assertEqual(said.findall(self.ok(*run, "--grid", "auto", "--ranks", "4", "--out", "t").stderr), [json.loads(plan)["choice"]])
        self.assert_same_model("t")
        job = self.mpi(4, *run, "--grid", "auto", "--out", "m")
        _, errors = job.communicate(timeout=300)
        self.assertEqual((job.returncode, said.findall(errors)), (0, [json.loads(plan)["choice"]]), errors)
        self.assert_same_model("m")


COLUMN = ["--hops", "2", "--grid", "1x3", "--checkpoint-every", "2"]


class EndsTogether(RankCase):
    def lose(self, bad, number, words, data=DATA, options=("--checkpoint-every", "20")):
        """Sends a signal to one of 3 ranks in the middle; code, one line and time; then the run goes on."""
        job = self.mpi(3, "train", *data, *ENDLESS, *options, "--peer-timeout", LIMIT, "--out", "run")
        self.wait_for(lambda: any((self.folder / "run" / "checkpoints").glob("[0-9]*")), "checkpoint")
        ids = self.ranks_of(job)
        self.assertEqual(len(ids), 3)
        os.kill(ids[bad], number)
        begin = time.monotonic()
        code, _, lines = self.outcome(job)
        self.assertLess(time.monotonic() - begin, LIMIT + SLACK)
        if words is None:  # mpirun may see the end of its child first, and end the others before they can speak
            self.assertIn(code, (75, 128 + number))
        else:
            self.assertEqual(code, 75)
            self.assertEqual(len(lines), 1, lines)
        for line in lines:
            self.assertRegex(line, f"^pdadmm: error: rank {bad}: " + (words or "connection lost"))
        done = int(max(os.listdir(self.folder / "run" / "checkpoints")))
        self.ok("train", "--resume", "run", "--epochs", done + 5, "-q")
        self.assertEqual(self.summary("run")["epochs"], done + 5)

    def test_killed(self):
        self.lose(1, signal.SIGKILL, None)

    def test_killed_in_a_column(self):
        self.lose(1, signal.SIGKILL, None, RANGED, COLUMN)

    def test_stopped_in_a_column(self):
        self.lose(2, signal.SIGSTOP, r"silent for [0-9.]+ s", RANGED, COLUMN)

    def test_killed_in_a_column_of_backpropagation(self):
        self.lose(1, signal.SIGKILL, None, RANGED, [*COLUMN, *ADAM])

    def test_stopped_in_a_column_of_backpropagation(self):
        self.lose(2, signal.SIGSTOP, r"silent for [0-9.]+ s", RANGED, [*COLUMN, *ADAM])

    def test_stopped(self):
        self.lose(1, signal.SIGSTOP, r"silent for [0-9.]+ s")

    def test_signal_to_one_rank_saves_all(self):
        job = self.mpi(3, "train", *DATA, *ENDLESS, "--out", "run")
        self.wait_for((self.folder / "run" / "metrics.jsonl").exists, "metrics")
        os.kill(self.ranks_of(job)[2], signal.SIGTERM)
        code, _, lines = self.outcome(job)
        self.assertEqual((code, lines), (143, []))
        epoch = len(self.rows("run"))
        self.assertEqual([int(name) for name in os.listdir(self.folder / "run" / "checkpoints")], [epoch])
        self.assertIn('"signal":15', (self.folder / "run" / "status.json").read_text())
        self.ok("train", "--resume", "run", "--epochs", epoch + 1, "-q")

    def test_divergence(self):
        run = ["train", *DATA, *DEEP, "-q", "--weight-init", "normal", "--init-std", "1e15"]
        self.refused(79, ["iteration", "not finite"], *run, "--ranks", "3", "--out", "t")
        self.mpi_refused(79, ["pdadmm: error: iteration", "not finite"], 3, *run, "--out", "m")
        for name in ("t", "m"):
            self.assertIn('"diverged"', (self.folder / name / "status.json").read_text())

    def test_output_that_cannot_be_written(self):
        (self.folder / "file").write_text("")
        self.refused(5, "file/run", "train", *DATA, *NET, "-q", "--ranks", "3", "--out", "file/run")
        self.mpi_refused(5, ["pdadmm: error: file/run"], 3, "train", *DATA, *NET, "-q", "--out", "file/run")

    def test_data_that_one_rank_lacks(self):
        """Rank 0 prints its line; the job ends with its code."""
        if NO_MPI:
            self.skipTest(NO_MPI)
        run = [PROGRAM, "train", "--dataset", "graph.npz", "--split", "stored", "--layers", "3", "--hidden", "4", "--epochs", "2", "-q"]
        for name in ("with", "without"):
            (self.folder / name).mkdir()
        bundle(self.folder / "with" / "graph.npz")
        self.assertEqual(self.outcome(self.start([MPIRUN, "--oversubscribe", "-n", "2", "-wdir", self.folder / "with", *run]))[0], 0)
        job = self.start([MPIRUN, "--oversubscribe", "-n", "1", "-wdir", self.folder / "with", *run, ":", "-n", "1", "-wdir", self.folder / "without", *run])
        code, _, lines = self.outcome(job)
        self.assertEqual((code, len(lines)), (3, 1), lines)
        self.assertIn("pdadmm: error: rank 1: graph.npz: cannot be opened", lines[0])


class Refusals(RankCase):
    def test_command_lines_that_differ(self):
        for ranks in (2, 3):
            found = [self.outcome(p) for p in self.by_hand(ranks, lambda rank: ["train", *DATA, *NET, "--nu", "0.5" if rank == ranks - 1 else "0.25"])]
            self.assertEqual([code for code, _, _ in found], [2] * ranks)
            self.assertEqual([len(lines) for _, _, lines in found], [1] + [0] * (ranks - 1), found)
            self.assertIn(f"nu: '0.25' on rank 0 and '0.5' on rank {ranks - 1}, expected one value", found[0][2][0])

    def test_no_mpi_without_mpirun(self):
        found = [self.outcome(p) for p in self.by_hand(2, lambda rank: ["train", *DATA, *NET])]
        self.assertEqual([code for code, _, _ in found], [2, 2])
        self.assertEqual([len(lines) for _, _, lines in found], [1, 0], found)
        self.assertIn("start with mpirun -n 2, or one process with --ranks 2", found[0][2][0])

    def test_more_ranks_than_layers(self):
        self.refused(2, ["--ranks: 4", "at most 3"], "train", *DATA, *NET, "--ranks", "4")
        self.mpi_refused(2, ["--ranks: 4", "at most 3"], 4, "train", *DATA, *NET, "-q")

    def test_options_that_contradict(self):
        run = ["train", *DATA, *NET]
        for words, options in ((["--devices", "--ranks 4", "mpirun"], ["--devices", "0,1", "--backend", "cpu"]), (["--devices", "0,1,2,3"], ["--devices", "0,0"]),
                               (["--devices", "'x'"], ["--devices", "0,x"]), (["--ranks: 3", "expected 2"], ["--devices", "0,1", "--ranks", "3"]),
                               (["--transport: mpi", "mpirun"], ["--transport", "mpi", "--ranks", "2"]), (["--transport: nccl", "--devices"], ["--transport", "nccl"]),
                               (["--transport: local", "nccl"], ["--transport", "local", "--devices", "0,1"]), (["--device", "--devices"], ["--devices", "0,1", "--device", "1"]),
                               (["--rendezvous", "launcher"], ["--rendezvous", "localhost:1234"]), (["--peer-timeout"], ["--peer-timeout", "0"])):
            self.refused(2, words, *run, *options)
        self.refused(2, "--ranks", "augment", *DATA, "--ranks", "2")

    def test_grids_that_cannot_be(self):
        run = ["train", *RANGED, *NET, "-q"]
        for words, options in ((["--grid: 5 blocks of nodes", "4 ranges of 180", "--node-ranges 6"], ["--grid", "1x5", "--hops", "2"]), (["--grid: 4x2", "at most 3"], ["--grid", "4x2"]),
                               (["--grid: 2x2 on 3 ranks", "start 4 ranks"], ["--grid", "2x2", "--ranks", "3"]), (["--grid: 'two'"], ["--grid", "two"])):
            self.refused(2, words, *run, *options)
        adam = [*run, "--optimizer", "adam"]
        for words, options in ((["--grid: auto with --optimizer adam", "2x2"], ["--grid", "auto", "--ranks", "4"]),
                               (["--grid: 2x2 with --parallel data", "1x4"], ["--grid", "2x2", "--parallel", "data"]),
                               (["--grid: with --parallel elastic", "pipeline or data"], ["--grid", "1x2", "--parallel", "elastic"]),
                               (["--grid: 5 blocks of nodes", "--node-ranges 6"], ["--parallel", "data", "--ranks", "5", "--hops", "2"]), (["--grid: 4x2", "at most 3"], ["--grid", "4x2"])):
            self.refused(2, words, *adam, *options)
        self.refused(2, ["--grid: auto, 7x1: 7 ranks", "at most 3 and 4 blocks", "another number"], *run, "--grid", "auto", "--ranks", "7", "--hops", "2")
        self.mpi_refused(2, ["--grid: 5 blocks of nodes", "--node-ranges 6"], 5, *run, "--hops", "2", "--grid", "1x5")
        self.mpi_refused(2, ["at most 3"], 4, *run, "--grid", "4x1")

    def test_launcher_decides_the_number(self):
        self.mpi_refused(2, ["--ranks: 3", "expected 2"], 2, "train", *DATA, *NET, "--ranks", "3")
        self.assertIn("2 ranks sent", self.mpi_ok(2, "train", *DATA, *NET, "-q", "--ranks", "2"))

    def test_devices_without_cuda(self):
        if "built without CUDA" not in self.ok("info").stdout:
            self.skipTest("built with CUDA")
        for devices in ("0", "0,1,2"):
            self.refused(4, ["CUDA", "expected"], "train", *DATA, *NET, "-q", "--devices", devices)


if __name__ == "__main__":
    unittest.main()
