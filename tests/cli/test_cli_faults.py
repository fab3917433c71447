"""Interrupted runs, broken input, full disks, short memory. Run by ctest: FILE PDADMM [TESTS]"""
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest

from cli_case import Case, DATA, GRAPH, GROWING, NET, PROGRAM, RANDOM, SANITIZED, SEED, bundle, npy_bytes


class Resuming(Case):
    """Resumed runs equal the uninterrupted one, whatever interrupted them and wherever."""
    LONG = ["--epochs", "900,600,3000"]

    def start(self, *arguments):
        return subprocess.Popen([PROGRAM, "train", *map(str, arguments)], cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def stop_somewhere(self, run, number, *arguments, seconds):
        process = self.start(*arguments)
        time.sleep(RANDOM.uniform(0.005, seconds))
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
        return process.returncode, err

    def finish(self, run):
        if not (self.folder / run / "config.toml").exists():
            return False
        self.ok("train", "--resume", run, "-q")
        return True

    def test_kills_and_signals(self):
        common = [*DATA, *GROWING, *self.LONG]
        began = time.monotonic()
        self.ok("train", *common, "--out", "whole", "-q")
        length = time.monotonic() - began
        print(f"resume tests: seed {SEED}, one run {length:.2f} s", file=sys.stderr)
        stopped = 0
        kills, signals = (2, 1) if SANITIZED else (10, 5)  # moments of death that memory cannot tell apart
        for number in [signal.SIGKILL] * kills + [signal.SIGINT, signal.SIGTERM] * signals:
            run = f"r{stopped}-{number}"
            arguments = [*common, "--out", run, "--checkpoint-every", str(RANDOM.choice((5, 77, 500)))]
            code, err = self.stop_somewhere(run, number, *arguments, seconds=length)
            for _ in range(3):  # and again while it goes on
                if code == 0 or not (self.folder / run / "config.toml").exists():
                    break
                if number != signal.SIGKILL and code > 0:
                    self.assertEqual(code, 128 + number, err)
                    self.assertIn(f"pdadmm train --resume {run}", err)
                    self.assertEqual(json.loads((self.folder / run / "status.json").read_text())["exit"], 128 + number)
                code, err = self.stop_somewhere(run, number, "--resume", run, "--threads", RANDOM.choice("12"), seconds=length)
            if self.finish(run):
                self.assert_same_run("whole", run)
            stopped += 1
            shutil.rmtree(self.folder / run, ignore_errors=True)

    def test_killed_at_every_checkpoint(self):
        """Copies of the folder at the end, with metrics and checkpoints as they stood; among them the last epoch, before its summary."""
        self.ok("train", *DATA, *GROWING, "--out", "whole", "-q", "--checkpoint-every", "1")
        last = self.rows("whole")[-1]["epoch"]
        shutil.copytree(self.folder / "whole", self.folder / "late")
        for name in ("summary.json", "status.json", "model-final.safetensors", "model-best.safetensors"):
            os.remove(self.folder / "late" / name)
        shutil.copytree(self.folder / "late", self.folder / "exact")
        self.ok("train", "--resume", "late", "-q")
        self.assert_same_run("whole", "late")
        done = self.ok("train", "--resume", f"exact/checkpoints/{last - 1:08}")
        self.assertIn("is newer", done.stderr)
        self.assert_same_run("whole", "exact")

    def test_several_seeds_and_finished_runs(self):
        self.ok("train", *DATA, *GROWING, "--seeds", "3", "--out", "whole", "-q")
        long = [*DATA, *GROWING, "--seeds", "3", "--out", "r", "-q", "--checkpoint-every", "5"]
        process = self.start(*long)
        end = time.monotonic() + 120
        while not (self.folder / "r/seed-1/metrics.jsonl").exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.001)
        process.kill()
        process.communicate()
        done_before = (self.folder / "r/seed-0/model-final.safetensors").stat().st_mtime_ns
        shutil.rmtree(self.folder / "r/seed-2", ignore_errors=True)
        (self.folder / "r/seed-2").mkdir()  # as a kill right after mkdir leaves it
        self.ok("train", "--resume", "r", "-q")
        for seed in range(3):
            self.assert_same_run(f"whole/seed-{seed}", f"r/seed-{seed}")
        self.assertEqual((self.folder / "r/seed-0/model-final.safetensors").stat().st_mtime_ns, done_before, "a finished seed was trained again")
        first = self.ok("train", "--resume", "r", "--json").stdout
        self.assertEqual(json.loads(first), self.summary("r"))
        one = self.ok("train", "--resume", "r/seed-1", "--json").stdout
        self.assertEqual(json.loads(one)["runs"], [json.loads(first)["runs"][1]])
        self.refused(3, "seeds", "train", "--resume", "r", "--seeds", "4")
        self.refused(3, "hidden=8", "train", "--resume", "r", "--hidden", "9")

    def test_options_that_differ(self):
        self.train("--out", "r", "--checkpoint-every", "6")
        before = {p.name: p.read_bytes() for p in (self.folder / "r").iterdir() if p.is_file()}
        for option, value, words in [("--hidden", "9", "hidden=8, this run 9"), ("--rho", "0.5", "rho="), ("--eval-every", "3", "eval-every=4"), ("--bits", "4", "bits=8"), ("--scale", "rms", "scale=auto"),
                                     ("--seed", "3", "seeds="), ("--dataset", GRAPH + "1", "data")]:
            self.refused(3, words, "train", "--resume", "r", option, value)
        self.assertEqual({p.name: p.read_bytes() for p in (self.folder / "r").iterdir() if p.is_file()}, before)
        self.ok("train", "--resume", "r", "--threads", "2", "--no-cache", "-q")
        self.ok("train", "--resume", "r", "--epochs", "20", "-q")  # further than before
        self.ok("train", *DATA, *NET, "--epochs", "20", "-q", "--out", "longer")
        self.assertEqual((self.folder / "r/model-final.safetensors").read_bytes(), (self.folder / "longer/model-final.safetensors").read_bytes())
        self.ok("train", "--resume", "r", "-q")
        self.assertEqual(self.summary("r")["epochs"], 20)
        self.train("--out", "bare")
        self.refused(3, "kept no checkpoint", "train", "--resume", "bare", "--epochs", "20")

    def test_runs_that_record_no_later_option(self):
        for optimizer in ([], ["--optimizer", "adam"]):
            self.train(*optimizer, "--out", "r", "--overwrite")
            toml = self.folder / "r/config.toml"
            toml.write_text("".join(line for line in toml.read_text().splitlines(True) if not line.startswith(("scale", "best-of"))))
            for name, of in (("config.json", lambda saved: saved), ("summary.json", lambda saved: saved["identity"])):
                saved = json.loads((self.folder / "r" / name).read_text())
                for option in ("scale", "best-of"):
                    of(saved).pop(option, None)
                (self.folder / "r" / name).write_text(json.dumps(saved))
            self.ok("train", "--resume", "r", "-q")
            self.assertEqual(self.summary("r")["epochs"], 12)
            if not optimizer:
                self.refused(3, "scale=max, this run rms", "train", "--resume", "r", "--scale", "rms")

    def test_damaged_checkpoints(self):
        self.train("--out", "whole")
        self.train("--out", "r", "--checkpoint-every", "5")
        for name in ("summary.json", "model-final.safetensors"):
            os.remove(self.folder / "r" / name)
        shutil.copytree(self.folder / "r", self.folder / "all")
        damaged = self.folder / "r/checkpoints/00000012/layer-02.safetensors"
        raw = bytearray(damaged.read_bytes())
        raw[-3] ^= 4
        damaged.write_bytes(raw)
        done = self.ok("train", "--resume", "r")
        self.assertIn("pdadmm: warning: checkpoint 00000012 is not used", done.stderr)
        self.assert_same_run("whole", "r")
        for file in self.folder.glob("all/checkpoints/*/manifest.json"):
            file.write_bytes(file.read_bytes()[:-20])
        self.refused(3, "no valid checkpoint", "train", "--resume", "all")
        self.refused(3, "manifest.json", "train", "--resume", "all/checkpoints/00000012")
        (self.folder / "plain").mkdir()
        for nothing in ("plain", "gone", "gone/checkpoints/00000003"):
            self.refused(2, ["--resume", "no run"], "train", "--resume", nothing)

    def test_damaged_metrics_and_summary(self):
        """Nothing of a result is computed from either: a run goes on to its end without its report, and a summary is made anew."""
        common = [*DATA, *NET, "--checkpoint-every", "4"]
        self.ok("train", *common, "--epochs", "24", "--out", "whole", "-q")
        self.ok("train", *common, "--out", "r", "-q")
        (self.folder / "r/metrics.jsonl").write_text("[]\n")
        done = self.ok("train", "--resume", "r", "--epochs", "24")
        self.assertIn("pdadmm: warning: no report.html: r/metrics.jsonl: line 1: no iteration", done.stderr)
        for name in ("model-final.safetensors", "model-best.safetensors"):
            self.assertEqual((self.folder / "r" / name).read_bytes(), (self.folder / "whole" / name).read_bytes())
        self.ok("train", *common, "--seeds", "2", "--out", "s", "-q")
        (self.folder / "s/seed-0/metrics.jsonl").write_text("[]\n")
        os.remove(self.folder / "s/seed-1/summary.json")
        self.assertIn("no report.html: s/seed-0/metrics.jsonl", self.ok("train", "--resume", "s").stderr)
        (self.folder / "whole/summary.json").write_text("{")
        self.refused(3, ["whole/summary.json", "remove it and resume again"], "train", "--resume", "whole", "-q", "--registry", "off")
        os.remove(self.folder / "whole/summary.json")
        self.ok("train", "--resume", "whole", "-q")
        self.assertEqual(self.summary("whole")["best"], self.summary("r")["best"])

    def test_full_disk(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
        self.ok("train", *DATA, *GROWING, "--out", "whole", "-q", "--no-cache")
        self.refused(5, "ulimit", "train", *DATA, *GROWING, "--out", "r", "-q", "--no-cache", preexec_fn=limit)
        self.ok("train", "--resume", "r", "-q", "--no-cache")
        self.assert_same_run("whole", "r")
        self.refused(5, "cannot", "augment", *DATA, "--no-cache", "--out", "x.npy", preexec_fn=limit)
        self.assertFalse((self.folder / "x.npy").exists())


class Faults(Case):
    def test_broken_bundles(self):
        whole = self.folder / "whole.npz"
        bundle(whole)
        self.ok("train", "--dataset", "./whole.npz", *NET, "-q")
        raw = whole.read_bytes()
        i8 = lambda values: npy_bytes("<i8", values)
        table = {"labels": dict(labels=i8([0, 1, 0, 1, 0, -7])), "labels ": dict(labels=i8([0, 1])), "adj_indptr": dict(adj_indptr=i8([0, 4, 2, 6, 8, 10, 12])),
                 "adj_indices": dict(adj_indices=npy_bytes("<i4", [99] * 12)), "adj_indices ": dict(adj_indices=npy_bytes("<i4", [-1] * 12)), "adj_shape": dict(adj_shape=i8([6, 2**62])),
                 "features": dict(features=npy_bytes("<f4", [math.nan] * 18, (6, 3))), "features ": dict(features=npy_bytes("<f4", [math.inf] * 18, (6, 3))),
                 "features  ": dict(features=npy_bytes("<f4", [1.0] * 4, (2**40, 3))), "train_idx": dict(train_idx=i8([0, 77])), "train_idx ": dict(train_idx=i8([0, 2])),
                 "features   ": dict(features=b"\x93NUMPY\x01\x00\xff\xff junk"), "labels   ": dict(labels=b"")}
        for member, change in table.items():
            with self.subTest(member=member):
                bundle(self.folder / "bad.npz", **change)
                self.fast_refusal(["bad.npz", member.strip().split("_")[0]])
        bundle(self.folder / "bad.npz", labels=None, train_idx=None, val_idx=None, test_idx=None)
        self.fast_refusal(["bad: labels: no labelled node", "pdadmm predict needs none"])
        for name, content in {"cut": raw[:-30], "empty": b"", "text": b"hello\n", "flip": raw[:120] + bytes([raw[120] ^ 255]) + raw[121:]}.items():
            with self.subTest(name=name):
                (self.folder / "bad.npz").write_bytes(content)
                self.fast_refusal(["bad.npz"])

    def fast_refusal(self, words):
        began = time.monotonic()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.refused(3, words, "train", "--dataset", "./bad.npz", *NET)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if not SANITIZED:
            self.assertLess(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1)
            self.assertLess(after.ru_maxrss, 400 << 10)  # the largest child so far, in KiB
        self.assertLess(time.monotonic() - began, 120)

    def test_things_that_are_no_bundle(self):
        os.mkfifo(self.folder / "pipe.npz")
        (self.folder / "dir.npz").mkdir()
        for name, words in (("./pipe.npz", "pipe"), ("./dir.npz", "no file of a graph, expected features.npy"), ("/dev/zero.npz", "No such"), ("./gone.npz", "No such"), ("./\x1b[31mred.npz", "\\x1b[31mred")):
            self.refused(3, words, "train", "--dataset", name)
            self.refused(3, words, "info", "--dataset", name)
        for name in ("cora", "photo", "products"):
            self.refused(3, f"data/prepare.py {name}", "train", "--dataset", name)

    def test_stdout_and_stderr(self):
        self.train("--out", "r")
        model = ["--model", "r/model-final.safetensors", "--dataset", GRAPH]
        commands = [["--help"], ["--version"], ["train", "--help"], ["info"], ["info", "--dataset", GRAPH], ["evaluate", *model], ["predict", *model],
                    ["augment", *DATA], ["train", *DATA, *NET, "-q"]]
        for command in commands:
            with self.subTest(command=command[:2]):
                with open("/dev/full", "w") as full:
                    self.refused(5, "stdout", *command, stdout=full)
                    done = self.run_it(*command, stderr=full)
                    self.assertEqual((done.returncode, bool(done.stdout)), (0, True))
                self.refused(5, "stdout", *command, stdout=None, preexec_fn=lambda: os.close(1))
                self.assertEqual(self.run_it(*command, stderr=None, preexec_fn=lambda: os.close(2)).returncode, 0)
                read, write = os.pipe()
                os.close(read)
                self.assertEqual(self.run_it(*command, stdout=write).returncode, 0)
                os.close(write)
        closed = lambda: [os.close(fd) for fd in (0, 1, 2)]
        done = self.run_it("train", *DATA, *NET, "--out", "s", stdout=None, stderr=None, preexec_fn=closed)
        self.assertEqual(done.returncode, 5)
        self.assert_same_run("r", "s")
        head = subprocess.run(["bash", "-c", f'set -o pipefail; "{PROGRAM}" predict {" ".join(model)} | head -1'], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=300)
        self.assertEqual((head.returncode, head.stdout, head.stderr), (0, "node,class\n", ""))

    def test_memory(self):
        for more in (["--hidden", "1000000", "--layers", "1000"], ["--hidden", "60000", "--layers", "100"], ["--hidden", "1000000", "--layers", "100000"],
                     ["--hidden", "50000", "--layers", "50", "--grow", "2,3"]):
            self.refused(4, ["GiB free", "expected", "GiB"], "train", "--dataset", GRAPH, "--split", "random:20/60/100", *more)
        if SANITIZED:
            return
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
        self.refused(4, ["GiB free", "GiB"], "train", *DATA, "--hidden", "1500", "--layers", "40", preexec_fn=limit)
        self.ok("train", *DATA, *NET, preexec_fn=limit)
        self.refused(4, ["GiB free", "GiB"], "train", "--dataset", "sbm:nodes=20000,features=1000", "--hops", "64", preexec_fn=limit)

    @unittest.skipIf(SANITIZED, "limits address space")
    def test_many_classes_need_no_square_of_their_number(self):
        nodes = 12000
        bundle(self.folder / "many.npz", adj_indptr=npy_bytes("<i8", [0] * (nodes + 1)), adj_indices=npy_bytes("<i4", []), adj_shape=npy_bytes("<i8", [nodes, nodes]),
               features=npy_bytes("<f4", [float(i % 7) for i in range(nodes)], (nodes, 1)), labels=npy_bytes("<i8", range(nodes)), train_idx=npy_bytes("<i8", range(40)),
               val_idx=npy_bytes("<i8", range(40, 60)), test_idx=npy_bytes("<i8", range(60, 80)))
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20))
        self.ok("train", "--dataset", "./many.npz", *NET, "--epochs", "1", "--no-cache", "--threads", "1", preexec_fn=limit)

    @unittest.skipIf(os.path.exists("/dev/nvidiactl"), "there is a device")
    def test_no_device(self):
        for command in (["train", *DATA, *NET], ["augment", *DATA]):
            self.refused(4, "CUDA", *command, "--backend", "cuda")


if __name__ == "__main__":
    unittest.main(verbosity=1)
