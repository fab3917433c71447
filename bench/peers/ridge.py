#!/usr/bin/env python3
"""Ridge regression of the one-hot labels on the augmented features, in closed form: the simplest peer of a network of any depth.

With centred X_c (N, n0) and Y_c (N, C): W = (X_c' X_c + k I)^-1 X_c' Y_c, or, where N < n0, W = X_c' (X_c X_c' + k I)^-1 Y_c; the
intercept is mean(Y) - mean(X) W, and a node's class its largest output.

    pdadmm augment --dataset photo --split ... --out x.npy --rows rows.npy
    ridge.py --features x.npy --rows rows.npy --penalty 1
Prints one JSON object; its "rows" hold one row, as those of torch_adam.py.
"""
import argparse
import time

import problem
from problem import numpy


def solve(X, labels, classes, penalty):
    """W (n0, C) and the intercept (C)."""
    try:
        from scipy.linalg import solve as solve_positive
    except ImportError:
        problem.skip('scipy is not installed')
    Y = numpy.eye(classes, dtype=X.dtype)[labels]
    mean_x, mean_y = X.mean(axis=0, dtype=numpy.float64).astype(X.dtype), Y.mean(axis=0)
    X, Y = X - mean_x, Y - mean_y
    wide = X.shape[0] < X.shape[1]
    gram = (X @ X.T if wide else X.T @ X).astype(numpy.float64)  # factorised in double: small penalties leave it near singular
    gram[numpy.diag_indices_from(gram)] += penalty
    right = (Y if wide else X.T @ Y).astype(numpy.float64)
    found = solve_positive(gram, right, assume_a='pos', overwrite_a=True).astype(X.dtype)
    W = X.T @ found if wide else found
    return W, mean_y - mean_x @ W


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    problem.add_part_options(parser)
    parser.add_argument('--penalty', type=float, default=1.0)
    o = parser.parse_args()
    parts, classes = problem.parts(o)
    parts = {name: (numpy.array(X), y) for name, (X, y) in parts.items()}
    began = time.perf_counter()
    W, intercept = solve(*parts['train'], classes, o.penalty)
    row = {'epoch': 1, 'seconds': time.perf_counter() - began}
    for name in ('val', 'test'):
        X, y = parts[name]
        row[f'{name}_accuracy'] = float(((X @ W + intercept).argmax(axis=1) == y).mean())
    problem.answer(peer='ridge', blas=problem.blas(), rows=[row])


if __name__ == '__main__':
    main()
