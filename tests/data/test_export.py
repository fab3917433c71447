"""Models outside the program: data/export_onnx.py, and the PyTorch lines of host/run/README.md. Both must give the
logits of `pdadmm predict`. Run by ctest: test_export.py PDADMM"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import types
import unittest
from pathlib import Path

try:
    import numpy as np
    import onnx
    import onnx.numpy_helper
except ImportError as missing:
    print(f"skipped: No module named {missing.name}")
    sys.exit(77)

PROGRAM = os.path.abspath(sys.argv.pop(1))
ROOT = Path(__file__).resolve().parents[2]
EXPORT = ROOT / "data/export_onnx.py"
GRAPH = ["--dataset", "sbm:nodes=200,classes=3,features=16,seed=1"]
MADE = ["--split", "random:20/40/60", "--hops", "3", "--feature-norm", "l2"]


class Export(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="pdadmm-export-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.env = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")}
        self.pdadmm("train", *GRAPH, *MADE, "--preset", "none", "--layers", "4", "--hidden", "10", "--epochs", "8", "--threads", "1", "-q", "--out", "r")
        self.pdadmm("augment", *GRAPH, *MADE, "--out", "x.npy", "--rows", "rows.npy")
        self.pdadmm("predict", "--model", "r", *GRAPH, "--layer", "4", "--out", "logits.npy")
        self.x = np.load(self.folder / "x.npy")
        self.logits = np.load(self.folder / "logits.npy")[np.load(self.folder / "rows.npy")[:, 0]]
        self.assertGreater(np.abs(self.logits).max(), 1e-3, "logits that say something")

    def pdadmm(self, *arguments):
        subprocess.run([PROGRAM, *arguments], cwd=self.folder, env=self.env, check=True, capture_output=True)

    def export(self, *arguments):
        return subprocess.run([sys.executable, EXPORT, *arguments], cwd=self.folder, capture_output=True, text=True)

    def near(self, found):
        self.assertEqual(found.shape, self.logits.shape)
        self.assertLessEqual(np.abs(found - self.logits).max(), 1e-5 * max(1, np.abs(self.logits).max()))

    def test_onnx(self):
        for model in ("r", "r/model-best.safetensors"):
            done = self.export(model, "net.onnx")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("x (nodes, 48) to logits", done.stdout)
        model = onnx.load(str(self.folder / "net.onnx"))
        onnx.checker.check_model(model)
        self.assertEqual([node.op_type for node in model.graph.node], ["Gemm", "Relu"] * 3 + ["Gemm"])
        notes = {entry.key: entry.value for entry in model.metadata_props}
        self.assertEqual((notes["hops"], notes["feature_norm"], notes["norm"]), ("3", "l2", "sym"))
        values = {w.name: onnx.numpy_helper.to_array(w) for w in model.graph.initializer}
        values[model.graph.input[0].name] = self.x
        for node in model.graph.node:
            given = [values[name] for name in node.input]
            options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Relu":
                values[node.output[0]] = np.maximum(given[0], 0)
            else:
                self.assertEqual(options, {"transB": 1})
                values[node.output[0]] = given[0] @ given[1].T + given[2]
        self.near(values[model.graph.output[0].name])

    def test_several_labels_a_node(self):
        """The probabilities are the sigmoid of the logits, as `pdadmm predict` has them."""
        x = np.float32(np.random.default_rng(3).normal(size=(60, 4)))
        np.savez(self.folder / "g.npz", x=x, y=(x[:, :3] + x[:, 1:] > 0).astype(int), edge_index=np.stack([np.arange(59), np.arange(1, 60)]))
        self.pdadmm("train", "--dataset", "g.npz", "--preset", "none", "--layers", "2", "--hidden", "6", "--hops", "1", "--epochs", "9", "--threads", "1", "-q", "--out", "m")
        self.pdadmm("predict", "--model", "m", "--dataset", "g.npz", "--probabilities", "--out", "p.npy")
        self.assertEqual(self.export("m", "net.onnx").returncode, 0)
        graph = onnx.load(str(self.folder / "net.onnx")).graph
        self.assertEqual([node.op_type for node in graph.node], ["Gemm", "Relu", "Gemm", "Sigmoid"])
        self.assertEqual([value.name for value in graph.output], ["logits", "probabilities"])
        values = [onnx.numpy_helper.to_array(w) for w in graph.initializer]
        logits = np.maximum(x @ values[0].T + values[1], 0) @ values[2].T + values[3]
        self.assertLessEqual(np.abs(1 / (1 + np.exp(-logits)) - np.load(self.folder / "p.npy")).max(), 1e-5)

    def test_refusals(self):
        (self.folder / "junk").write_bytes(os.urandom(300))
        (self.folder / "empty").mkdir()
        whole = (self.folder / "r/model-best.safetensors").read_bytes()
        (self.folder / "cut").write_bytes(whole[:-40])
        (self.folder / "other").write_bytes(whole.replace(b"pdadmm model 1", b"another kind 1"))
        for code, words, *arguments in ((3, "junk:", "junk", "o"), (3, "no model-best", "empty", "o"), (3, "gone:", "gone", "o"), (3, "cut:", "cut", "o"),
                                        (3, "pdadmm model 1", "other", "o"), (5, "cannot be written", "r", "no/where.onnx"), (2, "usage", "r")):
            done = self.export(*arguments)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(words, done.stderr)
            self.assertNotIn("Traceback", done.stderr)
        self.assertFalse((self.folder / "o").exists())

    def test_lines_of_the_page(self):
        """As they stand there, with the few things of torch that they use made of numpy."""
        page = (ROOT / "host/run/README.md").read_text()
        (lines,) = re.findall(r"```python\n(import torch\n.*?)```", page, re.S)

        class Linear:
            def __init__(self, inputs, outputs):
                self.state = {"weight": (outputs, inputs), "bias": (outputs,)}

            def load_state_dict(self, state):
                assert {name: value.shape for name, value in state.items()} == self.state
                self.weight, self.bias = state["weight"], state["bias"]

        def load_file(path):
            model = onnx.load(str(self.folder / "net.onnx"))
            self.assertRegex(path, r"^runs/cora/seed-0/model-best\.safetensors$")
            return {w.name: onnx.numpy_helper.to_array(w) for w in model.graph.initializer}

        self.export("r", "net.onnx")
        torch, safetensors = types.ModuleType("torch"), types.ModuleType("safetensors")
        torch.nn = types.SimpleNamespace(Linear=Linear)
        safetensors.torch = types.ModuleType("safetensors.torch")
        safetensors.torch.load_file = load_file
        stand_ins = {"torch": torch, "safetensors": safetensors, "safetensors.torch": safetensors.torch}
        before = {name: sys.modules.get(name) for name in stand_ins}
        sys.modules.update(stand_ins)
        try:
            names = {}
            exec(lines, names)
        finally:
            for name, module in before.items():
                if module is None:
                    del sys.modules[name]
                else:
                    sys.modules[name] = module
        a = self.x
        for k, layer in enumerate(names["layers"]):
            a = a @ layer.weight.T + layer.bias
            if k + 1 < len(names["layers"]):
                a = np.maximum(a, 0)
        self.near(a)


if __name__ == "__main__":
    unittest.main()
