"""pdadmm plan, and where pdadmm train puts layers and what it says about it: --placement, --trace, --check-replicas, bytes over borders.
Run by ctest: FILE PDADMM [TESTS]"""
import json
import unittest

from cli_case import Case

TRAIN = 60  # nodes
NET = ["--dataset", "sbm:nodes=300,classes=3,features=16,degree=6,seed=1", "--split", "random:20/60/100", "--hops", "2", "--preset", "none", "--layers", "6",
       "--grow", "2", "--hidden", "10", "--epochs", "6,8", "--eval-every", "4"]
CODED = ["--quantize", "pq", "--bits", "4"]
PLAIN_BYTES = 4 * 10 * TRAIN  # of one message: fp32, (10, 60)
CODED_BYTES = 10 * TRAIN // 2 + 8  # codes of 4 bits, and a header of two fp32
PHASES = ["before_q", "wait_q", "decode_q", "update_p", "before_p", "wait_p", "decode_p", "close", "figures", "gather"]


class Plan(Case):
    def plan(self, *arguments):
        return json.loads(self.ok("plan", *NET, "--json", *arguments).stdout)

    def test_layers_messages_and_memory(self):
        one_bit = ["--quantize", "pq", "--bits", "1"], 10 * TRAIN // 8 + 8
        for codec, each in (([], PLAIN_BYTES), (CODED, CODED_BYTES), one_bit, (["--quantize", "p", "--codec", "grid"], None)):
            plan = self.plan("--ranks", "3", *codec)
            p, q = (10 * TRAIN, PLAIN_BYTES) if each is None else (each, each)  # 22 levels: a byte each; q stays fp32
            self.assertEqual([(b["p_bytes"], b["q_bytes"], b["bytes"]) for b in plan["borders"]], [(p, q, p + q)] * 2)
        self.assertEqual((plan["layers"], plan["hidden"], plan["inputs"], plan["training_nodes"]), (6, 10, 32, TRAIN))
        self.assertEqual(plan["stages"][0], [1, 1, 0])
        self.assertEqual(plan["stages"][1], [rank["layers"] for rank in plan["ranks"]])
        self.assertAlmostEqual(sum(rank["cost"] for rank in plan["ranks"]), 1)
        self.assertEqual(plan["needed_bytes"], sum(rank["memory_bytes"] for rank in plan["ranks"]))
        self.assertEqual(plan["features_bytes"], 4 * 32 * (60 + 60 + 100))
        self.assertLess(plan["needed_bytes"], plan["free_bytes"])

    def test_placements(self):
        self.assertEqual(self.plan("--ranks", "4", "--placement", "uniform")["stages"], [[1, 1, 0, 0], [2, 2, 1, 1]])
        self.assertEqual(self.plan("--ranks", "3", "--placement", "1,4,1")["stages"], [[1, 1, 0], [1, 4, 1]])
        self.assertEqual([b["after_layer"] for b in self.plan("--ranks", "3", "--placement", "1,4,1")["borders"]], [1, 5])
        self.assertEqual(self.plan()["borders"], [])

    def test_closed_forms(self):
        steps, block = self.plan("--ranks", "3"), self.plan("--ranks", "3", "--step", "block", "--decay-to", "identity")
        self.assertEqual(block["borders"], steps["borders"])
        for rank in (1, 2):  # Gram matrices, inverses, and where p goes
            self.assertGreater(block["ranks"][rank]["memory_bytes"], steps["ranks"][rank]["memory_bytes"])
        self.assertLess(block["ranks"][0]["cost"], steps["ranks"][0]["cost"])  # p and the inverses are other layers' work
        self.assertAlmostEqual(sum(rank["cost"] for rank in block["ranks"]), 1)

    def test_text(self):
        text = self.ok("plan", *NET, "--ranks", "3", "--placement", "1,4,1", *CODED).stdout
        for line in ("6 layers of 10 neurons, 32 inputs, 3 classes, 60 training nodes", "stage with layers 1 | 2", "stage with layers 1 | 2-5 | 6",
                     f"all borders: {4 * CODED_BYTES} bytes an iteration"):
            self.assertIn(line + "\n", text)
        self.assertRegex(text, r"\n   1  2-5 +\d+\.\d %  \d+\.\d MiB\n")
        self.assertRegex(text, rf"\n0-1     1-2 +{CODED_BYTES} +{CODED_BYTES} +{2 * CODED_BYTES}\n")

    def test_refusals(self):
        self.refused(2, ["--ranks: 7", "at most 6"], "plan", *NET, "--ranks", "7")
        for ranks, placement in (("3", "3,3"), ("2", "3,4"), ("2", "6,0"), ("2", "3.5,2.5"), ("2", "even"), ("2", "")):
            words = ["--placement: '" + placement + "'", "expected auto, uniform or whole numbers"] if placement in ("even", "", "3.5,2.5") else "--placement"
            for command in ("plan", "train"):
                self.refused(2, words, command, *NET, "--ranks", ranks, "--placement", placement)
        self.refused(2, "--optimizer", "plan", *NET, "--optimizer", "adam")
        self.refused(2, "--rebuild-q", "plan", *NET, "--ranks", "2", "--rebuild-q")
        too_large = self.run_it("plan", *NET, "--hidden", "300000")
        self.assertEqual(too_large.returncode, 4)
        self.assertRegex(too_large.stderr, r"^pdadmm: error: memory of the cpu backend: .* GiB free, expected .*\n$")
        self.assertIn("300000 neurons", too_large.stdout)


    def test_one_process_of_several_speaks(self):
        launched = lambda rank: {**self.env, "RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
        self.assertIn("border", self.ok("plan", *NET, env=launched(0)).stdout)
        self.assertEqual(self.ok("plan", *NET, env=launched(1)).stdout, "")


class Placed(Case):
    def test_same_result_and_counted_bytes(self):
        for run, options in (("one", []), ("uniform", ["--ranks", "3", "--placement", "uniform"]), ("listed", ["--ranks", "3", "--placement", "1,4,1"]),
                             ("auto", ["--ranks", "3", "--epochs", "6,40", "--check-replicas", "3"]), ("long", ["--epochs", "6,40"])):
            done = self.ok("train", *NET, *CODED, "--threads", "2", "--out", run, *options)
            if not options or run == "long":
                self.assertNotIn("share of cost", done.stderr)
                self.assertNotIn("border_bytes", self.summary(run))
                continue
            self.assertIn("rank  layers   share of cost  memory\n", done.stderr)
            self.assertEqual(self.summary(run)["border_bytes"], [2 * CODED_BYTES] * 2)
            self.assertIn(f"; in the last stage {2 * CODED_BYTES} over each border\n", done.stdout)
        model = lambda run: (self.folder / run / "model-final.safetensors").read_bytes()
        self.assertEqual(model("one"), model("uniform"))
        self.assertEqual(model("one"), model("listed"))
        self.assertEqual(model("long"), model("auto"))
        self.assertRegex(self.ok("train", *NET, "--ranks", "3", "--placement", "1,4,1").stderr, r"\n   1  2-5 +\d+\.\d %")


class Traces(Case):
    def trace(self, *options):
        self.ok("train", *NET, *CODED, "-q", "--trace", "t.json", *options)
        trace = json.loads((self.folder / "t.json").read_text())
        self.assertEqual(sorted({e["ph"] for e in trace["traceEvents"]}), ["M", "X"])
        spans = [e for e in trace["traceEvents"] if e["ph"] == "X"]
        for span in spans:
            self.assertGreaterEqual(span["ts"], 0)
            self.assertGreaterEqual(span["dur"], 0)
        for row in {(s["pid"], s["tid"]) for s in spans}:  # of one row none begins before the last one has ended
            of_row = sorted((s["ts"], s["ts"] + s["dur"]) for s in spans if (s["pid"], s["tid"]) == row)
            for (_, end), (begin, _) in zip(of_row, of_row[1:]):
                self.assertGreaterEqual(begin, end - 1e-3, row)
        return trace, spans

    def test_ranks(self):
        trace, spans = self.trace("--ranks", "3", "--trace-iterations", "5", "--checkpoint-every", "4", "--out", "r")
        names = {(e["pid"], e["tid"]): e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
        self.assertEqual(names, {(rank, row): name for rank in range(3) for row, name in enumerate(["work", "messages sent", "messages received"])})
        self.assertEqual({s["args"]["iteration"] for s in spans if s["name"] in PHASES}, {*range(1, 6), *range(7, 12)})  # 6 epochs, then the next stage
        for rank in range(3):
            work = [s for s in spans if s["pid"] == rank and s["cat"] == "work"]
            left, right = rank > 0, rank < 2
            expected = {*PHASES, "evaluation", "checkpoint", "growth"} - (set() if left else {"before_q", "decode_q"}) - (set() if right else {"decode_p", "close"})
            self.assertEqual({s["name"] for s in work}, expected, rank)
            for iteration in range(7, 12):
                counts = {name: sum(s["name"] == name and s["args"]["iteration"] == iteration for s in work) for name in ("update_p", "before_p", "figures")}
                self.assertEqual(counts, {"update_p": 1, "before_p": 1, "figures": 1})
        messages = [s for s in spans if s["cat"] == "message"]
        for iteration in range(7, 12):
            ends = sorted((s["pid"], s["args"]["peer"], s["tid"], s["name"]) for s in messages if s["args"]["iteration"] == iteration)
            expected = []
            for left, right in ((0, 1), (1, 2)):
                expected += [(left, right, 1, f"q to rank {right}"), (right, left, 2, f"q from rank {left}"), (right, left, 1, f"p to rank {left}"),
                             (left, right, 2, f"p from rank {right}")]
            self.assertEqual(ends, sorted(expected))
        self.assertEqual({s["args"]["bytes"] for s in messages}, {CODED_BYTES})
        for message in messages:  # p travels while W, b, z are updated: it lies around the whole of before_p on its rank
            if not message["name"].startswith("p "):
                continue
            during = [s for s in spans if s["pid"] == message["pid"] and s["name"] == "before_p" and s["args"]["iteration"] == message["args"]["iteration"]]
            self.assertTrue(during)
            for s in during:
                self.assertLessEqual(message["ts"], s["ts"] + 1e-3)
                self.assertGreaterEqual(message["ts"] + message["dur"] + 1e-3, s["ts"] + s["dur"])

    def test_one_rank(self):
        _, spans = self.trace("--trace-iterations", "2")
        self.assertEqual({s["name"] for s in spans}, {"growth", "update_p", "update_W_b_zqu", "figures", "gather"})
        self.assertEqual({s["args"]["iteration"] for s in spans if s["name"] == "update_p"}, {1, 2, 7, 8})

    def test_what_is_recorded_changes_nothing(self):
        for run, options in (("plain", []), ("traced", ["--trace", "t.json"]), ("ranks", ["--ranks", "2", "--trace", "u.json", "--check-replicas", "1"])):
            self.ok("train", *NET, "-q", "--out", run, *options)
        self.assert_same_run("plain", "traced")
        self.assertEqual((self.folder / "plain/model-final.safetensors").read_bytes(), (self.folder / "ranks/model-final.safetensors").read_bytes())

    def test_refusals(self):
        self.refused(5, "nowhere", "train", *NET, "--trace", "nowhere/t.json")
        self.refused(2, "--trace-iterations", "train", *NET, "--trace", "t.json", "--trace-iterations", "0")
        self.refused(2, "--check-replicas", "train", *NET, "--check-replicas", "-1")
        for option in ("--trace=t.json", "--placement=uniform", "--check-replicas=1"):
            self.refused(2, option.split("=")[0] + ":", "train", *NET, "--optimizer", "adam", option)


if __name__ == "__main__":
    unittest.main()
