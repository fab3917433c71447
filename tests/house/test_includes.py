"""A file that names what a common header declares includes that header, itself or through headers of ours: with
precompiled headers (PDADMM_PRECOMPILE) no compiler says that an include is missing. Planted ones must be found.

    test_includes.py ROOT
"""
import os
import re
import sys
import tempfile
import unittest

ROOT = os.path.abspath(sys.argv.pop(1) if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../.."))
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)
QUIET = re.compile(r'//[^\n]*|"(?:\\.|[^"\\\n])*"')  # what is no code
# Names, and the headers of which one must be there. Every header that is precompiled stands here.
NEEDS = [(re.compile(names), headers.split()) for names, headers in (
    (r"\bfmt::", "fmt/format.h fmt/ranges.h"),
    (r"\bnlohmann::", "nlohmann/json.hpp nlohmann/json_fwd.hpp"),
    (r"\bTEST(_F|_P)?\(|\b(EXPECT|ASSERT)_[A-Z]|\btesting::Test\b", "gtest/gtest.h gmock/gmock.h"),
    (r"\b(EXPECT|ASSERT)_THAT\b|\btesting::(HasSubstr|ElementsAre|Matches|StartsWith|AllOf)\b", "gmock/gmock.h"),
    (r"\bstd::(all_of|any_of|none_of|copy|count|count_if|fill|find|find_if|max|min|max_element|min_element|replace"
     r"|reverse|shuffle|sort|stable_sort|transform|clamp|lower_bound|upper_bound)\(", "algorithm"),
    (r"\bstd::array<", "array"),
    (r"\bstd::atomic\b", "atomic"),
    (r"\bstd::chrono\b", "chrono"),
    (r"\bstd::(ceil|exp|fabs|floor|isfinite|isnan|llround|log|lround|pow|sqrt)\(", "cmath"),
    (r"\bstd::u?int(8|16|32|64)_t\b", "cstdint"),
    (r"\bstd::(printf|fprintf|snprintf|fflush)\(", "cstdio"),
    (r"\bstd::(getenv|strtod|strtol|strtoul|abort)\(", "cstdlib"),
    (r"\bstd::(mem(cpy|set|cmp|move)|str(len|error|cmp))\b", "cstring"),
    (r"\bstd::filesystem\b", "filesystem"),
    (r"\bstd::(ifstream|ofstream)\b", "fstream"),
    (r"\bstd::function<", "functional"),
    (r"\bstd::numeric_limits\b", "limits"),
    (r"\bstd::map<", "map"),
    (r"\bstd::((unique|shared)_ptr|make_(unique|shared))\b", "memory"),
    (r"\bstd::(mutex|lock_guard|unique_lock)\b", "mutex condition_variable"),
    (r"\bstd::(accumulate|iota|reduce)\(", "numeric"),
    (r"\bstd::optional<", "optional"),
    (r"\bstd::(mt19937|uniform_\w+_distribution|normal_distribution|random_device)", "random"),
    (r"\bstd::set<", "set"),
    (r"\bstd::span<", "span"),
    (r"\bstd::(runtime_error|logic_error|invalid_argument)\b", "stdexcept"),
    (r"\bstd::string\b", "string"),
    (r"\bstd::string_view\b", "string_view"),
    (r"\bstd::thread\b", "thread"),
    (r"\bstd::(tie|tuple|make_tuple)\b", "tuple"),
    (r"\bstd::unordered_map<", "unordered_map"),
    (r"\bstd::vector<", "vector"))]
PRECOMPILED = re.compile(r"target_precompile_headers\(\w+ PRIVATE ([^)]*)\)")


def sources(root):
    for top in ("host", "include", "tests", "bench"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(n for n in names if n.endswith((".cpp", ".hpp"))):
                yield os.path.relpath(os.path.join(folder, name), root)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as text:
        return text.read()


def included(root, path, known):
    """Every header that `path` includes, itself or through headers of ours."""
    if path not in known:
        known[path] = set()  # of a loop, which test_floors.py finds
        found = set(INCLUDE.findall(read(root, path)))
        for name in tuple(found):
            for ours in (name, os.path.join("include", name)):
                if os.path.isfile(os.path.join(root, ours)):
                    found |= included(root, ours, known)
                    break
        known[path] = found
    return known[path]


def faults_of(root):
    faults, known = [], {}
    for path in sources(root):
        code = QUIET.sub("", read(root, path))
        headers = included(root, path, known)
        for names, needed in NEEDS:
            named = names.search(code)
            if named and not headers.intersection(needed):
                faults.append(f"{path}: {named[0]} without <{needed[0]}>, expected the header that declares it; include it")
    return faults


class Includes(unittest.TestCase):
    def test_every_file_includes_what_it_names(self):
        self.assertEqual(faults_of(ROOT), [])

    def test_every_precompiled_header_is_watched(self):
        watched = {header for _, needed in NEEDS for header in needed}
        listed = set()
        for page in ("host/CMakeLists.txt", "tests/functions.cmake"):
            for headers in PRECOMPILED.findall(read(ROOT, page)):
                listed.update(re.findall(r"<([^>]+)>", headers))
        self.assertGreater(len(listed), 10)
        self.assertEqual(listed - watched, set())


class Planted(unittest.TestCase):
    def expect(self, text, *headers):
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, "host/hall"))
            os.makedirs(os.path.join(root, "include/pdadmm"))
            for path, content in {"include/pdadmm/stone.hpp": "#include <vector>\n", "host/hall/door.cpp": text,
                                  "host/hall/door.hpp": '#include "pdadmm/stone.hpp"\n#include <string>\n'}.items():
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(content)
            found = faults_of(root)
        self.assertEqual([re.search("without <(.*?)>", fault)[1] for fault in found], list(headers))

    def test_found_and_not_found(self):
        self.expect("std::map<int, int> m;\n", "map")
        self.expect("#include <map>\nstd::map<int, int> m;\n")
        self.expect('#include "host/hall/door.hpp"\nstd::vector<std::string> v;\n')
        self.expect('#include "pdadmm/stone.hpp"\nstd::vector<std::string> v;\n', "string")
        self.expect('auto text = fmt::format("std::map<");\n', "fmt/format.h")
        self.expect("// std::map<int, int> of doors\n")


if __name__ == "__main__":
    unittest.main()
