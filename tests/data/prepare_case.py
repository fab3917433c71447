"""What the tests of data/prepare.py share: runs it in a folder of its own, and shows what the program sees in a bundle."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "data"))
sys.dont_write_bytecode = True
import conversions

PRINT_GRAPH = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else None


class Case(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name)
        self.addCleanup(self.scratch.cleanup)

    def prepare(self, *arguments, data=""):
        environment = {**os.environ, "PDADMM_DATA": str(data), "PYTHONDONTWRITEBYTECODE": "1"}
        words = [str(argument) for argument in arguments]
        words[bool(words) and words[0] in conversions.COMMANDS : 0] = ["--out", "out"]
        return subprocess.run([sys.executable, str(ROOT / "data/prepare.py"), *words], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=3000)

    def made(self, name, *arguments, data=""):
        """The arrays of the bundle that these arguments make."""
        done = self.prepare(*arguments, data=data)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(os.listdir(self.folder / "out"), [f"{name}.npz"])
        with np.load(self.folder / f"out/{name}.npz", allow_pickle=False) as npz:
            return dict(npz)

    def seen(self, name, folder=None):
        """What the program sees in that bundle, or in a folder of raw files."""
        if PRINT_GRAPH is None:
            self.skipTest("no print_graph given")
        done = subprocess.run([PRINT_GRAPH, str(folder or self.folder / f"out/{name}.npz")], capture_output=True, text=True, timeout=300)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def refused(self, code, words, *arguments, data="", kept=()):
        done = self.prepare(*arguments, data=data)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"^prepare\.py: error: [^\n]*\n$")
        self.assertIn(words, done.stderr)
        out = self.folder / "out"
        self.assertEqual(os.listdir(out) if out.is_dir() else [], list(kept), "something was written")
