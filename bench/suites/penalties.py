"""How much hangs on the penalties: the defaults of `fast` inside a grid of twelve settings around them."""

import statistics

from .accuracy_methods import grow_option
from .at_size_methods import FEATURES, SPLIT
from .figures import Figure, Panel, Series
from .session import Task
from .tables import Table, mean_sd, measured

TITLE = 'Penalties: the defaults in a grid of twelve'
TIMED = False  # accuracies are the same on a busy machine
ABOUT = """`fast` with its step, and in place of its penalties each of twelve pairs: rho = nu, and the weight decay (of `block`
steps a ratio to nu and to the features' spread, of `exact` steps as it stands). "own": the data set's usual split, of few labels;
"60/20/20": random shares of all labelled nodes. Test accuracy at the best validation accuracy, mean over seeds; a seed draws the
initial weights and, at 60/20/20, the split. The best of the grid is the best test accuracy of the twelve, which no user can know: the
default has to come near it without a search. "By validation" is the setting that a search would take."""
DATASETS = ['cora', 'citeseer', 'pubmed', 'computers', 'photo', 'cs', 'physics']
HETEROPHILOUS = ['texas', 'actor', 'minesweeper']
SIZES = {
    'quick': dict(datasets=['sbm:nodes=500'], layers=4, hidden=16, epochs=10, seeds=1),
    'default': dict(datasets=[*DATASETS, *HETEROPHILOUS], layers=10, hidden=100, epochs=60, seeds=1),
    'full': dict(datasets=[*DATASETS, *HETEROPHILOUS], layers=10, hidden=100, epochs=60, seeds=5),
}
# rho = nu along the first axis, weight decay along the second, with the options that make the step the same in every cell.
GRIDS = {
    'block': (('0.1', '1', '10'), ('0.02', '0.05', '0.15', '0.5')),
    'exact': (('0.001', '0.01', '0.1'), ('0.005', '0.02', '0.1', '0.5')),
}
SPLITS = {'own': [], '60/20/20': ['--split', SPLIT]}
WIDE = [dataset for dataset in FEATURES if dataset]  # at 60/20/20 X of five hops would take gigabytes


def preset(session, dataset, split):
    """The step of `fast`, its rho = nu and its weight decay, as one iteration of a small network reports them."""
    small = ['--preset', 'fast', *split, '--hops', 2, '--layers', 2, '--grow', '', '--hidden', 8, '--epochs', 1]
    found = session.train(session.train_arguments(dataset, *small))[0]['identity']
    return found['step'], tuple(f'{float(found[name]):g}' for name in ('nu', 'weight-decay'))


def tasks(session):
    s = session.sizes(SIZES)
    datasets = yield from session.datasets(s.datasets)
    for dataset in datasets:
        for split, options in SPLITS.items():
            facts = session.facts(dataset, tuple(options))
            step, own = preset(session, dataset, options)
            rates, decays = GRIDS[step]
            cells = [(rate, decay) for rate in rates for decay in decays]
            weight = 1e-6 * facts['train'] * s.hidden * (facts['features'] + s.layers * s.hidden) * s.seeds
            for rate, decay in cells + ([own] if own not in cells else []):
                point = {'dataset': dataset, 'split': split, 'step': step, 'nu': rate, 'decay': decay, 'layers': s.layers, 'hidden': s.hidden}
                yield training(session, s, point, options, own, weight)


def training(session, s, point, split, default, weight):
    hops = ['--hops', 3] if split and point['dataset'] in WIDE else []

    def arguments(seed):
        return session.train_arguments(
            point['dataset'], '--preset', 'fast', *split, *(['--split-seed', seed] if split else []), *hops,
            '--layers', s.layers, '--hidden', s.hidden, *grow_option(s.layers, True), '--epochs', s.epochs,
            '--rho', point['nu'], '--nu', point['nu'], '--weight-decay', point['decay'], '--seed', seed,
        )  # fmt: skip

    def work():
        runs = [session.train(arguments(seed))[0] for seed in range(s.seeds)]
        accuracies = {name: [r['best'][name] for r in runs] for name in ('test', 'val')}
        return {**accuracies, 'seconds': [r['seconds'] for r in runs], 'default': list(default)}

    return Task(point, [session.shown(arguments(seed)) for seed in range(s.seeds)], work, list(range(s.seeds)), weight=weight)


def grids(records):
    """{(data set, split): {(nu, decay): record}} of those whose default was measured."""
    found = {}
    for r in measured(records):
        p = r['point']
        found.setdefault((p['dataset'], p['split']), {})[(p['nu'], p['decay'])] = r
    return {key: cells for key, cells in found.items() if default_of(cells) in cells and len(cells) > 1}


def default_of(cells):
    return tuple(next(iter(cells.values()))['values']['default'])


def mean(record, name):
    return statistics.fmean(record['values'][name])


def summary(cells):
    """The default's test accuracy, that of the best cell, and of the cell that validation would take."""
    best = max(cells, key=lambda c: mean(cells[c], 'test'))
    chosen = max(cells, key=lambda c: mean(cells[c], 'val'))
    return cells[default_of(cells)], best, chosen


def short(dataset):
    return dataset.rsplit('/', 1)[-1].removesuffix('.npz')


def tables(records):
    found = grids(records)
    if not found:
        return []
    rows = []
    for (dataset, split), cells in found.items():
        own, best, chosen = summary(cells)
        behind = mean(cells[best], 'test') - mean(own, 'test')
        rows.append(
            [short(dataset), split, own['point']['step'], mean_sd(own['values']['test']), mean_sd(cells[best]['values']['test']),
             f'{100 * behind:.1f}', f'nu {best[0]}, decay {best[1]}', f"{mean(cells[chosen], 'test'):.3f} (nu {chosen[0]}, decay {chosen[1]})"]
        )  # fmt: skip
    header = ['data set', 'split', 'step', 'default', 'best of the grid', 'points behind', 'where', 'by validation']
    made = [Table('Test accuracy with the default penalties and with the best of twelve', header, rows)]
    for (dataset, split), cells in found.items():
        step = next(iter(cells.values()))['point']['step']
        rates, decays = GRIDS[step]
        text = lambda cell: mean_sd(cells[cell]['values']['test']) if cell in cells else ''
        body = [[f'rho = nu = {rate}', *(text((rate, decay)) for decay in decays)] for rate in rates]
        made.append(Table(f'{short(dataset)}, {split}, {step}: test accuracy', ['', *(f'decay {d}' for d in decays)], body))
    return made


def figures(records):
    """For every data set and split the range of the grid, and where the default lies in it."""
    made = []
    for split in SPLITS:
        found = {key: cells for key, cells in grids(records).items() if key[1] == split}
        if not found:
            continue
        names = [short(dataset) for dataset, _ in found]
        at = list(range(len(names)))
        tests = [[mean(r, 'test') for r in cells.values()] for cells in found.values()]
        own = [mean(cells[default_of(cells)], 'test') for cells in found.values()]
        middle = [statistics.median(t) for t in tests]
        series = [
            Series('the grid: median and range', at, middle, [min(t) for t in tests], [max(t) for t in tests]),
            Series('default of `fast`', at, own),
        ]
        worst = max(max(t) - o for t, o in zip(tests, own))
        title = f'The default is at most {100 * worst:.1f} points below the best of twelve settings'
        panel = Panel('', '', 'test accuracy at the best validation accuracy', series, rows=names)
        made.append(Figure(f"penalties-{split.replace('/', '-')}", title, [panel], f'Split: {split}; measured', 'Bars: range of the grid.'))
    return made
