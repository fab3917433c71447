"""Test figures over all splits that a file holds: the heterophilous graphs with their ten, as their papers report them."""

import statistics

from . import published
from .accuracy_methods import best_by_axis, grow_option
from .figures import Figure, Panel, Series, stem
from .penalties import short
from .session import Task
from .tables import Table, mean_sd, measured

TITLE = 'Published splits of heterophilous graphs'
ABOUT = """Every split of the file in a run of its own, the split's number as the seed (`--split-index all`): mean ± sd over splits of
the test figure where the validation figure is best. The figure is accuracy, of graphs with two classes ROC AUC, as the papers have
it. pdADMM-G: `--preset fast` as it is, its augmentation and penalties chosen on these graphs by validation figures. Adam: the same
features, and the features of the node alone (MLP), in one pass over a grid, one axis after the other (weight decay, dropout, depth,
learning rate), each by the mean validation figure of the first splits; the best setting runs on all. Published figures are their
authors', on the same splits."""
TIMED = False  # accuracies are the same on a busy machine
SIZES = {
    'quick': dict(datasets=['texas'], layers=2, hidden=16, epochs=20, splits=2, search_seeds=1, methods=None),
    'default': dict(datasets=['texas', 'actor', 'minesweeper'], layers=10, hidden=100, epochs=200, splits=None, search_seeds=3, methods=None),
    'full': dict(
        datasets=['texas', 'actor', 'minesweeper', 'roman-empire', 'amazon-ratings', 'tolokers', 'questions', 'wisconsin', 'cornell'],
        layers=10, hidden=100, epochs=200, splits=None, search_seeds=3, methods=None,
    ),
}  # fmt: skip
QUANTISED = {'admm': [], 'admm-q': ['--quantize', 'pq', '--bits', '4']}
TUNED = {'adam': [], 'mlp': ['--hops', '1', '--augment', 'gcn']}
METHODS = (*QUANTISED, *TUNED)
NAMES = {'admm': 'pdADMM-G', 'admm-q': 'pdADMM-G-Q, 4 bits', 'adam': 'Adam, the same features', 'mlp': 'Adam, MLP on the features alone'}
# An axis of the grid, its option, and its values, of which the first is where the search starts.
AXES = {
    'weight decay': ('--weight-decay', ('5e-4', '5e-3', '0')),
    'dropout': ('--dropout', ('0.5', '0')),
    'depth': ('--layers', ('2', '3')),
    'learning rate': ('--learning-rate', ('1e-2', '1e-3')),
}
EVAL_EVERY = 5


def tasks(session):
    s = session.sizes(SIZES)
    datasets = yield from session.datasets(s.datasets)
    for dataset in datasets:
        facts = session.facts(dataset)
        point = {'dataset': dataset, 'metric': 'roc-auc' if facts['classes'] == 2 else 'accuracy', 'hidden': s.hidden, 'train': facts['train']}
        weight = 1e-7 * facts['train'] * s.hidden * facts['features']
        for method in s.methods or METHODS:
            if method in QUANTISED:
                network = ['--layers', s.layers, *grow_option(s.layers, True), *QUANTISED[method]]
                yield training(session, {**point, 'method': method, 'layers': s.layers}, network, s.splits, 10 * weight)
            else:
                yield from tuned(session, s, {**point, 'method': method, 'epochs': s.epochs}, weight)


def training(session, point, options, splits, weight):
    """Over the first so many splits, or all."""
    arguments = ['--dataset', point['dataset'], '--backend', session.options.backend, '--threads', session.options.threads]
    arguments += ['--preset', 'fast', '--split-index', 'all', '--metric', point['metric'], '--hidden', point['hidden'], *options]
    arguments = [str(a) for a in [*arguments, *(['--seeds', splits] if splits else [])]]
    best = 'best' if point['metric'] == 'accuracy' else 'best_metric'

    def work():
        runs = session.train(arguments)
        return {
            'test': [r[best]['test'] for r in runs],
            'val': [r[best]['val'] for r in runs],
            'accuracy': [r['best']['test'] for r in runs],
            'seconds': [r['seconds'] for r in runs],
        }

    return Task(point, [session.shown(arguments)], work, list(range(splits or 0)), weight=weight)


def tuned(session, s, point, weight):
    """A pass over the axes by the first splits, then the best setting on all."""

    def trial(settings, splits, part):
        options = [word for axis, value in settings.items() for word in (AXES[axis][0], value)]
        options += ['--optimizer', 'adam', '--grow', '', '--epochs', s.epochs, '--eval-every', EVAL_EVERY, *TUNED[point['method']]]
        of_part = {**point, 'part': part, **({'settings': dict(settings)} if part == 'search' else {})}
        return training(session, of_part, options, splits, weight * (splits or 10))

    search = lambda settings: trial(settings, s.search_seeds, 'search')
    chosen, _ = yield from best_by_axis({axis: values for axis, (_, values) in AXES.items()}, search, 'val')
    yield trial(chosen, s.splits, 'chosen')


# What the records say


def results(records):
    """{data set: {method: record}}: of tuned methods the chosen setting."""
    found = {}
    for r in measured(records):
        if r['point'].get('part') != 'search':
            found.setdefault(r['point']['dataset'], {})[r['point']['method']] = r
    return found


def heading(dataset, of_methods):
    point = next(iter(of_methods.values()))['point']
    return f"{short(dataset)} ({'ROC AUC' if point['metric'] == 'roc-auc' else 'accuracy'}, N {point['train']})"


def cell(record):
    return f"{mean_sd(record['values']['test'])} ({len(record['values']['test'])})" if record else ''


def tables(records):
    found = results(records)
    if not found:
        return []
    rows = [[NAMES[m], *(cell(of.get(m)) for of in found.values())] for m in METHODS if any(m in of for of in found.values())]
    for network in published.ON_STORED_SPLITS:
        cells = [published.on_stored_splits(network, short(dataset)) for dataset in found]
        if any(cells):
            rows.append([f'{network}, published', *cells])
    if two := [(dataset, of) for dataset, of in found.items() if next(iter(of.values()))['point']['metric'] == 'roc-auc']:
        rows += [
            [f'{NAMES[m]}: accuracy', *(mean_sd(of[m]['values']['accuracy']) if (d, of) in two and m in of else '' for d, of in found.items())]
            for m in METHODS
            if any(m in of for _, of in two)
        ]
    header = ['method', *(heading(dataset, of) for dataset, of in found.items())]
    title = 'Test figure at the best validation figure, mean ± sd over splits (how many), measured; published figures beside'
    return [Table(title, header, rows, published.STORED_SPLITS_NOTE)]


def gaps(found):
    """{data set: points of pdADMM-G above the tuned rival that validation prefers}."""
    gap = {}
    for dataset, of in found.items():
        rivals = [of[m] for m in TUNED if m in of]
        if 'admm' in of and rivals:
            rival = max(rivals, key=lambda r: statistics.fmean(r['values']['val']))
            gap[short(dataset)] = 100 * (statistics.fmean(of['admm']['values']['test']) - statistics.fmean(rival['values']['test']))
    return gap


def figures(records):
    found = results(records)
    gap = gaps(found)
    if not gap:
        return []
    names = [heading(dataset, of) for dataset, of in found.items()]
    series = []
    for method in METHODS:
        at = [k for k, of in enumerate(found.values()) if method in of]
        if at:
            series.append(Series.of_seeds(NAMES[method], at, [list(found.values())[k][method]['values']['test'] for k in at]))
    for network in published.PICTURED:
        shown = {k: published.ON_STORED_SPLITS[network].get(short(dataset)) for k, dataset in enumerate(found)}
        if at := [k for k, figure in shown.items() if figure]:
            means = [shown[k] for k in at]
            series.append(Series(f'{network}, published', at, [m for m, _ in means], [m - sd for m, sd in means], [m + sd for m, sd in means], 'published'))
    title = 'pdADMM-G beside the better of Adam and MLP: ' + ', '.join(f'{name} {points:+.1f} points' for name, points in gap.items())
    panel = Panel('', '', 'test figure at the best validation figure', series, rows=names)
    about = 'Stored splits of each file; measured, but for crosses'
    return [Figure('splits-' + '-'.join(stem(short(d)) for d in found), title, [panel], about, 'Bars: one standard deviation over splits.')]
