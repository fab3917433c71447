#!/usr/bin/env python3
"""bench/gpu_round.sh without a GPU: a pretended nvidia-smi, a build folder of stand-ins, the benchmark's rehearsal as bench_cuda,
and the real program, its CUDA runs done on the CPU.
Usage: test_gpu_round.py PDADMM BENCH_CUDA_REHEARSAL"""
import html.parser
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path

REHEARSAL, PROGRAM = (os.path.abspath(sys.argv.pop()) for _ in range(2))
BENCH = Path(__file__).resolve().parents[2] / 'bench'
sys.dont_write_bytecode = True
sys.path.insert(0, str(BENCH / 'round'))
import runner  # noqa: E402
import steps  # noqa: E402

TESTS = sorted({s.program for plan in steps.ROUNDS.values() for s in plan if s.kind == 'tests'})
OF_FIRST = [s.name for s in steps.ROUNDS['first']]
PASSES = 'echo "[       OK ] SameBits.A (1 ms)"; echo "[  PASSED  ] 3 tests."'
CARD = 'case $* in -L) echo "GPU 0: Pretended Card (UUID: GPU-0)";; *) echo "Pretended Card, 580.00, 141000 MiB";; esac'


class Tags(html.parser.HTMLParser):
    """Tags that are open, and the text of every row."""

    def __init__(self):
        super().__init__()
        self.open, self.rows = [], []

    def handle_starttag(self, tag, attributes):
        if tag in ('table', 'tr', 'td', 'th', 'h1', 'h2', 'p', 'span', 'div'):
            self.open.append(tag)
        if tag == 'tr':
            self.rows.append('')

    def handle_endtag(self, tag):
        if tag in ('table', 'tr', 'td', 'th', 'h1', 'h2', 'p', 'span', 'div') and self.open.pop() != tag:
            raise AssertionError(f'</{tag}> closes another tag')

    def handle_data(self, data):
        if 'tr' in self.open:
            self.rows[-1] += data + ' '


class Rounds(unittest.TestCase):
    def test_limits_fill_the_time_of_a_round(self):
        for name, plan in steps.ROUNDS.items():
            self.assertLessEqual(sum(s.seconds for s in plan), steps.SECONDS[name], name)
            self.assertEqual(len({s.name for s in plan}), len(plan), name)
        self.assertLessEqual(sum(steps.SECONDS.values()), 15 * 60)

    def test_the_page_says_what_counts_allow(self):
        said = subprocess.run([REHEARSAL, '--model'], capture_output=True, text=True, check=True).stdout
        self.assertEqual([line for line in said.splitlines() if line not in (BENCH.parent / 'cuda' / 'README.md').read_text()], [])
        self.assertEqual(said.count('\n'), 6)

    def test_questions_name_steps(self):
        known = {s.name for plan in steps.ROUNDS.values() for s in plan} | {'accuracy'}
        self.assertEqual({name for _, _, name, _ in steps.QUESTIONS} - known, set())


class Round(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.tools, self.build, self.out = self.folder / 'tools', self.folder / 'build', self.folder / 'out'
        self.script(self.tools / 'nvidia-smi', CARD)
        for name in TESTS:
            self.script(self.build / 'bin' / name, PASSES)
        self.script(self.build / 'bin' / 'pdadmm', f'exec {PROGRAM} "${{@/#cuda/cpu}}"')
        (self.build / 'bin' / 'bench_cuda').symlink_to(REHEARSAL)
        (self.build / 'commit').write_text('0123abc\n')

    def script(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(f'#!/usr/bin/env bash\n{text}\n')
        path.chmod(0o755)

    def go(self, *arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith('PDADMM_')} | {'PATH': f"{self.tools}:{os.environ['PATH']}"}
        done = subprocess.run([BENCH / 'gpu_round.sh', self.out, '--build', self.build, *arguments], capture_output=True, text=True, timeout=300, env=environment)
        path = self.out / 'round.json'
        return done, json.loads(path.read_text()) if path.exists() else None

    def steps(self, round_):
        return {s['step']: s for s in round_['steps']}

    def page(self):
        tags = Tags()
        tags.feed((self.out / 'round.html').read_text())
        self.assertEqual(tags.open, [])
        return tags.rows

    def test_without_a_gpu(self):
        for says in ('exit 9', 'true', 'echo "No devices found." >&2; exit 6'):
            self.script(self.tools / 'nvidia-smi', says)
            done, round_ = self.go()
            self.assertEqual(done.returncode, 4)
            self.assertRegex(done.stderr, r'^pdadmm: error: gpu_round.sh: no GPU: .*\n$')
            self.assertIsNone(round_)

    def test_wrong_use(self):
        for arguments in (['--steps', 'fused,nonsense'], ['--what'], ['--seconds'], ['--round', 'third'], ['--after', 'nowhere.json']):
            done, _ = self.go(*arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stderr.count('\n'), 1)
        self.build = self.folder / 'nowhere'
        done, _ = self.go()
        self.assertEqual(done.returncode, 4, done.stderr)

    def test_whole_round(self):
        done, round_ = self.go('--quick')
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(round_['passed'] and round_['complete'])
        self.assertEqual(round_['commit'], '0123abc')
        self.assertEqual([s['step'] for s in round_['steps']], [*OF_FIRST, 'accuracy'])
        found = self.steps(round_)
        for name in OF_FIRST + ['accuracy']:
            skipped = name.startswith('peer') or 'check' in name or name == 'nccl'
            self.assertEqual(found[name]['result'], 'skipped' if skipped else 'passed', found[name])
        self.assertEqual({f['group'] for f in round_['figures']}, {'ceiling', 'iteration', 'depth', 'pass', 'gemm'})
        for f in round_['figures']:
            self.assertTrue(f['missing'] or f['value'] > 0, f)
            if f['target'] and not f['missing']:
                x = f[f['target']['of']]
                self.assertEqual(f['met'], x >= f['target']['bound'] if f['target']['relation'] == '>=' else x <= f['target']['bound'], f)
        self.assertEqual(sorted(p.name for p in self.out.iterdir()), ['round.html', 'round.json', 'round.log'])
        self.assertEqual(sum(line.split()[:1] == [name] for line in done.stdout.splitlines() for name in OF_FIRST), len(OF_FIRST))
        for every in ([], ['--all']):
            table = subprocess.run([sys.executable, BENCH / 'round_table.py', self.out / 'round.json', *every], capture_output=True, text=True)
            self.assertEqual(table.returncode, 0, table.stderr)
            rows = [line for line in table.stdout.splitlines() if line.startswith('|')]
            self.assertGreater(len(rows), 10)
            self.assertEqual({row.count('|') for row in rows}, {7}, rows)
        self.assertEqual(len(rows) - 2, len(round_['figures']))
        rows = self.page()
        for f in round_['figures']:
            self.assertEqual(sum(row.startswith(f['name'] + ' ') for row in rows), 1, f['name'])
        self.assertTrue(any(row.startswith('Does the persistent kernel follow') and ' yes ' in row for row in rows))
        self.assertTrue(any(row.startswith('Does NCCL make a communicator') and ' open ' in row for row in rows))

    def test_second_round_does_what_is_left(self):
        self.script(self.build / 'bin' / 'test_oracle', 'exit 1')
        done, first = self.go('--quick', '--steps', 'oracle,subproblems,fused')
        self.assertEqual(done.returncode, 1)
        self.script(self.build / 'bin' / 'test_oracle', PASSES)
        (self.out / 'round.json').rename(self.folder / 'first.json')
        done, second = self.go('--quick', '--round', 'second', '--after', self.folder / 'first.json')
        found = self.steps(second)
        self.assertEqual(found['oracle']['result'], 'passed')
        self.assertEqual([name for name in ('subproblems', 'fused') if name in found], [])
        self.assertEqual(found['bits']['result'], 'passed')
        self.assertIn('larger', found)

    def test_failures_are_failures_and_named(self):
        self.script(self.build / 'bin' / 'test_oracle', 'echo "[  FAILED  ] Oracle.Third (2 ms)"; exit 1')
        self.script(self.build / 'bin' / 'test_operations', 'echo "t.cpp:1: Skipped"; echo "CUDA: no device"; echo "[  PASSED  ] 1 test."')
        self.script(self.build / 'bin' / 'test_invariants', 'echo "[       OK ] Backends.InversesAreRecorded (1 ms)"; '
                                                            'echo "[  FAILED  ] SameBits.RecordedOrEager (1 ms)"; exit 1')
        (self.build / 'bin' / 'test_backpropagation').unlink()
        done, round_ = self.go('--steps', 'operations,oracle,subproblems,recorded,backpropagation')
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertFalse(round_['passed'])
        found = self.steps(round_)
        self.assertEqual({name: s['result'] for name, s in found.items()},
                         {'operations': 'failed', 'oracle': 'failed', 'subproblems': 'passed', 'recorded': 'failed', 'backpropagation': 'skipped'})
        self.assertIn('1 cases ran: CUDA: no device', found['operations']['why'])
        self.assertIn('Oracle.Third', found['oracle']['why'])
        self.assertIn('not in the build', found['backpropagation']['why'])
        rows = self.page()
        self.assertTrue(any(row.startswith("Can cuSOLVER's calls be recorded?") and ' yes ' in row for row in rows))
        self.assertTrue(any(row.startswith('Is an iteration the same recorded and eager?') and ' no ' in row for row in rows))

    def test_sanitizers(self):
        self.script(self.tools / 'compute-sanitizer', 'case $2 in memcheck) echo "Device not supported"; exit 1;; '
                                                      f'racecheck) {PASSES}; exit 0;; *) echo "1 error" >&2; {PASSES}; exit 9;; esac')
        done, round_ = self.go('--steps', 'memcheck-fused,racecheck-fused,synccheck-fused')
        self.assertEqual(done.returncode, 1)
        self.assertEqual({n: s['result'] for n, s in self.steps(round_).items()},
                         {'memcheck-fused': 'skipped', 'racecheck-fused': 'passed', 'synccheck-fused': 'failed'})

    def test_a_step_that_hangs_costs_no_other_its_turn(self):
        self.script(self.build / 'bin' / 'test_oracle', 'sleep 60 & sleep 60')
        done, round_ = self.go('--steps', 'oracle,subproblems', '--seconds', '6')
        self.assertEqual(done.returncode, 1)
        found = self.steps(round_)
        self.assertRegex(found['oracle']['why'], 'not ended after [1-6] s')
        self.assertEqual(found['subproblems']['why'], 'no time left')
        steps_of_first = {s.name: s for s in steps.ROUNDS['first']}
        self.assertLess(steps_of_first['oracle'].seconds + steps_of_first['subproblems'].seconds, steps.SECONDS['first'])

    def test_steps_may_take_what_earlier_ones_left_over(self):
        self.go('--steps', 'oracle,subproblems', '--seconds', '60')
        log = (self.out / 'round.log').read_text()
        limits = [int(line.split('at most ')[1].split()[0]) for line in log.splitlines() if line.startswith('--- ')]
        own = {s.name: s.seconds for s in steps.ROUNDS['first']}
        self.assertEqual(own['oracle'] + own['subproblems'], 30)
        self.assertTrue(40 <= limits[0] <= 45 and 50 <= limits[1] <= 60, limits)

    def test_what_nobody_can_read_costs_no_other_step_its_turn(self):
        (self.build / 'bin' / 'bench_cuda').unlink()
        self.script(self.build / 'bin' / 'bench_cuda', 'while [ $# -gt 1 ]; do [ "$1" = --json ] && echo \'{"figures": [{"group": "gemm", "name": "torn"}]}\' >"$2"; shift; done')
        done, round_ = self.go('--steps', 'oracle,products,subproblems')
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual({name: s['result'] for name, s in self.steps(round_).items()},
                         {'oracle': 'passed', 'products': 'passed', 'subproblems': 'passed', 'report': 'failed'})
        self.assertIn('KeyError', self.steps(round_)['report']['why'])
        self.assertTrue(any(row.startswith('subproblems ') for row in self.page()))

    def test_a_step_that_cannot_be_ended_costs_no_other_its_turn(self):
        class Held(subprocess.Popen):
            def wait(self, timeout=None):
                if timeout is None:
                    raise AssertionError('waits without a limit')
                raise subprocess.TimeoutExpired('held', timeout)

        with unittest.mock.patch.object(runner.subprocess, 'Popen', Held):
            held = runner.run_within(['true'], 0.1, self.folder / 'out.txt', self.folder / 'err.txt', os.environ)
        self.assertIsNone(held)

    def test_peers_are_compared(self):
        cora = dict(layers=10, seconds=0.01, products_of_a_hidden_layer=20.0, rho=1e-4)
        answers = {'paper_admm.py': cora, 'adam_mlp.py': dict(results=[dict(layers=10, math='fp32', form='graph', seconds=1e-4)]),
                   'sign.py': dict(results=[dict(math='fp32', form='graph', seconds=1e-4, parameters=7)])}
        peers = self.folder / 'bench'
        shutil.copytree(BENCH / 'round', peers / 'round')
        shutil.copy(BENCH / 'gpu_round.sh', peers)
        for name, answer in answers.items():
            (peers / 'peers').mkdir(exist_ok=True)
            (peers / 'peers' / name).write_text(f'print({json.dumps(json.dumps(answer))})\n')
        environment = os.environ | {'PATH': f"{self.tools}:{os.environ['PATH']}"}
        done = subprocess.run([peers / 'gpu_round.sh', self.out, '--build', self.build, '--quick', '--steps', 'small,peer-adam,peer-paper-cora,peer-sign'],
                              capture_output=True, text=True, timeout=300, env=environment)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        round_ = json.loads((self.out / 'round.json').read_text())
        found = {f['name']: f for f in round_['figures'] if f['group'] == 'peer'}
        paper = found["the paper's algorithm in PyTorch, Cora 10 x 100"]
        ours = min((f for f in round_['figures'] if f['name'] in ('Cora 10 x 100, graph', 'Cora 10 x 100, one persistent kernel') and f['value']),
                   key=lambda f: f['value'])
        self.assertAlmostEqual(paper['ratio'], 0.01 / (1e-6 * ours['value']), places=6)
        self.assertEqual(paper['target']['bound'], 100)
        self.assertIn('20.0 products', paper['note'])
        self.assertEqual(len(found), 3, found)


if __name__ == '__main__':
    unittest.main()
