"""The bundle that the program reads (data/README.md describes it; the C++ program checks all of it again): its arrays
from a Graph, what is in it in words, and its file.
"""
import hashlib
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from graph_formats import Fail, one_line

STEERS_A_TERMINAL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]")  # as host/console/printable.cpp has it

def named(values):
    """Names as an array that needs no pickle: int64 (n), or texts as UTF-8, a row each, padded with zeros: uint8 (n, bytes)."""
    if all(isinstance(value, (int, np.integer)) for value in values):
        return np.array(values, np.int64)
    bad = next((value for value in values if STEERS_A_TERMINAL.search(str(value))), None)
    if bad is not None:
        raise Fail(f"name {str(bad)!r}: a character that steers a terminal, expected names that can be shown")
    encoded = np.array([str(value).encode() for value in values])
    return encoded.view(np.uint8).reshape(len(encoded), -1)


def names_of(array):
    """The names in such an array."""
    return array.tolist() if array.ndim == 1 else [bytes(row).rstrip(b"\0").decode() for row in array]


def bundle_arrays(graph):
    """The arrays of a bundle. Raises Fail where the parts do not make a graph (the program checks the rest)."""
    nodes = len(graph.indptr) - 1
    if len(graph.y) != nodes or graph.x.shape[0] != nodes or graph.x.shape[1] < 1:
        raise Fail(f"{nodes} nodes, {len(graph.y)} labels, features {graph.x.shape}, expected one row a node")
    if graph.y.min() < -1 or graph.y.max() < 0:
        raise Fail("labels below -1, or none at all")
    if graph.y.ndim == 2 and (graph.y.max() > 1 or graph.y.shape[1] != graph.classes or (graph.y[graph.unlabelled()] >= 0).any()):
        raise Fail(f"labels {graph.y.shape}, expected 0 and 1 for each of {graph.classes} labels, or -1 in a whole row")
    values = graph.x.data if sp.issparse(graph.x) else graph.x
    if not np.isfinite(values).all():
        raise Fail("a feature is not finite")
    arrays = {"pdadmm_bundle": np.array([1], np.int32), "adj_indptr": graph.indptr.astype(np.int64), "adj_indices": graph.indices.astype(np.int32),
              "adj_shape": np.array([nodes, nodes], np.int64), "labels": graph.y.astype(np.int32 if graph.y.ndim == 1 else np.int8), "classes": np.array([graph.classes], np.int64)}
    if graph.weights is not None:
        arrays["adj_data"] = np.asarray(graph.weights, np.float32)
    if sp.issparse(graph.x):
        arrays.update(attr_indptr=graph.x.indptr.astype(np.int64), attr_indices=graph.x.indices.astype(np.int32), attr_data=graph.x.data.astype(np.float32),
                      attr_shape=np.array(graph.x.shape, np.int64))
    else:
        arrays["features"] = np.ascontiguousarray(graph.x, dtype=np.float32)
    for name, values in (("node_ids", graph.ids), ("class_names", graph.class_names)):
        if values is not None:
            arrays[name] = named(values)
    arrays.update(several_splits(graph, nodes) if any(np.ndim(ids) == 2 for ids in graph.splits.values()) else one_split(graph, nodes))
    return arrays


def one_split(graph, nodes):
    arrays, used = {}, np.zeros(nodes, bool)
    for name, ids in graph.splits.items():
        ids = np.asarray(ids, np.int64)
        if len(ids) and (ids.min() < 0 or ids.max() >= nodes or len(np.unique(ids)) != len(ids) or used[ids].any() or graph.unlabelled()[ids].any()):
            raise Fail(f"{name} nodes: out of range, twice, in two parts, or unlabelled")
        used[ids] = True
        arrays[f"{name}_idx"] = ids.astype(np.int32)
    return arrays


def several_splits(graph, nodes):
    together = sum(mask.astype(np.int8) for mask in graph.splits.values())
    if together.shape[1] != nodes or together.max() > 1 or (together[:, graph.unlabelled()] > 0).any() or not graph.splits["train"].any(1).all():
        raise Fail("masks of splits: of another length, overlapping, on unlabelled nodes, or without a node to train on")
    return {f"{name}_masks": np.ascontiguousarray(mask) for name, mask in graph.splits.items()}


def counts_of(graph):
    """Loops, duplicates (entries beyond the first of an ordered pair) and isolated nodes (no neighbour but themselves)."""
    nodes = len(graph.indptr) - 1
    source = np.repeat(np.arange(nodes), np.diff(graph.indptr))
    pairs = np.unique(source * nodes + graph.indices)
    loops = pairs // nodes == pairs % nodes
    linked = np.zeros(nodes, bool)
    for ends in (pairs // nodes, pairs % nodes):
        linked[ends[~loops]] = True
    return {"loops": int(loops.sum()), "duplicates": len(source) - len(pairs), "isolated": int((~linked).sum())}


def description(graph):
    """What is in a graph, in one line."""
    kind = "sparse" if sp.issparse(graph.x) else "dense"
    parts = [np.asarray(graph.splits[part]) for part in ("train", "val", "test") if part in graph.splits]
    split = "/".join(str(len(part) if part.ndim == 1 else int(part[0].sum())) for part in parts) or "none"
    split += f" (the first of {len(parts[0])})" if parts and parts[0].ndim == 2 else ""
    counts = counts_of(graph)
    return (f"{len(graph.y)} nodes ({int(np.count_nonzero(graph.unlabelled()))} unlabelled, {counts['isolated']} isolated), "
            f"{len(graph.indices)} stored edges{'' if graph.weights is None else ' with weights'} ({counts['loops']} loops, {counts['duplicates']} duplicates), "
            f"{graph.x.shape[1]} {kind} features, {graph.classes} {'classes' if graph.y.ndim == 1 else 'labels (several a node)'}, split {split}")


def write_bundle(arrays, path):
    """Writes atomically: the old file or the new one, never half of one. Returns its SHA-256."""
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w+b") as file:
            np.savez_compressed(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
            file.seek(0)
            digest = hashlib.sha256()
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        os.replace(temporary, path)
        return digest.hexdigest()
    except OSError as error:
        raise Fail(f"{path}: cannot be written: {error.strerror or one_line(error)}", code=5) from None
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
