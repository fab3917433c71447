"""Edge lists with ids of any kind and saved graphs of other libraries become bundles; what is wrong with them is said in
one line. Run by ctest: test_conversions.py PRINT_GRAPH
"""
import gzip
import json
import sys
import types
import unittest
from unittest import mock

try:
    import numpy as np
    import scipy.sparse as sp
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from prepare_case import Case  # puts data/ on the path

import bundle
import edge_lists
import library_graphs
import tables
from graph_formats import Fail

FEATURES = "31336\t1\t0\tTheory\n1061127\t0\t2\tNeural\nx,1\t3\t0\tTheory\n42\t0\t0.5\tNeural\n"
EDGES = "31336\t1061127\n1061127\tx,1\n31336\t1061127\nx,1\tx,1\n1061127\t31336\n"


class Tables(Case):
    def write(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def read(self, edges=EDGES, features=FEATURES, **files):
        given = {name: self.write(f"{name}.csv", text) if name != "weights" else text for name, text in files.items()}
        return edge_lists.read_edge_list(self.write("edges.csv", edges), self.write("features.csv", features) if isinstance(features, (str, bytes)) else features, **given)

    def dense(self, graph):
        weights = np.ones(len(graph.indices)) if graph.weights is None else graph.weights
        matrix = np.zeros((len(graph.y),) * 2)
        np.add.at(matrix, (np.repeat(np.arange(len(graph.y)), np.diff(graph.indptr)), graph.indices), weights)
        return matrix.tolist()


class EdgeLists(Tables):
    def test_end_to_end(self):
        """Ids that are texts, a class in the last column, duplicates and loops counted, names kept."""
        self.write("cites.tsv", EDGES)
        self.write("content.tsv", FEATURES)
        self.write("split.csv", "node,part\n31336,train\n1061127,train\n\"x,1\",val\n42,test\n")
        done = self.prepare("edges", "cites.tsv", "--features", "content.tsv", "--split", "split.csv")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("cites: 4 nodes (0 unlabelled, 1 isolated), 5 stored edges (1 loops, 1 duplicates), 2 dense features, 2 classes, split 2/1/1", done.stdout)
        with np.load(self.folder / "out/cites.npz", allow_pickle=False) as b:
            self.assertEqual(bundle.names_of(b["node_ids"]), ["31336", "1061127", "x,1", "42"])
            self.assertEqual((b["node_ids"].dtype, bundle.names_of(b["class_names"])), (np.uint8, ["Neural", "Theory"]))
            self.assertEqual(b["labels"].tolist(), [1, 0, 1, 0])
        seen = self.seen("cites")
        self.assertEqual((seen["nodes"], seen["edges"], seen["self_loops"], seen["isolated"], seen["train"], seen["test"]), (4, 4, 1, 1, 2, 1))
        self.assertEqual(seen["feature_sum"], 6.5)

    def test_every_form_gives_the_same_graph(self):
        expected = self.read()
        self.assertEqual(self.dense(expected), [[0, 2, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
        comma = lambda text: "".join(",".join(f'"{c}"' if "," in c else c for c in line.split("\t")) + "\n" for line in text.splitlines())
        blanks = lambda text: text.replace("\t", "   ")
        forms = {
            "comma": comma(EDGES), "semicolon": EDGES.replace("\t", ";"), "blanks": blanks(EDGES), "header": "source\ttarget\n" + EDGES,
            "unknown header": "left\tright\n" + EDGES, "comments": "# made by hand\n\n% more\n" + EDGES, "byte order mark": "\ufeff" + comma(EDGES),
            "crlf": EDGES.replace("\n", "\r\n"), "gzip": gzip.compress(EDGES.encode()), "no last newline": EDGES.rstrip(),
        }
        for name, edges in forms.items():
            with self.subTest(name):
                graph = self.read(edges)
                self.assertEqual((self.dense(graph), graph.ids, graph.y.tolist()), (self.dense(expected), expected.ids, expected.y.tolist()))
        for name, features in {"header": "id\ta\tb\tclass\n" + FEATURES, "comma": comma(FEATURES), "gzip": gzip.compress(FEATURES.encode())}.items():
            with self.subTest(features=name):
                graph = self.read(features=features)
                self.assertEqual((graph.x.tolist(), graph.ids, graph.class_names), (expected.x.tolist(), expected.ids, expected.class_names))

    def test_weights(self):
        features, labels = "7,1\n9,2\n8,0\n", "7,a\n8,b\n9,a\n"
        graph = self.read("7,9,0.5\n9,8,2\n", features, labels=labels)
        self.assertEqual((self.dense(graph), graph.ids), ([[0, 0.5, 0], [0, 0, 2], [0, 0, 0]], [7, 9, 8]))
        for edges, choice, weights in (("source,target,time,weight\n7,9,100,3\n", "auto", [3]), ("7,9,100,3\n", "auto", None), ("7,9,5\n", "none", None), ("a,b,time,w\n7,9,1,4\n", "w", [4]), ("7,9,6,7\n", "3", [6])):
            with self.subTest(edges):
                found = self.read(edges, features, labels=labels, weights=choice).weights
                self.assertEqual(None if found is None else found.tolist(), weights)
        for bad in ("-1", "0", "nan", "inf", "1e16", "x"):
            with self.assertRaisesRegex(Fail, f"edges.csv: line 2: weight {bad}, expected a number above 0"):
                self.read(f"7,9,1\n9,8,{bad}\n", features, labels=labels)
        with self.assertRaisesRegex(Fail, "no column w of weights"):
            self.read("7,9,1\n", features, labels=labels, weights="w")

    def test_arrays(self):
        np.save(self.folder / "x.npy", np.arange(6.0).reshape(3, 2))
        np.save(self.folder / "y.npy", np.array([[1.0], [np.nan], [0.0]]))
        graph = edge_lists.read_edge_list(self.write("e.csv", "0 2\n"), self.folder / "x.npy", self.folder / "y.npy")
        self.assertEqual((graph.y.tolist(), graph.ids, graph.class_names, self.dense(graph)), ([1, -1, 0], None, None, [[0, 0, 1], [0, 0, 0], [0, 0, 0]]))
        graph = edge_lists.read_edge_list(self.write("e.csv", "a b\n"), self.folder / "x.npy", self.write("y.csv", "p\nq\n-1\n"), ids=self.write("ids", "b\nc\na\n"))
        self.assertEqual((graph.y.tolist(), graph.ids, self.dense(graph)[2]), ([0, 1, -1], ["b", "c", "a"], [1, 0, 0]))
        sp.save_npz(self.folder / "x.npz", sp.csr_matrix(np.eye(3)))
        graph = edge_lists.read_edge_list(self.write("e.csv", "0 2\n"), self.folder / "x.npz", self.folder / "y.npy")
        self.assertEqual(graph.x.toarray().tolist(), np.eye(3).tolist())
        with self.assertRaisesRegex(Fail, "line 1: id '3', expected 0 to 2"):
            edge_lists.read_edge_list(self.write("e.csv", "3 2\n"), self.folder / "x.npy", self.folder / "y.npy")
        for bad in ([2.5, 0, 1], [2.0**60, 0, 1]):
            np.save(self.folder / "bad.npy", np.array(bad))
            with self.assertRaisesRegex(Fail, "expected whole numbers up to 2.53"):
                edge_lists.read_edge_list(self.write("e.csv", "0 2\n"), self.folder / "x.npy", self.folder / "bad.npy")

    def test_labels(self):
        for texts, y, names in ((["0", "1", "0"], [0, 1, 0], None), (["3", "70000", "-1"], [0, 1, -1], [3, 70000]), (["1.0", "2.0", "nan"], [0, 1, -1], [1, 2]),
                                (["b", "a", ""], [1, 0, -1], ["a", "b"]), (["b", "1", "?"], [1, 0, -1], ["1", "b"])):
            with self.subTest(texts):
                found, found_names = tables.numbered(texts)
                self.assertEqual((found.tolist(), found_names), (y, names))

    def test_nodes_without_features_or_label(self):
        graph = self.read("1,2\n2,5\n", "1,1,0\n2,0,3\n", labels="1,a\n2,b\n", split="id,part\n1,train\n2,val\n5,test\n")
        self.assertEqual((graph.y.tolist(), graph.x.tolist(), graph.ids), ([0, 1, -1], [[1, 0], [0, 3], [0, 0]], [1, 2, 5]))
        self.assertEqual({part: list(ids) for part, ids in graph.splits.items()}, {"train": [0], "val": [1], "test": []})
        self.assertIn("1 nodes of the split have no label", " ".join(graph.notes))
        self.assertIn("1 nodes have edges and no features", " ".join(graph.notes))

    def test_refusals(self):
        labels = "1,a\n2,b\n"
        features = "1,1,0\n2,0,3\n"
        cases = [
            ("edges.csv: line 2: 3 columns, expected 2", {"edges": "1,2\n1,2,3\n"}), ("edges.csv: no line", {"edges": ""}), ("edges.csv: one column", {"edges": "1\n2\n"}),
            ("edges.csv: a header and no edge", {"edges": "source,target\n"}), ("edges.csv: line 2: an empty id", {"edges": "1,2\n,2\n"}),
            ("features.csv: line 2: id '1' twice", {"features": "1,1,0\n1,0,3\n"}), ("features.csv: line 3: could not convert string to float: 'y'", {"features": "1,1,0\n2,3,0\n3,y,2\n"}),
            ("features.csv: line 2: inf, expected finite", {"features": "1,1,0\n2,0,inf\n"}), ("fewer than two lines", {"features": "1,1,0\n"}),
            ("labels.csv: line 3: id '9' has labels but is in no other file", {"labels": labels + "9,a\n"}), ("labels.csv: line 3: id '1' twice", {"labels": labels + "1,b\n"}),
            ("labels.csv: 3 columns, expected two", {"labels": "1,a,b\n2,b,c\n"}), ("labels.csv: 1 labels, expected 2", {"labels": "a\n"}), ("no label, expected some", {"labels": "1,nan\n"}),
            ("part 'exam', expected train, val, test", {"split": "1,train\n2,exam\n"}), ("no node to train on", {"split": "1,val\n"}),
            ("a pickle, expected a table", {"edges": b"\x80\x04\x95"}), ("a Git LFS pointer", {"edges": "version https://git-lfs.github.com/spec/v1\n"}),
            ("a web page", {"features": "\n<!DOCTYPE html>"}), ("a Matrix Market file", {"edges": gzip.compress(b"%%MatrixMarket matrix coordinate\n1 1 1\n")}),
            ("cut off or damaged", {"edges": gzip.compress(EDGES.encode() * 100)[:-30]}), ("is not UTF-8", {"labels": b"1,\xff\xfe\n"}), ("unexpected end of data", {"edges": '1,"2\n'}),
            ("1100 ids without features, 2 with", {"edges": "".join(f"1,{k + 10}\n" for k in range(1100))}), ("No such file", {"features": self.folder / "none.csv"}),
        ]
        for words, files in cases:
            with self.subTest(words), self.assertRaises(Fail) as caught:
                self.read(**{"edges": "1,2\n", "features": features, "labels": labels, **files})
            self.assertIn(words, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))
            self.assertEqual(caught.exception.code, 3)

    def test_refusals_end_to_end(self):
        self.write("e.csv", "1,2\n")
        self.write("x.csv", "1,1,0\n2,0,3\n")
        self.refused(2, "its last column is a number and no --labels", "edges", "e.csv", "--features", "x.csv")
        self.refused(2, "--features", "edges", "e.csv")
        self.refused(3, "gone.csv: No such file", "edges", "gone.csv", "--features", "x.csv", "--labels", "x.csv")
        self.refused(2, "expected letters, digits", "edges", "e.csv", "a b", "--features", "x.csv")


class Names(unittest.TestCase):
    def test_names_come_back(self):
        for names in ([3, -7, 2**60], ["a", "\u00e4\u20ac", "long" * 100], ["1", "01"]):
            self.assertEqual(bundle.names_of(bundle.named(names)), names)
        for bad in ("a\x1b[31m", "\u202e", "a\nb", "\x9b"):
            with self.assertRaisesRegex(Fail, "steers a terminal"):
                bundle.named(["a", bad])


class Tensor:
    """Stands in for a tensor of torch."""
    is_sparse = False

    def __init__(self, values):
        self.values = np.asarray(values)

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.values


def module(name, **content):
    found = types.ModuleType(name)
    found.__dict__.update(content)
    return found


class Libraries(Case):
    def test_one_line_where_a_library_is_missing(self):
        with mock.patch.dict(sys.modules, {"dgl": None, "networkx": None, "ogb": None, "ogb.nodeproppred": None}):
            for package, read in (("dgl", lambda: library_graphs.read_dgl("g.bin", 0)), ("networkx", lambda: library_graphs.read_networkx("g.gml", False)),
                                  ("ogb", lambda: library_graphs.read_ogb_object("ogbn-arxiv", self.folder))):
                with self.assertRaisesRegex(Fail, f"needs the Python package {package} "):
                    read()

    def test_dgl(self):
        data = {"feat": Tensor(np.eye(3)), "label": Tensor([0, 1, 0]), "train_mask": Tensor([True, False, False]), "test_mask": Tensor([False, True, True])}
        graph = types.SimpleNamespace(ntypes=["_N"], etypes=["_E"], ndata=data, edata={"w": Tensor([2.0, 3.0])}, edges=lambda: (Tensor([1, 0]), Tensor([2, 1])))
        (self.folder / "g.bin").write_text("")
        with mock.patch.dict(sys.modules, {"dgl": module("dgl", load_graphs=lambda path: ([graph], {}))}):
            found = library_graphs.read_dgl(self.folder / "g.bin", 0)
            self.assertEqual((found.indptr.tolist(), found.indices.tolist(), found.weights.tolist()), ([0, 1, 2, 2], [1, 2], [3, 2]))
            self.assertEqual((found.y.tolist(), {part: list(ids) for part, ids in found.splits.items()}), ([0, 1, 0], {"train": [0], "test": [1, 2]}))
            graph.ndata = {"label": Tensor([0])}
            with self.assertRaisesRegex(Fail, "nodes have label, expected features under one of x, feat"):
                library_graphs.read_dgl(self.folder / "g.bin", 0)
            graph.etypes = ["a", "b"]
            with self.assertRaisesRegex(Fail, "several types"):
                library_graphs.read_dgl(self.folder / "g.bin", 0)

    def test_ogb(self):
        class Data:
            def __init__(self, name, root):
                self.names = name, root

            def __getitem__(self, _):
                return {"edge_index": np.array([[0, 2], [1, 1]]), "node_feat": np.eye(3), "num_nodes": 3}, np.array([[0], [1], [1]])

            def get_idx_split(self):
                return {"train": np.array([2]), "valid": np.array([0]), "test": np.array([1])}

        fakes = {"ogb": module("ogb"), "ogb.nodeproppred": module("ogb.nodeproppred", NodePropPredDataset=Data)}
        with mock.patch.dict(sys.modules, fakes):
            with self.assertRaisesRegex(Fail, "no folder .*ogbn_toy"):
                library_graphs.read_ogb_object("ogbn-toy", self.folder)
            (self.folder / "ogbn_toy").mkdir()
            found = library_graphs.read_ogb_object("ogbn-toy", self.folder)
        self.assertEqual((found.indices.tolist(), found.y.tolist(), {part: list(ids) for part, ids in found.splits.items()}),
                         ([1, 1], [0, 1, 1], {"train": [2], "val": [0], "test": [1]}))

    def networkx_like(self, nodes, edges):
        view = lambda items: lambda data: items
        return types.SimpleNamespace(nodes=view(nodes), edges=view(edges))

    def test_networkx_objects(self):
        graph = self.networkx_like([("ann", {"x": [1, 0], "label": "red", "split": "train"}), ("bob", {"x": [0, 2], "label": "blue", "split": "validation"}), ("eve", {"x": [0, 0]})],
                                   [("ann", "eve", {"weight": 2}), ("bob", "ann", {"weight": 0.5})])
        found = library_graphs.graph_from_networkx(graph, "g")
        self.assertEqual((found.ids, found.class_names, found.y.tolist()), (["ann", "bob", "eve"], ["blue", "red"], [1, 0, -1]))
        self.assertEqual((found.indptr.tolist(), found.indices.tolist(), found.weights.tolist()), ([0, 1, 2, 2], [2, 0], [2, 0.5]))
        self.assertEqual({part: list(ids) for part, ids in found.splits.items()}, {"train": [0], "val": [1]})
        self.assertEqual(found.x.toarray().tolist() if sp.issparse(found.x) else found.x.tolist(), [[1, 0], [0, 2], [0, 0]])
        for words, nodes in (("no node, expected", []), ("no node has a label", [(0, {"x": [1]})]), ("no node has features", [(0, {"label": 1})]),
                             ("as many numbers at each node", [(0, {"x": [1], "label": 0}), (1, {"x": [1, 2], "label": 1})])):
            with self.assertRaisesRegex(Fail, words):
                library_graphs.graph_from_networkx(self.networkx_like(nodes, []), "g")

    def test_networkx_files(self):
        try:
            import networkx
        except ImportError as error:
            self.skipTest(str(error))
        graph = networkx.Graph([("a", "b"), ("b", "c"), ("c", "c")])
        for node, height, kind in (("a", 1.5, "x"), ("b", 2.5, "y"), ("c", 3.5, "x")):
            graph.nodes[node].update(height=height, width=2, label=kind)
        networkx.write_graphml(graph, self.folder / "g.graphml")
        (self.folder / "g.json").write_text(json.dumps(networkx.node_link_data(graph)))
        for file in ("g.graphml", "g.json"):
            done = self.prepare("networkx", file)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("3 nodes (0 unlabelled, 0 isolated), 3 stored edges (1 loops, 0 duplicates), 2 dense features, 2 classes, split none", done.stdout)
            with np.load(self.folder / "out/g.npz") as b:
                self.assertEqual((b["features"].tolist(), bundle.names_of(b["node_ids"])), ([[1.5, 2], [2.5, 2], [3.5, 2]], ["a", "b", "c"]))
        (self.folder / "g.graphml").write_text("<graphml")
        (self.folder / "out/g.npz").unlink()
        self.refused(3, "g.graphml: ", "networkx", "g.graphml")
        self.refused(3, "--trust-pickle", "networkx", "g.gpickle")
        self.refused(3, "expected .graphml", "networkx", "g.xyz")

    def test_commands_without_their_library(self):
        try:
            import torch  # noqa: F401
        except ImportError:
            (self.folder / "g.pt").write_text("")
            self.refused(3, "needs the Python package torch ", "pyg", "g.pt")


if __name__ == "__main__":
    unittest.main()
