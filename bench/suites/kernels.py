"""Passes, sparse products and whole iterations beside what they cannot do without: bench_kernels and bench_iteration."""

import json
import re
import subprocess

from .figures import Figure, Panel, Series
from .session import HarnessError, Task, left_out
from .tables import Table, measured

TITLE = 'Kernels and iterations beside their floors'
ABOUT = """`bench_iteration` takes turns between iterations and the bare products of the same shapes; the ratio is the median of the
pairs. `bench_kernels` gives bytes a second of every pass beside a plain copy, and the sparse product beside Eigen's where that is
installed. One thread."""
SIZES = {
    'quick': dict(rounds=3, seconds=0.01, filter='/100/140|spmm.*/64'),
    'default': dict(rounds=15, seconds=0.2, filter='.'),
    'full': dict(rounds=31, seconds=1.0, filter='.'),
}
LINE = re.compile(r'^(?P<name>.+?)\s{2,}(?P<ours>[\d.]+)\s+(?P<products>[\d.]+)\s+(?P<ratio>[\d.]+)$')


def output(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise HarnessError(1, f"{' '.join(map(str, command))}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout


def tasks(session):
    s = session.sizes(SIZES)
    yield of_program(session, 'bench_iteration', ['--threads', '1', '--rounds', str(s.rounds)], iterations, 10)
    yield of_program(
        session,
        'bench_kernels',
        [f'--benchmark_min_time={s.seconds}', f'--benchmark_filter={s.filter}', '--benchmark_format=json'],
        passes,
        20,
    )


def of_program(session, name, arguments, read, weight):
    program = session.build / 'bench' / name
    point = {'program': name, 'size': session.options.size}
    if not program.exists():
        return left_out(point, f'{program} is not built')
    return Task(point, [' '.join([name, *arguments])], lambda: read(output([program, *arguments])), weight=weight)


def iterations(text):
    found = [m for m in map(LINE.match, text.splitlines()) if m]
    return {
        'rows': [
            {'network': m['name'], 'ms': float(m['ours']), 'products_ms': float(m['products']), 'ratio': float(m['ratio'])} for m in found
        ]
    }


def passes(text):
    return {
        'rows': [
            {
                'name': b['name'],
                'ms': b['real_time'] * {'ns': 1e-6, 'us': 1e-3, 'ms': 1.0, 's': 1e3}[b['time_unit']],
                'gb_per_s': b.get('bytes_per_second', 0) / 1e9,
            }
            for b in json.loads(text)['benchmarks']
        ]
    }


def tables(records):
    made = []
    for r in measured(records):
        rows = r['values']['rows']
        if r['point']['program'] == 'bench_iteration':
            made.append(
                Table(
                    'Iterations, one thread, measured',
                    ['network (layers x neurons)', 'iteration, ms', 'its products, ms', 'ratio'],
                    [[f['network'], f"{f['ms']:.3f}", f"{f['products_ms']:.3f}", f"{f['ratio']:.2f}"] for f in rows],
                )
            )
        else:
            made.append(
                Table(
                    'Passes and sparse products, one thread, measured',
                    ['name / rows / nodes', 'ms', 'GB/s'],
                    [[f['name'], f"{f['ms']:.4g}", f"{f['gb_per_s']:.1f}" if f['gb_per_s'] else ''] for f in rows],
                )
            )
    return made


def figures(records):
    for r in records:
        if r['kind'] == 'measured' and r['point']['program'] == 'bench_iteration':
            rows = r['values']['rows']
            return [
                Figure(
                    'kernels-iteration',
                    'An iteration beside its bare products, one thread, measured',
                    [
                        Panel(
                            '',
                            '',
                            'times its products',
                            [Series('ratio', list(range(len(rows))), [f['ratio'] for f in rows])],
                            categories=[f['network'].replace(', ', '\n') for f in rows],
                        )
                    ],
                )
            ]
    return []
