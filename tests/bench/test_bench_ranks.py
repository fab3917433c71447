"""What bench_ranks and bench_pipeline print: stages, and ranks side by side made from them.
Usage: test_bench_ranks.py BENCH_RANKS BENCH_PIPELINE"""
import json
import os
import subprocess
import sys
import unittest

BENCH, PIPELINE = sys.argv[1:3]
del sys.argv[1:3]


ATTEMPTS = 5  # at what clocks of a busy machine may hide


class Measured(unittest.TestCase):
    def test_stages_of_all_ranks_make_about_one_iteration(self):
        command = [BENCH, '--layers', '6', '--hidden', '64', '--inputs', '100', '--nodes', '96', '--classes', '4', '--rounds', '3']
        for quantize, bits in (('none', 32), ('pq', 4)):
            for _ in range(ATTEMPTS):
                done = subprocess.run([*command, '--ranks', '1,3', '--quantize', quantize, '--link', '0,1e6', '--link', '1e5,1'], capture_output=True, text=True, check=True)
                one, three = map(json.loads, done.stdout.splitlines())
                work = sum(sum(v for k, v in stage.items() if k != 'layers') for stage in three['stages_s'])
                if 0.3 * three['one_rank_s'] < work < 10 * three['one_rank_s']:
                    break
            else:
                self.fail(f"stages of {work} s, an iteration of {three['one_rank_s']} s")
            self.assertEqual((one['ranks'], three['ranks'], one['stages_s']), (1, 3, []))
            self.assertEqual([stage['layers'] for stage in three['stages_s']][0][0], 1)
            self.assertEqual(three['stages_s'][-1]['layers'][1], 6)
            self.assertEqual(three['p_bytes'], 64 * 96 * bits // 8 + (8 if bits == 4 else 0))
            free, slow = three['modelled']
            slowest = max(sum(v for k, v in stage.items() if k != 'layers') for stage in three['stages_s'])
            self.assertAlmostEqual(free['iteration_s'] / slowest, 1, places=3)
            self.assertAlmostEqual(free['speedup'] * free['iteration_s'] / three['one_rank_s'], 1)
            self.assertAlmostEqual(free['share_of_bound'] * three['flop_balance_bound'] / free['speedup'], 1)
            self.assertGreater(slow['iteration_s'], 0.2)  # p and q of 0.1 s, one after the other
            self.assertAlmostEqual(slow['exposed_s'] / (slow['iteration_s'] - slowest), 1, places=3)
            self.assertEqual([f['speedup'] for f in one['modelled']], [1, 1])

    def test_bad_numbers_are_refused(self):
        done = subprocess.run([BENCH, '--layers', '3', '--hidden', '8', '--inputs', '8', '--nodes', '8', '--ranks', '4'], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn('--ranks: 4, expected at most 3', done.stderr)


class Pipeline(unittest.TestCase):
    SHAPE = ['--layers', '6', '--hidden', '64', '--inputs', '100', '--nodes', '96', '--classes', '4']

    def test_stages_of_every_rank_and_number_of_micro_batches(self):
        command = [PIPELINE, *self.SHAPE, '--ranks', '1,3,2', '--micro-batches', '1,4', '--rounds', '3', '--measure']

        def fits(line):
            work = max(min(stage['forward_s']) + min(stage['backward_s']) + min(stage['step_s']) for stage in line['stages'])
            return all(seconds > 0.3 * work for seconds in line['measured_s'])

        for _ in range(ATTEMPTS):
            lines = list(map(json.loads, subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()))
            if all(map(fits, lines)):
                break
        else:
            self.fail('ranks side by side take less than the work of one of them')
        self.assertEqual([(line['ranks'], line['micro_batches']) for line in lines], [(r, m) for r in (1, 3, 2) for m in (1, 4)])
        for line in lines:
            held = [layer for stage in line['stages'] for layer in range(stage['layers'][0], stage['layers'][1] + 1)]
            self.assertEqual(held, [1, 2, 3, 4, 5, 6])
            for stage in line['stages']:
                for key in ('forward_s', 'backward_s', 'weight_products_s', 'step_s'):
                    self.assertEqual(len(stage[key]), 3)
                    self.assertGreater(min(stage[key]), 0)
            ran = 1 < line['ranks'] <= len(os.sched_getaffinity(0))
            self.assertEqual(len(line['measured_s']), 3 if ran else 0)

    def test_bad_numbers_are_refused(self):
        for option, said in (('--ranks', '--ranks: 7, expected at most 6'), ('--micro-batches', '--micro-batches: 97, expected at most 96')):
            done = subprocess.run([PIPELINE, *self.SHAPE, option, said.split()[1].rstrip(',')], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn(said, done.stderr)


if __name__ == '__main__':
    unittest.main()
