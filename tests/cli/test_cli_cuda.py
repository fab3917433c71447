"""The program on a CUDA device, here the emulated one: what a user sees of --backend cuda. Run by ctest: FILE PDADMM [TESTS]"""
import json
import shutil
import subprocess
import unittest

from cli_case import DATA, GROWING, NET, PROGRAM, RANDOM, Case, npy


BLOCK = ["--step", "block", "--decay-to", "identity", "--rho", "0.01", "--nu", "0.01", "--weight-decay", "0.01"]


class OnADevice(Case):
    def final(self, run):
        last = self.rows(run)[-1]
        return last["objective"], last["train_accuracy"], last["test_accuracy"]

    def test_agrees_with_the_cpu(self):
        for name, net in (("plain", NET), ("growing", GROWING), ("block", [*NET, *BLOCK])):
            found = {}
            for backend in ("cpu", "cuda"):
                run = f"{name}-{backend}"
                self.ok("train", *DATA, *net, "-q", "--backend", backend, "--out", run)
                found[backend] = self.final(run)
                self.assertEqual(json.loads((self.folder / run / "config.json").read_text())["backend"], backend)
            self.assertNotIn("product_algorithms", self.summary(f"{name}-cpu"))
            self.assertRegex(self.summary(f"{name}-cuda")["product_algorithms"][0], r"^[NT]{2} \d+ x \d+ x \d+ fp(32|64): algorithm \d+")
            (objective, train, test), (other, other_train, other_test) = found["cpu"], found["cuda"]
            self.assertLess(abs(objective - other), 0.02 * abs(objective), name)
            self.assertLess(abs(train - other_train), 0.1, name)
            self.assertLess(abs(test - other_test), 0.1, name)

    def test_is_what_auto_takes_and_says_so(self):
        done = self.ok("train", *DATA, *NET)
        self.assertIn("backend: cuda, device 0, emulated", done.stderr)
        self.assertRegex(done.stderr, r"memory: \d+\.\d\d GiB of the \d+\.\d\d GiB that are free")
        self.assertIn("emulated", self.ok("info").stdout)

    def test_recorded_eager_and_fused(self):
        for run, options in (("graphs", []), ("eager", ["--no-graphs"]), ("fused", ["--fused"]), ("four", ["--rebuild-q"])):
            self.train("--backend", "cuda", "--out", run, *options)
        for run, options in (("block graphs", []), ("block eager", ["--no-graphs"]), ("block fused", ["--fused"])):
            self.train("--backend", "cuda", "--out", run, *BLOCK, *options)
        strip = lambda run: [self.untimed(row) for row in self.rows(run)]
        self.assertEqual(strip("graphs"), strip("eager"))
        self.assertEqual(strip("block graphs"), strip("block eager"))
        self.assertEqual(strip("block graphs"), strip("block fused"))  # which closed forms have not
        for run in ("fused", "four"):
            self.assertLess(abs(self.final("graphs")[0] - self.final(run)[0]), 0.02 * abs(self.final("graphs")[0]), run)

    def test_the_same_twice(self):
        for run in ("one", "two"):
            self.ok("train", *DATA, *GROWING, "-q", "--backend", "cuda", "--out", run)
        self.assert_same_run("one", "two")

    def test_refusals(self):
        self.refused(4, ["device 7", "expected 0 to 0"], "train", *DATA, *NET, "--backend", "cuda", "--device", "7")
        small = {**self.env, "PDADMM_EMULATION_MEMORY": str(160 << 20)}
        self.refused(4, ["GiB free, expected"], "train", *DATA, *NET, "--hidden", "3000", "--backend", "cuda", env=small)

    def test_augmented_features_are_the_cpu_s(self):
        for backend in ("cpu", "cuda"):
            self.ok("augment", *DATA, "--no-cache", "--backend", backend, "--out", f"{backend}.npy")
        (shape, a), (other_shape, b) = npy(self.folder / "cpu.npy"), npy(self.folder / "cuda.npy")
        self.assertEqual(shape, other_shape)
        self.assertLess(max(abs(x - y) for x, y in zip(a, b)), 1e-5 * max(map(abs, a)))

    def test_into_a_folder(self):
        two = {**self.env, "PDADMM_EMULATION_DEVICES": "2"}
        command = ["augment", "--dataset", "sbm:nodes=5000,features=20,degree=6,exponent=2.5", "--hops", "3", "--out"]
        on_device = [*command, "x", "--backend", "cuda", "--devices", "0,1"]
        self.ok(*command, "cpu")
        kills = 0
        while kills < 4:
            job = subprocess.Popen([PROGRAM, *on_device], cwd=self.folder, env=two, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                self.assertEqual(job.wait(RANDOM.uniform(0.02, 0.5)), 0)
                shutil.rmtree(self.folder / "x")  # done too soon
            except subprocess.TimeoutExpired:
                job.kill()
                job.wait()
                kills += 1
        self.ok(*on_device, env=two)
        for file in (self.folder / "cpu").iterdir():
            self.assertEqual(file.read_bytes(), (self.folder / "x" / file.name).read_bytes(), file.name)
        plan = self.ok(*on_device, "--plan", env=two).stdout
        self.assertRegex(plan, r"GPUs +2 with 3\.75 GiB free; \S+ MiB of it, at least \S+ MiB; the graph is held there")
        shape = ["augment", "--plan", "--shape", "nodes=9000000,edges=900000000,features=64", "--backend", "cuda", "--memory", "8G"]
        self.assertIn("the graph is streamed there", self.ok(*shape).stdout)
        small = {**self.env, "PDADMM_EMULATION_MEMORY": "100000"}
        self.refused(4, ["CUDA memory", "expected at least"], *command, "y", "--backend", "cuda", env=small)
        self.refused(4, "device 1, expected 0 to 0", *command, "y", "--backend", "cuda", "--devices", "0,1")
        self.refused(2, ["--devices: with a folder", "add --backend cuda"], *command, "y", "--devices", "0,1")
        self.refused(2, "--devices: with the file", *command, "y.npy", "--devices", "0,1")


if __name__ == "__main__":
    unittest.main()
