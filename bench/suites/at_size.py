"""Accuracy, time and bytes with thousands of labels: random 60/20/20 splits, every method tuned by the same number of trials."""

from .at_size_methods import EVAL_EVERY, METHODS, PATIENCE, split_options
from .at_size_report import best_setting, cited, figures, tables  # noqa: F401
from .session import Task, left_out

TITLE = 'At size: 60/20/20 splits'
ABOUT = f"""Random splits of all labelled nodes, 60 % to train, 20 % to validate, 20 % to test; features, neurons and threads are the same
for all. Each method, at each depth, is tuned over the same number of settings (bench/suites/at_size_methods.py) by the validation
accuracy of split 0; the best runs on all splits, split and seed S in the S-th run. pdADMM-G is grown 2, 5, 10, --epochs at most in each
stage; Adam, ours and PyTorch's, starts at the full depth with as many epochs in all; every stage ends after {PATIENCE} evaluations,
{EVAL_EVERY} iterations apart, without a better validation accuracy. Test accuracy is that of the evaluation with the best validation
accuracy, of the full depth. "To within half a point": until the validation accuracy of the full depth is at most 0.005 below the best
that any method reaches at any depth on that split; the median over splits. Seconds are of growth and set-up too (weights, products of
features and their factor), not of evaluation, augmentation and reading. Bytes: p and q, sent after every layer. Peak memory is that of
the whole process. Ridge regression of the labels on the same features is the peer that has no depth at all. Published figures are their
authors', on splits of the same shares: other splits, networks and features."""
SIZES = {
    'quick': dict(datasets=['sbm:nodes=500'], layers=[2, 4], hidden=16, epochs=20, splits=2, trials=2, methods=None),
    'default': dict(
        datasets=['pubmed', 'computers', 'photo', 'cs', 'physics'], layers=[2, 5, 10], hidden=100, epochs=300, splits=5, trials=4, methods=None
    ),
    'full': dict(
        datasets=['pubmed', 'computers', 'photo', 'cs', 'physics'], layers=[2, 5, 10], hidden=100, epochs=300, splits=5, trials=6, methods=None
    ),
}


def tasks(session):
    s = session.sizes(SIZES)
    datasets = yield from session.datasets(s.datasets)
    for dataset in datasets:
        for layers in s.layers:
            for name in s.methods or METHODS:
                if METHODS[name].of_depth or layers == s.layers[0]:
                    yield from tuned(session, s, dataset, name, layers)


def tuned(session, s, dataset, name, layers):
    """The trials of split 0, then the best setting on the other splits."""
    method = METHODS[name]
    facts = session.facts(dataset, split_options(0))
    shape = {'layers': layers, 'hidden': s.hidden, 'epochs': s.epochs} if method.of_depth else {}
    trials = dict(method.settings[: s.trials])
    weight = 1e-6 * facts['train'] * s.hidden * (facts['features'] + layers * s.hidden) if method.of_depth else 1.0

    def run(setting, split):
        of = (s, dataset, layers, split, trials[setting])
        point = {'dataset': dataset, 'method': name, **shape, 'train': facts['train'], 'split': split, 'setting': setting}
        return Task(point, method.commands(session, *of), lambda: method.run(session, *of), [split], weight=weight)

    why = method.why_missing()
    if why:
        first = run(next(iter(trials)), 0)
        yield left_out(first.point, why)
        return
    records = []
    for setting in trials:
        records.append((yield run(setting, 0)))
    chosen = best_setting([r for r in records if r]) or next(iter(trials))
    for split in range(1, s.splits):
        yield run(chosen, split)
