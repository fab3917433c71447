#!/usr/bin/env python3
"""pdadmm report, and the page that train leaves: what it says is what the run's files say, it loads nothing, and no name of a folder
or data set becomes markup. Usage: test_cli_report.py PDADMM"""

import json
import re
import shutil
import unittest
from html.parser import HTMLParser
from pathlib import Path

from cli_case import Case

NET = ["--dataset", "sbm:nodes=200,classes=3,features=8", "--preset", "none", "--grow", "2,4", "--layers", "4", "--hidden", "6",
       "--epochs", "6", "--eval-every", "2", "--quiet"]
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Elements in order, texts of elements, and whether all were closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts, self.attributes = [], [], {}, []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, text):
        for tag in self.open:
            self.texts[tag] = self.texts.get(tag, "") + text
        if self.open and self.open[-1] == "script":
            self.texts.setdefault("scripts", []).append(text)


class Report(Case):
    def trained(self, name, *arguments):
        folder = Path(self.folder, name)
        self.ok("train", *NET, "--out", str(folder), *arguments)
        return folder

    def page(self, path):
        text = path.read_text(encoding="utf-8")
        found = Page(text)
        self.assertEqual([a for a in found.attributes if a[1] in ("src", "href", "action", "onload")], [])
        self.assertNotRegex(text, r"https?://|url\(|@import|<link|<img|<iframe")
        headings = [tag for tag in found.tags if re.fullmatch(r"h\d", tag)]
        self.assertEqual(headings[0], "h1")
        self.assertEqual(set(headings[1:]), {"h2"})
        for tag, name, value in found.attributes:
            if (tag, name) == ("svg", "role"):
                self.assertEqual(value, "img")
        return found

    def charts(self, page):
        return [json.loads(text) for text in page.texts["scripts"] if text.startswith("{")]

    def test_set_up_counts_in_seconds_of_training(self):
        folder = self.trained("run")
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual([row["layers"] for row in rows if "setup_seconds" in row], [2, 4])
        for row in rows:
            row["seconds"] = 1.5
            row.update({"setup_seconds": 20 * row["layers"]} if "setup_seconds" in row else {})
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.ok("report", str(folder), "--out", str(folder / "again.html"))
        text = (folder / "again.html").read_text()
        self.assertIn(f"{(1.5 * len(rows) + 120) / 60:.3g} min of training", text)
        self.assertIn("<td>49 s</td><td>40 s</td>", text)
        self.assertIn("<td>89 s</td><td>80 s</td>", text)

    def test_of_one_run(self):
        folder = self.trained("one")
        page, summary = self.page(folder / "report.html"), json.loads((folder / "summary.json").read_text())
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        self.assertIn(f"Test accuracy {summary['best']['test']:.3f} at the best", page.texts["p"])
        curves = {(c["x"], curve["label"]): curve for c in self.charts(page) for curve in c["curves"]}
        objective = curves["iteration", "objective"]
        self.assertEqual(objective["x"], [r["epoch"] for r in rows])
        self.assertEqual(float(objective["y"][-1]), float(f"{rows[-1]['objective']:.3g}"))
        self.assertEqual(curves["iteration", "test"]["x"], [r["epoch"] for r in rows if "test_accuracy" in r])
        self.assertIn('dataset = "sbm:nodes=200', page.texts["pre"])
        stages = re.findall(r"<th scope=\"row\">(\d)</th><td>(\d)</td><td>(\d+)</td>", (folder / "report.html").read_text())
        self.assertEqual(stages, [("1", "2", "6"), ("2", "4", "6")])

    def test_classes(self):
        folder = self.trained("one")
        text = (folder / "report.html").read_text()
        rows = [line.split(",") for line in (folder / "confusion.csv").read_text().splitlines()]
        of_test = [[int(v) for v in row[2:]] for row in rows if row[0] == "test"]
        matrix = text.partition('class="matrix"')[2].partition("</table>")[0]
        self.assertEqual([[int(v) for v in re.findall(r'<td style="[^"]*">(\d+)</td>', row)] for row in re.findall("<tr>.*?</tr>", matrix)[1:]], of_test)
        right = sum(row[k] for k, row in enumerate(of_test)) / sum(map(sum, of_test))
        self.assertAlmostEqual(right, json.loads((folder / "summary.json").read_text())["best"]["test"])
        for k, row in enumerate(of_test):
            self.assertIn(f'<th scope="row">{k}</th><td>{sum(row)}</td><td>{row[k] / sum(row):.3f}</td>', text)
        (folder / "confusion.csv").write_text("set,class\n")  # not such a file: the page goes without it
        self.ok("report", str(folder))
        self.assertNotIn("matrix\"", (folder / "report.html").read_text())

    def test_residuals_by_layer(self):
        folder = self.trained("one")
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for row in rows:
            evaluated = "train_accuracy" in row
            for key, parts in (("primal", row["layers"] - 1), ("linear", row["layers"])):
                layers = row.get(f"layer_{key}_residual", [])
                self.assertEqual(len(layers), parts if evaluated else 0)
                if evaluated:
                    whole = sum(v * v for v in layers) ** 0.5
                    self.assertAlmostEqual(whole, row[f"{key}_residual"], delta=1e-5 * whole + 1e-12)
        text = (folder / "report.html").read_text()
        self.assertIn("norm of 3 layers over 6 iteration", text)
        self.assertIn("norm of 4 layers over 6 iteration", text)

    def test_of_values_that_differ_by_rounding(self):
        folder = self.trained("r", "--seeds", "3")
        for metrics in folder.glob("seed-*/metrics.jsonl"):
            rows = [json.loads(line) for line in metrics.read_text().splitlines()]
            same = [{key: 0.8 if "accuracy" in key else value for key, value in row.items()} for row in rows]
            metrics.write_text("".join(json.dumps(row) + "\n" for row in same))
        self.ok("report", str(folder))
        self.page(folder / "report.html")

    def test_of_several_seeds_and_of_runs_side_by_side(self):
        folder, other = self.trained("a<b>&", "--seeds", "2"), self.trained("x<script>", "--seeds", "2", "--hidden", "5")
        self.assertIn("over 2 seeds", self.page(folder / "report.html").texts["p"])
        self.page(folder / "seed-0" / "report.html")
        both = Path(self.folder, "both.html")
        self.ok("report", str(folder), str(other), "--out", str(both))
        page = self.page(both)
        self.assertIn("a<b>&", page.texts["th"])
        self.assertIn("x<script>", page.texts["th"])
        self.assertIn("hidden65", page.texts["tbody"].replace("\n", ""), "what the runs differ in")
        best = max((folder, other), key=lambda f: json.loads((f / "summary.json").read_text())["best_val"]["val"]["mean"])
        self.assertEqual(page.texts["strong"], best.name)
        self.assertEqual({curve["label"] for c in self.charts(page) for curve in c["curves"]}, {"a<b>&", "x<script>"})

    def test_of_backpropagation_and_of_a_run_that_is_not_done(self):
        folder = self.trained("adam", "--optimizer", "adam")
        page = self.page(folder / "report.html")
        self.assertNotIn("layer 1 is on top", page.texts["p"])
        (folder / "summary.json").unlink()
        (folder / "report.html").unlink()
        with open(folder / "metrics.jsonl", "a", encoding="utf-8") as lines:
            lines.write('{"epoch": 13, "obj')  # being written
        self.ok("report", str(folder))
        self.assertIn("Not done: objective", self.page(folder / "report.html").texts["p"])

    def test_wrong_use(self):
        folder = self.trained("one")
        self.refused(2, ["no folder", "expected those of runs"], "report")
        self.refused(2, ["--out: none"], "report", str(folder), str(folder))
        self.refused(3, ["no config.json", "expected the folder of a run"], "report", self.folder)
        self.refused(5, ["no"], "report", str(folder), "--out", str(folder / "no" / "page.html"))
        (folder / "metrics.jsonl").write_text('{"epoch": 1}\n[]\n')
        self.refused(3, ["metrics.jsonl: line 2", "expected what pdadmm train wrote"], "report", str(folder))
        (folder / "metrics.jsonl").write_text("\n")
        self.refused(3, ["metrics.jsonl: line 1"], "report", str(folder))
        shutil.rmtree(folder)
        self.refused(3, ["one"], "report", str(folder))


if __name__ == "__main__":
    unittest.main()
