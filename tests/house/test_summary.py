"""tests/house/summary.py: counts, groups of skipped tests, the slowest, and its exit code. Run by ctest: test_summary.py"""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SUMMARY = Path(__file__).resolve().parent / "summary.py"
XML = """<?xml version="1.0"?><testsuite name="Linux-c++">
<testcase name="a" time="12.4" status="run"><system-out>fine</system-out></testcase>
<testcase name="b" time="0.1" status="{b}">{failure}</testcase>
<testcase name="c" time="0" status="notrun"><skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/><system-out>Skipped: no GPU here</system-out></testcase>
<testcase name="d" time="0" status="notrun"><skipped message=""/><system-out>skipped: no GPU</system-out></testcase>
<testcase name="e" time="0" status="notrun"><skipped message=""/><system-out>skipped: set PDADMM_DATA to a folder</system-out></testcase>
<testcase name="f" time="0" status="notrun"><skipped message=""/><system-out>Skipped: the moon is full</system-out></testcase>
</testsuite>"""


class Summary(unittest.TestCase):
    def run_it(self, *texts):
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number, text in enumerate(texts):
                paths.append(Path(folder, f"{number}.xml"))
                paths[-1].write_text(text)
            return subprocess.run([sys.executable, str(SUMMARY), *map(str, paths)], capture_output=True, text=True)

    def test_one_line_says_all(self):
        good = XML.format(b="run", failure="")
        done = self.run_it(good, good)
        self.assertEqual(done.returncode, 0, done.stderr)
        first, *_, last = done.stdout.splitlines()
        self.assertTrue(first.startswith("slowest: a 12 s, a 12 s, b 0 s"), first)
        self.assertEqual(last, "4 passed, 0 failed, 8 skipped (no GPU: 4, real graphs are not here: 2, Skipped: the moon is full: 2)")

    def test_failures_are_named(self):
        done = self.run_it(XML.format(b="fail", failure='<failure message="x"/>'))
        self.assertEqual(done.returncode, 1)
        self.assertIn("failed: b", done.stdout)
        self.assertIn("1 passed, 1 failed, 4 skipped", done.stdout)

    def test_no_results_are_no_success(self):
        self.assertEqual(self.run_it().returncode, 1)
        broken = self.run_it("<testsuite>")
        self.assertEqual(broken.returncode, 1)
        self.assertRegex(broken.stderr, r"\Asummary.py: error: .*expected what ctest --output-junit writes; run ./run tests\n\Z")


if __name__ == "__main__":
    unittest.main()
