#!/usr/bin/env python3
"""The augmentation [H ; HÃ ; HÃ² ; ...] of the nodes of a split by scipy, from files, as published code has it (SGC's and SIGN's
preprocessing): the operator of augmentation.py, one product a hop, the split's rows kept. In memory, on one core.

    hops.py make FOLDER --nodes 1000000 --edges 16000000 --features 64     a power-law graph as a folder of arrays
    hops.py run FOLDER --hops 5 --out X.npy
`make` writes what `pdadmm augment --dataset FOLDER` reads too. `run` prints one JSON object: seconds of reading, building and
multiplying. Its peak memory is for the caller to take.
"""
import argparse
import os
import time

import augmentation
import problem
from problem import numpy


def make(o):
    random = numpy.random.default_rng(o.seed)
    os.makedirs(o.folder, exist_ok=True)
    edges = numpy.lib.format.open_memmap(os.path.join(o.folder, 'edge_index.npy'), 'w+', numpy.int64, (2, o.edges))
    for row in edges:  # node k in proportion to k^(-2/3), which makes a power law of exponent 2.5
        for first in range(0, o.edges, 1 << 22):
            part = row[first : first + (1 << 22)]
            part[:] = (o.nodes * random.random(len(part)) ** 3).astype(numpy.int64) * 2654435761 % o.nodes
    features = numpy.lib.format.open_memmap(os.path.join(o.folder, 'features.npy'), 'w+', numpy.float32, (o.nodes, o.features))
    for first in range(0, o.nodes, 1 << 16):
        part = features[first : first + (1 << 16)]
        part[:] = random.standard_normal(part.shape, numpy.float32)
    edges.flush(), features.flush()
    numpy.save(os.path.join(o.folder, 'labels.npy'), random.integers(0, 10, o.nodes).astype(numpy.int32))
    split = random.permutation(o.nodes)[: o.nodes // 70]  # 1.4 % of the nodes have labels in papers100M
    for name, part in zip(('train', 'val', 'test'), numpy.array_split(split, 3)):
        numpy.save(os.path.join(o.folder, f'{name}_idx.npy'), part)


def run(o):
    sparse = augmentation.scipy_sparse()
    clock = [time.perf_counter()]
    load = lambda name: numpy.load(os.path.join(o.folder, name + '.npy'))  # noqa: E731
    edges, H = load('edge_index'), load('features')
    rows = numpy.concatenate([load(f'{name}_idx') for name in ('train', 'val', 'test')])
    clock.append(time.perf_counter())
    n = len(H)
    A = augmentation.normalised(sparse, augmentation.adjacency(sparse, edges, n))
    del edges
    clock.append(time.perf_counter())
    X = [H[rows]]
    for _ in range(o.hops - 1):
        H = A @ H
        X.append(H[rows])
    numpy.save(o.out, numpy.concatenate(X, axis=1))
    clock.append(time.perf_counter())
    names = ('read', 'build', 'multiply')
    problem.answer(peer='hops', nodes=n, entries=int(A.nnz), features=H.shape[1], hops=o.hops,
                   **{name: b - a for name, a, b in zip(names, clock, clock[1:])}, seconds=clock[-1] - clock[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser('make')
    one.set_defaults(work=make)
    one.add_argument('folder')
    one.add_argument('--nodes', type=int, default=1000000)
    one.add_argument('--edges', type=int, default=16000000)
    one.add_argument('--features', type=int, default=64)
    one.add_argument('--seed', type=int, default=0)
    one = commands.add_parser('run')
    one.set_defaults(work=run)
    one.add_argument('folder')
    one.add_argument('--hops', type=int, default=5)
    one.add_argument('--out', required=True)
    o = parser.parse_args()
    o.work(o)


if __name__ == '__main__':
    main()
