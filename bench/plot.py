#!/usr/bin/env python3
"""Pictures in one style: runs of `pdadmm train --out`, and results of bench/harness.

Usage: bench/plot.py RUN [RUN ...] --out FILE.svg|.png|.pdf   objective, residual and accuracy against iterations
       bench/plot.py SUITE.jsonl [...] --out FOLDER           every figure of those suites, as SVG
A RUN with several seeds (folders seed-*) is drawn as its mean with the range over seeds. Needs matplotlib.
"""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # of `suites`
import drawing  # noqa: E402
import legibility  # noqa: E402
import style  # noqa: E402
from style import PlotError  # noqa: E402
from suites import page  # noqa: E402
from suites.figures import Figure, Panel, Series, so_many, thinned  # noqa: E402
from suites.session import HarnessError  # noqa: E402

PANELS = [
    ('objective', 'objective', 'L_rho', True),
    ('primal_residual', 'residual', '|p - q|', True),
    ('test_accuracy', 'test accuracy', 'share of test nodes', False),
]
ENDINGS = ('svg', 'png', 'pdf')
POINTS = 200  # of a curve, at most


def write(figure, path, width=style.PAGE):
    """Draws one figure into a file of one of ENDINGS; words of what a reader could not read."""
    path = pathlib.Path(path)
    made = drawing.draw(figure, width)
    try:
        metadata = {'svg': {'Date': None, 'Creator': None}, 'pdf': {'CreationDate': None}}.get(path.suffix[1:])
        made.savefig(path, metadata=metadata, dpi=200 if path.suffix == '.png' else made.dpi)
        if path.suffix == '.svg':
            path.write_text(style.finish_svg(path.read_text(encoding='utf-8'), figure.title, figure.about), encoding='utf-8')
        return legibility.faults(made)
    except (OSError, ValueError) as error:
        raise PlotError(f'{path}: {error}') from None
    finally:
        style.pyplot().close(made)


def write_figures(figures, folder, endings=('svg',), width=style.PAGE):
    """FOLDER/NAME.svg of every figure; their names. Texts that lie on each other are told on stderr."""
    for figure in figures:
        for ending in endings:
            path = pathlib.Path(folder, f'{figure.name}.{ending}')
            for fault in write(figure, path, width):
                print(f'plot.py: warning: {path}: {fault}', file=sys.stderr)
    return [figure.name for figure in figures]


# Runs


def read_metrics(path):
    try:
        with open(path, encoding='utf-8') as lines:
            return [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise PlotError(f'{path}: {error}, expected metrics.jsonl of a run') from None


def read_run(folder):
    """Metrics of every seed of a run folder."""
    seeds = sorted(folder.glob('seed-*/metrics.jsonl')) or [folder / 'metrics.jsonl']
    return [read_metrics(path) for path in seeds]


def series(name, seeds, key):
    """Mean and range over seeds, at the iterations that all of them have a finite value for."""
    by_seed = [{row['epoch']: row[key] for row in rows if row.get(key) is not None} for rows in seeds]
    epochs = thinned(sorted(set.intersection(*(set(values) for values in by_seed))), POINTS)
    columns = [[values[epoch] for values in by_seed] for epoch in epochs]
    mean = [sum(c) / len(c) for c in columns]
    return Series(name, epochs, mean, *(([min(c) for c in columns], [max(c) for c in columns]) if len(seeds) > 1 else ()))


def stage_starts(rows):
    return [b['epoch'] for a, b in zip(rows, rows[1:]) if b['stage'] != a['stage']]


def figure_of_runs(folders):
    runs = {folder.name: read_run(folder) for folder in folders}
    panels = []
    for key, title, unit, logarithmic in PANELS:
        found = [s for name, seeds in runs.items() if (s := series(name, seeds, key)).x]
        if found:
            panels.append(Panel(title, 'iteration', unit, found, ylog=logarithmic, marks=False))
    if not panels:
        raise PlotError(f'{folders[0]}: nothing to draw, expected iterations in metrics.jsonl')
    reached = [(s.label, s.y[-1]) for p in panels if p.title == 'test accuracy' for s in p.series]
    title = 'Test accuracy at the end: ' + ', '.join(f'{y:.3f} ({name})' for name, y in reached) if reached else 'Training'
    stages = stage_starts(next(iter(runs.values()))[0])
    grown = f"; layers are added at iteration {', '.join(map(str, stages))}" if stages else ''
    seeds = max(len(of) for of in runs.values())
    about = f"{' and '.join(runs)}: {so_many(seeds, 'seed')}{grown}; measured"
    return Figure('runs', title, panels, about, 'Lines: mean; bands: range over seeds.' if seeds > 1 else '')


def draw_results(files, folder, endings, width):
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    for path in files:
        if not path.exists():
            raise PlotError(f'{path}: no such file, expected results of bench/harness')
        for name in write_figures(page.suite_of(path.stem).figures(page.records_of(path)), folder, endings, width):
            print(f'{folder}/{name}.{endings[0]}: written')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', type=pathlib.Path, metavar='RUN|SUITE.jsonl')
    parser.add_argument('--out', required=True, help='picture to write, or folder')
    parser.add_argument('--format', choices=ENDINGS, default='svg', help='of the pictures of suites (default svg)')
    parser.add_argument('--narrow', action='store_true', help='panels one above another, for a column or a phone')
    options = parser.parse_args()
    results = [path for path in options.runs if path.suffix == '.jsonl']
    if results and len(results) < len(options.runs):
        parser.error('run folders and results: expected one kind')
    width = style.NARROW if options.narrow else style.PAGE
    try:
        if results:
            draw_results(results, options.out, (options.format,), width)
        elif pathlib.Path(options.out).suffix[1:] not in ENDINGS:
            raise PlotError(f"--out {options.out}: '{pathlib.Path(options.out).suffix}', expected .svg, .png or .pdf")
        else:
            write(figure_of_runs(options.runs), options.out, width)
    except (PlotError, HarnessError) as error:
        print(f'plot.py: error: {error}', file=sys.stderr)
        sys.exit(3)


if __name__ == '__main__':
    main()
