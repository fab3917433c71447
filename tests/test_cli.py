"""The program as its users meet it: options, run folders, resuming, models, broken input, full disks, signals, terminals.
Every error is one line "pdadmm: error: ..." on stderr and a documented exit code. Run by ctest: test_cli.py PDADMM [TESTS]
"""
import array
import json
import math
import os
import pty
import random
import re
import resource
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile
from pathlib import Path

PROGRAM = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else "build/cpu/host/pdadmm"
SANITIZED = bool(os.environ.get("PDADMM_SANITIZED"))
COMMANDS = ["train", "evaluate", "predict", "augment", "info"]
GRAPH = "sbm:nodes=300,classes=3,features=16,degree=6,seed=1"
DATA = ["--dataset", GRAPH, "--split", "random:20/60/100", "--hops", "2", "--threads", "1"]
NET = ["--preset", "none", "--layers", "3", "--hidden", "8", "--epochs", "12", "--eval-every", "4"]
GROWING = ["--preset", "none", "--layers", "5", "--grow", "2,3", "--hidden", "8", "--epochs", "9,7,20", "--eval-every", "3", "--quantize", "pq", "--bits", "4",
           "--rho-schedule", "risk"]
SEED = random.SystemRandom().randrange(10**6)
RANDOM = random.Random(SEED)
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # where fsync costs nothing


def safetensors(path):
    """name -> (shape, values), and the metadata."""
    raw = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + length])
    notes = header.pop("__metadata__", {})
    codes = {"F32": "f", "F64": "d"}
    return {name: (t["shape"], array.array(codes[t["dtype"]], raw[8 + length:][slice(*t["data_offsets"])]).tolist()) for name, t in header.items()}, notes


def npy(path):
    """Shape and values of a little-endian C-order array."""
    raw = Path(path).read_bytes()
    assert raw[:8] == b"\x93NUMPY\x01\x00", raw[:8]
    (length,) = struct.unpack("<H", raw[8:10])
    header = eval(raw[10:10 + length], {"__builtins__": {}})
    assert not header["fortran_order"]
    return header["shape"], array.array({"<f4": "f", "<f8": "d", "<i8": "q"}[header["descr"]], raw[10 + length:]).tolist()


def npy_bytes(code, values, shape=None):
    header = repr({"descr": code, "fortran_order": False, "shape": (len(values),) if shape is None else shape})
    header = header + " " * (-(len(header) + 11) % 64) + "\n"
    kind = {"<f4": "f", "<i8": "q", "<i4": "i"}[code]
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + array.array(kind, values).tobytes()


def bundle(path, **changes):
    """A bundle of six nodes on a ring; a member given as None is left out, bytes are stored as they are."""
    members = {"adj_indptr": npy_bytes("<i8", [0, 2, 4, 6, 8, 10, 12]), "adj_indices": npy_bytes("<i4", [1, 5, 0, 2, 1, 3, 2, 4, 3, 5, 0, 4]),
               "adj_shape": npy_bytes("<i8", [6, 6]), "pdadmm_bundle": npy_bytes("<i8", [1], ()), "features": npy_bytes("<f4", [float(i % 5) for i in range(18)], (6, 3)),
               "labels": npy_bytes("<i8", [0, 1, 0, 1, 0, 1]), "train_idx": npy_bytes("<i8", [0, 1]), "val_idx": npy_bytes("<i8", [2, 3]),
               "test_idx": npy_bytes("<i8", [4, 5])}
    members.update(changes)
    with zipfile.ZipFile(path, "w") as out:
        for name, data in members.items():
            if data is not None:
                out.writestr(name + ".npy", data)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="pdadmm-cli-", dir=SCRATCH)))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        keep = {k: v for k, v in os.environ.items() if k not in ("PDADMM_DATA", "NO_COLOR", "TERM")}
        self.env = {**keep, "XDG_CACHE_HOME": str(self.folder / "cache"), "HOME": str(self.folder)}

    def run_it(self, *arguments, timeout=60, **more):
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        return subprocess.run([PROGRAM, *map(str, arguments)], cwd=self.folder, env=more.pop("env", self.env), text=True, timeout=timeout, **more)

    def ok(self, *arguments, **more):
        done = self.run_it(*arguments, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refused(self, code, words, *arguments, **more):
        """Exit code, exactly one line of error on stderr (warnings and notes may stand before it), nothing on stdout."""
        done = self.run_it(*arguments, **more)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stderr}")
        errors = [line for line in done.stderr.splitlines() if line.startswith("pdadmm: error: ")]
        self.assertEqual(len(errors), 1, done.stderr)
        self.assertTrue(done.stderr.endswith(errors[0] + "\n"), done.stderr)
        self.assertNotRegex(done.stderr.replace("\n", ""), r"[\x00-\x1f\x7f]", "control characters")
        self.assertFalse(done.stdout)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, errors[0])
        if code == 2:
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertRegex(errors[0], "expected|see pdadmm")
        return done

    def train(self, *arguments, **more):
        return self.ok("train", *DATA, *NET, "-q", *arguments, **more)

    def rows(self, run):
        return [json.loads(line) for line in (self.folder / run / "metrics.jsonl").read_text().splitlines()]

    def summary(self, run):
        return json.loads((self.folder / run / "summary.json").read_text())

    def assert_same_run(self, first, second):
        """Models bit for bit; summaries and metrics but for seconds."""
        a, b = self.folder / first, self.folder / second
        for name in ("model-final.safetensors", "model-best.safetensors"):
            self.assertEqual((a / name).read_bytes(), (b / name).read_bytes(), f"{name} of {first} and {second}")
        for one, other in ((self.rows(first), self.rows(second)), ([self.summary(first)], [self.summary(second)])):
            for row in one + other:
                del row["seconds"]
            self.assertEqual(one, other)
        self.assertEqual(json.loads((b / "status.json").read_text())["end"], "done")


class Options(Case):
    def test_help_and_version(self):
        for arguments in (["--help"], ["-h"], ["help"]):
            done = self.ok(*arguments)
            for command in COMMANDS:
                self.assertIn(f"\n  {command} ", done.stdout)
        self.assertRegex(self.ok("--version").stdout, r"^pdadmm \d+\.\d+\.\d+ \(fp(32|64), .*\)\n$")
        for command in COMMANDS:
            done = self.ok(command, "--help")
            self.assertEqual(done.stdout, self.ok("help", command).stdout)
            self.assertEqual(done.stdout, self.ok(command, "--dataset", "sbm", "-h").stdout)
            self.assertEqual(done.stderr, "")
            self.assertRegex(done.stdout, rf"Example:\n  pdadmm {command}")
        text = self.ok("train", "--help").stdout
        for option, default in {"hops": 5, "layers": 10, "hidden": 100, "step": "exact", "eval-every": 10, "bits": 8, "seeds": 1, "codec": "difference", "split": "auto"}.items():
            self.assertRegex(text, rf"--{option}\b[^\n]*(=|\[){default}", option)

    def test_every_option_of_a_run_is_in_help(self):
        self.train("--out", "r")
        text = self.ok("train", "--help").stdout
        for line in (self.folder / "r/config.toml").read_text().splitlines()[1:]:
            self.assertIn("--" + line.split(" = ")[0], text)

    def test_usage_errors(self):
        table = [([], "command"), (["trian"], "'trian'"), (["train", "--hidn", "5"], "--hidden"), (["train", "--hid", "5"], "unknown option"),
                 (["train", "--bogus=1"], "--bogus"), (["train", "extra"], "'extra'"), (["train", ""], "''"), (["train", "--"], "--"), (["train", "-"], "'-'"),
                 (["train", "-z"], "-z"), (["train", "--rho"], "--rho: no value"), (["train", "--rho", "--nu", "1"], "--rho: no value"),
                 (["train", "--out", "--overwrite"], "--out: no value"), (["train", "--hops", "0"], "from 1 to 64"), (["train", "--hops", "65"], "'65'"),
                 (["train", "--hops", "two"], "whole number"), (["train", "--hops", "1e3"], "--hops"), (["train", "--layers", "1"], "--layers"),
                 (["train", "--hidden", "99999999999999999999"], "--hidden"), (["train", "--rho", "x"], "--rho: 'x'"), (["train", "--rho", "0"], "--rho"),
                 (["train", "--rho", "nan"], "--rho"), (["train", "--rho", "inf"], "--rho"), (["train", "--rho", "1e999"], "--rho"), (["train", "--rho", ""], "--rho"),
                 (["train", "--stall", "nan"], "--stall"), (["train", "--init-std", "inf"], "--init-std"), (["train", "--rho-factor", "nan"], "--rho-factor"),
                 (["train", "--step", "big"], "one of exact, backtracking"), (["train", "--norm", "SYM"], "one of sym, row, none"), (["train", "--bits", "3"], "2, 4, 8, 16"),
                 (["train", "--epochs", "1.5"], "whole"), (["train", "--epochs", "0"], "--epochs"), (["train", "--epochs", "5,5"], "2 values"),
                 (["train", "--grow", "2,5", "--rho", "1,2"], "3"), (["train", "--grow", "5,2"], "increasing"), (["train", "--z-init", "warm"], "--z-init"),
                 (["train", "--quantize", "p", "--codec", "grid", "--levels", "1:0:5"], "--levels"), (["train", "--quantize", "p", "--codec", "grid", "--levels", "1"], "--levels"),
                 (["train", "--seeds", "0"], "--seeds"), (["train", "--seeds", "1,1"], "twice"), (["train", "--seeds", "1.5"], "--seeds"), (["train", "--seeds", ","], "--seeds"),
                 (["train", "--seed", "1,2"], "--seed:"), (["train", "--seed", "-1"], "--seed:"), (["train", "--seed", "1", "--seeds", "2"], "one of them"),
                 (["train", "--quiet=perhaps"], "true or false"), (["train", "--overwrite"], "--out"), (["train", "--resume", "x", "--out", "y"], "--resume"),
                 (["train", "--resume", "x", "--config", "y"], "--config"), (["train", "--resume", "x", "--preset", "fast"], "--preset"), (["train", "--resume", "x", "--overwrite"], "--overwrite"),
                 (["train", "--resume", "x" * 5000], "no run"), (["train", "--resume", "."], "no run"), (["train", "--resume", ""], "--resume"), (["train", "--preset", "slow"], "--preset: 'slow'"), (["train", "--split-seed", "-1"], "--split-seed"),
                 (["train", "--dataset", "sbm:nodes=3"], "nodes=3"), (["train", "--dataset", "sbm:colour=3"], "colour"), (["train", "--dataset", "corra"], "corra"),
                 (["train", "--dataset", "sbm", "--split", "random:9"], "split"), (["train", "--dataset", "sbm", "--split", "random:20/9999/9999"], "split"),
                 (["train", "--backend", "tpu"], "auto, cpu, cuda"), (["evaluate"], "missing"), (["evaluate", "--dataset", "sbm"], "--model: missing"),
                 (["predict", "--model", "m", "--dataset", "sbm", "--out", "x.txt"], ".csv or .npy"), (["predict", "--nodes", "some"], "all, train, val, test"),
                 (["augment", "--dataset", "sbm", "--out", "x.csv"], ".npy"), (["info", "--layers", "3"], "--layers"), (["augment", "--hops", "\x1b[31m"], "\\x1b"),
                 (["\x1b]0;title\x07"], "\\x1b"), (["train", "--\x1b[2J"], "\\x1b")]
        for arguments, words in table:
            with self.subTest(arguments=[a[:60] for a in arguments]):
                self.refused(2, words, *arguments)
        self.assertEqual(os.listdir(self.folder), [])

    def test_forms(self):
        first = self.train("--weight-decay", "0.02", "--json").stdout
        for same in (["--weight_decay=0.02"], ["--weight_decay", "0.02"], ["--weight-decay", "5", "--weight-decay=0.02"]):
            again = json.loads(self.train(*same, "--json").stdout)
            for run in again["runs"] + json.loads(first)["runs"]:
                run.pop("seconds")
            self.assertEqual(again["last"], json.loads(first)["last"])
        self.train("-L", "4", "-K2", "-d", GRAPH, "--quiet=false")


class Training(Case):
    def test_streams_and_folder(self):
        done = self.ok("train", *DATA, *NET, "--out", "deep/er/r", "--checkpoint-every", "5")
        self.assertNotRegex(done.stdout + done.stderr, r"[\r\x1b]")
        self.assertEqual(len([line for line in done.stderr.splitlines() if re.match(r"epoch +\d+/12  objective", line)]), 3)
        self.assertIn("best validation accuracy", done.stdout)
        self.assertNotIn("epoch   ", done.stdout.replace("epoch   objective", ""))
        r = self.folder / "deep/er/r"
        self.assertEqual(sorted(os.listdir(r)), ["checkpoints", "config.json", "config.toml", "lock", "metrics.jsonl", "model-best.safetensors",
                                                 "model-final.safetensors", "status.json", "summary.json"])
        self.assertEqual(sorted(os.listdir(r / "checkpoints")), ["00000010", "00000012"])
        rows = self.rows(r)
        self.assertEqual([row["epoch"] for row in rows], list(range(1, 13)))
        always = {"epoch", "stage", "layers", "objective", "risk", "primal_residual", "linear_residual", "rho", "nu", "seconds", "bytes"}
        at_times = {f"{part}_{figure}" for part in ("train", "val", "test") for figure in ("accuracy", "cost")}
        for row in rows:
            self.assertEqual(set(row), always | (at_times if row["epoch"] % 4 == 0 else set()))
            self.assertTrue(all(math.isfinite(v) for v in row.values()))
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

    def test_several_seeds(self):
        shown = json.loads(self.train("--seeds", "5,0,7", "--out", "r", "--json").stdout)
        self.assertEqual(sorted(os.listdir(self.folder / "r")), ["config.toml", "lock", "seed-0", "seed-5", "seed-7", "status.json", "summary.json"])
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
        self.assertEqual(sorted(os.listdir(self.folder / "r")), ["config.toml", "lock", "notes.txt", "seed-0", "seed-1", "seed-5", "status.json", "summary.json"])
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
            busy = subprocess.Popen([PROGRAM, "train", *DATA, "--hidden", "8", "--epochs", "1000000", "--out", "busy", "-q", *more], cwd=self.folder, env=self.env)
            lock = self.folder / ("busy/seed-0/lock" if more else "busy/lock")
            try:
                self.wait_for(lambda: lock.exists())
                for second in (["--out", "busy", "--overwrite"], ["--resume", "busy"]):
                    self.refused(5 if second[0] == "--out" or (self.folder / "busy/config.toml").exists() else 2, "busy", "train", *([] if "--resume" in second else DATA), *second)
            finally:
                busy.kill()
                busy.wait()
            shutil.rmtree(self.folder / "busy")

    def wait_for(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, "nothing happened")
            time.sleep(0.005)

    def test_divergence_is_named(self):
        done = self.run_it("train", *DATA, *NET, "--rho", "1e30", "--nu", "1e30", "--weight-decay", "1e30", "--out", "r")
        if done.returncode != 0:
            self.assertEqual(done.returncode, 79, done.stderr)
        bundle(self.folder / "huge.npz", features=npy_bytes("<f4", [1e14 * (i % 7 + 1) for i in range(18)], (6, 3)))
        done = self.run_it("train", "--dataset", "./huge.npz", "--hops", "2", "--preset", "none", "--layers", "12", "--hidden", "8", "--nu", "1e25", "--rho", "1e-25", "--out", "h")
        self.assertEqual(done.returncode, 79, done.stderr)
        self.assertRegex(done.stderr.splitlines()[-1], r"^pdadmm: error: iteration \d+: .* is not finite")
        self.assertEqual(json.loads((self.folder / "h/status.json").read_text())["exit"], 79)
        self.assertFalse((self.folder / "h/model-final.safetensors").exists())


class Terminal(Case):
    def on_terminal(self, *arguments, columns=100, **env):
        main, side = pty.openpty()
        import fcntl, termios
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        process = subprocess.Popen([PROGRAM, *arguments], cwd=self.folder, env={**self.env, **env}, stdout=subprocess.PIPE, stderr=side)
        os.close(side)
        seen = b""
        while select.select([main], [], [], 30)[0]:
            try:
                part = os.read(main, 65536)
            except OSError:
                break
            if not part:
                break
            seen += part
        os.close(main)
        out = process.communicate(timeout=30)[0]
        self.assertEqual(process.returncode, 0, seen)
        return seen.decode(), out.decode()

    def test_one_live_line(self):
        run = ["train", *DATA, *NET, "--epochs", "60", "--seeds", "2"]
        seen, out = self.on_terminal(*run, TERM="xterm")
        self.assertIn("\r\x1b[36mrun 1/2", seen)
        self.assertNotRegex(out, r"[\r\x1b]")
        drawn = re.findall(r"\r(?:\x1b\[36m)?([^\r\n\x1b]*)", seen)
        self.assertTrue(drawn and all(len(line) < 100 for line in drawn))
        self.assertTrue(seen.endswith("\x1b[K"))
        self.assertNotIn("\x1b[36m", self.on_terminal(*run, TERM="xterm", NO_COLOR="1")[0])
        self.assertIn("\r", self.on_terminal(*run, TERM="xterm", NO_COLOR="1")[0].replace("\r\n", "\n"))
        for plain in ({"TERM": "dumb"}, {}):
            text = self.on_terminal(*run, **plain)[0].replace("\r\n", "\n")
            self.assertNotRegex(text, r"[\r\x1b]")
        for columns in (1, 8, 20, 41, 79):
            seen, _ = self.on_terminal(*run, columns=columns, TERM="xterm", NO_COLOR="")
            for line in re.findall(r"\r(?:\x1b\[36m)?([^\r\n\x1b]*)", seen):
                self.assertLess(len(line), max(columns, 2))
        self.assertEqual(self.on_terminal(*run, "-q", TERM="xterm")[0], "")


class Configuration(Case):
    def conf(self, text):
        path = self.folder / "c.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def resolved(self, *arguments):
        self.ok("train", "-q", *arguments, "--out", "r", "--overwrite")
        return json.loads((self.folder / "r/config.json").read_text())

    def test_what_is_read(self):
        config = self.conf(f'# a comment\r\ndataset = "{GRAPH}" # "another"\nsplit = \'random:20/60/100\'\nhops = 2\nlayers = 3\nhidden = 8\nepochs = [\n  4, # first\n'
                           '  5,\n]\ngrow = [2]\nrho = [1e-2, 2_0e-3]\nweight_decay = 0.5\nbinary-features = true\ndirected = false\nquiet = true\nthreads = 1')
        got = self.resolved("--config", config)
        for key, value in {"epochs": "4,5", "grow": "2", "rho": "1e-2,20e-3", "weight-decay": "0.5", "binary-features": "true", "directed": "false"}.items():
            self.assertEqual(got[key], value)
        self.assertEqual(self.resolved("--config", config, "--weight-decay", "0.25", "--directed")["directed"], "true")
        self.assertEqual(self.resolved("--config", config, "--weight-decay", "0.25")["weight-decay"], "0.25")
        small = ["--preset", "paper", *DATA, "--hidden", "8", "--layers", "3", "--epochs", "2", "--seed", "4"]
        self.assertEqual(self.resolved(*small)["step-floor"], "20")
        self.conf("step-floor = 7\nseed = 3\n")
        self.assertEqual(self.resolved("--config", config, *small)["step-floor"], "7")
        self.assertEqual(self.resolved("--config", config, *small, "--step-floor", "8")["step-floor"], "8")
        self.ok("train", "-q", "--config", config, *DATA, *NET, "--seeds", "2", "--out", "r", "--overwrite")
        self.assertTrue((self.folder / "r/seed-1").is_dir())

    def test_what_is_refused(self):
        for text, words in [("rho 0.01", "line 1"), ("\n\nrho = ", "line 3"), ("rho = 1 2", "end of the line"), ("colour = 3", "'colour'"), ("[train]\nrho = 1", "table"),
                            ("rho = 1\nrho = 2", "again"), ("weight-decay = 1\nweight_decay = 2", "again"), ("step = exact", "'exact'"), ('step = "exact', "closing"),
                            ("rho = [1, 2", "]"), ("rho = [1 2]", "comma"), ('step = "\\q"', "escape"), ('step = """x"""', "several lines"), ("hops = 99", "--hops"),
                            ('config = "x"', "'config'"), ('resume = "x"', "'resume'"), ("help = true", "'help'"), (b"\xff\xfe\x00", "line 1"), (b"step = \"a\\u0000b\"", "zero byte"),
                            ("seed = 1\nseeds = 2", "one of them"), ("\x1b[31m = 1", "\\x1b"), ("rho = " + "[" * 60000, "rho" if False else "line 1"), ("x" * 70000, "at most"), ("", "empty"),
                            ("rho = nan", "line 1"), ("quiet = \"perhaps\"", "--quiet")]:
            with self.subTest(text=text[:30]):
                self.refused(2, words, "train", "--config", self.conf(text))
        self.refused(2, "nowhere.toml", "train", "--config", "nowhere.toml")
        self.refused(2, "directory", "train", "--config", ".")
        os.mkfifo(self.folder / "pipe")
        self.refused(2, "pipe", "train", "--config", "pipe", timeout=10)

    def test_config_of_a_run_repeats_it(self):
        odd = self.folder / 'od"d \\ #1\x01.npz'
        bundle(odd)
        first = ["train", "-q", "--dataset", odd, *GROWING]
        self.ok(*first, "--seed", "6", "--out", "a")
        self.ok("train", "-q", "--config", "a/config.toml", "--out", "b")
        self.assert_same_run("a", "b")
        self.assertEqual((self.folder / "a/config.toml").read_bytes(), (self.folder / "b/config.toml").read_bytes())
        self.ok(*first, "--seeds", "2", "--out", "c")
        self.ok("train", "-q", "--config", "c/config.toml", "--out", "d")
        for seed in (0, 1):
            self.assert_same_run(f"c/seed-{seed}", f"d/seed-{seed}")


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
            self.assertEqual(len(text.splitlines()), 3)
        text = self.ok("evaluate", "--model", self.model, "--dataset", GRAPH, "--split", "random:5/10/20").stdout
        self.assertIn("of 15 nodes", text)

    def test_predictions_are_recomputed(self):
        """The forward pass in double precision from the model file and the augmented features (M10)."""
        self.ok("augment", *DATA, "--feature-norm", "l2", "--out", "x.npy")
        (count, inputs), x = npy(self.folder / "x.npy")
        self.assertEqual((count, inputs), (220, 32))
        tensors, _ = safetensors(self.folder / self.model)
        order = [int(row[0]) for part in ("train", "val", "test") for row in self.predicted("--nodes", part)[1:]]
        table = {int(row[0]): row for row in self.predicted("--nodes", "all", "--probabilities")[1:]}
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
        other = GRAPH.replace("seed=1", "seed=2").replace("nodes=300", "nodes=77")
        text = self.ok("predict", "-m", self.model, "-d", other).stdout
        self.assertEqual(len(text.splitlines()), 78)
        self.refused(5, "nowhere", "predict", "-m", self.model, "-d", GRAPH, "--out", "nowhere/p.csv")

    def test_models_that_do_not_fit(self):
        self.refused(3, ["8 features", "32 inputs"], "evaluate", "-m", self.model, "-d", GRAPH.replace("features=16", "features=8"))
        self.refused(3, "classes", "evaluate", "-m", self.model, "-d", GRAPH.replace("classes=3", "classes=4"))
        whole = (self.folder / self.model).read_bytes()
        for name, raw in {"cut": whole[:-5], "empty": b"", "long": whole + b"x", "junk": os.urandom(500), "header": struct.pack("<Q", 2**60) + whole[8:],
                          "nan": whole[:-4] + b"\0\0\xc0\x7f", "hops": whole.replace(b'"hops":"2"', b'"hops":"x"'), "other": whole.replace(b"layers.1.weight", b"layers.9.weight")}.items():
            (self.folder / f"{name}.st").write_bytes(raw)
            self.refused(3, f"{name}.st", "evaluate", "-m", f"{name}.st", "-d", GRAPH)
        self.refused(3, "gone", "predict", "-m", "gone", "-d", GRAPH)
        self.refused(3, "directory", "predict", "-m", "r", "-d", GRAPH)


class Cache(Case):
    def test_cache(self):
        run = ["augment", *DATA, "--cache", "c"]
        first = self.ok(*run, "--out", "a.npy")
        self.assertIn("kept in", first.stderr)
        (file,) = (self.folder / "c").iterdir()
        whole = file.read_bytes()
        self.assertIn("read from", self.ok(*run, "--out", "b.npy").stderr)
        self.assertIn("read from", self.ok("train", *DATA, *NET, "--cache", "c").stderr)
        for damage in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:100], b"", os.urandom(len(whole))):
            file.write_bytes(damage)
            self.assertIn("cache not used", self.ok(*run, "--out", "c.npy").stderr)
            self.assertEqual(file.read_bytes(), whole)
        for name in "bc":
            self.assertEqual((self.folder / "a.npy").read_bytes(), (self.folder / f"{name}.npy").read_bytes())
        self.assertIn("kept in", self.ok("augment", *DATA, "--norm", "row", "--cache", "c").stderr)
        self.assertEqual(len(os.listdir(self.folder / "c")), 2)
        (self.folder / "full").write_text("a file")
        self.assertIn("not kept", self.ok("augment", *DATA, "--cache", "full/c").stderr)
        self.assertNotIn("kept", self.ok("augment", *DATA, "--no-cache").stderr)
        self.assertFalse((self.folder / "cache").exists())


class Resuming(Case):
    """Resumed runs equal the uninterrupted one, whatever interrupted them and wherever (M5)."""
    LONG = ["--epochs", "900,600,3000"]

    def start(self, *arguments):
        return subprocess.Popen([PROGRAM, "train", *map(str, arguments)], cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def stop_somewhere(self, run, number, *arguments, seconds):
        process = self.start(*arguments)
        time.sleep(RANDOM.uniform(0.005, seconds))
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
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
        for number in [signal.SIGKILL] * 10 + [signal.SIGINT, signal.SIGTERM] * 5:
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
        end = time.monotonic() + 20
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
        for option, value, words in [("--hidden", "9", "hidden=8, this run 9"), ("--rho", "0.5", "rho="), ("--eval-every", "3", "eval-every=4"), ("--bits", "4", "bits=8"),
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
        table = {"labels": dict(labels=i8([0, 1, 0, 1, 0, 9999999])), "labels ": dict(labels=i8([0, 1])), "labels  ": dict(labels=None), "adj_indptr": dict(adj_indptr=i8([0, 4, 2, 6, 8, 10, 12])),
                 "adj_indices": dict(adj_indices=npy_bytes("<i4", [99] * 12)), "adj_indices ": dict(adj_indices=npy_bytes("<i4", [-1] * 12)), "adj_shape": dict(adj_shape=i8([6, 2**62])),
                 "features": dict(features=npy_bytes("<f4", [math.nan] * 18, (6, 3))), "features ": dict(features=npy_bytes("<f4", [math.inf] * 18, (6, 3))),
                 "features  ": dict(features=npy_bytes("<f4", [1.0] * 4, (2**40, 3))), "train_idx": dict(train_idx=i8([0, 77])), "train_idx ": dict(train_idx=i8([0, 2])),
                 "features   ": dict(features=b"\x93NUMPY\x01\x00\xff\xff junk"), "labels   ": dict(labels=b"")}
        for member, change in table.items():
            with self.subTest(member=member):
                bundle(self.folder / "bad.npz", **change)
                self.fast_refusal(["bad.npz", member.strip().split("_")[0]])
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
        self.assertLess(time.monotonic() - began, 20)

    def test_things_that_are_no_bundle(self):
        os.mkfifo(self.folder / "pipe.npz")
        (self.folder / "dir.npz").mkdir()
        for name, words in (("./pipe.npz", "pipe"), ("./dir.npz", "directory"), ("/dev/zero.npz", "No such"), ("./gone.npz", "No such"), ("./\x1b[31mred.npz", "\\x1b[31mred")):
            self.refused(3, words, "train", "--dataset", name, timeout=20)
            self.refused(3, words, "info", "--dataset", name, timeout=20)
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
        head = subprocess.run(["bash", "-c", f'set -o pipefail; "{PROGRAM}" predict {" ".join(model)} | head -1'], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=30)
        self.assertEqual((head.returncode, head.stdout, head.stderr), (0, "node,class\n", ""))

    def test_memory(self):
        for more in (["--hidden", "1000000", "--layers", "1000"], ["--hidden", "60000", "--layers", "100"], ["--hidden", "1000000", "--layers", "100000"],
                     ["--hidden", "50000", "--layers", "50", "--grow", "2,3"]):
            self.refused(4, ["GiB free", "expected", "GiB"], "train", "--dataset", GRAPH, "--split", "random:20/60/100", *more, timeout=20)
        if SANITIZED:
            return
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
        self.refused(4, ["GiB free", "GiB"], "train", *DATA, "--hidden", "1500", "--layers", "40", preexec_fn=limit)
        self.ok("train", *DATA, *NET, preexec_fn=limit)
        self.refused(4, ["GiB free", "GiB"], "train", "--dataset", "sbm:nodes=20000,features=500", "--hops", "20", preexec_fn=limit)

    @unittest.skipIf(os.path.exists("/dev/nvidiactl"), "there is a device")
    def test_no_device(self):
        for command in (["train", *DATA, *NET], ["augment", *DATA]):
            self.refused(4, "CUDA", *command, "--backend", "cuda")


if __name__ == "__main__":
    unittest.main(verbosity=1)
