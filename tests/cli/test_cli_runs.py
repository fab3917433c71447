"""Runs as their users meet them: output, folders, seeds, models, predictions, the cache. Run by ctest: FILE PDADMM [TESTS]"""
import csv
import json
import math
import os
import re
import shutil
import statistics
import struct
import subprocess
import time
import unittest

from cli_case import Case, DATA, GRAPH, NET, PROGRAM, bundle, npy, npy_bytes, safetensors, texts_npy


class Training(Case):
    def test_streams_and_folder(self):
        done = self.ok("train", *DATA, *NET, "--out", "deep/er/r", "--checkpoint-every", "5")
        self.assertNotRegex(done.stdout + done.stderr, r"[\r\x1b]")
        self.assertEqual(len([line for line in done.stderr.splitlines() if re.match(r"epoch +\d+/12  objective", line)]), 3)
        self.assertIn("best validation accuracy", done.stdout)
        self.assertNotIn("epoch   ", done.stdout.replace("epoch   objective", ""))
        r = self.folder / "deep/er/r"
        self.assertEqual(sorted(os.listdir(r)), ["checkpoints", "config.json", "config.toml", "confusion.csv", "lock", "metrics.jsonl", "model-best.safetensors",
                                                 "model-final.safetensors", "origin.json", "report.html", "status.json", "summary.json"])
        self.assertEqual(sorted(os.listdir(r / "checkpoints")), ["00000010", "00000012"])
        rows = self.rows(r)
        self.assertEqual([row["epoch"] for row in rows], list(range(1, 13)))
        always = {"epoch", "stage", "layers", "objective", "risk", "primal_residual", "linear_residual", "rho", "nu", "seconds", "bytes"}
        at_times = {f"{part}_{figure}" for part in ("train", "val", "test") for figure in ("accuracy", "cost")}
        by_layer = {"layer_primal_residual", "layer_linear_residual"}
        for row in rows:
            self.assertEqual(set(row), always | (at_times | by_layer if row["epoch"] % 4 == 0 else set()) | ({"setup_seconds"} if row["epoch"] == 1 else set()))
            self.assertTrue(all(math.isfinite(v) for key, v in row.items() if key not in by_layer))
        self.assertEqual(json.loads((r / "status.json").read_text()), {"end": "done", "signal": 0, "iteration": 12, "exit": 0})
        for name, epoch in (("final", "12"), ("best", str(self.summary(r)["best_epoch"]))):
            tensors, notes = safetensors(r / f"model-{name}.safetensors")
            self.assertEqual({k: v[0] for k, v in tensors.items()}, {"layers.0.weight": [8, 32], "layers.0.bias": [8], "layers.1.weight": [8, 8],
                                                                     "layers.1.bias": [8], "layers.2.weight": [3, 8], "layers.2.bias": [3]})
            self.assertEqual((notes["epoch"], notes["seed"], notes["hops"]), (epoch, "0", "2"))
        quiet = self.ok("train", *DATA, *NET, "--quiet")
        self.assertEqual(quiet.stderr, "")
        strip = lambda text: text[:text.rindex("\n", 0, -1)]
        self.assertEqual(strip(quiet.stdout), strip(done.stdout))

    def test_ranks(self):
        run = ("train", "--dataset", "sbm:nodes=300,classes=3,features=16,seed=1", "--layers", "10", "--hidden", "12", "--epochs", "6", "--eval-every", "3",
               "--quantize", "pq", "--bits", "4")
        for ranks in ("1", "4"):
            self.ok(*run, "--ranks", ranks, "--out", "r" + ranks)
        without = lambda row: self.untimed(row, "bytes")
        one, four = self.rows(self.folder / "r1"), self.rows(self.folder / "r4")
        self.assertEqual([without(row) for row in one], [without(row) for row in four])
        self.assertEqual(one[-1]["bytes"] * 3, four[-1]["bytes"] * 9)
        for name in ("model-final.safetensors", "model-best.safetensors"):
            self.assertEqual((self.folder / "r1" / name).read_bytes(), (self.folder / "r4" / name).read_bytes())
        self.refused(2, "--ranks", *run, "--ranks", "11")

    def test_fewer_epochs_than_are_done(self):
        self.train("--out", "r", "--epochs", "12", "--checkpoint-every", "4")
        before = (self.folder / "r/config.toml").read_text()
        self.refused(2, ["--epochs: 8", "at least the 12"], "train", "-q", "--resume", "r", "--epochs", "8")
        self.assertEqual((self.folder / "r/config.toml").read_text(), before)
        self.ok("train", "-q", "--resume", "r", "--epochs", "16")
        self.assertEqual(self.rows(self.folder / "r")[-1]["epoch"], 16)

    def test_bytes_of_a_resumed_run(self):
        run = ("train", *DATA, *NET, "--checkpoint-every", "3", "--out", "r")
        first = self.ok(*run, "--epochs", "6", "--ranks", "2").stdout
        self.assertIn("2 ranks sent", first)
        again = self.ok("train", "--resume", "r", "--epochs", "6").stdout
        self.assertIn(f"; {re.search(r'2 ranks sent ([0-9]+) bytes', first).group(1)} bytes an iteration between ranks or layers", again)  # of the run
        longer = self.ok("train", "--resume", "r", "--epochs", "9").stdout
        layers = self.summary("r")["identity"]["layers"]
        sent = int(re.search(r"2 ranks sent (\d+) bytes", first).group(1))
        self.assertIn(f"a split after every layer would send {(int(layers) - 1) * sent} bytes", longer)

    def test_several_seeds(self):
        shown = json.loads(self.train("--seeds", "5,0,7", "--out", "r", "--json").stdout)
        self.assertEqual(sorted(os.listdir(self.folder / "r")), ["config.toml", "lock", "report.html", "seed-0", "seed-5", "seed-7", "status.json", "summary.json"])
        self.assertEqual(shown, self.summary("r"))
        each = [self.summary(f"r/seed-{seed}") for seed in (5, 0, 7)]
        for part in ("train", "val", "test"):
            for where, key in (("last", "last"), ("best_val", "best")):
                values = [one[key][part] for one in each]
                self.assertAlmostEqual(shown[where][part]["mean"], statistics.mean(values), 12)
                self.assertAlmostEqual(shown[where][part]["sd"], statistics.stdev(values), 12)
        self.train("--seed", "7", "--out", "one")
        self.assert_same_run("one", "r/seed-7")
        self.refused(5, "--resume", "train", *DATA, *NET, "--out", "r")
        (self.folder / "r/notes.txt").write_text("mine")
        (self.folder / "r/seed-5/plot.png").write_text("mine")
        self.train("--seeds", "2", "--out", "r", "--overwrite")
        self.assertEqual(sorted(os.listdir(self.folder / "r")), ["config.toml", "lock", "notes.txt", "report.html", "seed-0", "seed-1", "seed-5", "status.json", "summary.json"])
        self.assertEqual(os.listdir(self.folder / "r/seed-5"), ["plot.png"])
        self.train("--out", "r", "--overwrite")  # one seed where several were
        self.assertFalse((self.folder / "r/seed-0").exists())
        self.train("--seeds", "2", "--out", "r", "--overwrite")
        self.assertFalse((self.folder / "r/checkpoints").exists() or (self.folder / "r/metrics.jsonl").exists())

    def test_folders_that_are_refused(self):
        self.train("--out", "r")
        before = (self.folder / "r/model-final.safetensors").read_bytes()
        self.refused(5, ["r:", "--overwrite"], "train", *DATA, *NET, "--out", "r", "--seed", "3")
        self.assertEqual((self.folder / "r/model-final.safetensors").read_bytes(), before)
        (self.folder / "foreign").mkdir()
        (self.folder / "foreign/thesis.tex").write_text("x")
        self.refused(5, "thesis.tex", "train", *DATA, *NET, "--out", "foreign")
        self.assertEqual(os.listdir(self.folder / "foreign"), ["thesis.tex"])
        (self.folder / "file").write_text("x")
        self.refused(5, "file", "train", *DATA, *NET, "--out", "file")
        self.refused(5, "file", "train", *DATA, *NET, "--out", "file/below")
        self.refused(5, "file", "train", *DATA, *NET, "--out", "file", "--overwrite")
        (self.folder / "link").symlink_to("r")
        self.refused(5, "link", "train", *DATA, *NET, "--out", "link", "--overwrite")
        self.refused(5, "too long", "train", *DATA, *NET, "--out", "x" * 5000)
        for more in ([], ["--seeds", "2"]):
            busy = subprocess.Popen([PROGRAM, "train", *DATA, "--hidden", "8", "--epochs", "1000000", "--stage-patience", "0", "--out", "busy", "-q", *more], cwd=self.folder, env=self.env)
            lock = self.folder / ("busy/seed-0/lock" if more else "busy/lock")
            try:
                self.wait_for(lambda: lock.exists() and (self.folder / "busy/config.toml").exists())
                for second in (["--out", "busy", "--overwrite"], ["--resume", "busy"]):
                    self.refused(5, "busy", "train", *([] if "--resume" in second else DATA), *second)
            finally:
                busy.kill()
                busy.wait()
            shutil.rmtree(self.folder / "busy")

    def wait_for(self, condition, seconds=120):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, "nothing happened")
            time.sleep(0.005)

    def test_divergence_is_named(self):
        if "fp64" in self.ok("--version").stdout:
            self.skipTest("the features overflow single precision only")
        done = self.run_it("train", *DATA, *NET, "--rho", "1e30", "--nu", "1e30", "--weight-decay", "1e30", "--out", "r")
        if done.returncode != 0:
            self.assertEqual(done.returncode, 79, done.stderr)
        bundle(self.folder / "huge.npz", features=npy_bytes("<f4", [1e14 * (i % 7 + 1) for i in range(18)], (6, 3)))
        done = self.run_it("train", "--dataset", "./huge.npz", "--hops", "2", "--preset", "none", "--layers", "12", "--hidden", "8", "--nu", "1e25", "--rho", "1e-25", "--out", "h")
        self.assertEqual(done.returncode, 79, done.stderr)
        self.assertRegex(done.stderr.splitlines()[-1], r"^pdadmm: error: iteration \d+: .* is not finite")
        self.assertEqual(json.loads((self.folder / "h/status.json").read_text())["exit"], 79)
        self.assertFalse((self.folder / "h/model-final.safetensors").exists())


class Models(Case):
    def setUp(self):
        super().setUp()
        self.train("--out", "r", "--epochs", "40", "--feature-norm", "l2")
        self.model = "r/model-final.safetensors"

    def predicted(self, *more, model=None):
        text = self.ok("predict", "--model", model or self.model, "--dataset", GRAPH, *more).stdout
        return [line.split(",") for line in text.splitlines()]

    def test_evaluate_agrees_with_the_summary(self):
        for name, key in (("final", "last"), ("best", "best")):
            text = self.ok("evaluate", "--model", f"r/model-{name}.safetensors", "--dataset", GRAPH).stdout
            for part, accuracy in re.findall(r"^(train|val|test) +([\d.]+)", text, re.M):
                self.assertAlmostEqual(float(accuracy), self.summary("r")[key][part], delta=6e-5)
            self.assertEqual(text.splitlines()[3:5], ["", "confusions of test nodes (rows: labels; columns: predictions)"])
        text = self.ok("evaluate", "--model", self.model, "--dataset", GRAPH, "--split", "random:5/10/20").stdout
        self.assertIn("of 15 nodes", text)

    def test_predictions_are_recomputed(self):
        """The forward pass in double precision from the model file and the augmented features (M10)."""
        self.ok("augment", *DATA, "--feature-norm", "l2", "--out", "x.npy", "--rows", "rows.npy")
        (count, inputs), x = npy(self.folder / "x.npy")
        self.assertEqual((count, inputs), (220, 32))
        tensors, _ = safetensors(self.folder / self.model)
        order = [int(row[0]) for part in ("train", "val", "test") for row in self.predicted("--nodes", part)[1:]]
        table = {int(row[0]): row for row in self.predicted("--nodes", "all", "--probabilities")[1:]}
        shape, rows_of_x = npy(self.folder / "rows.npy")
        self.assertEqual((shape, list(rows_of_x[0::3])), ((220, 3), order))
        sizes = [len(self.predicted("--nodes", part)) - 1 for part in ("train", "val", "test")]
        self.assertEqual(list(rows_of_x[2::3]), [part for part, size in enumerate(sizes) for _ in range(size)])
        text = self.ok("evaluate", "--model", self.model, "--dataset", GRAPH).stdout
        right = sum(int(table[node][1]) == label for node, label in zip(rows_of_x[0::3], rows_of_x[1::3]))
        self.assertEqual(right, sum(int(n) for n in re.findall(r"\((\d+) of", text)), "its classes are those that evaluate compares with")
        for i, node in enumerate(order):
            a = x[i * inputs:(i + 1) * inputs]
            for k in range(3):
                (rows, cols), W = tensors[f"layers.{k}.weight"]
                a = [sum(map(lambda w, v: w * v, W[r * cols:(r + 1) * cols], a)) + tensors[f"layers.{k}.bias"][1][r] for r in range(rows)]
                if k < 2:
                    a = [max(v, 0.0) for v in a]
            top = max(a)
            exps = [math.exp(v - top) for v in a]
            chosen = int(table[node][1])
            self.assertGreater(a[chosen], top - 1e-3, node)
            for p, e in zip(map(float, table[node][2:]), exps):
                self.assertAlmostEqual(p, e / sum(exps), delta=2e-4)
            self.assertAlmostEqual(sum(map(float, table[node][2:])), 1, delta=1e-4)

    def test_operators_are_kept_in_the_model(self):
        done = self.ok("train", *DATA, *NET, "--out", "o", "--hops", "3", "--augment", "row,high,ppr:0.2")
        self.assertIn("hops 3, augment row,high,ppr:0.2, norm sym", done.stderr)
        self.assertIn("(96 inputs)", done.stderr)  # 16 features in H, two powers of two operators, and one block
        _, notes = safetensors(self.folder / "o/model-best.safetensors")
        self.assertEqual(notes["augment"], "row,high,ppr:0.2")
        text = self.ok("evaluate", "--model", "o/model-best.safetensors", "--dataset", GRAPH).stdout
        for part, accuracy in re.findall(r"^(train|val|test) +([\d.]+)", text, re.M):
            self.assertAlmostEqual(float(accuracy), self.summary("o")["best"][part], delta=6e-5)
        old = self.folder / "old.st"  # written before operators were an option
        whole = (self.folder / self.model).read_bytes()
        old.write_bytes(whole.replace(b'"augment":"gcn"', b'"another":"gcn"'))
        self.assertEqual(self.predicted(model="old.st"), self.predicted())
        old.write_bytes(whole.replace(b'"augment":"gcn"', b'"augment":"gcX"'))
        self.refused(3, "old.st: augment: 'gcX', expected a list of gcn", "evaluate", "-m", "old.st", "-d", GRAPH)

    def test_files(self):
        self.assertEqual(self.predicted()[0], ["node", "class"])
        self.assertEqual(self.predicted("--probabilities", "--nodes", "test")[0], ["node", "class", "p0", "p1", "p2"])
        self.assertEqual(len(self.predicted()), 301)
        self.ok("predict", "-m", self.model, "-d", GRAPH, "--out", "p.npy")
        shape, classes = npy(self.folder / "p.npy")
        self.assertEqual(shape, (300, 1))
        self.assertEqual(classes, [int(row[1]) for row in self.predicted()[1:]])
        self.ok("predict", "-m", self.model, "-d", GRAPH, "--out", "p.csv")
        self.assertEqual((self.folder / "p.csv").read_text(), self.ok("predict", "-m", self.model, "-d", GRAPH).stdout)
        shape, p = npy(self.out("p.npy", "--probabilities", "--nodes", "test"))
        self.assertEqual(shape, (100, 3))
        rows = self.predicted("--probabilities", "--nodes", "test")[1:]
        for i, row in enumerate(rows):
            for c in range(3):
                self.assertAlmostEqual(p[3 * i + c], float(row[2 + c]), delta=2e-6)
        shape, top = npy(self.out("p.npy", "--top", "3", "--nodes", "test"))
        self.assertEqual(shape, (100, 3))
        for i in range(len(rows)):
            self.assertEqual(top[3 * i:3 * i + 3], sorted(range(3), key=lambda c: (-p[3 * i + c], c)))
        two = self.predicted("--top", "2", "--nodes", "test", "--probabilities")
        self.assertEqual(two[0], ["node", "class1", "p1", "class2", "p2"])
        for row, one, i in zip(two[1:], rows, range(100)):
            self.assertEqual(row, [one[0], str(top[3 * i]), one[2 + top[3 * i]], str(top[3 * i + 1]), one[2 + top[3 * i + 1]]])
        for code, words, options in ((2, "--layer: without --out", ["--layer", "1"]), (2, "--layer: with", ["--layer", "1", "--top", "2", "--out", "p.npy"]),
                                     (2, "--layer: 4, expected at most 3", ["--layer", "4", "--out", "p.npy"]), (2, "--top: 4, expected at most 3", ["--top", "4"]),
                                     (2, "--top: with --probabilities", ["--top", "2", "--probabilities", "--out", "p.npy"])):
            self.refused(code, words, "predict", "-m", self.model, "-d", GRAPH, *options)
        self.assertNotIn(".pdadmm-tmp", " ".join(os.listdir(self.folder)))
        other = GRAPH.replace("seed=1", "seed=2").replace("nodes=300", "nodes=77")
        text = self.ok("predict", "-m", self.model, "-d", other).stdout
        self.assertEqual(len(text.splitlines()), 78)
        self.refused(5, "nowhere", "predict", "-m", self.model, "-d", GRAPH, "--out", "nowhere/p.csv")

    def out(self, name, *more):
        self.ok("predict", "-m", self.model, "-d", GRAPH, "--out", name, *more)
        return self.folder / name

    def test_layers(self):
        """Each layer from the one before it, in double precision; the last one's are logits, whose largest is the class."""
        tensors, _ = safetensors(self.folder / self.model)
        before = None
        for layer in (1, 2, 3):
            (nodes, rows), a = npy(self.out("a.npy", "--layer", str(layer)))
            (n, m), W = tensors[f"layers.{layer - 1}.weight"]
            self.assertEqual((nodes, rows), (300, n))
            for i in range(0, 300, 7) if before else ():
                for r in range(n):
                    value = tensors[f"layers.{layer - 1}.bias"][1][r] + sum(W[r * m + k] * before[i * m + k] for k in range(m))
                    self.assertAlmostEqual(a[i * n + r], value if layer == 3 else max(value, 0), delta=1e-5 * (1 + abs(value)))
            before = a
        self.assertEqual([max(range(3), key=lambda c: before[3 * i + c]) for i in range(300)], [int(row[1]) for row in self.predicted()[1:]])

    def test_models_that_do_not_fit(self):
        self.refused(3, ["8 features", "32 inputs"], "evaluate", "-m", self.model, "-d", GRAPH.replace("features=16", "features=8"))
        self.refused(3, "classes", "evaluate", "-m", self.model, "-d", GRAPH.replace("classes=3", "classes=4"))
        whole = (self.folder / self.model).read_bytes()
        for name, raw in {"cut": whole[:-5], "empty": b"", "long": whole + b"x", "junk": os.urandom(500), "header": struct.pack("<Q", 2**60) + whole[8:],
                          "nan": whole[:-4] + b"\0\0\xf8\x7f", "hops": whole.replace(b'"hops":"2"', b'"hops":"x"'), "other": whole.replace(b"layers.1.weight", b"layers.9.weight")}.items():
            (self.folder / f"{name}.st").write_bytes(raw)
            self.refused(3, f"{name}.st", "evaluate", "-m", f"{name}.st", "-d", GRAPH)
        self.refused(3, "gone", "predict", "-m", "gone", "-d", GRAPH)

    def test_a_runs_folder_is_a_model(self):
        of_file = self.ok("evaluate", "-m", "r/model-best.safetensors", "-d", GRAPH)
        of_folder = self.ok("evaluate", "-m", "r", "-d", GRAPH)
        self.assertEqual((of_folder.stdout, of_folder.stderr.splitlines()[0]), (of_file.stdout, "model: r/model-best.safetensors"))
        (self.folder / "r/model-best.safetensors").unlink()  # as of a run without validation nodes
        self.assertIn("model: r/model-final.safetensors", self.ok("predict", "-m", "r", "-d", GRAPH).stderr)
        (self.folder / "r/model-final.safetensors").unlink()
        self.refused(3, ["r: no model-best", "--resume"], "predict", "-m", "r", "-d", GRAPH)
        self.train("--out", "s", "--seeds", "3,20,0")
        self.refused(3, "s: runs of 3 seeds, expected one; name one of s/seed-0, s/seed-3, s/seed-20", "evaluate", "-m", "s", "-d", GRAPH)
        self.assertIn("model: s/seed-20/model-best", self.ok("evaluate", "-m", "s/seed-20/", "-d", GRAPH).stderr)
        for seed in (0, 3):
            shutil.rmtree(self.folder / f"s/seed-{seed}")
        self.assertIn("model: s/seed-20/model-best", self.ok("evaluate", "-m", "s", "-d", GRAPH).stderr)


class NewGraphs(Case):
    """A model of one graph on others: without labels, with some, with another split or none."""
    def setUp(self):
        super().setUp()
        bundle(self.folder / "old.npz")
        self.ok("train", "-d", "./old.npz", *NET, "-K", "2", "--threads", "1", "-q", "--out", "r")
        ring = list(range(8))
        self.ring = dict(adj_indptr=npy_bytes("<i8", list(range(9))), adj_indices=npy_bytes("<i4", ring[1:] + [0]), adj_shape=npy_bytes("<i8", [8, 8]),
                         features=npy_bytes("<f4", [float(i % 5) for i in range(24)], (8, 3)), labels=None, train_idx=None, val_idx=None, test_idx=None)

    def predicted(self, **changes):
        bundle(self.folder / "new.npz", **{**self.ring, **changes})
        return self.ok("predict", "-m", "r", "-d", "./new.npz").stdout

    def test_labels_are_not_needed(self):
        none = self.predicted(labels=None)
        self.assertEqual([line.split(",")[0] for line in none.splitlines()], ["node", *map(str, range(8))])
        for labels in ([-1] * 8, [-1, 0, -1, -1, -1, -1, -1, -1], [0, 1] * 4):
            self.assertEqual(self.predicted(labels=npy_bytes("<i8", labels)), none)

    def test_only_predict_does_without(self):
        self.predicted(labels=None)
        for command in (["evaluate", "-m", "r"], ["train"], ["augment"]):
            self.refused(3, "new: labels: no labelled node, expected some; only pdadmm predict needs none", *command, "-d", "./new.npz")
        self.assertRegex(self.ok("info", "-d", "./new.npz").stdout, r"classes +0\nsplit +none\n")

    def test_evaluate(self):
        classes = [int(line.split(",")[1]) for line in self.predicted(labels=None).splitlines()[1:]]
        self.predicted(labels=npy_bytes("<i8", [*classes[:5], 1 - classes[5], -1, -1]))
        evaluate = lambda *more: re.findall(r"^.* nodes\)(?=  |$)", self.ok("evaluate", "-m", "r", "-d", "./new.npz", *more).stdout, re.M)
        self.assertEqual(evaluate(), ["all    0.8333  (5 of 6 nodes)"])
        self.predicted(labels=npy_bytes("<i8", [*classes[:5], 1 - classes[5], -1, -1]), train_idx=npy_bytes("<i8", [0]), test_idx=npy_bytes("<i8", [4, 5]))
        self.assertEqual(evaluate(), ["train  1.0000  (1 of 1 nodes)", "val    -  (0 of 0 nodes)", "test   0.5000  (1 of 2 nodes)"])
        self.predicted(labels=npy_bytes("<i8", [0, 2, 1, 0, 0, 0, 0, 0]))
        self.refused(3, ["class 2 at node 1", "one of the model's 2 classes"], "evaluate", "-m", "r", "-d", "./new.npz")


    def test_names_come_back(self):
        names = ["Theory", 'Neural, "deep"']
        bundle(self.folder / "old.npz", class_names=texts_npy(*names))
        self.ok("train", "-d", "./old.npz", *NET, "-K", "2", "--threads", "1", "-q", "--out", "r", "--overwrite")
        plain = [line.split(",") for line in self.predicted().splitlines()[1:]]
        self.assertTrue({name for _, name, *_ in plain} <= {"Theory", '"Neural'})
        ids = ["a1", "été", "x,y", "d", "e", "f", "g", "h"]
        rows = list(csv.reader(self.predicted(node_ids=texts_npy(*ids)).splitlines()))
        self.assertEqual([row[0] for row in rows], ["node", *ids])
        rows = list(csv.reader(self.predicted(node_ids=npy_bytes("<i8", [10**12 - i for i in range(8)])).splitlines()))
        self.assertEqual([row[0] for row in rows[1:]], [str(10**12 - i) for i in range(8)])
        table = self.ok("predict", "-m", "r", "-d", "./new.npz", "--probabilities").stdout
        self.assertEqual(next(csv.reader(table.splitlines())), ["node", "class", "p_Theory", 'p_Neural, "deep"'])
        classes = [names.index(row[1]) for row in rows[1:]]
        self.ok("predict", "-m", "r", "-d", "./new.npz", "--out", "p.npy")
        self.assertEqual(npy(self.folder / "p.npy")[1], classes, "classes with texts go by their place")
        # Another graph numbers its classes in another order: names say which is which.
        labels = [1 - c for c in classes]
        self.predicted(labels=npy_bytes("<i8", labels), class_names=texts_npy(*names[::-1]))
        self.assertTrue(self.ok("evaluate", "-m", "r", "-d", "./new.npz").stdout.startswith("all    1.0000  (8 of 8 nodes)  "))
        self.predicted(labels=npy_bytes("<i8", labels), class_names=texts_npy("Theory", "Vision"))
        self.refused(3, ["class Vision at node", "one of the model's 2 classes"], "evaluate", "-m", "r", "-d", "./new.npz")
        for words, change in (("node_ids.npy: 3 names, expected 8", dict(node_ids=npy_bytes("<i8", [1, 2, 3]))), ("class_names.npy: 1 names, expected 2", dict(class_names=texts_npy("a"))),
                              ("control characters", dict(node_ids=texts_npy("a\x1b[31m", *ids[1:]))), ("rows of uint8", dict(class_names=npy_bytes("<f4", [1, 2, 3, 4], (2, 2))))):
            bundle(self.folder / "bad.npz", **{**self.ring, "labels": npy_bytes("<i8", labels), **change})
            self.refused(3, words, "predict", "-m", "r", "-d", "./bad.npz")


class Cache(Case):
    def test_cache(self):
        run = ["augment", *DATA, "--cache", "c"]
        first = self.ok(*run, "--out", "a.npy")
        self.assertIn("kept in", first.stderr)
        (file,) = (self.folder / "c").iterdir()
        whole = file.read_bytes()
        self.assertIn("read from", self.ok(*run, "--out", "b.npy").stderr)
        train = ["train", *DATA, *NET, "--threads", "1", "--seed", "0"]
        cached = self.ok(*train, "--cache", "c", "--out", "cached").stderr
        self.assertIn("read from", cached)
        self.assertIn("; X, 0.00 GiB, is read from its file", cached)  # where it lies: no copy of it
        self.ok(*train, "--no-cache", "--out", "made")
        self.assert_same_run("cached", "made")
        for damage in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:100], b"", os.urandom(len(whole))):
            file.write_bytes(damage)
            self.assertIn("cache not used", self.ok(*run, "--out", "c.npy").stderr)
            self.assertEqual(file.read_bytes(), whole)
        for name in "bc":
            self.assertEqual((self.folder / "a.npy").read_bytes(), (self.folder / f"{name}.npy").read_bytes())
        self.assertIn("kept in", self.ok("augment", *DATA, "--norm", "row", "--cache", "c").stderr)
        self.assertIn("kept in", self.ok("augment", *DATA, "--augment", "row", "--cache", "c").stderr)
        self.assertIn("read from", self.ok("augment", *DATA, "--augment", "gcn", "--cache", "c").stderr)
        self.assertEqual(len(os.listdir(self.folder / "c")), 3)
        (self.folder / "full").write_text("a file")
        self.assertIn("not kept", self.ok("augment", *DATA, "--cache", "full/c").stderr)
        self.assertNotIn("kept", self.ok("augment", *DATA, "--no-cache").stderr)
        self.assertFalse((self.folder / "cache/pdadmm/augmented").exists())


if __name__ == "__main__":
    unittest.main(verbosity=1)
