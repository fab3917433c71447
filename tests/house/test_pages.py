#!/usr/bin/env python3
"""The pages of the repository say what is so: README's commands run, links and anchors lead somewhere, paths and
functions exist, figures of tables are those of their records, and each "design N" in a comment has its section.
Usage: test_pages.py [PDADMM] [TESTS]. Without PDADMM no command is run.

A comment <!-- run: GRAPH --> before commands has them run on GRAPH where PDADMM_DATA has it, else on a made-up one; one
with "source:" says where the figures of a table come from (bench/suites/cited.py).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 and os.path.isfile(sys.argv[1]) else None
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
from suites import cited  # noqa: E402
from suites import page as suites_page  # noqa: E402

COMMANDS = ("train", "tune", "plan", "evaluate", "predict", "report", "runs", "augment", "info")
OTHERS_OPTIONS = set(
    "--build --fresh --help --install --mpi --no-python --nproc-per-node --oversubscribe --preset "
    "--allow-run-as-root --after --round".split()
)  # of launchers, CMake and bench/gpu_round.sh
MOST_LINES, MOST_WORDS = 140, 40  # of README, and of a sentence in it
MADE_UP = "sbm:nodes=400"
# What README's new.npz stands for: a ring of 50 nodes without labels, with as many features as the graph of training.
NEW_GRAPH = """import sys, numpy as np
n, d = 50, int(sys.argv[1])
np.savez("new.npz", pdadmm_bundle=1, adj_indptr=np.arange(n + 1), adj_indices=np.roll(np.arange(n), -1), adj_shape=[n, n],
         features=np.random.default_rng(0).random((n, d), np.float32))"""
ELSEWHERE = re.compile(r"data/(bundles|cache|npz)\b|host/pdadmm$|.*\bNAME\b")  # of a build, of data, of other places


def tracked(pattern="*"):
    """Files of the repository, those not yet added among them; of a copy without git, those that are no results of work."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        files = [Path(name) for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]
    else:
        files = [file.relative_to(ROOT) for file in ROOT.rglob("*") if file.is_file()]
        files = [file for file in files if not re.match(r"build|runs|\.git$|data/(bundles|cache)", str(file))]
    return sorted(str(file) for file in files if file.match(pattern))


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def prose_of(text):
    """A page without its blocks of code and its comments, line for line."""
    for block in (r"^```.*?^```$", r"<!--.*?-->"):
        text = re.sub(block, lambda found: "\n" * found.group().count("\n"), text, flags=re.S | re.M)
    lines, inside = text.split("\n"), False
    for k, line in enumerate(lines):  # an indented block follows an empty line
        inside = line.startswith("    ") and (inside or k == 0 or not lines[k - 1].strip())
        lines[k] = "" if inside else line
    return "\n".join(lines)


def anchors(text):
    """Anchors of a page's headings, as GitHub makes them."""
    found = {}
    for heading in re.findall(r"^#+ +(.+?) *$", prose_of(text), flags=re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {slug if k == 0 else f"{slug}-{k}" for slug, count in found.items() for k in range(count + 1)}


def links(text):
    """(path, anchor) of links within the repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose_of(text)))
    return [target.partition("#")[::2] for target in found if not re.match(r"[a-z]+:", target)]


def broken_links(page, text):
    problems = []
    for path, anchor in links(text):
        file = (ROOT / page).parent / path if path else None
        if file and not file.exists():
            problems.append(f"{page}: {path}: no such file")
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8") if file else text):
            problems.append(f"{page}: {path}#{anchor}: no such heading")
    return problems


def missing_paths(page, text):
    """Files that a page names from the top or from its own folder, and that are not there."""
    text = re.sub(r"[a-z]+://\S*", "", text)
    from_top = re.findall(r"(?<![\w./~-])((?:host|cuda|include|tests|bench|data)/[\w./*-]*\w\*?)", text)
    from_here = re.findall(r"(?<![\w./~-])(\w+/[\w/]+\.(?:cpp|hpp|cu|cuh|py|sh))\b", text)
    named = {path for path in (*from_top, *from_here) if not ELSEWHERE.match(path)}
    return [
        f"{page}: {path}: no such file"
        for path in sorted(named)
        if not any(True for folder in (ROOT, (ROOT / page).parent) for _ in folder.glob(path))
    ]


def long_sentences(text):
    prose = "\n".join("" if line.startswith(("|", "#", "!")) else line for line in prose_of(text).split("\n"))
    prose = re.sub(r"\]\([^)]*\)", "]", prose)
    sentences = (s for part in re.split(r"\n\s*\n|\n- ", prose) for s in re.split(r"(?<=[.;:!?])\s+", part))
    return [sentence for sentence in sentences if len(sentence.split()) > MOST_WORDS]


def defines(file, function):
    return (ROOT / file).exists() and re.search(rf"\b{function}\(", text_of(file)) is not None


def design_sections():
    parts = re.split(r"^## (\d+)\.", text_of("host/DESIGN.md"), flags=re.M)
    return {int(number): text.lower() for number, text in zip(parts[1::2], parts[2::2])}


def citations(text):
    """(section, quoted words or "") of what comments cite as design N, "words"."""
    words = re.sub(r"\n\s*(//+|#)", " ", text)  # a citation may go on in the next line of a comment
    found = re.findall(r"\bdesign (\d+(?:(?:, | and | to )\d+)*)(?:,\s+((?:codec )?[\"`][^\"`]+[\"`]))?", words)
    return [
        (int(n), re.sub(r"[\"`]", "", label).lower()) for numbers, label in found for n in re.findall(r"\d+", numbers)
    ]


def broken_citations(name, text, sections):
    return [
        f"{name}: design {number} {label}: no such section or words"
        for number, label in citations(text)
        if number not in sections or label not in re.sub(r"[\"`]", "", sections[number])
    ]


PAGES = tracked("*.md")
SOURCES = [
    name
    for name in tracked()
    if re.search(r"\.(cpp|hpp|cu|cuh|h|py|sh)$|CMakeLists\.txt$|^run$|^bench/harness$", name)
    and name != "tests/house/test_pages.py"
]


class Pages(unittest.TestCase):
    def test_links_lead_somewhere(self):
        self.assertEqual([problem for page in PAGES for problem in broken_links(page, text_of(page))], [])

    def test_every_page_is_reached_from_readme(self):
        reached, ahead = set(), ["README.md"]
        while ahead:
            page = ahead.pop()
            if page not in reached and (ROOT / page).exists():
                reached.add(page)
                ahead += [
                    os.path.normpath(os.path.join(os.path.dirname(page), path))
                    for path, _ in links(text_of(page))
                    if path.endswith(".md")
                ]
        self.assertEqual(set(PAGES) - reached, set())

    def test_paths_exist(self):
        pages = [page for page in PAGES if page != "CHANGELOG.md" and not page.startswith("bench/results/")]
        self.assertEqual([problem for page in pages for problem in missing_paths(page, text_of(page))], [])

    def test_figures_are_those_of_their_records(self):
        citing = [page for page in PAGES if cited.TABLE.search(text_of(page))]
        self.assertEqual(sorted(citing), sorted(cited.PAGES))
        for page in citing:
            self.assertEqual(cited.filled(text_of(page)), (text_of(page), []), page)

    def test_suites_are_listed(self):
        listed = re.findall(r"`([\w-]+)`", "".join(re.findall(r"^\|(.*?)\|", text_of("bench/README.md"), flags=re.M)))
        self.assertEqual(set(suites_page.SUITES) - set(listed), set())

    @unittest.skipUnless(PROGRAM, "no program given")
    def test_options_exist(self):
        """Options of the program that the pages about it name."""
        known = set(OTHERS_OPTIONS)
        for command in COMMANDS:
            known |= set(re.findall(r"--[\w-]+", subprocess.check_output([PROGRAM, command, "--help"], text=True)))
        for page in (page for page in PAGES if page == "README.md" or page.startswith(("host/", "cuda/"))):
            with self.subTest(page=page):
                self.assertEqual(set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text_of(page))) - known, set())


class Readme(unittest.TestCase):
    def test_is_short(self):
        text = text_of("README.md")
        self.assertLessEqual(text.count("\n"), MOST_LINES)
        self.assertEqual(long_sentences(text), [])

    def test_functions_are_where_they_are_said_to_be(self):
        named = [
            (function, place)
            for cell in re.findall(r"^\|[^|]*\|[^|]*\|([^|]*)\|$", text_of("README.md"), flags=re.M)
            for place in re.findall(r"(?:host|include)/[\w/.]+", cell)
            for function in re.findall(r"`(\w+)`", cell)
        ]
        self.assertGreater(len(named), 8)
        self.assertEqual([(f, place) for f, place in named if not defines(place, f)], [])

    @unittest.skipUnless(PROGRAM, "no program given")
    def test_commands_run(self):
        blocks = re.findall(r"<!-- run: (\w+) -->\n```sh\n(.*?)```", text_of("README.md"), flags=re.S)
        self.assertTrue(blocks)
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            (scratch / "build/cpu/host").mkdir(parents=True)
            os.symlink(PROGRAM, scratch / "build/cpu/host/pdadmm")
            shutil.copytree(
                ROOT / "data", scratch / "data", ignore=shutil.ignore_patterns("bundles", "cache", "__pycache__")
            )
            environment = {
                **os.environ,
                "HOME": folder,
                "XDG_CACHE_HOME": str(scratch / "cache"),
                "PATH": f"{scratch}/build/cpu/host:/usr/bin:{os.environ['PATH']}",
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            for graph, commands in blocks:
                if not self.has(graph, environment, scratch):
                    commands = re.sub(r"^python3 data/prepare.py .*\n", "", commands, flags=re.M)
                    commands = re.sub(rf"(--dataset|--of) {graph}\b", rf"\1 {MADE_UP}", commands)
                trained_on = re.search(r"--dataset (\S+)", commands)[1]
                run = {"cwd": scratch, "env": environment, "check": True, "capture_output": True, "text": True}
                facts = subprocess.run([PROGRAM, "info", "--dataset", trained_on], **run).stdout
                features = re.search(r"features +(\d+)", facts)[1]
                subprocess.run(["python3", "-c", NEW_GRAPH, features], **run)
                with self.subTest(commands=commands):
                    done = subprocess.run(
                        ["bash", "-euo", "pipefail", "-c", commands],
                        cwd=scratch,
                        env=environment,
                        capture_output=True,
                        text=True,
                        timeout=600,
                    )
                    self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-2000:])

    def has(self, graph, environment, scratch):
        """Whether PDADMM_DATA has the graph in a form of which data/prepare.py makes a bundle without a network."""
        command = ["python3", "data/prepare.py", "--offline", graph]
        return (
            "PDADMM_DATA" in environment
            and subprocess.run(command, cwd=scratch, env=environment, capture_output=True).returncode == 0
        )


class Citations(unittest.TestCase):
    """What comments in the code cite."""

    def test_of_the_design_lead_to_a_section(self):
        sections, cited = design_sections(), 0
        for name in SOURCES:
            cited += len(citations(text_of(name)))
            self.assertEqual(broken_citations(name, text_of(name), sections), [])
        self.assertGreater(cited, 20)

    def test_of_pages_lead_to_a_page(self):
        for name in SOURCES:
            if name.startswith(("bench/suites/", "tests/bench/test_harness")):  # README.md: the page that they write
                continue
            for page in re.findall(r"[\w./-]*\w\.md\b", text_of(name)):
                with self.subTest(file=name, page=page):
                    places = [ROOT / page, (ROOT / name).parent / page, ROOT / "host" / page, ROOT / "host/cli" / page]
                    self.assertTrue(any(place.exists() for place in places), "no such page")


class Planted(unittest.TestCase):
    """Each check finds what it is for."""

    def test_faults_are_found(self):
        page = "# One\n[a](#two) [b](no.md) [c](README.md#no-such)\n`[d](no.md)`\n\n    [e](no.md)\n"
        self.assertEqual(len(broken_links("README.md", page)), 3)
        self.assertEqual(broken_links("README.md", "# One\n# One\n[a](#one) [b](#one-1)\n"), [])
        self.assertEqual(
            len(missing_paths("host/README.md", "host/no.cpp, tests/house/test_pages.py, no/such.hpp, ../no")), 2
        )
        self.assertEqual(len(long_sentences("word " * (MOST_WORDS + 1) + ".\n\n" + "word. " * 100)), 1)
        self.assertEqual(broken_citations("a", '// (design 1), design 2, "here\nand', {1: "", 2: "here"}), [])
        self.assertEqual(
            len(broken_citations("a", "// design 3, design 1 and 4, design 2, `gone`", {1: "", 2: "here"})), 3
        )

    def test_a_changed_figure_is_found(self):
        page = text_of("README.md")
        digit = re.search(r"\d (?=±)", page)
        changed = page[: digit.start()] + str((int(digit.group()) + 1) % 10) + page[digit.start() + 1 :]
        emptied = re.sub(r"\| 0\.\d+ ± 0\.\d+ \|\n", "| |\n", page, count=1)
        for text in (changed, emptied):
            again, problems = cited.filled(text)
            self.assertEqual((again, len(problems)), (page, 1))


if __name__ == "__main__":
    unittest.main()
