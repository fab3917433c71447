#!/usr/bin/env python3
"""Formulas of backpropagation's pipelines (bench/suites/pipelines.py) beside schedules that are played event by event, with stage times
of chance; and what is made of measured times. Usage: test_pipelines.py"""

import math
import random
import sys
import types
import unittest
import unittest.mock
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'bench'), str(ROOT / 'tests/support')]
from seed import test_seed  # noqa: E402
from suites import devices, pipelines, rivals, speedup  # noqa: E402
from suites.pipelines import Stage, gpipe, gpipe_seconds, one_back_one_forward, zero_bubble, zero_bubble_seconds  # noqa: E402

SEED = test_seed()
EPOCHS = 8  # after which epochs follow each other steadily


class Played:
    """Epochs of a schedule: stage k does warm[k] micro-batches forward, then one back and one forward in turn, and gradients of
    weights only when it would wait, or when more than `most` micro-batches would be in flight."""

    def __init__(self, stages, batches, warm, delay=0.0, most=math.inf):
        self.stages, self.batches, self.delay, self.most = stages, batches, delay, most
        self.now, self.peak = [0.0] * len(stages), [0] * len(stages)
        ends = []
        for _ in range(EPOCHS):
            self.epoch([self.order(min(batches, w)) for w in warm])
            ends.append(list(self.now))
        self.seconds = max(b - a for a, b in zip(*ends[-2:]))

    def order(self, warm):
        mixed = [work for m in range(self.batches) for work in (('back', m), ('forward', m + warm))]
        return [('forward', m) for m in range(warm)] + [(kind, m) for kind, m in mixed if m < self.batches]

    def epoch(self, orders):
        self.ended, self.owed, self.back = {}, [0.0] * len(orders), [0] * len(orders)
        while any(orders):
            for k, order in enumerate(orders):
                while order and (ready := self.ready(k, *order[0])) is not None:
                    self.work(k, *order.pop(0), ready)
        for k, stage in enumerate(self.stages):
            self.now[k] += self.owed[k] + stage.step

    def ready(self, k, kind, m):
        """When the input of this work is here; None where that is not known yet."""
        before = k - 1 if kind == 'forward' else k + 1
        if before in (-1, len(self.stages)):
            return 0.0
        end = self.ended.get((before, kind, m))
        return None if end is None else end + self.delay

    def pay(self, k, seconds):
        """Does so much of the gradients of weights that are owed."""
        self.owed[k] -= seconds
        self.now[k] += seconds

    def work(self, k, kind, m, ready):
        stage = self.stages[k]
        self.pay(k, min(max(0.0, ready - self.now[k]), self.owed[k]))
        self.now[k] = max(self.now[k], ready)
        if kind == 'back':
            self.now[k] += stage.input
            self.owed[k] += stage.weights
            self.back[k] += 1
        else:
            may_be_owed = max(0, self.back[k] - max(0, m - self.most + 1)) * stage.weights
            self.pay(k, max(0.0, self.owed[k] - may_be_owed))
            owed = math.ceil(round(self.owed[k] / stage.weights, 9)) if stage.weights else 0
            self.peak[k] = max(self.peak[k], m + 1 - (self.back[k] - owed))
            self.now[k] += stage.forward
        self.ended[k, kind, m] = self.now[k]


class Formulas(unittest.TestCase):
    def setUp(self):
        self.chance = random.Random(SEED)

    def some(self):
        return 0.2 + self.chance.random()

    def close(self, a, b):
        self.assertAlmostEqual(a / b, 1, places=9, msg=f'seed {SEED}')

    def test_gpipe_of_any_stages(self):
        for _ in range(60):
            ranks, batches, delay = self.chance.randint(1, 5), self.chance.randint(1, 9), self.chance.choice([0, 0.1, 2])
            stages = [Stage(self.some(), self.some(), 0.0, self.some() * self.chance.choice([0, 1, 5])) for _ in range(ranks)]
            played = Played(stages, batches, [batches] * ranks, delay)
            self.close(gpipe_seconds(stages, batches, delay), played.seconds)
            self.assertEqual(played.peak, [batches] * ranks)

    def test_one_back_one_forward(self):
        for _ in range(60):
            ranks, batches = self.chance.randint(1, 6), self.chance.randint(1, 14)
            stage = Stage(self.some(), self.some(), 0.0, self.some())
            played = Played([stage] * ranks, batches, [ranks - k for k in range(ranks)])
            plan = one_back_one_forward(stage, ranks, batches)
            self.close(plan.seconds, played.seconds)
            self.assertEqual(played.peak, [min(batches, ranks - k) for k in range(ranks)])
            self.assertEqual(plan.in_flight, played.peak[0])
            self.close(1 + plan.bubble, 1 + (ranks - 1) * (stage.forward + stage.backward))
            self.assertEqual(plan.seconds, gpipe(stage, ranks, batches).seconds)

    def test_zero_bubble(self):
        """Reached where W >= F and M >= w; elsewhere no schedule of as many in flight is faster."""
        reached = 0
        for _ in range(150):
            ranks, batches = self.chance.randint(2, 5), self.chance.randint(1, 14)
            stage = Stage(self.some(), self.some(), self.some(), self.some())
            for warm in ([ranks - k for k in range(ranks)], [2 * (ranks - k) - 1 for k in range(ranks)]):
                played = Played([stage] * ranks, batches, warm, 0.0, warm[0])
                seconds = zero_bubble_seconds(stage, ranks, batches, warm[0])
                self.assertLessEqual(seconds, played.seconds * (1 + 1e-9))
                self.assertLessEqual(max(played.peak), warm[0])
                self.assertGreaterEqual(seconds, stage.work(batches) * (1 - 1e-12))
                self.assertLessEqual(seconds, one_back_one_forward(stage, ranks, batches).seconds * (1 + 1e-12))
                if stage.weights >= stage.forward and batches >= warm[0]:
                    self.close(seconds, played.seconds)
                    reached += 1
        self.assertGreater(reached, 20)

    def test_figures_of_the_paper(self):
        """Table 2 of arXiv 2401.10241 where F = B = W: H1 waits (p - 1)(F + B - W) and keeps p, H2 waits nothing and keeps 2p - 1."""
        stage = Stage(1.0, 1.0, 1.0)
        for ranks in (2, 4, 8):
            batches = 4 * ranks
            self.close(zero_bubble_seconds(stage, ranks, batches, ranks), 3 * batches + (ranks - 1))
            plan = zero_bubble(stage, ranks, batches)
            self.assertEqual((plan.seconds, plan.bubble, plan.in_flight), (3 * batches, 0, 2 * ranks - 1))
            self.assertEqual(one_back_one_forward(stage, ranks, batches).bubble, 3 * (ranks - 1))

    def test_messages(self):
        """They lengthen the way there and back once; what hides them is kept."""
        stage = Stage(1.0, 1.0, 1.0)
        plain, slow = (one_back_one_forward(stage, 4, 64, delay) for delay in (0.0, 1.0))
        self.assertEqual((slow.seconds - plain.seconds, plain.in_flight, slow.in_flight), (6, 4, 6))
        plain, slow = (zero_bubble(stage, 4, 64, delay) for delay in (0.0, 1.0))
        self.assertEqual((slow.seconds - plain.seconds, plain.in_flight, slow.in_flight), (0, 7, 13))


def line(batches, forward=0.06, backward=0.12, weights=0.06, step=0.01, each=0.0, ranks=1):
    """Of bench_pipeline: seconds of all micro-batches, with `each` more for every one of them and product."""
    stage = {'forward_s': [forward + batches * each] * 3, 'backward_s': [backward + 2 * batches * each] * 3,
             'weight_products_s': [weights + batches * each] * 3, 'step_s': [step, 1.0, step]}  # fmt: skip
    return {'ranks': ranks, 'micro_batches': batches, 'stages': [{'layers': [1, 8], **stage}] * ranks, 'measured_s': []}


class FromTimes(unittest.TestCase):
    def test_stages(self):
        (stage,) = pipelines.stages_of(line(4))
        self.assertEqual([round(v, 9) for v in (stage.forward, stage.input, stage.weights, stage.step)], [0.015, 0.015, 0.015, 0.01])
        (stage,) = pipelines.stages_of(line(4, weights=0.2))
        self.assertEqual(stage.input, 0, 'products alone may take longer than among others')

    def test_best_number_of_micro_batches(self):
        """(M + R - 1)(a / M + o) is least at M = sqrt((R - 1) a / o)."""
        lines = [line(m, each=0.06 / 64) for m in pipelines.MICRO_BATCHES]
        free = (0.0, math.inf)
        for ranks, most in ((2, 8), (5, 16)):
            found = pipelines.best(lines, ranks, free, 0, pipelines.stages_of(lines[0])[0].work(1))
            self.assertEqual({found[name].micro_batches for name in ('gpipe', '1f1b')}, {most})
            self.assertLessEqual(found['zero_bubble'].seconds, found['1f1b'].seconds)
            self.assertLess(found['1f1b'].in_flight, found['gpipe'].in_flight)
            self.assertEqual(pipelines.fastest(pipelines.as_values(found)), 'zero_bubble')
        alone = pipelines.best(lines, 1, free, 0, 2.0)
        self.assertEqual({round(p.seconds, 12) for p in alone.values()}, {2.0}, "scaled to the epoch's clock")
        self.assertEqual(pipelines.fastest({'a': dict(seconds=1, in_flight=4, micro_batches=4), 'b': dict(seconds=1, in_flight=2, micro_batches=4)}), 'b')

    def record(self):
        shape = dict(layers=8, hidden=64, inputs=10, classes=3, nodes=100)
        adam = {'pipeline_s': 9.0, 'data_s': 0.1}
        lines = [line(m) for m in (1, 2, 4, 8)]
        with unittest.mock.patch.object(rivals.plans, 'plan', lambda *_, **__: {'adam': adam}):
            found = [rivals.of_rank(None, shape, ranks, 0.19, (5.0, 12.0), lines) for ranks in (1, 2, 4)]
            self.assertEqual(rivals.of_rank(None, shape, 2, 0.19, (5.0, 12.0), [])['pipeline'], 9.0)
        point = {'what': 'rivals', 'shape': 'made up', **shape, 'ranks': [1, 2, 4], 'links': {'fast': [5.0, 12.0]}}
        spread = dict(median=190.0, least=190.0, greatest=190.0, repetitions=3)
        return {'kind': 'modelled', 'point': point, 'values': {'ms': spread, 'links': {'fast': found}, 'stages': lines}}

    def test_the_best_of_three_stands_in_table_and_picture(self):
        record = self.record()
        for forms in record['values']['links']['fast']:
            self.assertEqual(forms['pipeline'], min(plan['seconds'] for plan in forms['pipelines'].values()))
        first, second = devices.tables([record])
        self.assertIn(f'{rivals.BEST_PIPELINE}: ms an epoch', first.header)
        self.assertEqual([row[:3] for row in second.rows[3:6]], [['fast', '2', name] for name in pipelines.NAMES.values()])
        self.assertEqual(second.rows[0][3:7], ['190.000', '1.00', '1', '0.0 %'])
        (figure,) = speedup.figures([record])
        best = next(s for s in figure.panels[0].series if s.label == rivals.BEST_PIPELINE)
        self.assertEqual((best.kind, best.y[0]), ('modelled', 1.0))
        self.assertNotIn(rivals.FORMS['pipeline'], [s.label for s in figure.panels[0].series])

    def test_the_formula_beside_what_ran(self):
        (stage,) = pipelines.stages_of(line(4))
        ran = {**line(4, ranks=2), 'measured_s': [pipelines.gpipe_seconds([stage, stage], 4) / 0.9] * 3}
        record = {'kind': 'measured', 'point': dict(what='pipelined', shape='made up', ranks=2, layers=8, hidden=64, nodes=100), 'values': {'lines': [ran]}}
        (table,) = devices.tables([record])
        self.assertEqual(table.rows[0][-1], '-10.0 %')
        self.assertEqual(devices.figures([record]), [])

    def test_rivals_that_are_compared_have_the_same_ranges(self):
        self.assertEqual([rivals.node_ranges(*case) for case in ((140, 4), (140, 16), (100, 2), (4096, 16), (20000, 1))], [['--node-ranges', 5], None, ['--node-ranges', 2], [], []])
        forms = dict(rivals.measured_forms([1, 2, 4], 140))
        self.assertEqual(list(forms), [*rivals.FORMS.values(), rivals.ON_GRID])
        nodes, grid = forms[rivals.FORMS['data']], forms[rivals.ON_GRID]
        self.assertEqual(list(map(str, nodes[4][-2:])), ['--node-ranges', '5'])
        self.assertTrue(all(options == nodes[4] for options in nodes.values()), nodes)
        self.assertEqual((list(grid), grid[4]), ([1, 4], [*grid[1], '--grid', '2x2']))
        few = dict(rivals.measured_forms([1, 2, 4], 40))
        self.assertEqual((list(few[rivals.FORMS['data']]), list(few[rivals.FORMS['pipeline']])), ([1, 2], [1, 2, 4]))
        self.assertNotIn(rivals.FORMS['data'], dict(rivals.measured_forms([1, 2], 16)))

    def test_micro_batches_end_where_nodes_do(self):
        shape = dict(layers=8, hidden=64, inputs=10, classes=3, nodes=5)
        command = rivals.pipeline_command(shape, 2, pipelines.MICRO_BATCHES, 3)
        self.assertEqual(command[command.index('--micro-batches') + 1], '1,2,4')
        session = types.SimpleNamespace(build=Path('nowhere'), machine={'cores': 2})
        self.assertEqual(rivals.check_task(session, 'made up', shape, 3).kind, 'left out')


if __name__ == '__main__':
    unittest.main()
