#!/usr/bin/env python3
"""pdadmm augment into a folder: every form of a graph gives X of the way in memory; killed at random moments, out of room,
short of memory or damaged it says so in one line and goes on with the same command; training goes on from the folder."""
import array
import gzip
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import time
import unittest
import zipfile

from cli_case import Case, NET, PROGRAM, RANDOM, SANITIZED, bundle, npy, npy_bytes

NODES, WIDTH = 400, 7
MADE_UP = "sbm:nodes=20000,features=24,degree=12,exponent=2.5"


def graph():
    """Edges in one direction with repeats and loops, features, labels (some -1), parts."""
    edges = [(RANDOM.randrange(NODES), RANDOM.randrange(NODES - 20)) for _ in range(3 * NODES)]
    features = [RANDOM.uniform(-1, 1) for _ in range(NODES * WIDTH)]
    labels = [i % 3 if i % 10 else -1 for i in range(NODES)]
    known = [i for i in range(NODES) if labels[i] >= 0]
    RANDOM.shuffle(known)
    return edges, features, labels, (known[:60], known[60:120], known[120:300])


def compressed(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name + ".npy", data)
    return out.getvalue()


class Large(Case):
    def both_ways(self, dataset, *options):
        """X of the split's nodes by way of memory and of disk, as {node: row}."""
        self.ok("augment", "--dataset", dataset, "--hops", 3, "--no-cache", "--out", "x.npy", "--rows", "rows.npy", *options)
        self.ok("augment", "--dataset", dataset, "--hops", 3, "--out", "folder", "--memory", "90M", *options)
        (count, width), X = npy(self.folder / "x.npy")
        nodes = npy(self.folder / "rows.npy")[1][::3]
        self.assertEqual(npy(self.folder / "folder/nodes.npy")[1], nodes)
        self.assertFalse((self.folder / "folder/work").exists())
        (rows, inputs), Y = npy(self.folder / "folder/X.npy")
        self.assertEqual((rows, inputs), (count, width))
        here, there = ({node: values[k * width:(k + 1) * width] for k, node in enumerate(nodes)} for values in (X, Y))
        for file in (self.folder / "folder").iterdir():
            file.unlink()
        return here, there

    def test_every_form_gives_the_bits_of_memory(self):
        edges, features, labels, parts = graph()
        ids = [node for edge in edges for node in edge]
        ends = [a for a, _ in edges] + [b for _, b in edges]
        x = npy_bytes("<f4", features, (NODES, WIDTH))
        split = {f"{name}_idx": npy_bytes("<i8", part) for name, part in zip(("train", "val", "test"), parts)}
        rows = [[] for _ in range(NODES)]
        for a, b in edges:
            rows[a].append(b)
        starts = [0]
        for row in rows:
            starts.append(starts[-1] + len(row))
        csr = dict(adj_indptr=npy_bytes("<i8", starts), adj_indices=npy_bytes("<i4", [b for row in rows for b in row]),
                   adj_shape=npy_bytes("<i8", [NODES, NODES]), features=x, labels=npy_bytes("<i8", labels), **split)
        bundle(self.folder / "rows.npz", **csr)
        bundle(self.folder / "weights.npz", adj_data=npy_bytes("<f4", [RANDOM.choice((0.5, 1, 3)) for _ in edges]), **csr)
        plain = dict(x=x, y=npy_bytes("<i8", labels), **split)
        (self.folder / "list.npz").write_bytes(compressed({"edge_index": npy_bytes("<i8", ends, (2, len(edges))), **plain}))
        (self.folder / "pairs.npz").write_bytes(compressed({"edges": npy_bytes("<i4", ids, (len(edges), 2)), **plain}))
        table = self.folder / "table"
        table.mkdir()
        with gzip.open(table / "edge.csv.gz", "wt") as out:
            out.writelines(f"{a},{b}\n" for a, b in edges)
        for name, data in {"features": x, "labels": npy_bytes("<i8", labels), **split}.items():
            (table / f"{name}.npy").write_bytes(data)
        ogb = self.folder / "ogb"
        for part in ("raw", "split/time"):
            (ogb / part).mkdir(parents=True)
        (ogb / "raw/data.npz").write_bytes(compressed({"edge_index": npy_bytes("<i8", ends, (2, len(edges))), "node_feat": x,
                                                       "num_nodes_list": npy_bytes("<i8", [NODES])}))
        (ogb / "raw/node-label.npz").write_bytes(compressed({"node_label": npy_bytes("<f4", [float(v) if v >= 0 else float("nan") for v in labels],
                                                                                     (NODES, 1))}))
        for name, part in zip(("train", "valid", "test"), parts):
            with gzip.open(ogb / f"split/time/{name}.csv.gz", "wt") as out:
                out.writelines(f"{node}\n" for node in part)
        known = {}
        for form in ("rows.npz", "list.npz", "pairs.npz", "table", "ogb", "weights.npz"):
            for options in ([], ["--directed", "--self-loops", "keep", "--augment", "gcn,row"])[:1 if form == "ogb" else 2]:
                with self.subTest(form=form, options=options):
                    here, there = self.both_ways("./" + form, *options)
                    self.assertEqual(here, there)
                    if form != "weights.npz":
                        self.assertEqual(known.setdefault(len(options), there), there)

    def test_arrays_that_do_not_agree(self):
        edges, features, labels, parts = graph()
        weights, loops = [1.0 + k % 3 for k in range(len(edges))], list(range(NODES))
        ends = npy_bytes("<i8", [a for a, _ in edges] + [b for _, b in edges], (2, len(edges)))
        whole = {"features": npy_bytes("<f4", features, (NODES, WIDTH)), "labels": npy_bytes("<i8", labels), "train_idx": npy_bytes("<i8", parts[0])}
        rows = dict(adj_indptr=npy_bytes("<i8", [*loops, NODES]), adj_indices=npy_bytes("<i4", loops), adj_shape=npy_bytes("<i8", [NODES, NODES]))
        forms = {"few": [weights[:-1]], "many": [weights + [1.0]], "wide": [weights + weights, (len(edges), 2)], "one": [[1.0], ()]}
        cases = []
        for name, values in forms.items():
            bundle(self.folder / f"{name}.npz", **dict.fromkeys(rows), edge_index=ends, edge_weight=npy_bytes("<f4", *values), **whole)
            (self.folder / name).mkdir()
            (self.folder / name / "edge.csv").write_text("".join(f"{a},{b}\n" for a, b in edges))
            for member, data in {"edge_weight": npy_bytes("<f4", *values), **whole}.items():
                (self.folder / name / f"{member}.npy").write_bytes(data)
            cases += [(f"{name}.npz", "edge_weight"), (name, "edge_weight")]
        for name, member, data in (("few-data", "data", npy_bytes("<f4", [1.0] * (NODES - 1))), ("many-data", "data", npy_bytes("<f4", [1.0] * (NODES + 1))),
                                   ("one-start", "indptr", npy_bytes("<i8", [0], ())), ("one-column", "indices", npy_bytes("<i4", [0], ())),
                                   ("wide-columns", "indices", npy_bytes("<i4", loops, (NODES // 2, 2)))):
            bundle(self.folder / f"{name}.npz", **{**rows, f"adj_{member}": data}, **whole)
            cases.append((f"{name}.npz", member))
        for form, word in cases:
            with self.subTest(form=form):
                for out in ("x.npy", "x"):
                    self.refused(3, word, "augment", "--dataset", "./" + form, "--hops", 2, "--split", "stored", "--no-cache", "--out", out)
        (self.folder / "few/edge_weight.npy").unlink()
        (self.folder / "few/features.npy").write_bytes(npy_bytes("<f4", [*features[:8], float("nan"), *features[9:]], (NODES, WIDTH)))
        for out in ("x.npy", "folder"):  # found behind the graph; mended, the same folder serves
            self.refused(3, "features.npy: value nan at row 1, column 1", "augment", "--dataset", "./few", "--split", "stored", "--no-cache", "--out", out)
        self.assertEqual(os.listdir(self.folder / "folder"), [])
        (self.folder / "few/features.npy").write_bytes(whole["features"])
        self.both_ways("./few", "--split", "stored")
        (self.folder / "few/edge.csv").write_text("\n".join(",".join(str(edge[end]) for edge in edges) for end in (0, 1)))
        self.both_ways("./few", "--split", "stored")

    def killed(self, wait, *arguments):
        """Whether a command was killed after so many seconds; if not, it was done before."""
        job = subprocess.Popen([PROGRAM, *arguments], cwd=self.folder, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            job.wait(wait)
        except subprocess.TimeoutExpired:
            job.send_signal(RANDOM.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
            if job.wait(300) in (-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM):
                return True
        self.assertEqual(job.returncode, 0)
        return False

    def test_killed_at_random_moments(self):
        command = ["augment", "--dataset", MADE_UP, "--hops", "4", "--memory", "80M", "--out"]
        began = time.monotonic()
        self.ok(*command, "whole")
        took = time.monotonic() - began
        kills, share = 0, 1.0
        for _ in range(60):
            if self.killed(RANDOM.uniform(0.02, 0.6) * took * share, *command, "killed"):
                kills += 1
            elif kills > 2:
                break
            else:  # done too soon: once more from the beginning, with shorter waits
                shutil.rmtree(self.folder / "killed")
                kills, share = 0, share / 2
            if kills == 8:
                break
        self.assertGreater(kills, 2)
        self.ok(*command, "killed")
        self.assertEqual(sorted(os.listdir(self.folder / "whole")), sorted(os.listdir(self.folder / "killed")))
        for name in ("X.npy", "nodes.npy", "labels.npy", "train_idx.npy", "augmented.json"):
            self.assertEqual((self.folder / "whole" / name).read_bytes(), (self.folder / "killed" / name).read_bytes(), name)
        self.assertIn("there already, whole", self.ok(*command, "killed").stderr)
        self.refused(2, "another graph or with other options", *command, "killed", "--norm", "row")

    def test_out_of_room_short_of_memory_and_damaged(self):
        command = ["augment", "--dataset", MADE_UP, "--hops", "4", "--out", "x"]
        self.refused(4, ["--memory: 20.0 MiB, expected at least", "give more"], *command, "--memory", "20M")
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1500000, 1500000))  # noqa: E731: full after the graph
        self.refused(5, ["features: cannot be written", "give the same command again, which goes on"], *command, preexec_fn=limit)
        part = self.folder.joinpath("x", "work", "graph-columns")
        good = part.read_bytes()
        part.write_bytes(good[:-4])
        self.refused(3, ["graph-columns", "remove the folder and start again"], *command)
        part.write_bytes(good[:1000] + bytes([good[1000] ^ 8]) + good[1001:])
        self.refused(3, ["graph-columns", "damaged"], *command)
        part.write_bytes(good)
        left = self.folder.joinpath("x", ".pdadmm-tmp-1-0")  # X of a command that was killed while it wrote it
        left.write_bytes(good)
        space = lambda: resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20))  # noqa: E731
        self.ok(*command, "--threads", 2, "--memory", "100M", preexec_fn=None if SANITIZED else space)  # sanitizers take all addresses
        self.assertFalse(left.exists())
        self.refused(2, ["--out", "new or empty folder"], "augment", "--dataset", MADE_UP, "--out", ".")
        (self.folder / "mine/work").mkdir(parents=True)
        self.folder.joinpath("mine", "work", "notes").write_text("a user's")
        self.refused(2, "mine holds work/notes", "augment", "--dataset", MADE_UP, "--out", "mine")
        self.assertEqual(os.listdir(self.folder / "mine/work"), ["notes"])
        for words, arguments in (("--memory: '3X'", ["--out", "y", "--memory", "3X"]), ("--rows: with a folder", ["--out", "y", "--rows", "r.npy"]),
                                 ("--memory: with the file", ["--out", "y.npy", "--memory", "1G"]), ("--shape: without --plan", ["--shape", "nodes=3"])):
            self.refused(2, words, "augment", "--dataset", MADE_UP, *arguments)

    @unittest.skipIf(SANITIZED, "sanitizers take all addresses")
    def test_too_little_memory_names_the_way_on_disk(self):
        graph = "sbm:nodes=200000,features=128"
        rest = ["--no-cache", "--threads", "1"]
        words = ["; on disk it takes little memory: pdadmm augment --dataset ", "--norm=row", "--out FOLDER, then --dataset FOLDER"]
        limit = lambda bytes: lambda: resource.setrlimit(resource.RLIMIT_AS, (bytes, bytes))  # noqa: E731
        self.refused(4, words, "augment", "--dataset", graph, "--norm", "row", "--out", "x.npy", *rest, preexec_fn=limit(300 << 20))
        zeros, count = bytes(4 * 128), 400000
        with zipfile.ZipFile(self.folder / "big.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            with archive.open("features.npy", "w") as out:
                out.write(npy_bytes("<f4", [], (count, 128)))
                for _ in range(count):
                    out.write(zeros)
            archive.writestr("edge_index.npy", npy_bytes("<i8", [0, 1], (2, 1)))
        self.refused(3, ["features.npy: 204800128 bytes", *words], "train", "--dataset", "./big.npz", "--norm", "row", *rest, preexec_fn=limit(400 << 20))

    def test_plans(self):
        shape = "nodes=111059956,edges=1615685872,features=128,rows=1546782"
        plan = self.ok("augment", "--plan", "--shape", shape, "--memory", "24G").stdout
        self.assertIn("3231371744 entries at most", plan)
        self.assertRegex(plan, r"slabs +3 of 40, 44, 44 features, 4 hops each: 12 passes")
        self.assertIn("X 3.69 GiB", plan)
        self.assertIn("X 1.84 GiB", self.ok("augment", "--plan", "--shape", shape, "--memory", "24G", "--store", "bf16").stdout)
        self.assertIn("of 1600 nodes", self.ok("augment", "--plan", "--dataset", MADE_UP).stdout)
        self.assertFalse((self.folder / "x").exists())
        self.refused(2, "--shape: 'edge", "augment", "--plan", "--shape", "edge=3")

    def test_training_goes_on_from_the_folder(self):
        graph = "sbm:nodes=600,classes=3,features=10,seed=4"
        augment = ["--hops", "3", "--feature-norm", "l2"]
        self.ok("augment", "--dataset", graph, *augment, "--out", "x")
        train = ["train", *NET, "--threads", "1", "-q"]
        self.ok(*train, "--dataset", graph, *augment, "--no-cache", "--out", "memory")
        self.assertIn("; X, 0.00 GiB, is read from its file", self.ok(*train[:-1], "--dataset", "x", "--out", "disk").stderr)
        figures = [[{k: v for k, v in json.loads(line).items() if "seconds" not in k and k != "ms"} for line in
                    (self.folder / run / "metrics.jsonl").read_text().splitlines()] for run in ("memory", "disk")]
        self.assertEqual([row.get("objective") for row in figures[0]], [row.get("objective") for row in figures[1]])
        evaluate = [self.ok("evaluate", "--model", "disk", "--dataset", data).stdout.split("\n", 1)[1] for data in (graph, "x")]
        self.assertEqual(*evaluate)
        self.ok("augment", "--dataset", graph, *augment, "--out", "half", "--store", "bf16")
        exact, rounded = ((self.folder / name / "X.npy").read_bytes() for name in ("x", "half"))
        self.assertEqual((rounded[:8], rounded.count(b"<u2")), (exact[:8], 1))
        begin, values = exact.index(b"\n") + 1, array.array("I")
        values.frombytes(exact[begin:])
        self.assertEqual(array.array("H", [(bits + 0x7FFF + (bits >> 16 & 1)) >> 16 for bits in values]).tobytes(), rounded[begin:])
        for split in ("stored", "random:20/60/100"):  # all rows in order, and a few by themselves
            ends = []
            for data in ("x", "half"):
                self.ok(*train, "--dataset", data, "--split", split, "--out", f"{data}-{split[:6]}")
                ends.append(json.loads((self.folder / f"{data}-{split[:6]}/metrics.jsonl").read_text().splitlines()[-1])["objective"])
            self.assertNotEqual(*ends)
            self.assertAlmostEqual(ends[0] / ends[1], 1, delta=0.02)
        for split, words in (("stored", "are read from their file"), ("random:20/60/100", "come before it")):
            self.assertIn(words, self.ok("plan", *NET, "--dataset", "x", "--split", split).stdout)
        self.refused(2, ["made with hops 3", "augment anew"], *train, "--dataset", "x", "--hops", "4")
        X = bytearray((self.folder / "x/X.npy").read_bytes())
        X[5000] ^= 1
        (self.folder / "x/X.npy").write_bytes(X)
        self.refused(3, ["X.npy", "damaged"], *train, "--dataset", "x")
        (self.folder / "x/X.npy").write_bytes(X[:-1])
        self.refused(3, ["X.npy", f"{len(X) - 1} bytes, expected {len(X)}"], *train, "--dataset", "x")


if __name__ == "__main__":
    unittest.main()
