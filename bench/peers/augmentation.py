#!/usr/bin/env python3
"""The augmentation X = [H, ÃH, ..., Ã^(K-1)H] of all nodes of a graph by scipy.sparse and by torch.sparse (CSR times dense, fp32), which is
also how SIGN's transform in PyTorch Geometric forms it, beside a copy of as many bytes as the hops must read and write once.

    augmentation.py --write graph.npz [--nodes 169343 --entries 2500000 --features 128]    # makes up a graph, by default of arxiv's size
    augmentation.py --graph graph.npz --hops 5 --threads 2
Prints one JSON object: seconds of the normalisation, of the hops and in all, with the stacking, a result a library. scipy has one thread.
"""
import argparse
import time

import problem
from problem import numpy


def scipy_sparse():
    try:
        import scipy.sparse
    except ImportError:
        problem.skip('scipy is not installed')
    return scipy.sparse


def made_up(o):
    """A symmetric graph whose neighbours follow a power law, as arrays of data/README.md."""
    draw = numpy.random.default_rng(o.seed)
    ends = [numpy.minimum((draw.random(o.entries // 2) ** power * o.nodes).astype(numpy.int64), o.nodes - 1) for power in (1.0, 2.0)]
    features = draw.standard_normal((o.nodes, o.features), dtype=numpy.float32)
    return dict(x=features, y=numpy.arange(o.nodes) % o.classes, edge_index=numpy.stack(ends))


def adjacency(sparse, edges, nodes):
    both = numpy.concatenate([edges, edges[::-1]], axis=1)
    A = sparse.csr_matrix((numpy.ones(both.shape[1], numpy.float32), both), shape=(nodes, nodes))
    A.data[:] = 1  # stored twice is there once
    return A - sparse.diags(A.diagonal())


def normalised(sparse, A):
    A = A + sparse.identity(A.shape[0], dtype=numpy.float32, format='csr')
    scale = sparse.diags((1 / numpy.sqrt(numpy.asarray(A.sum(axis=1)).ravel())).astype(numpy.float32))
    return (scale @ A @ scale).tocsr()


def blocks(first, hops, hop):
    found = [first]
    for _ in range(hops - 1):
        found.append(hop(found[-1]))
    return found


def clocked(work):
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def by_scipy(o, sparse, A, H):
    operator, normalisation = clocked(lambda: normalised(sparse, A))
    parts, hops = clocked(lambda: blocks(H, o.hops, lambda block: operator @ block))
    X, stacking = clocked(lambda: numpy.concatenate(parts, axis=1))
    return X, dict(library='scipy', threads=1, normalisation=normalisation, hops=hops, seconds=normalisation + hops + stacking)


def by_torch(o, sparse, A, H):
    torch = problem.torch_on('cpu')
    torch.set_num_threads(o.threads)

    def prepared():
        operator = normalised(sparse, A)
        arrays = (torch.from_numpy(part) for part in (operator.indptr, operator.indices, operator.data))
        return torch.sparse_csr_tensor(*arrays, size=operator.shape)

    operator, normalisation = clocked(prepared)
    parts, hops = clocked(lambda: blocks(torch.from_numpy(H), o.hops, lambda block: operator @ block))
    X, stacking = clocked(lambda: torch.cat(parts, dim=1))
    seconds = normalisation + hops + stacking
    return X.numpy(), dict(library='torch', threads=torch.get_num_threads(), normalisation=normalisation, hops=hops, seconds=seconds)


def by_copy(o, A, H):
    """Every hop reads its block and the operator once and writes the next block."""
    entries = A.nnz + A.shape[0]
    each = 2 * H.nbytes + entries * (A.data.itemsize + A.indices.itemsize)
    source, target = numpy.ones(each // 8, numpy.float32), numpy.zeros(each // 8, numpy.float32)
    _, seconds = clocked(lambda: [numpy.copyto(target, source) for _ in range(o.hops - 1)])
    return dict(library='copy', threads=1, hops=seconds, seconds=seconds, bytes=each * (o.hops - 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--write', help='FILE.npz: where a made-up graph goes')
    parser.add_argument('--graph', help='FILE.npz of --write')
    for size, default in (('nodes', 169343), ('entries', 2500000), ('features', 128), ('classes', 40), ('seed', 0), ('hops', 5), ('threads', 1)):
        parser.add_argument('--' + size, type=int, default=default)
    o = parser.parse_args()
    if bool(o.write) == bool(o.graph):
        parser.error('expected --write or --graph')
    if o.write:
        numpy.savez(o.write, **made_up(o))
        return
    sparse = scipy_sparse()
    with numpy.load(o.graph) as file:
        H, A = file['x'].astype(numpy.float32), adjacency(sparse, file['edge_index'], file['x'].shape[0])
    X, first = by_scipy(o, sparse, A, H)
    other, second = by_torch(o, sparse, A, H)
    difference = float(numpy.abs(X - other).max())
    problem.answer(peer='augmentation', torch=problem.torch_on('cpu').__version__, nodes=A.shape[0], entries=A.nnz + A.shape[0], features=H.shape[1],
                   hops=o.hops, difference=difference, results=[first, second, by_copy(o, A, H)])


if __name__ == '__main__':
    main()
