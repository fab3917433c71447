#!/usr/bin/env python3
"""bench/harness all --budget: suites take turns in order of worth within their shares, by a clock of the test's own; what was measured
is kept, what other sources measured is not. Usage: test_budget.py"""

import argparse
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import types
import unittest
import unittest.mock
from pathlib import Path

sys.dont_write_bytecode = True
BENCH = Path(__file__).resolve().parents[2] / 'bench'
sys.path.insert(0, str(BENCH))
from suites import budget, command_line, page, sources  # noqa: E402
from suites.session import HarnessError, Session, Task  # noqa: E402

PROGRAM = '#!/bin/sh\ncase $1 in --version) echo pdadmm 1 ;; info) echo backend cpu CPU, 1 thread ;; esac\n'


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Suite:
    """So many results of ten seconds each; what `at` holds is done in place of a result of that number."""

    TIMED = False

    def __init__(self, clock, results, at=None):
        self.SIZES, self.clock, self.results, self.at, self.measured = {'quick': {'depth': 1}, 'default': {'depth': 2}}, clock, results, at or {}, []

    def tasks(self, session):
        for number in range(self.results):
            yield Task({'number': number}, [f'depth {session.sizes(self.SIZES).depth}'], lambda number=number: self.work(number))

    def work(self, number):
        self.at.pop(number, lambda: None)()
        self.clock.now += 10
        self.measured.append(number)
        return {'value': number}


def fail(error):
    def work():
        raise error

    return work


class Budget(unittest.TestCase):
    def setUp(self):
        self.folder, self.clock, self.said, self.commit = Path(tempfile.mkdtemp()), Clock(), io.StringIO(), 'one'
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        program = self.folder / 'build' / 'host' / 'pdadmm'
        program.parent.mkdir(parents=True)
        program.write_text(PROGRAM)
        program.chmod(0o755)

    def go(self, seconds, suites, plan=None, hindered=lambda part: '', words=()):
        """Exit code of `all --budget` with these suites, and what was said."""
        arguments = ['all', '--out', str(self.folder), '--build', str(self.folder / 'build'), *words]
        parse = lambda over: command_line.parser().parse_args(arguments, over)
        given = parse(argparse.Namespace())
        given.size, given.out, given.budget = 'default', self.folder, seconds
        opened = lambda options, command, sizes: Session(options, command, self.said, self.clock, sizes)
        plan = plan or {name: (share, {}) for name, share in zip(suites, (50, 30, 20))}
        say = lambda text: print(text, file=self.said)
        with unittest.mock.patch.object(budget, 'PLAN', plan), unittest.mock.patch.object(budget, 'page', types.SimpleNamespace(suite_of=suites.__getitem__)), \
                unittest.mock.patch.object(sources, 'commit', lambda: self.commit):  # fmt: skip
            code = budget.run(given, parse, opened, hindered, say, self.clock)
        said = self.said.getvalue()
        self.said.truncate(self.said.seek(0))
        return code, said

    def records(self, name):
        return [json.loads(line) for line in (self.folder / f'{name}.jsonl').read_text().splitlines()]

    def test_shares_and_what_is_left_of_them(self):
        suites = {'a': Suite(self.clock, 10), 'b': Suite(self.clock, 1), 'c': Suite(self.clock, 2)}
        code, said = self.go(100, suites)
        self.assertEqual((code, self.clock.now), (0, 1100))
        self.assertRegex(said, r'  a +50 %, 50 s: 10 of 10 results to do\n  b +30 %, 30 s: 1 of 1 results to do\n')
        self.assertEqual([s.measured for s in suites.values()], [[0, 1, 2, 3, 4, 5, 6], [0], [0, 1]])
        order = re.findall(r'^(\w) \[', said, re.MULTILINE)
        self.assertEqual(''.join(order), 'aaaaabccaa', 'half of the time for a, and what b and c leave of theirs')
        self.assertIn('all: left: a 3 of 10; the same command goes on from here', said)

        code, said = self.go(100, suites)
        self.assertRegex(said, r'  a +50 %, 50 s: 3 of 10 results to do\n')
        self.assertEqual([len(s.measured) for s in suites.values()], [10, 1, 2])
        self.assertIn('all: nothing is left', said)
        self.assertEqual(self.clock.now, 1130)

    def test_other_sources(self):
        suites = {'a': Suite(self.clock, 2)}
        self.go(100, suites)
        self.commit = 'two'
        _, said = self.go(10, suites)
        self.assertIn('2 of 2 results to do', said)
        self.assertEqual([r['commit'] for r in self.records('a')], ['two', 'one'])
        self.go(10, suites)
        self.assertEqual([r['commit'] for r in self.records('a')], ['two', 'two'])
        self.assertEqual(suites['a'].measured, [0, 1, 0, 1])

    def test_interrupted(self):
        suites = {'a': Suite(self.clock, 3, {1: fail(KeyboardInterrupt)}), 'b': Suite(self.clock, 1)}
        with self.assertRaises(KeyboardInterrupt):
            self.go(100, suites)
        self.assertIn('all: left: a 2 of 3; b 1 of 1; the same', self.said.getvalue())
        self.go(100, suites)
        self.assertEqual([s.measured for s in suites.values()], [[0, 1, 2], [0]])

    def test_a_suite_that_fails_or_must_wait_stops_no_other(self):
        suites = {'a': Suite(self.clock, 2, {0: fail(HarnessError(4, 'no program'))}), 'b': Suite(self.clock, 1), 'c': Suite(self.clock, 1)}
        code, said = self.go(100, suites, hindered=lambda part: 'others work' if part.name == 'b' else '')
        self.assertEqual((code, self.clock.now), (4, 1010))
        self.assertIn('b: others work; later', said)
        self.assertIn('left: a 2 of 2 (no program); b 1 of 1 (others work); the same', said)
        self.assertEqual([s.measured for s in suites.values()], [[], [], [0]])

    def test_the_plans_sizes_under_those_of_the_user(self):
        suites = {'layers': Suite(self.clock, 1)}
        suites['layers'].SIZES = {'quick': {'hidden': 1, 'depth': 1}, 'default': {'hidden': 2, 'depth': 2}}
        plan = {'layers': (100, {'hidden': 7, 'depth': 3, 'threads': 2})}
        self.go(10, suites, plan)
        (found,) = self.records('layers')
        self.assertEqual(found['commands'], ['depth 3'])
        self.assertTrue(found['harness'].endswith('--threads 2 --hidden 7 --depth 3'), found['harness'])
        self.assertIn('2 threads', found['device'])
        self.commit = 'two'
        self.go(10, suites, plan, words=['--threads', '3', '--hidden', '8'])
        self.assertIn('--threads 3 --hidden 8', self.records('layers')[0]['harness'])

    def test_the_plan(self):
        self.assertEqual(set(budget.PLAN), set(page.SUITES))
        self.assertEqual(sum(share for share, _ in budget.PLAN.values()), 100)
        self.assertEqual(list(budget.PLAN)[:3], ['accuracy', 'at-size', 'communication'], "README's figures")
        shown = dict(re.findall(r'^\| `([\w-]+)` \|.*\| (\d+) % \|$', (BENCH / 'README.md').read_text(), re.MULTILINE))
        self.assertEqual(shown, {name: str(share) for name, (share, _) in budget.PLAN.items()})
        for name, (_, sizes) in budget.PLAN.items():
            self.assertLessEqual(set(sizes), {'threads', *page.suite_of(name).SIZES['default']})

    def test_words(self):
        self.assertEqual([budget.seconds(t) for t in ('2h', '90m', '1h30m', '0.5h')], [7200, 5400, 5400, 1800])
        for wrong in ('2', 'h', '', '0m', '-1h'):
            with self.assertRaises(argparse.ArgumentTypeError):
                budget.seconds(wrong)
        for words, said in ((['layers', '--budget', '1h'], 'with layers, expected all'), (['all', '--budget', '1h', '--fresh'], '--budget: with --fresh'),
                            (['all', '--budget', '1h', '--max-minutes', '5'], 'with --max-minutes'), (['all', '--budget', 'long'], 'expected a time like')):  # fmt: skip
            with unittest.mock.patch('sys.stderr', io.StringIO()) as errors:
                self.assertEqual(command_line.main([*words, '--out', str(self.folder / 'out'), '--build', str(self.folder / 'build')]), 2)
            self.assertRegex(errors.getvalue(), rf'^harness: error: .*{said}')


@unittest.skipUnless(shutil.which('git'), 'git is not installed')
class Sources(unittest.TestCase):
    def test_pages_suites_and_results_measure_nothing(self):
        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.object(sources, 'HERE', Path(folder, 'host')):
            git = lambda *words: subprocess.run(['git', '-C', folder, '-c', 'user.name=n', '-c', 'user.email=e', *words], check=True, capture_output=True)
            git('init')
            commits = []
            for path in ('host/a.cpp', 'bench/results/a.jsonl', 'host/README.md', 'bench/suites/a.py', 'bench/a.cpp', 'bench/gpu/a.hpp', 'bench/peers/a.py'):
                Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
                Path(folder, path).write_text(path)
                git('add', '-A')
                git('commit', '-m', path)
                commits.append(sources.commit())
            self.assertRegex(commits[0], r'^[0-9a-f]{4,}$')
            self.assertEqual([sources.same(a, b) for a, b in zip(commits, commits[1:])], [True, True, True, False, False, False])
            self.assertFalse(sources.same('0' * 7, commits[0]))
            Path(folder, 'bench/results/a.jsonl').write_text('new')
            self.assertEqual(sources.commit(), commits[-1])
            Path(folder, 'host/a.cpp').write_text('new')
            self.assertEqual(sources.commit(), commits[-1] + '+')
            self.assertTrue(sources.same('a+', 'a+'))
            self.assertFalse(sources.same('a+', 'a'))


if __name__ == '__main__':
    unittest.main()
