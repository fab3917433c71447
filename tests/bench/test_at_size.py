#!/usr/bin/env python3
"""bench/harness at-size: tuning, targets, tables and pictures from planted results, and a small real run.
Usage: test_at_size.py PDADMM"""

import unittest
import unittest.mock

from test_harness import GRAPH, Harness, PLOTS, record
from suites import at_size_methods, at_size_report, published
from suites.at_size_methods import METHODS, climb

SMALL = ['at-size', '--quick', '--datasets', GRAPH, '--hidden', '6', '--layers', '4', '--epochs', '15']


def run(method, layers, split, steps, setting=0, dataset='photo', sent=None, **more):
    """A record whose climb is `steps`: (iteration, seconds, validation, test)."""
    values = {
        'climb': [[iteration, seconds, (sent or 0) * iteration, val, test] for iteration, seconds, val, test in steps],
        'iterations': 100,
        'seconds': 9.0,
        'peak_bytes': 2e8,
        **({'bytes': 100 * sent} if sent else {}),
        **more,
    }
    network = {'layers': layers, 'hidden': 100, 'epochs': 300} if layers else {}
    names = [name for name, _ in METHODS[method].settings]
    return record(values, dataset=dataset, method=method, **network, train=4590, split=split, setting=names[setting])


PLANTED = [
    # The setting that was better on validation, not on test, is chosen; its split 0 is its trial.
    run('block', 2, 0, [(5, 1.0, 0.90, 0.99)], setting=0),
    run('block', 2, 0, [(5, 1.0, 0.93, 0.92), (10, 2.0, 0.956, 0.94)], setting=1, sent=1e6),
    run('block', 2, 1, [(5, 1.0, 0.93, 0.92), (10, 3.0, 0.96, 0.95)], setting=1, sent=1e6),
    run('adam', 2, 0, [(20, 4.0, 0.955, 0.95), (30, 6.0, 0.96, 0.955)]),
    run('adam', 2, 1, [(20, 5.0, 0.95, 0.95), (30, 8.0, 0.958, 0.955)]),
    run('torch', 5, 0, [(20, 4.0, 0.91, 0.90)], torch='1.13', blas='libopenblas.so.0'),
    run('ridge', None, 0, [(1, 0.5, 0.92, 0.91)]),
]


class Planted(unittest.TestCase):
    def rows(self):
        ((key, rows),) = at_size_report.rows_of(PLANTED).items()
        self.assertEqual(key, ('photo', 100, 300))
        return rows

    def test_tuned_on_validation_alone(self):
        row = self.rows()[0]
        self.assertEqual((row.name, row.layers, row.trials, len(row.runs)), ('block', 2, 2, 2))
        self.assertEqual(row.setting, METHODS['block'].settings[1][0])
        self.assertIsNone(at_size_report.best_setting([{'values': {}, 'point': {'split': 0, 'setting': 'a'}}]))

    def test_half_a_point_below_the_best_of_a_split(self):
        rows = self.rows()
        aims = at_size_report.targets(rows)
        self.assertAlmostEqual(aims[0], 0.955)
        self.assertAlmostEqual(aims[1], 0.955)
        block, adam, torch, ridge = rows
        self.assertEqual([step[0] for step in block.reached(aims)], [10, 10])
        self.assertEqual([step[0] for step in adam.reached(aims)], [20, 30])
        self.assertEqual(torch.reached(aims), [None])
        self.assertEqual(at_size_report.reached_text(block.reached(aims), 1, str), '2.5')
        self.assertEqual(at_size_report.reached_text([[10, 2.0], None, [10, 4.0]], 1, str), '4.0 (2 of 3 splits)')
        self.assertEqual(at_size_report.reached_text([[10, 2.0], None, None], 1, str), 'never (1 of 3 splits)')
        self.assertEqual(at_size_report.reached_text([None], 1, str), 'never')

    def test_tables(self):
        overview, table = at_size_report.tables(PLANTED)
        of = {tuple(row[:2]): row for row in table.rows}
        block = of['pdADMM-G, block', '2']
        self.assertEqual(block[2:9], ['0.945 ± 0.007', '0.958 ± 0.003', '2.5', '10', '10', '9', '100'])
        self.assertIn('(2 tried)', block[10])
        self.assertEqual(of['Adam, PyTorch', '5'][4], 'never')
        self.assertEqual(of['Adam', '2'][6], '')
        self.assertEqual(of['ridge regression', ''][5], '')
        self.assertEqual(of['GCN, tuned, as published (arXiv 2406.08993)', ''][2], '0.961 ± 0.005')
        self.assertIn('N 4590', table.title)
        self.assertIn('PyTorch 1.13 with libopenblas.so.0', table.note)
        self.assertTrue(all(len(row) == len(t.header) for t in (overview, table) for row in t.rows))
        self.assertEqual(overview.rows[0][1], '0.945 ± 0.007 (2 layers)')

    def test_cells_of_pages(self):
        def cell(title, layers):
            return at_size_report.cited(PLANTED, title, 'reached', {'dataset': 'photo', 'layers': layers})

        self.assertEqual(cell('pdADMM-G, block', '2'), '0.945 ± 0.007 (2.5)')
        self.assertEqual(cell('Adam, PyTorch', '5'), '0.900 (never; 1 split)')
        self.assertEqual(cell('ridge regression', '2'), '0.910 (1 split)')
        for title, layers in (('ridge regression', '5'), ('Adam', '5'), ('no such', '2')):
            self.assertEqual(cell(title, layers), '')

    def test_pictures(self):
        accuracy, time = at_size_report.figures(PLANTED)
        self.assertEqual(accuracy.name, 'at-size-accuracy-photo')
        self.assertIn('-1.0 on photo', accuracy.title)
        self.assertIn('2.5 and 6 on photo', time.title)
        (panel,) = accuracy.panels
        by_depth = {s.label: s for s in panel.series}
        named = lambda label: [panel.rows[k] for k in by_depth[label].x]
        self.assertEqual(named('2 layers'), ['pdADMM-G, block', 'Adam'])
        self.assertEqual(named('5 layers'), ['Adam, PyTorch'])
        self.assertEqual(named('without layers'), ['ridge regression'])
        self.assertEqual(named('tuned networks'), ['GCN', 'GAT', 'GraphSAGE'])
        self.assertEqual(by_depth['5 layers'].texts, {0: '*'}, 'of one split alone')
        self.assertEqual(by_depth['2 layers'].texts, {1: '*'}, 'tuned over one setting, where another was over two')
        self.assertIn(at_size_report.FEWER, accuracy.notes)
        (of_time,) = time.panels
        self.assertEqual({s.label: (s.x, s.never) for s in of_time.series}['5 layers'], ([], [2]))
        many = [run('adam', 2, 0, [(1, 1.0, 0.9, 0.9)], dataset=name) for name in ('a', 'b', 'c', 'd')]
        self.assertEqual([len(f.panels) for f in at_size_report.figures(many)], [2, 2, 2, 2])

    def test_climb_holds_only_the_full_depth(self):
        rows = [
            {'epoch': 1, 'layers': 2, 'seconds': 1, 'bytes': 10, 'val_accuracy': 0.9, 'test_accuracy': 0.9},
            {'epoch': 2, 'layers': 5, 'seconds': 1, 'bytes': 20},
            {'epoch': 3, 'layers': 5, 'seconds': 1, 'bytes': 20, 'val_accuracy': 0.8, 'test_accuracy': 0.7},
            {'epoch': 4, 'layers': 5, 'seconds': 1, 'bytes': 20, 'val_accuracy': 0.8, 'test_accuracy': 0.6},
        ]
        self.assertEqual(climb(rows, 5), {'climb': [[3, 3.0, 50, 0.8, 0.7]], 'iterations': 4, 'seconds': 4.0})

    def test_a_peer_that_cannot_run_says_what_it_lacks(self):
        with unittest.mock.patch.dict(at_size_methods._interpreters, {'numpy, torch': None}):
            self.assertEqual(METHODS['torch'].why_missing(), 'no Python here has numpy, torch (Debian: python3-torch)')
        self.assertEqual(METHODS['adam'].why_missing(), '')

    def test_methods_have_as_many_settings(self):
        self.assertEqual({len(m.settings) for m in METHODS.values()}, {6})
        self.assertEqual({len(dict(m.settings)) for m in METHODS.values()}, {6}, 'their names differ')
        self.assertIs(METHODS['adam'].settings, METHODS['torch'].settings)
        self.assertEqual(published.text('GraphSAGE', 'cs'), '0.964 ± 0.001')
        self.assertEqual(published.text('GCN', 'pubmed'), '')


class AtSize(Harness):
    def test_a_small_run(self):
        methods = 'block-2,adam,torch,ridge'
        stopped = self.go(*SMALL, '--methods', methods, '--max-minutes', '0.0001')
        self.assertIn('the same command goes on', stopped.stderr)
        done = self.go(*SMALL, '--methods', methods)
        found = self.records('at-size')
        measured = [r for r in found if r['kind'] == 'measured']
        missing = {name for name in ('torch', 'ridge') if METHODS[name].why_missing()}
        self.assertEqual({r['point']['method'] for r in measured}, {'block-2', 'adam', 'torch', 'ridge'} - missing)
        self.assertEqual({r['point']['method'] for r in found if r['kind'] == 'left out'}, missing)
        for name in missing:
            self.assertRegex(done.stdout, rf'Left out: .*{name}.*no Python here has')
        of_block = [r for r in measured if r['point']['method'] == 'block-2']
        self.assertEqual(sorted(r['point']['split'] for r in of_block), [0, 0, 1], 'two trials, then the best on the other split')
        chosen = at_size_report.best_setting(of_block)
        self.assertEqual([r['point']['setting'] for r in of_block if r['point']['split'] == 1], [chosen])
        for r in measured:
            self.assertGreater(r['point']['train'], 80)
            self.assertIn(at_size_methods.SPLIT, ' '.join(r['commands']))
            self.assertGreater(r['values']['peak_bytes'], 1e6)
            self.assertTrue(r['values']['climb'])
            self.assertEqual('bytes' in r['values'], r['point']['method'] == 'block-2')
        self.assertIn('pdADMM-G-Q, block, 2 bits', done.stdout)
        if PLOTS:
            self.assertEqual(len(list(self.out.glob('at-size-*.svg'))), 2)
        count = self.trainings()
        self.go(*SMALL, '--methods', methods)
        self.assertEqual(self.trainings(), count, 'a complete suite measures nothing')

    def test_wrong_use(self):
        self.refused(2, "'sgd', expected some of", 'at-size', '--methods', 'sgd')
        self.refused(2, 'expected a whole number', 'at-size', '--layers', '2,,5')
        self.refused(2, 'expected minutes above 0', 'at-size', '--max-minutes', '0')
        self.refused(2, '2 depths, expected one', 'communication', '--quick', '--datasets', GRAPH, '--layers', '2,5')
        self.refused(2, 'not an option', 'communication', '--trials', '3')


if __name__ == '__main__':
    unittest.main()
