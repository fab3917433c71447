"""The roofline of `kernels`: flops and bytes of every kernel against what this machine was measured to do at most."""

import math
import statistics

from .figures import Figure, Panel, Series, span

HEADER = ['flops a byte', 'GFLOP/s', 'of the roof']
PEAK = 'product_peak'
MISSING = 'No roofline: these records have no flops; `bench/harness kernels --fresh` measures them.'


def is_product(row):
    return row['name'].startswith('product')


def size_of(row):
    """(neurons, nodes) of a pass or product, or None."""
    parts = row['name'].split('/')
    return (int(parts[1]), int(parts[2])) if len(parts) > 2 else None


def intensity(row):
    return row['flops'] / row['bytes']


def gflops(row):
    """Of one second: what its bytes take at the measured rate, its flops take."""
    return intensity(row) * row['gb_per_s']


def ceilings(rows):
    """GFLOP/s of the large product, and {size: GB/s of a copy}; None of records without flops."""
    peak = next((gflops(r) for r in rows if r['name'].startswith(PEAK) and 'flops' in r), None)
    copies = {size_of(r): r['gb_per_s'] for r in rows if r['name'].startswith('copy/')}
    return (peak, copies) if peak and copies else None


def largest(copies):
    return max(copies, key=math.prod)


def roof(row, rows):
    """GFLOP/s that bandwidth and peak allow: a copy of the same size, or of the largest where none has it."""
    peak, copies = ceilings(rows)
    return min(peak, intensity(row) * copies.get(size_of(row), copies[largest(copies)]))


def share(row, rows):
    return gflops(row) / roof(row, rows)


def is_shown(row):
    return row.get('flops') and row['gb_per_s'] and not row['name'].startswith(PEAK)


def cells(row, rows):
    """Of a table, beside HEADER."""
    if not row.get('flops') or not ceilings(rows):
        return [''] * len(HEADER)
    return [f'{intensity(row):.2f}', f'{gflops(row):.1f}', f'{share(row, rows):.0%}' if is_shown(row) else '']


def text_of(size):
    return f'{size[0]} x {size[1]}'


def figures(kernels, iterations):
    """From records of bench_kernels and bench_iteration."""
    rows = [row for r in kernels for row in r['values']['rows']]
    if not ceilings(rows):
        return []
    shown = [row for row in rows if is_shown(row)]
    sizes = sorted({size_of(row) for row in shown if size_of(row)}, key=math.prod)
    if not sizes:
        return []
    sizes = list(dict.fromkeys((sizes[-1], sizes[0])))
    (peak, _), of_largest = ceilings(rows), [row for row in shown if size_of(row) == sizes[0]]
    passes = [share(row, rows) for row in of_largest if not is_product(row)]
    products = [share(row, rows) for row in shown if is_product(row)]
    said = [f"half of the passes reach {statistics.median(passes):.0%} or more of a copy's bandwidth"] if passes else []
    said += [f'products W p {span(products, "{:.0%}")} of {peak:.0f} GFLOP/s'] if products else []
    title = 'On one thread ' + ', '.join(said)
    about = 'Neurons x nodes of a layer, one thread; flops and bytes by count, times measured'
    lines = 'Lines: a copy of that size, and the peak. What writes over what it read, or writes less, may move more bytes than a copy.'
    return [Figure('kernels-roofline', title, [scatter(shown, rows, sizes, iterations), shares(shown, rows, sizes)], about, lines)]


def scatter(shown, rows, sizes, iterations):
    peak, copies = ceilings(rows)
    groups = {name: [] for name in (*(f'passes, {text_of(size)}' for size in sizes), 'products W p', 'sparse products')}
    for row in shown:
        size = size_of(row)
        if is_product(row):
            groups['products W p'].append((intensity(row), gflops(row)))
        elif size in sizes:
            groups[f'passes, {text_of(size)}'].append((intensity(row), gflops(row)))
        elif row['name'].startswith('spmm/'):
            groups['sparse products'].append((intensity(row), gflops(row)))
    for r in iterations:
        if r['point']['threads'] == 1:
            for row in r['values']['rows']:
                if 'flops' in row:
                    of = f"iterations, {r['point']['step']} steps"
                    groups.setdefault(of, []).append((intensity(row), 1e-6 * row['flops'] / row['ms']))
    at = [x for points in groups.values() for x, _ in points]
    low, high = min(at) / 1.5, max(max(at), 1.5 * max(peak / copy for copy in copies.values())) * 1.5
    bounds = []
    for number, size in enumerate(sizes):
        ridge = peak / copies[size]
        x = [min(low, ridge / 2), ridge, high]
        name = f'roof at {text_of(size)}'
        bounds.append(Series(name, x, [min(peak, copies[size] * v) for v in x], kind='bound', variant=name if number else ''))
    series = [Series(name, *map(list, zip(*sorted(points)))) for name, points in groups.items() if points]
    return Panel('', 'flops a byte', 'GFLOP/s', [*bounds, *series], xlog=True, ylog=True, points=True)


def shares(shown, rows, sizes):
    """A row a kernel; passes first, then products."""
    of_name = {}
    for row in shown:
        if size_of(row) in sizes:
            of_name.setdefault(row['name'].split('/')[0], {})[size_of(row)] = share(row, rows)
    names = sorted(of_name, key=lambda name: (name.startswith('product'), name))
    label = lambda size, name: f"{'products W p' if name.startswith('product') else f'passes, {text_of(size)}'}"
    series = {}
    for k, name in enumerate(names):
        for size, value in of_name[name].items():
            series.setdefault(label(size, name), []).append((k, value))
    made = [Series(name, *map(list, zip(*points))) for name, points in series.items()]
    return Panel('', '', 'share of the roof at its size', made, rows=names, reference=1.0)
