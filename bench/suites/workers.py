"""What ranks reach with the bytes that they send: pdADMM-G beside every parallel form of Adam, on one network. Part of `devices`."""

import statistics

from .accuracy_methods import seed_option
from .figures import Figure, Panel, Series, in_pictures, so_many, stem
from .rivals import EXCHANGE_EVERY, FORMS, node_ranges, options_of
from .session import Task
from .tables import Table, mean_sd, measured

EVAL_EVERY = EXCHANGE_EVERY
ADAM = ['--learning-rate', '1e-2', '--dropout', 0.5, '--weight-decay', '5e-4']
SHOWN = 0.2  # of accuracy below the best, in the picture


def methods(ranks, train):
    """{method: its options}; without nodes on ranks where there are too few for so many."""
    ours = {'pdADMM-G, layers on ranks': [], 'pdADMM-G-Q, 4 bits, layers on ranks': ['--quantize', 'pq', '--bits', 4]}
    ranges = {'data': node_ranges(train, ranks)}
    return {**ours, **{text: [*options_of(form), *own, *ADAM] for form, text in FORMS.items() if (own := ranges.get(form, [])) is not None}}


def tasks(session, sizes, on_ranks):
    """`sizes`: datasets, ranks, layers, hidden, epochs, seeds; on_ranks: the options of so many ranks."""
    datasets = yield from session.datasets(sizes['datasets'])
    for dataset in datasets:
        train = session.facts(dataset)['train']
        for method, options in methods(sizes['ranks'], train).items():
            arguments = [
                '--dataset', dataset, *on_ranks, '--preset', 'fast', '--layers', sizes['layers'], '--grow', '', '--hidden', sizes['hidden'],
                '--epochs', sizes['epochs'], '--stage-patience', 0, '--eval-every', EVAL_EVERY, *options, '--seeds', seed_option(range(sizes['seeds'])),
            ]  # fmt: skip
            arguments = list(map(str, arguments))
            shape = {key: sizes[key] for key in ('ranks', 'layers', 'hidden', 'epochs')}
            point = {'what': 'reached', 'dataset': dataset, 'method': method, **shape, 'train': train}
            yield Task(point, [session.shown(arguments)], lambda arguments=arguments: reached(session.train(arguments)), list(range(sizes['seeds'])))


def reached(runs):
    """Bytes sent until every evaluation, the same for all seeds, with the validation accuracies of each; the best of every seed."""
    sent, total = [], 0
    for row in runs[0]['rows']:
        total += row['bytes']
        if 'val_accuracy' in row:
            sent.append(total)
    return {
        'bytes': sent,
        'val': [[row['val_accuracy'] for row in run['rows'] if 'val_accuracy' in row] for run in runs],
        'best_val': [run['best']['val'] for run in runs],
        'test_at_best_val': [run['best']['test'] for run in runs],
    }


def of_networks(records):
    """{(data set, ranks, layers, hidden, epochs, train): its records}."""
    found = {}
    for r in measured(records):
        found.setdefault(tuple(r['point'][k] for k in ('dataset', 'ranks', 'layers', 'hidden', 'epochs', 'train')), []).append(r)
    return found


def network_text(network):
    dataset, ranks, layers, hidden, epochs, train = network
    return f'{dataset}, {layers} x {hidden}, N {train}, {epochs} epochs on {ranks} ranks'


def tables(records):
    header = ['method', 'MB sent by all ranks', 'validation, best', 'test, best validation']
    return [
        Table(
            f'What ranks reach, measured: {network_text(network)}',
            header,
            [
                [r['point']['method'], f"{r['values']['bytes'][-1] / 1e6:.3g}", mean_sd(r['values']['best_val']), mean_sd(r['values']['test_at_best_val'])]
                for r in found
            ],
        )
        for network, found in of_networks(records).items()
    ]


def figures(records):
    networks = of_networks(records)
    made = []
    for part in in_pictures(list(networks)):
        panels = [panel(network, networks[network]) for network in part]
        seeds = so_many(min(len(r['seeds']) for network in part for r in networks[network]), 'seed')
        name = f"devices-reached-{'-'.join(stem(network[0]) for network in part)}"
        about = 'Validation accuracy against megabytes that all ranks have sent, from scratch, measured'
        made.append(Figure(name, finding([r for network in part for r in networks[network]]), panels, about, f'Lines: mean; bands: range over {seeds}.'))
    return made


def panel(network, found):
    lines = []
    for r in found:
        columns = list(zip(*r['values']['val']))
        kept = [k for k, sent in enumerate(r['values']['bytes']) if sent > 0]
        each = lambda function, columns=columns, kept=kept: [function(columns[k]) for k in kept]
        lines.append(Series(r['point']['method'], [r['values']['bytes'][k] / 1e6 for k in kept], each(statistics.fmean), each(min), each(max)))
    lowest = max((max(line.y) for line in lines if line.y), default=SHOWN) - SHOWN
    return Panel(network_text(network), 'megabytes sent', 'validation accuracy', lines, xlog=True, marks=False, lowest=lowest)


def finding(records):
    """On every data set the best mean of ours and of Adam's forms, with their megabytes."""
    told = []
    for (dataset, *_), here in of_networks(records).items():
        best = [max(of_who, key=best_val) for who in ('pdADMM-G', 'Adam') if (of_who := [r for r in here if r['point']['method'].startswith(who)])]
        told.append(f"{dataset.partition(':')[0]} " + ', '.join(f"{r['point']['method']} {best_val(r):.3f} ({r['values']['bytes'][-1] / 1e6:.3g} MB)" for r in best))
    return 'Best validation accuracy on ranks: ' + '; '.join(told)


def best_val(record):
    return statistics.fmean(record['values']['best_val'])
