"""Raw files that one data set alone has: Wiki-CS's JSON, and the papers of OGB's MAG."""
from pathlib import Path

import numpy as np

from graph_formats import Fail, Graph, read_csv, read_json, rows_of


def read_wikics(path):
    """The arrays of Wiki-CS under the names of a PyG object: twenty splits of train and validation nodes, one of test nodes."""
    data = read_json(path)
    names = {"x": "features", "y": "labels", "train_mask": "train_masks", "val_mask": "val_masks", "test_mask": "test_mask"}
    try:
        found = {ours: np.array(data[theirs], np.float32 if ours == "x" else np.int64) for ours, theirs in names.items()}
        source = np.repeat(np.arange(len(data["links"])), [len(links) for links in data["links"]])
        target = np.array([node for links in data["links"] for node in links], np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise Fail(f"{path}: {error!r}, expected features, labels, links, train_masks, val_masks and test_mask of Wiki-CS") from None
    found["edge_index"] = np.stack([source, target])
    return {name: value.T if name in ("train_mask", "val_mask") else value for name, value in found.items()}


def read_mag(folder):
    """The papers of ogbn-mag and who cites whom; authors, institutions and fields of study are left out."""
    raw, split = Path(folder) / "raw", Path(folder) / "split/time/paper"
    x, label = read_csv(raw / "node-feat/paper/node-feat.csv.gz", np.float32), read_csv(raw / "node-label/paper/node-label.csv.gz", np.int64)
    edges = read_csv(raw / "relations/paper___cites___paper/edge.csv.gz", np.int64)
    if edges.shape[1] != 2 or label.shape != (len(x), 1):
        raise Fail(f"{raw}: edges {edges.shape}, features {x.shape}, labels {label.shape}, expected two columns and a label a row")
    splits = {ours: read_csv(split / f"{theirs}.csv.gz", np.int64)[:, 0] for ours, theirs in (("train", "train"), ("val", "valid"), ("test", "test"))}
    indptr, indices, _ = rows_of(edges[:, 0], edges[:, 1], len(x))
    return Graph(indptr, indices, x, label[:, 0], splits=splits, classes=int(label.max()) + 1,
                 notes=["papers and paper cites paper only: authors, institutions and fields of study are left out"])
