#!/usr/bin/env python3
"""The augmentation [H ; HÃ ; HÃ² ; ...] of the nodes of a split from files, in memory: by scipy as published code has it (SGC's and
SIGN's preprocessing: the operator of augmentation.py, one product a hop, on one core), or by the transforms of PyTorch Geometric and
of DGL that are made for it (PyG 2.4 and DGL 1.1.0 go with Debian's PyTorch 1.13; PyG 2.5 does not). Rows of the split are kept.

    hops.py make FOLDER --nodes 1000000 --edges 16000000 --features 64     a power-law graph as a folder of arrays
    hops.py run FOLDER --by scipy --hops 5 --out X.npy
`make` writes what `pdadmm augment --dataset FOLDER` reads too. `run` prints one JSON object: seconds of reading, building and
multiplying. Its peak memory is for the caller to take.
"""
import argparse
import contextlib
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


def in_scipy(o, edges, H):
    sparse = augmentation.scipy_sparse()
    A = augmentation.normalised(sparse, augmentation.adjacency(sparse, edges, len(H)))
    del edges
    yield
    yield H
    for _ in range(o.hops - 1):
        H = A @ H
        yield H


def in_pyg(o, edges, H):
    torch = problem.torch_on('cpu')
    try:
        from torch_geometric import data, transforms
    except ImportError:
        problem.skip('PyTorch Geometric is not installed')
    graph = data.Data(x=torch.from_numpy(H), edge_index=torch.from_numpy(edges))
    for step in (transforms.ToUndirected(), transforms.AddRemainingSelfLoops()):
        graph = step(graph)
    yield
    graph = transforms.SIGN(o.hops - 1)(graph)
    yield from (graph['x' if k == 0 else f'x{k}'].numpy() for k in range(o.hops))


def in_dgl(o, edges, H):
    torch = problem.torch_on('cpu')
    try:
        import dgl
    except (ImportError, OSError):  # it is there, but not for this PyTorch
        problem.skip('DGL is not installed, or not for this PyTorch')
    graph = dgl.graph(tuple(torch.from_numpy(edges)), num_nodes=len(H))
    graph = dgl.add_self_loop(dgl.remove_self_loop(dgl.to_bidirected(graph)))
    graph.ndata['x'] = torch.from_numpy(H)
    yield
    graph = dgl.SIGNDiffusion(k=o.hops - 1, in_feat_name='x', out_feat_name='out', diffuse_op='gcn')(graph)
    yield H
    yield from (graph.ndata[f'out_{k}'].numpy() for k in range(1, o.hops))


PEERS = {'scipy': in_scipy, 'PyG': in_pyg, 'DGL': in_dgl}


def run(o):
    with contextlib.suppress(OSError), open('/proc/self/oom_score_adj', 'w') as score:
        score.write('1000')  # where memory runs out, it is this process that ends
    load = lambda name: numpy.load(os.path.join(o.folder, name + '.npy'))  # noqa: E731
    clock = [time.perf_counter()]
    edges, H = load('edge_index'), load('features')
    rows = numpy.concatenate([load(f'{name}_idx') for name in ('train', 'val', 'test')])
    clock.append(time.perf_counter())
    nodes, features = H.shape
    blocks = PEERS[o.by](o, edges, H)
    del edges, H
    next(blocks)
    clock.append(time.perf_counter())
    numpy.save(o.out, numpy.concatenate([block[rows] for block in blocks], axis=1))
    clock.append(time.perf_counter())
    names = ('read', 'build', 'multiply')
    problem.answer(peer='hops', by=o.by, nodes=nodes, features=features, hops=o.hops, **{name: b - a for name, a, b in zip(names, clock, clock[1:])},
                   seconds=clock[-1] - clock[0])


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
    one.add_argument('--by', choices=PEERS, default='scipy')
    one.add_argument('--hops', type=int, default=5)
    one.add_argument('--out', required=True)
    o = parser.parse_args()
    o.work(o)


if __name__ == '__main__':
    main()
