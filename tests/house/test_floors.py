"""The plan of the house (host/README.md): rooms include only rooms on lower floors, nothing includes in a loop, host/
and cuda/ do not know each other, and every room lies whole in the library that the page names. Planted faults must be
found.

    test_floors.py ROOT
"""
import os
import re
import sys
import tempfile
import unittest

ROOT = os.path.abspath(sys.argv.pop(1) if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../.."))
CORRIDOR = {"main.cpp", "registry.cpp", "CMakeLists.txt", "README.md", "DESIGN.md", "OWNERS.md", "RANKS.md"}
ROW = re.compile(r"\| (\d+) \| `(\w+)/` \| (\w+) \|")
# Beside quotes, angles around a header of ours; <cuda/atomic> is CUDA's.
INCLUDE = re.compile(r'\s*#\s*include\s*(?:"([^"]+)"|<((?:host|cuda|pdadmm)/[^>]+\.(?:hpp|cuh))>)')
SOURCE = (".cpp", ".hpp", ".cu", ".cuh")
MOST_LINES = 400


def read_plan(root):
    """{room: (floor, library)}, and complaints about the page itself."""
    plan, faults = {}, []
    with open(os.path.join(root, "host/README.md"), encoding="utf-8") as page:
        for number, line in enumerate(page, 1):
            row = ROW.match(line)
            if row and row[2] in plan:
                faults.append(f"host/README.md:{number}: {row[2]}/ a second time, expected one row a room")
            elif row:
                plan[row[2]] = (int(row[1]), row[3])
    return plan, faults


def includes(root):
    """{file: [(line, included file)]} of everything that is compiled into the program, by paths from the root."""
    found = {}
    for top in ("host", "include", "cuda"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(n for n in names if n.endswith(SOURCE)):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as text:
                    lines = [(number, match[1] or match[2]) for number, line in enumerate(text, 1)
                             if (match := INCLUDE.match(line))]
                found[os.path.relpath(path, root)] = [
                    (number, "include/" + target if target.startswith("pdadmm/") else target)
                    for number, target in lines]
    return found


def room_of(path):
    """"data" of host/data/graph.cpp; "" of the corridor and of what is not in host/."""
    parts = path.split("/")
    return parts[1] if parts[0] == "host" and len(parts) > 2 else ""


def arrow_fault(plan, source, target):
    """What is wrong with `source` including `target`, both of which exist; "" where nothing is."""
    top, to = source.split("/")[0], target.split("/")[0]
    if to not in {"include": ("include",), "cuda": ("cuda", "include"), "host": ("host", "include")}[top]:
        return f"{top}/ includes {to}/, expected its own files or the contract in include/pdadmm/"
    if top != "host" or to != "host" or not room_of(source) or room_of(source) == room_of(target):
        return ""
    if not room_of(target):
        return "a room includes the corridor, expected a room on a lower floor"
    (here, _), (there, _) = plan.get(room_of(source), (0, "")), plan.get(room_of(target), (0, ""))
    if there < here:
        return ""
    return f"from floor {here} to floor {there}, expected a lower floor; move what is needed down, or the includer up"


def loops(graph):
    """One complaint for every include that leads back to a file which is still open."""
    faults, state = [], {}

    def visit(path):
        state[path] = "open"
        for number, target in graph[path]:
            if state.get(target) == "open":
                faults.append(f"{path}:{number}: {target} includes this file in turn, expected no loop")
            elif target in graph and target not in state:
                visit(target)
        state[path] = "done"

    for path in graph:
        if path not in state:
            visit(path)
    return faults


def library_faults(root, room, library):
    """Sources of a room that its list misses or names twice, and lists of another library."""
    page = f"host/{room}/CMakeLists.txt"
    sources = sorted(n for n in os.listdir(os.path.join(root, "host", room)) if n.endswith(".cpp"))
    if not os.path.exists(os.path.join(root, page)):
        return [f"{page}: missing, expected the sources of {library}"]
    with open(os.path.join(root, page), encoding="utf-8") as text:
        listing = text.read()
    faults = [f"{page}: adds to {other}, expected {library} as host/README.md says"
              for other in re.findall(r"target_sources\((\w+)", listing) if other != library]
    listed = re.findall(r"[\s(](\w+\.cpp)", "".join(re.findall(r"target_sources\([^)]*\)", listing)))
    return faults + [f"{page}: {name} {listed.count(name)} times, expected once"
                     for name in sources if listed.count(name) != 1]


def long_files(root):
    """Sources of more than MOST_LINES lines."""
    faults = []
    for top in ("host", "include", "cuda", "tests", "bench", "data"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(n for n in names if n.endswith((*SOURCE, ".h", ".py", ".sh"))):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as text:
                    lines = sum(1 for _ in text)
                if lines > MOST_LINES:
                    faults.append(f"{os.path.relpath(path, root)}: {lines} lines, expected at most {MOST_LINES}; split it by subject")
    return faults


def faults_of(root):
    plan, faults = read_plan(root)
    rooms = {n for n in os.listdir(os.path.join(root, "host")) if os.path.isdir(os.path.join(root, "host", n))}
    faults += [f"host/{room}/: in the house or on the page alone, expected both; mend the table of host/README.md"
               for room in sorted(rooms ^ set(plan))]
    faults += [f"host/{name}: in the corridor, expected a room for it"
               for name in sorted(set(os.listdir(os.path.join(root, "host"))) - rooms - CORRIDOR)]
    for room in sorted(rooms & set(plan)):
        faults += library_faults(root, room, plan[room][1])
    graph = includes(root)
    for source, lines in graph.items():
        for number, target in lines:
            fault = (arrow_fault(plan, source, target) if target in graph
                     else "no such file, expected a path from the root of the repository")
            if fault:
                faults.append(f"{source}:{number}: {target}: {fault}")
    return faults + loops(graph)


class House(unittest.TestCase):
    def test_every_include_goes_down(self):
        self.assertEqual(faults_of(ROOT), [])

    def test_no_file_is_long(self):
        self.assertEqual(long_files(ROOT), [])

    def test_the_page_and_the_sources_are_read(self):
        plan, _ = read_plan(ROOT)
        self.assertGreater(len(plan), 10)
        self.assertGreater(sum(len(lines) for lines in includes(ROOT).values()), 200)


class Planted(unittest.TestCase):
    """Every fault in a small house that has no other."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.write("host/README.md",
                   "| 2 | `roof/` | top | a |\n| 1 | `hall/` | base | b |\n| 1 | `cellar/` | base | c |\n")
        self.write("host/main.cpp", '#include "host/roof/tile.hpp"\n')
        self.write("host/roof/CMakeLists.txt", "target_sources(top PRIVATE\n  tile.cpp)\n")
        self.write("host/roof/tile.cpp", '#include "host/roof/tile.hpp"\n')
        self.write("host/roof/tile.hpp", '// A tile.\n#include "host/hall/door.hpp"\n#include "pdadmm/stone.hpp"\n')
        self.write("host/hall/CMakeLists.txt", "target_sources(base PRIVATE door.cpp)\n")
        self.write("host/hall/door.cpp", '#include "host/hall/door.hpp"\n')
        self.write("host/hall/door.hpp", "#include <vector>\n")
        self.write("host/cellar/CMakeLists.txt", "target_sources(base PRIVATE wine.cpp)\n")
        self.write("host/cellar/wine.cpp", '#include "pdadmm/stone.hpp"\n')
        self.write("include/pdadmm/stone.hpp", "#include <cstdint>\n")
        self.write("cuda/engine.cu", '#include "pdadmm/stone.hpp"\n')

    def write(self, path, text):
        path = os.path.join(self.folder.name, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def expect(self, *beginnings):
        found = faults_of(self.folder.name)
        self.assertEqual(len(found), len(beginnings), found)
        for fault, beginning in zip(found, beginnings):
            self.assertTrue(fault.startswith(beginning), fault)

    def test_none(self):
        self.expect()

    def test_upward(self):
        self.write("host/hall/door.cpp", '#include "host/hall/door.hpp"\n#include "host/roof/tile.hpp"\n')
        self.expect("host/hall/door.cpp:2: host/roof/tile.hpp: from floor 1 to floor 2")

    def test_sideways(self):
        self.write("host/cellar/wine.cpp", '\n\n  #  include "host/hall/door.hpp"\n')
        self.expect("host/cellar/wine.cpp:3: host/hall/door.hpp: from floor 1 to floor 1")

    def test_loop_within_a_room(self):
        self.write("host/hall/door.hpp", '#include "host/hall/lock.hpp"\n')
        self.write("host/hall/lock.hpp", '#include "host/hall/door.hpp"\n')
        found = faults_of(self.folder.name)
        self.assertEqual(len(found), 1, found)
        self.assertIn("expected no loop", found[0])

    def test_loop_within_the_contract(self):
        self.write("include/pdadmm/stone.hpp", '#include "pdadmm/sand.hpp"\n')
        self.write("include/pdadmm/sand.hpp", "#include <pdadmm/stone.hpp>\n")
        found = faults_of(self.folder.name)
        self.assertEqual(len(found), 1, found)
        self.assertIn("expected no loop", found[0])

    def test_host_and_cuda(self):
        self.write("cuda/engine.cu", '#include "host/hall/door.hpp"\n')
        self.write("cuda/engine.cuh", "")
        self.write("host/main.cpp", '#include "cuda/engine.cuh"\n')
        self.expect("host/main.cpp:1: cuda/engine.cuh: host/ includes cuda/",
                    "cuda/engine.cu:1: host/hall/door.hpp: cuda/ includes host/")

    def test_contract_above_its_ground(self):
        self.write("include/pdadmm/stone.hpp", '#include "host/hall/door.hpp"\n')
        self.expect("include/pdadmm/stone.hpp:1: host/hall/door.hpp: include/ includes host/")

    def test_path_that_is_not_from_the_root(self):
        self.write("host/hall/door.cpp", '#include "door.hpp"\n')
        self.expect("host/hall/door.cpp:1: door.hpp: no such file")

    def test_room_that_is_not_on_the_page(self):
        self.write("host/attic/box.hpp", "")
        self.expect("host/attic/:")

    def test_file_in_the_corridor(self):
        self.write("host/shoe.cpp", "")
        self.expect("host/shoe.cpp: in the corridor")

    def test_source_in_no_library(self):
        self.write("host/hall/step.cpp", "")
        self.expect("host/hall/CMakeLists.txt: step.cpp 0 times")

    def test_a_long_file(self):
        self.write("host/low/long.cpp", "\n" * (MOST_LINES + 1))
        self.assertEqual(len(long_files(self.folder.name)), 1)

    def test_room_in_another_library(self):
        self.write("host/hall/CMakeLists.txt", "target_sources(top PRIVATE door.cpp)\n")
        self.expect("host/hall/CMakeLists.txt: adds to top, expected base")


if __name__ == "__main__":
    unittest.main()
