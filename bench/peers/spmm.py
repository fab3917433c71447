#!/usr/bin/env python3
"""One hop of the augmentation by torch.sparse (CSR times dense, fp32) on made-up graphs of the size of known ones.

    spmm.py [--graphs Flickr,arxiv,products]
Prints one JSON object: seconds a hop. Degrees and neighbours follow the power law of bench/gpu/hops.cpp.
"""
import argparse

import problem

SIZES = {'Flickr': (89250, 990000, 500), 'arxiv': (169343, 2500000, 128), 'products': (2450000, 126000000, 100)}


def graph(torch, nodes, entries, device):
    """A CSR tensor: degrees ~ u^(-1/2), neighbours at N u^2."""
    degrees = torch.rand(nodes, device=device, dtype=torch.float64).clamp_min(1e-12).pow(-0.5)
    degrees = (degrees * (entries / degrees.sum())).round().clamp_min(1).long()
    offsets = torch.zeros(nodes + 1, dtype=torch.int64, device=device)
    offsets[1:] = degrees.cumsum(0)
    total = int(offsets[-1])
    within = torch.arange(total, device=device) - torch.repeat_interleave(offsets[:-1], degrees)
    share = (within + torch.rand(total, device=device, dtype=torch.float64)) / torch.repeat_interleave(degrees, degrees)
    columns = (share.pow(2) * nodes).long().clamp_max(nodes - 1)
    return torch.sparse_csr_tensor(offsets.int(), columns.int(), torch.rand(total, device=device), size=(nodes, nodes)), total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--graphs', default=','.join(SIZES))
    parser.add_argument('--seconds', type=float, default=2, help='a graph')
    o = parser.parse_args()
    torch = problem.torch_on('cuda')
    torch.manual_seed(0)
    results = []
    for name in o.graphs.split(','):
        nodes, entries, features = SIZES[name]
        A, total = graph(torch, nodes, entries, 'cuda')
        X = torch.rand(nodes, features, device='cuda')
        results.append(dict(graph=name, nodes=nodes, entries=total, features=features,
                            seconds=problem.seconds_each(lambda A=A, X=X: A @ X, torch.cuda.synchronize, o.seconds)))
        del A, X
    problem.answer(peer='spmm', device=torch.cuda.get_device_name(), torch=torch.__version__, results=results)


if __name__ == '__main__':
    main()
