"""Time of an iteration against the number of layers, on one device (the paper's Fig. 3)."""

from .figures import Figure, Panel, Series, so_many, in_pictures, stem
from .session import Task, left_out
from .tables import Table, measured
from .timing import NO_GPU, in_turns, ratio, spread_text, untimed

TITLE = 'Time of an iteration against layers, one device (Fig. 3)'
ABOUT = """Milliseconds an iteration of pdADMM-G and an epoch of full-batch Adam, same network, features and threads, evaluation not
included; depths and methods take turns, the median over rounds with the least and the greatest. A network of L layers costs both a
multiple of L products; what pdADMM-G may gain on one device is that its products do not wait for one another. "Growth" is the time at
the greatest depth over that at the least. Where features are many, Adam's time is at first that of the first layer, whose product with
all hops of all features it takes each epoch; pdADMM-G keeps that layer in node space."""
SIZES = {
    'quick': dict(datasets=['sbm:nodes=500'], layers=[2, 4, 8], hidden=32, epochs=30, rounds=2),
    'default': dict(datasets=['cora', 'sbm:nodes=2000'], layers=[2, 4, 8, 16, 32, 64], hidden=100, epochs=30, rounds=5),
    'full': dict(datasets=['cora', 'pubmed', 'citeseer', 'photo', 'computers'], layers=[2, 4, 8, 16, 32, 64], hidden=1000, epochs=10, rounds=5),
}
METHODS = {'admm': [], 'adam': ['--optimizer', 'adam']}


def tasks(session):
    s = session.sizes(SIZES)
    depths = sorted({2, *s.layers})
    datasets = yield from session.datasets(s.datasets)
    if session.options.backend != 'cuda':
        yield left_out({'what': 'GPU panel'}, NO_GPU)
    for dataset in datasets:
        commands = {
            f'{method} {depth}': session.train_arguments(
                dataset, '--preset', 'none', '--layers', depth, '--hidden', s.hidden, *options, *untimed(s.epochs)
            )
            for depth in depths
            for method, options in METHODS.items()
        }
        yield Task(
            {'dataset': dataset, 'hidden': s.hidden, 'train': session.facts(dataset)['train'], 'depths': depths},
            [session.shown(c) for c in commands.values()],
            timed(session, commands, depths, s.rounds),
            [0],
            weight=s.rounds * len(commands),
        )


def timed(session, commands, depths, rounds):
    def work():
        ms, by_round = in_turns(session, commands, rounds)
        return {
            'ms': ms,
            'adam_over_admm': {str(d): ratio(by_round, f'adam {d}', f'admm {d}') for d in depths},
            'growth': {m: ratio(by_round, f'{m} {depths[-1]}', f'{m} {depths[0]}') for m in METHODS},
        }

    return work


def tables(records):
    made = []
    for r in measured(records):
        p, v = r['point'], r['values']
        rows = [
            [str(d), spread_text(v['ms'][f'admm {d}']), spread_text(v['ms'][f'adam {d}']), spread_text(v['adam_over_admm'][str(d)], 2)]
            for d in p['depths']
        ]
        rows.append(
            ['growth', *(f"{v['growth'][m]['median']:.1f} times" for m in METHODS), f"{p['depths'][-1] // p['depths'][0]} times the layers"]
        )
        made.append(
            Table(
                f"ms an iteration, measured: {p['dataset']}, n {p['hidden']}, N {p['train']}",
                ['layers', 'pdADMM-G', 'Adam', 'Adam / pdADMM-G'],
                rows,
            )
        )
    return made


def figures(records):
    made = []
    for hidden in sorted({r['point']['hidden'] for r in measured(records)}):
        of_hidden = [r for r in measured(records) if r['point']['hidden'] == hidden]
        for part in in_pictures(of_hidden):
            ending = '' if len(part) == len(of_hidden) else '-' + '-'.join(stem(r['point']['dataset']) for r in part)
            about = f"An iteration of pdADMM-G and an epoch of Adam, n {hidden}, measured on {part[0]['device'].split(',')[0]}"
            panels = [panel(r['point'], r['values']['ms']) for r in part]
            made.append(Figure(f'layers-{hidden}{ending}', finding(part), panels, about, spread_of(part)))
    return made


def panel(p, ms):
    lines = [
        Series.of_spreads(label, p['depths'], [ms[f'{method} {d}'] for d in p['depths']])
        for method, label in (('admm', 'pdADMM-G'), ('adam', 'Adam'))
    ]
    title = f"{p['dataset']}, N {p['train']}"
    return Panel(title, 'layers', 'milliseconds', lines, xlog=True, ylog=True, counts=True)


def spread_of(records):
    rounds = min(s['repetitions'] for r in records for s in r['values']['ms'].values())
    return f'Lines: median; bands: least to greatest of {so_many(rounds, "round")}.'


def finding(records):
    """How long Adam takes beside an iteration, at the fewest and the most layers."""
    told = []
    for r in records:
        depths, ratios = r['point']['depths'], r['values']['adam_over_admm']
        first, last = (ratios[str(d)]['median'] for d in (depths[0], depths[-1]))
        told.append(f"{first:.2g} to {last:.2g} times ours on {r['point']['dataset'].partition(':')[0]}")
    return f"From {depths[0]} to {depths[-1]} layers Adam's epoch takes {', '.join(told)}"
