#!/usr/bin/env python3
"""What PyTorch's own optimizers make of a small network in float64: torch_optimizers.json, which test_backpropagation reads.

    make_torch_optimizers.py > torch_optimizers.json        # needs python3-torch
Full-batch steps on the mean cross entropy of an MLP with ReLU. A matrix is a list of its columns; W is (outputs x inputs), X (inputs x nodes).
A case holds W and b of every layer after the last step, by the optimizer, its weight decay, and a learning rate that stays or falls along
torch's CosineAnnealingLR over all steps.
"""
import json
import sys

import torch

SIZES, NODES, STEPS, DECAY, MOMENTUM = (4, 6, 6, 3), 20, 100, 0.02, 0.8
OPTIMIZERS = {
    'gd': (torch.optim.SGD, 0.2, {}),
    'adadelta': (torch.optim.Adadelta, 1.0, {}),
    'adagrad': (torch.optim.Adagrad, 0.05, {}),
    'adam': (torch.optim.Adam, 0.02, {}),
    'momentum': (torch.optim.SGD, 0.05, dict(momentum=MOMENTUM)),
    'nesterov': (torch.optim.SGD, 0.05, dict(momentum=MOMENTUM, nesterov=True)),
    'adamw': (torch.optim.AdamW, 0.02, {}),
}


def columns(matrix):
    return matrix.detach().t().tolist()


def trained(X, y, weights, name, decay, schedule):
    maker, rate, more = OPTIMIZERS[name]
    layers = [(W.clone().requires_grad_(), b.clone().requires_grad_()) for W, b in weights]
    optimizer = maker([v for layer in layers for v in layer], lr=rate, weight_decay=decay, **more)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS) if schedule == 'cosine' else None
    for _ in range(STEPS):
        a = X
        for l, (W, b) in enumerate(layers):
            a = W @ a + b[:, None]
            a = a.relu() if l + 1 < len(layers) else a
        loss = torch.nn.functional.cross_entropy(a.t(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if falling:
            falling.step()
    return dict(optimizer=name, rate=rate, decay=decay, schedule=schedule, last_loss=loss.item(), **written(layers))


def written(layers):
    return dict(W=[columns(W) for W, _ in layers], b=[b.tolist() for _, b in layers])


def main():
    torch.manual_seed(1)
    X, y = torch.randn(SIZES[0], NODES, dtype=torch.float64), torch.randint(SIZES[-1], (NODES,))
    weights = [(torch.randn(n, m, dtype=torch.float64) / m**0.5, 0.3 * torch.randn(n, dtype=torch.float64)) for m, n in zip(SIZES, SIZES[1:])]
    cases = [trained(X, y, weights, name, decay, schedule) for name in OPTIMIZERS for decay, schedule in ((0.0, 'constant'), (DECAY, 'cosine'))]
    json.dump(dict(torch=torch.__version__, sizes=SIZES, steps=STEPS, momentum=MOMENTUM, X=columns(X), labels=y.tolist(), first=written(weights),
                   cases=cases), sys.stdout)
    print()


if __name__ == '__main__':
    main()
