"""Objective and residual against iterations (the paper's Fig. 2)."""

from .figures import Figure, Panel, Series, sizes, span, thinned
from .session import Task
from .tables import Table, measured

TITLE = 'Convergence (Fig. 2)'
TIMED = False  # accuracies, objectives and bytes are the same on a busy machine
ABOUT = """L_rho and the squared residual |p - q|² against iterations, rho 1, nu 0.01 and no weight decay as in the paper, from scratch,
one seed. `exact`: this program's step; `backtracking`: the paper's (tau, theta = 20, 40, ...). The cost is the mean cross entropy of
the forward pass over the training nodes: an objective can fall while the network itself does not learn, so both are shown."""
SIZES = {
    'quick': dict(datasets=['sbm:nodes=500'], layers=10, hidden=32, epochs=60),
    'default': dict(datasets=['cora', 'pubmed', 'citeseer', 'photo', 'computers', 'cs', 'physics'], layers=10, hidden=1000, epochs=100),
    'full': dict(datasets=['cora', 'pubmed', 'citeseer', 'computers', 'photo', 'cs', 'physics'], layers=10, hidden=1000, epochs=100),
}
STEPS = ('exact', 'backtracking')


def setting(layers, hidden, step):
    """Options of Fig. 2."""
    return ['--preset', 'none', '--layers', layers, '--hidden', hidden, '--rho', 1, '--nu', 0.01, '--weight-decay', 0, '--step', step]


def tasks(session):
    s = session.sizes(SIZES)
    datasets = yield from session.datasets(s.datasets)
    for dataset in datasets:
        facts = session.facts(dataset)
        for step in STEPS:
            point = {'dataset': dataset, 'step': step, 'layers': s.layers, 'hidden': s.hidden, 'train': facts['train']}
            arguments = session.train_arguments(
                dataset, *setting(s.layers, s.hidden, step), '--epochs', s.epochs, '--eval-every', s.epochs, '--seeds', 1
            )
            yield Task(
                point,
                [session.shown(arguments)],
                curve_of(session, arguments),
                [0],
                weight=1e-10 * 8 * s.epochs * s.layers * s.hidden**2 * facts['train'],
            )


def curve_of(session, arguments):
    def work():
        rows = session.train(arguments)[0]['rows']
        kept = thinned(rows)
        return {
            'iteration': [r['epoch'] for r in kept],
            'objective': [r['objective'] for r in kept],
            'residual_sq': [r['primal_residual'] ** 2 for r in kept],
            'train_cost': rows[-1]['train_cost'],
            'train_accuracy': rows[-1]['train_accuracy'],
            'test_accuracy': rows[-1]['test_accuracy'],
        }

    return work


def tables(records):
    rows = []
    for r in measured(records):
        v, p = r['values'], r['point']
        rows.append(
            [
                p['dataset'],
                sizes(p),
                p['step'],
                str(v['iteration'][-1]),
                f"{v['objective'][0]:.3g}",
                f"{v['objective'][-1]:.3g}",
                f"{v['residual_sq'][0]:.2g}",
                f"{v['residual_sq'][-1]:.2g}",
                f"{v['train_accuracy']:.3f}",
                f"{v['train_cost']:.3f}",
            ]
        )
    return (
        [
            Table(
                'Objective and residual, measured',
                [
                    'data set',
                    'network',
                    'step',
                    'iterations',
                    'L_rho after 1',
                    'at the end',
                    '|p - q|² after 1',
                    'at the end',
                    'training accuracy',
                    'cost of the forward pass',
                ],
                rows,
            )
        ]
        if rows
        else []
    )


def figures(records):
    found = measured(records)
    made = []
    for shape in sorted({(r['point']['layers'], r['point']['hidden']) for r in found}):
        of_shape = [r for r in found if (r['point']['layers'], r['point']['hidden']) == shape]

        def curves(key, of_shape=of_shape):
            return [
                Series(f"{r['point']['dataset']} (N {r['point']['train']})", r['values']['iteration'], r['values'][key], variant=r['point']['step'])
                for r in of_shape
            ]

        made.append(
            Figure(
                f'convergence-{shape[1]}',
                finding(of_shape),
                [
                    Panel('objective', 'iteration', 'L_rho', curves('objective'), ylog=True, marks=False),
                    Panel('squared residual', 'iteration', '|p - q|²', curves('residual_sq'), ylog=True, marks=False),
                ],
                f'{shape[0]} layers, n {shape[1]}, rho 1, nu 0.01, from scratch, measured, one seed',
            )
        )
    return made


def finding(records):
    """How much lower the objective ends by exact steps."""
    last = {(r['point']['dataset'], r['point']['step']): r['values']['objective'][-1] for r in records}
    ratios = [last[d, 'backtracking'] / last[d, 'exact'] for d, step in last if step == 'exact' and (d, 'backtracking') in last]
    iterations = max(r['values']['iteration'][-1] for r in records)
    if not ratios:
        return f'The objective over {iterations} iterations'
    return f'After {iterations} iterations exact steps leave an objective {span(ratios)} times lower than backtracking'
