"""Small raw data sets in the forms in which graphs are published, written byte by byte where the writer is long gone."""
import gzip
import json
import struct
from pathlib import Path

import numpy as np
import scipy.sparse as sp


# Pickles as Python 2 wrote them (protocol 2, byte strings): today's Python writes other globals.
def text(value):
    return b"U" + bytes([len(value)]) + value.encode()


def integer(value):
    return b"J" + struct.pack("<i", value)


def dtype(code):
    return b"cnumpy\ndtype\n" + text(code) + integer(0) + integer(1) + b"\x87R(" + integer(3) + text("<") + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb"


def array(value):
    raw = np.ascontiguousarray(value).tobytes()
    shape = b"(" + b"".join(integer(n) for n in value.shape) + b"t"
    state = b"(" + integer(1) + shape + dtype(value.dtype.str[1:]) + b"\x89" + b"T" + struct.pack("<i", len(raw)) + raw + b"t"
    return b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + integer(0) + b"\x85" + text("b") + b"\x87R" + state + b"b"


def matrix(value):
    parts = {"_shape": b"(" + b"".join(integer(n) for n in value.shape) + b"t", "indptr": array(value.indptr.astype(np.int32)),
             "indices": array(value.indices.astype(np.int32)), "data": array(value.data.astype(np.float32)), "maxprint": integer(50), "format": text("csr")}
    return b"cscipy.sparse.csr\ncsr_matrix\n)\x81}(" + b"".join(text(k) + v for k, v in parts.items()) + b"ub"


def neighbours(graph):
    items = b"".join(integer(node) + b"](" + b"".join(integer(n) for n in ids) + b"e" for node, ids in graph.items())
    return b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R(" + items + b"u"


def pickled(body):
    return b"\x80\x02" + body + b"."


def write_planetoid(folder, name="toy"):
    """10 nodes: 0-3 train, 4-5 val, test.index 9 6 8 (7 is absent); repeated edges, a self loop, features equal to the id."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    row = lambda ids: sp.csr_matrix(np.array([[i + 1, 0, (i % 2) * 0.5] for i in ids], dtype=np.float32))
    one_hot = lambda ids: np.eye(2, dtype=np.int32)[[i % 2 for i in ids]]
    test = [9, 6, 8]
    files = {"x": matrix(row(range(4))), "y": array(one_hot(range(4))), "allx": matrix(row(range(6))), "ally": array(one_hot(range(6))),
             "tx": matrix(row(test)), "ty": array(one_hot(test)), "graph": neighbours({0: [1, 1, 2], 1: [0], 2: [0], 3: [3], 4: [7], 7: [4], 5: [9], 6: [], 8: []})}
    for part, body in files.items():
        (folder / f"ind.{name}.{part}").write_bytes(pickled(body))
    (folder / f"ind.{name}.test.index").write_text("".join(f"{i}\n" for i in test))
    return folder


def write_graphsaint(folder, multi_label=False):
    """5 nodes on a path, node 4 without a label."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    a = sp.csr_matrix((np.ones(6), ([0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2])), shape=(5, 5))
    sp.save_npz(folder / "adj_full.npz", a)
    np.save(folder / "feats.npy", np.arange(10, dtype=np.float64).reshape(5, 2))
    (folder / "class_map.json").write_text(json.dumps({str(i): [i % 2, int(i > 0), 1] if multi_label else i % 2 for i in range(4)}))
    (folder / "role.json").write_text(json.dumps({"tr": [0, 3], "va": [1], "te": [2]}))
    return folder


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.writelines(",".join(str(v) for v in row) + "\n" for row in rows)


def write_ogb(folder):
    """4 nodes, 4 directed edges (one of them twice), node 3 without a label."""
    folder = Path(folder)
    write_csv(folder / "raw/num-node-list.csv.gz", [[4]])
    write_csv(folder / "raw/num-edge-list.csv.gz", [[4]])
    write_csv(folder / "raw/edge.csv.gz", [[2, 0], [0, 1], [2, 1], [0, 1]])
    write_csv(folder / "raw/node-feat.csv.gz", [[0.5, -1, 1e-3], [1, 2, 3], [0, 0, 0], [7, 8, 9]])
    write_csv(folder / "raw/node-label.csv.gz", [[0], [2], [1], ["nan"]])
    for part, ids in (("train", [0]), ("valid", [2]), ("test", [1])):
        write_csv(folder / f"split/time/{part}.csv.gz", [[i] for i in ids])
    return folder
