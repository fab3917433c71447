"""Backpropagation's parallel forms beside pdADMM-G's ranks: pipelined over layers (the program's GPipe; modelled, the best schedule of
pipelines.py), data-parallel over nodes, and workers with weights of their own that exchange them now and then (EASGD, LSGD)."""

import math

from . import pipelines, plans
from .kernels import output
from .session import Task, left_out
from .tables import Table
from .timing import in_turns, spread_text, untimed

FORMS = {
    'pipeline': 'Adam, layers on ranks (GPipe)',
    'data': 'Adam, nodes on ranks (all-reduce)',
    'elastic': 'Adam, workers and a centre (EASGD)',
    'leader': 'Adam, workers and a leader (LSGD)',
}
ON_GRID = 'Adam, layers x nodes on ranks (pipelines in two columns)'
BEST_PIPELINE = 'Adam, layers on ranks (best pipeline)'
LABELS = (*FORMS.values(), ON_GRID, BEST_PIPELINE)
EXCHANGE_EVERY = 8  # epochs, as --exchange-every has it


def options_of(form):
    return ['--optimizer', 'adam', '--parallel', form]


def node_ranges(train, blocks):
    """--node-ranges with which so many training nodes have a range for every block, for runs that are compared; None: there is none.
    Ranges are multiples of 16 nodes, and 16 by themselves from 4,096 nodes on, as include/pdadmm/node_ranges.hpp has them."""
    if blocks == 1 or (train >= 4096 and blocks <= 16):
        return []
    for wanted in range(blocks, 65):
        length = 16 * math.ceil(math.ceil(train / wanted) / 16)
        if math.ceil(train / length) >= blocks:
            return ['--node-ranges', wanted]
    return None


def measured_forms(ranks, train):
    """(method, {ranks: options}) of every form that runs, and of a grid whose nodes are in two blocks where there are 4 ranks or more;
    as many ranks as the training nodes allow, all on the same ranges."""
    for form, text in FORMS.items():
        blocks = max((r for r in ranks if form != 'data' or node_ranges(train, r) is not None), default=0)
        ranges = node_ranges(train, blocks) if form == 'data' else []
        if blocks > 1:
            yield text, {r: [*options_of(form), *ranges] for r in ranks if r <= blocks}
    on_grid = [r for r in ranks if r >= 4]
    if on_grid and node_ranges(train, 2) is not None:
        shared = ['--optimizer', 'adam', *node_ranges(train, 2), '--micro-batches', 2 * max(on_grid)]
        yield ON_GRID, {r: [*shared, *(['--grid', f'{r // 2}x2'] if r > 1 else [])] for r in (1, *on_grid)}


def made_up(shape):
    """Options of a training of the shape that bench_ranks makes up."""
    hops = 5 if shape['inputs'] % 5 == 0 else 2
    each = shape['nodes'] // shape['classes']
    graph = f"sbm:nodes={2 * shape['nodes'] + 100},classes={shape['classes']},features={shape['inputs'] // hops}"
    return ['--dataset', graph, '--hops', hops, '--split', f'random:{each}/10/10', '--preset', 'none', '--layers', shape['layers'], '--hidden', shape['hidden']]


def forms_of(found):
    """{form: its name} of modelled ranks; none of records that are older than the form."""
    best = {'pipeline': BEST_PIPELINE} if all('pipelines' in f for f in found) else {}
    return {form: text for form, text in {**FORMS, **best}.items() if all(form in f for f in found)}


def pipeline_command(shape, ranks, micro_batches, rounds):
    counts = [m for m in micro_batches if m <= shape['nodes']]
    arguments = {**{key: shape[key] for key in ('layers', 'hidden', 'inputs', 'classes', 'nodes')}, 'ranks': ranks}
    arguments |= {'micro-batches': ','.join(map(str, counts)), 'rounds': rounds}
    return [str(word) for key, value in arguments.items() for word in (f'--{key}', value)]


def check_task(session, name, shape, rounds):
    """GPipe on two ranks of this machine, with the stages that its formula takes."""
    program = session.build / 'bench' / 'bench_pipeline'
    point = {'what': 'pipelined', 'shape': name, **shape, 'ranks': 2}
    if not program.exists():
        return left_out(point, f'{program} is not built')
    if session.machine['cores'] < 2:
        return left_out(point, f"{session.machine['cores']} processor here, expected two or more")
    arguments = [*pipeline_command(shape, 2, pipelines.CHECKED, rounds), '--measure']
    return Task(point, [' '.join(['bench_pipeline', *arguments])], lambda: {'lines': pipelines.lines_of(output([program, *arguments]))}, weight=rounds)


def task(session, name, shape, ranks, of_links, epochs, rounds, backend):
    """One rank's epoch, and its parts in so many micro-batches, are measured; ranks side by side are modelled from them."""
    arguments = [str(a) for a in [*made_up(shape), '--backend', backend, '--threads', 1, '--optimizer', 'adam', *untimed(epochs)]]

    program = session.build / 'bench' / 'bench_pipeline'
    staged = pipeline_command(shape, 1, pipelines.MICRO_BATCHES, rounds) if backend == 'cpu' and program.exists() else None

    def work():
        ms, _ = in_turns(session, {'adam': arguments}, rounds)
        lines = pipelines.lines_of(output([program, *staged])) if staged else []
        one = 1e-3 * ms['adam']['median']
        links = {link: [of_rank(session, shape, r, one, cost, lines) for r in ranks] for link, cost in of_links.items()}
        return {'ms': ms['adam'], 'links': links, 'stages': lines}

    point = {'what': 'rivals', 'shape': name, **shape, 'ranks': ranks, 'links': of_links, 'form': 'modelled from one rank'}
    commands = [session.shown(arguments), *([' '.join(['bench_pipeline', *staged])] if staged else [])]
    return Task(point, commands, work, [0], kind='modelled', weight=0.4 * rounds)


def weight_bytes(shape):
    n = shape['hidden']
    return 4 * (n * (shape['inputs'] + 1) + (shape['layers'] - 2) * n * (n + 1) + shape['classes'] * (n + 1))


def of_rank(session, shape, ranks, epoch_s, link, lines):
    """Seconds of an epoch in every form; as a pipeline, from `lines` of bench_pipeline where there are any, that of the best schedule.
    Grids are not asked for, so that any iteration will do."""
    adam = plans.plan(session, shape, ranks, link, {'iteration': epoch_s, 'epoch': epoch_s}, grid=f'{ranks}x1')['adam']
    weights = weight_bytes(shape)
    schedules = pipelines.as_values(pipelines.best(lines, ranks, link, 4 * shape['hidden'] * shape['nodes'], epoch_s)) if lines else {}
    return {
        'pipeline': schedules[pipelines.fastest(schedules)]['seconds'] if schedules else adam['pipeline_s'],
        **({'pipelines': schedules} if schedules else {}),
        'data': adam['data_s'],
        # A rank sends 2 (R - 1)/R of its weights to the centre's owners and as parts of it; a leader all of them to each other rank.
        'elastic': worker_seconds(epoch_s, ranks, 2 * (ranks - 1) / ranks * weights, link),
        'leader': worker_seconds(epoch_s, ranks, (ranks - 1) * weights, link),
    }


def worker_seconds(epoch_s, ranks, sent_bytes, link):
    """An epoch of workers with weights of their own, each on its share of the nodes. After every EXCHANGE_EVERY of them a rank sends
    `sent_bytes` under nothing: the next step starts from what it gets."""
    latency_us, gb_per_s = link
    exchange = 2e-6 * latency_us + 1e-9 * sent_bytes / gb_per_s if ranks > 1 else 0.0
    return epoch_s / ranks + exchange / EXCHANGE_EVERY


def speedups(found, form, one_rank_s):
    """Of a form at every number of ranks."""
    return [one_rank_s / f[form] for f in found]


def table(record, title):
    p, v = record['point'], record['values']
    one = 1e-3 * v['ms']['median']
    forms = forms_of([f for found in v['links'].values() for f in found])
    rows = [
        [f'{link}: {p["links"][link][0]:g} us, {p["links"][link][1]:g} GB/s', str(r), *(text for form in forms for text in (f'{1e3 * f[form]:.3f}', f'{one / f[form]:.2f}'))]
        for link, found in v['links'].items()
        for r, f in zip(p['ranks'], found)
    ]
    header = ['link', 'ranks', *(text for form in forms.values() for text in (f'{form}: ms an epoch', 'speedup'))]
    return Table(f'Modelled from one rank, whose epoch of Adam took {spread_text(v["ms"])} ms: {title}', header, rows)
