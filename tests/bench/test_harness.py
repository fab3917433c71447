#!/usr/bin/env python3
"""bench/harness: what it measures is kept, gone on with and described in full; its tables from planted results; plots and pages.
Usage: test_harness.py PDADMM"""

import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

PROGRAM = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else 'build/cpu/host/pdadmm'
BENCH = Path(__file__).resolve().parents[2] / 'bench'
sys.path.insert(0, str(BENCH))
from suites import accuracy, communication, page, scaling, splits, tables, time_to_accuracy, time_to_objective  # noqa: E402
from suites.session import Store  # noqa: E402

GRAPH = 'sbm:nodes=200,classes=3,features=8'
SMALL = ['communication', '--quick', '--datasets', GRAPH, '--hidden', '6', '--epochs', '3', '--seeds', '2', '--steps', 'exact']
CODECS = len(communication.CODECS)
PLOTS = importlib.util.find_spec('matplotlib') is not None
# Counts trainings; interrupts the harness in the fourth, or loses the second, where told to.
STAND_IN = '''#!/bin/sh
if [ "$1" = train ]; then
    echo x >> "{count}"
    if [ -e "{stop}.2" ] && [ "$(wc -l < "{count}")" -eq 2 ]; then echo "pdadmm: error: seed 0: no longer finite" >&2; exit 79; fi
    if [ -e "{stop}" ] && [ "$(wc -l < "{count}")" -eq 4 ]; then kill -INT $PPID; sleep 10; fi
fi
exec "{program}" "$@"
'''


def npy(kind, code, values, shape):
    header = repr({'descr': kind, 'fortran_order': False, 'shape': shape})
    header += ' ' * (-(len(header) + 11) % 64) + '\n'
    return b'\x93NUMPY\1\0' + struct.pack('<H', len(header)) + header.encode() + struct.pack(f'<{len(values)}{code}', *values)


def graph_of_splits(path, nodes=60, count=3):
    """A ring of two classes as heterophilous graphs are published, with so many splits."""
    parts = {name: [(i + k) % 3 == part for k in range(count) for i in range(nodes)] for part, name in enumerate(('train', 'val', 'test'))}
    with zipfile.ZipFile(path, 'w') as out:
        out.writestr('node_features.npy', npy('<f4', 'f', [(i * 7 + k * i) % 5 + 2 * (i % 2) for i in range(nodes) for k in range(4)], (nodes, 4)))
        out.writestr('node_labels.npy', npy('<i8', 'q', [i % 2 for i in range(nodes)], (nodes,)))
        out.writestr('edges.npy', npy('<i8', 'q', [j % nodes for i in range(nodes) for j in (i, i + 1)], (nodes, 2)))
        for name, mask in parts.items():
            out.writestr(f'{name}_masks.npy', npy('|b1', '?', mask, (count, nodes)))


class Harness(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.out, self.count, self.stop = self.folder / 'out', self.folder / 'count', self.folder / 'stop'
        host = self.folder / 'build' / 'host'
        host.mkdir(parents=True)
        (host / 'pdadmm').write_text(STAND_IN.format(count=self.count, stop=self.stop, program=PROGRAM))
        (host / 'pdadmm').chmod(0o755)
        self.environment = {k: v for k, v in os.environ.items() if k != 'PDADMM_DATA'} | {
            'HOME': str(self.folder),
            'XDG_CACHE_HOME': str(self.folder / 'cache'),
        }

    def go(self, *arguments, code=0):
        done = subprocess.run(
            [sys.executable, BENCH / 'harness', *map(str, arguments), '--out', str(self.out), '--build', str(self.folder / 'build')],
            capture_output=True,
            text=True,
            timeout=600,
            env=self.environment,
            cwd=self.folder,
        )
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def refused(self, code, words, *arguments):
        done = self.go(*arguments, code=code)
        self.assertRegex(done.stderr, rf'^(.*: left out: .*\n)*harness: error: .*{words}.*\n$')
        self.assertEqual(done.stdout, '')

    def trainings(self):
        return len(self.count.read_text().split()) if self.count.exists() else 0

    def records(self, suite):
        return [json.loads(line) for line in (self.out / f'{suite}.jsonl').read_text().splitlines()]


class Going(Harness):
    def test_goes_on_after_an_interruption(self):
        self.stop.touch()
        done = self.go(*SMALL, code=130)
        self.assertIn('the same command goes on', done.stderr)
        first = self.records('communication')
        self.assertEqual(len(first), 3)
        self.stop.unlink()
        self.count.unlink()
        done = self.go(*SMALL)
        self.assertIn(f'{CODECS} results, 3 of them here already', done.stderr)
        self.assertIn(' left', done.stderr)
        self.assertEqual(self.trainings(), CODECS - 3)
        every = self.records('communication')
        self.assertEqual(len(every), CODECS)
        self.assertEqual(every[:3], first)
        self.go(*SMALL)
        self.assertEqual(self.trainings(), CODECS - 3, 'a complete suite measures nothing')

        path = self.out / 'communication.jsonl'  # a line that broke off is measured again, other settings are
        path.write_text(path.read_text()[:-40])
        self.go(*SMALL)
        self.assertEqual(self.trainings(), CODECS - 2)
        self.assertEqual([r['point'] for r in self.records('communication')], [r['point'] for r in every])
        self.go(*SMALL, '--fresh')
        self.assertEqual(self.trainings(), 2 * CODECS - 2)
        self.assertEqual(len(self.records('communication')), CODECS)

    def test_where_results_come_from(self):
        done = self.go(*SMALL)
        for record in self.records('communication'):
            self.assertEqual(record['suite'], 'communication')
            self.assertEqual(record['kind'], 'measured')
            self.assertEqual(record['seeds'], [0, 1])
            self.assertEqual(record['point']['train'], 60)
            self.assertRegex(record['commands'][0], r"^pdadmm train --dataset sbm:.* --backend cpu --threads 1 .*--hidden 6 .*--seeds 0,1$")
            self.assertTrue(record['harness'].startswith('bench/harness communication --quick'))
            self.assertRegex(record['version'], r'^pdadmm \d')
            self.assertRegex(record['time'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
            self.assertTrue(record['commit'] and record['key'])
            self.assertRegex(record['device'], r'^cpu, 1 thread, ')
            self.assertGreaterEqual(record['machine']['cores'], 1)
            self.assertTrue(record['machine']['processor'] and len(record['machine']['load']) == 3)
            self.assertIn('others', record['machine'])
            self.assertNotIn('anyway', record)
            self.assertEqual([len(record['values'][k]) for k in ('test', 'objective')], [2, 2])
        by_codec = {r['point']['codec']: r['values']['bytes_an_iteration'] for r in self.records('communication')}
        self.assertEqual(by_codec['none'], 9 * 2 * 6 * 60 * 4)
        self.assertIn('| exact, 3 epochs | none |', done.stdout)
        self.assertIn('N 60', done.stdout)

    def test_steps(self):
        done = self.go('communication', '--quick', '--datasets', GRAPH, '--hidden', '6', '--epochs', '2', '--seeds', '1')
        found = self.records('communication')
        by_step = {step: [r for r in found if r['point'].get('step', 'exact') == step] for step in communication.STEPS}
        for step, of_step in by_step.items():
            self.assertEqual([r['point']['codec'] for r in of_step], list(communication.CODECS))
            self.assertTrue(all(f' --step {step} ' in r['commands'][0] for r in of_step))
            self.assertIn(f'| {step}, 2 epochs | difference, 1 bit, p and q |', done.stdout)
        sent = {step: [r['values']['bytes_an_iteration'] for r in of_step] for step, of_step in by_step.items()}
        self.assertEqual(sent['exact'], sent['block'])
        self.refused(2, "'newton', expected some of exact, block", *SMALL[:-1], 'newton')
        self.refused(2, 'not an option', 'accuracy', '--steps', 'block')

    def test_other_suites(self):
        self.go('time-to-objective', '--quick', '--datasets', GRAPH, '--hidden', '6', '--epochs', '20')
        steps = self.records('time-to-objective')[0]['values']['steps']
        self.assertEqual(set(steps), {'exact', 'backtracking'})
        self.assertEqual(steps['exact']['ms_per_iteration']['repetitions'], 2)
        self.go(
            'accuracy', '--quick', '--datasets', GRAPH, '--hidden', '6', '--epochs', '2', '--seeds', '1', '--methods', 'admm,adam-tuned'
        )
        found = self.records('accuracy')
        searched = [r for r in found if r['point'].get('part') == 'search']
        self.assertEqual(len({json.dumps(r['point']) for r in searched}), len(searched))
        chosen = next(r for r in found if r['point'].get('part') == 'chosen')
        best = max(searched, key=lambda r: r['values']['best_val'][0])['commands'][0]
        self.assertEqual(chosen['commands'][0], best, 'one seed: the chosen settings are those of the best trial')
        done = self.go('devices', '--quick', '--datasets', GRAPH, '--hidden', '6', '--epochs', '3', '--rounds', '1')
        self.assertIn('bench_ranks is not built', done.stderr + done.stdout)
        self.assertIn('Ranks side by side, measured', done.stdout)
        self.assertIn('What ranks reach, measured', done.stdout)
        reached = {r['point']['method']: r['values'] for r in self.records('devices') if r['point'].get('what') == 'reached'}
        self.assertEqual(len(reached), 6)
        nodes, centre = (next(v['bytes'] for m, v in reached.items() if m.startswith(who)) for who in ('Adam, nodes', 'Adam, workers and a centre'))
        self.assertEqual(nodes, [8 * sent for sent in centre])  # as many bytes as an epoch's gradients, every 8 epochs

    def test_splits_of_a_file(self):
        graph_of_splits(self.folder / 'g.npz')
        done = self.go('splits', '--quick', '--datasets', './g.npz', '--hidden', '6', '--epochs', '5', '--methods', 'admm,mlp', '--splits', '3')
        found = self.records('splits')
        self.assertTrue(all(' --split-index all --metric roc-auc ' in r['commands'][0] for r in found))
        searched = [r for r in found if r['point'].get('part') == 'search']
        self.assertEqual({len(r['values']['val']) for r in searched}, {1})
        admm, chosen = (r for r in found if r not in searched)
        self.assertEqual([len(r['values']['test']) for r in (admm, chosen)], [3, 3])
        best = max(searched, key=lambda r: r['values']['val'][0])['commands'][0]
        self.assertEqual(chosen['commands'][0].replace('--seeds 3', '--seeds 1'), best)
        self.assertIn('| method | g (ROC AUC, N 20) |', done.stdout)

    def test_a_training_that_diverges_is_left_out(self):
        Path(f'{self.stop}.2').touch()
        done = self.go(*SMALL)
        self.assertIn('Left out:', done.stdout)
        self.assertEqual([r['kind'] for r in self.records('communication')][:3], ['measured', 'left out', 'measured'])
        self.assertEqual(self.records('communication')[1]['why'], 'seed 0: no longer finite')

    def test_data_that_is_missing(self):
        self.refused(3, 'cora', 'convergence', '--datasets', 'cora', '--quick')
        done = self.go('time-to-accuracy', '--anyway')  # nothing that it would take by itself is here
        for name in ('cora', 'pubmed', 'photo', 'computers'):
            self.assertRegex(done.stderr, f'time-to-accuracy: left out: {name}: .*prepare.py')
            self.assertIn(f'Left out: {name}', done.stdout)
        self.assertEqual({r['kind'] for r in self.records('time-to-accuracy')}, {'left out'})

    def test_wrong_use(self):
        self.refused(2, 'invalid choice', 'speed')
        self.refused(2, 'expected a whole number', 'convergence', '--hidden', 'wide')
        self.refused(2, 'not an option', 'scaling', '--seeds', '3')
        self.refused(2, "'sgd', expected some of", 'accuracy', '--methods', 'sgd')
        self.refused(2, 'expected both or neither', 'devices', '--quick', '--latency', '4')
        self.refused(3, 'no results', 'report')
        self.out.mkdir()
        (self.out / 'communication.jsonl').write_text('{"point": 1\n{}\n')
        self.refused(3, 'communication.jsonl:1: not a record', *SMALL)
        shutil.rmtree(self.out)
        self.out.write_text('a file')
        self.refused(5, 'choose another --out', *SMALL)
        self.assertEqual(self.trainings(), 0, 'found out before anything is measured')
        (self.folder / 'build' / 'host' / 'pdadmm').unlink()
        self.refused(4, 'cmake --build', *SMALL)


class Pages(Harness):
    def test_report(self):
        self.go(*SMALL)
        done = self.go('report', '--formats', 'png,pdf')
        text, whole = (self.out / 'README.md').read_text(), (self.out / 'report.html').read_text()
        for words in ('Communication (Fig. 5)', 'measured', 'bench/harness communication', 'Machine: '):
            self.assertIn(words, text)
        self.assertEqual(whole.count('<table>'), 3)
        self.assertRegex(text, r'\| \[Communication \(Fig\. 5\)\]\(#communication-fig-5\) \| Test accuracy within half a point of fp32: ')
        self.assertIn('README.md: written', done.stdout)
        if not PLOTS:
            self.assertIn('no plots: matplotlib is missing', text)
            self.skipTest('matplotlib is not installed: no plots')
        for ending in ('svg', 'png', 'pdf'):
            self.assertGreater((self.out / f'communication-6.{ending}').stat().st_size, 5000)
        self.assertRegex(text, r'!\[Test accuracy within half a point of fp32: .*measured\)\]\(communication-6\.svg\)')
        self.assertIn('<svg', whole)
        again = self.folder / 'again'
        done = subprocess.run(
            [sys.executable, BENCH / 'plot.py', self.out / 'communication.jsonl', '--out', again], capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        for wrong in ('communication.jsonl', 'speed.jsonl'):
            done = subprocess.run([sys.executable, BENCH / 'plot.py', again / wrong, '--out', again], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr.count('\n')), (3, 1), done.stderr)
        self.assertEqual((again / 'communication-6.svg').read_text(), (self.out / 'communication-6.svg').read_text())

def record(values, **point):
    return {'suite': 's', 'kind': 'measured', 'point': point, 'values': values, 'seeds': [0, 1], 'commands': []}


class Planted(unittest.TestCase):
    """Tables of results whose answers are known."""

    def accuracies(self, test, val, **point):
        more = {'dataset': 'cora', 'layers': 10, 'hidden': 100, 'epochs': 200, 'train': 140, **point}
        return record({'test': test, 'test_at_best_val': test, 'best_val': val}, **more)

    def comparison(self, ours, tuned, plain):
        found = [
            self.accuracies(ours, [0.8, 0.8], method='admm', preset='fast', growth='grown'),
            self.accuracies([0.1, 0.1], [0.7, 0.7], method='admm-q', preset='fast', growth='grown'),
            self.accuracies(tuned, [0.81, 0.81], method='adam-tuned', part='chosen'),
            self.accuracies(plain, [0.6, 0.6], method='gd', preset='paper', growth='ungrown'),
        ]
        table = next(t for t in accuracy.tables(found) if t.header[0] == 'data set')
        return table.rows[0]

    def test_mean_and_spread(self):
        self.assertEqual(tables.mean_sd([0.70, 0.72]), '0.710 ± 0.014')
        self.assertEqual(tables.mean_sd([0.7]), '0.700')
        self.assertEqual(
            tables.spread([3, 1, 2]),
            {'median': 2, 'lower': 1.5, 'upper': 2.5, 'least': 1, 'greatest': 3, 'repetitions': 3, 'samples': [3, 1, 2]},
        )
        self.assertEqual((tables.spread([4])['lower'], tables.spread([4])['upper']), (4, 4))

    def test_markdown(self):
        text = tables.markdown(tables.Table('T', ['a', '|p - q|'], [['1', '2']], 'note'))
        self.assertEqual(text, '**T**\n\n| a | \\|p - q\\| |\n|---|---|\n| 1 | 2 |\n\nnote\n')

    def test_who_is_better(self):
        self.assertEqual(self.comparison([0.82, 0.83], [0.80, 0.81], [0.9, 0.9])[-1], '+2.0 points: better')
        self.assertEqual(self.comparison([0.80, 0.81], [0.82, 0.83], [0.9, 0.9])[-1], '-2.0 points: worse')
        self.assertEqual(self.comparison([0.80, 0.84], [0.82, 0.83], [0.9, 0.9])[-1], '-0.5 points: within one sd')
        self.assertIn('GD, ungrown', self.comparison([0.8, 0.8], [0.8, 0.8], [0.9, 0.9])[3])

    def test_accuracy_beside_the_paper(self):
        table = accuracy.tables([self.accuracies([0.72, 0.74], [0.7, 0.7], method='gd', preset='paper', growth='grown')])[0]
        rows = {row[0]: row[1] for row in table.rows}
        self.assertEqual(rows['paper: GD'], '0.730 ± 0.022')
        self.assertEqual(rows['paper: pdADMM-G-Q'], '0.788 ± 0.003')
        self.assertEqual(rows['GD, grown'], '0.730 ± 0.014 (2 seeds)')
        self.assertIn('N 140 (cora)', table.title)

    def test_rivals_on_stored_splits_are_chosen_by_validation(self):
        of = {'dataset': 'data/texas.npz', 'metric': 'accuracy', 'hidden': 100, 'train': 87}
        found = [
            record({'test': test, 'val': val, 'accuracy': test}, **of, **point)
            for test, val, point in (
                ([0.86, 0.84], [0.8, 0.8], {'method': 'admm'}),
                ([0.80, 0.82], [0.9, 0.9], {'method': 'mlp', 'part': 'chosen'}),
                ([0.90, 0.90], [0.7, 0.7], {'method': 'adam', 'part': 'chosen'}),
                ([0.99, 0.99], [0.99, 0.99], {'method': 'adam', 'part': 'search'}),
            )
        ]
        self.assertAlmostEqual(splits.gaps(splits.results(found))['texas'], 4)
        rows = {row[0]: row[1] for row in splits.tables(found)[0].rows}
        self.assertEqual(rows['pdADMM-G'], '0.850 ± 0.014 (2)')
        self.assertEqual(rows['Adam, the same features'], '0.900 ± 0.000 (2)')
        self.assertEqual(rows['GCN, published'], '0.595 ± 0.052')
        (figure,) = splits.figures(found)
        self.assertIn('texas +4.0 points', figure.title)

    def communications(self, accuracies, **more):
        """Records of {codec: mean accuracy}; sizes as fp32 and 4, 2, 1 bits."""
        bytes_of = {'none': 1000, 'difference, 4 bits, p and q': 125, 'difference, 2 bits, p and q': 63, 'difference, 1 bit, p and q': 31}
        of = {'layers': 10, 'hidden': 100, 'epochs': 200, 'dataset': 'cora', 'train': 140, **more}
        values = {
            codec: {'test': [mean - 0.001, mean + 0.001], 'bytes_an_iteration': bytes_of[codec], 'bytes': 1e6 * bytes_of[codec]}
            for codec, mean in accuracies.items()
        }
        return [record(v, codec=codec, **of) for codec, v in values.items()]

    def test_bytes_saved(self):
        found = self.communications({'none': 0.8, 'difference, 4 bits, p and q': 0.8})  # without a step, as earlier results
        found += self.communications({'none': 0.7}, step='block', epochs=60)
        table, sent = communication.tables(found)
        rows = {tuple(row[:2]): row[2:] for row in table.rows}
        self.assertEqual(rows['exact, 200 epochs', 'difference, 4 bits, p and q'], ['0.800 ± 0.001', '125 (-87.5 %)'])
        self.assertEqual(rows['exact, 200 epochs', 'none'], ['0.800 ± 0.001', '1,000'])
        self.assertEqual(rows['block, 60 epochs', 'none'], ['0.700 ± 0.001', '1,000'])
        self.assertEqual(sent.rows[1], ['exact, 200 epochs', 'difference, 4 bits, p and q', '125'])

    def test_fewest_bits(self):
        found = self.communications({'none': 0.8, 'difference, 4 bits, p and q': 0.799, 'difference, 1 bit, p and q': 0.81})
        found += self.communications({'none': 0.7, 'difference, 4 bits, p and q': 0.698, 'difference, 1 bit, p and q': 0.6}, dataset='cs')
        found += self.communications({'none': 0.8, 'difference, 2 bits, p and q': 0.1}, step='block', epochs=60)
        (figure,) = communication.figures(found)
        self.assertIn(': exact steps at 4 bits, block steps at no bits tried', figure.title)
        cora, cs = figure.panels
        self.assertEqual([(s.label, s.variant) for s in cora.series[:2]], [('exact steps', 'scale max'), ('exact steps', 'scale rms')])
        self.assertLess(len(cs.series), len(cora.series), 'what is empty is not listed')
        self.assertEqual(cora.series[0].x, [31, 125, 1000])
        self.assertAlmostEqual(cora.lowest, 0.76)
        if PLOTS:
            import drawing

            made = drawing.draw(figure)
            self.assertIn('↓ 0.10', [t.get_text() for t in made.axes[0].texts])
            self.assertEqual(len(made.legends), 1)

    def test_slope(self):
        self.assertAlmostEqual(scaling.slope([1, 2, 4, 8], [3, 12, 48, 192]), 2)
        self.assertAlmostEqual(scaling.slope([1, 2, 4], [5, 5, 5]), 0)

    def test_time_to_accuracy(self):
        curve = {'seconds': [[1, 2, 3], [2, 4, 6]], 'val': [[0.5, 0.8, 0.7], [0.5, 0.6, 0.7]]}
        self.assertEqual(time_to_accuracy.reached(curve, 0.8), [2, None])
        self.assertEqual(time_to_accuracy.reached_text(curve, 0.8), '2 s (1 of 2 seeds)')
        self.assertEqual(time_to_accuracy.reached_text(curve, 0.5), '1.5 s')
        self.assertEqual(time_to_accuracy.reached_text(curve, 0.9), 'never')
        self.assertAlmostEqual(time_to_accuracy.targets({'a': curve})[2], 0.99 * 0.75)

    def test_objective_at_equal_time(self):
        def rows(objectives, seconds):
            return [
                {'epoch': k + 1, 'objective': o, 'seconds': seconds, 'train_cost': o, 'train_accuracy': 0.5}
                for k, o in enumerate(objectives)
            ]

        found = time_to_objective.summarised(
            {'exact': [rows([8, 4, 2, 1], 1), rows([8, 4, 2, 1], 3), rows([8, 4, 2, 1], 1)], 'backtracking': [rows([8, 7, 6, 5], 2)] * 3}
        )
        self.assertEqual(found['equal_time_s'], 4)
        self.assertEqual(found['steps']['exact']['objective_at_equal_time'], 1)
        self.assertEqual(found['steps']['backtracking']['objective_at_equal_time'], 7)
        table = time_to_objective.tables([record(found, dataset='cora', layers=10, hidden=100, train=140)])[0]
        self.assertIn('7 times lower', table.note)

    def test_a_later_record_takes_the_place_of_an_earlier_one(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'accuracy.jsonl')
            path.write_text(''.join(json.dumps({'point': {'b': 1, 'a': k % 2}, 'key': str(k)}) + '\n' for k in range(3)))
            self.assertEqual([r['key'] for r in page.records_of(path)], ['2', '1'])
            self.assertIsNone(Store(path).find({'a': 0, 'b': 1}, '0'))


if __name__ == '__main__':
    unittest.main()
