"""What the number of training nodes does to seconds and accuracy, over the data sets of at-size."""

import statistics

from .figures import Figure, Panel, Series, span, two_digits

FEWEST = 3  # numbers of training nodes, below which there is nothing to see
DEPTHS = 2  # most in a picture: the least and the greatest that all data sets have


def train_of(row):
    return row.runs[0]['point']['train']


def lines_of(networks):
    """{(method, layers): its rows by training nodes} of what every data set has, at the least and the greatest such depth."""
    lines = {}
    for rows in networks.values():
        for row in rows:
            if row.layers:
                lines.setdefault((row.name, row.layers), []).append(row)
    lines = {key: sorted(rows, key=train_of) for key, rows in lines.items() if len(rows) == len(networks)}
    depths = sorted({layers for _, layers in lines})
    shown = depths[:1] + depths[1:][-(DEPTHS - 1) :]
    return {key: rows for key, rows in lines.items() if key[1] in shown}


def spread_series(title, layers, rows, values_of):
    values = [row.each(values_of) for row in rows]
    low, high = list(map(min, values)), list(map(max, values))
    return Series(title, list(map(train_of, rows)), list(map(statistics.median, values)), low, high, variant=f'{layers} layers')


def seconds(record):
    return record['values']['seconds']


def figures(found, titles, test):
    """A picture a width of network: `found` as at_size_report.rows_of has it, `test` a record's test accuracy."""
    widths = {}
    for (dataset, hidden, epochs), rows in found.items():
        widths.setdefault((hidden, epochs), {})[dataset] = rows
    made = []
    for (hidden, _), networks in widths.items():
        lines = lines_of(networks)
        if len({train_of(row) for rows in lines.values() for row in rows}) < FEWEST:
            continue
        series = lambda values_of, lines=lines: [spread_series(titles[name], layers, rows, values_of) for (name, layers), rows in lines.items()]
        no_lines = dict(xlog=True, counts=True, points=True, bars=True)  # from one graph to the next nothing follows
        panels = [
            Panel('', 'training nodes N, each another graph', 'seconds of a training', series(seconds), ylog=True, **no_lines),
            Panel('', 'training nodes N, each another graph', 'test accuracy', series(test), **no_lines),
        ]
        of = ', '.join(f'{dataset} {n:,}' for n, dataset in sorted((train_of(rows[0]), dataset) for dataset, rows in networks.items()))
        splits = span([len(row.runs) for rows in lines.values() for row in rows], '{}')
        about = f'n {hidden}, each method with its best setting by validation; {of}; measured'
        spread = f'Points: median; bars: range of {splits} split{"" if splits == "1" else "s"}.'
        made.append(Figure(f'at-size-nodes-{hidden}', finding(lines, titles, test), panels, about, spread))
    return made


def finding(lines, titles, test):
    """What the deepest networks take and reach on the most training nodes."""
    deepest = max(layers for _, layers in lines)
    last = {name: rows[-1] for (name, layers), rows in lines.items() if layers == deepest}
    told = [f'{titles[name]} {statistics.median(row.each(test)):.3f} in {two_digits(statistics.median(row.each(seconds)))} s' for name, row in last.items()]
    return f'{deepest} layers, {train_of(next(iter(last.values()))):,} training nodes, test accuracy: ' + '; '.join(told)
