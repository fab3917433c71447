"""Saved graphs of DGL, OGB and networkx, through the library that wrote them. All become the arrays of a PyG object
first: node features x, edge_index, y, masks.
"""
import importlib
import os
import sys
from pathlib import Path

import numpy as np

from graph_formats import Fail, one_line, read_ogb
from pyg_graph import graph_from_pyg, to_numpy
from tables import numbered

FEATURES, LABELS = ("x", "feat", "features", "feature", "attr"), ("y", "label", "labels", "class", "club", "value")
PARTS = ("train", "val", "test")


def library(name, path, package=None):
    """The module, or one line that names the package."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Fail(f"{path}: needs the Python package {package or name} ({one_line(error)}); install it, or save the graph as tables (prepare.py edges)") from None


def read_with(path, read):
    """What the library reads of the file; its errors become one line."""
    if not os.path.exists(path):
        raise Fail(f"{path}: No such file or directory")
    try:
        return read()
    except Exception as error:  # libraries end in any exception on damaged files
        raise Fail(f"{path}: {one_line(error)}") from None


def first_of(data, names, path, what):
    found = next((name for name in names if data.get(name) is not None), None)
    if found is None:
        raise Fail(f"{path}: nodes have {', '.join(map(str, data)) or 'no data'}, expected {what} under one of {', '.join(names)}")
    return data[found]


def read_dgl(path, split_column):
    dgl = library("dgl", path)
    graphs = read_with(path, lambda: dgl.load_graphs(str(path))[0])
    if len(graphs) != 1 or len(graphs[0].ntypes) != 1 or len(graphs[0].etypes) != 1:
        raise Fail(f"{path}: {len(graphs)} graphs{', of several types of nodes or edges' if len(graphs) == 1 else ''}, expected one of one type")
    graph = graphs[0]
    nodes = dict(graph.ndata)
    parts = {f"{part}_mask": nodes.get(f"{part}_mask") for part in PARTS}
    edges = dict(graph.edata)
    return graph_from_pyg({"x": first_of(nodes, FEATURES, path, "features"), "y": first_of(nodes, LABELS, path, "labels"), "edge_weight": edges.get("w", edges.get("weight")),
                           "edge_index": np.stack([to_numpy(ends) for ends in graph.edges()]), **parts}, split_column)


def read_ogb_object(name, cache):
    """A data set of the ogb package by name (ogbn-arxiv), or a folder as it is downloaded, which needs no package."""
    if (Path(name) / "raw").is_dir():
        return read_ogb(name)
    module = library("ogb.nodeproppred", name, "ogb")
    if not (Path(cache) / name.replace("-", "_")).is_dir():
        raise Fail(f"{name}: no folder {Path(cache) / name.replace('-', '_')}, expected it where ogb downloaded it; name its parent by --cache, or the folder itself")
    try:
        data = module.NodePropPredDataset(name, root=str(cache))
        graph, labels = data[0]
        split = data.get_idx_split()
    except Exception as error:
        raise Fail(f"{name}: {one_line(error)}") from None
    if "edge_index" not in graph:
        raise Fail(f"{name}: edges of several types ({', '.join(map(str, graph))}), expected one")
    masks = {}
    for ours, theirs in (("train", "train"), ("val", "valid"), ("test", "test")):
        masks[f"{ours}_mask"] = np.zeros(graph["num_nodes"], bool)
        masks[f"{ours}_mask"][to_numpy(split[theirs])] = True
    return graph_from_pyg({"x": graph["node_feat"], "edge_index": graph["edge_index"], "y": labels, **masks})


def networkx_reader(networkx, path, trust_pickle):
    """The function that reads a file of this ending."""
    name = str(path).lower()
    name = name[:-3] if name.endswith(".gz") else name
    if name.endswith((".pickle", ".gpickle", ".pkl")):
        if not trust_pickle:
            raise Fail(f"{path}: a pickle runs code when read: if you made it, add --trust-pickle, or save it as GraphML")
        import pickle
        return lambda _: pickle.loads(Path(path).read_bytes())
    if name.endswith(".json"):
        import json
        return lambda _: networkx.node_link_graph(json.loads(Path(path).read_text()))
    for ending, function in ((".graphml", "read_graphml"), (".gexf", "read_gexf"), (".gml", "read_gml"), (".net", "read_pajek")):
        if name.endswith(ending):
            return getattr(networkx, function)
    raise Fail(f"{path}: expected .graphml, .gexf, .gml, .net, .json (node-link) or a pickle of networkx; for edge lists use prepare.py edges")


def read_networkx(path, trust_pickle):
    networkx = library("networkx", path)
    reader = networkx_reader(networkx, path, trust_pickle)
    return graph_from_networkx(read_with(path, lambda: reader(str(path))), path)


def graph_from_networkx(graph, path):
    """Features: a list under one of FEATURES, else all attributes that are numbers; labels under one of LABELS."""
    if not hasattr(graph, "nodes") or not hasattr(graph, "edges"):
        raise Fail(f"{path}: {type(graph).__name__}, expected a graph of networkx")
    nodes = list(graph.nodes(data=True))
    if not nodes:
        raise Fail(f"{path}: no node, expected some")
    place = {node: k for k, (node, _) in enumerate(nodes)}
    attributes = [data for _, data in nodes]
    label = next((name for name in LABELS if any(name in data for data in attributes)), None)
    if label is None:
        raise Fail(f"{path}: no node has a label, expected one under {', '.join(LABELS)}")
    edges = list(graph.edges(data=True))
    weights = [data.get("weight") for _, _, data in edges]
    y, class_names = numbered(["" if data.get(label) is None else str(data[label]) for data in attributes])
    masks = {f"{part}_mask": np.array([bool(data.get(f"{part}_mask")) or str(data.get("split", "")).lower()[:3] == part[:3] for data in attributes]) for part in PARTS}
    result = graph_from_pyg({
        "x": networkx_features(attributes, label, path), "y": y, "edge_index": np.array([[place[a], place[b]] for a, b, _ in edges], np.int64).reshape(-1, 2).T,
        "edge_weight": np.array(weights, np.float32) if edges and None not in weights else None,
        **{name: mask for name, mask in masks.items() if mask.any()}})
    names = [node for node, _ in nodes]
    result.class_names = class_names
    result.ids = None if names == list(range(len(names))) else names if all(type(node) is int for node in names) else [str(node) for node in names]
    if result.ids and len(set(result.ids)) != len(names):
        raise Fail(f"{path}: two nodes have one name as text, expected different ones")
    return result


def networkx_features(attributes, label, path):
    listed = next((name for name in FEATURES if any(hasattr(data.get(name), "__len__") and not isinstance(data[name], str) for data in attributes)), None)
    if listed is None:
        number = lambda value: isinstance(value, (int, float)) and not isinstance(value, bool)
        skipped = (label, "split", *(f"{part}_mask" for part in PARTS))
        columns = sorted(name for name in set().union(*attributes) if name not in skipped and all(number(data.get(name, 0)) for data in attributes))
        if not columns:
            raise Fail(f"{path}: no node has features, expected lists under {', '.join(FEATURES)}, or attributes that are numbers")
        print(f"features: {', '.join(map(str, columns))[:200]}", file=sys.stderr)
        rows = [[data.get(name, 0) for name in columns] for data in attributes]
    else:
        width = max(len(data.get(listed, ())) for data in attributes)
        rows = [list(data.get(listed, [0] * width)) for data in attributes]
    try:
        return np.array(rows, np.float32)
    except (ValueError, TypeError) as error:
        raise Fail(f"{path}: features: {one_line(error)}, expected as many numbers at each node") from None
