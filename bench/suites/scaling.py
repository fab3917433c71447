"""Cost of an iteration against layers L, neurons n, training nodes N and hops K, with fitted slopes."""

import math

from .figures import Figure, Panel, Series, so_many
from .session import Task
from .tables import Table, measured, spread
from .timing import milliseconds, untimed

TITLE = 'Cost against L, n, N and K'
ABOUT = """Milliseconds an iteration on made-up graphs (`sbm`), one size varied at a time, sizes taking turns; the median over rounds.
The slope is that of the line of least squares through the logarithms: 1 is proportional. By the flops it is 1 in L, 2 in n and 1 in N
for large networks, and 0 in K, which only the first layer sees, in node space not even that. Small sizes lie below: other costs than
products count there."""
BASE = {'L': 8, 'n': 128, 'N': 500, 'K': 2}
SIZES = {
    'quick': dict(axes={'L': [2, 4, 8], 'n': [32, 64, 128], 'N': [100, 200, 400], 'K': [1, 2, 4]}, epochs=6, rounds=1),
    'default': dict(
        axes={'L': [4, 8, 16, 32], 'n': [128, 256, 512, 1024], 'N': [250, 500, 1000, 2000], 'K': [1, 2, 4, 8]}, epochs=6, rounds=5
    ),
    'full': dict(
        axes={'L': [8, 16, 32, 64], 'n': [500, 1000, 2000, 4000], 'N': [2500, 5000, 10000, 20000], 'K': [1, 2, 4, 8]}, epochs=4, rounds=3
    ),
}
NAMES = {'L': 'layers L', 'n': 'neurons n', 'N': 'training nodes N', 'K': 'hops K'}
CLASSES = 5


def command(session, sizes, epochs):
    """Training nodes are 1/2 of the graph, so many of each class."""
    each = sizes['N'] // CLASSES
    return session.train_arguments(
        f"sbm:nodes={4 * sizes['N']},classes={CLASSES},features=64",
        '--preset',
        'none',
        '--split',
        f'random:{each}/100/100',
        '--no-cache',
        '--hops',
        sizes['K'],
        '--layers',
        sizes['L'],
        '--hidden',
        sizes['n'],
        *untimed(epochs),
    )


def tasks(session):
    s = session.sizes(SIZES)
    for axis, values in s.axes.items():
        commands = {value: command(session, {**BASE, axis: value}, s.epochs) for value in values}
        yield Task(
            {'axis': axis, 'values': values, 'base': BASE},
            [session.shown(c) for c in commands.values()],
            costs(session, commands, s.rounds),
            [0],
            weight=s.rounds * len(values),
        )


def costs(session, commands, rounds):
    def work():
        times = {value: [] for value in commands}
        for _ in range(rounds):
            for value, arguments in commands.items():
                times[value].append(milliseconds(session.train(arguments)[0]))
        ms = {str(value): spread(t) for value, t in times.items()}
        return {
            'ms': ms,
            'slope': slope(list(commands), [s['median'] for s in ms.values()]),
            'slope_of_least': slope(list(commands), [s['least'] for s in ms.values()]),
        }

    return work


def slope(x, y):
    """Of log y over log x, least squares."""
    a, b = [math.log(v) for v in x], [math.log(v) for v in y]
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    return sum((u - mean_a) * (v - mean_b) for u, v in zip(a, b)) / sum((u - mean_a) ** 2 for u in a)


def title(point):
    return ', '.join(f'{k} {v}' for k, v in point['base'].items() if k != point['axis'])


def tables(records):
    rows = []
    for r in measured(records):
        p, v = r['point'], r['values']
        rows.append(
            [
                NAMES[p['axis']],
                title(p),
                ' · '.join(map(str, p['values'])),
                ' · '.join(f"{s['median']:.3g}" for s in v['ms'].values()),
                f"{v['slope']:.2f}",
                f"{v['slope_of_least']:.2f}",
            ]
        )
    return (
        [
            Table(
                'ms an iteration of pdADMM-G and its slope, measured',
                ['varied', 'the others', 'sizes', 'ms (medians)', 'slope of the medians', 'slope of the least times'],
                rows,
            )
        ]
        if rows
        else []
    )


def figures(records):
    found = measured(records)
    if not found:
        return []
    series = []
    for r in found:
        p, ms = r['point'], list(r['values']['ms'].values())
        relative = [{key: s[key] / ms[0]['median'] for key in ('median', 'least', 'greatest')} for s in ms]
        times = [value / p['values'][0] for value in p['values']]
        series.append(Series.of_spreads(f"{NAMES[p['axis']]}: slope {r['values']['slope']:.2f}", times, relative))
    grows = ', '.join(f"{2 ** r['values']['slope']:.1f} ({NAMES[r['point']['axis']]})" for r in found)
    base = found[0]['point']['base']
    from_sizes = ', '.join(f"{r['point']['axis']} {r['point']['values'][0]}" for r in found)
    about = f"sbm graphs, one size grown from {from_sizes}; the others stay at {', '.join(f'{k} {v}' for k, v in base.items())}; measured"
    rounds = min(s['repetitions'] for r in found for s in r['values']['ms'].values())
    panel = Panel('', 'times the smallest size', 'times its milliseconds', series, xlog=True, ylog=True, counts=True)
    spread = f'Lines: median; bands: least to greatest of {so_many(rounds, "round")}.'
    return [Figure('scaling', f'Twice the size makes an iteration longer by a factor of {grows}', [panel], about, spread)]
