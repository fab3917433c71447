#!/usr/bin/env python3
"""The same network trained by backpropagation and Adam in PyTorch: full-batch epochs, eager; on a GPU as a CUDA graph, too, in fp32 and
TF32.

    adam_mlp.py [--device cuda|cpu] [--layers 8,10,16,32 --hidden 100 --inputs 7165 --nodes 140 --classes 7]
Prints one JSON object: seconds an epoch for every depth, form and precision.
"""
import argparse

import problem


def network(torch, inputs, hidden, classes, layers):
    sizes = [inputs] + [hidden] * (layers - 1) + [classes]
    parts = []
    for l in range(layers):
        parts.append(torch.nn.Linear(sizes[l], sizes[l + 1]))
        if l + 1 < layers:
            parts.append(torch.nn.ReLU())
    return torch.nn.Sequential(*parts)


def trainer(torch, model, X, y, rate):
    """A function that does one epoch."""
    adam = torch.optim.Adam(model.parameters(), lr=rate, **({'capturable': True} if X.is_cuda else {}))
    loss_of = torch.nn.CrossEntropyLoss()

    def epoch():
        adam.zero_grad(set_to_none=True)
        loss_of(model(X), y).backward()
        adam.step()

    return epoch


def as_graph(torch, epoch):
    """The epoch recorded once and replayed. Warm-up runs on a stream of its own, as recording asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            epoch()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        epoch()
    return graph.replay


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    problem.add_options(parser)
    parser.add_argument('--layers', default='8,10,16,32')
    parser.add_argument('--device', choices=('cuda', 'cpu'), default='cuda')
    o = parser.parse_args()
    torch = problem.torch_on(o.device)
    on_gpu = o.device == 'cuda'
    torch.manual_seed(o.seed)
    X, labels, classes = problem.problem(o)
    X, y = torch.from_numpy(X.T.copy()).to(o.device), torch.from_numpy(labels).long().to(o.device)
    depths = [int(text) for text in o.layers.split(',')]
    cases = [(layers, math, form) for layers in depths for math in ('fp32', 'tf32') for form in ('eager', 'graph')]
    cases = cases if on_gpu else [(layers, 'fp32', 'eager') for layers in depths]
    results = []
    for layers, math, form in cases:
        torch.backends.cuda.matmul.allow_tf32 = math == 'tf32'
        epoch = trainer(torch, network(torch, X.shape[1], o.hidden, classes, layers).to(o.device), X, y, 1e-3)
        if form == 'graph':
            epoch = as_graph(torch, epoch)
        seconds = problem.seconds_each(epoch, torch.cuda.synchronize if on_gpu else lambda: None, o.seconds / len(cases))
        results.append(dict(layers=layers, math=math, form=form, seconds=seconds))
    device = torch.cuda.get_device_name() if on_gpu else f'cpu, {torch.get_num_threads()} threads'
    problem.answer(peer='adam_mlp', device=device, torch=torch.__version__, hidden=o.hidden, inputs=X.shape[1], nodes=X.shape[0], results=results)


if __name__ == '__main__':
    main()
