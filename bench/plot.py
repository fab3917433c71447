#!/usr/bin/env python3
"""Plots in one style: runs of `pdadmm train --out`, and results of bench/harness.

Usage: bench/plot.py RUN [RUN ...] --out FILE.svg|.png     objective, residual and accuracies against epochs
       bench/plot.py SUITE.jsonl [...] --out FOLDER        every figure of those suites, as SVG and PNG
A RUN with several seeds (folders seed-*) is drawn as its mean with the range over seeds. Needs matplotlib.
"""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # of `suites`
from suites import page  # noqa: E402
from suites.session import HarnessError  # noqa: E402

PANELS = [
    ('objective', 'objective $L_\\rho$', True),
    ('primal_residual', 'residual $\\|p-q\\|$', True),
    ('test_accuracy', 'test accuracy', False),
]
STYLE = {
    'font.size': 9,
    'axes.grid': True,
    'grid.alpha': 0.3,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'svg.hashsalt': 'pdadmm',
}
MARKS = 'osD^v<>Pp*hX'
WIDTH, HEIGHT, BESIDE = 3.9, 3.2, 3  # inches of a panel, panels in a row


class PlotError(Exception):
    """One line for the user."""


def pyplot():
    try:
        import matplotlib
    except ImportError:
        raise PlotError('matplotlib is missing; install it (Debian: apt install python3-matplotlib)') from None
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    plt.rcParams.update(STYLE)
    return plt


# Figures of suites


def draw_points(axis, series, number, of, panel):
    """One series along categories: means with whiskers, beside those of the other series."""
    shift = (number - (of - 1) / 2) * 0.8 / of
    x = [v + shift for v in series.x]
    errors = (
        [[y - low for y, low in zip(series.y, series.low)], [high - y for y, high in zip(series.y, series.high)]] if series.low else None
    )
    axis.errorbar(
        x, series.y, yerr=errors, fmt=MARKS[number % len(MARKS)], markersize=4, linewidth=1, label=series.label, color=f'C{number % 10}'
    )


def draw_line(axis, series, number, of, panel):
    color = f'C{number // panel.of_a_colour % 10}'
    axis.plot(
        series.x,
        series.y,
        color=color,
        linewidth=1.4,
        linestyle='' if len(series.x) == 1 else '--' if series.dashed else '-',
        label=series.label,
        marker=MARKS[number % len(MARKS)] if panel.marks else None,
        markersize=4,
    )
    if series.low:
        axis.fill_between(series.x, series.low, series.high, alpha=0.2, color=color, linewidth=0)
    if panel.lowest is not None:
        for x, y in zip(series.x, series.y):
            if y < panel.lowest:
                at = (x, panel.lowest)
                axis.annotate(f'{y:.2f}', at, (0, 2), textcoords='offset points', ha='center', va='bottom', fontsize=8, color=color)


def draw(figure):
    """A matplotlib figure of suites.figures.Figure. Panels with the same series share a legend, on the right."""
    plt = pyplot()
    from matplotlib import ticker

    columns = min(BESIDE, len(figure.panels)) if len(figure.panels) != 4 else 2
    rows = -(-len(figure.panels) // columns)
    alone = len(figure.panels) == 1
    wide = (2.2 if alone else 1.2) if any(p.categories for p in figure.panels) else 1.5 if alone else 1
    drawing, axes = plt.subplots(rows, columns, figsize=(WIDTH * columns * wide, HEIGHT * rows), squeeze=False, constrained_layout=True)
    labels = [[s.label for s in p.series] for p in figure.panels]
    shared = len(figure.panels) > 1 and all(own == labels[0] for own in labels)
    for number_of_panel, (axis, panel) in enumerate(zip(axes.flat, figure.panels)):
        if panel.xlog:
            axis.set_xscale('log', base=2 if panel.counts else 10)
            if not panel.counts:
                axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
                axis.xaxis.set_major_formatter('{x:g}')
                axis.xaxis.set_minor_locator(ticker.NullLocator())
        if panel.ylog:
            axis.set_yscale('log')
            if panel.categories:  # few decades
                axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
                axis.yaxis.set_major_formatter('{x:g}')
                axis.yaxis.set_minor_locator(ticker.NullLocator())
        for number, series in enumerate(panel.series):
            (draw_points if panel.categories else draw_line)(axis, series, number, len(panel.series), panel)
        if panel.categories:
            axis.set_xticks(range(len(panel.categories)), panel.categories)
            axis.set_xlim(-0.5, len(panel.categories) - 0.5)
        elif panel.counts:
            ticks = sorted({x for s in panel.series for x in s.x})
            axis.set_xticks(ticks, [f'{x:g}' for x in ticks])
            axis.tick_params(axis='x', which='minor', bottom=False)
        if panel.lowest is not None:
            axis.set_ylim(bottom=panel.lowest)
        axis.set_title(panel.title, fontsize=9)
        axis.set_xlabel(panel.xlabel)
        axis.set_ylabel(panel.ylabel)
        if len(panel.series) > 1 and (not shared or number_of_panel == columns - 1):  # one alone is named by the axis
            outside = shared or len(panel.series) > 4
            axis.legend(frameon=False, fontsize=8, **({'loc': 'center left', 'bbox_to_anchor': (1, 0.5)} if outside else {}))
    for axis in axes.flat[len(figure.panels) :]:
        axis.set_visible(False)
    drawing.suptitle(figure.title, fontsize=10, wrap=True)
    return drawing


def write(drawing, path):
    try:
        drawing.savefig(path, metadata={'Date': None} if str(path).endswith('.svg') else None, dpi=150)
    except (OSError, ValueError) as error:
        raise PlotError(f'{path}: {error}') from None


def write_figures(figures, folder):
    """FOLDER/NAME.svg and .png of every figure; their names."""
    plt = pyplot()
    for figure in figures:
        drawing = draw(figure)
        for ending in ('svg', 'png'):
            write(drawing, pathlib.Path(folder, f'{figure.name}.{ending}'))
        plt.close(drawing)
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


def series(seeds, key):
    """Epochs that all seeds have a finite value for, with the smallest, mean and largest value."""
    by_seed = [{row['epoch']: row[key] for row in rows if row.get(key) is not None} for rows in seeds]
    epochs = sorted(set.intersection(*(set(values) for values in by_seed)))
    columns = [[values[epoch] for values in by_seed] for epoch in epochs]
    return epochs, [min(c) for c in columns], [sum(c) / len(c) for c in columns], [max(c) for c in columns]


def stage_starts(rows):
    return [b['epoch'] for a, b in zip(rows, rows[1:]) if b['stage'] != a['stage']]


def draw_runs(folders):
    plt = pyplot()
    figure, axes = plt.subplots(1, len(PANELS), figsize=(11, 3.2), constrained_layout=True)
    for folder in folders:
        seeds = read_run(folder)
        for axis, (key, _, _) in zip(axes, PANELS):
            epochs, low, mean, high = series(seeds, key)
            (line,) = axis.plot(epochs, mean, linewidth=1.4, label=folder.name)
            axis.fill_between(epochs, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
            for start in stage_starts(seeds[0]):
                axis.axvline(start, color='0.6', linestyle=':', linewidth=0.8)
    for axis, (_, title, logarithmic) in zip(axes, PANELS):
        axis.set_title(title)
        axis.set_xlabel('epoch')
        if logarithmic:
            axis.set_yscale('log')
    axes[-1].legend(loc='lower right', frameon=False)
    return figure


def draw_results(files, folder):
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    for path in files:
        if not path.exists():
            raise PlotError(f'{path}: no such file, expected results of bench/harness')
        for name in write_figures(page.suite_of(path.stem).figures(page.records_of(path)), folder):
            print(f'{folder}/{name}.svg: written')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', type=pathlib.Path, metavar='RUN|SUITE.jsonl')
    parser.add_argument('--out', required=True, help='picture to write, or folder')
    options = parser.parse_args()
    results = [path for path in options.runs if path.suffix == '.jsonl']
    if results and len(results) < len(options.runs):
        parser.error('run folders and results: expected one kind')
    try:
        if results:
            draw_results(results, options.out)
        else:
            write(draw_runs(options.runs), options.out)
    except (PlotError, HarnessError) as error:
        print(f'plot.py: error: {error}', file=sys.stderr)
        sys.exit(3)


if __name__ == '__main__':
    main()
