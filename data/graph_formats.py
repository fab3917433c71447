"""Readers of the raw files in which node-classification graphs are published.

Every reader returns a Graph; nothing here opens a network connection, prints, or unpickles with Python's own machinery.
"""
import gzip
import io
import json
import pickle
import pickletools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.sparse as sp


class Fail(Exception):
    """Ends the program: one line for the user and the exit code (2 usage, 3 data, 5 output)."""

    def __init__(self, message, code=3):
        super().__init__(message)
        self.code = code


@dataclass
class Graph:
    """indptr, indices, weights (None: all ones), x (scipy CSR or dense, nodes x features), y (-1: unlabelled): a class a node, or of
    several labels a node 0 and 1 (nodes, labels), an unlabelled node's row being -1 throughout."""
    indptr: np.ndarray
    indices: np.ndarray
    x: object
    y: np.ndarray
    weights: object = None
    splits: dict = field(default_factory=dict)  # train, val, test: ids, or masks (splits, nodes) where there are several
    classes: int = 0
    ids: object = None  # the user's name of each node, integers or texts; None: 0 to nodes - 1
    class_names: object = None  # the user's name of each class, where it is not its number
    notes: list = field(default_factory=list)  # what was dropped or mended, for the user

    def unlabelled(self):
        """Of each node, whether it has no label."""
        return self.y < 0 if self.y.ndim == 1 else (self.y < 0).any(1)


def rows_of(source, target, nodes, weights=None):
    """Compressed rows of the edges source -> target in the order given, duplicates kept: indptr, indices, weights."""
    for ids in (source, target):
        if len(ids) and (ids.min() < 0 or ids.max() >= nodes):
            raise Fail(f"edge to node {int(ids.min()) if ids.min() < 0 else int(ids.max())}, expected 0 to {nodes - 1}")
    order = np.argsort(source, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=nodes))]).astype(np.int64)
    return indptr, target[order].astype(np.int32), None if weights is None else np.asarray(weights)[order]


# --- Planetoid: ind.NAME.{x,y,tx,ty,allx,ally,graph,test.index}, pickles of Python 2 ---------------------------------

class _Dtype:
    def __init__(self, code, *_):
        self.code = code if isinstance(code, str) else str(code)
        self.order = "<"

    def __setstate__(self, state):
        self.order = {"<": "<", ">": ">", "|": "|"}[state[1]]

    def numpy(self):
        if self.code not in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
            raise ValueError(f"array of type {self.code!r}")
        return np.dtype(self.order + self.code if self.order != "|" else self.code)


class _Array:
    """Stands in for numpy.ndarray while unpickling: keeps the bytes, runs nothing of numpy's."""
    value = None

    def __setstate__(self, state):
        _, shape, dtype, fortran, raw = state
        if not isinstance(dtype, _Dtype) or not isinstance(raw, str):
            raise ValueError("array of objects")
        flat = np.frombuffer(raw.encode("latin1"), dtype=dtype.numpy())
        self.value = flat.reshape(shape, order="F" if fortran else "C")


class _Csr:
    value = None

    def __setstate__(self, state):
        part = {name: state[name].value for name in ("indptr", "indices", "data")}
        self.value = checked_csr(part["indptr"], part["indices"], part["data"], tuple(int(n) for n in state["_shape"]))


class _Unpickler(pickle.Unpickler):
    """Knows the six globals that these files name, each as a harmless stand-in. Everything else is refused."""
    KNOWN = {
        ("scipy.sparse.csr", "csr_matrix"): _Csr,
        ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("collections", "defaultdict"): lambda *_: {},
        ("__builtin__", "list"): list,
    }

    def find_class(self, module, name):
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError(f"names {module}.{name}, expected arrays only; nothing of it was run")
        return self.KNOWN[module, name]

    def persistent_load(self, pid):
        raise pickle.UnpicklingError("holds a persistent reference, expected arrays only")


# All that Python 2 wrote of these objects. A memo index far beyond the file's size would make the unpickler allocate it.
_OPCODES = set("""APPEND APPENDS BINGET BININT BININT1 BININT2 BINPUT LONG_BINGET LONG_BINPUT BINSTRING SHORT_BINSTRING BUILD EMPTY_DICT
EMPTY_LIST EMPTY_TUPLE GLOBAL MARK NEWFALSE NEWTRUE NEWOBJ NONE PROTO REDUCE SETITEM SETITEMS STOP TUPLE TUPLE1 TUPLE2 TUPLE3""".split())


def check_opcodes(content):
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name not in _OPCODES:
            raise ValueError(f"pickle operation {opcode.name}, expected arrays only; nothing of it was run")
        if opcode.name == "LONG_BINPUT" and argument > len(content):
            raise ValueError(f"memo index {argument} in {len(content)} bytes")


def read_pickle(path):
    try:
        content = Path(path).read_bytes()
        check_opcodes(content)
        value = _Unpickler(io.BytesIO(content), encoding="latin1").load()
    except OSError as error:
        raise Fail(f"{path}: {error.strerror}") from None
    except MemoryError:
        raise Fail(f"{path}: asks for more memory than there is, expected a Planetoid file") from None
    except Exception as error:  # damaged pickles end in any exception
        raise Fail(f"{path}: {one_line(error)}") from None
    return value.value if isinstance(value, (_Array, _Csr)) else value


def one_line(error):
    return printable(" ".join(str(error).split()) or type(error).__name__)[:200]


def printable(text):
    return "".join(c if c.isprintable() else "?" for c in str(text))


def checked_csr(indptr, indices, data, shape):
    """A scipy matrix from parts that are untrusted: scipy itself reads out of bounds on wrong ones."""
    if len(shape) != 2 or min(shape) < 0 or any(a.ndim != 1 for a in (indptr, indices, data)):
        raise ValueError(f"sparse matrix of shape {shape}, expected two counts")
    if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu":
        raise ValueError("sparse matrix whose indices are no integers")
    if len(indptr) != shape[0] + 1 or indptr[0] != 0 or indptr[-1] != len(indices) or len(data) != len(indices):
        raise ValueError("sparse matrix whose parts do not fit together")
    if (np.diff(indptr.astype(np.int64)) < 0).any() or (len(indices) and (indices.min() < 0 or indices.max() >= shape[1])):
        raise ValueError("sparse matrix with an index out of range")
    return sp.csr_matrix((data, indices, indptr), shape=shape)


def read_planetoid(folder, name):
    at = lambda part: Path(folder) / f"ind.{name}.{part}"
    allx, tx = read_pickle(at("allx")), read_pickle(at("tx"))
    y, ally, ty = (read_pickle(at(part)) for part in ("y", "ally", "ty"))
    graph = read_pickle(at("graph"))
    try:
        test = np.array([int(line) for line in at("test.index").read_text().split()], dtype=np.int64)
    except (OSError, ValueError) as error:
        raise Fail(f"{at('test.index')}: {one_line(error)}, expected one node a line") from None
    if not all(sp.issparse(m) for m in (allx, tx)) or not all(isinstance(m, np.ndarray) and m.ndim == 2 for m in (y, ally, ty)):
        raise Fail(f"{at('*')}: features or labels are no matrices")
    known = allx.shape[0]
    if allx.shape[1] != tx.shape[1] or ally.shape != (known, y.shape[1]) or ty.shape != (len(test), y.shape[1]) or tx.shape[0] != len(test):
        raise Fail(f"{at('*')}: shapes do not fit together: allx {allx.shape}, tx {tx.shape}, ally {ally.shape}, ty {ty.shape}, {len(test)} test nodes")
    if len(test) == 0 or len(np.unique(test)) != len(test) or test.min() < known:
        raise Fail(f"{at('test.index')}: empty, a node twice, or below {known}, expected test nodes behind the {known} others")
    nodes = int(test.max()) + 1  # ids that test.index leaves out (15 in Citeseer) keep their edges, without features or label
    if nodes - known > 2 * len(test) + 1000:
        raise Fail(f"{at('test.index')}: node {nodes - 1}, expected ids close together")

    allx, tx = allx.tocoo(), tx.tocoo()
    x = sp.csr_matrix((np.concatenate([allx.data, tx.data]).astype(np.float32),
                       (np.concatenate([allx.row, test[tx.row]]), np.concatenate([allx.col, tx.col]))), shape=(nodes, allx.shape[1]))
    labels = np.full(nodes, -1, dtype=np.int64)
    for ids, table, part in ((np.arange(known), ally, "ally"), (test, ty, "ty")):
        if not np.isin(table, (0, 1)).all() or (table.sum(1) > 1).any():
            raise Fail(f"{at(part)}: not one-hot")
        labels[ids] = np.where(table.sum(1) == 1, table.argmax(1), -1)

    source, target = planetoid_edges(graph, at("graph"))
    loops = np.unique(source[source == target])
    pairs = np.unique(np.concatenate([source * nodes + target, target * nodes + source])) if len(source) else source
    if len(source) and (min(source.min(), target.min()) < 0 or max(source.max(), target.max()) >= nodes):
        raise Fail(f"{at('graph')}: an edge leaves the nodes 0 to {nodes - 1}")
    indptr, indices, _ = rows_of(pairs // nodes, pairs % nodes, nodes)
    train = np.arange(len(y))
    val = np.arange(len(y), min(len(y) + 500, known))
    notes = [f"{len(source)} entries of the neighbour lists became {len(pairs)} directed edges, {len(loops)} of them self loops"]
    absent = nodes - known - len(test)
    if absent:
        notes.append(f"{absent} nodes are not in test.index: edges kept, no features, label -1")
    keep = lambda ids: ids[labels[ids] >= 0]
    return Graph(indptr, indices, x, labels, splits={"train": keep(train), "val": keep(val), "test": keep(test)}, classes=y.shape[1], notes=notes)


def planetoid_edges(graph, path):
    source, target = [], []
    if not isinstance(graph, dict):
        raise Fail(f"{path}: no dictionary of neighbour lists")
    for node, neighbours in graph.items():
        if type(node) is not int or not isinstance(neighbours, list) or not all(type(n) is int for n in neighbours):
            raise Fail(f"{path}: something else than integers in a neighbour list")
        source += [node] * len(neighbours)
        target += neighbours
    try:
        return np.array(source, dtype=np.int64), np.array(target, dtype=np.int64)
    except OverflowError:
        raise Fail(f"{path}: a node id beyond 64 bits") from None


# --- NumPy archives: Shchur's layout and GraphSAINT's folder ----------------------------------------------------------

def load_arrays(path, keys, optional=()):
    """The named arrays of an .npz file (or one .npy for keys == None), pickled ones refused."""
    try:
        with open(path, "rb") as file:
            if keys is None:
                return np.load(file, allow_pickle=False)
            with np.load(file, allow_pickle=False) as npz:
                missing = [k for k in keys if k not in npz.files]
                if missing:
                    raise Fail(f"{path}: no array {missing[0]}, expected {', '.join(keys)}")
                return {k: npz[k] for k in (*keys, *optional) if k in npz.files}
    except OSError as error:
        raise Fail(f"{path}: {error.strerror or one_line(error)}") from None
    except Fail:
        raise
    except Exception as error:
        raise Fail(f"{path}: {one_line(error)}") from None


def csr_of(path, arrays, prefix, default_data=None):
    data = arrays.get(prefix + "data", default_data)
    indices = arrays[prefix + "indices"]
    try:
        return checked_csr(arrays[prefix + "indptr"], indices, np.ones(len(indices), np.float32) if data is None else data,
                           tuple(int(n) for n in arrays[prefix + "shape"]))
    except (ValueError, TypeError) as error:
        raise Fail(f"{path}: {prefix or 'adjacency '}: {one_line(error)}") from None


def read_shchur(path):
    a = load_arrays(path, ["adj_indptr", "adj_indices", "adj_shape", "attr_indptr", "attr_indices", "attr_shape", "labels"], ["adj_data", "attr_data"])
    adjacency, x = csr_of(path, a, "adj_"), csr_of(path, a, "attr_")
    if a["labels"].ndim != 1 or a["labels"].dtype.kind not in "iu" or not len(a["labels"]):
        raise Fail(f"{path}: labels: {a['labels'].dtype} of shape {a['labels'].shape}, expected one integer a node")
    return Graph(adjacency.indptr, adjacency.indices, x.astype(np.float32), a["labels"].astype(np.int64),
                 weights=None if (adjacency.data == 1).all() else adjacency.data, classes=int(a["labels"].max()) + 1)


def read_heterophilous(path):
    """Arrays of the heterophilous graph collection under the names of a PyG object: an edge once, a split a column."""
    names = {"x": "node_features", "y": "node_labels", "edge_index": "edges"}
    masks = {f"{part}_mask": f"{part}_masks" for part in ("train", "val", "test")}
    a = load_arrays(path, list(names.values()), list(masks.values()))
    found = {name: a[key] for name, key in names.items()} | {name: a[key] for name, key in masks.items() if key in a}
    return {name: value.T if name not in ("x", "y") else value for name, value in found.items()}


def read_json(path):
    try:
        return json.loads(Path(path).read_text())
    except OSError as error:
        raise Fail(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Fail(f"{path}: {one_line(error)}") from None


def read_graphsaint(folder):
    folder = Path(folder)
    path = folder / "adj_full.npz"
    adjacency = csr_of(path, load_arrays(path, ["indptr", "indices", "shape"], ["data"]), "")
    nodes = adjacency.shape[0]
    x = load_arrays(folder / "feats.npy", None)
    if adjacency.shape[1] != nodes or x.ndim != 2 or len(x) != nodes:
        raise Fail(f"{folder}: adjacency {adjacency.shape} and features {x.shape}, expected one row a node in both")
    class_map, role = read_json(folder / "class_map.json"), read_json(folder / "role.json")
    if not isinstance(class_map, dict) or not class_map:
        raise Fail(f"{folder / 'class_map.json'}: no labels")
    several = any(isinstance(label, list) for label in class_map.values())
    try:
        ids = np.array([int(node) for node in class_map], dtype=np.int64)
        values = np.array(list(class_map.values()), dtype=np.int8) if several else np.array([int(label) for label in class_map.values()], dtype=np.int64)
        if several and (values.ndim != 2 or not np.isin(values, (0, 1)).all()):
            raise ValueError("lists of labels of unequal length, or with others than 0 and 1")
        splits = {ours: np.array(role[theirs], dtype=np.int64) for ours, theirs in (("train", "tr"), ("val", "va"), ("test", "te"))}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Fail(f"{folder}: class_map.json or role.json: {one_line(error)}, expected {{node: class}} and tr, va, te") from None
    if ids.min() < 0 or ids.max() >= nodes:
        raise Fail(f"{folder / 'class_map.json'}: node {ids.max() if ids.max() >= nodes else ids.min()}, expected 0 to {nodes - 1}")
    labels = np.full((nodes, *values.shape[1:]), -1, dtype=values.dtype)
    labels[ids] = values
    notes = [] if (adjacency.data == 1).all() else ["edge weights of adj_full.npz left out, as in PyG"]
    return Graph(adjacency.indptr, adjacency.indices, x.astype(np.float32), labels, splits=splits, classes=values.shape[1] if several else int(values.max()) + 1, notes=notes)


# --- OGB: raw/*.csv.gz and split/*/*.csv.gz ---------------------------------------------------------------------------

def read_csv(path, dtype):
    try:
        with gzip.open(path, "rt") as file:
            return np.loadtxt(file, delimiter=",", dtype=dtype, ndmin=2, comments=None)
    except (OSError, EOFError) as error:
        raise Fail(f"{path}: {getattr(error, 'strerror', None) or one_line(error)}") from None
    except (ValueError, UnicodeDecodeError, OverflowError) as error:
        raise Fail(f"{path}: {one_line(error)}") from None


def mean_of_edges(edges, features, nodes):
    """Of each node, the mean of its edges' features; each edge is listed once and counts for both its ends."""
    if edges.ndim != 2 or edges.shape[1] != 2 or len(features) != len(edges) or (len(edges) and (edges.min() < 0 or edges.max() >= nodes)):
        raise Fail(f"edge.csv.gz and edge-feat.csv.gz: {edges.shape} and {features.shape}, expected a row an edge between the {nodes} nodes")
    ends = np.concatenate([edges[:, 0], edges[:, 1]])
    degree = np.maximum(np.bincount(ends, minlength=nodes), 1)
    return np.stack([np.bincount(ends, np.concatenate([column, column]), nodes) / degree for column in features.T], 1).astype(np.float32)


def read_ogb(folder):
    raw = Path(folder) / "raw"
    counts = read_csv(raw / "num-node-list.csv.gz", np.int64)
    if counts.size != 1:
        raise Fail(f"{raw / 'num-node-list.csv.gz'}: {counts.size} graphs, expected one")
    nodes = int(counts[0, 0])
    edges, label, notes = read_csv(raw / "edge.csv.gz", np.int64), read_csv(raw / "node-label.csv.gz", np.float64), []
    if (raw / "node-feat.csv.gz").exists() or not (raw / "edge-feat.csv.gz").exists():
        x = read_csv(raw / "node-feat.csv.gz", np.float32)
    else:
        x = mean_of_edges(edges, read_csv(raw / "edge-feat.csv.gz", np.float32), nodes)
        notes.append("features: the mean over a node's edges of edge-feat.csv.gz, as in OGB's examples")
    if edges.shape[1] != 2 or len(x) != nodes or len(label) != nodes:
        raise Fail(f"{raw}: edges {edges.shape}, features {x.shape}, labels {label.shape}, expected two columns and {nodes} rows")
    y = np.where(np.isnan(label), -1, label).astype(np.int64 if label.shape[1] == 1 else np.int8)
    classes = int(y.max()) + 1 if label.shape[1] == 1 else label.shape[1]
    y = y[:, 0] if label.shape[1] == 1 else y
    kinds = sorted(p for p in (Path(folder) / "split").glob("*") if (p / "train.csv.gz").exists())
    if len(kinds) != 1:
        raise Fail(f"{Path(folder) / 'split'}: {len(kinds)} kinds of split, expected one folder with train, valid and test.csv.gz")
    splits = {ours: read_csv(kinds[0] / f"{theirs}.csv.gz", np.int64)[:, 0] for ours, theirs in (("train", "train"), ("val", "valid"), ("test", "test"))}
    indptr, indices, _ = rows_of(edges[:, 0], edges[:, 1], nodes)
    return Graph(indptr, indices, x, y, splits=splits, classes=classes,
                 notes=[*notes, f"{len(edges)} edges kept as stored (the program makes the graph symmetric); split by {kinds[0].name}"])
