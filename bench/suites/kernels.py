"""Passes, sparse products and whole iterations beside what they cannot do without: bench_kernels and bench_iteration."""

import json
import math
import statistics
import subprocess

from . import roofline
from .figures import Figure, Panel, Series, so_many, span
from .session import DATA, HarnessError, Task, left_out
from .tables import Table, measured

TITLE = 'Kernels and iterations beside their floors'
ABOUT = """`bench_iteration` takes turns between iterations and the bare products of the same shapes; the ratio is the median of the
pairs, with as many threads for the products. Adam is this program's, on the same network in the same turns. `bench_kernels` gives bytes a second of every pass beside a plain copy, and the sparse product beside Eigen's where that is
installed, on one thread.
Of each call the bytes that it must move and the flops that it must do are counted; the roof is what a copy of the same size moves in a
second, and what a product of 1536 x 1536 matrices computes in one."""
SIZES = {
    'quick': dict(rounds=3, seconds=0.01, filter='/100/140|spmm.*/64'),
    'default': dict(rounds=15, seconds=0.2, filter='.'),
    'full': dict(rounds=31, seconds=1.0, filter='.'),
}

REPETITIONS = 5  # of every pass
WORK = ('flops', 'bytes')  # of one call, by count


def output(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise HarnessError(1, f"{' '.join(map(str, command))}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout


def tasks(session):
    s = session.sizes(SIZES)
    for step in ('exact', 'block'):
        for threads in dict.fromkeys((1, session.options.threads)):
            arguments = ['--threads', str(threads), '--rounds', str(s.rounds), '--step', step, '--format', 'json']
            yield of_program(session, 'bench_iteration', arguments, iterations, 10, step=step, threads=threads)
    yield of_program(
        session,
        'bench_kernels',
        [
            f'--benchmark_min_time={s.seconds / REPETITIONS}',
            f'--benchmark_repetitions={REPETITIONS}',
            '--benchmark_enable_random_interleaving=true',
            f'--benchmark_filter={s.filter}',
            '--benchmark_format=json',
        ],
        passes,
        20,
    )


def of_program(session, name, arguments, read, weight, **more):
    program = session.build / 'bench' / name
    point = {'program': name, 'size': session.options.size, **more}
    if not program.exists():
        return left_out(point, f'{program} is not built')
    return Task(point, [' '.join([name, *arguments])], lambda: read(output([program, *arguments])), weight=weight)


def iterations(text):
    """Medians over rounds, ratios of what ran in the same round, and the rounds themselves."""
    rows = []
    for of_network in map(json.loads, text.splitlines()):
        ratios = {of: [a / b for a, b in zip(of_network['ms'], of_network[of])] for of in ('products_ms', 'adam_ms')}
        medians = {name: statistics.median(of_network[name]) for name in ('ms', 'products_ms', 'adam_ms')}
        ratios_of = {'ratio': statistics.median(ratios['products_ms']), 'adam_ratio': statistics.median(ratios['adam_ms'])}
        work = {key: of_network[key] for key in WORK if key in of_network}
        rows.append({'network': of_network['network'], **medians, **ratios_of, **work, 'samples': {k: of_network[k] for k in medians}})
    return {'rows': rows}


def passes(text):
    """The medians over repetitions, which take turns, and all of their times."""
    found, work = {}, {}
    for b in json.loads(text)['benchmarks']:
        if b.get('run_type', 'iteration') == 'iteration':
            of_name = found.setdefault(b.get('run_name', b['name']), {'ms': [], 'gb_per_s': [], 'ns_an_element': [], 'over_copy': []})
            of_name['ms'].append(b['real_time'] * {'ns': 1e-6, 'us': 1e-3, 'ms': 1.0, 's': 1e3}[b['time_unit']])
            of_name['gb_per_s'].append(b.get('bytes_per_second', 0) / 1e9)
            for counter in ('ns_an_element', 'over_copy'):
                of_name[counter].append(b.get(counter, 0))
            work[b.get('run_name', b['name'])] = {key: b[key] for key in WORK if key in b}
    return {
        'rows': [
            {'name': name, **{key: statistics.median(values) for key, values in of_name.items()}, **work[name], 'samples': {'ms': of_name['ms']}}
            for name, of_name in found.items()
        ]
    }


PASS_COLUMNS = (('gb_per_s', '.1f'), ('ns_an_element', '.3f'), ('over_copy', '.2f'))
COLUMNS = (('ms', 3), ('products_ms', 3), ('ratio', 2), ('adam_ms', 3), ('adam_ratio', 2))


def told(point):
    return f"`{point['step']}`, {point['threads']} thread{'s' if point['threads'] > 1 else ''}"


def iterations_of(records):
    """The records of bench_iteration that tell step and threads."""
    return [r for r in measured(records) if r['point']['program'] == 'bench_iteration' and 'step' in r['point']]


def cited(records, network, figure, where):
    """A cell of a page's table (bench/suites/cited.py): milliseconds of an iteration (ratio to its products, ratio to Adam's epoch)."""
    if figure != 'iteration':
        raise HarnessError(DATA, f'{figure}: no figure of kernels that pages cite, expected iteration')
    for r in iterations_of(records):
        if all(str(r['point'][key]) == value for key, value in where.items()):
            for row in r['values']['rows']:
                if row['network'].removeprefix('made-up ') == network:
                    return f"{row['ms']:.3g} ({row['ratio']:.2f}, {row['adam_ratio']:.2f})"
    return ''


def in_order(rows):
    """Rows of bench_kernels, which runs them in an order of chance: the copy first, then by name, each by size."""

    def place(row):
        name, *sizes = row['name'].split('/')
        return name != 'copy', name, elements(sizes[:2])

    return sorted(rows, key=place)


def tables(records):
    made = []
    for r in [*iterations_of(records), *(r for r in measured(records) if r['point']['program'] == 'bench_kernels')]:
        rows = r['values']['rows']
        if r['point']['program'] == 'bench_iteration':
            made.append(
                Table(
                    f'Iterations, {told(r["point"])}, measured',
                    ['network (layers x neurons)', 'iteration, ms', 'its products, ms', 'ratio', 'Adam, ms', 'ratio'],
                    [[f['network'], *(f'{f[name]:.{digits}f}' for name, digits in COLUMNS)] for f in rows],
                )
            )
        else:
            made.append(
                Table(
                    'Passes and products, one thread, measured',
                    ['name / rows / nodes', 'ms', 'GB/s', 'ns an element', 'over a copy of as many bytes', *roofline.HEADER],
                    [
                        [f['name'], f"{f['ms']:.4g}"]
                        + [f'{f[name]:{form}}' if f.get(name) else '' for name, form in PASS_COLUMNS]
                        + roofline.cells(f, rows)
                        for f in in_order(rows)
                    ],
                    '' if roofline.ceilings(rows) else roofline.MISSING,
                )
            )
    return made


def figures(records):
    kernels = [r for r in measured(records) if r['point']['program'] == 'bench_kernels']
    return iteration_figure(iterations_of(records)) + passes_figure(kernels) + roofline.figures(kernels, iterations_of(records))


def iteration_figure(found):
    if not found:
        return []
    names = list(dict.fromkeys(f['network'] for r in found for f in r['values']['rows']))
    panels = [
        Panel(
            title,
            '',
            text,
            [
                Series(
                    f"{r['point']['step']} steps, {so_many(r['point']['threads'], 'thread')}",
                    [names.index(f['network']) for f in r['values']['rows']],
                    [f[key] for f in r['values']['rows']],
                )
                for r in found
            ],
            ylog=True,
            rows=names,
            reference=1.0,
        )
        for title, text, key in (
            ('beside its bare products', 'times the time of its products', 'ratio'),
            ("beside Adam's epoch", "times the time of Adam's epoch", 'adam_ratio'),
        )
    ]
    of = lambda step, key: [f[key] for r in found if r['point']['step'] == step for f in r['values']['rows']]
    said = [f'{span(of(step, "ratio"), "{:.1f}")} by {step} steps' for step in ('exact', 'block') if of(step, 'ratio')]
    about = 'Networks: graph, layers x neurons; medians of pairs that take turns; measured'
    return [Figure('kernels-iteration', f'Times as long as its bare products: an iteration {" and ".join(said)}', panels, about)]


def passes_figure(found):
    """Bytes a second of every pass beside a plain copy of as many rows and nodes. Passes are bound by memory, so the copy is their ceiling."""
    rows = [f for r in found for f in r['values']['rows'] if f['gb_per_s'] and f['name'].count('/') >= 2 and not roofline.is_product(f)]
    by_size = {}
    for f in in_order(rows):
        name, size = f['name'].split('/', 1)[0], '/'.join(f['name'].split('/')[1:3])
        bits = f['name'].split('/')[3:]
        by_size.setdefault(size, {})[name + (f', {bits[0]} bits' if bits and bits[0] != '0' else '')] = f['gb_per_s']
    by_size = {size: speeds for size, speeds in by_size.items() if 'copy' in speeds and len(speeds) > 1}
    if not by_size:
        return []
    names = list(dict.fromkeys(name for speeds in by_size.values() for name in speeds))
    series = [
        Series(f"{size.replace('/', ' x ')} a layer", [names.index(n) for n in speeds], list(speeds.values())) for size, speeds in by_size.items()
    ]
    size, speeds = max(by_size.items(), key=lambda item: elements(item[0].split('/')))
    shares = [v / speeds['copy'] for n, v in speeds.items() if n != 'copy']
    title = f"At {size.replace('/', ' x ')} passes move {span(shares, '{:.0%}')} of the bytes a second of a plain copy"
    panel = Panel('', '', 'GB/s that a pass must move', series, ylog=True, rows=names)
    return [Figure('kernels-passes', title, [panel], 'Neurons x nodes of a layer, one thread; smaller sizes fit caches; measured')]


def elements(sizes):
    return math.prod(map(int, sizes))
