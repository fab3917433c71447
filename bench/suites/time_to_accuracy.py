"""Seconds of training until a validation accuracy is reached."""

import math
import statistics

from .accuracy_methods import grow_option
from .at_size_report import seconds_text
from .figures import Figure, Panel, Series, so_many, in_pictures, stem
from .session import Task
from .tables import Table, measured

TITLE = 'Time to accuracy'
ABOUT = """Validation accuracy against seconds of training (with the set-up of each stage: weights, products of features; without reading
data, augmentation and evaluation), methods taking turns seed by seed; all see the same features. The targets are shares of the best mean validation accuracy that any method reached.
Grown: 2, 5, 10 layers, --epochs in each. Adam of 2 layers: learning rate 0.01, dropout 0.5, weight decay 5e-4, where the search of the
accuracy suite starts."""
SIZES = {
    'quick': dict(datasets=['sbm:nodes=500'], layers=10, hidden=16, seeds=2, epochs=30),
    'default': dict(datasets=['cora', 'pubmed', 'photo', 'computers'], layers=10, hidden=100, seeds=3, epochs=200),
    'full': dict(datasets=['cora', 'pubmed', 'citeseer', 'photo', 'computers', 'cs', 'physics'], layers=10, hidden=100, seeds=5, epochs=200),
}
SHARES = (0.90, 0.95, 0.99)
EVAL_EVERY = 5
SHOWN = 0.2  # of accuracy below the target, in the picture


def methods(s):
    grown = ['--layers', s.layers, *grow_option(s.layers, True)]
    return {
        'pdADMM-G, fast': grown,
        'pdADMM-G-Q, 4 bits, fast': [*grown, '--quantize', 'pq', '--bits', 4],
        'Adam, grown': [*grown, '--optimizer', 'adam'],
        'Adam, 2 layers': [
            '--layers',
            2,
            '--grow',
            '',
            '--optimizer',
            'adam',
            '--learning-rate',
            '1e-2',
            '--dropout',
            0.5,
            '--weight-decay',
            '5e-4',
        ],
    }


def tasks(session):
    s = session.sizes(SIZES)
    datasets = yield from session.datasets(s.datasets)
    for dataset in datasets:
        commands = {
            name: session.train_arguments(
                dataset, '--preset', 'fast', '--hidden', s.hidden, '--epochs', s.epochs, '--eval-every', EVAL_EVERY, *options
            )
            for name, options in methods(s).items()
        }
        yield Task(
            {'dataset': dataset, 'layers': s.layers, 'hidden': s.hidden, 'train': session.facts(dataset)['train']},
            [session.shown([*c, '--seed', str(seed)]) for c in commands.values() for seed in range(s.seeds)],
            climbs(session, commands, s.seeds),
            list(range(s.seeds)),
            weight=s.seeds * session.facts(dataset)['features'],
        )


def climbs(session, commands, seeds):
    def work():
        values = {name: {'seconds': [], 'val': [], 'test': []} for name in commands}
        for seed in range(seeds):
            for name, arguments in commands.items():
                total, curve = 0.0, values[name]
                for column in curve.values():
                    column.append([])
                for row in session.train([*arguments, '--seed', str(seed)])[0]['rows']:
                    total += row['seconds'] + row.get('setup_seconds', 0)
                    if 'val_accuracy' in row:
                        for column, value in (('seconds', round(total, 6)), ('val', row['val_accuracy']), ('test', row['test_accuracy'])):
                            curve[column][-1].append(value)
        return values

    return work


def targets(values):
    """Validation accuracies aimed at."""
    top = max(statistics.fmean(max(of_seed) for of_seed in v['val']) for v in values.values())
    return [share * top for share in SHARES]


def reached(curve, target):
    """For every seed, the seconds until `target`, or None."""
    return [next((t for t, v in zip(seconds, val) if v >= target), None) for seconds, val in zip(curve['seconds'], curve['val'])]


def reached_text(curve, target):
    times = reached(curve, target)
    done = [t for t in times if t is not None]
    if not done:
        return 'never'
    return f'{statistics.median(done):.3g} s' + ('' if len(done) == len(times) else f' ({len(done)} of {len(times)} seeds)')


def tables(records):
    made = []
    for r in measured(records):
        p, v = r['point'], r['values']
        aims = targets(v)
        rows = [
            [
                name,
                *(reached_text(curve, t) for t in aims),
                f"{statistics.fmean(max(s) for s in curve['val']):.3f}",
                f"{statistics.fmean(s[-1] for s in curve['seconds']):.3g} s",
            ]
            for name, curve in v.items()
        ]
        made.append(
            Table(
                f"Seconds to an accuracy, median of {len(r['seeds'])} seeds, measured: {p['dataset']}, n {p['hidden']}, N {p['train']}",
                ['method', *(f'{t:.3f}' for t in aims), 'best validation accuracy', 'whole training'],
                rows,
            )
        )
    return made


def figures(records):
    made = []
    for hidden in sorted({r['point']['hidden'] for r in measured(records)}):
        of_hidden = [r for r in measured(records) if r['point']['hidden'] == hidden]
        for part in in_pictures(of_hidden):
            panels = [panel(r) for r in part]
            seeds = so_many(min(len(r['seeds']) for r in part), 'seed')
            name = f"time-to-accuracy-{'-'.join(stem(r['point']['dataset']) for r in part)}-{hidden}"
            about = f'Validation accuracy against seconds of training, n {hidden}, measured; the grey line is {SHARES[1]:.0%} of the best'
            made.append(Figure(name, finding(part), panels, about, f'Lines: mean; bands: range over {seeds}.'))
    return made


def panel(record):
    p, v = record['point'], record['values']
    lines = [means(name, curve, 'val') for name, curve in v.items()]
    aim = targets(v)[1]
    shown = max(0.0, aim - SHOWN)
    for line in lines:  # what lies below is how all of them begin
        inside = next((k for k, y in enumerate(line.y) if y >= shown), len(line.y))
        for column in ('x', 'y', 'low', 'high'):
            setattr(line, column, getattr(line, column)[inside:])
    lines = [line for line in lines if line.x]
    title = f"{p['dataset']}, N {p['train']}, {p['layers']} layers"
    return Panel(title, 'seconds of training', 'validation accuracy', lines, xlog=True, marks=False, reference=aim)


def finding(records):
    """Seconds until the middle target: the quicker of ours, and the quicker Adam."""
    told = []
    for r in records:
        aim = targets(r['values'])[1]
        ours, adam = (
            min((median_of(curve, aim) for name, curve in r['values'].items() if name.startswith(who)), default=math.inf)
            for who in ('pdADMM-G', 'Adam')
        )
        told.append(f"{seconds_text(ours)} and {seconds_text(adam)} on {r['point']['dataset'].partition(':')[0]}")
    return f"Seconds to {SHARES[1]:.0%} of the best validation accuracy, pdADMM-G and Adam: {'; '.join(told)}"


def median_of(curve, aim):
    """Infinite where half of the seeds never get there."""
    return statistics.median(math.inf if t is None else t for t in reached(curve, aim))


def means(name, curve, key):
    """Mean over seeds at every evaluation, with the range."""

    def each(function, columns):
        return [function(c) for c in zip(*columns)]

    seconds, of_key = curve['seconds'], curve[key]
    return Series(name, each(statistics.fmean, seconds), each(statistics.fmean, of_key), each(min, of_key), each(max, of_key))
