#!/usr/bin/env python3
"""bench/gpu_round.sh, round_report.py and round_table.py without a GPU: a pretended nvidia-smi, a build folder of stand-ins, the
benchmark's rehearsal as bench_cuda, and the real program, its CUDA runs done on the CPU.
Usage: test_gpu_round.py PDADMM BENCH_CUDA_REHEARSAL"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

REHEARSAL, PROGRAM = (os.path.abspath(sys.argv.pop()) for _ in range(2))
BENCH = Path(__file__).resolve().parents[2] / 'bench'
TESTS = ('test_operations', 'test_oracle', 'test_subproblems', 'test_invariants', 'test_divergence')
PASSES = 'echo "[  PASSED  ] 3 tests."'
CARD = 'case $* in -L) echo "GPU 0: Pretended Card (UUID: GPU-0)";; *) echo "Pretended Card, 580.00, 141000 MiB";; esac'


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
        return {s['step']: s for p in round_['parts'] for s in p['steps']}

    def test_without_a_gpu(self):
        for says in ('exit 9', 'true', 'echo "No devices found." >&2; exit 6'):
            self.script(self.tools / 'nvidia-smi', says)
            done, round_ = self.go()
            self.assertEqual(done.returncode, 4)
            self.assertRegex(done.stderr, r'^pdadmm: error: gpu_round.sh: no GPU: .*\n$')
            self.assertIsNone(round_)

    def test_wrong_use(self):
        for arguments in (['--parts', 'tests,nonsense'], ['--what'], ['--seconds']):
            done, _ = self.go(*arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stderr.count('\n'), 1)
        self.build = self.folder / 'nowhere'
        done, _ = self.go()
        self.assertEqual(done.returncode, 4, done.stderr)

    def test_whole_round(self):
        done, round_ = self.go('--quick')
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(round_['passed'])
        self.assertEqual(round_['commit'], '0123abc')
        self.assertEqual([p['part'] for p in round_['parts']], ['tests', 'sanitizers', 'bench', 'peers', 'training'])
        steps = self.steps(round_)
        for name in (*TESTS, 'bench_cuda', 'train-sbm-cpu', 'train-sbm-cuda', 'accuracy-sbm'):
            self.assertEqual(steps[name]['result'], 'passed', steps[name])
        self.assertEqual(round_['training'][0]['graph'], 'sbm')
        groups = {f['group'] for f in round_['figures']}
        self.assertEqual(groups, {'ceiling', 'iteration', 'depth', 'pass', 'hop', 'gemm', 'peer'})
        for f in round_['figures']:
            self.assertTrue(f['missing'] or f['value'] > 0, f)
            if f['target'] and not f['missing']:
                x = f[f['target']['of']]
                self.assertEqual(f['met'], x >= f['target']['bound'] if f['target']['relation'] == '>=' else x <= f['target']['bound'], f)
        self.assertEqual(sorted(p.name for p in self.out.iterdir()), ['round.json', 'round.log'])
        for every in ([], ['--all']):
            table = subprocess.run([sys.executable, BENCH / 'round_table.py', self.out / 'round.json', *every], capture_output=True, text=True)
            self.assertEqual(table.returncode, 0, table.stderr)
            rows = [line for line in table.stdout.splitlines() if line.startswith('|')]
            self.assertGreater(len(rows), 10)
            self.assertEqual({row.count('|') for row in rows}, {7}, rows)
        self.assertEqual(len(rows) - 2, len(round_['figures']))

    def test_failures_are_failures(self):
        self.script(self.build / 'bin' / 'test_oracle', 'echo "[  FAILED  ] 1 test"; exit 1')
        self.script(self.build / 'bin' / 'test_operations', 'echo "t.cpp:1: Skipped"; echo "CUDA: no device"; echo "[  PASSED  ] 1 test."')
        (self.build / 'bin' / 'test_divergence').unlink()
        done, round_ = self.go('--parts', 'tests')
        self.assertEqual(done.returncode, 1, done.stdout)
        steps = self.steps(round_)
        self.assertEqual({name: steps[name]['result'] for name in TESTS},
                         {'test_operations': 'failed', 'test_oracle': 'failed', 'test_subproblems': 'passed', 'test_invariants': 'passed', 'test_divergence': 'skipped'})
        self.assertIn('1 cases ran: CUDA: no device', steps['test_operations']['why'])
        self.assertIn('not in the build', steps['test_divergence']['why'])

    def test_sanitizers(self):
        self.script(self.tools / 'compute-sanitizer', 'case $2 in memcheck) echo "Device not supported"; exit 1;; racecheck) exit 0;; *) echo "1 error" >&2; exit 9;; esac')
        done, round_ = self.go('--parts', 'sanitizers')
        self.assertEqual(done.returncode, 1)
        self.assertEqual({n: s['result'] for n, s in self.steps(round_).items()}, {'memcheck': 'skipped', 'racecheck': 'passed', 'initcheck': 'failed'})

    def test_time_is_kept(self):
        self.script(self.build / 'bin' / 'test_operations', 'sleep 60')
        done, round_ = self.go('--parts', 'tests', '--seconds', '3')
        self.assertEqual(done.returncode, 1)
        steps = self.steps(round_)
        self.assertIn('ran past the time', steps['test_operations']['why'])
        self.assertEqual(steps['test_divergence']['result'], 'skipped')
        self.assertLess(steps['test_operations']['seconds'], 10)

    def test_peers_are_compared(self):
        cora = dict(layers=10, seconds=0.01, products_of_a_hidden_layer=20.0, rho=1e-4)
        answers = {'paper_admm.py': cora, 'adam_mlp.py': dict(results=[dict(layers=8, math='fp32', form='graph', seconds=1e-4)]),
                   'spmm.py': dict(results=[dict(graph='Flickr', seconds=1e-3)])}
        lines = '\n'.join(f"*{name}) echo '{json.dumps(answer)}'; exit;;" for name, answer in answers.items())
        self.script(self.tools / 'python3', f'case $1 in {lines}\nesac\nexec {sys.executable} "$@"')
        done, round_ = self.go('--quick', '--parts', 'bench,peers')
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        peers = {f['name']: f for f in round_['figures'] if f['group'] == 'peer'}
        paper = peers["the paper's algorithm in PyTorch, Cora 10 x 100"]
        ours = next(f for f in round_['figures'] if f['name'] == 'Cora 10 x 100, graph')
        self.assertAlmostEqual(paper['ratio'], 0.01 / (1e-6 * ours['value']), places=6)
        self.assertEqual(paper['target']['bound'], 100)
        self.assertIn('20.0 products', paper['note'])
        large = next(f for n, f in peers.items() if n.endswith(', fp32') and 'n 48' in n)
        self.assertAlmostEqual(large['target']['bound'], 4.5)
        self.assertIn('Adam in PyTorch, graph, fp32, Cora 8 x 100', peers)
        self.assertTrue(any(n.startswith('torch.sparse') for n in peers))


if __name__ == '__main__':
    unittest.main()
