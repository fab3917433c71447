#!/usr/bin/env python3
"""Plots of runs of `pdadmm train --out`: objective, residual and accuracies against epochs.

Usage: bench/plot.py RUN [RUN ...] --out FILE.svg|.png
A RUN with several seeds (folders seed-*) is drawn as its mean with the range over seeds. Needs matplotlib.
"""
import argparse
import json
import pathlib
import sys

PANELS = [('objective', 'objective $L_\\rho$', True), ('primal_residual', 'residual $\\|p-q\\|$', True),
          ('test_accuracy', 'test accuracy', False)]


def fail(text):
    print(f'plot.py: error: {text}', file=sys.stderr)
    sys.exit(3)


def read_metrics(path):
    try:
        with open(path, encoding='utf-8') as lines:
            return [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        fail(f'{path}: {error}, expected metrics.jsonl of a run')


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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', type=pathlib.Path, metavar='RUN')
    parser.add_argument('--out', required=True, help='picture to write')
    options = parser.parse_args()
    try:
        import matplotlib
    except ImportError:
        fail('matplotlib is missing; install it (Debian: apt install python3-matplotlib)')
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    plt.rcParams.update({'font.size': 9, 'axes.grid': True, 'grid.alpha': 0.3, 'axes.spines.top': False, 'axes.spines.right': False,
                         'svg.hashsalt': 'pdadmm'})
    figure, axes = plt.subplots(1, len(PANELS), figsize=(11, 3.2), constrained_layout=True)
    for folder in options.runs:
        seeds = read_run(folder)
        for axis, (key, _, _) in zip(axes, PANELS):
            epochs, low, mean, high = series(seeds, key)
            line, = axis.plot(epochs, mean, linewidth=1.4, label=folder.name)
            axis.fill_between(epochs, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
            for start in stage_starts(seeds[0]):
                axis.axvline(start, color='0.6', linestyle=':', linewidth=0.8)
    for axis, (_, title, logarithmic) in zip(axes, PANELS):
        axis.set_title(title)
        axis.set_xlabel('epoch')
        if logarithmic:
            axis.set_yscale('log')
    axes[-1].legend(loc='lower right', frameon=False)
    try:
        figure.savefig(options.out, metadata={'Date': None} if options.out.endswith('.svg') else None, dpi=150)
    except (OSError, ValueError) as error:
        fail(f'{options.out}: {error}')


if __name__ == '__main__':
    main()
