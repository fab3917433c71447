"""Graphs from PyTorch Geometric: an object saved in a .pt file, or one of its data sets. Needs torch, and for data sets
torch_geometric; nothing else of data/ does.
"""
import numpy as np
import scipy.sparse as sp

from graph_formats import Fail, Graph, one_line, rows_of
from tables import thinned


def to_numpy(value):
    """A torch tensor (dense or sparse) or an array as numpy or scipy; None stays None."""
    if value is None:
        return None
    if getattr(value, "is_sparse", False):
        value = value.coalesce()
        return sp.csr_matrix((value.values().numpy(), value.indices().numpy()), shape=tuple(value.shape))
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return value if sp.issparse(value) else np.asarray(value)


def field(data, name):
    return to_numpy(data.get(name) if isinstance(data, dict) else getattr(data, name, None))


def splits_of(masks, column):
    """Ids of each part, or where `column` is None and there are several splits, masks (splits, nodes); and a note."""
    masks = {name: mask for name, mask in masks.items() if mask is not None}
    counts = {mask.shape[1] for mask in masks.values() if mask.ndim == 2}
    if "train" not in masks:
        return {}, []
    if not counts:
        return {name: np.flatnonzero(mask) for name, mask in masks.items()}, []
    count = min(counts)
    if len(counts) > 1 or (column is not None and not 0 <= column < count):
        raise Fail(f"masks of {', '.join(map(str, sorted(counts)))} splits, expected --split-column from 0 to {count - 1}" if len(counts) == 1 else f"masks of {sorted(counts)} splits, expected as many for each part", code=2)
    if column is None:
        return {name: np.broadcast_to(mask.T, (count, len(mask))).astype(bool) for name, mask in masks.items()}, [f"all {count} splits kept; pdadmm takes the first, others by --split-index"]
    return {name: np.flatnonzero(mask[:, column] if mask.ndim == 2 else mask) for name, mask in masks.items()}, [f"split {column} of {count}"]


def graph_from_pyg(data, split_column=None):
    """A Graph from what has x, edge_index, y and perhaps edge_weight and train_mask, val_mask, test_mask (one or many columns)."""
    x, edges, y = field(data, "x"), field(data, "edge_index"), field(data, "y")
    for name, value in (("x", x), ("edge_index", edges), ("y", y)):
        if value is None:
            raise Fail(f"the PyG object has no {name}, expected one graph with x, edge_index and y")
    if x.ndim != 2 or edges.ndim != 2 or edges.shape[0] != 2:
        raise Fail(f"x {x.shape} and edge_index {edges.shape}, expected (nodes, features) and (2, edges)")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim not in (1, 2) or len(y) != x.shape[0]:
        raise Fail(f"y {y.shape}, expected one class a node, or 0 and 1 for each of several labels")
    notes = []
    y = np.where(np.isnan(y), -1, y).astype(np.int64) if y.dtype.kind == "f" else y.astype(np.int64)
    weights = field(data, "edge_weight")
    if weights is not None:
        weights = weights.reshape(-1).astype(np.float32)
        if len(weights) != edges.shape[1] or not (weights > 0).all():
            raise Fail(f"edge_weight of {len(weights)} values, the least {weights.min() if len(weights) else '-'}, expected {edges.shape[1]}, all above 0")
    indptr, indices, weights = rows_of(edges[0].astype(np.int64), edges[1].astype(np.int64), x.shape[0], weights)
    splits, several = splits_of({name: field(data, f"{name}_mask") for name in ("train", "val", "test")}, split_column)
    notes += several
    if field(data, "edge_attr") is not None:
        notes.append("edge attributes left out")
    return Graph(indptr, indices, thinned(x).astype(np.float32), y, weights=weights, splits=splits, classes=int(y.max()) + 1 if y.ndim == 1 else y.shape[1], notes=notes)


def load_object(path, trust_pickle):
    """A saved dictionary of tensors, or a PyG object where `trust_pickle` allows to run what the file says."""
    try:
        import torch
    except ImportError as error:
        raise Fail(f"{path}: needs the Python package torch ({one_line(error)}); install it") from None
    try:
        value = torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except OSError as error:
        raise Fail(f"{path}: {error.strerror or one_line(error)}") from None
    except Exception as error:
        hint = "" if trust_pickle else "; a file with Python objects runs code when read: if you made it, add --trust-pickle"
        raise Fail(f"{path}: {one_line(error)}{hint}") from None
    return value[0] if isinstance(value, tuple) and value else value


def load_pyg_dataset(name, root):
    """`Class` or `Class/NAME` of torch_geometric.datasets, such as Flickr or Planetoid/PubMed; PyG downloads it to `root`."""
    try:
        import torch_geometric.datasets as datasets
    except ImportError as error:
        raise Fail(f"{name}: needs the Python package torch_geometric ({one_line(error)}); install it, or name a .pt file") from None
    kind, _, which = name.partition("/")
    if not hasattr(datasets, kind):
        raise Fail(f"{name}: no such data set in torch_geometric.datasets", code=2)
    try:
        dataset = getattr(datasets, kind)(root, which) if which else getattr(datasets, kind)(root)
        graphs = len(dataset)
        data = dataset[0]
    except Exception as error:
        raise Fail(f"{name}: {one_line(error)}") from None
    if graphs != 1:
        raise Fail(f"{name}: {graphs} graphs, expected one")
    return data


def read_pyg(name, trust_pickle, root, split_column):
    """A .pt file, or a data set by name."""
    data = load_object(name, trust_pickle) if name.endswith(".pt") else load_pyg_dataset(name, root)
    return graph_from_pyg(data, split_column)
