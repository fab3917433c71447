"""Graphs as people have them, from training to predictions in their own class ids. Run by ctest: FILE PDADMM [TESTS]"""
import json
import math
import unittest
import zipfile

from cli_case import Case, GRAPH, npy, npy_bytes, safetensors

NODES, IDS = 90, [10, 500, 70000]
SETS = [[1, 0, 0], [1, 1, 0], [0, 1, 1]]  # of labels, where nodes have several: of each arc
FEATURES = [[float(3 * i // NODES == k) + 0.1 * ((7 * i + 3 * k) % 5) for k in range(3)] for i in range(NODES)]
TRAIN = ["--preset", "none", "--layers", "2", "--hidden", "8", "--hops", "2", "--epochs", "40", "--nu", "0.1", "--threads", "1"]


def mask(nodes, shape=(NODES,)):
    return npy_bytes("|b1", [int(n) for n in nodes], shape)


def arrays(ids=IDS, **changes):
    """A ring of three arcs, each a class that its feature tells, as PyTorch Geometric names its arrays; every node is in a part."""
    labels = [ids[i * len(ids) // NODES] for i in range(NODES)]
    parts = {part: mask(i % 3 == k for i in range(NODES)) for k, part in enumerate(("train_mask", "val_mask", "test_mask"))}
    members = {"x": npy_bytes("<f4", sum(FEATURES, []), (NODES, 3)), "y": npy_bytes("<i8", labels),
               "edge_index": npy_bytes("<i8", [*range(NODES), *(i + 1 for i in range(NODES - 1)), 0], (2, NODES)), **parts, **changes}
    return {name: data for name, data in members.items() if data is not None}


class Forms(Case):
    def put(self, name, members):
        with zipfile.ZipFile(self.folder / name, "w") as out:
            for member, data in members.items():
                out.writestr(member + ".npy", data)
        return name

    def labels(self, **changes):
        """The labels of arrays(), some nodes with others."""
        labels = [IDS[i * 3 // NODES] for i in range(NODES)]
        for node, label in changes.items():
            labels[int(node[1:])] = label
        return npy_bytes("<i8", labels)

    def test_class_ids_come_back(self):
        graph = self.put("g.npz", arrays())
        done = self.ok("train", "-d", graph, *TRAIN, "--out", "r")
        self.assertIn("g: y: class ids 10, 500, 70000 in use, 3 classes; predictions come back in these ids\n", done.stderr)
        self.assertIn("3 classes, 3 features; split stored (train_mask): 30 train, 30 val, 30 test\n", done.stderr)
        notes = safetensors(self.folder / "r/model-best.safetensors")[1]
        self.assertEqual(notes["class_ids"], "10,500,70000")
        rows = [row.split(",") for row in self.ok("predict", "-m", "r", "-d", graph, "--probabilities").stdout.split()]
        self.assertEqual(rows[0], ["node", "class", "p10", "p500", "p70000"])
        right = sum(int(row[1]) == IDS[int(row[0]) * 3 // NODES] for row in rows[1:])
        self.assertGreater(right, 80)
        self.ok("predict", "-m", "r", "-d", graph, "--out", "p.npy")
        self.assertEqual(npy(self.folder / "p.npy")[1], [int(row[1]) for row in rows[1:]])
        # Another graph that lacks a class still has the others' ids, and one of an unknown class is refused.
        two = [70000 if i % 2 else 10 for i in range(NODES)]
        bare = {"train_mask": None, "val_mask": None, "test_mask": None}
        other = self.put("two.npz", arrays(y=npy_bytes("<i8", two), **bare))
        classes = [row.split(",") for row in self.ok("predict", "-m", "r", "-d", other).stdout.split()[1:]]
        correct = sum(int(c) == two[int(n)] for n, c in classes)
        self.assertIn(f"({correct} of 90 nodes)", self.ok("evaluate", "-m", "r", "-d", other).stdout)
        unknown = self.put("unknown.npz", arrays(y=self.labels(n3=11), **bare))
        self.refused(3, "unknown: class 11 at node 3, expected one of the model's 3 classes", "evaluate", "-m", "r", "-d", unknown)

    def test_hidden_test_nodes_are_predicted(self):
        graph = self.put("g.npz", arrays(y=self.labels(n2=-1, n50=-1)))
        done = self.ok("train", "-d", graph, *TRAIN, "--out", "r")
        self.assertIn("g: test_mask: 2 of 30 test nodes have no label: predicted, but not counted in accuracies\n", done.stderr)
        self.assertIn("of 28 nodes)", self.ok("evaluate", "-m", "r", "-d", graph).stdout)
        rows = self.ok("predict", "-m", "r", "-d", graph, "--nodes", "test").stdout.split()[1:]
        self.assertEqual([int(row.split(",")[0]) for row in rows], list(range(2, NODES, 3)))

    def test_one_split_of_several(self):
        rows = [[i % 3 == k for i in range(NODES)] for k in range(2)]
        graph = self.put("g.npz", arrays(train_mask=None, train_masks=mask(sum(rows, []), (2, NODES)), val_mask=None,
                                         test_mask=mask(i % 6 == 2 for i in range(NODES))))
        self.assertIn("split stored (number 0 of 2 in train_masks; others by --split-index): 30 train",
                      self.ok("train", "-d", graph, *TRAIN, "--out", "r", "--split-index", "0").stderr)
        self.ok("train", "-d", graph, *TRAIN, "--out", "s", "--split-index", "1", "-q")
        nodes = [int(row.split(",")[0]) for row in self.ok("predict", "-m", "s", "-d", graph, "--nodes", "train").stdout.split()[1:]]
        self.assertEqual(nodes, list(range(1, NODES, 3)))  # the model's split
        nodes = [int(row.split(",")[0]) for row in self.ok("predict", "-m", "s", "-d", graph, "--nodes", "train", "--split-index", "0").stdout.split()[1:]]
        self.assertEqual(nodes, list(range(0, NODES, 3)))
        self.refused(3, "train_masks: 2 splits, expected --split-index 0 to 1, found 2", "train", "-d", graph, *TRAIN, "--split-index", "2")
        self.refused(2, "--split-index", "train", "-d", GRAPH, *TRAIN, "--split-index", "1")
        bare = self.put("b.npz", {name: data for name, data in arrays().items() if "mask" not in name})
        self.ok("predict", "-m", "s", "-d", bare)  # a new graph has no splits

    def test_every_split_is_a_run(self):
        rows = [[i % 4 != k for i in range(NODES)] for k in range(3)]
        graph = self.put("g.npz", arrays(train_mask=None, train_masks=mask(sum(rows, []), (3, NODES)), val_mask=None, test_mask=None,
                                         test_masks=mask(sum([[not v for v in row] for row in rows], []), (3, NODES))))
        done = self.ok("train", "-d", graph, *TRAIN, "--out", "r", "--split-index", "all")
        for k in range(3):
            self.assertEqual(done.stderr.count(f"split stored (number {k} of 3 in train_masks; others by --split-index)"), 1)
            self.ok("train", "-d", graph, *TRAIN, "--out", f"s{k}", "-q", "--split-index", str(k), "--seed", str(k))
            weights = [safetensors(self.folder / run / "model-final.safetensors") for run in (f"r/seed-{k}", f"s{k}")]
            self.assertEqual(*weights)  # the model names its own split
            nodes = [int(row.split(",")[0]) for row in self.ok("predict", "-m", f"r/seed-{k}", "-d", graph, "--nodes", "test").stdout.split()[1:]]
            self.assertEqual(nodes, list(range(k, NODES, 4)))
        summary = json.loads((self.folder / "r/summary.json").read_text())
        tests = [run["last"]["test"] for run in summary["runs"]]
        self.assertAlmostEqual(summary["last"]["test"]["mean"], sum(tests) / 3)
        self.ok("train", "--resume", "r", "-q")
        self.ok("train", "--config", "r/config.toml", "-q", "--seeds", "1", "--out", "t")
        self.assertEqual(safetensors(self.folder / "t/model-final.safetensors"), safetensors(self.folder / "s0/model-final.safetensors"))
        self.refused(2, "--seeds: 3 with --split-index all, expected 0 to 2", "train", "-d", graph, *TRAIN, "--split-index", "all", "--seeds", "4")
        self.refused(2, "--split: paper with --split-index all", "train", "-d", graph, *TRAIN, "--split-index", "all", "--split", "paper")
        one = self.put("one.npz", arrays())
        self.refused(2, "--split-index: all, but one.npz holds one split, expected several", "train", "-d", one, *TRAIN, "--split-index", "all")
        self.refused(2, "--split-index: all, but sbm holds no split, expected several", "train", "-d", "sbm", "--split-index", "all")
        self.refused(2, "--split-index: all, expected the number of one split", "augment", "-d", graph, "--split-index", "all")
        self.refused(2, "--split-index: '-1', expected a whole number from 0 to 1000000, or all", "train", "-d", graph, "--split-index=-1")

    def test_split_of_a_small_graph_is_drawn_and_said(self):
        graph = self.put("g.npz", arrays(train_mask=None, val_mask=None, test_mask=None))
        self.assertIn("split random:60%/20%/20% (the data set holds none and is too small for paper): 54 train, 18 val, 18 test\n",
                      self.ok("train", "-d", graph, *TRAIN).stderr)
        odd = self.put("odd.npz", arrays(split=npy_bytes("<i8", [0])))
        self.refused(3, "odd.npz: split speaks of a split, expected train_mask", "train", "-d", odd, *TRAIN)
        self.ok("train", "-d", odd, *TRAIN, "-q", "--split", "random:60%/20%/20%")

    def test_labels_that_mean_none(self):
        graph = self.put("g.npz", arrays(y=self.labels(n2=0, n5=0)))
        self.assertIn("no training node of class 0: it cannot be learned; if 0 means unlabelled, add --unlabelled 0",
                      self.ok("train", "-d", graph, *TRAIN).stderr)
        self.ok("train", "-d", graph, *TRAIN, "--unlabelled", "0", "--out", "r", "-q")
        self.assertEqual(safetensors(self.folder / "r/model-best.safetensors")[1]["class_ids"], "10,500,70000")
        self.assertIn("of 28 nodes)", self.ok("evaluate", "-m", "r", "-d", graph).stdout)  # the model's word
        self.assertIn("note             y: class ids 10, 500, 70000", self.ok("info", "-d", graph, "--unlabelled", "0").stdout)
        minus = self.put("minus.npz", arrays(y=self.labels(n2=-7)))
        self.refused(3, "if it means unlabelled, add --unlabelled -7", "info", "-d", minus)
        self.ok("info", "-d", minus, "--unlabelled", "-7")
        self.refused(2, "--unlabelled: 'x', expected a whole number", "info", "-d", graph, "--unlabelled", "x")

    def test_several_labels_a_node(self):
        """Each arc has labels of its own: {0}, {0, 1}, {1, 2}; figures are counted anew from the predictions."""
        truth = [SETS[i * 3 // NODES] for i in range(NODES)]
        graph = self.put("g.npz", arrays(y=npy_bytes("<i8", sum(truth, []), (NODES, 3))))
        for name, options in (("r", ["--step", "block"]), ("a", ["--optimizer", "adam", "--learning-rate", "0.05"]), ("two", ["--step", "block", "--ranks", "2"])):
            if "adam" in options:
                options += ["--epochs", "150"]
            train = [o for o in TRAIN if "adam" not in options or o not in ("--nu", "0.1")]
            done = self.ok("train", "-d", graph, *train, *options, "--out", name)
            self.assertIn("g: 90 nodes, 3 labels (several a node), 3 features; split stored", done.stderr)
            self.assertIn("best validation micro-f1, all in micro-f1", done.stdout)
            best = json.loads((self.folder / name / "summary.json").read_text())["best_metric"]
            self.assertGreater(best["test"], 0.9, name)
        weights, notes = safetensors(self.folder / "r/model-best.safetensors")
        self.assertEqual(notes["task"], "several labels a node")
        self.assertEqual(weights, safetensors(self.folder / "two/model-best.safetensors")[0])
        self.assertFalse((self.folder / "r/confusion.csv").exists())
        self.assertIn("Test micro-f1", (self.folder / "r/report.html").read_text())

        rows = [row.split(",") for row in self.ok("predict", "-m", "r", "-d", graph, "--probabilities").stdout.split()]
        self.assertEqual(rows[0], ["node", "labels", "p0", "p1", "p2"])
        given = [[int(str(c) in row[1].split(";")) for c in range(3)] for row in rows[1:]]
        for row, labels in zip(rows[1:], given):
            self.assertEqual([int(float(p) > 0.5) for p in row[2:]], labels)
        self.ok("predict", "-m", "r", "-d", graph, "--out", "p.npy")
        self.assertEqual(npy(self.folder / "p.npy"), ((NODES, 3), sum(given, [])))
        self.assertEqual(self.ok("predict", "-m", "r", "-d", graph, "--top", "2").stdout.split()[0], "node,class1,class2")
        test = range(2, NODES, 3)
        hits = sum(g and t for i in test for g, t in zip(given[i], truth[i]))
        marks = sum(given[i][c] + truth[i][c] for i in test for c in range(3))
        figures = json.loads(self.ok("evaluate", "-m", "r", "-d", graph, "--json").stdout)["test"]
        self.assertAlmostEqual(figures["micro-f1"], 2 * hits / marks)
        self.assertEqual(figures["correct"], sum(given[i] == truth[i] for i in test))
        self.assertIn("several labels a node, 1.67 on average", self.ok("info", "-d", graph).stdout)
        self.ok("train", "-d", graph, *TRAIN, "-q", "--metric", "roc-auc")

        self.refused(2, "--class-weights: balanced with several labels a node", "train", "-d", graph, *TRAIN, "--class-weights", "balanced")
        self.refused(2, "split paper: g: several labels a node", "train", "-d", graph, *TRAIN, "--split", "paper")
        self.refused(2, "--confusion: of a model of several labels a node", "evaluate", "-m", "r/model-best.safetensors", "-d", graph, "--confusion", "c.csv")
        self.refused(2, "--rows: with several labels a node", "augment", "-d", graph, "--rows", "rows.npy")
        one = self.put("one.npz", arrays())
        self.refused(3, "one: one class a node, expected several labels, as the model has", "evaluate", "-m", "r/model-best.safetensors", "-d", one)
        none = self.put("none.npz", arrays(y=npy_bytes("<i8", [0] * (3 * NODES), (NODES, 3))))
        self.refused(2, "--metric: micro-f1 of validation nodes without any label, expected some with labels", "train", "-d", none, *TRAIN, "-q")

    def require_descent(self, run, truth):
        """That a training on several labels a node, whose labels are `truth`, went down: L_rho in every iteration, the loss of the training
        nodes to a half, which is counted anew from weights, features and labels by loops of our own."""
        rows = self.rows(run)
        for one, next_one in zip(rows, rows[1:]):
            self.assertLessEqual(next_one["objective"], one["objective"] * (1 + 1e-5), f"iteration {next_one['epoch']}")
        self.assertLess(rows[-1]["train_cost"], 0.5 * rows[0]["train_cost"])
        weights = safetensors(self.folder / run / "model-final.safetensors")[0]
        layers = [(weights[f"layers.{k}.weight"], weights[f"layers.{k}.bias"][1]) for k in range(len(weights) // 2)]
        around = lambda i: [sum(of) / 3 for of in zip(FEATURES[i - 1], FEATURES[i], FEATURES[(i + 1) % NODES])]  # noqa: E731: a row of the ring's Ã
        cost = 0
        for i in range(0, NODES, 3):
            p = FEATURES[i] + around(i)
            for (shape, W), b in layers:
                z = [sum(W[j * shape[1] + k] * p[k] for k in range(shape[1])) + b[j] for j in range(shape[0])]
                p = [max(v, 0) for v in z]
            cost += sum(math.log1p(math.exp(-abs(v))) + max(v, 0) - v * t for v, t in zip(z, truth[i])) / (NODES / 3)
        self.assertAlmostEqual(cost, rows[-1]["train_cost"], delta=1e-4 * (1 + cost))

    def test_training_on_several_labels_descends(self):
        truth = [SETS[i * 3 // NODES] for i in range(NODES)]
        wrong = [[row[1], row[2], row[0]] for row in truth]  # what a reader that takes columns for others would train on
        for name, labels in (("right", truth), ("wrong", wrong)):
            graph = self.put(f"{name}.npz", arrays(y=npy_bytes("<i8", sum(labels, []), (NODES, 3))))
            for step in ("block", "exact"):
                self.ok("train", "-d", graph, *TRAIN, "--rho", "1", "--step", step, "--eval-every", "1", "--out", f"{name}-{step}", "-q")
        for step in ("block", "exact"):
            self.require_descent(f"right-{step}", truth)
            with self.assertRaisesRegex(AssertionError, "within .* delta"):
                self.require_descent(f"wrong-{step}", truth)

    def test_folders_and_files_of_other_kinds(self):
        (self.folder / "g").mkdir()
        for name, data in arrays().items():
            (self.folder / "g" / f"{name}.npy").write_bytes(data)
        self.put("g.npz", arrays())
        facts = self.ok("info", "-d", "g").stdout
        self.assertEqual(facts.replace(".npy", ""), self.ok("info", "-d", "g.npz").stdout)
        (self.folder / "data.pkl").write_bytes(b"\x80\x04\x95\x00")
        self.refused(3, "data.pkl: is a Python pickle, expected an .npz archive; make a bundle with data/prepare.py", "info", "-d", "data.pkl")


if __name__ == "__main__":
    unittest.main()
