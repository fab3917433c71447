"""Methods of `pdadmm tune` at an equal number of trainings: what each found on the validation nodes, and after how many trainings."""

import json
import pathlib
import shlex
import statistics
import subprocess
import tempfile

from .figures import Figure, Panel, Series, in_pictures, stem
from .session import Task, left_out
from .tables import Table, mean_sd, measured

TITLE = 'Searches of settings'
TIMED = False  # accuracies are the same on a busy machine
ABOUT = """`pdadmm tune` by each of its methods with the same number of whole trainings, repeated with other seeds (of proposals and of first
weights). Searched: step, what weights decay to, both penalties, weight decay, hops up to 8 and feature norm, on a network of one size that is
not grown, so that trainings cost about the same. Every search begins with the settings of `fast` on that network, which is one of its
trainings; `admm` takes the nearest point of the space among its first ones, the others do not look at it. "`fast` as it is" is the preset
with its own network, 10 layers of 100 grown. Validation accuracy is that of the best trial, on the nodes that it was chosen by: it
flatters, the more so the more trials there were. The test accuracy of a search is that of its winner, looked at once."""
SIZES = {
    'quick': dict(datasets=['sbm:nodes=500'], layers=2, hidden=16, epochs=6, trials=4, seeds=2, methods=None),
    'default': dict(datasets=['cora', 'citeseer', 'photo'], layers=3, hidden=64, epochs=60, trials=30, seeds=10, methods=None),
    'full': dict(
        datasets=['cora', 'citeseer', 'pubmed', 'photo', 'computers'], layers=4, hidden=100, epochs=60, trials=50, seeds=10, methods=None
    ),
}
METHODS = ('random', 'halving', 'admm', 'tpe')
NAMES = {'random': 'random', 'halving': 'successive halving', 'admm': 'splitting (admm)', 'tpe': 'TPE (Optuna)'}
SPACE = 'step decay-to rho nu weight-decay hops=1:8 feature-norm'
FAST = 'fast'


def tasks(session):
    s = session.sizes(SIZES)
    methods = [m for m in s.methods or METHODS]
    if 'tpe' in methods and not has_optuna():
        methods.remove('tpe')
        yield left_out({'method': 'tpe'}, 'python3 has no Optuna (Debian: python3-optuna)')
    datasets = yield from session.datasets(s.datasets)
    for dataset in datasets:
        yield preset(session, s, dataset)
    for seed in range(s.seeds):
        for dataset in datasets:
            for method in methods:
                yield search(session, s, dataset, method, seed)


def has_optuna():
    """Of the python3 that pdadmm tune asks."""
    try:
        return subprocess.run(['python3', '-c', 'import optuna'], capture_output=True).returncode == 0
    except OSError:
        return False


def preset(session, s, dataset):
    arguments = session.train_arguments(dataset, '--preset', 'fast', '--seeds', s.seeds)

    def work():
        runs = session.train(arguments)
        return {'validation': [r['best']['val'] for r in runs], 'test': [r['best']['test'] for r in runs]}

    point = {'dataset': dataset, 'method': FAST, 'train': session.facts(dataset)['train']}
    return Task(point, [session.shown(arguments)], work, list(range(s.seeds)), weight=2.0 * s.seeds)


def search(session, s, dataset, method, seed):
    facts = session.facts(dataset)
    network = ['--layers', s.layers, '--hidden', s.hidden, '--grow', '', '--epochs', s.epochs]
    more = [*network, '--search', SPACE, '--method', method, '--trials', s.trials, '--seed', seed]
    arguments = session.train_arguments(dataset, '--preset', 'fast', *more)
    point = {'dataset': dataset, 'method': method, 'repeat': seed, 'layers': s.layers, 'hidden': s.hidden, 'epochs': s.epochs,
             'trials': s.trials, 'train': facts['train']}  # fmt: skip

    def work():
        with tempfile.TemporaryDirectory() as folder:
            session.call(['tune', '--quiet', '--registry', 'off', '--out', f'{folder}/search', *arguments])
            of = lambda name: pathlib.Path(folder, 'search', name).read_text()
            return values([json.loads(line) for line in of('trials.jsonl').splitlines()], json.loads(of('search.json')))

    return Task(point, [shlex.join(['pdadmm', 'tune', *arguments])], work, [seed], weight=1e-7 * s.trials * s.epochs * facts['features'])


def values(rows, result):
    """Of a search's table and its result. "course": after so many trainings the best of a trial that was trained wholly."""
    course, spent, shares, epochs, alone = [], 0.0, {}, {}, None
    for row in rows:
        if row['state'] == 'refused':
            continue
        spent += row['share'] - shares.get(row['trial'], 0.0)
        shares[row['trial']], epochs[row['trial']] = row['share'], row['epochs']
        if row['state'] != 'done':
            continue
        if not course or row['figure'] > course[-1][1]:
            course.append([round(spent, 6), row['figure']])
        if row['settings'] and (alone is None or row['figure'] > alone):
            alone = row['figure']
    return {
        'course': course,
        'validation': result['validation'],
        'without_preset': alone,
        'test': result['test'],
        'trials': result['trials'],
        'trainings': result['trainings'],
        'epochs': sum(epochs.values()),
        'failed': sum(row['state'] in ('failed', 'diverged') for row in rows),
    }


# What the records say


def searches(records):
    """{data set: {method: its searches by seed}}"""
    found = {}
    for r in measured(records):
        if 'repeat' in r['point']:
            found.setdefault(r['point']['dataset'], {}).setdefault(r['point']['method'], {})[r['point']['repeat']] = r
    return {d: {m: [of[m][k] for k in sorted(of[m])] for m in METHODS if m in of} for d, of in found.items()}


def fast_of(records):
    return {r['point']['dataset']: r['values'] for r in measured(records) if r['point'].get('method') == FAST}


def each(of_method, name):
    return [r['values'][name] for r in of_method]


def best_after(record, trainings):
    """None where no trial was done by then."""
    return max((figure for spent, figure in record['values']['course'] if spent <= trainings + 1e-6), default=None)


def medians(of_method, trainings):
    """Median and quartiles of the best so far."""
    found = [best_after(r, trainings) for r in of_method]
    if None in found:
        return None
    lower, middle, upper = statistics.quantiles(found, n=4, method='inclusive') if len(found) > 1 else found * 3
    return middle, lower, upper


def gained(of, method):
    """Points of the median above that of random search."""
    return 100 * (statistics.median(each(of[method], 'validation')) - statistics.median(each(of['random'], 'validation')))


def pairs(of, method):
    """How often better, equal and worse than random search with the same seed."""
    other = {r['point']['repeat']: r['values']['validation'] for r in of['random']}
    signs = [r['values']['validation'] - other[r['point']['repeat']] for r in of[method] if r['point']['repeat'] in other]
    return f'{sum(d > 0 for d in signs)} / {sum(d == 0 for d in signs)} / {sum(d < 0 for d in signs)}'


def reached(of, method):
    """Trainings after which the median is that of all trainings of random search."""
    goal, trials = statistics.median(each(of['random'], 'validation')), of[method][0]['point']['trials']
    found = [k for k in range(1, trials + 1) if (m := medians(of[method], k)) and m[0] >= goal]
    return str(found[0]) if found else 'never'


def median_range(found, digits=3):
    return f'{statistics.median(found):.{digits}f} ({min(found):.{digits}f} to {max(found):.{digits}f})'


def row_of(dataset, of, method, fast):
    alone = [f for f in each(of[method], 'without_preset') if f is not None]
    beside = 'random' in of and method != 'random'
    row = [dataset, NAMES[method], median_range(each(of[method], 'validation'))]
    row += [f'{gained(of, method):+.1f}', pairs(of, method), reached(of, method)] if beside else [''] * 3
    above = sum(f >= statistics.median(fast['validation']) for f in alone) if fast else None
    row += ['' if above is None else f'{above} of {len(of[method])}', mean_sd(each(of[method], 'test'))]
    return [*row, f"{statistics.median(each(of[method], 'trials')):g}", f"{statistics.median(each(of[method], 'failed')):g}"]


def tables(records):
    found, fast = searches(records), fast_of(records)
    if not found:
        return []
    rows = []
    for dataset, of in found.items():
        rows += [row_of(dataset, of, m, fast.get(dataset)) for m in of]
        if dataset in fast:
            f = fast[dataset]
            rows.append([dataset, '`fast` as it is', median_range(f['validation']), *[''] * 4, mean_sd(f['test']), '', ''])
    header = ['data set', 'method', 'validation accuracy: median and range over searches', 'points above random', 'better / equal / worse than random',
              "trainings to random's median", 'searched trials alone reach the median of `fast`', "winner's test accuracy", 'trials', 'failed']  # fmt: skip
    of = next(iter(found.values()))
    first = next(iter(of.values()))[0]['point']
    title = f"Best validation accuracy of {first['trials']} trainings, {first['layers']} layers of {first['hidden']}, {first['epochs']} epochs, measured"
    return [Table(title, header, rows, 'A method that stops trials early has more of them for as many trainings.')]


def finding(found):
    """Of all data sets together: points of medians above random search."""
    trials = max(r['point']['trials'] for of in found.values() for rs in of.values() for r in rs)
    parts = []
    for method in METHODS[1:]:
        gains = [gained(of, method) for of in found.values() if method in of and 'random' in of]
        if gains:
            parts.append(f"{NAMES[method]} {', '.join(f'{g:+.1f}' for g in gains)}")
    if not parts:
        return f'The best of {trials} trainings'
    return f"{trials} trainings, points of validation accuracy from random search: {'; '.join(parts)}"


def figures(records):
    found, fast = searches(records), fast_of(records)
    made = []
    for part in in_pictures(list(found)):
        panels = []
        for dataset in part:
            series = []
            for method, of_method in found[dataset].items():
                points = [(k, m) for k in range(1, of_method[0]['point']['trials'] + 1) if (m := medians(of_method, k))]
                if points:
                    series.append(Series(NAMES[method], [k for k, _ in points], *([m[i] for _, m in points] for i in range(3))))
            reference = statistics.median(fast[dataset]['validation']) if dataset in fast else None
            panels.append(Panel(stem(dataset), 'whole trainings spent', 'best validation accuracy so far', series, marks=False, reference=reference))
        repeats = max(len(rs) for d in part for rs in found[d].values())
        point = next(iter(found[part[0]].values()))[0]['point']
        about = f"{point['layers']} layers, n {point['hidden']}, {point['epochs']} epochs; medians over {repeats} searches, measured"
        notes = ['Dashed: `fast` as it is, 10 layers of 100 grown, median over seeds.'] if any(p.reference for p in panels) else []
        name = 'tune-' + '-'.join(stem(d) for d in part)
        made.append(Figure(name, finding({d: found[d] for d in part}), panels, about, 'Bands: quartiles over searches.', notes))
    return made
