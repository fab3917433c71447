#!/usr/bin/env python3
"""bench/harness tune: courses from tables of trials, methods beside random search from planted results, and a small real run.
Usage: test_searches.py PDADMM"""

import unittest

from test_harness import GRAPH, Harness, record
from suites import tune

SIZES = {'layers': 3, 'hidden': 32, 'epochs': 40, 'trials': 4, 'train': 140}


def search(method, repeat, course, dataset='cora', **values):
    more = {'validation': course[-1][1], 'without_preset': course[-1][1], 'test': 0.7, 'trials': 4, 'failed': 0}
    return record({'course': course, **more, **values}, dataset=dataset, method=method, repeat=repeat, **SIZES)


PLANTED = [
    record({'validation': [0.80, 0.82, 0.81], 'test': [0.8, 0.8, 0.8]}, dataset='cora', method='fast', train=140),
    *(search('random', k, [[1, 0.70], [2, 0.75], [4, end]], without_preset=0.75) for k, end in enumerate((0.80, 0.81, 0.82))),
    *(search('halving', k, [[1, 0.70], [2.5, end]]) for k, end in enumerate((0.82, 0.83, 0.82))),
    *(search('admm', k, [[1, 0.70], [3, end]]) for k, end in enumerate((0.70, 0.75, 0.83))),
]


def trial(number, share, state, figure, settings, epochs=9):
    return {'trial': number, 'share': share, 'state': state, 'figure': figure, 'settings': settings, 'epochs': epochs}


class Planted(unittest.TestCase):
    def test_course(self):
        other = {'rho': '1'}
        rows = [trial(0, 1, 'done', 0.6, {}), trial(1, 0.5, 'paused', 0.9, other, 4), trial(2, 0.5, 'paused', 0.5, other, 4), trial(3, 1, 'diverged', None, other, 2),
                trial(1, 1, 'done', 0.8, other), trial(4, 1, 'done', 0.7, other)]  # fmt: skip
        found = tune.values(rows, {'validation': 0.8, 'test': 0.75, 'trials': 5, 'trainings': 4.5})
        self.assertEqual(found['course'], [[1, 0.6], [3.5, 0.8]], 'what was stopped before does not count, and goes on for a half')
        self.assertEqual((found['without_preset'], found['epochs'], found['failed']), (0.8, 9 + 9 + 4 + 2 + 9, 1))
        refused = [trial(0, 1, 'refused', None, {}, 0), *rows[1:]]
        self.assertEqual(tune.values(refused, {'validation': 0.8, 'test': 0.75, 'trials': 4, 'trainings': 3.5})['course'], [[2.5, 0.8]])

    def test_methods_beside_random_search(self):
        (table,) = tune.tables(PLANTED)
        rows = {row[1]: row for row in table.rows}
        self.assertEqual(rows['random'][2:7], ['0.810 (0.800 to 0.820)', '', '', '', '0 of 3'])
        self.assertEqual(rows['successive halving'][2:7], ['0.820 (0.820 to 0.830)', '+1.0', '2 / 1 / 0', '3', '3 of 3'])
        self.assertEqual(rows['splitting (admm)'][2:7], ['0.750 (0.700 to 0.830)', '-6.0', '1 / 0 / 2', 'never', '1 of 3'])
        self.assertEqual(rows['`fast` as it is'][2], '0.810 (0.800 to 0.820)')
        self.assertEqual(tune.tables(PLANTED[:1]), [])

    def test_picture(self):
        (figure,) = tune.figures(PLANTED)
        self.assertEqual(figure.title, '4 trainings, points of validation accuracy from random search: successive halving +1.0; splitting (admm) -6.0')
        lines = {s.label: s for s in figure.panels[0].series}
        self.assertEqual((lines['random'].x, lines['random'].y), ([1, 2, 3, 4], [0.70, 0.75, 0.75, 0.81]))
        self.assertEqual(lines['successive halving'].y, [0.70, 0.70, 0.82, 0.82])
        self.assertEqual(figure.panels[0].reference, 0.81)
        late = [search('random', 0, [[2, 0.8]]), search('random', 1, [[1, 0.8]])]
        self.assertEqual(tune.figures(late)[0].panels[0].series[0].x, [2, 3, 4], 'from where every search has something')


class Run(Harness):
    def test_searches_are_kept_and_repeatable(self):
        small = ['tune', '--quick', '--datasets', GRAPH, '--hidden', '6', '--methods', 'random,halving']
        self.assertIn('Best validation accuracy of 4 trainings', self.go(*small).stdout)
        found = self.records('tune')
        self.assertEqual([(r['point']['method'], r['point'].get('repeat')) for r in found],
                         [('fast', None), ('random', 0), ('halving', 0), ('random', 1), ('halving', 1)])  # fmt: skip
        for r in found[1:]:
            v = r['values']
            self.assertEqual(v['course'][-1][1], v['validation'])
            self.assertLessEqual(v['course'][-1][0], v['trainings'])
            self.assertLessEqual(v['trainings'], 4)
            self.assertGreaterEqual(v['validation'], v['without_preset'] or 0)
            self.assertRegex(r['commands'][0], r'^pdadmm tune --dataset sbm:.* --trials 4 --seed [01]$')
        self.assertGreater(found[2]['values']['trials'], found[1]['values']['trials'], 'halving has more of them')
        again = self.go(*small)
        self.assertIn('5 results, 5 of them here already', again.stderr)
        self.go(*small, '--fresh')
        self.assertEqual([r['values'] for r in self.records('tune')], [r['values'] for r in found])


if __name__ == '__main__':
    unittest.main()
