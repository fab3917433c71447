"""Figures of predictions and class weights as users meet them. Run by ctest: FILE PDADMM [TESTS]"""
import csv
import json
import math
import re
import unittest

from cli_case import Case, DATA, GRAPH, NET, bundle, npy, npy_bytes

FIGURES = ("accuracy", "macro-f1", "weighted-f1", "roc-auc", "average-precision")


def figures_of(rows, labels, classes):
    """All of them by their definitions, pair by pair and node by node."""
    predicted = [max(range(classes), key=lambda c: row[c]) for row in rows]
    share = lambda row: [z - max(row) - math.log(sum(math.exp(v - max(row)) for v in row)) for z in row]
    scores = [share(row) for row in rows]
    f1, supports, aucs, precisions = [], [], [], []
    for c in range(classes):
        hit = sum(p == c == y for p, y in zip(predicted, labels))
        of_class, as_class = labels.count(c), predicted.count(c)
        if of_class + as_class:
            f1.append(2 * hit / (of_class + as_class))
            supports.append(of_class)
        inside, outside = ([s[c] for s, y in zip(scores, labels) if (y == c) == within] for within in (True, False))
        if inside and outside and (classes > 2 or c == 1):
            aucs.append(sum((a > b) + (a == b) / 2 for a in inside for b in outside) / (len(inside) * len(outside)))
        if inside and (classes > 2 or c == 1):
            at_least = lambda bound, values: sum(v >= bound for v in values)
            precisions.append(sum(at_least(a, inside) / (at_least(a, inside) + at_least(a, outside)) for a in inside) / len(inside))
    mean = lambda values: sum(values) / len(values)
    return {"accuracy": mean([p == y for p, y in zip(predicted, labels)]), "macro-f1": mean(f1),
            "weighted-f1": sum(f * n for f, n in zip(f1, supports)) / len(labels), "roc-auc": mean(aucs), "average-precision": mean(precisions)}


class Metrics(Case):
    def evaluated(self, *more, model="r"):
        return json.loads(self.ok("evaluate", "--model", model, "--dataset", GRAPH, "--json", *more).stdout)

    def test_evaluate_prints_what_the_logits_say(self):
        self.train("--out", "r", "--epochs", "30")
        self.ok("predict", "-m", "r", "-d", GRAPH, "--layer", "3", "--out", "z.npy")
        self.ok("augment", *DATA, "--no-cache", "--out", "x.npy", "--rows", "rows.npy")
        z, rows = npy(self.folder / "z.npy")[1], npy(self.folder / "rows.npy")[1]
        nodes = list(zip(rows[0::3], rows[1::3], rows[2::3]))
        found = self.evaluated("--confusion", "c.csv")
        text = self.ok("evaluate", "-m", "r", "-d", GRAPH).stdout
        for number, part in enumerate(("train", "val", "test")):
            mine = [(node, label) for node, label, of in nodes if of == number]
            expected = figures_of([z[3 * node:3 * node + 3] for node, _ in mine], [label for _, label in mine], 3)
            for name in FIGURES:
                self.assertAlmostEqual(found[part][name], expected[name], 9, f"{name} of {part}")
            line = re.search(rf"^{part} .*", text, re.M)[0]
            self.assertEqual([float(f) for f in re.findall(r"(?:^\w+ +|\w-\w+ )([\d.]+)", line)], [round(found[part][name], 4) for name in FIGURES], line)
        table = list(csv.reader((self.folder / "c.csv").read_text().splitlines()))
        self.assertEqual(table[0], ["set", "class", "0", "1", "2"])
        for row in table[1:]:
            part, label = row[0], int(row[1])
            mine = [max(range(3), key=lambda c: z[3 * node + c]) for node, y, of in nodes if ("train", "val", "test")[of] == part and y == label]
            self.assertEqual([int(n) for n in row[2:]], [mine.count(c) for c in range(3)], row)
        self.assertEqual((self.folder / "c.csv").read_text(), (self.folder / "r/confusion.csv").read_text())
        shown = [line.split() for line in text.splitlines()[-4:]]
        self.assertEqual(shown, [["0", "1", "2"]] + [row[1:] for row in table if row[0] == "test"])

    def test_the_metric_chooses_the_best_model(self):
        for metric in FIGURES[1:]:
            key = metric.replace("-", "_")
            done = self.train("--metric", metric, "--eval-every", "1", "--out", metric, "--optimizer", "admm")
            self.assertIn(f"best validation {metric}, all in {metric}", done.stdout)
            rows, summary = self.rows(metric), self.summary(metric)
            best = max(rows, key=lambda row: row[f"val_{key}"])
            self.assertEqual(summary["best_epoch"], best["epoch"], "the earliest of the best")
            self.assertEqual((summary["metric"], summary["best"]["val"]), (metric, best["val_accuracy"]))
            found = self.evaluated(model=metric)
            for part in ("train", "val", "test"):
                self.assertAlmostEqual(found[part][metric], summary["best_metric"][part], delta=2e-3)
                self.assertEqual(summary["best_metric"][part], best[f"{part}_{key}"])
        self.train("--out", "plain", "--eval-every", "1")
        self.assertNotIn("metric", self.summary("plain"))
        self.assertEqual([row["objective"] for row in self.rows("plain")], [row["objective"] for row in self.rows("roc-auc")])

    def test_ranks_and_resumption_change_nothing(self):
        run = ["--metric", "average-precision", "--checkpoint-every", "4"]
        self.train(*run, "--out", "one", "--epochs", "16")
        self.train(*run, "--out", "three", "--epochs", "16", "--ranks", "3")
        without = lambda row: self.untimed(row, "bytes")
        self.assertEqual([without(row) for row in self.rows("one")], [without(row) for row in self.rows("three")])
        self.train(*run, "--out", "again", "--epochs", "8")
        self.refused(3, "metric", "train", "--resume", "again", "--metric", "accuracy", "-q")
        self.ok("train", "--resume", "again", "--epochs", "16", "-q")
        for name in ("model-best.safetensors", "confusion.csv"):
            self.assertEqual((self.folder / "one" / name).read_bytes(), (self.folder / "again" / name).read_bytes())
        self.assertEqual(self.summary("one")["best_metric"], self.summary("again")["best_metric"])
        self.ok("train", "--resume", "again", "-q")  # finished: its summary is repeated
        adam = ["--optimizer", "adam", "--parallel", "data", "--node-ranges", "4", "--metric", "macro-f1"]
        self.train(*adam, "--ranks", "3", "--out", "adam")
        for part, figures in self.evaluated(model="adam/model-final.safetensors").items():
            self.assertAlmostEqual(figures["macro-f1"], self.summary("adam")["last_metric"][part], 9)

    def test_what_is_not_defined_is_said(self):
        bundle(self.folder / "g.npz", val_idx=npy_bytes("<i8", [2, 4]), test_idx=npy_bytes("<i8", [3, 5]))
        run = ("train", "-d", "./g.npz", *NET, "-K", "2", "-q", "--out", "r")
        self.refused(2, ["--metric: roc-auc", "of one class"], *run, "--metric", "roc-auc")
        self.ok(*run, "--metric", "macro-f1")
        found = json.loads(self.ok("evaluate", "-m", "r", "-d", "./g.npz", "--json").stdout)
        self.assertIsNone(found["val"]["roc-auc"])
        self.assertIn("roc-auc -", self.ok("evaluate", "-m", "r", "-d", "./g.npz").stdout)
        self.refused(2, "--confusion", "evaluate", "-m", "r", "-d", "./g.npz", "--confusion", "c.txt")


class ClassWeights(Case):
    def test_equal_classes_weigh_as_without(self):
        self.train("--out", "none")
        self.train("--out", "balanced", "--class-weights", "balanced")  # 20 training nodes of each class
        self.assertEqual((self.folder / "none/model-final.safetensors").read_bytes(), (self.folder / "balanced/model-final.safetensors").read_bytes())
        self.refused(3, "class-weights", "train", "--resume", "balanced", "--class-weights", "none", "-q")

    def test_rare_classes_weigh_more(self):
        """Of 5 nodes of class 0 and 40 of class 1, whose features say little, more are taken for class 0."""
        labels = [0 if i % 9 == 0 else 1 for i in range(90)]
        values = [(37 * i + 11 * k) % 90 / 90 + (0.4 if label == 0 else 0) for i, label in enumerate(labels) for k in range(2)]
        bundle(self.folder / "g.npz", adj_indptr=npy_bytes("<i8", list(range(91))), adj_indices=npy_bytes("<i4", list(range(90))), adj_shape=npy_bytes("<i8", [90, 90]),
               features=npy_bytes("<f4", values, (90, 2)), labels=npy_bytes("<i8", labels), train_idx=npy_bytes("<i8", list(range(45))), val_idx=None,
               test_idx=npy_bytes("<i8", list(range(45, 90))))
        taken = {}
        for optimizer in (["--optimizer", "admm", "--weight-decay", "0.001"], ["--optimizer", "adam", "--learning-rate", "0.01"]):
            for weights in ("none", "balanced"):
                run = f"{optimizer[1]}-{weights}"
                options = ["-d", "./g.npz", "--preset", "none", "-L", "2", "--hidden", "8", "--epochs", "150", "-K", "1", "--threads", "1", "-q", "--class-weights", weights, *optimizer]
                self.ok("train", *options, "--out", run)
                rows = list(csv.reader((self.folder / run / "confusion.csv").read_text().splitlines()))[1:]
                taken[run] = sum(int(row[2]) for row in rows if row[0] == "train")
            self.assertGreater(taken[f"{optimizer[1]}-balanced"], taken[f"{optimizer[1]}-none"], taken)
            if optimizer[1] == "admm":  # Adam's micro-batches go by the number of ranks
                self.ok("train", *options, "--ranks", "2", "--out", run + "-ranks")
                self.assertEqual(*((self.folder / name / "model-final.safetensors").read_bytes() for name in (run, run + "-ranks")))


if __name__ == "__main__":
    unittest.main(verbosity=1)
