"""Figures that pages cite: tables of README and bench/FINDINGS.md, each cell as the records have it.

A table whose cells come from records has a comment right before it:
    <!-- source: FILE.jsonl, rows: KEY               the table holds figures of these records; its rows are their KEY
         COLUMN: FIGURE, KEY=VALUE KEY=VALUE         mean of FIGURE over seeds ± sd, of the one record that fits
         COLUMN: FIGURE MB, KEY=VALUE                one number of bytes
         COLUMN: paper METHOD METHOD, hidden=N -->   the paper's, the best of these methods (bench/suites/paper.py)
A suite with a `cited` of its own says what its figures are: of at-size `reached`, of kernels `iteration`. Columns without a rule are the page's.
"""

import pathlib
import re
import statistics

from . import page, paper
from .session import DATA, HarnessError, ROOT

PAGES = ('README.md', 'bench/FINDINGS.md')
TABLE = re.compile(r'(<!-- source: (\S+), rows: (\w+)\n(.*?)-->\n)((?:\|[^\n]*\n)+)', flags=re.S)
# Rows whose name on a page is shorter than in the records.
CODECS = {
    'grid of 256': 'grid of 256, p and q',
    '8 bits': 'difference, 8 bits, p and q',
    '4 bits': 'difference, 4 bits, p and q',
    '2 bits, max': 'difference, 2 bits, p and q',
    '2 bits, rms': 'difference, 2 bits rms, p and q',
    '1 bit': 'difference, 1 bit, p and q',
}


def cells_of(line):
    return [cell.strip() for cell in line.strip('|\n').split('|')]


def filled(text):
    """The page with each cell of such a table as the records have it, and what differs: "row, column: was, expected is"."""
    problems = []

    def table(found):
        head, source, key, rules, lines = found.groups()
        records, own = page.records_of(ROOT / source), getattr(page.suite_of(pathlib.Path(source).stem), 'cited', None)
        header, line, *rows = lines.splitlines()
        columns, made = cells_of(header), [header, line]
        rows = [cells_of(row) for row in rows]
        for rule in rules.strip().split('\n'):
            column, rule = rule.strip().rsplit(': ', 1)
            figure, _, conditions = rule.partition(', ')
            where = dict(word.split('=') for word in conditions.split())
            at = columns.index(column)
            for row in rows:
                is_now = own(records, row[0], figure, where) if own else expected_cell(records, key, row[0], figure, where)
                if row[at] != is_now:
                    problems.append(f'{row[0]}, {column}: {row[at] or "nothing"}, expected {is_now or "nothing"}')
                    row[at] = is_now
        made += [re.sub(r'\|  (?=\|)', '| ', '| ' + ' | '.join(row) + ' |') for row in rows]
        return head + '\n'.join(made) + '\n'

    return TABLE.sub(table, text), problems


def expected_cell(records, key, row, figure, where):
    if figure.startswith('paper '):
        return f"{max(paper.accuracy(m, row, int(where['hidden'])) for m in figure.split()[1:]):.3f}"
    wanted = {**where, key: CODECS.get(row, row) if key == 'codec' else row}
    fits = lambda point: all(str(point.get(k, '-')) == v for k, v in wanted.items())
    found = [r for r in records if r['kind'] == 'measured' and fits(r['point'])]
    if len(found) > 1:
        raise HarnessError(DATA, f'{row}: {len(found)} records of {wanted}, expected one')
    if not found:
        return ''
    figure, _, unit = figure.partition(' ')
    values = found[0]['values'][figure]
    if unit == 'MB':
        return f'{values / 1e6:.1f}'
    seeds = '' if len(values) == 5 else f' ({len(values)} seeds)'
    return f'{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}{seeds}'


def write_pages(out):
    """Writes the cells anew where `out` holds the repository's own results; what changed, in lines."""
    if pathlib.Path(out).resolve() != ROOT / 'bench' / 'results':
        return []
    changed = []
    for name in PAGES:
        text, problems = filled((ROOT / name).read_text(encoding='utf-8'))
        if problems:
            page.write(ROOT / name, text)
            changed += [f'{name}: {problem}' for problem in problems]
    return changed
