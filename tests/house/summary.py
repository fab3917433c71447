#!/usr/bin/env python3
"""What a reader wants to know of a test run: passed, failed, and what was skipped and why, in groups; the slowest tests.

    summary.py JUNIT...      files that `ctest --output-junit` wrote; exit code 1 where a test failed
"""
import collections
import re
import sys
import xml.etree.ElementTree as xml

SLOWEST = 10
REASONS = (  # words of a skipped test's output, and what they are counted as; the first that fits
    (re.compile(r"no (usable )?(GPU|CUDA device)|CUDA: (built without|no device)|without CUDA", re.I), "no GPU"),
    (re.compile(r"double|single.precision|float32|fp32", re.I), "of the other precision"),
    (re.compile(r"MPI", re.I), "no MPI"),
    (re.compile(r"PDADMM_DATA|real graph|not here", re.I), "real graphs are not here"),
    (re.compile(r"sanitiz|preload", re.I), "not under sanitizers"),
    (re.compile(r"torch|No module|no Python|numpy|scipy", re.I), "a Python package is missing"),
)


def reason_of(case):
    """Why a test was skipped, in few words; its own last words where they are none of REASONS."""
    said = " ".join(text for element in case.iter() for text in (element.get("message") or "", element.text or ""))
    for pattern, name in REASONS:
        if pattern.search(said):
            return name
    lines = [line.strip() for line in said.splitlines() if "skip" in line.lower()]
    return lines[-1][:100] if lines else "no reason given"


def read(path):
    """[(name, status, seconds, reason)] of one file."""
    found = []
    for case in xml.parse(path).getroot().iter("testcase"):
        failed = case.find("failure") is not None or case.get("status") == "fail"
        skipped = not failed and (case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"))
        status = "failed" if failed else "skipped" if skipped else "passed"
        found.append((case.get("name"), status, float(case.get("time") or 0), reason_of(case) if skipped else ""))
    return found


def lines_of(tests):
    """The summary of (name, status, seconds, reason), as lines; the last is the one to read."""
    count = collections.Counter(status for _, status, _, _ in tests)
    reasons = collections.Counter(reason for *_, reason in tests if reason)
    lines = [f"slowest: {', '.join(f'{name} {seconds:.0f} s' for name, _, seconds, _ in sorted(tests, key=lambda t: -t[2])[:SLOWEST])}"]
    lines += [f"failed: {name}" for name, status, _, _ in tests if status == "failed"]
    why = f" ({', '.join(f'{reason}: {number}' for reason, number in reasons.most_common())})" if reasons else ""
    lines.append(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped{why}")
    return lines


def main(paths):
    tests = []
    for path in paths:
        try:
            tests += read(path)
        except (OSError, xml.ParseError) as error:
            sys.exit(f"summary.py: error: {path}: {error}, expected what ctest --output-junit writes; run ./run tests")
    print("\n".join(lines_of(tests)))
    return 1 if not tests or any(status == "failed" for _, status, _, _ in tests) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
