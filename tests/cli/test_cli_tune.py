#!/usr/bin/env python3
"""pdadmm tune: a search that is killed and goes on ends as one that was not, whatever jobs it has; its winner is a run of
pdadmm train, chosen by validation nodes; limits hold. Usage: test_cli_tune.py PDADMM"""

import json
import re
import shutil
import signal
import subprocess
import time
import unittest

from cli_case import PROGRAM, Case

DATA = ["--dataset", "sbm:nodes=300,classes=3,features=16,degree=6,noise=2,seed=1", "--split", "random:20/60/100", "--threads", "1"]
SEARCH = ["--epochs", "12", "--search", "rho=1e-3:1 nu weight-decay hops=1:4 hidden=8:24 feature-norm layers=2:4"]


class Tune(Case):
    def tune(self, out, *arguments, **more):
        return self.ok("tune", *DATA, *SEARCH, "-q", "--out", out, *arguments, **more)

    def table(self, out):
        return [json.loads(line) for line in (self.folder / out / "trials.jsonl").read_text().splitlines()]

    def assert_same_search(self, first, second):
        self.assertEqual(*[[self.untimed(row) for row in self.table(out)] for out in (first, second)])
        self.assertEqual(*[(self.folder / out / "winner.toml").read_text() for out in (first, second)])

    def kill_after(self, rows, out, how):
        """Sends a signal when the table has so many rows; once more from the beginning where the search was done before it came."""
        for _ in range(5):
            code = self.killed_once(rows, out, how)
            if code != 0:
                break
            shutil.rmtree(self.folder / out)
        return code

    def killed_once(self, rows, out, how):
        with subprocess.Popen([PROGRAM, "tune", *DATA, *SEARCH, "-q", "--out", out, "--method", "halving", "--trials", "20"], cwd=self.folder,
                              env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as search:
            table, until = self.folder / out / "trials.jsonl", time.monotonic() + 300
            while not (table.exists() and table.read_bytes().count(b"\n") >= rows) and time.monotonic() < until:
                time.sleep(0.001)
            search.send_signal(how)
        return search.returncode

    def test_killed_and_resumed(self):
        self.tune("whole", "--method", "halving", "--trials", "20")
        for out, rows, how, code in (("killed", 4, signal.SIGKILL, -9), ("stopped", 12, signal.SIGINT, 130)):
            self.assertEqual(self.kill_after(rows, out, how), code)
            before = self.table(out)
            self.assertLess(len(before), len(self.table("whole")))
            self.ok("tune", "--resume", out, "-q", "--jobs", "2")
            self.assert_same_search("whole", out)
            self.assertEqual(self.table(out)[:len(before)], before, "what was done is not done again")
        shares = [row["share"] for row in self.table("whole")]
        self.assertEqual(len([share for share in shares if share < 0.2]), 27)
        done = json.loads((self.folder / "whole/search.json").read_text())
        self.assertLessEqual(done["trainings"], 20)
        self.assertGreater(done["trials"], 20)

    def test_winner(self):
        shown = self.tune("r", "--method", "random", "--trials", "6", "--seeds", "2").stdout
        keys = [line.split(" = ")[0] for line in shown.splitlines() if " = " in line]
        self.assertEqual(len(keys), len(set(keys)), "TOML has every key once")
        rows, result = self.table("r"), json.loads((self.folder / "r/search.json").read_text())
        best = max(rows, key=lambda row: row["figure"])  # the first of equal ones
        self.assertEqual((result["trial"], result["validation"]), (best["trial"], best["figure"]))
        self.assertEqual(result["trials"], 6)
        self.assertEqual(rows[0]["settings"], {})
        self.assertNotIn("test", "".join(row for row in rows[0]), "the table has no test figure")
        run = f"r/trial-{best['trial']:03}"
        self.assertEqual(self.summary(run)["best"]["test"], result["test"])
        self.ok("train", "-q", "--config", "r/winner.toml", "--threads", "1", "--out", "again")
        self.assert_same_run("again", run)
        self.assertEqual(json.loads((self.folder / "r/winner/summary.json").read_text())["runs"][0]["best"], self.summary(run)["best"])
        self.assertEqual(self.ok("tune", "--resume", "r", "-q").stdout.splitlines()[0], f"# trial {best['trial']}: validation accuracy "
                         f"{best['figure']:.4f}, with the preset's settings {rows[0]['figure']:.4f}")
        self.ok("evaluate", "--model", run, *DATA[:2])
        page = (self.folder / "r/report.html").read_text()
        charts = {chart["x"]: chart for chart in map(json.loads, re.findall(r'<script type="application/json">(.*?)</script>', page))}
        dots = sorted(x for curve in charts["rho"]["curves"] for x in curve["x"])
        self.assertEqual(dots, sorted(float(row["settings"]["rho"]) for row in rows[1:]))
        self.assertTrue(charts["rho"]["log"])
        self.assertEqual(charts["feature-norm"]["names"], ["none", "row", "l2"])
        front = next(curve for curve in charts["weights and biases"]["curves"] if "cheaper" in curve["label"])
        self.assertEqual(front["x"][-1], min(row["parameters"] for row in rows if row["figure"] == best["figure"]))

    def test_a_paused_trial_is_a_run_that_train_resumes(self):
        self.tune("h", "--method", "halving", "--trials", "4")
        paused = [row["trial"] for row in self.table("h") if row["state"] == "paused"]
        trial = next(t for t in paused if all(row["state"] == "paused" for row in self.table("h") if row["trial"] == t))
        folder = self.folder / f"h/trial-{trial:03}"
        self.assertEqual(json.loads((folder / "status.json").read_text())["end"], "paused")
        self.ok("train", "-q", "--resume", folder, "--threads", "1")
        self.ok("train", "-q", "--config", folder / "config.toml", "--threads", "1", "--out", "whole")
        self.assert_same_run("whole", folder)

    def test_registry_and_ranks_of_a_file(self):
        (self.folder / "grid.toml").write_text('grid = "1x2"\n')
        self.tune("r", "--method", "random", "--trials", "2", "--config", "grid.toml", "--registry", "mine.sqlite")  # a trial is on one rank
        self.assertFalse((self.folder / "registry.sqlite").exists())
        listed = json.loads(self.ok("runs", "list", "--json", "--registry", "mine.sqlite").stdout)
        self.assertEqual(sorted(run["folder"].rsplit("/", 1)[1] for run in listed), ["trial-000", "trial-001"])

    def test_limits(self):
        self.tune("r", "--method", "random", "--trials", "5", "--max-parameters", "400", "--max-bytes", "6000", "--max-memory", "2e6")
        rows = self.table("r")
        self.assertEqual(rows[0]["state"], "refused")  # the preset's ten layers
        for row in rows[1:]:
            self.assertLessEqual(row["parameters"], 400)
            self.assertLessEqual(row["bytes"], 6000)
            self.assertLessEqual(row["beyond"], 0)
        self.assertGreater(json.loads((self.folder / "r/search.json").read_text())["trial"], 0)
        self.refused(2, ["--max-parameters", "none of"], "tune", *DATA, *SEARCH, "-q", "--out", "none", "--trials", "5", "--max-parameters", "3")
        self.refused(2, ["none of 2 trials", "within the limits"], "tune", *DATA, *SEARCH, "-q", "--out", "slow", "--trials", "2", "--max-seconds",
                     "1e-9")

    def test_limit_of_flops(self):
        """By a count of its own: products with training nodes, of exact steps four a layer and two of the first one, of Adam three and two."""
        def flops(layers, hidden, each=4, nodes=60):
            return 12 * nodes * 2 * hidden * (2 * 16 + each * ((layers - 2) * hidden + 3))

        shape = lambda row: [int(row["settings"][name]) for name in ("layers", "hidden")]
        search = [*DATA, "-q", "--step", "exact", "--hops", "1", "--epochs", "12", "--grow", "", "--search", "hidden=8:24 layers=2:4 rho", "--method", "random"]
        self.ok("tune", *search, "--trials", "8", "--out", "free")
        for row in self.table("free")[1:]:
            self.assertEqual(row["flops"], flops(*shape(row)))
        self.assertEqual(self.table("free")[0]["flops"], flops(10, 100))
        limit = sorted(row["flops"] for row in self.table("free"))[3]
        for out in ("a", "b"):
            self.ok("tune", *search, "--trials", "8", "--out", out, "--max-flops", limit)
        self.assert_same_search("a", "b")
        (preset, *rows), trained = self.table("a"), sorted(folder.name for folder in (self.folder / "a").glob("trial-*"))
        self.assertEqual((preset["state"], preset["figure"]), ("refused", None))
        self.assertIn("flops: ", preset["why"])
        self.assertEqual(trained, [f"trial-{row['trial']:03}" for row in rows], "the preset's ten layers are beyond it")
        self.assertEqual(len(rows), 8, "what was refused is no training")
        self.assertLessEqual(max(flops(*shape(row)) for row in rows), limit)
        self.assertEqual(json.loads((self.folder / "a/search.json").read_text())["trials"], 8)
        adam = [*DATA[:2], "-q", "--optimizer", "adam", "--hops", "1", "--epochs", "12", "--search", "dropout", "--hidden", "8", "--layers", "4"]
        self.ok("tune", *adam, "--split", "random:60%/20%/20%", "--threads", "1", "--grow", "2,4", "--trials", "2", "--out", "adam")
        self.assertEqual([row["flops"] for row in self.table("adam")], 2 * [flops(2, 8, 3, 180) + flops(4, 8, 3, 180)])

    def test_by_backpropagation(self):
        self.ok("tune", *DATA, "-q", "--optimizer", "adam", "--epochs", "10", "--hidden", "8", "--trials", "4", "--metric", "macro-f1", "--method", "random", "--out", "a",
                "--jobs", "2")
        for row in self.table("a")[1:]:
            self.assertEqual({"learning-rate", "weight-decay", "dropout"} - set(row["settings"]), set())
            self.assertFalse({"rho", "hidden"} & set(row["settings"]), "of another method, and typed")
        self.assertEqual(json.loads((self.folder / "a/search.json").read_text())["metric"], "macro-f1")

    def python(self, text):
        """Environment in which python3 is this shell script."""
        fake = self.folder / "bin/python3"
        fake.parent.mkdir(exist_ok=True)
        fake.write_text("#!/bin/sh\n" + text)
        fake.chmod(0o755)
        return {**self.env, "PATH": f"{fake.parent}:{self.env['PATH']}"}

    def test_by_optuna(self):
        tpe = ["tune", *DATA, "--search", "rho=1e-3:1 hops=1:4", "--epochs", "6", "--method", "tpe", "-q", "--trials", "3"]
        proposals = json.dumps([{"rho": 0.25, "hops": 3}, {"rho": 0.5, "hops": 1}])
        self.ok(*tpe, "--out", "r", env=self.python(f"cat > {self.folder}/asked\ncase $(cat {self.folder}/asked) in *'\"count\": 0'*) echo '[]';; "
                                                    f"*) echo '{proposals}';; esac\n"))
        self.assertEqual([row["settings"] for row in self.table("r")], [{}, {"rho": "0.25", "hops": "3"}, {"rho": "0.5", "hops": "1"}])
        self.refused(4, ["has no Optuna", "install it"], *tpe, "--out", "x", env=self.python("exit 77\n"))
        self.refused(4, ["optuna: python3 ended with 3"], *tpe, "--out", "x", env=self.python("exit 3\n"))
        self.refused(4, ["no python3"], *tpe, "--out", "x", env={**self.env, "PATH": str(self.folder)})
        self.assertFalse((self.folder / "x").exists())

    def test_wrong_use(self):
        self.refused(2, ["--out: nothing"], "tune", *DATA)
        self.refused(2, ["--search", "'rhoo'"], "tune", *DATA, "--out", "x", "--search", "rhoo")
        self.refused(2, ["--search: rho with --rho"], "tune", *DATA, "--out", "x", "--search", "rho", "--rho", "1")
        self.refused(2, ["--ranks"], "tune", *DATA, "--out", "x", "--ranks", "2")
        self.refused(2, ["--grid"], "tune", *DATA, "--out", "x", "--grid", "1x2")
        self.refused(2, ["--split-index: all", "only train takes all"], "tune", *DATA, "--out", "x", "--split-index", "all")
        self.refused(2, ["no search"], "tune", "--resume", "x")
        self.tune("x", "--trials", "1")
        self.refused(5, ["x: not empty"], "tune", *DATA, "-q", "--out", "x")
        self.refused(2, ["--trials", "began with"], "tune", "--resume", "x", "--trials", "9")
        table = self.folder / "x/trials.jsonl"
        table.write_text(table.read_text() + '{"trial": 1, "sha')  # a line that was being written
        self.ok("tune", "--resume", "x", "-q")
        table.write_text("{}\n")
        self.refused(3, ["line 1"], "tune", "--resume", "x", "-q")
        with open(self.folder / "x/base.toml", "a", encoding="utf-8") as base:
            base.write("#\n")
        self.refused(3, ["base.toml", "expected the same"], "tune", "--resume", "x", "-q")


if __name__ == "__main__":
    unittest.main()
