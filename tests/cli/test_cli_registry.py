"""The registry of runs and pdadmm runs: what train and evaluate enter, what is found in it again, what it does when it cannot
be written, and that many writers, killed at random, lose nothing. Usage: test_cli_registry.py PDADMM [TESTS]"""
import csv
import fcntl
import io
import json
import os
import signal
import sqlite3
import subprocess
import time
import unittest
from contextlib import closing

from cli_case import Case, DATA, GRAPH, NET, PROGRAM, RANDOM, SANITIZED, SEED

RUNS = int(os.environ.get("PDADMM_REGISTRY_RUNS", 160 if SANITIZED else 2400))
WRITERS, KILLS = (8, 16) if SANITIZED else (16, 60)
RUNS_EACH, MOST_SECONDS = RUNS // WRITERS, 400 + RUNS // 10
# Runs of made_up() that are not whole.
INCOMPLETE = ("SELECT folder FROM runs WHERE (SELECT count(*) FROM options WHERE run = key) <> 15 "
              "OR (SELECT count(*) FROM history WHERE run = key) <> 12 "
              "OR (SELECT value FROM figures WHERE run = key AND name = 'val') IS NOT 0.5 + seed / 10000.0")
# Version 1 of the tables, as the first program with a registry wrote them: never to be edited.
VERSION_1 = """
PRAGMA application_id = 1885618503; PRAGMA user_version = 1;
CREATE TABLE runs(key INTEGER PRIMARY KEY, folder TEXT NOT NULL UNIQUE, parent TEXT NOT NULL, id TEXT NOT NULL,
  state TEXT NOT NULL, exit INTEGER NOT NULL, dataset TEXT NOT NULL, data_digest TEXT NOT NULL, seed INTEGER,
  program TEXT NOT NULL, build TEXT NOT NULL, host TEXT NOT NULL, processor TEXT NOT NULL, started REAL NOT NULL,
  changed REAL NOT NULL);
CREATE TABLE options(run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, name TEXT NOT NULL, value TEXT NOT NULL,
  number REAL, PRIMARY KEY(run, name)) WITHOUT ROWID;
CREATE TABLE figures(run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, name TEXT NOT NULL, value REAL NOT NULL,
  PRIMARY KEY(run, name)) WITHOUT ROWID;
CREATE TABLE history(run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, name TEXT NOT NULL,
  epoch INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY(run, name, epoch)) WITHOUT ROWID;
CREATE TABLE files(run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, name TEXT NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY(run, name)) WITHOUT ROWID;
INSERT INTO runs VALUES(7, 'old', '', '00112233445566ff', 'done', 0, 'cora', 'd', 3, 'pdadmm 0.2.0', 'b', 'h', 'p', 1e9, 1e9);
INSERT INTO figures VALUES(7, 'val', 0.75);
"""


def made_up(folder, number, state="done"):
    """A folder as a run leaves it, without a run."""
    folder.mkdir(parents=True)
    config = {"dataset": "cora" if number % 2 else "photo", "hidden": str(8 + number), "seed": number, "data_digest": "d", "optimizer": "admm",
              **{f"option-{k}": str(k) for k in range(10)}}
    (folder / "config.json").write_text(json.dumps(config))
    rows = [{"epoch": e + 1, "stage": 0, "layers": 2, "objective": 1.0, "seconds": 0.25, "bytes": 10, "val_accuracy": 0.5, "test_accuracy": 0.4} for e in range(3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if state == "done":
        figures = {"train": 0.9, "val": 0.5 + number / 10000, "test": 0.6}
        (folder / "summary.json").write_text(json.dumps({"seed": number, "epochs": 3, "objective": 1.0, "seconds": 0.75, "bytes": 30, "last": figures, "best": figures, "best_epoch": 2}))
        (folder / "status.json").write_text(json.dumps({"end": "done", "signal": 0, "iteration": 3, "exit": 0}))


class Registry(Case):
    def query(self, sql, *values, file="registry.sqlite"):
        with closing(sqlite3.connect(self.folder / file, timeout=60)) as database:
            return database.execute(sql, values).fetchall()

    def listed(self, *words):
        return json.loads(self.ok("runs", "list", *words, "--json").stdout)

    def test_what_train_and_evaluate_enter(self):
        self.train("--out", "one", "--metric", "macro-f1")
        self.train("--out", "two", "--seeds", "2", "--hidden", "6", "--quantize", "pq", "--bits", "4")
        runs = {os.path.relpath(r["folder"], self.folder): r for r in self.listed()}
        self.assertEqual(set(runs), {"one", "two/seed-0", "two/seed-1"})
        self.assertEqual(os.listdir(self.folder).count("registry.sqlite"), 1)
        one, summary = runs["one"], self.summary("one")
        config = json.loads((self.folder / "one/config.json").read_text())
        self.assertEqual(one["options"], {k: v if isinstance(v, str) else str(v) for k, v in config.items()})
        for figure, value in (("val", summary["best"]["val"]), ("test", summary["best"]["test"]), ("last_test", summary["last"]["test"]),
                              ("val_macro_f1", summary["best_metric"]["val"]), ("iterations", 12), ("objective", summary["objective"]), ("bytes", summary["bytes"])):
            self.assertEqual(one["figures"][figure], value, figure)
        origin = json.loads((self.folder / "one/origin.json").read_text())
        self.assertEqual({k: one[k] for k in origin}, origin)
        self.assertEqual(self.ok("--version").stdout.strip(), origin["program"])
        self.assertEqual((one["state"], one["parent"], runs["two/seed-1"]["parent"]), ("done", "", str(self.folder / "two")))
        shown = json.loads(self.ok("runs", "show", "one", "--json").stdout)
        evaluated = [row for row in self.rows("one") if "val_accuracy" in row]
        self.assertEqual(shown["history"]["val"], [[row["epoch"], row["val_accuracy"]] for row in evaluated])
        self.assertEqual(shown["files"]["summary.json"], (self.folder / "one/summary.json").stat().st_size)
        self.assertNotIn("evaluations", shown)
        evaluation = json.loads(self.ok("evaluate", "--model", "one", "--dataset", GRAPH, "--json").stdout)
        again = json.loads(self.ok("runs", "show", one["id"][:6], "--json").stdout)
        (entered,) = again["evaluations"]
        self.assertEqual(entered["figures"]["test macro-f1"], evaluation["test"]["macro-f1"])
        self.assertEqual(entered["data_digest"], config["data_digest"])
        # Trained anew in the same folder it is another run, which nobody evaluated.
        self.train("--out", "one", "--overwrite")
        self.assertNotIn("evaluations", json.loads(self.ok("runs", "show", "one", "--json").stdout))
        self.assertNotEqual(json.loads((self.folder / "one/origin.json").read_text())["id"], one["id"])

    def test_conditions(self):
        for k in range(6):
            made_up(self.folder / f"r{k}", k)
        made_up(self.folder / "broken-off", 7, state="lost")
        self.assertEqual(self.ok("runs", "rescan", ".").stdout, "./registry.sqlite: 7 runs, 0 that are gone dropped\n")
        for words, expected in (([], 7), (["dataset=cora"], 4), (["dataset!=cora"], 3), (["dataset=cora", "state=done"], 3), (["val>0.5002"], 3), (["val>=0.5002"], 4),
                                (["hidden<10"], 2), (["hidden=10"], 1), (["hidden=1e1"], 1), (["hidden!=10"], 6), (["folder~roken"], 1), (["seed>4"], 2), (["state=lost"], 1),
                                (["dataset=' OR 1 --"], 0), (["option-3~3"], 7), (["started>2020-01-01"], 7), (["started<2020"], 0), (["iterations=3"], 7)):
            self.assertEqual(len(self.listed(*words)), expected, words)
        self.assertEqual(len(json.loads(self.ok("runs", "list", "--json", "--limit", "2").stdout)), 2)
        table = self.ok("runs", "list", "dataset=photo").stdout.splitlines()
        self.assertEqual(len(table), 4)
        self.assertRegex(table[0], r"^id +state +data +method +layers +seed +val +test +iterations +seconds +started +folder$")
        for words, told in ((["val>high"], "expected a number"), (["val~5"], "~ with a number"), (["hiden=5"], "no run has 'hiden'"), (["test"], "no condition"), (["=5"], "no condition")):
            self.refused(2, told, "runs", "list", *words)

    def test_states(self):
        long = ["train", *DATA, *NET[:-4], "--epochs", "1000000", "--eval-every", "4", "-q"]

        def begin(name):
            process = subprocess.Popen([PROGRAM, *long, "--out", name], cwd=self.folder, env=self.env, stderr=subprocess.PIPE)
            until = time.monotonic() + 300
            while not (self.folder / name / "metrics.jsonl").exists() or (self.folder / name / "metrics.jsonl").stat().st_size < 4000:
                self.assertLess(time.monotonic(), until)
                time.sleep(0.02)
            return process
        killed, stopped = begin("killed"), begin("stopped")
        running = {os.path.basename(r["folder"]): r for r in self.listed()}
        self.assertEqual({name: r["state"] for name, r in running.items()}, {"killed": "running", "stopped": "running"})
        self.assertGreater(running["killed"]["figures"]["iterations"], 4)
        self.assertIn("val", running["killed"]["figures"])
        stopped.send_signal(signal.SIGINT)
        killed.kill()
        self.assertEqual((stopped.wait(300), killed.wait(300)), (130, -9))
        for process in (stopped, killed):
            process.stderr.close()
        self.assertEqual(self.query("SELECT state FROM runs WHERE folder = 'stopped'"), [("stopped",)], "by the run itself")
        self.refused(79, "--learning-rate", "train", *DATA, *NET, "--optimizer", "gd", "--learning-rate", "1e20", "-q", "--out", "diverged")
        states = {os.path.basename(r["folder"]): (r["state"], r["exit"]) for r in self.listed()}
        self.assertEqual(states["killed"], ("lost", 0))
        self.assertEqual(states["stopped"], ("stopped", 130))
        self.assertEqual(states["diverged"], ("failed", 79))
        # A run that went on after it was stopped, and then was killed, was not stopped.
        status = json.loads((self.folder / "stopped/status.json").read_text())
        (self.folder / "stopped/status.json").write_text(json.dumps({**status, "iteration": status["iteration"] - 1}))
        self.ok("runs", "rescan", ".")
        self.assertEqual([r["state"] for r in self.listed("folder=stopped")], ["lost"])

    def test_best(self):
        self.train("--out", "runs/a", "--epochs", "1")
        self.train("--out", "runs/b", "--seeds", "2")
        made_up(self.folder / "runs/photo", 2)
        self.ok("runs", "rescan", "runs")
        best = max(("a", "b/seed-0", "b/seed-1"), key=lambda r: self.summary(f"runs/{r}")["best"]["val"])
        done = self.ok("runs", "best", "--metric", "val", "--of", GRAPH)
        value = self.summary(f"runs/{best}")["best"]["val"]
        self.assertIn(f"val {value:.6g}; 3 runs fit", done.stderr)
        found = done.stdout.strip()
        self.assertEqual(self.summary(os.path.relpath(os.path.dirname(found), self.folder))["best"]["val"], value)
        self.assertTrue(found.endswith("model-best.safetensors"))
        by_name = self.ok("predict", "--model", f"best:{GRAPH}", "--dataset", GRAPH).stdout
        self.assertEqual(by_name, self.ok("predict", "--model", found, "--dataset", GRAPH).stdout)
        self.assertIn("chosen by test nodes", self.ok("runs", "best", "--metric", "test").stderr)
        self.assertEqual(self.ok("runs", "best", "epochs=1").stdout.strip(), str(self.folder / "runs/a/model-best.safetensors"))
        self.refused(2, "no run of cora", "runs", "best", "--of", "cora")
        self.refused(2, "no run of cora", "evaluate", "--model", "best:cora", "--dataset", GRAPH)
        self.refused(2, "--metric: size", "runs", "best", "--metric", "size")
        os.remove(found)  # a model that is gone is nobody's best
        os.remove(found.replace("best", "final"))
        self.assertNotEqual(self.ok("runs", "best").stdout.strip(), found)

    def test_compare_and_names_that_people_chose(self):
        evil = "e\x1b[31m<b>,\"\u202e"
        self.train("--out", evil)
        self.train("--out", "plain", "--hidden", "6", "--rho", "0.02")
        compared = self.ok("runs", "compare", evil, "plain")
        names = [line.split()[0] for line in compared.stdout.splitlines()[1:]]
        self.assertEqual([n for n in names if n in ("hidden", "rho", "nu", "layers", "dataset", "program")], ["hidden", "rho"])
        for text in (compared.stdout, self.ok("runs", "list").stdout, self.ok("runs", "show", evil).stdout):
            self.assertIn("\\x1b[31m<b>,\"\\xe2\\x80\\xae", text)
            self.assertNotRegex(text.replace("\n", ""), r"[\x00-\x1f\x7f\u202e]")
        differences = json.loads(self.ok("runs", "compare", evil, "plain", "--json").stdout)["differences"]
        self.assertEqual(differences["hidden"], ["8", "6"])
        self.refused(2, "two or more", "runs", "compare", "plain")
        self.refused(2, "no run in", "runs", "show", "nothing")

    def test_a_registry_that_cannot_be_written_costs_one_warning(self):
        (self.folder / "registry.sqlite").write_text("this is no database, and long enough to be read as one" * 40)
        done = self.ok("train", *DATA, *NET, "--seeds", "2", "--out", "r")
        self.assertEqual(done.stderr.count("runs are not entered"), 1, done.stderr)
        self.assertIn("pdadmm runs rescan DIR", done.stderr)
        self.assertTrue((self.folder / "r/summary.json").exists())
        self.refused(3, "expected a registry of runs", "runs", "list")
        os.remove(self.folder / "registry.sqlite")
        with closing(sqlite3.connect(self.folder / "registry.sqlite")) as other:
            other.execute("CREATE TABLE mine(x)")
        self.refused(3, "a database of something else", "runs", "list")
        self.assertIn("something else", self.ok("train", *DATA, *NET, "--out", "s").stderr)
        self.assertEqual(self.query("SELECT name FROM sqlite_schema"), [("mine",)])
        os.remove(self.folder / "registry.sqlite")
        self.train("--out", "t", "--registry", "off")
        (self.folder / "kept").mkdir()
        self.train("--out", "u", "--registry", "kept/here.sqlite")
        self.assertEqual((os.path.exists(self.folder / "registry.sqlite"), self.query("SELECT folder FROM runs", file="kept/here.sqlite")), (False, [(str(self.folder / "u"),)]))
        self.refused(2, "--registry: without --out", "train", *DATA, *NET, "--registry", "x.sqlite")
        self.refused(2, "runs/registry.sqlite", "runs", "list")

    def test_a_locked_registry_is_waited_for_only_shortly(self):
        self.train("--out", "r")
        with closing(sqlite3.connect(self.folder / "registry.sqlite", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            done = self.ok("train", *DATA, *NET, "--seeds", "3", "--out", "s")
            self.assertEqual(done.stderr.count("in use by other processes"), 1)
            self.assertLess(time.monotonic() - began, 40)
            self.assertEqual(len(json.loads(self.ok("runs", "list", "--json").stdout)), 1, "readers wait for nobody")

    def test_versions(self):
        with closing(sqlite3.connect(self.folder / "registry.sqlite")) as old:
            old.executescript(VERSION_1)
        (run,) = self.listed("dataset=cora")
        self.assertEqual((run["id"], run["figures"]["val"], run["folder"]), ("00112233445566ff", 0.75, str(self.folder / "old")))
        self.assertEqual(self.query("PRAGMA user_version"), [(2,)])
        self.assertEqual(self.query("SELECT count(*) FROM evaluations"), [(0,)])
        with closing(sqlite3.connect(self.folder / "registry.sqlite")) as new:
            new.execute("PRAGMA user_version = 99")
        self.refused(3, ["version 99", "newer pdadmm"], "runs", "list")

    def test_rescan_makes_the_same_again(self):
        self.train("--out", "a")
        self.train("--out", "deep/er/b", "--seeds", "2", "--registry", "registry.sqlite")
        before = self.listed()
        os.remove(self.folder / "registry.sqlite")
        self.ok("runs", "rescan", ".")
        self.assertEqual(self.listed(), before)
        (self.folder / "a").rename(self.folder / "moved")
        self.assertIn("3 runs, 1 that are gone", self.ok("runs", "rescan", ".").stdout)
        after = self.listed()
        self.assertEqual({r["id"] for r in after}, {r["id"] for r in before})
        (self.folder / "moved/metrics.jsonl").write_text("[]\n")
        self.assertIn("pdadmm: warning: ", self.ok("runs", "rescan", ".").stderr)

    def test_prune(self):
        for k in range(4):
            made_up(self.folder / f"cora-{k}", 2 * k + 1)
        made_up(self.folder / "lost", 10, state="lost")
        for k, name in enumerate(("both", "half")):
            for seed in range(2):
                made_up(self.folder / name / f"seed-{seed}", 20 + 2 * k, state="lost" if name == "both" or seed else "done")
            (self.folder / name / "config.toml").write_text("")
        for run in ("cora-0", "cora-3", "half/seed-0"):
            (self.folder / run / "model-final.safetensors").write_text("")
        (self.folder / "lost/thesis.tex").write_text("kept")
        self.ok("runs", "rescan", ".")
        everything = sorted(r["folder"] for r in self.listed())
        shown = self.ok("runs", "prune")
        self.assertIn("3 of 4 runs", shown.stderr)
        self.assertIn("nothing was removed", shown.stderr)
        self.assertRegex(shown.stdout, r"stays +lost .* half/seed-1 +another seed of its run stays")
        self.assertEqual(sorted(r["folder"] for r in self.listed()), everything)
        self.assertIn("3 removed", self.ok("runs", "prune", "--yes").stderr)
        self.assertEqual({os.path.relpath(r["folder"], self.folder) for r in self.listed()}, {"cora-0", "cora-1", "cora-2", "cora-3", "half/seed-0", "half/seed-1"})
        self.assertEqual((os.listdir(self.folder / "lost"), (self.folder / "both").exists()), (["thesis.tex"], False))
        # The best of its data set, an evaluated one and a running one stay, whatever fits.
        with closing(sqlite3.connect(self.folder / "registry.sqlite")) as database, database:
            database.execute("INSERT INTO evaluations(run, at, dataset, data_digest, model, program) SELECT key, 1, '', '', '', '' FROM runs WHERE folder = 'cora-1'")
        with open(self.folder / "cora-2/lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.ok("runs", "rescan", ".")
            shown = self.ok("runs", "prune", "dataset=cora", "--yes").stdout
        for run, why in (("cora-3", "it is best:cora"), ("cora-1", "its model was evaluated"), ("cora-2", "it is running")):
            self.assertRegex(shown, rf"stays .* {run} +{why}")
        self.assertEqual(sorted(p.name for p in self.folder.glob("cora-*")), ["cora-1", "cora-2", "cora-3"])

    def test_export(self):
        made_up(self.folder / 'a,"b"', 1)
        made_up(self.folder / "c#d", 2, state="lost")
        self.ok("runs", "rescan", ".")
        text = self.ok("runs", "export").stdout
        self.ok("runs", "export", "--out", "runs.csv")
        self.assertEqual((self.folder / "runs.csv").read_text(), text)
        rows = {os.path.basename(row["folder"]): row for row in csv.DictReader(io.StringIO(text))}
        self.assertEqual((rows['a,"b"']["val"], rows['a,"b"']["option_hidden"], rows["c#d"]["val"], rows["c#d"]["state"]), ("0.5001", "9", "0.5", "lost"))
        self.assertEqual(rows["c#d"]["train"], "", "no number is an empty cell")
        self.ok("runs", "export", "--format", "mlflow", "--out", "ml")
        self.refused(5, "not empty", "runs", "export", "--format", "mlflow", "--out", "ml")
        runs = {path.joinpath("tags/mlflow.runName").read_text(): path for path in (self.folder / "ml/1").iterdir() if path.is_dir()}
        self.assertEqual(set(runs), {'a,"b"', "c#d"})
        done, lost = runs['a,"b"'], runs["c#d"]
        self.assertRegex(done.name, r"^[0-9a-f]{32}$")
        self.assertEqual((done / "params/hidden").read_text(), "9")
        self.assertEqual((done / "metrics/val").read_text().split()[1:], ["0.5001", "3"])
        self.assertEqual([line.split()[1:] for line in (done / "metrics/iteration/val").read_text().splitlines()], [["0.5", "1"], ["0.5", "2"], ["0.5", "3"]])
        self.assertIn("\nstatus: 3\n", (done / "meta.yaml").read_text())
        self.assertIn("\nstatus: 4\n", (lost / "meta.yaml").read_text())
        self.assertIn(f'artifact_uri: "file://{self.folder}/c%23d"\n', (lost / "meta.yaml").read_text())

    def test_many_writers_killed_at_random(self):
        """Many processes enter runs into one file and are killed and started again; whatever a reader saw once stays, every run is whole, none is lost."""
        for writer in range(WRITERS):
            for k in range(RUNS_EACH):
                made_up(self.folder / f"w{writer}" / f"r{k}", 100 * writer + k)

        def start(writer):
            command = [PROGRAM, "runs", "rescan", f"w{writer}", "--registry", "registry.sqlite"]
            process = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            self.addCleanup(process.stderr.close)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            return process
        processes = {writer: start(writer) for writer in range(WRITERS)}
        seen, kills, until = set(), 0, time.monotonic() + MOST_SECONDS
        while processes:
            self.assertLess(time.monotonic(), until, f"seed {SEED}")
            time.sleep(RANDOM.uniform(0, 0.05))
            writer = RANDOM.choice(sorted(processes))
            if kills < KILLS and (self.folder / "registry.sqlite").exists():
                if kills % 8 == 0 and (now := self.folders()):
                    self.assertLessEqual(seen, now, "an entry was lost")
                    self.assertEqual(self.query(INCOMPLETE), [], f"seed {SEED}")
                    seen = now
                processes[writer].kill()
                kills += 1
            if processes[writer].poll() is None and kills < KILLS:
                processes[writer].wait()
            if processes[writer].poll() is not None:
                error = processes[writer].stderr.read()
                if b"in use by other processes" not in error:  # on a machine that has no time for them
                    self.assertIn(processes[writer].returncode, (0, -signal.SIGKILL), error)
                if processes.pop(writer).returncode:
                    processes[writer] = start(writer)
        self.assertGreater(kills, KILLS // 4)
        whole = {f"w{w}/r{k}" for w in range(WRITERS) for k in range(RUNS_EACH)}
        self.assertEqual(self.query("PRAGMA integrity_check"), [("ok",)])
        self.assertEqual(self.query("PRAGMA foreign_key_check"), [])
        self.assertEqual(self.folders(), whole)
        self.assertEqual(self.query(INCOMPLETE), [], f"seed {SEED}")

    def folders(self):
        try:
            return {folder for (folder,) in self.query("SELECT folder FROM runs")}
        except sqlite3.OperationalError:  # made just now, without tables yet
            return set()


if __name__ == "__main__":
    unittest.main()
