"""Backpropagation's parallel forms beside pdADMM-G's ranks: pipelined over layers (GPipe) and data-parallel over nodes."""

from . import plans
from .session import Task
from .tables import Table
from .timing import in_turns, spread_text, untimed

FORMS = {'pipeline': 'Adam, layers on ranks (GPipe)', 'data': 'Adam, nodes on ranks (all-reduce)'}


def options_of(form):
    return ['--optimizer', 'adam', '--parallel', form]


def made_up(shape):
    """Options of a training of the shape that bench_ranks makes up."""
    hops = 5 if shape['inputs'] % 5 == 0 else 2
    each = shape['nodes'] // shape['classes']
    graph = f"sbm:nodes={2 * shape['nodes'] + 100},classes={shape['classes']},features={shape['inputs'] // hops}"
    return ['--dataset', graph, '--hops', hops, '--split', f'random:{each}/10/10', '--preset', 'none', '--layers', shape['layers'], '--hidden', shape['hidden']]


def task(session, name, shape, ranks, of_links, epochs, rounds, backend):
    """One rank's epoch is measured; ranks side by side are modelled from it."""
    arguments = [str(a) for a in [*made_up(shape), '--backend', backend, '--threads', 1, '--optimizer', 'adam', *untimed(epochs)]]

    def work():
        ms, _ = in_turns(session, {'adam': arguments}, rounds)
        return {'ms': ms['adam'], 'links': {link: [of_rank(session, shape, r, 1e-3 * ms['adam']['median'], cost) for r in ranks] for link, cost in of_links.items()}}

    point = {'what': 'rivals', 'shape': name, **shape, 'ranks': ranks, 'links': of_links, 'form': 'modelled from one rank'}
    return Task(point, [session.shown(arguments)], work, [0], kind='modelled', weight=0.2 * rounds)


def of_rank(session, shape, ranks, epoch_s, link):
    """Seconds of an epoch in both forms. Grids are not asked for, so that any iteration will do."""
    adam = plans.plan(session, shape, ranks, link, {'iteration': epoch_s, 'epoch': epoch_s}, grid=f'{ranks}x1')['adam']
    return {'pipeline': adam['pipeline_s'], 'data': adam['data_s']}


def table(record, title):
    p, v = record['point'], record['values']
    one = 1e-3 * v['ms']['median']
    rows = [
        [f'{link}: {p["links"][link][0]:g} us, {p["links"][link][1]:g} GB/s', str(r), *(text for form in FORMS for text in (f'{1e3 * f[form]:.3f}', f'{one / f[form]:.2f}'))]
        for link, found in v['links'].items()
        for r, f in zip(p['ranks'], found)
    ]
    header = ['link', 'ranks', *(text for form in FORMS.values() for text in (f'{form}: ms an epoch', 'speedup'))]
    return Table(f'Modelled from one rank, whose epoch of Adam took {spread_text(v["ms"])} ms: {title}', header, rows)
