"""Test accuracy of pdADMM-G and of backpropagation (the paper's Tables III and IV), and of Adam tuned on validation accuracy."""

import statistics

from . import paper
from .figures import Figure, Panel, Series, span
from .session import Task
from .tables import Table, mean_sd, measured

TITLE = 'Test accuracy (Tables III and IV)'
TIMED = False  # accuracies, objectives and bytes are the same on a busy machine
ABOUT = """Test accuracy of the last iterate, mean ± sd over seeds. Grown: 2, 5, 10 layers (up to the depth given), --epochs in each (`fast`: its own);
ungrown: the full depth from scratch, --epochs in all, as in the paper. `paper`: the paper's hyperparameters and data options, for every
method. `fast`: this program's preset, chosen by validation accuracy. Adam, tuned: one pass over a grid, one axis after the other
(feature norm, weight decay, dropout, depth, learning rate), each by the best mean validation accuracy; so by Adam, in newer
records also by AdamW with a learning rate that falls along a cosine, and the better of both; its test accuracy is that of the epoch with the best validation accuracy,
or of the last epoch, as the column says. Hops are those of `fast`. Table IV: `--hidden 500`."""
SIZES = {
    'quick': dict(datasets=['sbm:nodes=500'], layers=10, hidden=16, seeds=2, epochs=20, search_seeds=1, methods=None),
    'default': dict(
        datasets=['cora', 'pubmed', 'citeseer', 'photo', 'computers', 'cs', 'physics'],
        layers=10, hidden=100, seeds=5, epochs=200, search_seeds=1, methods=None,
    ),  # fmt: skip
    'full': dict(datasets=list(paper.DATASETS), layers=10, hidden=100, seeds=5, epochs=200, search_seeds=5, methods=None),
}
QUANTISED = {'admm': [], 'admm-q8': ['--quantize', 'pq', '--bits', '8'], 'admm-q': ['--quantize', 'pq', '--bits', '4']}
BACKPROPAGATION = ('gd', 'adadelta', 'adagrad', 'adam')
METHODS = (*QUANTISED, *BACKPROPAGATION, 'adam-tuned')
NAMES = {
    'admm': 'pdADMM-G',
    'admm-q8': 'pdADMM-G-Q, 8 bits',
    'admm-q': 'pdADMM-G-Q, 4 bits',
    'gd': 'GD',
    'adadelta': 'Adadelta',
    'adagrad': 'Adagrad',
    'adam': 'Adam',
    'adam-tuned': 'Adam, tuned',
}
EVAL_EVERY = 20
# The grid of tuned Adam: an axis, its values (the first is where the search starts), and the options of a value.
AXES = {
    'feature norm': (('l2', 'row', 'none'), lambda v: ['--feature-norm', v]),
    'weight decay': (('5e-4', '5e-3', '0'), lambda v: ['--weight-decay', v]),
    'dropout': (('0.5', '0'), lambda v: ['--dropout', v]),
    'depth': (('2', '3', 'grown'), None),
    'learning rate': (('1e-2', '1e-3'), lambda v: ['--learning-rate', v]),
}
# The same for AdamW, whose decay is a share of the learning rate and stands beside the gradient.
RULES = {
    'adam': (['--optimizer', 'adam'], AXES),
    'adamw, cosine': (
        ['--optimizer', 'adamw', '--rate-schedule', 'cosine'],
        {**AXES, 'weight decay': (('0.5', '5', '0.05'), AXES['weight decay'][1]), 'dropout': (('0.5', '0.8'), AXES['dropout'][1])},
    ),
}


def growth(layers):
    return [depth for depth in (2, 5) if depth < layers] + [layers]


def grow_option(layers, grown):
    return ['--grow', ','.join(map(str, growth(layers))) if grown else '']


def work_of(session, arguments):
    """One training over seeds: lists by seed."""

    def work():
        runs = session.train(arguments)
        return {
            'test': [r['last']['test'] for r in runs],
            'test_at_best_val': [r['best']['test'] for r in runs],
            'val': [r['last']['val'] for r in runs],
            'best_val': [r['best']['val'] for r in runs],
            'train': [r['last']['train'] for r in runs],
            'objective': [r['objective'] for r in runs],
            'seconds': [r['seconds'] for r in runs],
            'bytes': [r['bytes'] for r in runs],
            'ms_per_iteration': [1e3 * r['seconds'] / r['epochs'] for r in runs],
        }

    return work


def training(session, point, more, seeds, weight, paced=True):
    """Over seeds, evaluated every EVAL_EVERY epochs, or as often as the preset says where not `paced`."""
    arguments = session.train_arguments(point['dataset'], *(['--eval-every', EVAL_EVERY] if paced else []), *more, '--seeds', seed_option(seeds))
    return Task(point, [session.shown(arguments)], work_of(session, arguments), list(seeds), weight=weight)


def seed_option(seeds):
    return ','.join(map(str, seeds)) + (',' if len(seeds) == 1 else '')


def seeds_of(preset, count):
    """The published list for the paper's preset, as far as it goes; else 0, 1, ..."""
    published = (0, 100, 200, 300, 400)
    return list(published[:count] if preset == 'paper' and count <= len(published) else range(count))


def cost(session, dataset, layers, hidden):
    """Rough seconds of 200 epochs of backpropagation, on this or that machine."""
    facts = session.facts(dataset)
    return 1 + 200 * 1e-10 * facts['train'] * hidden * (6 * 5 * facts['features'] + 6 * layers * hidden)


def tasks(session):
    s = session.sizes(SIZES)
    datasets, notes = session.datasets(s.datasets)
    yield from notes
    methods = s.methods or METHODS
    shape = {'layers': s.layers, 'hidden': s.hidden, 'epochs': s.epochs}
    network = ['--layers', s.layers, '--hidden', s.hidden]
    for dataset in datasets:
        point = {'dataset': dataset, **shape, 'train': session.facts(dataset)['train']}
        for method in (m for m in methods if m in QUANTISED):
            for preset in ('fast', 'paper') if len(growth(s.layers)) == 3 else ('fast',):  # the paper's lists are for three stages
                paced = preset != 'fast'  # which has epochs and evaluations of its own
                epochs = ['--epochs', s.epochs] if paced else []
                yield training(
                    session,
                    {**point, 'method': method, 'preset': preset, 'growth': 'grown'},
                    ['--preset', preset, *network, *epochs, *grow_option(s.layers, True), *QUANTISED[method]],
                    seeds_of(preset, s.seeds),
                    s.seeds * 2,
                    paced,
                )
        if 'admm' in methods:
            yield training(
                session,
                {**point, 'method': 'admm', 'preset': 'fast', 'growth': 'ungrown'},
                ['--preset', 'fast', *network, '--epochs', s.epochs, *grow_option(s.layers, False)],
                seeds_of('fast', s.seeds),
                s.seeds,
            )
        if 'adam-tuned' in methods:
            yield from tuned_adam(session, s, point)
    for grown in (True, False):
        for dataset in datasets:
            for method in (m for m in BACKPROPAGATION if m in methods):
                point = {
                    'dataset': dataset,
                    **shape,
                    'train': session.facts(dataset)['train'],
                    'method': method,
                    'preset': 'paper',
                    'growth': 'grown' if grown else 'ungrown',
                }
                yield training(
                    session,
                    point,
                    ['--preset', 'paper', *network, '--epochs', s.epochs, *grow_option(s.layers, grown), '--optimizer', method],
                    seeds_of('paper', s.seeds),
                    s.seeds * cost(session, dataset, s.layers, s.hidden) * (3 if grown else 1),
                )


def tuned_adam(session, s, point):
    """A pass over the axes by each rule, then the best of both over all seeds."""
    seen = {}

    def trial(rule, settings, seeds, part):
        options, axes = RULES[rule]
        arguments = ['--preset', 'fast', *options, '--hidden', s.hidden, '--epochs', s.epochs]
        for axis, value in settings.items():
            arguments += axes[axis][1](value) if axes[axis][1] else depth_options(value, s.layers)
        layers = s.layers if settings['depth'] == 'grown' else int(settings['depth'])
        weight = len(seeds) * cost(session, point['dataset'], layers, s.hidden) * (3 if settings['depth'] == 'grown' else 1)
        return training(
            session,
            {**point, 'method': 'adam-tuned', 'part': part, **({'settings': {**settings, **named_rule(rule)}} if part == 'search' else {})},
            arguments,
            seeds,
            weight,
        )

    def validation(rule, settings):
        name = (rule, *settings.values())
        if name not in seen:
            record = yield trial(rule, dict(settings), list(range(s.search_seeds)), 'search')
            seen[name] = statistics.fmean(record['values']['best_val']) if record and record['values'] else 0.0
        return seen[name]

    found = {}
    for rule, (_, axes) in RULES.items():
        chosen = {axis: values[0] for axis, (values, _) in axes.items()}
        for axis, (values, _) in axes.items():
            scores = []
            for value in values:
                scores.append((yield from validation(rule, {**chosen, axis: value})))
            chosen[axis] = values[scores.index(max(scores))]
        found[rule] = max(scores), chosen
    rule = max(RULES, key=lambda name: found[name][0])
    yield trial(rule, found[rule][1], list(range(s.seeds)), 'chosen')


def named_rule(rule):
    """What tells a setting's rule in its record; Adam's records came before the others and do not say it."""
    return {} if rule == 'adam' else {'rule': rule}


def depth_options(value, layers):
    return ['--layers', layers, *grow_option(layers, True)] if value == 'grown' else ['--layers', value, '--grow', '']


# What the records say


def variants(records):
    """(name of the row, record's method in the paper, records of it) in the order of the table."""

    def of(**point):
        return [r for r in records if all(r['point'].get(k) == v for k, v in point.items())]

    rows = []
    for preset in ('fast', 'paper'):
        for method in QUANTISED:
            rows.append((f'{NAMES[method]}, {preset}', method, of(method=method, preset=preset, growth='grown')))
    rows.append(('pdADMM-G, fast, ungrown', None, of(method='admm', preset='fast', growth='ungrown')))
    rows.append(('Adam, tuned', None, of(method='adam-tuned', part='chosen')))
    for grown in ('grown', 'ungrown'):
        rows += [(f'{NAMES[m]}, {grown}', m, of(method=m, growth=grown)) for m in BACKPROPAGATION]
    return [(name, method, found) for name, method, found in rows if found]


def networks(records):
    """(layers, hidden, epochs) that records are there for."""
    return sorted({(p['layers'], p['hidden'], p['epochs']) for p in (r['point'] for r in measured(records))})


def of_network(records, network):
    return [r for r in measured(records) if (r['point']['layers'], r['point']['hidden'], r['point']['epochs']) == network]


def datasets_of(records):
    names = list(dict.fromkeys(r['point']['dataset'] for r in records))
    return sorted(names, key=lambda n: (paper.DATASETS.index(n) if n in paper.DATASETS else len(paper.DATASETS), n))


def tables(records):
    made = []
    for network in networks(records):
        layers, hidden, epochs = network
        found = of_network(records, network)
        datasets = datasets_of(found)
        of_paper = [
            (f'paper: {NAMES[m].split(",")[0]}', [paper.accuracy_text(m, d, hidden) for d in datasets])
            for m in ('admm', 'admm-q', *BACKPROPAGATION)
        ]
        rows = [[name, *cells] for name, cells in of_paper if any(cells)]
        for name, _, of_row in variants(found):
            by_dataset = {r['point']['dataset']: r for r in of_row}
            rows.append([name, *(cell(by_dataset.get(d)) for d in datasets)])
        title = f'{layers} layers, n {hidden}, {epochs} epochs a stage; N ' + ', '.join(f'{train_nodes(found, d)} ({d})' for d in datasets)
        made.append(Table(f'Test accuracy of the last iterate, measured: {title}', ['method', *datasets], rows))
        made.append(comparison(found, datasets, title))
        made.append(settings_table(found, datasets))
    return [table for table in made if table and table.rows]


def train_nodes(records, dataset):
    return next(r['point']['train'] for r in records if r['point']['dataset'] == dataset)


def cell(record):
    if not record:
        return ''
    seeds = len(record['values']['test'])
    return mean_sd(record['values']['test']) + ('' if seeds == 5 else f' ({seeds} seed{"s" if seeds > 1 else ""})')


def comparison(records, datasets, title):
    """pdADMM-G at its best beside tuned Adam and the best of the paper's baselines, all chosen by validation accuracy."""
    rows = []
    for dataset in datasets:
        of_dataset = [r for r in records if r['point']['dataset'] == dataset]
        ours = best([r for r in of_dataset if r['point']['method'] in QUANTISED])
        tuned = best([r for r in of_dataset if r['point'].get('part') == 'chosen'])
        plain = best([r for r in of_dataset if r['point']['method'] in BACKPROPAGATION])
        rival = best([r for r in (tuned, plain) if r])
        if ours and rival:
            difference = 100 * (
                statistics.fmean(ours['values']['test_at_best_val']) - statistics.fmean(rival['values']['test_at_best_val'])
            )
            one_sd = 100 * max(sd(ours), sd(rival))
            verdict = 'better' if difference > one_sd else 'worse' if difference < -one_sd else 'within one sd'
            rows.append([dataset, named(ours), named(tuned), named(plain), f'{difference:+.1f} points: {verdict}'])
    return Table(
        f'pdADMM-G beside backpropagation, test accuracy at the best validation accuracy, measured: {title}',
        ['data set', 'pdADMM-G', 'Adam, tuned', "best of the paper's baselines", 'pdADMM-G beside the better rival'],
        rows,
        'In each column the variant with the best mean validation accuracy over seeds; so is the better rival. '
        'One sd: the larger of the two spreads.',
    )


def best(records):
    return max(records, key=lambda r: statistics.fmean(r['values']['best_val']), default=None)


def sd(record):
    values = record['values']['test_at_best_val']
    return statistics.stdev(values) if len(values) > 1 else 0.0


def named(record):
    if not record:
        return ''
    point = record['point']
    name = (
        ''
        if point['method'] == 'adam-tuned'
        else ', '.join([NAMES[point['method']], *([point['preset']] if point['method'] in QUANTISED else []), point['growth']])
    )
    return f"{mean_sd(record['values']['test_at_best_val'])}" + (f' ({name})' if name else '')


def settings_table(records, datasets):
    """What the search chose. The chosen record's command holds it."""
    rows = []
    for dataset in datasets:
        of_dataset = [r for r in records if r['point']['dataset'] == dataset and r['point']['method'] == 'adam-tuned']
        final = next((r for r in of_dataset if r['point']['part'] == 'chosen'), None)
        searched = [r for r in of_dataset if r['point']['part'] == 'search']
        if final and searched:
            settings = best(searched)['point']['settings']
            rows.append(
                [
                    dataset,
                    settings.get('rule', 'adam'),
                    *(settings[axis] for axis in AXES),
                    str(len(searched)),
                    str(len(searched[0]['seeds'])),
                    mean_sd(final['values']['best_val']),
                    mean_sd(final['values']['test']),
                    mean_sd(final['values']['test_at_best_val']),
                ]
            )
    return Table(
        'Adam, tuned on validation accuracy, measured',
        ['data set', 'rule', *AXES, 'settings tried', 'seeds of a trial', 'validation', 'test, last', 'test, best validation'],
        rows,
    )


SHOWN = (
    ('pdADMM-G', dict(method='admm', preset='fast', growth='grown')),
    ('pdADMM-G-Q, 4 bits', dict(method='admm-q', preset='fast', growth='grown')),
    ('Adam, tuned', dict(method='adam-tuned', part='chosen')),
    ("Adam, the paper's settings", dict(method='adam', preset='paper', growth='grown')),
)


def beside(found, datasets, hidden, shown):
    """Of records of one network: series of the methods `shown` and of the paper's best, a data set a row; the means of each method by
    data set; the paper's best by data set."""
    series, means = [], {}
    for name, point in shown:
        values = {r['point']['dataset']: r['values']['test_at_best_val'] for r in found if point.items() <= r['point'].items()}
        here = [k for k, d in enumerate(datasets) if d in values]
        if here:
            means[name] = {d: statistics.fmean(v) for d, v in values.items()}
            series.append(Series.of_seeds(name, here, [values[datasets[k]] for k in here]))
    of_paper = {d: max(filter(None, (paper.accuracy(m, d, hidden) for m in ('admm', 'admm-q'))), default=None) for d in datasets}
    of_paper = {d: accuracy for d, accuracy in of_paper.items() if accuracy}
    if series and of_paper:
        at = [k for k, d in enumerate(datasets) if d in of_paper]
        series.append(Series("the paper's best", at, [of_paper[datasets[k]] for k in at], kind='published'))
    return series, means, of_paper


def figures(records):
    made = []
    for network in networks(records):
        found = of_network(records, network)
        datasets = datasets_of(found)
        series, means, of_paper = beside(found, datasets, network[1], SHOWN)
        if not series:
            continue
        seeds = span([len(r['seeds']) for r in found if r['point'].get('part') != 'search'], '{}')
        labels = [f'{d}, N {train_nodes(found, d)}' for d in datasets]
        panel = Panel('', '', 'test accuracy at the best validation accuracy', series, rows=labels)
        about = f'{network[0]} layers, n {network[1]}, about 20 labels a class; tuned Adam may take fewer layers; measured'
        spread = f'Points: mean; bars: standard deviation of {seeds} seeds.'
        made.append(Figure(f'accuracy-{network[1]}', finding(means, of_paper), [panel], about, spread))
    return made


def finding(means, of_paper):
    """Points between pdADMM-G and tuned Adam, and how often it is at or above the paper."""
    name = next((n for n in ('pdADMM-G-Q, 4 bits', 'pdADMM-G') if n in means), None)
    ours, adam = means.get(name, {}), means.get('Adam, tuned', {})
    said = []
    if both := [100 * (ours[d] - adam[d]) for d in ours if d in adam]:
        said.append(f'{span(both, "{:+.1f}")} points from tuned Adam')
    if beside := [ours[d] >= accuracy for d, accuracy in of_paper.items() if d in ours]:
        said.append(f"at or above the paper's best on {sum(beside)} of {len(beside)} data sets")
    return f'{name}: {" and ".join(said)}' if said else 'Test accuracy on few labels'
