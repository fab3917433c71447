"""What the records of at-size say: the chosen setting of each method and depth, tables beside published figures, pictures."""

import math
import statistics

from . import at_size_nodes, published
from .at_size_methods import ADAMS, METHODS, OURS
from .figures import Figure, Panel, Series, in_pictures, span, stem, two_digits
from .session import DATA, HarnessError
from .tables import Table, mean_sd, measured

WITHIN = 0.005  # of the best validation accuracy
SHOWN = 0.12  # of test accuracy below the best, in the picture


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


def median_text(steps, column, text):
    median = median_of(steps, column)
    return 'never' if math.isinf(median) else text(median)


def reached_text(steps, column, text):
    done = sum(step is not None for step in steps)
    return median_text(steps, column, text) + ('' if done in (0, len(steps)) else f' ({done} of {len(steps)} splits)')


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


def cited(records, title, figure, where):
    """A cell of a page's table (bench/suites/cited.py): of the method of that title, on a data set at a depth; the method without depth
    stands at the least one."""
    if figure != 'reached':
        raise HarnessError(DATA, f'{figure}: no figure of at-size, expected reached')
    for (dataset, *_), rows in rows_of(records).items():
        least = min(row.layers for row in rows if row.layers)
        for row in rows:
            if (dataset, METHODS[row.name].title, str(row.layers or least)) == (where['dataset'], title, where['layers']):
                return cell_text(row, rows)
    return ''


def cell_text(row, rows):
    """Test accuracy (seconds until within half a point of the best; splits where fewer than others)."""
    done, most = len(row.runs), max(len(other.runs) for other in rows)
    more = [median_text(row.reached(targets(rows)), 1, '{:.3g}'.format)] if row.layers else []
    more += [f'{done} split' + 's' * (done > 1)] if done < most else []
    return mean_sd(row.each(test)) + (f" ({'; '.join(more)})" if more else '')


# Pictures: methods are rows, depths lie below each other


def figures(records):
    made = []
    for part in in_pictures(list(rows_of(records).items())):
        ending = '-'.join(stem(key[0]) for key, _ in part)
        shown = [name for name in METHODS if any(row.name == name for _, rows in part for row in rows)]
        networks = [name for name in published.TUNED if any(key[0] in published.TUNED[name] for key, _ in part)]
        depths = sorted({row.layers for _, rows in part for row in rows if row.layers})

        def panel(key, rows, text, of_row, beside=(), **more):
            best = max(len(row.runs) for row in rows)
            series = [points(f'{depth} layers', depth, shown, rows, of_row, best) for depth in depths]
            series.append(points('without layers', None, shown, rows, of_row, best))
            at = [k for k, name in enumerate(beside) if key[0] in published.TUNED[name]]
            means = [published.TUNED[beside[k]][key[0]] for k in at]
            series.append(Series('tuned networks', [len(shown) + k for k in at], [m for m, _ in means], [m - sd for m, sd in means], [m + sd for m, sd in means], 'published'))
            labels = [METHODS[name].title for name in shown] + list(beside)
            used = [s for s in series if s.x or s.never]
            return Panel(f'{key[0]}, {size_text(rows, key[1])}', '', text, used, rows=labels, **more)

        accuracies = [panel(key, rows, 'test accuracy', of_accuracy, networks, lowest=lowest_shown(rows)) for key, rows in part]
        times = [panel(key, rows, 'seconds', of_time(targets(rows)), ylog=True) for key, rows in part]
        splits = span([max(len(row.runs) for row in rows) for _, rows in part], '{}')
        fewer = [FEWER] if any(s.texts for p in accuracies for s in p.series) else []
        made.append(
            Figure(
                f'at-size-accuracy-{ending}', accuracy_finding(part), accuracies, 'Splits of 60/20/20, each method tuned by validation; measured',
                f'Points: mean; bars: standard deviation of {splits} splits.', fewer,
            )
        )  # fmt: skip
        made.append(
            Figure(
                f'at-size-time-{ending}', time_finding(part), times,
                'Seconds of training until half a point below the best validation accuracy that any method reached; measured',
                f'Points: median; bars: range of {splits} splits. "never": not on most splits.', fewer,
            )
        )  # fmt: skip
    titles = {name: method.title for name, method in METHODS.items()}
    return made + at_size_nodes.figures(rows_of(records), titles, test)


def lowest_shown(rows):
    """Where the axis begins, so that networks which did not train do not press the others together; None where all fit."""
    means = [row.test() for row in rows]
    return max(means) - SHOWN if min(means) < max(means) - SHOWN else None


FEWER = '*: fewer splits or settings than other rows.'


def points(label, depth, shown, rows, of_row, splits):
    """A depth along the methods, marked where a row has fewer splits or was tuned over fewer settings than others."""
    trials = max(row.trials for row in rows)
    x, spreads, never, texts = [], [], [], {}
    for k, name in enumerate(shown):
        row = next((row for row in rows if row.name == name and row.layers == depth), None)
        if not row:
            continue
        found = of_row(row)
        if not found:
            never.append(k)
            continue
        if len(row.runs) < splits or row.trials < trials:
            texts[len(x)] = '*'
        x.append(k)
        spreads.append(found)
    return Series(label, x, [s[1] for s in spreads], [s[0] for s in spreads], [s[2] for s in spreads], texts=texts, never=never)


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
            told.append(f'{100 * (ours.test() - adam.test()):+.1f} on {key[0]}'.replace('-0.0', '+0.0'))
    return 'Best pdADMM-G against best Adam, points of test accuracy: ' + ', '.join(told) if told else 'Test accuracy by method and depth'


def time_finding(part):
    """Seconds to within half a point: the quickest of ours beside the quickest Adam."""
    told = []
    for key, rows in part:
        ours, adam = quickest_of_both(rows)
        told.append(f'{seconds_text(ours)} and {seconds_text(adam)} on {key[0]}')
    return 'Seconds to half a point below the best, pdADMM-G and Adam: ' + '; '.join(told)


def quickest_of_both(rows):
    """Seconds of the quickest of ours and of the quickest Adam."""
    aims = targets(rows)
    return [quickest([row for row in rows if row.name in names], aims) for names in (OURS, ADAMS)]


def quickest(rows, aims):
    return min((median_of(row.reached(aims), 1) for row in rows), default=math.inf)


def seconds_text(value):
    return 'never' if math.isinf(value) else two_digits(value)
