"""Stages that end by validation, the model that is kept, and the cadence of evaluation, as users meet them. Run by ctest: FILE PDADMM [TESTS]"""
import json
import re
import unittest

from cli_case import Case, DATA, safetensors

STAGED = ["--preset", "none", "--layers", "5", "--grow", "2,3", "--hidden", "8", "--epochs", "40,30,60"]
WATCHED = [*STAGED, "--eval-every", "2", "--stage-patience", "2,3,4"]
LINE = r"^stage (\d) of (\d): (\d+) layers, (\d+) of (\d+) iterations, ended: (.*)$"


class Stages(Case):
    def lines(self, done):
        return [(*map(int, found[:5]), found[5]) for found in re.findall(LINE, done.stderr, re.M)]

    def by_rows(self, rows, patience):
        """Iterations of each stage by a count of evaluations; `patience` by stage, 0 for never."""
        done, best, since, over = [0] * len(patience), {}, {}, set()
        for row in rows:
            stage = row["stage"]
            self.assertNotIn(stage, over)
            done[stage] += 1
            if "val_accuracy" in row:
                better = row["val_accuracy"] > best.get(stage, -1)
                best[stage] = max(best.get(stage, -1), row["val_accuracy"])
                since[stage] = 0 if better else since[stage] + 1
                if since[stage] == patience[stage] > 0:
                    over.add(stage)
        return done

    def test_end_early_and_say_why(self):
        for more in ([], ["--optimizer", "adam"], ["--stage-from", "best"], ["--optimizer", "adam", "--stage-from", "best"]):
            done = self.ok("train", *DATA, *WATCHED, *more, "--out", "r", "--overwrite")
            lines = self.lines(done)
            self.assertEqual([line[:3] for line in lines], [(1, 3, 2), (2, 3, 3), (3, 3, 5)])
            rows = self.rows("r")
            self.assertEqual([line[3] for line in lines], self.by_rows(rows, [2, 3, 4]))
            self.assertLess(len(rows), 130)
            for line, patience, most in zip(lines, (2, 3, 4), (40, 30, 60)):
                self.assertEqual(line[4], most)
                self.assertEqual(line[5], f"no better validation accuracy in {patience} evaluations" if line[3] < most else "all iterations done")
            self.assertEqual([row["epoch"] for row in rows], list(range(1, len(rows) + 1)))
            self.assertEqual(self.summary("r")["epochs"], len(rows))

    def test_patience_is_that_of_the_last_stage(self):
        run = ("train", *DATA, *STAGED, "--eval-every", "2")
        done = self.ok(*run, "--patience", "3", "--out", "alone")
        self.assertEqual(self.by_rows(self.rows("alone"), [0, 0, 3]), [line[3] for line in self.lines(done)])
        self.assertEqual([line[3] for line in self.lines(done)][:2], [40, 30])
        self.assertLess(self.lines(done)[2][3], 60)
        self.ok(*run, "--stage-patience", "2,2,9", "--patience", "3", "--out", "both")
        self.ok(*run, "--stage-patience", "2,2,3", "--out", "list")
        self.assertEqual(*[[self.untimed(row) for row in self.rows(run)] for run in ("both", "list")])

    def test_resumed_and_on_ranks(self):
        run = ("train", *DATA, *WATCHED, "--stage-from", "best", "-q")
        self.ok(*run, "--checkpoint-every", "1000", "--out", "whole")
        self.ok(*run, "--checkpoint-every", "7", "--out", "again")
        last = sorted((self.folder / "again/checkpoints").iterdir())[0]
        self.ok("train", "-q", "--resume", last)
        for name in ("final", "best"):
            self.assertEqual((self.folder / f"whole/model-{name}.safetensors").read_bytes(), (self.folder / f"again/model-{name}.safetensors").read_bytes())
        self.ok(*run, "--ranks", "3", "--out", "three")
        for name in ("final", "best"):
            self.assertEqual((self.folder / f"whole/model-{name}.safetensors").read_bytes(), (self.folder / f"three/model-{name}.safetensors").read_bytes())

    def test_run_from_before_stages_were_watched(self):
        self.ok("train", *DATA, *STAGED, "--eval-every", "2", "--best-of", "last-stage", "--checkpoint-every", "9", "-q", "--out", "r")
        before = (self.folder / "r/model-best.safetensors").read_bytes()
        later = ("stage-patience", "stage-from", "best-of")
        config = self.folder / "r/config.toml"
        config.write_text("".join(line for line in config.read_text().splitlines(True) if not line.startswith(later)))
        identity = json.loads((self.folder / "r/config.json").read_text())
        (self.folder / "r/config.json").write_text(json.dumps({k: v for k, v in identity.items() if k not in later}))
        (self.folder / "r/summary.json").unlink()
        self.refused(3, "stage-from=last, this run best", "train", "-q", "--resume", "r", "--stage-from", "best")
        self.ok("train", "-q", "--resume", "r", "--best-of", "last-stage")
        self.assertEqual((self.folder / "r/model-best.safetensors").read_bytes(), before)

    def test_best_of(self):
        for of, stages in (("any-stage", (0, 1, 2)), ("last-stage", (2,))):
            done = self.ok("train", *DATA, *STAGED, "--eval-every", "2", "--best-of", of, "--out", of)
            best = max((row for row in self.rows(of) if row["stage"] in stages and "val_accuracy" in row), key=lambda row: (row["val_accuracy"], -row["epoch"]))
            summary = self.summary(of)
            self.assertEqual((summary["best_epoch"], summary["best_layers"]), (best["epoch"], best["layers"]))
            self.assertEqual(summary["best"]["val"], best["val_accuracy"])
            told = re.findall(r"^best model: (\d+) layers, of stage (\d) of 3, epoch (\d+)$", done.stderr, re.M)
            self.assertEqual(told, [(str(best["layers"]), str(best["stage"] + 1), str(best["epoch"]))] if of == "any-stage" else [])
            model = f"{of}/model-best.safetensors"
            self.assertEqual(len(safetensors(self.folder / model)[0]), 2 * best["layers"])
            shown = self.ok("evaluate", "--model", model, *DATA[:4], "--threads", "1").stdout
            for part in ("train", "val", "test"):
                self.assertAlmostEqual(float(re.search(rf"^{part} +([\d.]+)", shown, re.M).group(1)), summary["best"][part], delta=6e-5)
            self.ok("predict", "--model", model, *DATA[:4], "--threads", "1", "--out", f"{of}.csv")
        self.assertNotIn("best model", self.ok("train", *DATA, "--preset", "none", "--layers", "3", "--epochs", "4").stderr)  # one stage

    def test_test_nodes_by_products_or_by_weights(self):
        """The first layer in node space, where W1 is formed for test nodes unless all nodes are often looked at."""
        wide = ["--dataset", "sbm:nodes=400,classes=3,features=100,degree=6,seed=1", "--split", "random:40%/20%/20%", "--hops", "2", "--preset", "none",
                "--layers", "2", "--hidden", "2", "--epochs", "6", "--rho", "0.1", "--nu", "0.1", "--threads", "1", "-q", "--overwrite", "--out", "r"]
        for step in ("exact", "block"):
            rows = []
            for often in ([], ["--eval-every", "6"]):
                self.ok("train", *wide, "--step", step, *often)
                rows.append(self.rows("r")[-1])
            by_weights, by_products = rows
            for of in ("train", "val", "test"):
                self.assertAlmostEqual(by_weights[f"{of}_cost"], by_products[f"{of}_cost"], places=4, msg=step)
            self.assertEqual(by_weights["val_cost"], by_products["val_cost"])

    def test_cadence_by_counted_work(self):
        for more in ([], ["--optimizer", "adam"]):
            rows = None
            for ranks in ("1", "2"):
                done = self.ok("train", *DATA, *STAGED, *more, "--micro-batches" if more else "--refresh-every", "4", "--ranks", ranks, "--out", "r", "--overwrite")
                found = [self.untimed(row, "bytes") for row in self.rows("r")]
                self.assertEqual(rows or found, found)
                rows = found
            best, ends = -1, {40, 70, 130}
            periods = set()
            for row in rows:
                if "val_accuracy" not in row:
                    self.assertFalse({"train_accuracy", "test_accuracy", "val_cost"} & set(row))
                    self.assertNotIn(row["epoch"], ends)
                    continue
                periods.add(row["epoch"])
                whole = row["val_accuracy"] > best or row["epoch"] in ends
                best = max(best, row["val_accuracy"])
                for part in ("train", "test"):
                    self.assertEqual({f"{part}_accuracy", f"{part}_cost"} & set(row), {f"{part}_accuracy", f"{part}_cost"} if whole else set())
            self.assertTrue(ends <= periods)
            self.assertGreater(len(periods), 3)
            self.assertRegex(done.stderr, r"(?m)^epoch .*  val +[\d.]+%  (?!test)")

    def test_refused(self):
        for arguments, words in ((["--stage-patience", "1.5"], "--stage-patience: '1.5', expected whole numbers"), (["--stage-patience", "-1"], "--stage-patience"),
                                 (["--stage-patience", "1,2"], "2 values"), (["--stage-from", "worst"], "one of last, best"), (["--best-of", "all"], "one of any-stage, last-stage"),
                                 (["--eval-every", "-1"], "--eval-every"), (["--stage-from", "best", "--grow-state", "carry"], "expected --grow-state forward")):
            self.refused(2, words, "train", *DATA, *STAGED, *arguments)
        self.refused(2, "--stage-from: best with --grow-state carry", "train", *DATA, "--preset", "paper", "--stage-from", "best")


if __name__ == "__main__":
    unittest.main()
