"""Backpropagation's parallel forms beside pdADMM-G's ranks: pipelined over layers (GPipe), data-parallel over nodes, and workers with
weights of their own that exchange them now and then (EASGD, LSGD)."""

import sys

from .session import ROOT, Task
from .tables import Table
from .timing import in_turns, spread_text, untimed

sys.path.insert(0, str(ROOT / 'bench'))
from rank_model import balanced, data_parallel_seconds, pipeline_seconds, worker_seconds  # noqa: E402

FORMS = {
    'pipeline': 'Adam, layers on ranks (GPipe)',
    'data': 'Adam, nodes on ranks (all-reduce)',
    'elastic': 'Adam, workers and a centre (EASGD)',
    'leader': 'Adam, workers and a leader (LSGD)',
}
MICRO_BATCHES = 4  # a rank, as --micro-batches has it
EXCHANGE_EVERY = 8  # epochs, as --exchange-every has it


def options_of(form):
    return ['--optimizer', 'adam', '--parallel', form]


def made_up(shape):
    """Options of a training of the shape that bench_ranks makes up."""
    hops = 5 if shape['inputs'] % 5 == 0 else 2
    each = shape['nodes'] // shape['classes']
    graph = f"sbm:nodes={2 * shape['nodes'] + 100},classes={shape['classes']},features={shape['inputs'] // hops}"
    return ['--dataset', graph, '--hops', hops, '--split', f'random:{each}/10/10', '--preset', 'none', '--layers', shape['layers'], '--hidden', shape['hidden']]


def layer_products(shape):
    """Flops of an epoch, layer by layer: three products, two in the first layer."""
    n, N = shape['hidden'], shape['nodes']
    return [4 * n * shape['inputs'] * N] + [6 * n * n * N] * (shape['layers'] - 2) + [6 * n * shape['classes'] * N]


def parameter_count(shape):
    n = shape['hidden']
    return n * (shape['inputs'] + 1) + (shape['layers'] - 2) * n * (n + 1) + shape['classes'] * (n + 1)


def task(session, name, shape, ranks, of_links, epochs, rounds, backend):
    """One rank's epoch is measured; ranks side by side are modelled from it."""
    arguments = [str(a) for a in [*made_up(shape), '--backend', backend, '--threads', 1, '--optimizer', 'adam', *untimed(epochs)]]

    def work():
        ms, _ = in_turns(session, {'adam': arguments}, rounds)
        return {'ms': ms['adam'], 'links': {link: [of_rank(shape, r, 1e-3 * ms['adam']['median'], *cost) for r in ranks] for link, cost in of_links.items()}}

    point = {'what': 'rivals', 'shape': name, **shape, 'ranks': ranks, 'links': of_links, 'form': 'modelled from one rank'}
    return Task(point, [session.shown(arguments)], work, [0], kind='modelled', weight=0.2 * rounds)


def of_rank(shape, ranks, epoch_s, latency_us, gb_per_s):
    link = 1e-6 * latency_us, 1e9 * gb_per_s
    products = layer_products(shape)
    parts = MICRO_BATCHES * ranks if ranks > 1 else 1
    message = 4 * shape['hidden'] * shape['nodes'] / parts
    weights = 4 * parameter_count(shape)
    return {
        'pipeline': pipeline_seconds(epoch_s, [b / sum(products) for b in balanced(products, ranks)], parts, message, *link),
        'data': data_parallel_seconds(epoch_s, ranks, weights, *link),
        # A rank sends 2 (R - 1)/R of its weights to the centre's owners and as parts of it; a leader all of them to each other rank.
        'elastic': worker_seconds(epoch_s, ranks, 2 * (ranks - 1) / ranks * weights, EXCHANGE_EVERY, *link),
        'leader': worker_seconds(epoch_s, ranks, (ranks - 1) * weights, EXCHANGE_EVERY, *link),
    }


def speedups(found, form, one_rank_s):
    """Of a form at every number of ranks; none of records that are older than the form."""
    return [one_rank_s / f[form] for f in found if form in f]


def table(record, title):
    p, v = record['point'], record['values']
    one = 1e-3 * v['ms']['median']
    forms = {form: text for form, text in FORMS.items() if all(form in f for found in v['links'].values() for f in found)}
    rows = [
        [f'{link}: {p["links"][link][0]:g} us, {p["links"][link][1]:g} GB/s', str(r), *(text for form in forms for text in (f'{1e3 * f[form]:.3f}', f'{one / f[form]:.2f}'))]
        for link, found in v['links'].items()
        for r, f in zip(p['ranks'], found)
    ]
    header = ['link', 'ranks', *(text for form in forms.values() for text in (f'{form}: ms an epoch', 'speedup'))]
    return Table(f'Modelled from one rank, whose epoch of Adam took {spread_text(v["ms"])} ms: {title}', header, rows)
