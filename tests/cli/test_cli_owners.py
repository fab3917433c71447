"""Nodes of several owners: each rank reads its own folder alone, and the run is that of all folders on one rank. test_cli_owners.py PROGRAM"""
import json
import os
import shutil
import unittest

from cli_case import PROGRAM, RANDOM, bundle, npy_bytes
from rank_case import MPIRUN, NO_MPI, RankCase

WIDTH, NODES = 9, 240
SIZES = {"a": (70, 25, 30), "b": (41, 0, 19), "c": (22, 18, 15)}  # train, val, test nodes of each owner
OWNERS = ["--owners", "a,b,c"]
NET = ["--preset", "none", "--layers", "4", "--grow", "2", "--hidden", "8", "--epochs", "4,6", "--eval-every", "2", "--threads", "1", "-q"]


class OwnerCase(RankCase):
    def setUp(self):
        super().setUp()
        self.graph = [RANDOM.randrange(NODES) for _ in range(4 * NODES)]
        self.labels = [i % 3 for i in range(NODES)]
        self.features = [RANDOM.gauss(1 if k % 3 == self.labels[i] else 0, 1) for i in range(NODES) for k in range(WIDTH)]
        first = 0
        for name, sizes in SIZES.items():
            parts = []
            for size in sizes:
                parts.append(list(range(first, first + size)))
                first += size
            self.make(name, parts)

    def make(self, name, parts, hops=3, width=WIDTH, classes=3):
        """The folder of an owner, whose graph is the same as that of others but for its split."""
        labels = [label % classes for label in self.labels]
        features = [self.features[i * WIDTH + k] for i in range(NODES) for k in range(width)]
        bundle(self.folder / "graph.npz", adj_indptr=None, adj_indices=None, adj_shape=None, edge_index=npy_bytes("<i8", self.graph, (2, 2 * NODES)),
               labels=npy_bytes("<i8", labels), features=npy_bytes("<f4", features, (NODES, width)),
               **{f"{part}_idx": npy_bytes("<i8", nodes) for part, nodes in zip(("train", "val", "test"), parts)})
        self.ok("augment", "--dataset", "graph.npz", "--hops", hops, "--out", f"{name}/", "--memory", "90M", "--threads", 1)
        (self.folder / "graph.npz").unlink()

    def assert_as_pooled(self, run, pooled="one"):
        """Models and figures are those of one rank with all nodes, on every owner."""
        for folder in (run, f"{run}/owner-2", f"{run}/owner-3"):
            for file in ("model-final.safetensors", "model-best.safetensors"):
                self.assertEqual((self.folder / folder / file).read_bytes(), (self.folder / pooled / file).read_bytes(), f"{file} of {folder}")
            mine, alone = self.rows(folder), self.rows(pooled)
            self.assertTrue(alone)
            self.assertEqual(*[[self.untimed(row, "bytes") for row in rows] for rows in (mine, alone)], folder)


class SameResult(OwnerCase):
    def compare(self, *options):
        run = ["train", *OWNERS, *NET, *options, "--out"]
        self.ok(*run, "one", "--grid", "1x1")
        self.ok(*run, "t3")
        self.assert_as_pooled("t3")
        if NO_MPI:
            self.skipTest(NO_MPI)
        self.mpi_ok(3, *run, "m3")
        self.assert_as_pooled("m3")

    def test_exact(self):
        self.compare("--penalties", "relative", "--class-weights", "balanced")

    def test_block_quantised(self):
        self.compare("--step", "block", "--quantize", "pq", "--bits", "4")

    def test_models_are_used_on_an_owners_nodes(self):
        self.ok("train", *OWNERS, *NET, "--out", "run")
        found = [json.loads(self.ok("evaluate", "--model", f"run{part}", "--dataset", name, "--json", "--threads", 1).stdout)
                 for part, name in (("", "a"), ("/owner-2", "b"), ("/owner-3", "c"))]
        hits = sum(one["test"]["correct"] for one in found)
        best = self.summary("run")["best"]["test"]
        self.assertAlmostEqual(hits / sum(s[2] for s in SIZES.values()), best, places=9)
        self.ok("predict", "--model", "run/owner-2", "--dataset", "b", "--out", "b.csv", "--threads", 1)
        self.assertGreater(len((self.folder / "b.csv").read_text().splitlines()), SIZES["b"][2])


class ApartFromEachOther(OwnerCase):
    """Each rank runs where its own folder is, and no other's."""

    def mpi_apart(self, *arguments):
        command = [MPIRUN, "--oversubscribe"]
        for place in "abc":
            command += [":"] * (len(command) > 2) + ["-n", 1, "--wdir", self.folder / f"at-{place}", PROGRAM, "train", *arguments]
        code, out, lines = self.outcome(self.start(command))
        self.assertEqual((code, lines), (0, []), out)

    def test_and_resumed(self):
        if NO_MPI:
            self.skipTest(NO_MPI)
        self.ok("train", *OWNERS, *NET, "--grid", "1x1", "--out", "one")
        for place in "abc":
            (self.folder / f"at-{place}").mkdir()
            shutil.move(self.folder / place, self.folder / f"at-{place}" / place)
        self.mpi_apart(*OWNERS, *NET, "--checkpoint-every", "3", "--epochs", "4,3", "--out", "run")
        found = {place: sorted(os.listdir(self.folder / f"at-{place}/run")) for place in "abc"}
        self.assertEqual((found["b"], found["c"]), (["owner-2"], ["owner-3"]))
        self.assertNotIn("owner-2", found["a"])
        shutil.rmtree(self.folder / "at-b/run/owner-2/checkpoints/00000007", ignore_errors=True)  # lost: all go back to an older one
        self.mpi_apart("--resume", "run", "--epochs", "4,6", "-q")
        for place, folder in (("a", "run"), ("b", "run/owner-2"), ("c", "run/owner-3")):
            for file in ("model-final.safetensors", "model-best.safetensors"):
                self.assertEqual((self.folder / f"at-{place}" / folder / file).read_bytes(), (self.folder / "one" / file).read_bytes(), f"{file} of {place}")
            # What an owner keeps has its own nodes' columns.
            newest = max((self.folder / f"at-{place}" / folder / "checkpoints").iterdir())
            raw = (newest / "layer-02.safetensors").read_bytes()
            header = json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")])
            self.assertEqual(header["z"]["shape"][0], SIZES[place][0])


class Refusals(OwnerCase):
    def test_folders_that_do_not_fit(self):
        rest = list(range(60)), list(range(60, 90)), list(range(90, 120))
        self.make("hops", rest, hops=2)
        self.make("features", rest, width=WIDTH - 1)
        self.make("classes", rest, classes=2)
        cases = ((2, ["hops has hops 2", "expected hops 3", "as a"], "a,b,hops"), (2, ["features has 8 features, expected 9 features as a"], "a,features,c"),
                 (2, ["classes has classes 2, expected classes 3 as a"], "a,classes"), (3, ["nowhere: no augmented.json", "pdadmm augment --out nowhere/"], "a,nowhere"),
                 (2, ["./b/ twice"], "a,b,./b/"), (2, ["'a', expected two folders"], "a"), (2, ["two folders"], "a,,b"))
        for code, words, owners in cases:
            with self.subTest(owners):
                self.refused(code, words, "train", "--owners", owners, *NET, stdin=None)
        if NO_MPI:
            self.skipTest(NO_MPI)
        self.mpi_refused(3, ["nowhere: no augmented.json"], 3, "train", "--owners", "a,b,nowhere", *NET)
        self.mpi_refused(2, ["hops has hops 2"], 2, "train", "--owners", "a,hops", *NET)

    def test_options_that_contradict(self):
        for words, options in ((["--dataset: with --owners"], ["--dataset", "a"]), (["--node-ranges: with --owners"], ["--node-ranges", "4"]),
                               (["--grid: auto with --owners", "1x3"], ["--grid", "auto", "--ranks", "3"]), (["--metric: roc-auc with --owners"], ["--metric", "roc-auc"]),
                               (["--grid: 1x4 with 3 owners", "at most 3 blocks"], ["--grid", "1x4"]), (["--owners: with --optimizer adam"], ["--optimizer", "adam"]),
                               (["1x3 on 2 ranks"], ["--ranks", "2"]), (["as given"], ["--hops", "2"])):
            with self.subTest(options):
                self.refused(2, words, "train", *OWNERS, *NET, *options)
        self.refused(2, "--owners: with plan", "plan", *OWNERS)


if __name__ == "__main__":
    unittest.main()
