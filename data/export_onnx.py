#!/usr/bin/env python3
"""Writes a trained model as an ONNX graph: the network over augmented features, x (nodes, inputs) to logits (nodes,
classes), and of a model of several labels a node to their probabilities too, the sigmoid of the logits. The graph's augmentation is no part of it: `pdadmm augment --out X.npy` makes x, by the options that stand in
the file's metadata.

    export_onnx.py MODEL OUT.onnx      MODEL: a run's folder (its best model), or a model's .safetensors file

Needs numpy and onnx (Debian: python3-onnx). Exit codes: 0 done, 2 wrong use, 3 no model of pdadmm train, 4 a package is
missing, 5 the file cannot be written.
"""
import argparse
import json
import os
import struct
import sys

OPSET, IR_VERSION = 13, 8  # Gemm and Relu as all runtimes since 2020 have them
MOST_HEADER = 1 << 26
DTYPES = {"F32": "<f4", "F64": "<f8"}


class Refusal(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def packages():
    try:
        import numpy
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise Refusal(4, f"{error.name}: missing, expected it; install it with: apt-get install python3-onnx python3-numpy") from None
    return numpy, onnx


def find_model(path):
    if not os.path.isdir(path):
        return path
    for name in ("model-best.safetensors", "model-final.safetensors"):
        if os.path.exists(os.path.join(path, name)):
            return os.path.join(path, name)
    raise Refusal(3, f"{path}: no model-best.safetensors in it, expected a model or the folder of one seed's run")


def read_safetensors(np, path):
    """Tensors by name, and the metadata."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
        (length,) = struct.unpack("<Q", raw[:8])
        if length > min(MOST_HEADER, len(raw) - 8):
            raise ValueError("its header is longer than the file")
        header = json.loads(raw[8:8 + length])
        notes = header.pop("__metadata__", {})
        tensors = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            tensors[name] = np.frombuffer(raw[8 + length + begin:8 + length + end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    except OSError as error:
        raise Refusal(3, f"{path}: {error.strerror}, expected a model's .safetensors file") from None
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refusal(3, f"{path}: {error}, expected a model's .safetensors file") from None
    if notes.get("format") != "pdadmm model 1":
        raise Refusal(3, f"{path}: no format 'pdadmm model 1' in its metadata, expected a model by pdadmm train")
    return tensors, notes


def graph_of(np, onnx, tensors, notes):
    """Gemm, Relu, Gemm, ..., Gemm; of several labels a node Sigmoid behind it."""
    depth = len(tensors) // 2
    nodes, weights, at = [], [], "x"
    for k in range(depth):
        names = [f"layers.{k}.weight", f"layers.{k}.bias"]
        weights += [onnx.numpy_helper.from_array(np.ascontiguousarray(tensors[name], np.float32), name) for name in names]
        out = "logits" if k == depth - 1 else f"z{k + 1}"
        nodes.append(onnx.helper.make_node("Gemm", [at, *names], [out], transB=1))
        if k < depth - 1:
            nodes.append(onnx.helper.make_node("Relu", [out], [f"p{k + 2}"]))
            at = f"p{k + 2}"
    outputs = ["logits"]
    if notes.get("task") == "several labels a node":
        nodes.append(onnx.helper.make_node("Sigmoid", ["logits"], ["probabilities"]))
        outputs.append("probabilities")
    inputs, classes = tensors["layers.0.weight"].shape[1], tensors[f"layers.{depth - 1}.weight"].shape[0]
    value = lambda name, columns: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["nodes", columns])
    graph = onnx.helper.make_graph(nodes, "ga_mlp", [value("x", inputs)], [value(name, classes) for name in outputs], weights)
    model = onnx.helper.make_model(graph, producer_name="pdadmm", ir_version=IR_VERSION,
                                   opset_imports=[onnx.helper.make_opsetid("", OPSET)])
    model.doc_string = "A GA-MLP over augmented features: x is a row of what pdadmm augment writes, logits are of the classes."
    onnx.helper.set_model_props(model, {key: str(text) for key, text in sorted(notes.items())})
    onnx.checker.check_model(model)
    return model


def write(path, content):
    temporary = f"{path}.tmp-{os.getpid()}"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise Refusal(5, f"{path}: cannot be written: {error.strerror}") from None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out")
    options = parser.parse_args()
    try:
        np, onnx = packages()
        tensors, notes = read_safetensors(np, find_model(options.model))
        write(options.out, graph_of(np, onnx, tensors, notes).SerializeToString())
    except Refusal as refusal:
        print(f"export_onnx.py: error: {refusal}", file=sys.stderr)
        return refusal.code
    print(f"{options.out}: x (nodes, {tensors['layers.0.weight'].shape[1]}) to logits; x is what pdadmm augment writes, the graph is no part of it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
