#!/usr/bin/env python3
"""SIGN as PyTorch Geometric's example has it, without that library: every hop's features through a linear layer and ReLU of its own,
dropout, and one linear layer over all of them. Full-batch epochs of Adam, eager and as a CUDA graph, fp32 and TF32.

    sign.py [--inputs 7165 --hops 5 --hidden 100 --nodes 140 --classes 7]
Prints one JSON object: seconds an epoch for every form and precision, and how many weights there are.
"""
import argparse

import adam_mlp
import problem


def network(torch, inputs, hops, hidden, classes):
    class Sign(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.of_hops = torch.nn.ModuleList(torch.nn.Linear(inputs // hops, hidden) for _ in range(hops))
            self.last = torch.nn.Linear(hops * hidden, classes)

        def forward(self, X):
            parts = [of_hop(x).relu() for of_hop, x in zip(self.of_hops, X.chunk(hops, dim=1))]
            return self.last(torch.nn.functional.dropout(torch.cat(parts, dim=1), 0.5, self.training))

    return Sign().cuda()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    problem.add_options(parser)
    o = parser.parse_args()
    torch = problem.torch_on('cuda')
    torch.manual_seed(o.seed)
    X, labels, classes = problem.problem(o)
    X, y = torch.from_numpy(X.T.copy()).cuda(), torch.from_numpy(labels).long().cuda()
    results = []
    for math in ('fp32', 'tf32'):
        torch.backends.cuda.matmul.allow_tf32 = math == 'tf32'
        for form in ('eager', 'graph'):
            model = network(torch, X.shape[1], o.hops, o.hidden, classes)
            epoch, parameters = adam_mlp.trainer(torch, model, X, y, 1e-2), sum(w.numel() for w in model.parameters())
            if form == 'graph':
                epoch = adam_mlp.as_graph(torch, epoch)
            seconds = problem.seconds_each(epoch, torch.cuda.synchronize, o.seconds / 4)
            results.append(dict(math=math, form=form, seconds=seconds, parameters=parameters))
    problem.answer(peer='sign', device=torch.cuda.get_device_name(), torch=torch.__version__, hops=o.hops, hidden=o.hidden, inputs=X.shape[1],
                   nodes=X.shape[0], results=results)


if __name__ == '__main__':
    main()
