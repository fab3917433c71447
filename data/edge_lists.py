"""A graph from an edge list with ids of any kind, a table or array of features, labels and a split."""
from array import array

import numpy as np

from graph_formats import Fail, Graph, load_arrays, rows_of
from tables import checked_name, is_number, numbered, read_feature_array, read_feature_table, read_rows, thinned

PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
SOURCES = ("source", "src", "from", "u", "node1", "node_1", "id_1", "id1", "start", "head", "citing", "from_node", "fromnodeid", "source_id")


def is_array(path):
    return str(path).endswith((".npy", ".npz"))


class Names:
    """Place of each id. Ids that only edges name get places behind the others where `open_` allows it."""

    def __init__(self, ids, open_):
        self.place = {name: k for k, name in enumerate(ids)}
        self.rows, self.open = len(self.place), open_

    def __call__(self, path, number, name, rows_in):
        at = self.place.get(name)
        if at is None:
            if not self.open:
                raise Fail(f"{path}: line {number}: id {name!r}, expected 0 to {self.rows - 1} (the rows of {rows_in}); give ids in the first column of a table of features, or --ids")
            at = self.place[checked_name(path, number, name)] = len(self.place)
        return at


def is_header(cells, names, following):
    """Whether a first line names columns: as headers do, or where the line below has numbers or known ids instead."""
    if any(cell in names.place or is_number(cell) for cell in cells[:2]):
        return False
    return cells[0].lower() in SOURCES or all(is_number(cell) or cell in names.place for cell in following[:2])


def weight_column(cells, header, choice, path):
    """Index of the column of weights, or None. `choice`: auto, none, or a name or number of a column."""
    if choice == "none":
        return None
    named = {cell.lower(): k for k, cell in enumerate(header or [])}
    if choice != "auto":
        at = named.get(choice.lower(), int(choice) - 1 if choice.isdigit() else None)
        if at is None or not 2 <= at < len(cells):
            raise Fail(f"{path}: no column {choice} of weights, expected its name or number, from 3 to {len(cells)}", code=2)
        return at
    at = named.get("weight", 2 if len(cells) == 3 else None)
    return at if at is not None and at >= 2 and is_number(cells[at]) else None


def read_weight(path, number, cell):
    value = float(cell) if is_number(cell) else np.nan
    if not 0 < value <= 1e15:
        raise Fail(f"{path}: line {number}: weight {cell}, expected a number above 0, at most 1e15; --weights none leaves that column out")
    return value


def read_edges(path, names, rows_in, choice):
    """source, target, weights (or None) and notes."""
    rows = read_rows(path)
    first, second = next(rows, None), next(rows, None)
    if first is None or len(first[1]) < 2:
        raise Fail(f"{path}: {'no line' if first is None else 'one column'}, expected an edge a line: source and target")
    header = first[1] if is_header(first[1], names, (second or first)[1]) else None
    ahead = [row for row in ((None if header else first), second) if row]
    if not ahead:
        raise Fail(f"{path}: a header and no edge, expected an edge a line: source and target")
    at = weight_column(ahead[0][1], header, choice, path)
    notes = [f"header {', '.join(header)}" if header else "no header"]
    if at is not None:
        notes.append(f"weights of column {header[at] if header else at + 1}")
    elif len(ahead[0][1]) > 2:
        notes.append(f"{len(ahead[0][1]) - 2} more columns left out")
    source, target, weights = array("q"), array("q"), array("f")
    for number, cells in (*ahead, *rows):
        source.append(names(path, number, cells[0], rows_in))
        target.append(names(path, number, cells[1], rows_in))
        if at is not None:
            weights.append(read_weight(path, number, cells[at]))
    ids = (np.frombuffer(ends, np.int64) for ends in (source, target))
    return *ids, np.frombuffer(weights, np.float32) if at is not None else None, notes


def read_column(path):
    """Texts of an .npy file of one value a node; floats must be whole, NaN is nothing."""
    values = load_arrays(path, None)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "iufSU":
        raise Fail(f"{path}: {values.dtype} of shape {values.shape}, expected one value a node")
    if values.dtype.kind == "f":
        known = values[~np.isnan(values)]
        if (known != np.floor(known)).any() or (np.abs(known) > 2**53).any():
            raise Fail(f"{path}: {known[np.argmax((known != np.floor(known)) | (np.abs(known) > 2**53))]}, expected whole numbers up to 2^53, or NaN")
        return ["" if np.isnan(value) else str(int(value)) for value in values]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]


def read_values(path, names, what):
    """{place: text} of a table of id and value, of one column in the order of the nodes, or of an .npy file."""
    if is_array(path):
        column = read_column(path)
    else:
        rows = list(read_rows(path))
        if rows and len(rows[0][1]) > 1:
            return values_by_id(path, rows, names, what)
        column = [cells[0] for _, cells in rows][1 if len(rows) == names.rows + 1 else 0 :]  # one more: a header
    if len(column) != names.rows:
        raise Fail(f"{path}: {len(column)} {what}, expected {names.rows}, one a node in the order of the features; or two columns, id and value")
    return dict(enumerate(column))


def values_by_id(path, rows, names, what):
    values = {}
    if len(rows[0][1]) > 2:
        raise Fail(f"{path}: {len(rows[0][1])} columns, expected two, id and value")
    for k, (number, cells) in enumerate(rows):
        at = names.place.get(cells[0])
        if at is None and k == 0:
            continue  # a header
        if at is None:
            raise Fail(f"{path}: line {number}: id {cells[0]!r} has {what} but is in no other file, expected the id of a node")
        if at in values:
            raise Fail(f"{path}: line {number}: id {cells[0]!r} twice, expected {what} of a node once")
        values[at] = cells[1]
    return values


def parts_of(path, values, y):
    """Node ids of each part, and a note on nodes without label."""
    splits = {part: [] for part in ("train", "val", "test")}
    for node in sorted(values):
        word = values[node].lower()
        if word in PARTS:
            splits[PARTS[word]].append(node)
        elif word not in ("", "none", "-", "nan"):
            raise Fail(f"{path}: part {values[node]!r}, expected train, val, test or none")
    splits = {part: np.array(nodes, np.int64) for part, nodes in splits.items() if nodes}
    if "train" not in splits:
        raise Fail(f"{path}: no node to train on, expected the part train")
    unlabelled = sum(int((y[nodes] < 0).sum()) for nodes in splits.values())
    notes = [f"{unlabelled} nodes of the split have no label and are in no part"] if unlabelled else []
    return {part: nodes[y[nodes] >= 0] for part, nodes in splits.items()}, notes


def whole(ids):
    """Ids as integers where all are whole numbers as they are written, else as they are."""
    try:
        values = [int(name) for name in ids]
    except ValueError:
        return ids
    return values if all(str(value) == name and abs(value) < 2**63 for value, name in zip(values, ids)) else ids


def read_edge_list(edges, features, labels=None, split=None, ids=None, weights="auto"):
    """A Graph from files; `ids`: one id a line, in the order of the rows of an array of features."""
    classes = None
    if is_array(features):
        x = read_feature_array(features)
        listed = [cells[0] for _, cells in read_rows(ids)] if ids else [str(k) for k in range(x.shape[0])]
        if len(listed) != x.shape[0] or len(set(listed)) != len(listed):
            raise Fail(f"{ids}: {len(listed)} ids, {len(set(listed))} of them different, expected {x.shape[0]}, one a row of {features}")
        names = Names(listed, open_=bool(ids))
    else:
        listed, x, classes = read_feature_table(features)
        names = Names(listed, open_=True)
    source, target, values, notes = read_edges(edges, names, features, weights)
    if labels is None and classes is None:
        raise Fail(f"{features}: its last column is a number and no --labels was given, expected classes in one of the two", code=2)
    known = read_values(labels, names, "labels") if labels else dict(enumerate(classes))
    nodes = len(names.place)
    if nodes >= 2 * names.rows + 1000:
        raise Fail(f"{edges}: {nodes - names.rows} ids without features, {names.rows} with, expected the same ids in both")
    if nodes > names.rows:
        notes.append(f"{nodes - names.rows} nodes have edges and no features: features 0")
        x = np.concatenate([x, np.zeros((nodes - names.rows, x.shape[1]), np.float32)]) if isinstance(x, np.ndarray) else x
        if x.shape[0] != nodes:
            x.resize(nodes, x.shape[1])
    y, class_names = numbered([known.get(node, "") for node in range(nodes)])
    if (y < 0).all():
        raise Fail(f"{labels or features}: no label, expected some")
    splits, more = parts_of(split, read_values(split, names, "parts"), y) if split else ({}, [])
    indptr, indices, values = rows_of(source, target, nodes, values)
    kept = whole(list(names.place))
    return Graph(indptr, indices, thinned(x), y, weights=values, splits=splits, classes=int(y.max()) + 1, notes=notes + more,
                 ids=None if kept == list(range(nodes)) else kept, class_names=class_names)
