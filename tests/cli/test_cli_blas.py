"""Which BLAS library and kernels the program takes: of real ones and of one that is made up. Run by ctest: test_cli_blas.py PDADMM FAKE_LIBRARY"""
import os
import platform
import sys
import unittest
from pathlib import Path

FAKE = os.path.abspath(sys.argv.pop(2))
from cli_case import Case

try:
    FLAGS = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")).split()
except (OSError, StopIteration):
    FLAGS = []
BEST = "SkylakeX" if {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"} <= set(FLAGS) else "Haswell" if {"avx2", "fma"} <= set(FLAGS) else None


class Blas(Case):
    def remember_blas(self):
        """Nothing: every test here tries kernels anew."""

    def cpu(self, **variables):
        """The line of `info` about the CPU backend."""
        env = {k: v for k, v in self.env.items() if k != "OPENBLAS_CORETYPE"} | variables
        done = self.run_it("info", env=env)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return next(line for line in done.stdout.splitlines() if line.startswith("backend cpu"))

    def fake(self, fault="", **more):
        return self.cpu(PDADMM_BLAS=FAKE, PDADMM_FAKE_BLAS=fault, **more)

    def refusal(self, words, **variables):
        env = {k: v for k, v in self.env.items() if k != "OPENBLAS_CORETYPE"} | variables
        done = self.run_it("train", "--dataset", "sbm:nodes=60", "--epochs", "1", env=env)
        self.assertEqual(done.returncode, 4)
        self.assertRegex(done.stderr, rf"\Apdadmm: error: BLAS: [^\n]*{words}[^\n]*\n\Z")

    def remembered(self):
        return sorted((self.folder / "cache/pdadmm/blas").glob("*"))

    def test_the_library_at_hand(self):
        self.assertRegex(self.cpu(), r"OpenBLAS \d+\.\d+\.\d+\S*, \w+ kernels \((its own choice|set for this processor)\), \S+")
        self.assertRegex(self.cpu(PDADMM_BLAS="as-is"), r"kernels \(its own choice\)")

    def test_the_option_comes_before_the_environment(self):
        train = ["train", "--dataset", "sbm:nodes=60", "--preset", "none", "--layers", "2", "--hidden", "4", "--epochs", "2", "--blas"]
        done = self.run_it(*train, "as-is", env={**self.env, "PDADMM_BLAS": "/nowhere.so"})
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.run_it(*train, "/nowhere.so")
        self.assertEqual(done.returncode, 4)
        self.assertRegex(done.stderr, r"error: BLAS: /nowhere.so")

    @unittest.skipUnless(platform.machine() == "x86_64", "kernels of x86-64")
    def test_the_users_kernel_is_respected(self):
        self.assertRegex(self.cpu(OPENBLAS_CORETYPE="Nehalem"), r" Nehalem kernels \(OPENBLAS_CORETYPE\)")

    @unittest.skipUnless(BEST, "a processor with AVX2")
    def test_an_old_kernel_is_replaced_and_that_remembered(self):
        self.assertIn(f"{BEST} kernels (set for this processor)", self.fake())
        (kept,) = self.remembered()
        self.assertEqual(kept.read_text(), BEST + "\n")
        kept.write_text("its own\n")  # believed: nothing is tested anew
        self.assertIn("Prescott kernels (its own choice)", self.fake())
        kept.write_text("SkylakeX; rm -rf\n")  # not a kernel: tested anew
        self.assertIn(f"{BEST} kernels (set for this processor)", self.fake())

    @unittest.skipUnless(BEST, "a processor with AVX2")
    def test_a_kernel_that_crashes_or_is_wrong_is_not_taken(self):
        for fault in ("crashes", "is wrong"):
            taken = self.fake(f"{BEST} {fault}", XDG_CACHE_HOME=str(self.folder / fault.replace(" ", "-")))
            self.assertRegex(taken, r"(Haswell kernels \(set for this processor\)|Prescott kernels \(its own choice\))")
            self.assertNotIn(BEST, taken)

    @unittest.skipUnless(BEST, "a processor with AVX2")
    def test_another_kernel_is_said_on_resume(self):
        train = ["train", "--dataset", "sbm:nodes=60", "--preset", "none", "--layers", "2", "--hidden", "4", "--epochs", "4", "--checkpoint-every", "2", "--quiet"]
        env = {**self.env, "OPENBLAS_CORETYPE": "Nehalem"}
        done = self.run_it(*train, "--out", "run", env=env)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        longer = ["train", "--resume", "run", "--epochs", "8"]
        env["OPENBLAS_CORETYPE"] = "Haswell"
        done = self.run_it(*longer, env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"products by OpenBLAS \S+ Haswell, before by OpenBLAS \S+ Nehalem: the last bits may differ")
        done = self.run_it(*longer, env={**env, "OPENBLAS_CORETYPE": "Nehalem"})  # finished: its summary again, no word
        self.assertEqual(done.returncode, 0)
        self.assertNotIn("last bits", done.stderr)

    def test_libraries_that_cannot_be_used(self):
        self.refusal("nowhere.so.*expected the library OpenBLAS; install libopenblas0-openmp", PDADMM_BLAS="/nowhere.so")
        self.refusal("serial variant, expected one with threads", PDADMM_BLAS=FAKE, PDADMM_FAKE_BLAS="serial")
        self.refusal("sgemm .*off by", PDADMM_BLAS=FAKE, PDADMM_FAKE_BLAS="Atom is wrong", OPENBLAS_CORETYPE="Atom")
        self.refusal("Illegal instruction", PDADMM_BLAS=FAKE, PDADMM_FAKE_BLAS="Atom crashes", OPENBLAS_CORETYPE="Atom")
        libm = next((p for p in ("/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6") if os.path.exists(p)), None)
        if libm:
            self.refusal("no function openblas_get_config, expected OpenBLAS", PDADMM_BLAS=libm)


if __name__ == "__main__":
    unittest.main()
