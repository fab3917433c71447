"""bench/rank_model.py against schedules worked out by hand, and on what bench_ranks prints. Usage: test_rank_model.py BENCH_RANKS"""
import json
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'bench'))
import rank_model  # noqa: E402

BENCH = sys.argv.pop()


def stages(*times):
    return [dict(zip(('begin', 'update_p', 'under_p', 'close'), each)) for each in times]


class Model(unittest.TestCase):
    def test_free_messages_leave_the_slowest_rank(self):
        ranks = stages((1, 1, 1, 1), (2, 3, 1, 1), (1, 1, 1, 2))
        self.assertAlmostEqual(rank_model.iteration_seconds(ranks, 10, 10, 0, 1e9), 7, places=6)

    def test_messages_hide_under_the_work(self):
        ranks = stages((2, 1, 2, 1), (2, 1, 2, 1))
        self.assertAlmostEqual(rank_model.iteration_seconds(ranks, 2, 2, 0, 1), 6)  # p under 2, q under 2

    def test_longer_messages_wait(self):
        ranks = stages((2, 1, 2, 1), (2, 1, 2, 1))
        # p takes 5 under 2 of work, q takes 4 under 2: three and two more.
        self.assertAlmostEqual(rank_model.iteration_seconds(ranks, 5, 4, 0, 1), 11)
        self.assertAlmostEqual(rank_model.iteration_seconds(ranks, 5, 0, 0, 1), 9)
        self.assertAlmostEqual(rank_model.iteration_seconds(ranks, 0, 0, 3, 1), 8)  # latency counts in both

    def test_speedup_and_bound(self):
        record = {'ranks': 2, 'one_rank_s': 12, 'stages_s': stages((2, 1, 2, 1), (2, 1, 2, 1)), 'p_bytes': 3, 'q_bytes': 2, 'flop_balance_bound': 2}
        figures = rank_model.modelled(record, 0, 1)
        self.assertAlmostEqual(figures['iteration_s'], 7)
        self.assertAlmostEqual(figures['exposed_s'], 1)
        self.assertAlmostEqual(figures['share_of_bound'], 6 / 7)


class Rivals(unittest.TestCase):
    def test_blocks_of_layers(self):
        self.assertEqual(rank_model.balanced([5, 1, 1, 1, 2], 2), [5, 5])
        self.assertEqual(rank_model.balanced([1, 2, 3], 5), [1, 2, 3])

    def test_pipeline(self):
        # Two equal ranks, two micro-batches: forward 1 each, back 2 each. Forward ends at 3, back at 3 + 6.
        self.assertAlmostEqual(rank_model.pipeline_seconds(12, [0.5, 0.5], 2, 0, 0, 1), 9)
        self.assertAlmostEqual(rank_model.pipeline_seconds(12, [0.5, 0.5], 2, 1, 0, 1), 11)  # a message more in each direction
        self.assertAlmostEqual(rank_model.pipeline_seconds(12, [1.0], 1, 1, 1, 1), 12)

    def test_nodes_divided(self):
        self.assertAlmostEqual(rank_model.data_parallel_seconds(12, 1, 1e9, 1, 1), 12)
        self.assertAlmostEqual(rank_model.data_parallel_seconds(12, 2, 3, 0, 1), 6)  # 3 of messages under 4 of work
        self.assertAlmostEqual(rank_model.data_parallel_seconds(12, 2, 10, 0, 1), 12)  # 10, of which 4 are hidden


class Measured(unittest.TestCase):
    def test_stages_of_all_ranks_make_about_one_iteration(self):
        command = [BENCH, '--layers', '6', '--hidden', '64', '--inputs', '100', '--nodes', '96', '--classes', '4', '--rounds', '3']
        for quantize, bits in (('none', 32), ('pq', 4)):
            done = subprocess.run([*command, '--ranks', '1,3', '--quantize', quantize], capture_output=True, text=True, check=True)
            one, three = map(json.loads, done.stdout.splitlines())
            self.assertEqual((one['ranks'], three['ranks'], one['stages_s']), (1, 3, []))
            self.assertEqual([stage['layers'] for stage in three['stages_s']][0][0], 1)
            self.assertEqual(three['stages_s'][-1]['layers'][1], 6)
            self.assertEqual(three['p_bytes'], 64 * 96 * bits // 8 + (8 if bits == 4 else 0))
            work = sum(sum(v for k, v in stage.items() if k != 'layers') for stage in three['stages_s'])
            self.assertGreater(work, 0.3 * three['one_rank_s'])  # clocks of a busy machine
            self.assertLess(work, 10 * three['one_rank_s'])
            self.assertGreater(rank_model.modelled(three, 1e-6, 1e10)['iteration_s'], 0)

    def test_bad_numbers_are_refused(self):
        done = subprocess.run([BENCH, '--layers', '3', '--hidden', '8', '--inputs', '8', '--nodes', '8', '--ranks', '4'], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn('--ranks: 4, expected at most 3', done.stderr)


if __name__ == '__main__':
    unittest.main()
