"""What the tests of the program share: running it, its refusals, readers of its files, small graphs."""
import array
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from seed import test_seed

PROGRAM = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else "build/cpu/host/pdadmm"
SANITIZED = os.environ.get("PDADMM_SANITIZED") == "1"
COMMANDS = ["train", "tune", "plan", "evaluate", "predict", "report", "runs", "augment", "info"]
GRAPH = "sbm:nodes=300,classes=3,features=16,degree=6,seed=1"
DATA = ["--dataset", GRAPH, "--split", "random:20/60/100", "--hops", "2", "--threads", "1"]
NET = ["--preset", "none", "--layers", "3", "--hidden", "8", "--epochs", "12", "--eval-every", "4"]
GROWING = ["--preset", "none", "--layers", "5", "--grow", "2,3", "--hidden", "8", "--epochs", "9,7,20", "--eval-every", "3", "--quantize", "pq", "--bits", "4",
           "--rho-schedule", "risk"]
SEED = test_seed()
RANDOM = random.Random(SEED)
BLAS = {}  # what programs have remembered about BLAS libraries: name of a file -> its content
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
    return header["shape"], array.array({"<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q"}[header["descr"]], raw[10 + length:]).tolist()


def npy_bytes(code, values, shape=None):
    header = repr({"descr": code, "fortran_order": False, "shape": (len(values),) if shape is None else shape})
    header = header + " " * (-(len(header) + 11) % 64) + "\n"
    kind = {"<f4": "f", "<i8": "q", "<i4": "i", "|u1": "B", "|b1": "B"}[code]
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


def texts_npy(*texts):
    """Texts as a bundle holds them: UTF-8 in rows of uint8, padded with zeros."""
    rows = [text.encode() for text in texts]
    width = max(map(len, rows))
    return npy_bytes("|u1", b"".join(row.ljust(width, b"\0") for row in rows), (len(rows), width))


def written(folder):
    """What lies in a test's folder, but for the choice of BLAS kernels that every program remembers."""
    blas = Path(folder) / "cache/pdadmm/blas"
    shutil.rmtree(blas, ignore_errors=True)
    for empty in (blas.parent, blas.parent.parent):
        if empty.is_dir() and not os.listdir(empty):
            empty.rmdir()
    return os.listdir(folder)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="pdadmm-cli-", dir=SCRATCH)))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        keep = {k: v for k, v in os.environ.items() if k not in ("PDADMM_DATA", "NO_COLOR", "TERM")}
        self.env = {**keep, "XDG_CACHE_HOME": str(self.folder / "cache"), "HOME": str(self.folder)}
        self.blas = self.folder / "cache/pdadmm/blas"
        if BLAS:  # kernels are tried once, not again in every test
            self.blas.mkdir(parents=True)
        for name, content in BLAS.items():
            (self.blas / name).write_bytes(content)
        self.addCleanup(self.remember_blas)  # before the folder is removed

    def remember_blas(self):
        if self.blas.is_dir():
            BLAS.update((file.name, file.read_bytes()) for file in self.blas.iterdir() if not file.name.startswith("."))

    def run_it(self, *arguments, timeout=300, **more):  # s, reached only where it hangs
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

    @staticmethod
    def untimed(row, *without):
        """Without times, which differ, and other figures."""
        return {k: v for k, v in row.items() if k not in ("seconds", "setup_seconds", *without)}

    def assert_same_run(self, first, second):
        """Models bit for bit; summaries and metrics but for seconds."""
        a, b = self.folder / first, self.folder / second
        for name in ("model-final.safetensors", "model-best.safetensors"):
            self.assertEqual((a / name).read_bytes(), (b / name).read_bytes(), f"{name} of {first} and {second}")
        for one, other in ((self.rows(first), self.rows(second)), ([self.summary(first)], [self.summary(second)])):
            self.assertEqual([self.untimed(row) for row in one], [self.untimed(row) for row in other])
        self.assertEqual(json.loads((b / "status.json").read_text())["end"], "done")
