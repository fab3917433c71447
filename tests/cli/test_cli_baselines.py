"""Training by backpropagation from the command line: what applies to which optimizer, presets, folders, resumed runs. Run by ctest: FILE PDADMM [TESTS]"""
import math
import re
import unittest

from cli_case import Case, DATA, GRAPH, NET, safetensors

OPTIMIZERS = ["gd", "adadelta", "adagrad", "adam", "momentum", "nesterov", "adamw"]


class Baselines(Case):
    def test_options_that_do_not_apply(self):
        foreign = ["--rho=1", "--nu=1", "--step=exact", "--step-floor=1", "--rho-schedule=off", "--stall=1", "--rho-factor=2", "--rho-max=1", "--z-init=zero",
                   "--grow-state=carry", "--rebuild-q", "--refresh-every=5", "--quantize=p", "--codec=grid", "--bits=4", "--scale=rms", "--levels=0:1:2"]
        for option in foreign:
            for optimizer in OPTIMIZERS if option == "--quantize=p" else ["adam"]:
                self.refused(2, [option.split("=")[0] + ":", f"--optimizer {optimizer}", "expected admm"], "train", *DATA, *NET, "--optimizer", optimizer, option)
        for option in ("--learning-rate=1", "--rate-schedule=cosine", "--momentum=0.5", "--dropout=0.5", "--parallel=pipeline", "--micro-batches=2"):
            self.refused(2, [option.split("=")[0] + ":", "--optimizer admm", "adam"], "train", *DATA, *NET, option)
        table = [(["--optimizer", "lbfgs"], "one of admm, gd"), (["--optimizer", "gd", "--learning-rate", "0"], "--learning-rate"),
                 (["--optimizer", "gd", "--learning-rate", "1,2"], "2 values"), (["--optimizer", "gd", "--dropout", "1"], "--dropout"),
                 (["--optimizer", "gd", "--dropout", "-0.1"], "--dropout"), (["--optimizer", "gd", "--parallel", "model"], "--parallel"),
                 (["--optimizer", "gd", "--parallel", "data", "--micro-batches", "2"], ["--micro-batches", "--parallel data", "expected pipeline"]),
                 (["--optimizer", "gd", "--momentum", "0.5"], ["--momentum", "--optimizer gd", "expected --optimizer momentum or nesterov"]),
                 (["--optimizer", "momentum", "--momentum", "1"], "--momentum"), (["--optimizer", "gd", "--rate-schedule", "step"], "constant, cosine"),
                 (["--optimizer", "gd", "--micro-batches", "-1"], "--micro-batches"), (["--optimizer", "gd", "--ranks", "4"], ["--ranks: 4", "at most 3"])]
        for arguments, words in table:
            self.refused(2, words, "train", *DATA, *NET, *arguments)
        (self.folder / "c.toml").write_text('quantize = "pq"\n')
        self.refused(2, "--quantize:", "train", *DATA, *NET, "--optimizer", "adam", "--config", "c.toml")

    def test_run_folder(self):
        rates = {"gd": "0.5", "adadelta": "1", "adagrad": "0.05", "adam": "0.01", "momentum": "0.05", "nesterov": "0.05", "adamw": "0.01"}
        for optimizer in OPTIMIZERS:
            self.train("--optimizer", optimizer, "--learning-rate", rates[optimizer], "--weight-decay", "0", "--epochs", "60", "--out", optimizer)
            rows = self.rows(optimizer)
            self.assertEqual(len(rows), 60)
            always = {"epoch", "stage", "layers", "objective", "risk", "seconds", "bytes"}
            self.assertTrue(all(always <= set(row) and not set(row) & {"rho", "nu", "primal_residual"} for row in rows))
            self.assertTrue(all(math.isfinite(v) for row in rows for v in row.values()))
            self.assertLess(rows[-1]["objective"], 0.9 * rows[0]["objective"])
            self.assertAlmostEqual(rows[-1]["risk"] / 60, rows[-1]["objective"], 6)  # 20 a class
            text = (self.folder / optimizer / "config.toml").read_text()
            self.assertIn(f'optimizer = "{optimizer}"', text)
            self.assertNotIn("rho", text)
            shown = self.ok("evaluate", "--model", f"{optimizer}/model-final.safetensors", "--dataset", GRAPH).stdout
            for part, accuracy in re.findall(r"^(train|val|test) +([\d.]+)", shown, re.M):
                self.assertAlmostEqual(float(accuracy), self.summary(optimizer)["last"][part], delta=6e-5)
            self.ok("train", "--config", f"{optimizer}/config.toml", "--threads", "1", "-q", "--out", f"{optimizer}-again")
            self.assert_same_run(optimizer, f"{optimizer}-again")

    def test_resumed_is_uninterrupted(self):
        for optimizer in OPTIMIZERS:
            run = ["train", *DATA, "--preset", "none", "--optimizer", optimizer, "--layers", "5", "--grow", "2,3", "--hidden", "8", "--eval-every", "3",
                   "--dropout", "0.3", "--learning-rate", "0.05,0.02,0.01", "--checkpoint-every", "4", "-q"]
            self.ok(*run, "--epochs", "9,7,21", "--out", f"{optimizer}-whole")
            for epochs in ("9,7,3", "9,7,12"):
                folder = f"{optimizer}-{epochs[4:]}"
                self.ok(*run, "--epochs", epochs, "--out", folder)
                self.ok("train", "--resume", folder, "--epochs", "9,7,21", "-q")
                whole, resumed = self.rows(f"{optimizer}-whole"), self.rows(folder)
                for a, b in zip(whole, resumed, strict=True):
                    self.assertTrue(all(a[key] == b[key] for key in ("epoch", "stage", "layers", "objective", "risk", "bytes")))
                final = [safetensors(self.folder / f / "model-final.safetensors")[0] for f in (f"{optimizer}-whole", folder)]
                self.assertEqual(*final)

    def test_a_falling_rate_belongs_to_its_epochs(self):
        run = ["train", *DATA, *NET, "--optimizer", "adamw", "--weight-decay", "0.1", "--learning-rate", "0.02", "--checkpoint-every", "4", "-q"]
        self.ok(*run, "--epochs", "8", "--rate-schedule", "cosine", "--out", "falling")
        self.refused(3, ["epochs", "resume without that option"], "train", "--resume", "falling", "--epochs", "12", "-q")
        self.ok(*run, "--epochs", "8", "--out", "constant")
        self.ok("train", "--resume", "constant", "--epochs", "12", "-q")
        last = {folder: self.rows(folder)[7]["objective"] for folder in ("falling", "constant")}
        self.assertEqual(self.rows("falling")[0]["objective"], self.rows("constant")[0]["objective"])
        self.assertNotEqual(*last.values())

    def test_pipeline_is_one_rank_with_as_many_micro_batches(self):
        run = ["train", *DATA, "--preset", "none", "--optimizer", "adam", "--layers", "5", "--grow", "2,3", "--hidden", "8", "--epochs", "6,5,9", "--eval-every", "3",
               "--dropout", "0.3", "--learning-rate", "0.02", "-q"]
        self.ok(*run, "--ranks", "3", "--out", "default")
        config = (self.folder / "default/config.toml").read_text()
        self.assertIn('parallel = "pipeline"\nmicro-batches = "12"\n', config)
        self.assertNotIn("ranks =", config)
        for ranks, batches, folder in ((1, 12, "one"), (2, 12, "two"), (2, 1, "two-whole"), (1, 0, "one-whole")):
            self.ok(*run, "--ranks", ranks, "--micro-batches", batches, "--out", folder)
        self.ok("train", "--config", "default/config.toml", "-q", "--out", "again")  # on one rank
        for a, b in (("default", "one"), ("default", "two"), ("default", "again"), ("two-whole", "one-whole")):
            final = [safetensors(self.folder / folder / "model-final.safetensors")[0] for folder in (a, b)]
            self.assertEqual(*final, f"{a} and {b}")
            self.assertEqual(*[[self.untimed(row, "bytes") for row in self.rows(run)] for run in (a, b)])
        sent = {folder: [row["bytes"] for row in self.rows(folder)] for folder in ("default", "two", "one")}
        border = 2 * 8 * 60 * 4  # activations and their gradients: neurons, training nodes, floats
        self.assertEqual(sent["default"], [border] * 6 + [2 * border] * 14)
        self.assertEqual(sent["two"], [border] * 20)
        self.assertEqual(sent["one"], [border] * 6 + [2 * border] * 5 + [4 * border] * 9)  # of a split after every layer

    def test_nodes_on_ranks(self):
        run = ["train", *DATA, *NET, "--optimizer", "adam", "--dropout", "0.3", "--learning-rate", "0.02", "--checkpoint-every", "4", "-q"]
        run = [*run, "--node-ranges", "4"]
        data = [*run, "--parallel", "data", "--ranks", "3"]
        self.ok(*run, "--out", "one")
        self.ok(*data, "--out", "whole")
        self.ok(*data, "--epochs", "5", "--out", "stopped")
        self.refused(2, ["--grid: 5 blocks of nodes", "4 ranges"], *run, "--parallel", "data", "--ranks", "5")
        self.ok("train", "--resume", "stopped", "--epochs", "12", "--ranks", "2", "-q")
        models = [safetensors(self.folder / folder / "model-final.safetensors")[0] for folder in ("whole", "stopped", "one")]
        self.assertEqual(models[0], models[1])
        self.assertEqual(models[0], models[2])
        parameters = sum(-(-math.prod(shape) // 64) * 64 for shape, _ in models[0].values())  # in rows of 64
        self.assertEqual({row["bytes"] for row in self.rows("whole")}, {3 * 2 * parameters * 4})  # few: from everyone to everyone
        text = self.ok(*[word for word in data if word != "-q"], "--epochs", "1").stderr
        self.assertRegex(text, r"rank  layers   nodes  share of cost  memory\n   0  1-\d +1/3 +33.3 %  [\d.]+ MiB\n   1  1-\d +2/3 ")
        self.ok(*run, "--parallel", "data", "--out", "alone")
        models = [safetensors(self.folder / folder / "model-final.safetensors")[0] for folder in ("one", "alone")]
        self.assertEqual(*models)

    def test_workers(self):
        run = ["train", *DATA, *NET, "--optimizer", "momentum", "--momentum", "0.8", "--learning-rate", "0.05", "--checkpoint-every", "3", "--eval-every", "4", "-q"]
        for form, more, sent in (("elastic", ["--pull", "0.6"], 6), ("leader", ["--exchange-all-every", "8", "--groups", "2"], 1)):
            workers = [*run, "--parallel", form, "--ranks", "3", "--exchange-every", "4", *more]
            self.ok(*workers, "--out", form)
            self.ok(*workers, "--epochs", "5", "--out", f"{form}-stopped")
            self.ok("train", "--resume", f"{form}-stopped", "--epochs", "12", "-q")
            models = [safetensors(self.folder / folder / "model-final.safetensors")[0] for folder in (form, f"{form}-stopped")]
            self.assertEqual(*models)
            parameters = sum(-(-math.prod(shape) // 64) * 64 for shape, _ in models[0].values())
            self.assertEqual([row["bytes"] for row in self.rows(form)][:4], [0, 0, 0, sent * parameters * 4])
            self.refused(3, ["ranks", "resume without that option"], "train", "--resume", f"{form}-stopped", "--ranks", "2", "-q")
        self.refused(2, ["--groups: 4", "1 to 3"], *run, "--parallel", "leader", "--ranks", "3", "--groups", "4")
        self.refused(2, ["--exchange-all-every: 6", "multiple of --exchange-every 4"], *run, "--parallel", "leader", "--ranks", "3", "--exchange-every", "4",
                     "--exchange-all-every", "6")
        self.refused(2, ["--groups:", "--parallel elastic", "expected --parallel leader"], *run, "--parallel", "elastic", "--groups", "2")
        self.refused(2, ["--pull:", "--parallel data", "elastic or leader"], *run, "--parallel", "data", "--pull", "0.5")

    def test_presets(self):
        def rate(*arguments):
            self.ok("train", *DATA, "--epochs", "1", "--layers", "2", "--seed", "0", "-q", "--overwrite", "--out", "p", *arguments)
            lines = (self.folder / "p/config.toml").read_text().splitlines()
            return {line.split(" = ")[0]: line.split(" = ")[1].strip('"') for line in lines[1:]}

        for preset in ("fast", "paper"):
            for optimizer, value in (("gd", "0.1"), ("adadelta", "0.001"), ("adagrad", "0.001"), ("adam", "0.001"), ("adamw", "0.01")):
                config = rate("--preset", preset, "--optimizer", optimizer)
                self.assertEqual((config["learning-rate"], config["weight-decay"], config["dropout"]), (value, "0", "0"))
            self.assertEqual(rate("--preset", preset, "--optimizer", "adam", "--hidden", "500")["learning-rate"], "0.0001")
            self.assertEqual(rate("--preset", preset, "--optimizer", "adam", "--learning-rate", "0.5")["learning-rate"], "0.5")

    def test_divergence_is_named(self):
        for ranks in ([], ["--ranks", "2"], ["--grid", "1x2", "--node-ranges", "4"]):
            self.refused(79, "--learning-rate", "train", *DATA, *NET, "--optimizer", "gd", "--learning-rate", "1e20", "--epochs", "50", "-q", *ranks)


if __name__ == "__main__":
    unittest.main(verbosity=1)
