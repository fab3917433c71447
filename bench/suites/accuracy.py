"""Test accuracy of pdADMM-G and of backpropagation (the paper's Tables III and IV), and of Adam tuned on validation accuracy."""

from . import paper
from .accuracy_methods import BACKPROPAGATION, METHODS, QUANTISED, RULES, best_by_axis, grow_option, growth, seed_option, seeds_of
from .accuracy_report import figures, tables  # noqa: F401
from .session import Task

TITLE = 'Test accuracy (Tables III and IV)'
TIMED = False  # accuracies, objectives and bytes are the same on a busy machine
ABOUT = """Test accuracy of the last iterate, mean ± sd over seeds. Grown: 2, 5, 10 layers (up to the depth given), --epochs in each (`fast`: its own);
ungrown: the full depth from scratch, --epochs in all, as in the paper. `paper`: the paper's hyperparameters and data options, for every
method. `fast`: this program's preset, chosen by validation accuracy. Adam, tuned: one pass over a grid, one axis after the other
(feature norm, weight decay, dropout, depth, learning rate), each by the best mean validation accuracy; so by Adam, in newer
records also by AdamW with a learning rate that falls along a cosine, and the better of both; its test accuracy is that of the epoch with the best validation accuracy,
or of the last epoch, as the column says. Hops are those of `fast`. Table IV: `--hidden 500`."""
SIZES = {
    'quick': dict(datasets=['sbm:nodes=500'], layers=10, hidden=16, seeds=2, epochs=20, search_seeds=1, methods=None),
    'default': dict(
        datasets=['cora', 'pubmed', 'citeseer', 'photo', 'computers', 'cs', 'physics'],
        layers=10, hidden=100, seeds=5, epochs=200, search_seeds=1, methods=None,
    ),  # fmt: skip
    'full': dict(datasets=list(paper.DATASETS), layers=10, hidden=100, seeds=5, epochs=200, search_seeds=5, methods=None),
}
EVAL_EVERY = 20


def work_of(session, arguments):
    """One training over seeds: lists by seed."""

    def work():
        runs = session.train(arguments)
        return {
            'test': [r['last']['test'] for r in runs],
            'test_at_best_val': [r['best']['test'] for r in runs],
            'val': [r['last']['val'] for r in runs],
            'best_val': [r['best']['val'] for r in runs],
            'train': [r['last']['train'] for r in runs],
            'objective': [r['objective'] for r in runs],
            'seconds': [r['seconds'] for r in runs],
            'bytes': [r['bytes'] for r in runs],
            'ms_per_iteration': [1e3 * r['seconds'] / r['epochs'] for r in runs],
        }

    return work


def training(session, point, more, seeds, weight, paced=True):
    """Over seeds, evaluated every EVAL_EVERY epochs, or as often as the preset says where not `paced`."""
    arguments = session.train_arguments(point['dataset'], *(['--eval-every', EVAL_EVERY] if paced else []), *more, '--seeds', seed_option(seeds))
    return Task(point, [session.shown(arguments)], work_of(session, arguments), list(seeds), weight=weight)


def cost(session, dataset, layers, hidden):
    """Rough seconds of 200 epochs of backpropagation, on this or that machine."""
    facts = session.facts(dataset)
    return 1 + 200 * 1e-10 * facts['train'] * hidden * (6 * 5 * facts['features'] + 6 * layers * hidden)


def tasks(session):
    s = session.sizes(SIZES)
    datasets = yield from session.datasets(s.datasets)
    methods = s.methods or METHODS
    shape = {'layers': s.layers, 'hidden': s.hidden, 'epochs': s.epochs}
    network = ['--layers', s.layers, '--hidden', s.hidden]
    for dataset in datasets:
        point = {'dataset': dataset, **shape, 'train': session.facts(dataset)['train']}
        for method in (m for m in methods if m in QUANTISED):
            for preset in ('fast', 'paper') if len(growth(s.layers)) == 3 else ('fast',):  # the paper's lists are for three stages
                paced = preset != 'fast'  # which has epochs and evaluations of its own
                epochs = ['--epochs', s.epochs] if paced else []
                yield training(
                    session,
                    {**point, 'method': method, 'preset': preset, 'growth': 'grown'},
                    ['--preset', preset, *network, *epochs, *grow_option(s.layers, True), *QUANTISED[method]],
                    seeds_of(preset, s.seeds),
                    s.seeds * 2,
                    paced,
                )
        if 'admm' in methods:
            yield training(
                session,
                {**point, 'method': 'admm', 'preset': 'fast', 'growth': 'ungrown'},
                ['--preset', 'fast', *network, '--epochs', s.epochs, *grow_option(s.layers, False)],
                seeds_of('fast', s.seeds),
                s.seeds,
            )
        if 'adam-tuned' in methods:
            yield from tuned_adam(session, s, point)
    for grown in (True, False):
        for dataset in datasets:
            for method in (m for m in BACKPROPAGATION if m in methods):
                point = {
                    'dataset': dataset,
                    **shape,
                    'train': session.facts(dataset)['train'],
                    'method': method,
                    'preset': 'paper',
                    'growth': 'grown' if grown else 'ungrown',
                }
                yield training(
                    session,
                    point,
                    ['--preset', 'paper', *network, '--epochs', s.epochs, *grow_option(s.layers, grown), '--optimizer', method],
                    seeds_of('paper', s.seeds),
                    s.seeds * cost(session, dataset, s.layers, s.hidden) * (3 if grown else 1),
                )


def tuned_adam(session, s, point):
    """A pass over the axes by each rule, then the best of both over all seeds."""

    def trial(rule, settings, seeds, part):
        options, axes = RULES[rule]
        arguments = ['--preset', 'fast', *options, '--hidden', s.hidden, '--epochs', s.epochs]
        for axis, value in settings.items():
            arguments += axes[axis][1](value) if axes[axis][1] else depth_options(value, s.layers)
        layers = s.layers if settings['depth'] == 'grown' else int(settings['depth'])
        weight = len(seeds) * cost(session, point['dataset'], layers, s.hidden) * (3 if settings['depth'] == 'grown' else 1)
        return training(
            session,
            {**point, 'method': 'adam-tuned', 'part': part, **({'settings': {**settings, **named_rule(rule)}} if part == 'search' else {})},
            arguments,
            seeds,
            weight,
        )

    found = {}
    for rule, (_, axes) in RULES.items():
        search = lambda settings, rule=rule: trial(rule, settings, list(range(s.search_seeds)), 'search')
        found[rule] = yield from best_by_axis({axis: values for axis, (values, _) in axes.items()}, search, 'best_val')
    rule = max(RULES, key=lambda name: found[name][1])
    yield trial(rule, found[rule][0], list(range(s.seeds)), 'chosen')


def named_rule(rule):
    """What tells a setting's rule in its record; Adam's records came before the others and do not say it."""
    return {} if rule == 'adam' else {'rule': rule}


def depth_options(value, layers):
    return ['--layers', layers, *grow_option(layers, True)] if value == 'grown' else ['--layers', value, '--grow', '']
