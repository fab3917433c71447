"""Tables of results, in Markdown and HTML; means and spreads."""

import dataclasses
import html
import statistics


@dataclasses.dataclass
class Table:
    title: str
    header: list
    rows: list  # of lists of text
    note: str = ''


def mean_sd(values, digits=3):
    """ "0.829 ± 0.002": mean and sample standard deviation over seeds; a single value by itself."""
    if not values:
        return ''
    mean = f'{statistics.fmean(values):.{digits}f}'
    return mean if len(values) < 2 else f'{mean} ± {statistics.stdev(values):.{digits}f}'


def measured(records):
    return [r for r in records if r['kind'] == 'measured']


def spread(values):
    """Median, quartiles, least and greatest of repetitions, and all of them in the order in which they were measured."""
    lower, _, upper = statistics.quantiles(values, n=4, method='inclusive') if len(values) > 1 else values * 3
    return {
        'median': statistics.median(values), 'lower': lower, 'upper': upper, 'least': min(values), 'greatest': max(values),
        'repetitions': len(values), 'samples': list(values),
    }  # fmt: skip


def markdown(table):
    def row(cells):
        return '| ' + ' | '.join(c.replace('|', '\\|') for c in cells) + ' |'

    lines = [f'**{table.title}**', '', row(table.header), '|---' * len(table.header) + '|', *map(row, table.rows)]
    return '\n'.join(lines + (['', table.note] if table.note else [])) + '\n'


def as_html(table):
    def row(cells, tag):
        return '<tr>' + ''.join(f'<{tag}>{html.escape(c)}</{tag}>' for c in cells) + '</tr>'

    rows = '\n'.join([row(table.header, 'th'), *(row(r, 'td') for r in table.rows)])
    note = f'<p>{html.escape(table.note)}</p>' if table.note else ''
    return f'<h3>{html.escape(table.title)}</h3>\n<table>\n{rows}\n</table>\n{note}\n'
