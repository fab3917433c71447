#!/usr/bin/env python3
"""The same network on the same augmented features and nodes as `pdadmm train --optimizer adam`, trained in PyTorch on the CPU: full-batch
epochs of Adam (or AdamW, whose weight decay stands beside the gradient), whose learning rate may fall along a cosine over all epochs, with
dropout of the hidden activations and weight decay, mean cross entropy, Kaiming weights.

    pdadmm augment --dataset photo --split ... --out x.npy --rows rows.npy
    torch_adam.py --features x.npy --rows rows.npy --layers 2 --learning-rate 1e-2
Prints one JSON object. Its "rows" are those of metrics.jsonl that hold accuracies: epoch, seconds since the row before (the
first: since the network began to be made) without evaluation, val_accuracy, test_accuracy.
"""
import argparse
import time

import problem


def network(torch, inputs, hidden, classes, layers, dropout):
    sizes = [inputs] + [hidden] * (layers - 1) + [classes]
    parts = []
    for l in range(layers):
        linear = torch.nn.Linear(sizes[l], sizes[l + 1])
        torch.nn.init.kaiming_normal_(linear.weight, nonlinearity='relu')
        torch.nn.init.zeros_(linear.bias)
        parts.append(linear)
        if l + 1 < layers:
            parts += [torch.nn.ReLU()] + ([torch.nn.Dropout(dropout)] if dropout else [])
    return torch.nn.Sequential(*parts)


def accuracy(torch, model, X, y):
    model.eval()
    with torch.no_grad():
        correct = (model(X).argmax(dim=1) == y).float().mean().item()
    model.train()
    return correct


def train(torch, o, parts, classes):
    X, y = parts['train']
    began = time.perf_counter()
    model = network(torch, X.shape[1], o.hidden, classes, o.layers, o.dropout)
    make = torch.optim.AdamW if o.optimizer == 'adamw' else torch.optim.Adam
    adam = make(model.parameters(), lr=o.learning_rate, weight_decay=o.weight_decay)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, o.epochs) if o.rate_schedule == 'cosine' else None
    loss_of = torch.nn.CrossEntropyLoss()
    rows, best, since_best, seconds = [], -1.0, 0, time.perf_counter() - began
    for epoch in range(1, o.epochs + 1):
        began = time.perf_counter()
        adam.zero_grad(set_to_none=True)
        loss_of(model(X), y).backward()
        adam.step()
        if falling:
            falling.step()
        seconds += time.perf_counter() - began
        if epoch % o.eval_every and epoch < o.epochs:
            continue
        found = {f'{name}_accuracy': accuracy(torch, model, *parts[name]) for name in ('val', 'test')}
        rows.append({'epoch': epoch, 'seconds': seconds, **found})
        seconds = 0.0
        since_best = 0 if found['val_accuracy'] > best else since_best + 1
        best = max(best, found['val_accuracy'])
        if o.patience and since_best >= o.patience:
            break
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    problem.add_part_options(parser)
    parser.add_argument('--layers', type=int, default=2)
    parser.add_argument('--hidden', type=int, default=100)
    parser.add_argument('--epochs', type=int, default=200)
    parser.add_argument('--eval-every', type=int, default=5)
    parser.add_argument('--patience', type=int, default=0, help='evaluations without a better validation accuracy; 0: never stop early')
    parser.add_argument('--optimizer', choices=('adam', 'adamw'), default='adam')
    parser.add_argument('--rate-schedule', choices=('constant', 'cosine'), default='constant')
    parser.add_argument('--learning-rate', type=float, default=1e-3)
    parser.add_argument('--weight-decay', type=float, default=0.0)
    parser.add_argument('--dropout', type=float, default=0.0)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--seed', type=int, default=0)
    o = parser.parse_args()
    torch = problem.torch_on('cpu')
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    found, classes = problem.parts(o)
    parts = {name: (torch.from_numpy(problem.numpy.array(X)), torch.from_numpy(y).long()) for name, (X, y) in found.items()}
    rows = train(torch, o, parts, classes)
    problem.answer(peer='torch_adam', torch=torch.__version__, blas=problem.blas(), threads=torch.get_num_threads(), rows=rows)


if __name__ == '__main__':
    main()
