"""prepare.py from end to end: raw folders of every form become bundles that the program (print_graph) reads unchanged;
hostile and broken files end in one line and the right code. Run by ctest: test_prepare.py PRINT_GRAPH
"""
import http.server
import json
import os
import sys
import threading
import unittest
from pathlib import Path

try:
    import numpy as np
    import scipy.sparse as sp
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from prepare_case import Case  # puts data/ on the path

import bundle
import graph_formats
import pyg_graph
import raw_graphs
import sources
import web_graphs

REAL = next((Path(f) / "planetoid" for f in os.environ.get("PDADMM_DATA", "").split(":") if f and (Path(f) / "planetoid/ind.cora.x").is_file()), None)


class Planetoid(Case):
    def test_absent_nodes_order_and_edges(self):
        raw_graphs.write_planetoid(self.folder / "raw")
        b = self.made("toy", "--planetoid", "raw", "toy")
        self.assertEqual(b["labels"].tolist(), [0, 1, 0, 1, 0, 1, 0, -1, 0, 1])
        x = sp.csr_matrix((b["attr_data"], b["attr_indices"], b["attr_indptr"]), shape=b["attr_shape"]).toarray()
        self.assertEqual(x[:, 0].tolist(), [1, 2, 3, 4, 5, 6, 7, 0, 9, 10])
        self.assertEqual(b["train_idx"].tolist(), [0, 1, 2, 3])
        self.assertEqual(b["val_idx"].tolist(), [4, 5])
        self.assertEqual(b["test_idx"].tolist(), [9, 6, 8])
        a = sp.csr_matrix((np.ones(len(b["adj_indices"])), b["adj_indices"], b["adj_indptr"]), shape=b["adj_shape"]).toarray()
        self.assertEqual(sorted(zip(*map(list, np.nonzero(a)))), [(0, 1), (0, 2), (1, 0), (2, 0), (3, 3), (4, 7), (5, 9), (7, 4), (9, 5)])
        seen = self.seen("toy")
        self.assertEqual((seen["edges"], seen["self_loops"], seen["isolated"], seen["symmetric"]), (9, 1, 3, True))
        self.assertEqual((seen["train"], seen["val"], seen["test"]), (4, 2, 3))

    def test_hostile_pickles_are_refused_and_not_run(self):
        marker = self.folder / "owned"
        command = f"touch {marker}"
        hostile = {
            "system": b"\x80\x02cposix\nsystem\n" + raw_graphs.text(command) + b"\x85R.",
            "eval": b"\x80\x02c__builtin__\neval\n" + raw_graphs.text("1") + b"\x85R.",
            "stack_global": b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + b"\x8c" + bytes([len(command)]) + command.encode() + b"\x85R.",
            "inst": b"(" + raw_graphs.text(command) + b"iposix\nsystem\n.",
            "attribute": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
            "getattr": b"\x80\x02c__builtin__\ngetattr\n.",
            "persistent": b"\x80\x02Pposix\n.",
            "extension": b"\x80\x02\x82\x01.",
            "objects": raw_graphs.pickled(raw_graphs.array(np.zeros(1)).replace(b"U\x02f8", b"U\x02O8")),
            "truncated": raw_graphs.pickled(raw_graphs.matrix(sp.eye(3, format="csr")))[:-40],
            "memo": b"\x80\x02]r\xff\xff\xff\x7f.",
            "empty": b"",
            "number": b"\x80\x02K\x01.",
            "deep": b"\x80\x02" + b"]" * 100000 + b"a" * 99999 + b".",
        }
        for name, content in hostile.items():
            for part in ("allx", "graph", "y"):
                with self.subTest(name, part=part):
                    raw_graphs.write_planetoid(self.folder / "raw")
                    (self.folder / f"raw/ind.toy.{part}").write_bytes(content)
                    with self.assertRaises(graph_formats.Fail) as caught:
                        graph_formats.read_planetoid(self.folder / "raw", "toy")
                    self.assertNotIn("\n", str(caught.exception))
                    self.assertIn("ind.toy.", str(caught.exception))
        self.assertFalse(marker.exists())
        (self.folder / "raw/ind.toy.allx").write_bytes(hostile["system"])
        self.refused(3, "names posix.system, expected arrays only; nothing of it was run", "--planetoid", "raw", "toy")
        self.assertFalse(marker.exists())

    def test_wrong_parts_are_named(self):
        one_hot = lambda n: raw_graphs.pickled(raw_graphs.array(np.eye(2, dtype=np.int32)[[0] * n]))
        bad_csr = sp.csr_matrix(np.ones((6, 3), np.float32))
        bad_csr.indices = bad_csr.indices + 7
        broken = {
            "ally": (one_hot(5), "shapes do not fit"), "test.index": (b"9\n9\n8\n", "a node twice"), "allx": (raw_graphs.pickled(raw_graphs.matrix(bad_csr)), "index out of range"),
            "ty": (raw_graphs.pickled(raw_graphs.array(np.ones((3, 2), np.int32))), "not one-hot"),
            "graph": (raw_graphs.pickled(raw_graphs.neighbours({0: [10]})), "an edge leaves the nodes 0 to 9"),
        }
        for part, (content, words) in broken.items():
            with self.subTest(part):
                raw_graphs.write_planetoid(self.folder / "raw")
                (self.folder / f"raw/ind.toy.{part}").write_bytes(content)
                self.refused(3, words, "--planetoid", "raw", "toy")
        raw_graphs.write_planetoid(self.folder / "raw")
        (self.folder / "raw/ind.toy.test.index").write_text("9\n6\nx\n")
        self.refused(3, "ind.toy.test.index", "--planetoid", "raw", "toy")
        self.refused(3, "ind.gone.allx: No such file", "--planetoid", "raw", "gone")

    @unittest.skipUnless(REAL, "no planetoid/ind.cora.* in a folder of PDADMM_DATA")
    def test_real_counts(self):
        for name, edges, loops, isolated, unlabelled, split in (("cora", 10556, 0, 0, 0, (140, 500, 1000)), ("citeseer", 9228, 124, 48, 15, (120, 500, 1000))):
            with self.subTest(name):
                done = self.prepare(name, data=REAL.parent)
                self.assertEqual(done.returncode, 0, done.stderr)
                seen = self.seen(name)
                self.assertEqual((seen["edges"], seen["self_loops"], seen["isolated"], seen["symmetric"]), (edges, loops, isolated, True))
                self.assertEqual((seen["train"], seen["val"], seen["test"]), split)
                with np.load(self.folder / f"out/{name}.npz") as b:
                    self.assertEqual(int((b["labels"] < 0).sum()), unlabelled)
                    self.assertEqual(np.bincount(b["labels"][b["train_idx"]]).tolist(), [20] * len(np.unique(b["labels"][b["labels"] >= 0])))
                for file in sources.SOURCES[name].files:
                    self.assertEqual(sources.sha256(REAL / file), sources.SHA256[file])


class OtherForms(Case):
    def test_graphsaint(self):
        raw_graphs.write_graphsaint(self.folder / "raw")
        b = self.made("toy", "--graphsaint", "raw", "toy")
        self.assertEqual(b["features"].dtype, np.float32)
        self.assertEqual(b["features"].tolist(), np.arange(10).reshape(5, 2).tolist())
        self.assertEqual(b["labels"].tolist(), [0, 1, 0, 1, -1])
        self.assertEqual([b[f"{p}_idx"].tolist() for p in ("train", "val", "test")], [[0, 3], [1], [2]])
        seen = self.seen("toy")
        self.assertEqual((seen["nodes"], seen["edges"], seen["isolated"], seen["feature_sum"]), (5, 6, 1, 45))

    def test_several_labels_a_node(self):
        wanted = [[0, 0, 1], [1, 1, 1], [0, 1, 1], [1, 1, 1], [-1, -1, -1]]
        raw = raw_graphs.write_graphsaint(self.folder / "raw", multi_label=True)
        b = self.made("toy", "--graphsaint", "raw", "toy")
        self.assertEqual((b["labels"].tolist(), b["classes"].tolist()), (wanted, [3]))
        self.assertEqual(self.seen("toy")["classes"], 3)
        self.assertEqual(self.seen("toy", raw)["digest"], self.seen("toy")["digest"])  # as the program itself reads the folder
        (raw / "class_map.json").write_text('{"0": [0, 1], "1": [1, 2]}')
        self.refused(3, "lists of labels of unequal length, or with others than 0 and 1", "--graphsaint", "raw", kept=["toy.npz"])

    def test_ogb_with_several_labels(self):
        tiny = raw_graphs.write_ogb(self.folder / "tiny")
        raw_graphs.write_csv(tiny / "raw/node-label.csv.gz", [[0, 1], [1, 1], [0, 0], ["nan", "nan"]])
        self.assertEqual(self.made("tiny", "--ogb", "tiny")["labels"].tolist(), [[0, 1], [1, 1], [0, 0], [-1, -1]])
        (tiny / "raw/node-feat.csv.gz").unlink()  # proteins: a node's features are the mean of its edges'
        raw_graphs.write_csv(tiny / "raw/edge-feat.csv.gz", [[1, 0], [2, 4], [3, 0], [6, 8]])  # edges 2-0, 0-1, 2-1, 0-1
        self.assertEqual(self.made("tiny", "--ogb", "tiny")["features"].tolist(), np.float32([[3, 4], [11 / 3, 4], [2, 0], [0, 0]]).tolist())

    def test_graphsaint_refusals(self):
        raw = raw_graphs.write_graphsaint(self.folder / "raw")
        (raw / "role.json").write_text('{"tr": [0], "va": [1]}')
        self.refused(3, "role.json", "--graphsaint", "raw")
        (raw / "role.json").write_text('{"tr": [0], "va": [0], "te": [1]}')
        self.refused(3, "val nodes: out of range, twice, in two parts, or unlabelled", "--graphsaint", "raw")
        raw_graphs.write_graphsaint(raw)
        (raw / "class_map.json").write_text('{"9": 1}')
        self.refused(3, "node 9, expected 0 to 4", "--graphsaint", "raw")
        raw_graphs.write_graphsaint(raw)
        np.save(raw / "feats.npy", np.array([[{}]] * 5, dtype=object), allow_pickle=True)
        self.refused(3, "feats.npy", "--graphsaint", "raw")
        raw_graphs.write_graphsaint(raw)
        np.save(raw / "feats.npy", np.full((5, 2), np.nan))
        self.refused(3, "a feature is not finite", "--graphsaint", "raw")
        (raw / "adj_full.npz").write_bytes(b"PK\x03\x04 no")
        self.refused(3, "adj_full.npz", "--graphsaint", "raw")

    def test_ogb(self):
        raw_graphs.write_ogb(self.folder / "tiny")
        b = self.made("tiny", "--ogb", "tiny")
        self.assertEqual(b["labels"].tolist(), [0, 2, 1, -1])
        self.assertEqual(b["adj_indptr"].tolist(), [0, 2, 2, 4, 4])
        self.assertEqual(b["adj_indices"].tolist(), [1, 1, 0, 1])
        self.assertEqual([b[f"{p}_idx"].tolist() for p in ("train", "val", "test")], [[0], [2], [1]])
        seen = self.seen("tiny")
        self.assertEqual((seen["edges"], seen["isolated"], seen["symmetric"], seen["classes"]), (3, 1, False, 3))

    def test_ogb_refusals(self):
        raw = raw_graphs.write_ogb(self.folder / "tiny")
        raw_graphs.write_csv(raw / "raw/node-label.csv.gz", [[0, "nan"]] * 4)
        self.refused(3, "or -1 in a whole row", "--ogb", "tiny")
        raw_graphs.write_ogb(raw)
        raw_graphs.write_csv(raw / "raw/edge.csv.gz", [[0, 4]])
        self.refused(3, "edge to node 4, expected 0 to 3", "--ogb", "tiny")
        raw_graphs.write_csv(raw / "raw/edge.csv.gz", [[0, 1], [1]])
        self.refused(3, "edge.csv.gz", "--ogb", "tiny")
        (raw / "raw/edge.csv.gz").write_bytes(b"no gzip")
        self.refused(3, "edge.csv.gz", "--ogb", "tiny")

    def test_shchur(self):
        (self.folder / "raw/npz").mkdir(parents=True)
        a = sp.csr_matrix((np.ones(3, np.float32), ([0, 1, 3], [1, 2, 3])), shape=(4, 4))
        x = sp.csr_matrix(np.arange(8, dtype=np.float32).reshape(4, 2))
        path = self.folder / "raw/npz/amazon_electronics_photo.npz"
        np.savez(path, adj_data=a.data, adj_indices=a.indices, adj_indptr=a.indptr, adj_shape=a.shape, attr_data=x.data, attr_indices=x.indices, attr_indptr=x.indptr,
                 attr_shape=x.shape, labels=np.array([0, 1, 1, 0], np.int8), class_names=np.array(["a", "b"]))
        graph = graph_formats.read_shchur(path)
        self.assertEqual((graph.indices.tolist(), graph.y.tolist(), graph.weights), ([1, 2, 3], [0, 1, 1, 0], None))
        self.refused(3, "photo: 4 nodes, 2 features, 2 classes, expected 7650, 745, 8", "photo", data=self.folder / "raw")

    def test_heterophilous_refusals(self):
        np.savez(self.folder / "bare.npz", node_features=np.ones((4, 2)))
        self.refused(3, "no array node_labels", "--heterophilous", self.folder / "bare.npz")

    def test_heterophilous(self):
        train = np.array([[True, False, False, False], [False, True, True, False]])  # two splits
        val = np.array([[False, True, False, False], [True, False, False, False]])
        x = np.array([[1, 0], [0, 2], [3, 0], [0, 0.5]], np.float32)
        np.savez(self.folder / "ring.npz", node_features=x, node_labels=np.array([0, 1, 0, 1]), edges=np.array([[0, 1], [1, 2], [2, 3]]),
                 train_masks=train, val_masks=val, test_masks=~(train | val))
        made = self.made("ring", "--heterophilous", self.folder / "ring.npz", "--split-column", 1)
        self.assertEqual([list(made[f"{part}_idx"]) for part in ("train", "val", "test")], [[1, 2], [0], [3]])
        self.assertEqual(list(made["adj_indptr"]), [0, 1, 2, 3, 3])
        self.assertEqual(list(made["adj_indices"]), [1, 2, 3])
        self.assertEqual(list(made["labels"]), [0, 1, 0, 1])

    def test_every_split_is_kept(self):
        train = np.array([[True, False, False, False], [False, True, True, False]])
        val = np.array([[False, True, False, False], [True, False, False, False]])
        content = dict(node_features=np.ones((4, 2)), node_labels=np.array([0, 1, 0, 1]), edges=np.array([[0, 1]]), train_masks=train, val_masks=val, test_masks=~(train | val))
        np.savez(self.folder / "ring.npz", **content)
        made = self.made("ring", "--heterophilous", "ring.npz")
        self.assertEqual([made[f"{part}_masks"].tolist() for part in ("train", "val", "test")], [train.tolist(), val.tolist(), (~(train | val)).tolist()])
        self.assertNotIn("train_idx", made)
        seen = self.seen("ring")  # the first of them
        self.assertEqual((seen["train"], seen["val"], seen["test"]), (1, 1, 2))
        self.refused(2, "masks of 2 splits, expected --split-column from 0 to 1", "--heterophilous", "ring.npz", "other", "--split-column", 2, kept=["ring.npz"])
        np.savez(self.folder / "bad.npz", **{**content, "test_masks": train})
        self.refused(3, "masks of splits: of another length, overlapping", "--heterophilous", "bad.npz", kept=["ring.npz"])

    def test_wikics(self):
        content = {"features": [[1, 0], [0, 2], [3, 4]], "labels": [0, 1, 1], "links": [[1, 2], [], [0]], "train_masks": [[True, False, False], [False, True, False]],
                   "val_masks": [[False, True, False], [True, False, False]], "stopping_masks": [[False] * 3] * 2, "test_mask": [False, False, True]}
        path = self.folder / "data.json"
        path.write_text(json.dumps(content))
        graph = pyg_graph.graph_from_pyg(web_graphs.read_wikics(path))
        self.assertEqual((graph.indptr.tolist(), graph.indices.tolist(), graph.y.tolist()), ([0, 2, 2, 3], [1, 2, 0], [0, 1, 1]))
        self.assertEqual({part: mask.tolist() for part, mask in graph.splits.items()}, {
            "train": content["train_masks"], "val": content["val_masks"], "test": [[False, False, True]] * 2})
        self.assertEqual(pyg_graph.graph_from_pyg(web_graphs.read_wikics(path), 1).splits["train"].tolist(), [1])
        for broken in ({"links": [[1]]}, {"features": "x"}, {"links": [["a"]]}):
            path.write_text(json.dumps({**content, **broken} if broken != {"links": [[1]]} else broken))
            with self.assertRaisesRegex(graph_formats.Fail, "data.json: .*expected features, labels, links"):
                web_graphs.read_wikics(path)

    def test_mag(self):
        for name, rows in {"raw/node-feat/paper/node-feat": [[1, 2], [3, 4], [5, 6]], "raw/node-label/paper/node-label": [[0], [2], [1]], "raw/relations/paper___cites___paper/edge": [[0, 1], [2, 1]],
                           "split/time/paper/train": [[1]], "split/time/paper/valid": [[0]], "split/time/paper/test": [[2]]}.items():
            path = self.folder / f"mag/{name}.csv.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            raw_graphs.write_csv(path, rows)
        self.refused(3, "mag: 3 nodes, 2 features, 3 classes, expected 736389, 128, 349", "mag", data=self.folder)
        graph = web_graphs.read_mag(self.folder / "mag")
        self.assertEqual((graph.indptr.tolist(), graph.indices.tolist(), graph.y.tolist(), graph.splits["test"].tolist()), ([0, 1, 1, 2], [1, 1], [0, 2, 1], [2]))

    @unittest.skipUnless(REAL and (REAL.parent / "npz/texas.npz").is_file(), "no npz/texas.npz in a folder of PDADMM_DATA")
    def test_real_heterophilous_graphs(self):
        for name, nodes, edges, split in (("texas", 183, 279, (87, 59, 37)), ("actor", 7600, 26659, (3648, 2432, 1520)), ("minesweeper", 10000, 39402, (5000, 2500, 2500))):
            done = self.prepare(name, data=REAL.parent)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("10 splits kept", done.stdout)
            seen = self.seen(name)
            self.assertEqual((seen["nodes"], seen["edges"], seen["self_loops"], (seen["train"], seen["val"], seen["test"])), (nodes, edges, 0, split))

    def test_pyg_objects(self):
        mask = np.zeros((4, 2), bool)
        mask[1, 1] = True
        graph = pyg_graph.graph_from_pyg({"x": np.eye(4), "edge_index": np.array([[0, 3], [1, 0]]), "y": np.array([[0], [1], [1], [0]]), "train_mask": mask}, 1)
        self.assertEqual((graph.indptr.tolist(), graph.indices.tolist(), graph.splits["train"].tolist(), graph.classes), ([0, 1, 1, 1, 2], [1, 0], [1], 2))
        bundle.bundle_arrays(graph)
        for missing in ("x", "edge_index", "y"):
            parts = {"x": np.eye(4), "edge_index": np.zeros((2, 1), int), "y": np.zeros(4, int)}
            del parts[missing]
            with self.assertRaisesRegex(graph_formats.Fail, f"has no {missing}"):
                pyg_graph.graph_from_pyg(parts)


class CommandLine(Case):
    def test_wrong_use(self):
        for words, arguments in (("which data set?", []), ("unknown data set", ["nope"]), ("unrecognized arguments", ["--frobnicate"]),
                                 ("not allowed with", ["--ogb", "a", "--graphsaint", "b"]), ("expected letters, digits", ["--ogb", "a", "../x"])):
            self.refused(2, words, *arguments)

    def test_what_is_not_to_be_had(self):
        """One line says which files to put where, or why a data set does not fit."""
        self.refused(3, "reddit: put adj_full.npz, feats.npy, class_map.json, role.json in reddit/ below a folder of PDADMM_DATA", "reddit")
        self.refused(3, "mag: no mag.zip in the folders of PDADMM_DATA, and --offline was given; put the unpacked mag.zip (raw/ and split/) in mag/", "mag", "--offline")
        self.refused(3, "yelp: put adj_full.npz, feats.npy, class_map.json, role.json in yelp/", "yelp")
        self.refused(3, "which works on disk", "papers100M")

    def test_missing_offline(self):
        self.refused(3, "pubmed: no ind.pubmed.x", "pubmed", "--offline")

    def test_output_that_cannot_be_written(self):
        raw_graphs.write_graphsaint(self.folder / "raw")
        (self.folder / "file").write_text("")
        self.refused(5, "cannot be written", "--graphsaint", "raw", "--out", "file")
        (self.folder / "taken/raw.npz").mkdir(parents=True)
        self.refused(5, "cannot be written", "--graphsaint", "raw", "--out", "taken")
        self.assertEqual(os.listdir(self.folder / "taken"), ["raw.npz"])

    def test_same_bytes_every_time(self):
        raw_graphs.write_graphsaint(self.folder / "raw")
        self.made("raw", "--graphsaint", "raw")
        first = (self.folder / "out/raw.npz").read_bytes()
        self.made("raw", "--graphsaint", "raw")
        self.assertEqual((self.folder / "out/raw.npz").read_bytes(), first)


class Server(http.server.BaseHTTPRequestHandler):
    content, cut, requests = b"", None, []

    def do_GET(self):
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.requests.append(start)
        if self.path == "/gone":
            return self.send_error(404)
        if start >= len(self.content):
            return self.send_error(416)
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        end, Server.cut = Server.cut, None
        self.wfile.write(self.content[start:end])

    def log_message(self, *_):
        pass


class Download(Case):
    def setUp(self):
        super().setUp()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.address = f"http://127.0.0.1:{self.server.server_port}/file"
        Server.content, Server.cut, Server.requests = b"PK" + bytes(range(256)) * 500, None, []
        self.stderr, sys.stderr = sys.stderr, open(os.devnull, "w")
        self.addCleanup(lambda: (sys.stderr.close(), setattr(sys, "stderr", self.stderr)))

    def test_interrupted_downloads_resume(self):
        Server.cut = 1000
        sources.fetch_file("a.zip", (self.address,), self.folder, 3)
        self.assertEqual((self.folder / "a.zip").read_bytes(), Server.content)
        self.assertEqual(Server.requests, [0, 1000])
        self.assertEqual(os.listdir(self.folder), ["a.zip"])

    def test_a_complete_part_is_fetched_anew(self):
        (self.folder / "a.zip.part").write_bytes(Server.content)
        sources.fetch_file("a.zip", (self.address,), self.folder, 3)
        self.assertEqual((self.folder / "a.zip").read_bytes(), Server.content)

    def test_wrong_checksums_and_pages_are_refused(self):
        with self.assertRaisesRegex(graph_formats.Fail, "ind.cora.x: .* SHA-256 .*, expected 23cfa55d"):
            sources.fetch_file("ind.cora.x", (self.address,), self.folder, 3)
        Server.content = b"\n<!DOCTYPE html><p>Sign in"
        with self.assertRaisesRegex(graph_formats.Fail, "a web page came instead"):
            sources.fetch_file("a.zip", (self.address,), self.folder, 3)
        self.assertEqual(os.listdir(self.folder), [])

    def test_the_next_address_is_tried(self):
        sources.fetch_file("a.zip", (self.address.replace("file", "gone"), self.address), self.folder, 3)
        self.assertEqual((self.folder / "a.zip").read_bytes(), Server.content)
        with self.assertRaisesRegex(graph_formats.Fail, "Not Found.*fetch it by other means"):
            sources.fetch_file("b.zip", (self.address.replace("file", "gone"),), self.folder, 3)


if __name__ == "__main__":
    unittest.main()
