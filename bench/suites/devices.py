"""Speedup by the number of ranks (the paper's Fig. 4)."""

import json
import subprocess

from . import pipelines, plans, rivals, speedup, workers
from .kernels import output
from .session import HarnessError, Task, USAGE, left_out
from .tables import Table
from .timing import NO_GPU, in_turns, ratio, spread_text, untimed

TITLE = 'Speedup by ranks (Fig. 4)'
ABOUT = """Measured: `pdadmm train --ranks R`, a thread a rank, as far as there are processors, or with `--backend cuda` a GPU a rank;
rank counts take turns. Modelled: `bench_ranks` times the stages of every rank alone, and makes from them the iteration of ranks side
by side, over links of the latency and bandwidth named; no such ranks have run. Grids of layers x nodes are those that `pdadmm plan`
chooses for one rank's iteration, with 16 ranges of nodes; their work is taken from counts. The bound is that of the flops,
layers being whole; a share above 1 means that one rank's arrays fit a cache that those of all layers do not, or that the machine was
busier while one rank was timed. Stage times of a CPU say nothing about GPUs. Backpropagation's parallel forms stand beside: measured
with the same ranks, and modelled from the epoch of one rank, its work taken to divide without loss and its messages to hide under the
backward pass: no form of it can be faster than that. Its pipeline is the fastest of GPipe, 1F1B and zero bubble (arXiv 2401.10241),
each with the number of micro-batches that is best for it: bench/suites/pipelines.py has their formulas, `bench_pipeline` times a
micro-batch forward, its two gradients and the step; GPipe's formula stands beside GPipe on two ranks, which the program has. Workers (EASGD, LSGD) exchange weights every 8 epochs; an epoch of theirs is another
algorithm's, so what they reach is measured besides: accuracy against bytes that all ranks sent."""
SIZES = {
    'quick': dict(
        shapes={'sbm size': dict(inputs=128, classes=5, nodes=100)},
        ranks=[1, 2, 4],
        codecs=['none'],
        rounds=2,
        datasets=['sbm:nodes=500'],
        hidden=64,
        layers=16,
        epochs=20,
        reached=dict(datasets=['sbm:nodes=500'], ranks=2, layers=3, hidden=16, epochs=24, seeds=2),
    ),
    'default': dict(
        shapes={'made up': dict(inputs=500, classes=10, nodes=1000)},
        ranks=[1, 2, 4, 8, 16],
        codecs=['none', '4'],
        rounds=5,
        datasets=['cora', 'sbm:nodes=2000'],
        hidden=500,
        layers=16,
        epochs=10,
        reached=dict(datasets=['cora', 'photo'], ranks=4, layers=4, hidden=100, epochs=200, seeds=3),
    ),
    'full': dict(
        shapes={'Flickr size': dict(inputs=2500, classes=7, nodes=44625), 'arxiv size': dict(inputs=640, classes=40, nodes=90941)},
        ranks=[1, 2, 4, 8, 16],
        codecs=['none', '4'],
        rounds=5,
        datasets=['cora', 'flickr', 'arxiv'],
        hidden=4000,
        layers=16,
        epochs=4,
        reached=dict(datasets=['cora', 'citeseer', 'photo', 'computers'], ranks=4, layers=4, hidden=100, epochs=200, seeds=5),
    ),
}
LINKS = {  # microseconds of a message, GB/s: typical of public measurements between GPUs, nominal between processors
    'cuda': {'NVLink': (4.0, 370.0), 'network': (20.0, 47.0)},
    'cpu': {'100 Gbit/s': (5.0, 12.0), '10 Gbit/s': (30.0, 1.2)},
}


def links(options):
    if (options.latency is None) != (options.bandwidth is None):
        raise HarnessError(USAGE, '--latency and --bandwidth: one of them, expected both or neither')
    return (
        LINKS['cuda' if options.backend == 'cuda' else 'cpu']
        if options.latency is None
        else {'given': (options.latency, options.bandwidth)}
    )


def tasks(session):
    s = session.sizes(SIZES)
    of_links = links(session.options)
    backend = session.options.backend if session.options.backend == 'cuda' else 'cpu'
    program = session.build / 'bench' / 'bench_ranks'
    for name, rest in s.shapes.items():
        shape = {'layers': s.layers, 'hidden': s.hidden, **rest}
        for codec in s.codecs:
            point = {'what': 'stages', 'shape': name, **shape, 'codec': codec}
            if not program.exists():
                yield left_out(point, f'{program} is not built')
                continue
            one_rank = [
                '--rounds',
                str(s.rounds),
                '--backend',
                backend,
                *(text for key, value in shape.items() for text in (f'--{key}', str(value))),
                *([] if codec == 'none' else ['--quantize', 'pq', '--bits', codec]),
            ]
            arguments = ['--ranks', ','.join(map(str, s.ranks)), *one_rank]
            yield Task(
                {**point, 'links': of_links},
                [' '.join(['bench_ranks', *arguments])],
                lambda arguments=arguments: model(output([program, *arguments, *link_options(of_links)]), of_links),
                kind='modelled',
                weight=shape['hidden'] ** 2 * shape['nodes'] * 1e-7,
            )
            yield grid_task(session, point, shape, s, of_links, [program, '--ranks', '1', *one_rank])
        yield rivals.task(session, name, shape, s.ranks, of_links, s.epochs, s.rounds, backend)
        if backend == 'cpu':
            yield rivals.check_task(session, name, shape, s.rounds)
    yield from measured_ranks(session, s)
    on_gpus = session.options.backend == 'cuda'
    if not on_gpus or gpus() >= s.reached['ranks']:
        yield from workers.tasks(session, s.reached, on(s.reached['ranks'], on_gpus))


def link_options(of_links):
    return [text for latency, bandwidth in of_links.values() for text in ('--link', f'{latency:g},{bandwidth:g}')]


def model(text, of_links):
    lines = [json.loads(line) for line in text.splitlines()]
    by_link = zip(*(line.pop('modelled') for line in lines))
    return {'stages': lines, 'links': dict(zip(of_links, map(list, by_link)))}


def grid_task(session, stages_point, shape, s, of_links, command):
    """One rank's iteration is measured; grids of ranks are planned from it."""
    point = {**stages_point, 'what': 'grid', 'ranks': s.ranks, 'links': of_links}

    def work():
        one = json.loads(output(command))['one_rank_s']
        planned = {
            name: [plans.best_grid(plans.plan(session, shape, r, link, {'iteration': one}, point['codec'])) for r in s.ranks]
            for name, link in of_links.items()
        }
        return {'one_rank_s': one, 'links': planned}

    return Task(point, [' '.join(map(str, ['bench_ranks', *command[1:]]))], work, kind='modelled', weight=shape['hidden'] ** 2 * shape['nodes'] * 1e-8)


def measured_ranks(session, s):
    on_gpus = session.options.backend == 'cuda'
    if not on_gpus:
        yield left_out({'what': 'GPU panels'}, NO_GPU)
    places = gpus() if on_gpus else session.machine['cores']
    ranks = [r for r in (1, 2, 4, 8, 16) if r <= min(places, s.layers)]
    if len(ranks) < 2:
        yield left_out({'what': 'measured ranks'}, f"{places} {'GPU' if on_gpus else 'processor'} here, expected two or more")
        return
    datasets = yield from session.datasets(s.datasets)
    for dataset in datasets:
        network = ['--preset', 'none', '--layers', s.layers, '--hidden', s.hidden, *untimed(s.epochs)]
        train = session.facts(dataset)['train']
        for method, options in [('pdADMM-G', {r: [] for r in ranks}), *rivals.measured_forms(ranks, train)]:
            commands = {str(r): list(map(str, ['--dataset', dataset, *on(r, on_gpus), *network, *own])) for r, own in options.items()}
            yield Task(
                {
                    'what': 'measured',
                    'method': method,
                    'dataset': dataset,
                    'layers': s.layers,
                    'hidden': s.hidden,
                    'train': train,
                    'ranks': list(options),
                },
                [session.shown(c) for c in commands.values()],
                speedups(session, commands, s.rounds),
                [0],
                weight=s.rounds * len(options),
            )


def on(ranks, on_gpus):
    """Options of so many ranks: a GPU or a thread each."""
    if on_gpus:
        return ['--backend', 'cuda', '--devices', ','.join(map(str, range(ranks)))]
    return ['--backend', 'cpu', '--threads', ranks, '--ranks', ranks]


def gpus():
    try:
        done = subprocess.run(['nvidia-smi', '-L'], capture_output=True, text=True)
    except OSError:
        return 0
    return sum(line.startswith('GPU ') for line in done.stdout.splitlines())


def speedups(session, commands, rounds):
    def work():
        ms, by_round = in_turns(session, commands, rounds)
        return {'ms': ms, 'speedup': {r: ratio(by_round, '1', r) for r in commands}}

    return work


def shape_text(p):
    return f"{p['shape']}, {p['layers']} layers, n {p['hidden']}, N {p['nodes']}" + (
        '' if p.get('codec', 'none') == 'none' else f", p and q at {p['codec']} bits"
    )


def grid_table(p, v):
    rows = [
        [
            f'{name}: {p["links"][name][0]:g} us, {p["links"][name][1]:g} GB/s',
            str(r),
            g['grid'],
            f"{1e3 * g['iteration_s']:.3f}",
            f"{g['speedup']:.2f}",
            g['bound'],
        ]
        for name, grids in v['links'].items()
        for r, g in zip(p['ranks'], grids)
    ]
    header = ['link', 'ranks', 'layers x nodes', 'ms an iteration', 'speedup', 'lost most to']
    return Table(f"Planned from one rank, whose iteration took {1e3 * v['one_rank_s']:.3f} ms: {shape_text(p)}", header, rows)


def parted(records):
    """What ranks reach; how far off a formula is; how fast ranks are."""
    of = lambda what: [r for r in records if r['point'].get('what') == what and r['kind'] == 'measured']
    return of('reached'), of('pipelined'), [r for r in records if r['point'].get('what') not in ('reached', 'pipelined')]


def tables(records):
    reached, pipelined, others = parted(records)
    made = workers.tables(reached) + pipelines.check_tables(pipelined)
    for r in others:
        p, v = r['point'], r['values']
        if p['what'] == 'rivals':
            made += [t for t in (rivals.table(r, shape_text(p)), pipelines.table(r, shape_text(p))) if t]
        elif p['what'] == 'grid':
            made.append(grid_table(p, v))
        elif r['kind'] == 'modelled':
            rows = []
            for name, figures_ in v['links'].items():
                latency, bandwidth = p['links'][name]
                for line, f in zip(v['stages'], figures_):
                    rows.append(
                        [
                            f'{name}: {latency:g} us, {bandwidth:g} GB/s',
                            str(line['ranks']),
                            f"{1e3 * f['iteration_s']:.3f}",
                            f"{1e6 * f['exposed_s']:.1f}",
                            f"{line['p_bytes'] + line['q_bytes']:,}",
                            f"{f['speedup']:.2f}",
                            f"{line['flop_balance_bound']:.2f}",
                            f"{f['share_of_bound']:.2f}",
                        ]
                    )
            made.append(
                Table(
                    f"Modelled from stages timed one rank at a time, {v['stages'][0]['backend'].split(', OpenBLAS')[0]}: {shape_text(p)}",
                    [
                        'link',
                        'ranks',
                        'ms an iteration',
                        'exposed, us',
                        'bytes a border',
                        'speedup',
                        "bound of the flops' balance",
                        'share of it',
                    ],
                    rows,
                )
            )
        elif r['kind'] == 'measured':
            rows = [[str(k), spread_text(v['ms'][str(k)]), spread_text(v['speedup'][str(k)], 2)] for k in p['ranks']]
            made.append(
                Table(
                    f"Ranks side by side, measured: {p['method']}, {p['dataset']}, {p['layers']} layers, n {p['hidden']}, N {p['train']}",
                    ['ranks', 'ms an iteration', 'speedup'],
                    rows,
                )
            )
    return made


def figures(records):
    reached, _, others = parted(records)
    return speedup.figures(others) + workers.figures(reached)
