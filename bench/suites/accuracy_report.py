"""What the records of accuracy say: tables beside the paper's, and the picture."""

import statistics

from . import paper
from .accuracy_methods import AXES, BACKPROPAGATION, NAMES, QUANTISED
from .figures import Figure, Panel, Series, span
from .tables import Table, mean_sd, measured


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
        tuned = ' tuned Adam may take fewer layers;' if 'Adam, tuned' in means else ''
        about = f'{network[0]} layers, n {network[1]}, about 20 labels a class;{tuned} measured'
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
