"""bench/harness compare A B: which figures of two results differ by more than noise."""

import json
import pathlib
import statistics

from . import page
from .session import DATA, HarnessError, MISSING, Store, label
from .tables import Table, markdown

LEVEL = 0.05  # of the whole table: p is multiplied by Holm's steps
FEWEST = 4  # samples on each side: with fewer no test can tell
TIMES = ('seconds', 'ms_per_iteration')  # kept by suites that show no times, too, whatever else ran then


def test():
    """Mann and Whitney's: no distribution is assumed, samples need not be paired."""
    try:
        from scipy.stats import mannwhitneyu
    except ImportError:
        raise HarnessError(MISSING, 'compare: no scipy, expected it for the test; install python3-scipy') from None
    return lambda a, b: mannwhitneyu(a, b, alternative='two-sided').pvalue


def results(path):
    """{(suite, identity of the point): record} of a file or a folder."""
    files = sorted(path.glob('*.jsonl')) if path.is_dir() else [path]
    if not files or not all(f.exists() for f in files):
        raise HarnessError(DATA, f'{path}: no results, expected SUITE.jsonl or a folder of such')
    return {(f.stem, identity): r for f in files for identity, r in Store(pathlib.Path(f)).records.items() if r['kind'] != 'left out'}


def samples(value, seeds, path=()):
    """(name, list of numbers) of everything that was repeated: rounds that were kept, or a figure by seed."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from samples(inner, seeds, path if key == 'samples' else (*path, key))
    elif isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        for number, inner in enumerate(value):
            name = inner.get('network') or inner.get('name') or str(number)
            yield from samples({k: v for k, v in inner.items() if k == 'samples'}, seeds, (*path, name))
    elif isinstance(value, list) and all(isinstance(v, (int, float)) for v in value):
        if not seeds or len(value) == len(seeds):
            yield ' '.join(p for p in path if p != 'rows'), value


def repeated(record):
    """Of timings the rounds alone: a list of another meaning, such as a curve, is none."""
    seeds = record['seeds'] if len(record['seeds']) > 1 else []
    return dict(samples(record['values'] if seeds else only_samples(record['values']), seeds))


def only_samples(value):
    if isinstance(value, dict):
        inside = {k: value[k] if k == 'samples' else only_samples(value[k]) for k in value}
        return {k: v for k, v in inside.items() if v not in ({}, [], None)}
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        return [{**only_samples(v), **{k: v[k] for k in ('network', 'name') if k in v}} for v in value]
    return None


def told(first, second):
    """The table of all figures that both have."""
    p_of = test()
    a, b = results(first), results(second)
    rows = []
    for key in (k for k in a if k in b):
        theirs = repeated(b[key])
        for name, values in repeated(a[key]).items():
            if name in theirs and not (name in TIMES and key[0] in page.SUITES and not page.is_timed(key[0])):
                enough = min(len(values), len(theirs[name])) >= FEWEST
                rows.append((key, name, values, theirs[name], float(p_of(values, theirs[name])) if enough else None))
    if not rows:
        raise HarnessError(DATA, f'{first} and {second}: no repeated figure of the same point in both, expected some; measure both by one suite')
    corrected = holm([r[4] for r in rows])
    shown = [row_of(*r, p) for r, p in zip(rows, corrected)]
    differ = sum(p is not None and p < LEVEL for p in corrected)
    few = sum(p is None for p in corrected)
    title = f'{differ} of {len(rows)} figures differ by more than noise' + (f'; {few} have too few samples to tell' if few else '')
    note = f'A: {first}. B: {second}. Mann-Whitney, two-sided, corrected by Holm for {len(rows) - few} comparisons; level {LEVEL}.'
    return markdown(Table(title, ['what', 'figure', 'A, median', 'B, median', 'B / A', 'p', 'verdict'], shown, note))


def row_of(key, name, a, b, _, p):
    medians = statistics.median(a), statistics.median(b)
    ratio = f'{medians[1] / medians[0]:.3f}' if medians[0] else ''
    verdict = f'fewer than {FEWEST} samples' if p is None else 'within noise' if p >= LEVEL else 'B is greater' if medians[1] > medians[0] else 'B is less'
    return [f'{key[0]}: {label(json.loads(key[1]))}', name, *(f'{m:.4g}' for m in medians), ratio, '' if p is None else f'{p:.2g}', verdict]


def holm(ps):
    """Holm's correction; what could not be tested stays None."""
    tested = sorted((p, k) for k, p in enumerate(ps) if p is not None)
    found, most = [None] * len(ps), 0.0
    for rank, (p, k) in enumerate(tested):
        most = max(most, min(1.0, p * (len(tested) - rank)))
        found[k] = most
    return found
