#!/usr/bin/env python3
"""Pictures of bench/harness: every suite's, from the records of bench/results and from planted ones, can be read at the width of a page
and of a phone: no text lies on another, over a panel or beyond the canvas. Planted faults are found.
Usage: test_pictures.py"""

import copy
import importlib.util
import sys
import tempfile
import types
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'bench'))
from test_harness import record  # noqa: E402
from suites import at_size_nodes, devices, front, kernels, page, roofline, tune  # noqa: E402
from suites.at_size_methods import METHODS  # noqa: E402
from suites.figures import Figure, MOST_PANELS, Panel, Series, in_pictures, span  # noqa: E402

PLOTS = importlib.util.find_spec('matplotlib') is not None
RECORDS = {name: page.records_of(path) for name in page.SUITES if (path := ROOT / 'bench/results' / f'{name}.jsonl').exists()}


def cell(nu, decay, test, dataset='cora'):
    point = {'dataset': dataset, 'split': 'own', 'step': 'exact', 'nu': nu, 'decay': decay, 'layers': 10, 'hidden': 100}
    return {'kind': 'measured', 'point': point, 'values': {'test': [test], 'val': [test], 'seconds': [1], 'default': ['0.01', '0.02']}, 'seeds': [0]}


def searched(dataset, method, repeat):
    point = {'dataset': dataset, 'method': method, 'repeat': repeat, 'layers': 3, 'hidden': 32, 'epochs': 40, 'trials': 30}
    course = [[k, 0.7 + 0.02 * len(method) * k / (k + 9 + repeat)] for k in range(1, 31, 4)]
    values = {'course': course, 'validation': course[-1][1], 'without_preset': 0.7, 'test': 0.7, 'trials': 30, 'failed': 0}
    return {'kind': 'measured', 'point': point, 'values': values, 'seeds': [repeat]}


RECORDS['tune'] = RECORDS.get('tune') or [searched(d, m, k) for d in ('cora', 'citeseer', 'photo') for m in tune.METHODS for k in range(3)]
RECORDS['penalties'] = RECORDS.get('penalties') or [cell(n, d, 0.8 + 0.01 * k) for k, (n, d) in enumerate([('0.01', '0.02'), ('0.1', '0.02')])]


def with_work(records):
    """Records of kernels with flops and bytes, and products of most sizes, as newer programs write them."""
    made = copy.deepcopy(records)
    for r in made:
        rows = r['values']['rows']
        if r['point']['program'] == 'bench_iteration':
            for k, row in enumerate(rows):
                row.update(flops=4e7 * row['products_ms'], bytes=4e7 * row['products_ms'] / (5 + 3 * k))
            continue
        for k, row in enumerate(rows):
            if row['name'].startswith('spmm/'):
                row['gb_per_s'] = 9.0
            if row['gb_per_s']:
                row['bytes'] = 1e6 * row['gb_per_s'] * row['ms']
                row['flops'] = 0.0 if row['name'].startswith('copy') else row['bytes'] * (0.05 + 0.04 * (k % 9))
        for name, rate, of_byte in (('product/100/140', 3.0, 19.0), ('product/128/20000', 3.0, 31.0), ('product_peak/1536', 0.4, 256.0)):
            rows.append({'name': name, 'ms': 1.0, 'gb_per_s': rate, 'ns_an_element': 0, 'over_copy': 0, 'bytes': 1e6 * rate, 'flops': 1e6 * rate * of_byte})
    return made


def with_pipelines(records):
    """Records of devices with the schedules of a pipeline."""
    made = copy.deepcopy(records)
    for r in (r for r in made if r['point'].get('what') == 'rivals'):
        for found in (f for of_link in r['values']['links'].values() for f in of_link):
            plan = {'seconds': 0.9 * found['pipeline'], 'bubble': 0.0, 'micro_batches': 8, 'in_flight': 4}
            found.update(pipeline=plan['seconds'], pipelines={name: plan for name in ('gpipe', '1f1b', 'zero_bubble')})
    return made


PLANTED = {'kernels': with_work(RECORDS['kernels']), 'devices': with_pipelines(RECORDS['devices'])}


def all_figures():
    found = {name: page.suite_of(name).figures(records) for name, records in RECORDS.items()}
    planted = {f'{name}, planted': page.suite_of(name).figures(records) for name, records in PLANTED.items()}
    for name, figures in planted.items():  # what the recorded ones may lack
        planted[name] = [f for f in figures if f.name in ('kernels-roofline', 'devices')]
    return {**found, **planted, 'front': [front.figure(RECORDS)]}


def example(**more):
    lines = [Series(name, [1, 2, 4], [k, 2 * k, 3 * k], kind=kind) for k, (name, kind) in enumerate((('Adam', 'measured'), ('pdADMM-G', 'modelled')), 1)]
    return Figure('example', 'Found: 2 times', [Panel('a', 'ranks', 'times', lines, **more)] * 2, 'made up')


class Said(unittest.TestCase):
    def test_few_panels_and_a_finding_with_its_number(self):
        for suite, figures in all_figures().items():
            self.assertTrue(figures or suite == 'peers', f'{suite}: no picture')
            for figure in figures:
                with self.subTest(figure=figure.name):
                    self.assertLessEqual(len(figure.panels), MOST_PANELS)
                    self.assertRegex(figure.title, r'\d')
                    self.assertRegex(figure.about, 'measured|modelled')
                    for panel in figure.panels:
                        self.assertTrue(panel.ylabel)
                        self.assertTrue(panel.rows or panel.xlabel)
                        self.assertTrue(all(s.x or s.never for s in panel.series), 'an empty series has a legend')

    def test_modelled_is_told_from_measured(self):
        (first, *_) = devices.figures(RECORDS['devices'])
        kinds = {s.kind for p in first.panels for s in p.series}
        self.assertLessEqual({'measured', 'modelled', 'bound'}, kinds)
        on_16 = next(s for s in first.panels[0].series if s.label == 'pdADMM-G, layers on ranks')
        self.assertEqual((on_16.kind, on_16.x[-1]), ('modelled', 16))
        self.assertTrue(first.title.startswith(f'Modelled: on 16 ranks pdADMM-G is {on_16.y[-1]:.3g} times'), first.title)
        self.assertIn('pdADMM-G-Q, 4 bits', [s.label for s in first.panels[0].series])

    def test_roofline(self):
        """A kernel of half a flop a byte at 10 GB/s does 5 GFLOP/s: half of what the copy of its size allows, wherever that is below the peak."""
        row = lambda name, rate, of_byte: {'name': name, 'ms': 1, 'gb_per_s': rate, 'bytes': 8.0, 'flops': 8.0 * of_byte}
        rows = [row('copy/9/9', 20.0, 0), row('copy/3/3', 40.0, 0), row('pass/9/9', 10.0, 0.5), row('pass/3/3', 30.0, 0.5), row('product/9/9', 1.0, 90.0),
                row('spmm/64', 5.0, 1.0), row('product_peak/9', 1.0, 100.0)]  # fmt: skip
        self.assertEqual([roofline.cells(r, rows) for r in rows[2:]], [['0.50', '5.0', '50%'], ['0.50', '15.0', '75%'], ['90.00', '90.0', '90%'],
                                                                        ['1.00', '5.0', '25%'], ['100.00', '100.0', '']])  # fmt: skip
        record = {'kind': 'measured', 'point': {'program': 'bench_kernels'}, 'values': {'rows': [{**r, 'ns_an_element': 0, 'over_copy': 0} for r in rows]}}
        (figure,) = roofline.figures([record], [])
        self.assertIn("passes reach 50% or more of a copy's bandwidth, products W p 90% of 100 GFLOP/s", figure.title)
        scatter, _ = figure.panels
        bound = next(s for s in scatter.series if s.label == 'roof at 9 x 9')
        self.assertEqual((bound.x[1], bound.y[1:]), (5, [100, 100]))
        self.assertEqual({s.label for s in scatter.series if s.kind == 'measured'}, {'passes, 9 x 9', 'passes, 3 x 3', 'products W p', 'sparse products'})

    def test_no_roofline_of_records_without_flops(self):
        older = copy.deepcopy(RECORDS['kernels'])
        for r in older:
            for found in r['values']['rows']:
                found.pop('flops', None)
        self.assertNotIn('kernels-roofline', [f.name for f in kernels.figures(older)])
        self.assertIn(roofline.MISSING, [t.note for t in kernels.tables(older)])
        self.assertNotIn(roofline.MISSING, [t.note for t in kernels.tables(PLANTED['kernels'])])
        self.assertIn('kernels-roofline', [f.name for f in kernels.figures(PLANTED['kernels'])])

    def test_lines_over_training_nodes(self):
        def row(name, layers, train, seconds):
            runs = [{'point': {'train': train}, 'values': {'seconds': s}} for s in seconds]
            return types.SimpleNamespace(name=name, layers=layers, runs=runs, each=lambda function: list(map(function, runs)))

        found = {(f'set {n}', 8, 5): [row('block', d, n, [n + d, n + d + 2]) for d in (2, 5, 10)] + [row('ridge', None, n, [1])] for n in (30, 10, 20)}
        found['set 30', 8, 5].append(row('adam', 2, 30, [1]))
        (figure,) = at_size_nodes.figures(found, {'block': 'ours', 'adam': 'Adam'}, lambda record: 0.5)
        self.assertEqual([(s.label, s.variant, s.x, s.y) for s in figure.panels[0].series],
                         [('ours', '2 layers', [10, 20, 30], [13, 23, 33]), ('ours', '10 layers', [10, 20, 30], [21, 31, 41])])  # fmt: skip
        self.assertEqual(figure.title, '10 layers, 30 training nodes, test accuracy: ours 0.500 in 41 s')
        del found['set 30', 8, 5]
        self.assertEqual(at_size_nodes.figures(found, {'block': 'ours'}, lambda record: 0.5), [], 'two are no line')

    def test_ticks(self):
        import style

        near = lambda found, expected: self.assertEqual([round(v, 9) for v in found], expected)
        near(style.log_ticks(0.9, 110, 4), [1, 10, 100])
        near(style.log_ticks(4, 60, 5), [5, 10, 20, 50])
        near(style.log_ticks(22.4, 23.3, 3), [22.5, 23])  # none of 1, 2, 5, ...
        near(style.log_ticks(0.0301, 0.0302, 4), [0.0301, 0.03015, 0.0302])

    def test_parts(self):
        self.assertEqual([len(p) for p in in_pictures(list('abcd'))], [2, 2])
        self.assertEqual([len(p) for p in in_pictures(list('abcdefg'))], [2, 3, 2])
        self.assertEqual(in_pictures([]), [])
        self.assertEqual((span([3, 12]), span([2.001, 2.002])), ('3 to 12', '2'))


@unittest.skipUnless(PLOTS, 'matplotlib is not installed')
class Drawn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        import drawing
        import legibility
        import style

        cls.drawing, cls.legibility, cls.style = drawing, legibility, style

    def faults(self, figure, width, spoil=None):
        made = self.drawing.draw(figure, width)
        if spoil:
            spoil(made)
        found = self.legibility.faults(made)
        self.style.pyplot().close(made)
        return found

    def test_every_picture_can_be_read_in_both_widths(self):
        for suite, figures in all_figures().items():
            for figure in figures:
                for width in (self.style.PAGE, self.style.NARROW):
                    with self.subTest(suite=suite, figure=figure.name, width=width):
                        self.assertEqual(self.faults(figure, width), [])

    def test_planted_faults_are_found(self):
        ticks = [1, 1.01, 1.02]
        spoils = {
            'lies on': lambda made: [made.axes[0].annotate(text, (2, 2)) for text in ('one', 'two')],
            'leaves the canvas': lambda made: made.text(0.95, 0.99, 'much too long for this canvas'),
            'lies over its panel': lambda made: made.axes[0].legend(['Adam']),
            'lies over the panel "a"': lambda made: made.text(*made.transFigure.inverted().transform(made.axes[0].bbox.get_points().mean(0)), 'astray'),
            '"1.01" lies on': lambda made: (made.set_layout_engine('none'), made.axes[0].set_xticks(ticks, map(str, ticks))),
        }
        for width in (self.style.PAGE, self.style.NARROW):
            self.assertEqual(self.faults(example(), width), [])
            for words, spoil in spoils.items():
                self.assertIn(words, ' '.join(self.faults(example(), width, spoil)))

    def test_marks(self):
        made = self.drawing.draw(example())
        lines = {line.get_color(): line for line in made.axes[0].lines}
        faces = {line.get_markerfacecolor() == colour for colour, line in lines.items()}
        self.assertEqual(faces, {True, False}, 'measured is filled, modelled is not')
        self.assertIn('Filled: measured. Hollow: modelled.', [t.get_text() for t in made.texts])
        self.assertEqual(len(made.legends), 1)
        self.assertTrue(all(axes.get_legend() is None for axes in made.axes))
        self.style.pyplot().close(made)

    def test_colours_stay_with_who_is_meant(self):
        look = self.style.looks(['ridge regression', 'Adam, 2 layers', 'pdADMM-G, fast', 'Adam, grown'])
        self.assertEqual(look['pdADMM-G, fast'], self.style.looks(['pdADMM-G'])['pdADMM-G'])
        self.assertEqual(len(set(look.values())), 4)
        self.assertEqual(len({c for c in self.style.COLOURS} & set(self.style.DARK)), len(self.style.COLOURS))

    def test_values_at_ends_of_lines_move_apart(self):
        lines = [Series(f'line {k}', [1, 2], [1, 2 + k / 1000]) for k in range(6)]
        figure = Figure('ends', '6 lines', [Panel('', 'x', 'y', lines)], 'measured')
        self.assertEqual(self.faults(figure, self.style.PAGE), [])

    def test_ticks(self):
        self.assertEqual(self.style.log_ticks(1, 1000, 4), [1, 10, 100, 1000])
        self.assertEqual(self.style.log_ticks(1, 10, 4), [1, 2, 5, 10])
        self.assertEqual(len(self.style.log_ticks(1e-12, 1, 5)), 5)
        self.assertEqual([self.style.tick_text(v) for v in (0, 0.05, 20, 12000, 2e6, 1e-7)], ['0', '0.05', '20', '12,000', '2e6', '1e-7'])

    def test_files(self):
        import plot

        with tempfile.TemporaryDirectory() as folder:
            plot.write_figures([example()], folder, ('svg', 'png', 'pdf'))
            text = Path(folder, 'example.svg').read_text()
            self.assertIn('role="img"><title>Found: 2 times</title><desc>made up</desc>', text)
            self.assertIn('prefers-color-scheme:dark', text)
            for light in (self.style.INK, self.style.PAPER, self.style.COLOURS[0]):
                self.assertIn(f': {light}', text.partition('</style>')[2], 'what the dark scheme looks for is in the drawing')
            plot.write_figures([example()], folder)
            self.assertEqual(Path(folder, 'example.svg').read_text(), text, 'drawn twice, the same file')
            self.assertTrue(all(Path(folder, f'example.{ending}').stat().st_size > 5000 for ending in ('png', 'pdf')))


class Front(unittest.TestCase):
    """The picture of the first page."""

    def test_panels_say_what_the_records_say(self):
        of = lambda test, **point: record({'test_at_best_val': test}, dataset='photo', layers=10, hidden=100, epochs=200, **point)
        few = [
            of([0.93, 0.95], method='admm-q', preset='fast', growth='grown'),
            of([0.92, 0.92], method='adam-tuned', part='chosen'),
            of([0.5], method='admm', preset='fast', growth='grown'),
        ]
        values = lambda k: {'bytes': 1e6 * (k + 1), 'test': [0.8, 0.82]}
        sent = [record(values(k), dataset='cora', codec=codec, step='block') for k, codec in enumerate(front.CODES.values())]
        settings = {m: METHODS[m].settings[0][0] for m in ('block', 'adam')}
        climbing = lambda method, dataset, *steps: record(
            {'climb': [[10 * k, k, 0, v, v] for k, v in enumerate(steps)]},
            dataset=dataset, method=method, layers=2, hidden=100, epochs=9, train=5000, split=0, setting=settings[method],
        )  # fmt: skip
        many = [climbing('block', 'cs', 0.1, 0.948, 0.95), climbing('adam', 'cs', 0.1, 0.2, 0.3, 0.949)]
        many += [climbing('block', 'photo', 0.1, 0.91), climbing('adam', 'photo', 0.1, 0.2, 0.92)]
        figure = front.figure({'accuracy': few, 'communication': sent, 'at-size': many})
        labels, bits, times = figure.panels
        self.assertEqual([(s.label, s.x, s.y, s.never) for s in times.series], [('pdADMM-G', [0], [1], [1]), ('Adam, tuned', [0, 1], [3, 2], [])])
        self.assertEqual(times.rows, ['cs, 5,000', 'photo, 5,000'])
        self.assertEqual([(s.label, [round(y, 3) for y in s.y]) for s in labels.series],
                         [('pdADMM-G-Q, 4 bits', [0.94]), ('Adam, tuned', [0.92]), ("the paper's best", [0.856])])  # fmt: skip
        self.assertEqual(labels.rows, ['photo'])
        self.assertEqual(bits.series[0].y, [1.0, 2.0, 3.0, 4.0, 5.0])
        self.assertEqual((bits.rows[0], bits.series[0].texts[0]), ('32 bits', '0.810'))
        self.assertRegex(figure.title, r"^pdADMM-G-Q, 4 bits: \+2\.0.* from tuned Adam and at or above the paper's best on 1 of 1 .*; 2 bits send 0 times less.*; with thousands sooner than Adam on 1 of 2 graphs")

    def test_what_is_missing_is_left_out(self):
        only = record({'test_at_best_val': [0.9]}, dataset='photo', layers=10, hidden=100, epochs=200, method='admm-q', preset='fast', growth='grown')
        self.assertIsNone(front.figure({'accuracy': [only]}))
        self.assertIsNone(front.figure({}))


if __name__ == '__main__':
    unittest.main()
