"""How fast the objective falls: this program's exact steps beside the paper's backtracking."""

import statistics

from .convergence import STEPS, setting
from .figures import Figure, Panel, Series, so_many, sizes, stem, thinned
from .session import Task
from .tables import Table, measured, spread
from .timing import spread_text

TITLE = 'Time to objective: exact steps beside backtracking'
ABOUT = """The setting of Fig. 2 (rho 1, nu 0.01, no weight decay, from scratch). Both rules run in turns, the same iterations each
time; seconds are the median over rounds and hold no evaluation. "At equal time" is where the first of the two is done. The risk of the
forward pass is its mean cross entropy over the training nodes: a low objective does not yet mean that the network itself has learned."""
SIZES = {
    'quick': dict(datasets=['sbm:nodes=500'], layers=10, hidden=32, epochs=60, rounds=2),
    'default': dict(datasets=['cora'], layers=10, hidden=100, epochs=200, rounds=5),
    'full': dict(datasets=['cora', 'pubmed', 'citeseer', 'photo', 'computers'], layers=10, hidden=1000, epochs=200, rounds=3),
}
EVAL_EVERY = 10


def tasks(session):
    s = session.sizes(SIZES)
    datasets = yield from session.datasets(s.datasets)
    for dataset in datasets:
        commands = {
            step: session.train_arguments(
                dataset, *setting(s.layers, s.hidden, step), '--epochs', s.epochs, '--eval-every', EVAL_EVERY, '--seeds', 1
            )
            for step in STEPS
        }
        yield Task(
            {'dataset': dataset, 'layers': s.layers, 'hidden': s.hidden, 'train': session.facts(dataset)['train']},
            [session.shown(c) for c in commands.values()],
            descents(session, commands, s.rounds),
            [0],
            weight=2 * s.rounds,
        )


def descents(session, commands, rounds):
    def work():
        runs = {step: [] for step in commands}
        for _ in range(rounds):
            for step, arguments in commands.items():
                runs[step].append(session.train(arguments)[0]['rows'])
        return summarised(runs)

    return work


def summarised(runs):
    """Values of {step: [rows of a round, ...]}."""
    values, clocks, end = {}, {}, float('inf')
    for step, rounds in runs.items():
        clocks[step] = accumulated([statistics.median(r[k]['seconds'] for r in rounds) for k in range(len(rounds[0]))])
        end = min(end, clocks[step][-1])
    for step, rounds in runs.items():
        rows, clock = rounds[0], clocks[step]
        evaluated = [(r, t) for r, t in zip(rows, clock) if 'train_cost' in r]
        curve = thinned(list(zip(rows, clock)))
        values[step] = {
            'iteration': [r['epoch'] for r, _ in curve],
            'seconds': [t for _, t in curve],
            'objective': [r['objective'] for r, _ in curve],
            'evaluated_iteration': [r['epoch'] for r, _ in evaluated],
            'evaluated_seconds': [t for _, t in evaluated],
            'train_cost': [r['train_cost'] for r, _ in evaluated],
            'train_accuracy': [r['train_accuracy'] for r, _ in evaluated],
            'ms_per_iteration': spread([1e3 * statistics.median(r['seconds'] for r in rows_) for rows_ in rounds]),
            'objective_at': {str(k): rows[k - 1]['objective'] for k in (1, 10, 100, len(rows)) if k <= len(rows)},
            'objective_at_equal_time': max((r for r, t in zip(rows, clock) if t <= end), key=lambda r: r['epoch'], default=rows[0])[
                'objective'
            ],
        }
    return {'equal_time_s': end, 'steps': values}


def accumulated(seconds):
    total, sums = 0.0, []
    for s in seconds:
        total += s
        sums.append(total)
    return sums


def tables(records):
    made = []
    for r in measured(records):
        p, v = r['point'], r['values']
        marks = list(v['steps']['exact']['objective_at'])
        rows = [
            [
                step,
                spread_text(s['ms_per_iteration']),
                *(f"{s['objective_at'][k]:.3g}" for k in marks),
                f"{s['objective_at_equal_time']:.3g}",
                f"{s['train_accuracy'][-1]:.3f}",
                f"{s['train_cost'][-1]:.3f}",
            ]
            for step, s in v['steps'].items()
        ]
        gain = v['steps']['backtracking']['objective_at_equal_time'] / v['steps']['exact']['objective_at_equal_time']
        made.append(
            Table(
                f"L_rho, measured: {p['dataset']}, {p['layers']} layers, n {p['hidden']}, N {p['train']}",
                [
                    'step',
                    'ms an iteration',
                    *(f'L_rho after {k}' for k in marks),
                    f"after {v['equal_time_s']:.3g} s",
                    'training accuracy',
                    'risk of the forward pass',
                ],
                rows,
                f'At equal time the exact steps are {gain:.3g} times lower.',
            )
        )
    return made


def figures(records):
    made = []
    for r in measured(records):
        p, steps = r['point'], r['values']['steps']

        def lines(x, y, steps=steps):
            return [Series(step, s[x], s[y]) for step, s in steps.items()]

        gain = steps['backtracking']['objective_at_equal_time'] / steps['exact']['objective_at_equal_time']
        rounds = min(s['ms_per_iteration']['repetitions'] for s in steps.values())
        made.append(
            Figure(
                f"time-to-objective-{stem(p['dataset'])}-{p['hidden']}",
                f"After {r['values']['equal_time_s']:.2g} s exact steps have an objective {gain:.3g} times lower than backtracking",
                [
                    Panel('objective', 'seconds', 'L_rho', lines('seconds', 'objective'), ylog=True, marks=False),
                    Panel('risk of the forward pass', 'seconds', 'mean cross entropy', lines('evaluated_seconds', 'train_cost'), ylog=True, marks=False),
                    Panel('training accuracy', 'seconds', 'share of nodes', lines('evaluated_seconds', 'train_accuracy'), marks=False),
                ],
                f"{p['dataset']}, {sizes(p)}, rho 1, nu 0.01, from scratch; measured, one seed; seconds: median of {so_many(rounds, 'round')}",
            )
        )
    return made
