#!/usr/bin/env python3
"""The update rules of bench/peers/paper_admm.py against a worked float64 example, with numpy; and what peers say where something
is missing. Usage: test_peers.py ORACLE_FOLDER"""
import json
import subprocess
import sys
import unittest
from pathlib import Path

FOLDER = Path(sys.argv.pop(1) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / 'oracle')
PEERS = Path(__file__).resolve().parents[2] / 'bench' / 'peers'
sys.path.insert(0, str(PEERS))
try:
    import numpy
except ImportError:
    print('skipped: numpy is not installed')
    sys.exit(77)
import paper_admm  # noqa: E402


def compare(test, name):
    document = json.loads((FOLDER / name).read_text())
    config, first = document['config'], document['initial']
    state = {k.lower() if k == 'U' else k: [numpy.array(a) for a in first[k]] for k in 'WbpzqU'}
    Y = numpy.eye(config['C'])[:, document['labels']]
    al = paper_admm.Algebra(numpy)
    for number, iteration in enumerate(document['iterations'], 1):
        # FISTA stops early in the published code; here it must reach the minimiser that the example holds.
        paper_admm.iterate(al, state, Y, config['rho'], config['nu'], config['mu'], dict(most=3000, tolerance=0))
        for key, wanted in iteration['state'].items():
            for layer, (mine, reference) in enumerate(zip(state[key.lower() if key == 'U' else key], wanted), 1):
                reference = numpy.array(reference)
                error = numpy.abs(mine - reference).max() / numpy.abs(reference).max()
                test.assertLessEqual(error, 1e-6, f'{name}: iteration {number}, {key} of layer {layer}')


class Rules(unittest.TestCase):
    def test_backtracking(self):
        compare(self, 'backtracking.json')

    def test_doublings(self):
        compare(self, 'backtracking_doublings.json')

    def test_kept(self):
        compare(self, 'backtracking_kept.json')

    def test_weight_decay(self):
        compare(self, 'weight_decay.json')


class Program(unittest.TestCase):
    def run_peer(self, *arguments):
        return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=300)

    def test_products_are_counted(self):
        small = ['--layers', '4', '--hidden', '6', '--inputs', '9', '--nodes', '12', '--classes', '3', '--device', 'numpy', '--seconds', '0']
        counts = {}
        for reuse in ([], ['--reuse']):
            done = self.run_peer(PEERS / 'paper_admm.py', *small, *reuse)
            self.assertEqual(done.returncode, 0, done.stderr)
            answer = json.loads(done.stdout)
            self.assertGreater(answer['seconds'], 0)
            # Trials, and so products, differ from one iteration to the next: both ways must take as many, however fast they are.
            self.assertEqual(answer['iterations'], 2, 'the warming one and one that is timed')
            counts[len(reuse)] = answer['products_of_a_hidden_layer']
        self.assertGreaterEqual(counts[0], 10)
        self.assertLessEqual(counts[0], 30)
        self.assertEqual(counts[1], counts[0] - 2)

    def test_libraries_augment_alike(self):
        import tempfile
        with tempfile.TemporaryDirectory() as folder:
            graph = Path(folder) / 'graph.npz'
            script = [PEERS / 'augmentation.py', '--hops', '3']
            self.assertEqual(self.run_peer(*script, '--write', graph, '--nodes', '60', '--entries', '300', '--features', '5', '--classes', '3').returncode, 0)
            done = self.run_peer(*script, '--graph', graph)
            if done.returncode == 77:
                self.skipTest(done.stderr)
            self.assertEqual(done.returncode, 0, done.stderr)
            answer = json.loads(done.stdout)
            self.assertEqual([r['library'] for r in answer['results']], ['scipy', 'torch', 'copy'])
            self.assertLess(answer['difference'], 1e-5)
            self.assertEqual(answer['results'][2]['bytes'], 2 * (2 * 60 * 5 * 4 + answer['entries'] * 8))

    def test_files_are_augmented_alike(self):
        import tempfile
        found = {}
        with tempfile.TemporaryDirectory() as folder:
            made = self.run_peer(PEERS / 'hops.py', 'make', folder, '--nodes', '300', '--edges', '900', '--features', '4')
            self.assertEqual(made.returncode, 0, made.stderr)
            for by in ('scipy', 'PyG', 'DGL'):
                X = Path(folder) / f'{by}.npy'
                done = self.run_peer(PEERS / 'hops.py', 'run', folder, '--by', by, '--hops', '3', '--out', X)
                if done.returncode == 77:
                    self.assertIn('not installed', done.stderr)
                    continue
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(json.loads(done.stdout)['by'], by)
                found[by] = numpy.load(X)
        for by, X in found.items():
            self.assertEqual(X.shape, (300 // 70, 12))
            self.assertLess(numpy.abs(X - found.get('scipy', X)).max(), 1e-5, by)

    def test_a_peer_that_ends_otherwise_is_a_row(self):
        sys.path.insert(0, str(PEERS.parent))
        from suites import large, session
        for code, errors, words in ((-9, '', 'out of memory, killed at 2.0 GiB'), (77, 'hops.py: skipped: DGL is not installed\n', 'DGL is not installed'),
                                    (1, 'Traceback\nMemoryError: 3 GiB\n', 'MemoryError: 3 GiB'), (3, '', 'exit code 3')):
            self.assertEqual(large.why(session.Finished(code, '', errors, 2 << 30, 1.0)), words)
        seconds = {'ours, 1G': 2.0, 'ours, 4G': 1.0, 'scipy': 3.0}
        values = {'seconds': seconds, 'cpu_seconds': seconds, 'peak_bytes': {way: int(2**30 * s) for way, s in seconds.items()}, 'failed': {'PyG': 'out of memory'}}
        record = {'kind': 'measured', 'point': {'nodes': 10}, 'values': values}
        self.assertIn(['10', 'PyG', 'out of memory', '', ''], large.tables([record])[0].rows)
        self.assertEqual(large.finding([record]), '10 nodes: scipy takes 1.5 times as long and 1.5 times the memory')

    def test_a_bundle_is_read(self):
        import tempfile
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'ring.npz'
            numpy.savez(path, pdadmm_bundle=1, adj_indptr=numpy.arange(0, 13, 2), adj_indices=[1, 5, 0, 2, 1, 3, 2, 4, 3, 5, 0, 4], adj_shape=[6, 6],
                        features=numpy.arange(18.0, dtype=numpy.float32).reshape(6, 3), labels=[0, 1, 0, 1, 0, 1], train_idx=[0, 1, 2])
            done = self.run_peer(PEERS / 'paper_admm.py', '--bundle', path, '--hops', '2', '--layers', '3', '--hidden', '4', '--device', 'numpy', '--seconds', '0.01')
            if done.returncode == 77:
                self.skipTest(done.stderr)
            self.assertEqual(done.returncode, 0, done.stderr)
            answer = json.loads(done.stdout)
            self.assertEqual((answer['inputs'], answer['nodes']), (6, 3))

    def parts(self, folder):
        """Files as `pdadmm augment` writes them: three classes around points of their own."""
        draw = numpy.random.default_rng(1)
        labels = numpy.arange(90) % 3
        X = (numpy.eye(3)[labels] + 0.1 * draw.standard_normal((90, 3))).astype(numpy.float32)
        part = numpy.repeat([0, 1, 2], [50, 20, 20])
        numpy.save(folder / 'x.npy', X)
        numpy.save(folder / 'rows.npy', numpy.stack([numpy.arange(90), labels, part], axis=1))
        return ['--features', folder / 'x.npy', '--rows', folder / 'rows.npy']

    def test_ridge_regression(self):
        import tempfile
        import ridge
        draw = numpy.random.default_rng(2)
        for nodes, inputs in ((30, 7), (7, 30)):
            X, labels = draw.standard_normal((nodes, inputs)), numpy.arange(nodes) % 3
            try:
                W, intercept = ridge.solve(X, labels, 3, 0.5)
            except SystemExit:
                self.skipTest('scipy is not installed')
            # The minimiser of |X W + 1 c - Y|^2 + 0.5 |W|^2 as least squares with rows of the penalty below.
            below = numpy.hstack([numpy.sqrt(0.5) * numpy.eye(inputs), numpy.zeros((inputs, 1))])
            left = numpy.vstack([numpy.hstack([X, numpy.ones((nodes, 1))]), below])
            right = numpy.vstack([numpy.eye(3)[labels], numpy.zeros((inputs, 3))])
            wanted = numpy.linalg.lstsq(left, right, rcond=None)[0]
            self.assertLess(numpy.abs(numpy.vstack([W, intercept]) - wanted).max(), 1e-10)
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_peer(PEERS / 'ridge.py', *self.parts(Path(folder)), '--penalty', '0.1')
        self.assertEqual(done.returncode, 0, done.stderr)
        (row,) = json.loads(done.stdout)['rows']
        self.assertEqual((row['epoch'], row['val_accuracy'], row['test_accuracy']), (1, 1.0, 1.0))

    def test_adam_in_torch(self):
        import tempfile
        with tempfile.TemporaryDirectory() as folder:
            options = ['--layers', '3', '--hidden', '8', '--epochs', '60', '--eval-every', '7', '--learning-rate', '1e-2', '--dropout', '0.1', '--patience', '3']
            done = self.run_peer(PEERS / 'torch_adam.py', *self.parts(Path(folder)), *options)
        if done.returncode == 77:
            self.skipTest(done.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        rows, val = answer['rows'], [row['val_accuracy'] for row in answer['rows']]
        self.assertEqual([row['epoch'] for row in rows], [7 * (k + 1) if 7 * (k + 1) < 60 else 60 for k in range(len(rows))])
        self.assertEqual(answer['threads'], 1)
        self.assertGreater(max(val), 0.9)
        best = val.index(max(val))
        self.assertTrue(len(rows) == best + 4 or rows[-1]['epoch'] == 60, 'ends after three evaluations without a better one')

    def test_without_torch_peers_skip(self):
        try:
            import torch
            cuda = torch.cuda.is_available()
        except ImportError:
            cuda = False
        if cuda:
            self.skipTest('there is a CUDA device')
        for name in ('paper_admm.py', 'adam_mlp.py', 'sign.py', 'spmm.py'):
            done = self.run_peer(PEERS / name)
            self.assertEqual(done.returncode, 77, done.stderr)
            self.assertRegex(done.stderr, rf'^{name}: skipped: PyTorch.*\n$')


if __name__ == '__main__':
    unittest.main()
