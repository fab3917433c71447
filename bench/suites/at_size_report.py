"""What the records of at-size say: the chosen setting of each method and depth, tables beside published figures, pictures."""

import math
import statistics

from . import published
from .at_size_methods import ADAMS, METHODS, OURS
from .figures import Figure, Panel, Series, stem
from .tables import Table, mean_sd, measured

WITHIN = 0.005  # of the best validation accuracy
PANELS = 3  # data sets in a picture


def best_setting(trials):
    """The setting with the best validation accuracy among runs of split 0. None where there is none."""
    done = [r for r in trials if r['values'] and r['point']['split'] == 0]
    found = max(done, key=lambda r: validation(r), default=None)
    return found['point']['setting'] if found else None


def validation(record):
    return record['values']['climb'][-1][3]


def test(record):
    return record['values']['climb'][-1][4]


class Row:
    """A method at a depth on a data set: its trials, and the runs of its chosen setting, split by split."""

    def __init__(self, name, layers, records):
        self.name, self.layers, self.trials = name, layers, sum(r['point']['split'] == 0 for r in records)
        self.setting = best_setting(records)
        runs = (r for r in records if r['point']['setting'] == self.setting)
        self.runs = sorted(runs, key=lambda r: r['point']['split'])

    def each(self, function):
        return [function(r) for r in self.runs]

    def validation(self):
        return statistics.fmean(self.each(validation))

    def test(self):
        return statistics.fmean(self.each(test))

    def reached(self, targets):
        """Of every run the step of its climb that first reaches the target of its split, or None."""
        return [
            next((step for step in r['values']['climb'] if step[3] >= targets[r['point']['split']]), None) for r in self.runs
        ]


def rows_of(records):
    """{(data set, hidden, epochs): [Row]}: a network's methods in the order of METHODS, each by depth; ridge regression at each."""
    found, networks, depthless = {}, {}, {}
    for r in measured(records):
        p = r['point']
        if p['method'] not in METHODS or p['setting'] not in dict(METHODS[p['method']].settings) or not r['values']['climb']:
            continue
        if 'layers' in p:
            key = (p['dataset'], p['hidden'], p['epochs'])
            networks.setdefault(p['dataset'], []).append(key)
            found.setdefault(key, {}).setdefault((p['method'], p['layers']), []).append(r)
        else:
            depthless.setdefault(p['dataset'], {}).setdefault((p['method'], None), []).append(r)
    for dataset, of_method in depthless.items():
        for key in dict.fromkeys(networks.get(dataset, [])):
            found[key].update(of_method)
    order = list(METHODS)
    made = {}
    for key, of_row in found.items():
        rows = [Row(name, layers, of) for (name, layers), of in sorted(of_row.items(), key=lambda i: (order.index(i[0][0]), i[0][1] or 0))]
        made[key] = [row for row in rows if row.runs]
    return {key: rows for key, rows in made.items() if rows}


def targets(rows):
    """By split: what is within half a point of the best validation accuracy of all methods and depths."""
    best = {}
    for row in rows:
        for r in row.runs:
            split = r['point']['split']
            best[split] = max(best.get(split, 0.0), validation(r))
    return {split: value - WITHIN for split, value in best.items()}


def best_of(rows, names):
    """The row with the best mean validation accuracy among those methods; a row of fewer splits than others does not take part."""
    splits = max((len(row.runs) for row in rows), default=0)
    complete = [row for row in rows if row.name in names and len(row.runs) == splits]
    return max(complete, key=lambda row: row.validation(), default=None)


# Tables


def median_of(steps, column):
    """Of what every split needs; infinite where a split never gets there, so a median that is finite means that most do."""
    return statistics.median(step[column] if step else math.inf for step in steps)


def reached_text(steps, column, text):
    done, median = sum(step is not None for step in steps), median_of(steps, column)
    reached = 'never' if math.isinf(median) else text(median)
    return reached + ('' if done in (0, len(steps)) else f' ({done} of {len(steps)} splits)')


def megabytes(value):
    return f'{1e-6 * value:,.3g}' if value < 1e9 else f'{1e-6 * value:,.0f}'


def row_text(row, aims):
    steps, sends = row.reached(aims), 'bytes' in row.runs[0]['values']
    median = lambda key: statistics.median(row.each(lambda r: r['values'][key]))
    return [
        METHODS[row.name].title,
        str(row.layers or ''),
        mean_sd(row.each(test)),
        mean_sd(row.each(validation)),
        reached_text(steps, 1, lambda v: f'{v:.3g}'),
        reached_text(steps, 0, lambda v: f'{v:.0f}') if row.layers else '',
        reached_text(steps, 2, megabytes) if sends else '',
        f"{median('seconds'):.3g}",
        megabytes(median('bytes')) if sends else '',
        f"{1e-6 * median('peak_bytes'):,.0f}",
        f'{row.setting} ({row.trials} tried)',
    ]


HEADER = [
    'method', 'layers', 'test accuracy', 'validation accuracy', 'seconds to within half a point', 'iterations', 'MB sent',
    'seconds in all', 'MB sent in all', 'peak memory, MB', 'setting',
]  # fmt: skip


def beside(dataset, blank):
    """Rows of published figures."""
    return [
        [f'{network}, tuned, as published ({published.SOURCE})', '', published.text(network, dataset), *[''] * blank]
        for network in published.TUNED
        if published.text(network, dataset)
    ]


def tables(records):
    found = rows_of(records)
    made = [overview(found)] if found else []
    for (dataset, hidden, epochs), rows in found.items():
        splits = max(len(row.runs) for row in rows)
        made.append(
            Table(
                f'{dataset}, measured: {size_text(rows, hidden)}, at most {epochs} iterations a stage, {splits} split{"s" if splits > 1 else ""}',
                HEADER,
                [row_text(row, targets(rows)) for row in rows] + beside(dataset, len(HEADER) - 3),
                libraries(rows),
            )
        )
    return made


def size_text(rows, hidden):
    return f"n {hidden}, N {rows[0].runs[0]['point']['train']}"


def libraries(rows):
    used = {(v['torch'], v['blas']) for row in rows for v in row.each(lambda r: r['values']) if 'torch' in v}
    return '; '.join(f'PyTorch {torch} with {blas}' for torch, blas in sorted(used))


def overview(found):
    """Each method at the depth with the best mean validation accuracy, a data set a row."""
    names = [name for name in METHODS if any(row.name == name for rows in found.values() for row in rows)]
    lines = []
    for (dataset, hidden, _), rows in found.items():
        cells = []
        for name in names:
            row = best_of(rows, (name,))
            cells.append(f'{mean_sd(row.each(test))}' + (f' ({row.layers} layers)' if row.layers else '') if row else '')
        lines.append([f'{dataset} ({size_text(rows, hidden)})', *cells, *(published.text(network, dataset) for network in published.TUNED)])
    header = ['data set', *(METHODS[name].title for name in names), *(f'{network}, published' for network in published.TUNED)]
    return Table(
        'Test accuracy at the depth with the best validation accuracy, measured; published figures beside',
        header,
        lines,
        f'Published: tuned networks of {published.SOURCE}, Table 2, on splits of the same shares.',
    )


# Pictures


def in_pictures(found):
    """(name's ending, [(key, rows)]) with at most PANELS data sets each."""
    items = list(found.items())
    parts = [items[k : k + PANELS] for k in range(0, len(items), PANELS)]
    return [('-'.join(stem(key[0]) for key, _ in part), part) for part in parts]


def figures(records):
    made = []
    for ending, part in in_pictures(rows_of(records)):
        depths = sorted({row.layers for _, rows in part for row in rows if row.layers})
        shown = [name for name in METHODS if any(row.name == name for _, rows in part for row in rows)]
        labels = [f'{depth} layers' for depth in depths]

        def panel(key, rows, text, of_row, **more):
            series = [points(METHODS[name].title, depths, [row for row in rows if row.name == name], of_row) for name in shown]
            return Panel(f'{key[0]}, {size_text(rows, key[1])}', '', text, series, categories=labels, **more)

        accuracies = [panel(key, rows, 'test accuracy, mean and sd', of_accuracy) for key, rows in part]
        times = [
            panel(key, rows, 'seconds, median and range', of_time(targets(rows)), ylog=True) for key, rows in part
        ]
        made.append(Figure(f'at-size-accuracy-{ending}', accuracy_finding(part), accuracies))
        made.append(Figure(f'at-size-time-{ending}', time_finding(part), times))
    return made


def points(title, depths, rows, of_row):
    """A method along the depths; what has no depth stands at all of them."""
    x, spreads = [], []
    for k, depth in enumerate(depths):
        row = next((row for row in rows if row.layers in (depth, None)), None)
        found = of_row(row) if row else None
        if found:
            x.append(k)
            spreads.append(found)
    return Series(title, x, [s[1] for s in spreads], [s[0] for s in spreads], [s[2] for s in spreads])


def of_accuracy(row):
    values = row.each(test)
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return row.test() - sd, row.test(), row.test() + sd


def of_time(aims):
    def found(row):
        steps = row.reached(aims)
        done, median = [step[1] for step in steps if step], median_of(steps, 1)
        return None if math.isinf(median) else (min(done), median, max(done))

    return found


def accuracy_finding(part):
    """How far the best of ours is from the best Adam, each chosen by validation accuracy."""
    told = []
    for key, rows in part:
        ours, adam = best_of(rows, OURS), best_of(rows, ADAMS)
        if ours and adam:
            told.append(f'{100 * (ours.test() - adam.test()):+.1f} on {key[0]}')
    return 'Test accuracy of the best pdADMM-G beside the best Adam, points: ' + ', '.join(told) if told else 'Test accuracy by depth'


def time_finding(part):
    """Seconds to within half a point: the quickest of ours beside the quickest Adam."""
    told = []
    for key, rows in part:
        ours, adam = (quickest([row for row in rows if row.name in names], targets(rows)) for names in (OURS, ADAMS))
        told.append(f'{key[0]} {seconds_text(ours)} and {seconds_text(adam)}')
    return 'Seconds to half a point below the best, pdADMM-G and Adam: ' + ', '.join(told)


def quickest(rows, aims):
    return min((median_of(row.reached(aims), 1) for row in rows), default=math.inf)


def seconds_text(value):
    return 'never' if math.isinf(value) else f'{value:.2g}'
