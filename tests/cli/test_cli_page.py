"""host/cli/OPTIONS.md is what the program's tables of options give. Run by ctest: FILE PDADMM [TESTS]"""
import difflib
import re
import unittest
from pathlib import Path

from cli_case import COMMANDS, Case

PAGE = Path(__file__).resolve().parents[2] / "host/cli/OPTIONS.md"


class Page(Case):
    def test_page_is_as_generated(self):
        written, generated = PAGE.read_text(), self.ok("help", "options").stdout
        if written != generated:
            changes = list(difflib.unified_diff(written.splitlines(), generated.splitlines(), "OPTIONS.md", "the program", lineterm="", n=0))
            self.fail("host/cli/OPTIONS.md is not what the options are; write it anew with: build/cpu/host/pdadmm help options > host/cli/OPTIONS.md\n" + "\n".join(changes[:20]))

    def test_every_option_of_help_is_in_its_section(self):
        sections = dict(re.findall(r"^## pdadmm (\w+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S))
        self.assertEqual(list(sections), COMMANDS)
        for command in COMMANDS:
            section = sections[command] + (sections["train"] if command == "plan" else "")
            listed = set(re.findall(r"^\| `(--[a-z-]+)`", section, re.M))
            in_help = set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", self.ok(command, "--help").stdout, re.M)) - {"--help"}
            self.assertEqual(listed, in_help, command)


if __name__ == "__main__":
    unittest.main(verbosity=1)
