"""Files and folders that are not what an option needs: pipes, folders, other people's, gone ones. Run by ctest: FILE PDADMM [TESTS]"""
import json
import os
import resource
import unittest

from cli_case import Case, DATA, GRAPH, NET

NOBODY = 65534


class Places(Case):
    def as_a_stranger(self):
        """For preexec_fn: a user who owns nothing here, where these tests run as root."""
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)

    def test_no_current_folder(self):
        def remove_it():
            os.mkdir("gone")
            os.chdir("gone")
            os.rmdir("../gone")
        for arguments in (["train", *DATA, *NET, "--out", "r"], ["augment", *DATA, "--out", "x.npy", "--rows", "r.npy"]):
            self.refused(5, ["the current folder: ", "expected one that exists"], *arguments, preexec_fn=remove_it)

    def test_a_pipe_is_no_registry(self):
        os.mkfifo(self.folder / "pipe")
        for arguments in (["runs", "list"], ["runs", "rescan", "."], ["predict", "--model", "best:x", "--dataset", "x"]):
            self.refused(3, "pipe: is a device or a pipe", *arguments, "--registry", "pipe", timeout=60)
        done = self.ok("train", *DATA, *NET, "--out", "r", "--registry", "pipe", timeout=60)
        self.assertIn("runs are not entered: ", done.stderr)
        (self.folder / "kept/registry.sqlite").mkdir(parents=True)
        self.refused(3, "registry.sqlite: is a folder", "runs", "list", "--registry", "kept")

    def test_a_registry_that_may_only_be_read(self):
        """Its write-ahead log was folded into it when its last writer left, and no file can be made beside it."""
        shared = self.folder / "shared?100%#1"  # what SQLite's addresses have other uses for
        shared.mkdir()
        self.train("--out", shared / "r")
        whole = self.ok("runs", "list", "--json", "--registry", shared).stdout
        self.assertEqual(sorted(os.listdir(shared)), ["r", "registry.sqlite"])
        os.chmod(self.folder, 0o755)
        os.chmod(shared, 0o555)
        self.addCleanup(os.chmod, shared, 0o755)
        try:
            if self.run_it("--version", preexec_fn=self.as_a_stranger).returncode != 0:
                raise PermissionError
        except (OSError, ValueError):
            self.skipTest("another user cannot run the program here")
        read = self.ok("runs", "list", "--json", "--registry", shared, preexec_fn=self.as_a_stranger).stdout
        self.assertEqual(json.loads(read), json.loads(whole))
        self.assertEqual(sorted(os.listdir(shared)), ["r", "registry.sqlite"])
        self.refused(5, "expected a file that can be read and written", "runs", "rescan", shared, preexec_fn=self.as_a_stranger)

    def test_a_trace_that_has_no_room_costs_no_result(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # room for its beginning
        done = self.run_it("train", *DATA, *NET, "-q", "--no-cache", "--seeds", "2", "--trace", "t.json", preexec_fn=limit)
        self.assertEqual((done.returncode, done.stderr.count("pdadmm: error: ")), (5, 1), done.stderr)
        self.assertIn("t.json: cannot be written: ", done.stderr)
        self.assertRegex(done.stdout, r"(?m)^ *0 +[01]\.\d+")
        self.assertRegex(done.stdout, r"(?m)^ *1 +[01]\.\d+")

    def test_a_run_that_ended_before_it_began(self):
        for name in ("whole", "early"):
            (self.folder / name).mkdir()
        self.train("--out", "whole")
        self.refused(5, ["holds an earlier run,", "--resume"], "train", *DATA, *NET, "--out", "whole")
        (self.folder / "early/checkpoints").mkdir()
        for name in ("lock", "metrics.jsonl"):
            (self.folder / "early" / name).touch()
        done = self.refused(5, ["ended before it began", "add --overwrite"], "train", *DATA, *NET, "--out", "early")
        self.assertNotIn("--resume", done.stderr)
        self.train("--out", "early", "--overwrite")
        self.assert_same_run("whole", "early")

    def test_names_that_are_refused_before_the_work(self):
        self.train("--out", "r")
        self.refused(2, "--rows: ./x.npy, the file of --out too", "augment", *DATA, "--out", "x.npy", "--rows", "./x.npy")
        self.assertFalse((self.folder / "x.npy").exists())
        (self.folder / "folder.csv").mkdir()
        model = ["--model", "r", "--dataset", GRAPH]
        for name, words in (("folder.csv", "is a folder, expected a file name"), ("n" * 300 + ".csv", "too long")):
            done = self.refused(5, words, "predict", *model, "--out", name)
            self.assertIn("expected", done.stderr)
        self.refused(5, "is a folder", "train", *DATA, *NET, "-q", "--trace", "r")

    def test_an_unset_variable_is_no_name(self):
        table = {"train": ["--dataset", "--owners", "--out", "--resume", "--config", "--registry", "--trace", "--cache"], "augment": ["--out", "--rows"],
                 "predict": ["--model", "--dataset", "--out"], "evaluate": ["--model", "--confusion"], "info": ["--dataset"], "runs list": ["--registry"],
                 "report r": ["--out"], "tune": ["--dataset"], "plan": ["--dataset"]}
        required = {"predict": ["--model", "m", "--dataset", "sbm"], "evaluate": ["--model", "m", "--dataset", "sbm"], "tune": ["--out", "t"]}
        for command, options in table.items():
            for option in options:
                with self.subTest(command=command, option=option):
                    self.refused(2, f"{option}: nothing, expected a name or a path", *command.split(), *required.get(command, []), option, "")
        self.assertEqual(self.run_it("train", *DATA, *NET, "-q", "--grow", "").returncode, 0)

    def test_a_graph_that_is_refused_leaves_no_head(self):
        self.train("--out", "r")
        other = GRAPH.replace("features=16", "features=8")
        self.refused(3, ["8 features", "32 inputs"], "predict", "--model", "r", "--dataset", other)
        self.refused(3, "8 features", "predict", "--model", "r", "--dataset", other, "--out", "p.csv")
        self.assertFalse((self.folder / "p.csv").exists())


if __name__ == "__main__":
    unittest.main(verbosity=1)
