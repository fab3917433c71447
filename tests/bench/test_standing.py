#!/usr/bin/env python3
"""Whether records stand: a busy machine and a changed tree are refused, two results are told apart only by more than noise, and a
pass that became slow, or a message that became longer, is found. Usage: test_standing.py"""

import importlib.util
import io
import contextlib
import json
import sys
import tempfile
import types
import unittest
import unittest.mock
from pathlib import Path

sys.dont_write_bytecode = True
BENCH = Path(__file__).resolve().parents[2] / 'bench'
sys.path.insert(0, str(BENCH))
from suites import check, command_line, compare, kernels, page, quiet  # noqa: E402
from suites.session import HarnessError  # noqa: E402

SCIPY = importlib.util.find_spec('scipy') is not None


class Hindrances(unittest.TestCase):
    def refused(self, commit='abc', out=BENCH.parent / 'runs', size='default', anyway=False, others=0.0, suites=('layers',)):
        """Words of the refusal, or what the records of the last suite are marked with."""
        options = types.SimpleNamespace(out=Path(out), size=size, anyway=anyway)
        here = types.SimpleNamespace(commit=commit)
        with unittest.mock.patch.object(quiet, 'share_of_others', lambda: others):
            try:
                return command_line.refuse_hindrances(options, here, suites)[suites[-1]]
            except HarnessError as error:
                self.assertEqual(error.code, 2)
                return str(error)

    def test_published_results_belong_to_a_commit(self):
        published = BENCH / 'results'
        self.assertIn('commit them, or --anyway', self.refused('abc+', published))
        self.assertEqual(self.refused('abc', published), [])
        self.assertEqual(self.refused('abc+', published, anyway=True), ['sources differ from commit abc'])
        self.assertEqual(self.refused('abc+'), [])

    def test_times_belong_to_a_quiet_machine(self):
        self.assertIn('other processes take 43% of the processors, expected at most 5%', self.refused(others=0.43))
        self.assertEqual(self.refused(others=0.05), [])
        self.assertEqual(self.refused(others=None), [], 'nothing says how busy it is')
        self.assertEqual(self.refused(others=0.43, size='quick'), [])
        self.assertEqual(self.refused(others=0.43, anyway=True), ['other processes take 43% of the processors'])

    def test_what_is_no_time_needs_no_quiet_machine(self):
        self.assertEqual({name for name in page.SUITES if not page.is_timed(name)}, {'accuracy', 'communication', 'convergence', 'penalties', 'splits', 'tune'})
        watched = unittest.mock.Mock(return_value=0.43)
        with unittest.mock.patch.object(quiet, 'share_of_others', watched):
            options = types.SimpleNamespace(out=BENCH.parent / 'runs', size='default', anyway=False)
            self.assertEqual(command_line.refuse_hindrances(options, types.SimpleNamespace(commit='a'), ('penalties',)), {'penalties': []})
        watched.assert_not_called()
        self.assertIn('43%', self.refused(others=0.43, suites=('penalties', 'layers')))
        self.assertEqual(self.refused(others=0.43, suites=('layers', 'penalties'), anyway=True), [])
        self.assertIn('commit them', self.refused('abc+', BENCH / 'results', suites=('penalties',)), 'a commit is needed all the same')

    def test_load_is_told_beside_times_alone(self):
        busy = {**timing([1, 2]), 'machine': {'processor': 'p', 'cores': 2, 'load': [7.0], 'others': 0.4}, 'device': 'cpu', 'version': 'v', 'commit': 'c',
                'harness': 'bench/harness', 'anyway': ['sources differ']}  # fmt: skip
        told = ' '.join(page.provenance([busy]))
        self.assertIn('load 7.0', told)
        self.assertIn('40 to 40 %', told)
        told = ' '.join(page.provenance([busy], timed=False))
        self.assertNotRegex(told, 'load|Other processes')
        self.assertIn('all the same: sources differ', told)

    def test_share_of_others(self):
        times = iter([100.0, 1.0, 0.0, 112.0, 5.0, 10.0])
        source = lambda: next(times)
        with unittest.mock.patch('os.cpu_count', lambda: 2):
            self.assertEqual(quiet.Others(source, source, source).share(), 0.4)
        self.assertIsNone(quiet.Others(lambda: None).share())
        watched = quiet.Others()
        self.assertTrue(watched.share() is None, 'too soon')
        share = quiet.share_of_others(0.2)
        self.assertTrue(share is None or 0 <= share <= 1)


class Kept(unittest.TestCase):
    def test_rounds_of_programs_are_kept(self):
        text = '{"network": "cora", "ms": [2, 4, 3], "products_ms": [1, 1, 2], "adam_ms": [8, 8, 6]}\n'
        (row,) = kernels.iterations(text)['rows']
        self.assertEqual((row['ms'], row['ratio'], row['adam_ratio']), (3, 2, 0.5))
        self.assertEqual(row['samples']['ms'], [2, 4, 3])
        benchmarks = [{'name': 'copy/1/2/repeats:2', 'run_name': 'copy/1/2', 'run_type': kind, 'real_time': t, 'time_unit': 'ms', 'bytes_per_second': 1e9 * t}
                      for kind, t in (('iteration', 1), ('iteration', 3), ('aggregate', 9))]  # fmt: skip
        (row,) = kernels.passes(json.dumps({'benchmarks': benchmarks}))['rows']
        self.assertEqual(row, {'name': 'copy/1/2', 'ms': 2, 'gb_per_s': 2, 'ns_an_element': 0, 'over_copy': 0, 'samples': {'ms': [1, 3]}})


def timing(samples, **point):
    return {'kind': 'measured', 'point': {'dataset': 'cora', **point}, 'seeds': [0], 'values': {'ms': {'admm': {'median': 1, 'samples': samples}}, 'curve': [1, 2, 3]}}


@unittest.skipUnless(SCIPY, 'scipy is not installed')
class Compared(unittest.TestCase):
    def told(self, first, second, suite='layers'):
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, name, f'{suite}.jsonl') for name in 'ab']
            for path, records in zip(paths, (first, second)):
                path.parent.mkdir()
                path.write_text(''.join(json.dumps(r) + '\n' for r in records))
            one_file = compare.told(*paths)
            self.assertEqual(one_file.splitlines()[2:-2], compare.told(*(p.parent for p in paths)).splitlines()[2:-2])
        return one_file

    def test_more_than_noise(self):
        steady, noisy = [1, 1.01, 0.99, 1.02, 1.0, 0.98], [1.0, 1.3, 0.8, 1.1, 0.9, 1.2]
        text = self.told([timing(steady, n=1), timing(noisy, n=2)], [timing([1.2 * v for v in steady], n=1), timing([1.05 * v for v in noisy], n=2)])
        self.assertIn('1 of 2 figures differ', text)
        self.assertRegex(text, r'cora 1 \| ms admm \| 1 \| 1\.2 \| 1\.200 \| 0\.00\d+ \| B is greater')
        self.assertRegex(text, r'cora 2 .* within noise')

    def test_too_few_to_tell(self):
        text = self.told([timing([1, 1, 1])], [timing([2, 2, 2])])
        self.assertIn('0 of 1 figures differ by more than noise; 1 have too few samples', text)
        self.assertIn('fewer than 4 samples', text)

    def test_figures_by_seed(self):
        record = {'kind': 'measured', 'point': {'m': 1}, 'seeds': list(range(5)), 'values': {'test': [0.8, 0.81, 0.79, 0.8, 0.82], 'bytes': 5}}
        other = {**record, 'values': {'test': [0.9, 0.91, 0.89, 0.9, 0.92], 'bytes': 5}}
        self.assertIn('| test | 0.8 | 0.9 | 1.125 | 0.012 | B is greater |', self.told([record], [other]))
        timed = [{**r, 'values': {**r['values'], 'seconds': [1, 2, 3, 4, 5]}} for r in (record, other)]
        self.assertIn('| seconds |', self.told(timed[:1], timed[1:]))
        self.assertNotIn('| seconds |', self.told(timed[:1], timed[1:], 'accuracy'))

    def test_nothing_in_common(self):
        with self.assertRaisesRegex(HarnessError, 'no repeated figure of the same point'):
            self.told([timing([1, 2], n=1)], [timing([1, 2], n=2)])
        with self.assertRaisesRegex(HarnessError, 'no results, expected SUITE.jsonl'):
            compare.told(Path('no.jsonl'), Path('no.jsonl'))

    def test_many_figures_are_corrected_for(self):
        self.assertEqual(compare.holm([0.01, None, 0.04, 0.03]), [0.03, None, 0.06, 0.06])


class Checked(unittest.TestCase):
    """On the ratios and bytes of bench/results."""

    def run_it(self, factors, wrong=None):
        """Ratios are `factors` times the recorded ones, call by call; the codec `wrong` sends a byte more."""
        before, calls, sent = check.ratios_recorded(), iter(factors), check.bytes_recorded()
        self.assertGreater(len(before), 10)
        self.assertGreater(len(sent), 10)

        def now(_, step):
            factor = next(calls)
            return {key: factor * value for key, value in before.items() if key[0] == step}

        output = io.StringIO()
        with unittest.mock.patch.object(check, 'ratios_now', now), contextlib.redirect_stdout(output), \
                unittest.mock.patch.object(check, 'bytes_now', lambda _, codec: sent[codec] + (codec == wrong)):  # fmt: skip
            code = check.run(types.SimpleNamespace(say=lambda text: None, machine={'cores': 1}))
        return code, output.getvalue(), list(calls)

    def test_as_recorded(self):
        self.assertEqual(self.run_it([1.0, 1.45])[:2], (0, 'check: nothing is worse than recorded\n'))

    def test_slow_once_is_no_fault(self):
        self.assertEqual(self.run_it([1.6, 1.0, 1.0])[::2], (0, []))

    def test_slow_twice_is(self):
        code, text, _ = self.run_it([1.0, 1.6, 1.6])
        self.assertEqual(code, 1)
        ratio = check.ratios_recorded()['block', 'cora 10 x 100', 'ratio']
        self.assertIn(f'check: block steps, cora 10 x 100: {1.6 * ratio:.2f} times its products, expected at most 1.5 x {ratio:.2f}\n', text)
        self.assertEqual(self.run_it([float('nan'), float('nan'), 1.0])[0], 1)

    def test_a_formula_that_is_off_is(self):
        for errors, fault in (([0.1], ''), ([0.5, -0.3, -0.05], ''), ([0.5, -0.3, 0.4, 0.6], 'off by -30%')):
            left = iter(errors)
            with unittest.mock.patch.object(check, 'pipeline_error', lambda _, left=left: next(left)):
                self.assertIn(fault, check.pipeline_fault(None))
            self.assertEqual(list(left), [])
        two = types.SimpleNamespace(machine={'cores': 2})
        with unittest.mock.patch.object(check, 'pipeline_fault', lambda _: 'off'):
            for share, found in ((0.4, ([], 'GPipe not compared: other processes take 40% of the processors')), (0.01, (['off'], 'GPipe compared'))):
                with unittest.mock.patch.object(quiet, 'share_of_others', lambda _, share=share: share):
                    self.assertEqual(check.pipelines_compared(two), found)
        line = {'ranks': 2, 'micro_batches': 8, 'measured_s': [3.0, 1.8]}
        line['stages'] = [{'layers': [1, 4], 'forward_s': [0.9, 0.4], 'backward_s': [0.8, 0.9], 'weight_products_s': [0.4], 'step_s': [0.1]}] * 2
        with unittest.mock.patch.object(check.kernels, 'output', lambda _: json.dumps(line)), unittest.mock.patch.object(check, 'program_of', lambda *_: ''):
            found = check.pipeline_error(None)
        self.assertAlmostEqual(found, (9 * (0.05 + 0.1) + 0.1) / 1.8 - 1)

    def test_another_byte_is(self):
        code, text, _ = self.run_it([1.0, 1.0], wrong='difference, 4 bits, p and q')
        self.assertEqual(code, 1)
        self.assertIn('difference, 4 bits, p and q: 126,145 bytes an iteration, expected 126,144', text)


if __name__ == '__main__':
    unittest.main()
