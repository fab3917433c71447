"""The command line as its users meet it: help, options, terminals, configuration files. Run by ctest: FILE PDADMM [TESTS]"""
import json
import os
import pty
import re
import select
import struct
import subprocess
import unittest

from cli_case import COMMANDS, Case, DATA, GRAPH, GROWING, NET, PROGRAM, bundle, written


class Options(Case):
    def test_help_and_version(self):
        for arguments in (["--help"], ["-h"], ["help"]):
            done = self.ok(*arguments)
            for command in COMMANDS:
                self.assertIn(f"\n  {command} ", done.stdout)
        self.assertRegex(self.ok("--version").stdout, r"^pdadmm \d+\.\d+\.\d+ \(fp(32|64), .*\)\n$")
        for command in COMMANDS:
            done = self.ok(command, "--help")
            self.assertEqual(done.stdout, self.ok("help", command).stdout)
            self.assertEqual(done.stdout, self.ok(command, "--dataset", "sbm", "-h").stdout)
            self.assertEqual(done.stderr, "")
            self.assertRegex(done.stdout, rf"Example:\n  pdadmm {command}")
        text = self.ok("train", "--help").stdout
        self.assertRegex(text, r"--step\b[^\n]*exact,backtracking,block")
        self.assertRegex(text, r"--decay-to\b[^\n]*zero,identity")
        for option, default in {"hops": 5, "layers": 10, "hidden": 100, "step": "exact", "decay-to": "zero", "eval-every": 0, "bits": 8, "seeds": 1, "codec": "difference", "scale": "auto", "split": "auto"}.items():
            self.assertRegex(text, rf"--{option}\b[^\n]*(=|\[){default}", option)

    def test_help_is_no_wider_than_80_columns_but_for_names(self):
        for command in COMMANDS:
            lines = self.ok(command, "--help").stdout.splitlines()
            self.assertEqual([line for line in lines if len(line) > 80 and " " in line.strip() and not line.startswith("  -")], [], command)
        text = re.sub(r"\n {34}", " ", self.ok("train", "--help").stdout)
        self.assertIn("and of all nodes where those are best or a stage ends", text)

    def test_a_folder_is_refused_before_the_work(self):
        (self.folder / "other").mkdir()
        (self.folder / "other/mine.txt").write_text("kept")
        (self.folder / "file").write_text("kept")
        self.train("--out", "r")
        for folder, words in (("other", "mine.txt"), ("r", "--resume"), ("file", "cannot be"), ("file/below", "cannot be")):
            done = self.refused(5, words, "train", *DATA, *NET, "--out", folder)
            self.assertNotIn("augmentation", done.stderr, folder)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir() if p.name != "cache"), ["file", "other", "r", "registry.sqlite"])

    def test_every_option_of_a_run_is_in_help(self):
        self.train("--out", "r")
        text = self.ok("train", "--help").stdout
        for line in (self.folder / "r/config.toml").read_text().splitlines()[1:]:
            self.assertIn("--" + line.split(" = ")[0], text)

    def test_usage_errors(self):
        table = [([], "command"), (["trian"], "'trian'"), (["train", "--hidn", "5"], "--hidden"), (["train", "--hid", "5"], "unknown option"),
                 (["train", "--bogus=1"], "--bogus"), (["train", "extra"], "'extra'"), (["train", ""], "''"), (["train", "--"], "--"), (["train", "-"], "'-'"),
                 (["train", "-z"], "-z"), (["train", "--rho"], "--rho: no value"), (["train", "--rho", "--nu", "1"], "--rho: no value"),
                 (["train", "--out", "--overwrite"], "--out: no value"), (["train", "--hops", "0"], "from 1 to 64"), (["train", "--augment", "gcn,low"], "--augment: 'low', expected a list of gcn"),
                 (["augment", "--augment", "high", "--hops", "17"], "16 at most"), (["plan", "--augment", "ppr", "--hops", "1"], "2 or more"), (["train", "--hops", "65"], "'65'"),
                 (["train", "--hops", "two"], "whole number"), (["train", "--hops", "1e3"], "--hops"), (["train", "--layers", "1"], "--layers"),
                 (["train", "--hidden", "99999999999999999999"], "--hidden"), (["train", "--rho", "x"], "--rho: 'x'"), (["train", "--rho", "0"], "--rho"),
                 (["train", "--rho", "nan"], "--rho"), (["train", "--rho", "inf"], "--rho"), (["train", "--rho", "1e999"], "--rho"), (["train", "--rho", ""], "--rho"),
                 (["train", "--stall", "nan"], "--stall"), (["train", "--init-std", "inf"], "--init-std"), (["train", "--rho-factor", "nan"], "--rho-factor"),
                 (["train", "--step", "big"], "one of exact, backtracking, block"), (["train", "--decay-to", "one"], "one of zero, identity"),
                 (["train", "--optimizer", "adam", "--step", "block"], "--step"), (["train", "--optimizer", "adam", "--decay-to", "identity"], "--decay-to"), (["train", "--norm", "SYM"], "one of sym, row, none"), (["train", "--bits", "3"], "1, 2, 4, 8, 16"), (["train", "--scale", "mean"], "max, rms"),
                 (["train", "--epochs", "1.5"], "whole"), (["train", "--epochs", "0"], "--epochs"), (["train", "--epochs", "5,5"], "2 values"),
                 (["train", "--grow", "2,5", "--rho", "1,2"], "3"), (["train", "--grow", "5,2"], "increasing"), (["train", "--z-init", "warm"], "--z-init"),
                 (["train", "--quantize", "p", "--codec", "grid", "--levels", "1:0:5"], "--levels"), (["train", "--quantize", "p", "--codec", "grid", "--levels", "1"], "--levels"),
                 (["train", "--seeds", "0"], "--seeds"), (["train", "--seeds", "1,1"], "twice"), (["train", "--seeds", "1.5"], "--seeds"), (["train", "--seeds", ","], "--seeds"),
                 (["train", "--seed", "1,2"], "--seed:"), (["train", "--seed", "-1"], "--seed:"), (["train", "--seed", "1", "--seeds", "2"], "one of them"),
                 (["train", "--quiet=perhaps"], "true or false"), (["train", "--overwrite"], "--out"), (["train", "--resume", "x", "--out", "y"], "--resume"),
                 (["train", "--resume", "x", "--config", "y"], "--config"), (["train", "--resume", "x", "--preset", "fast"], "--preset"), (["train", "--resume", "x", "--overwrite"], "--overwrite"),
                 (["train", "--resume", "x" * 5000], "no run"), (["train", "--resume", "."], "no run"), (["train", "--resume", ""], "--resume"), (["train", "--preset", "slow"], "--preset: 'slow'"), (["train", "--split-seed", "-1"], "--split-seed"),
                 (["train", "--dataset", "sbm:nodes=3"], "nodes=3"), (["train", "--dataset", "sbm:colour=3"], "colour"), (["train", "--dataset", "corra"], "corra"),
                 (["train", "--dataset", "sbm", "--split", "random:9"], "split"), (["train", "--dataset", "sbm", "--split", "random:20/9999/9999"], "split"),
                 (["train", "--dataset", "sbm", "--split", "random:60%/20/20%"], "60%/20%/20%"), (["train", "--dataset", "sbm", "--split", "random:60%/30%/20%"], "100 %"),
                 (["train", "--bits", "4"], "--quantize p or pq"), (["train", "--quantize", "none", "--levels", "0:1:4"], "--levels: with --quantize none"), (["train", "--layers", "3", "--grow", "2,5"], "--grow: 5 layers, expected at most the 3"),
                 (["train", "--backend", "cpu", "--fused"], "--fused: with --backend cpu"), (["train", "--backend", "cpu", "--device", "1"], "--device: with"), (["augment", "--backend", "cpu", "--fast-spmm", "--out", "x.npy"], "--fast-spmm"),
                 (["train", "--backend", "tpu"], "auto, cpu, cuda"), (["evaluate"], "missing"), (["evaluate", "--dataset", "sbm"], "--model: missing"),
                 (["predict", "--model", "m", "--dataset", "sbm", "--out", "x.txt"], ".csv or .npy"), (["predict", "--nodes", "some"], "all, train, val, test"),
                 (["augment", "--dataset", "sbm", "--out", "x.csv"], ".npy"), (["augment", "--dataset", "sbm", "--rows", "x.csv"], "--rows"), (["info", "--layers", "3"], "--layers"), (["augment", "--hops", "\x1b[31m"], "\\x1b"),
                 (["\x1b]0;title\x07"], "\\x1b"), (["train", "--\x1b[2J"], "\\x1b")]
        for arguments, words in table:
            with self.subTest(arguments=[a[:60] for a in arguments]):
                self.refused(2, words, *arguments)
        self.assertEqual(written(self.folder), [])

    def test_forms(self):
        first = self.train("--weight-decay", "0.02", "--json").stdout
        for same in (["--weight_decay=0.02"], ["--weight_decay", "0.02"], ["--weight-decay", "5", "--weight-decay=0.02"]):
            again = json.loads(self.train(*same, "--json").stdout)
            for run in again["runs"] + json.loads(first)["runs"]:
                run.pop("seconds")
            self.assertEqual(again["last"], json.loads(first)["last"])
        self.train("-L", "4", "-K2", "-d", GRAPH, "--quiet=false")


class Terminal(Case):
    def on_terminal(self, *arguments, columns=100, **env):
        main, side = pty.openpty()
        import fcntl
        import termios
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        process = subprocess.Popen([PROGRAM, *arguments], cwd=self.folder, env={**self.env, **env}, stdout=subprocess.PIPE, stderr=side)
        os.close(side)
        seen = b""
        while select.select([main], [], [], 120)[0]:
            try:
                part = os.read(main, 65536)
            except OSError:
                break
            if not part:
                break
            seen += part
        os.close(main)
        out = process.communicate(timeout=300)[0]
        self.assertEqual(process.returncode, 0, seen)
        return seen.decode(), out.decode()

    def test_one_live_line(self):
        run = ["train", *DATA, *NET, "--epochs", "60", "--seeds", "2"]
        seen, out = self.on_terminal(*run, TERM="xterm")
        self.assertIn("\r\x1b[36mrun 1/2", seen)
        self.assertNotRegex(out, r"[\r\x1b]")
        drawn = re.findall(r"\r(?:\x1b\[36m)?([^\r\n\x1b]*)", seen)
        self.assertTrue(drawn and all(len(line) < 100 for line in drawn))
        self.assertRegex(seen, r"\r\x1b\[Kstage 1 of 1: [^\r\n]*\r\n$")
        self.assertNotIn("\x1b[36m", self.on_terminal(*run, TERM="xterm", NO_COLOR="1")[0])
        self.assertIn("\r", self.on_terminal(*run, TERM="xterm", NO_COLOR="1")[0].replace("\r\n", "\n"))
        for plain in ({"TERM": "dumb"}, {}):
            text = self.on_terminal(*run, **plain)[0].replace("\r\n", "\n")
            self.assertNotRegex(text, r"[\r\x1b]")
        for columns in (1, 8, 20, 41, 79):
            seen, _ = self.on_terminal(*run, columns=columns, TERM="xterm", NO_COLOR="")
            for line in re.findall(r"\r(?:\x1b\[36m)?([^\r\n\x1b]*)", seen):
                self.assertLess(len(line), max(columns, 2))
        self.assertEqual(self.on_terminal(*run, "-q", TERM="xterm")[0], "")


class Configuration(Case):
    def conf(self, text):
        path = self.folder / "c.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def resolved(self, *arguments):
        self.ok("train", "-q", *arguments, "--out", "r", "--overwrite")
        return json.loads((self.folder / "r/config.json").read_text())

    def test_what_is_read(self):
        config = self.conf(f'# a comment\r\ndataset = "{GRAPH}" # "another"\nsplit = \'random:20/60/100\'\nhops = 2\nlayers = 3\nhidden = 8\nepochs = [\n  4, # first\n'
                           '  5,\n]\ngrow = [2]\nrho = [1e-2, 2_0e-3]\nweight_decay = 0.5\nbinary-features = true\ndirected = false\nquiet = true\nthreads = 1')
        got = self.resolved("--config", config)
        for key, value in {"epochs": "4,5", "grow": "2", "rho": "1e-2,20e-3", "weight-decay": "0.5", "binary-features": "true", "directed": "false"}.items():
            self.assertEqual(got[key], value)
        self.assertEqual(self.resolved("--config", config, "--weight-decay", "0.25", "--directed")["directed"], "true")
        self.assertEqual(self.resolved("--config", config, "--weight-decay", "0.25")["weight-decay"], "0.25")
        small = ["--preset", "paper", *DATA, "--hidden", "8", "--layers", "3", "--epochs", "2", "--seed", "4"]
        self.assertEqual(self.resolved(*small)["step-floor"], "20")
        self.conf("step-floor = 7\nseed = 3\n")
        self.assertEqual(self.resolved("--config", config, *small)["step-floor"], "7")
        self.assertEqual(self.resolved("--config", config, *small, "--step-floor", "8")["step-floor"], "8")
        self.ok("train", "-q", "--config", config, *DATA, *NET, "--seeds", "2", "--out", "r", "--overwrite")
        self.assertTrue((self.folder / "r/seed-1").is_dir())

    def test_what_is_refused(self):
        for text, words in [("rho 0.01", "line 1"), ("\n\nrho = ", "line 3"), ("rho = 1 2", "end of the line"), ("colour = 3", "'colour'"), ("[train]\nrho = 1", "table"),
                            ("rho = 1\nrho = 2", "again"), ("weight-decay = 1\nweight_decay = 2", "again"), ("step = exact", "'exact'"), ('step = "exact', "closing"),
                            ("rho = [1, 2", "]"), ("rho = [1 2]", "comma"), ('step = "\\q"', "escape"), ('step = """x"""', "several lines"), ("hops = 99", "--hops"),
                            ('config = "x"', "'config'"), ('resume = "x"', "'resume'"), ("help = true", "'help'"), (b"\xff\xfe\x00", "line 1"), (b"step = \"a\\u0000b\"", "zero byte"),
                            ("seed = 1\nseeds = 2", "one of them"), ("\x1b[31m = 1", "\\x1b"), ("rho = " + "[" * 60000, "rho" if False else "line 1"), ("x" * 70000, "at most"), ("", "empty"),
                            ("rho = nan", "line 1"), ("quiet = \"perhaps\"", "--quiet")]:
            with self.subTest(text=text[:30]):
                self.refused(2, words, "train", "--config", self.conf(text))
        self.refused(2, "nowhere.toml", "train", "--config", "nowhere.toml")
        self.refused(2, "directory", "train", "--config", ".")
        os.mkfifo(self.folder / "pipe")
        self.refused(2, "pipe", "train", "--config", "pipe")

    def test_config_of_a_run_repeats_it(self):
        odd = self.folder / 'od"d \\ #1\x01.npz'
        bundle(odd)
        first = ["train", "-q", "--dataset", odd, *GROWING]
        self.ok(*first, "--seed", "6", "--out", "a")
        self.ok("train", "-q", "--config", "a/config.toml", "--out", "b")
        self.assert_same_run("a", "b")
        self.assertEqual((self.folder / "a/config.toml").read_bytes(), (self.folder / "b/config.toml").read_bytes())
        self.ok(*first, "--seeds", "2", "--out", "c")
        self.ok("train", "-q", "--config", "c/config.toml", "--out", "d")
        for seed in (0, 1):
            self.assert_same_run(f"c/seed-{seed}", f"d/seed-{seed}")


if __name__ == "__main__":
    unittest.main(verbosity=1)
