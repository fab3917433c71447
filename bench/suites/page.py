"""Pages of results: tables of a suite in Markdown, one page of all suites in Markdown and in HTML."""

import html
import importlib
import pathlib
import re

from . import front, quiet, tables
from .session import DATA, HarnessError, OUTPUT, Store, label

SUITES = (
    'convergence',
    'layers',
    'devices',
    'communication',
    'accuracy',
    'splits',
    'at-size',
    'penalties',
    'tune',
    'time-to-accuracy',
    'time-to-objective',
    'kernels',
    'scaling',
    'peers',
    'large',
)
STYLE = (
    'body{font:15px/1.5 sans-serif;max-width:1100px;margin:2em auto;padding:0 1em}table{border-collapse:collapse;font-size:13px}'
    'th,td{border-bottom:1px solid #ddd;padding:3px 9px;text-align:left}svg,img{max-width:100%;height:auto}code{font-size:12px}'
)


SUMMARY = (
    'The findings of the pictures below, as they are computed from the records. `bench/FINDINGS.md` reads them together: what pdADMM-G is '
    'good for, and where another method is the better choice.'
)


def suite_of(name):
    if name not in SUITES:
        raise HarnessError(DATA, f'{name}: no such suite, expected one of {", ".join(SUITES)}')
    return importlib.import_module('.' + name.replace('-', '_'), __package__)


def is_timed(name):
    """Whether tables or plots of a suite show times, which a busy machine spoils."""
    return getattr(suite_of(name), 'TIMED', True)


def records_of(path):
    return list(Store(pathlib.Path(path)).records.values())


def plots(figures, out, formats):
    """The figures that were drawn, in all of the formats, or why there are none."""
    import plot

    try:
        plot.write_figures(figures, out, formats)
        return figures, ''
    except plot.PlotError as error:
        return [], f'no plots: {error}'


def alternative(figure):
    """What a picture says, for those who cannot see it."""
    return re.sub(r'[][]', '', f'{figure.title} ({figure.about})' if figure.about else figure.title)


def provenance(records, timed=True):
    """What a reader must know of where figures come from, in lines. How busy the machine was says nothing of figures that are no times."""
    done = [r for r in records if r['kind'] != 'left out']
    machines = sorted({f"{r['machine']['processor']}, {r['machine']['cores']} cores; {r['device']}" for r in done})
    loads = [r['machine']['load'][0] for r in done if timed]
    programs = sorted({f"{r['version']}, commit {r['commit']}" for r in done})
    lines = [f'Machine: {m}.' for m in machines] + [f"Program: {'; '.join(programs)}."] if done else []
    if loads and max(loads) > 1.5:
        lines.append(f'The machine was shared: load {min(loads):.1f} to {max(loads):.1f} while measuring.')
    taken = [r['machine']['others'] for r in done if timed and r['machine'].get('others') is not None]
    if taken and max(taken) > quiet.MOST:
        lines.append(f'Other processes took {100 * min(taken):.0f} to {100 * max(taken):.0f} % of the processors while measuring.')
    lines += [f'Measured all the same: {why}.' for why in dict.fromkeys(why for r in done for why in r.get('anyway', []))]
    lines += [f"Command: `{c}`" for c in dict.fromkeys(r['harness'] for r in done)]
    return lines


def notes(records):
    """What was left out, and why."""
    return [f"Left out: {label(r['point'])}: {r['why']}" for r in records if r['kind'] == 'left out']


def write(path, text):
    try:
        path.write_text(text, encoding='utf-8')
    except OSError as error:
        raise HarnessError(OUTPUT, f'{path}: {error.strerror}, expected a file that can be written; choose another --out') from None


def write_suite(out, name, formats):
    """OUT/NAME.md and the plots; the text for the terminal."""
    out = pathlib.Path(out)
    records = records_of(out / f'{name}.jsonl')
    text = '\n'.join(tables.markdown(t) for t in suite_of(name).tables(records))
    drawn, why = plots(suite_of(name).figures(records), out, formats)
    last = [why] if why else [f'{out}/{figure.name}.svg: written' for figure in drawn]
    return '\n'.join([text, *notes(records), *last])


def parts(out):
    """(name, suite, records) of every suite that has results."""
    found = []
    for name in SUITES:
        path = pathlib.Path(out) / f'{name}.jsonl'
        if path.exists():
            found.append((name, suite_of(name), records_of(path)))
    if not found:
        raise HarnessError(DATA, f'{out}: no results, expected SUITE.jsonl; run a suite first')
    return found


def anchor(title):
    """Where a heading of Markdown is found on its page, as GitHub names it."""
    return re.sub(r'[^\w -]', '', title.lower()).replace(' ', '-')


def in_one_minute(found, figures):
    """Markdown and HTML: of every suite, what each of its pictures says."""
    says = [(suite.TITLE, list(dict.fromkeys(figure.title for figure in figures[name]))) for name, suite, _ in found if figures[name]]
    table = lambda rows: tables.Table('What each picture below says', ['what was asked', 'what was found'], rows)
    linked = table([[f'[{title}](#{anchor(title)})', '<br>'.join(findings)] for title, findings in says])
    plain = table([[title, '; '.join(findings)] for title, findings in says])
    return ['## In one minute', '', SUMMARY, '', tables.markdown(linked)], ['<h2>In one minute</h2>', f'<p>{inline(SUMMARY)}</p>', tables.as_html(plain)]


def write_report(out, formats):
    """OUT/README.md and OUT/report.html of everything there; their paths."""
    out = pathlib.Path(out)
    markdown = [
        '# Results',
        '',
        'Written by `bench/harness report`; every figure comes from the JSON lines beside this page. "Measured" and "modelled" are said in '
        'every title. Make your own: `bench/harness all`, or one suite, with `--quick` or `--full`; `bench/harness --help`.',
        '',
    ]
    page = ['<!doctype html><meta charset="utf-8"><title>pdadmm: results</title>', f'<style>{STYLE}</style>', '<h1>pdadmm: results</h1>']
    found = parts(out)
    figures = {name: suite.figures(records) for name, suite, records in found}
    for lines, more in zip((markdown, page), in_one_minute(found, figures)):
        lines += more
    for name, suite, records in found:
        whence = provenance(records, is_timed(name))
        drawn, why = plots(figures[name], out, formats)
        made, left = suite.tables(records), notes(records) + ([why] if why else [])
        about = ' '.join(suite.ABOUT.split())
        markdown += [
            f'## {suite.TITLE}',
            '',
            about,
            '',
            *(f'![{alternative(figure)}]({figure.name}.svg)\n' for figure in drawn),
            *(tables.markdown(t) for t in made),
            *(f'{line}  ' for line in whence + left),
            '',
        ]
        page += [
            f'<h2>{html.escape(suite.TITLE)}</h2><p>{inline(about)}</p>',
            *(svg(out / f'{figure.name}.svg') for figure in drawn),
            *(tables.as_html(t) for t in made),
            *(f'<p>{inline(line)}</p>' for line in whence + left),
        ]
    if first := front.figure({name: records for name, _, records in found}):
        plots([first], out, formats)
    write(out / 'README.md', '\n'.join(markdown))
    write(out / 'report.html', '\n'.join(page))
    return [out / 'README.md', out / 'report.html']


def inline(text):
    return re.sub(r'`([^`]*)`', r'<code>\1</code>', html.escape(text))


def svg(path):
    """The drawing itself, its ids made its own: several stand on one page."""
    text = path.read_text(encoding='utf-8')
    text = re.sub(r'(id="|href="#|url\(#)', lambda m: m.group(1) + path.stem + '-', text)
    return text[text.index('<svg') :]
