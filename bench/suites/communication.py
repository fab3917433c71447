"""Accuracy against bytes sent (the paper's Fig. 5)."""

import statistics

from .accuracy_methods import grow_option, seed_option
from .figures import Figure, Panel, Series, in_pictures, sizes, so_many, stem
from .session import Task
from .tables import Table, mean_sd, measured

TITLE = 'Communication (Fig. 5)'
TIMED = False  # accuracies, objectives and bytes are the same on a busy machine
ABOUT = """Test accuracy of the last iterate and bytes an iteration that a split after every layer sends (both tensors, 9 borders of 10
layers), grown 2, 5, 10, the data options of preset `fast`. Exact: steps of exact size, every stage to its end. Block: p and W to their
minimisers; a stage ends early where validation accuracy stalls, so that fewer iterations send. Grid: 256 fixed levels on [-1, 2], the range
of the paper's code. Difference: the change since the last message, at so many bits; its largest code is the largest change, or with rms
1, 3, 6 root mean squares at 2, 4, 8 bits. The saving is against two fp32 tensors; against the three of the paper's
code 4 bits in p and q save 91.7 %. The paper saves up to 45 %, in networks of 1,000 neurons (`--hidden 1000`)."""
# Spelt out, so that a preset that changes its step changes no row.
STEPS = {
    'exact': {
        'epochs': 200,
        'options': '--step exact --step-floor 1 --rho-schedule cost --stall 1e-3 --rho-factor 10 --rho-max 1 --rho 1e-2 --nu 1e-2 '
        '--weight-decay 2e-2 --penalties absolute --decay-to zero --stage-patience 0 --eval-every 20',
    },
    'block': {
        'epochs': 60,
        'options': '--step block --penalties relative --decay-to identity --rho 0.1 --nu 0.1 --weight-decay 0.05 --rho-schedule off '
        '--stage-patience 6 --eval-every 5',
    },
}
SIZES = {
    'quick': dict(datasets=['sbm:nodes=500'], steps=list(STEPS), layers=10, hidden=16, seeds=2, epochs=20),
    'default': dict(datasets=['cora', 'citeseer', 'photo', 'pubmed'], steps=list(STEPS), layers=10, hidden=100, seeds=5, epochs=None),
    'full': dict(
        datasets=['cora', 'pubmed', 'citeseer', 'computers', 'cs'], steps=list(STEPS), layers=10, hidden=1000, seeds=5, epochs=None
    ),
}
# Of the picture: p and q at fewer and fewer bits; 1 bit is the same for both scales.
MAX, RMS = (
    ['none', *(f'difference, {bits}, p and q' for bits in of), 'difference, 1 bit, p and q']
    for of in (('8 bits', '4 bits', '2 bits'), ('8 bits rms', '4 bits rms', '2 bits rms'))
)
GRID = 'grid of 256, p and q'
CODECS = {
    'none': [],
    **{
        f'{name}, {what}': ['--quantize', what.replace(' and ', ''), *options]
        for name, options, tensors in (
            ('grid of 256', ['--codec', 'grid', '--levels=-1:2:256'], ('p', 'p and q')),
            ('difference, 8 bits', ['--bits', 8], ('p', 'p and q')),
            ('difference, 8 bits rms', ['--bits', 8, '--scale', 'rms'], ('p and q',)),
            ('difference, 4 bits', ['--bits', 4], ('p', 'p and q')),
            ('difference, 4 bits rms', ['--bits', 4, '--scale', 'rms'], ('p and q',)),
            ('difference, 2 bits', ['--bits', 2, '--scale', 'max'], ('p', 'p and q')),
            ('difference, 2 bits rms', ['--bits', 2, '--scale', 'rms'], ('p and q',)),
            ('difference, 1 bit', ['--bits', 1], ('p and q',)),
        )
        for what in tensors
    },
}
LOST = 0.005  # of test accuracy, at most, where the picture's title names a codec
SHOWN = 0.05  # of test accuracy, in the picture: a codec that fails would flatten the others


def tasks(session):
    s = session.sizes(SIZES)
    datasets = yield from session.datasets(s.datasets)
    for dataset in datasets:
        for step in s.steps:
            for codec, options in CODECS.items():
                yield training(session, s, dataset, step, codec, options)


def training(session, s, dataset, step, codec, options):
    epochs = s.epochs or STEPS[step]['epochs']
    arguments = session.train_arguments(
        dataset,
        '--preset',
        'fast',
        *STEPS[step]['options'].split(),
        '--layers',
        s.layers,
        '--hidden',
        s.hidden,
        '--epochs',
        epochs,
        *grow_option(s.layers, True),
        *options,
        '--seeds',
        seed_option(range(s.seeds)),
    )
    point = {
        'dataset': dataset,
        'codec': codec,
        'layers': s.layers,
        'hidden': s.hidden,
        'epochs': epochs,
        'train': session.facts(dataset)['train'],
    }
    return Task(
        point if step == 'exact' else {**point, 'step': step},  # a point without a step is an earlier record's, of exact steps
        [session.shown(arguments)],
        counted(session, arguments),
        list(range(s.seeds)),
        weight=s.seeds * (2 if options else 1),
    )


def counted(session, arguments):
    def work():
        runs = session.train(arguments)
        return {
            'test': [r['last']['test'] for r in runs],
            'test_at_best_val': [r['best']['test'] for r in runs],
            'objective': [r['objective'] for r in runs],
            'iterations': [r['epochs'] for r in runs],
            'bytes_an_iteration': runs[0]['rows'][-1]['bytes'],
            'bytes': round(statistics.fmean(r['bytes'] for r in runs)),  # seeds end their stages apart
        }

    return work


def saving(values, unquantised):
    return 1 - values['bytes_an_iteration'] / unquantised['bytes_an_iteration']


def networks(records):
    """{(layers, hidden): {(step, epochs): {dataset: {codec: record}}}}"""
    found = {}
    for r in measured(records):
        p = r['point']
        of_network = found.setdefault((p['layers'], p['hidden']), {})
        of_step = of_network.setdefault((p.get('step', 'exact'), p['epochs']), {})
        of_step.setdefault(p['dataset'], {})[p['codec']] = r
    return found


def datasets_of(by_step):
    """{dataset: a point of it}, in the order of the records."""
    return {d: next(iter(by_codec.values()))['point'] for of in by_step.values() for d, by_codec in of.items()}


def tables(records):
    made = []
    for (layers, hidden), by_step in networks(records).items():
        points = datasets_of(by_step)
        rows, sent = [], []
        for (step, epochs), by_dataset in by_step.items():
            for codec in CODECS:
                found = [(by_dataset.get(d, {}).get(codec), by_dataset.get(d, {}).get('none')) for d in points]
                if any(r for r, _ in found):
                    name = [f'{step}, {epochs} epochs', codec]
                    rows.append(name + [text for r, none in found for text in cells(r, none)])
                    sent.append(name + [f"{1e-6 * r['values']['bytes']:.3g}" if r else '' for r, _ in found])
        names = [f"{d} (N {point['train']})" for d, point in points.items()]
        network = f'measured: {layers} layers, n {hidden}'
        what = ['step, epochs of a stage at most', 'what is quantised']
        made += [
            Table(f'Test accuracy and bytes, {network}', what + [h for name in names for h in (name, 'bytes an iteration')], rows),
            Table(f'MB sent in training, mean over seeds, {network}', what + names, sent),
        ]
    return made


def cells(record, unquantised):
    """Accuracy and bytes of a row in one data set."""
    if not record:
        return ['', '']
    values = record['values']
    saved = f" (-{100 * saving(values, unquantised['values']):.1f} %)" if unquantised and record is not unquantised else ''
    return [mean_sd(values['test']), f"{values['bytes_an_iteration']:,}{saved}"]


def figures(records):
    made = []
    for (_layers, hidden), by_step in networks(records).items():
        panels = {dataset: panel(dataset, point, by_step) for dataset, point in datasets_of(by_step).items()}
        seeds = min(len(r['values']['test']) for of in by_step.values() for by_codec in of.values() for r in by_codec.values())
        about = 'Test accuracy of the last iterate against everything that is sent, from 32 bits on the right to 1; measured'
        for part in in_pictures(list(panels)):
            ending = '' if len(part) == len(panels) else '-' + '-'.join(map(stem, part))
            spread = f'Points: mean; bars: standard deviation of {so_many(seeds, "seed")}.'
            made.append(Figure(f'communication-{hidden}{ending}', finding(by_step), [panels[d] for d in part], about, spread))
    return made


def names_of(by_step):
    """{(step, epochs): name}, with the epochs where a step was run with several."""
    steps = [step for step, _ in by_step]
    return {(step, epochs): step if steps.count(step) == 1 else f'{step}, {epochs} epochs' for step, epochs in by_step}


def panel(dataset, point, by_step):
    series = [
        curve(GRID if codecs == [GRID] else f'{name} steps', what, [by_step[key].get(dataset, {}).get(codec) for codec in codecs])
        for key, name in names_of(by_step).items()
        for what, codecs in (('scale max', MAX), ('scale rms', RMS), ('', [GRID]))
    ]
    series = [s for s in series if s.x]
    means = [y for s in series for y in s.y]
    lowest = max(means, default=0.0) - SHOWN
    return Panel(
        f'{dataset}: {sizes(point)}',
        'MB sent in training',
        'test accuracy',
        series,
        xlog=True,
        bars=True,
        lowest=lowest if min(means, default=0.0) < lowest else None,
    )


def curve(label, variant, records):
    found = sorted((r for r in records if r), key=lambda r: r['values']['bytes'])
    sent = [1e-6 * r['values']['bytes'] for r in found]
    return Series.of_seeds(label, sent, [r['values']['test'] for r in found], variant=variant)


def finding(by_step):
    """The fewest bits of p and q that keep, with each step and in every data set, the accuracy of fp32."""
    said = []
    for key, name in names_of(by_step).items():
        kept = [c for c in (*MAX[1:], *RMS[1:]) if all(keeps(by_codec, c) for by_codec in by_step[key].values())]
        fewest = min(kept, key=lambda codec: int(codec.split()[1]), default=None)
        said.append(f'{name} steps at ' + (fewest.split(', ')[1] if fewest else 'no bits tried'))
    return f'Test accuracy within half a point of fp32: {", ".join(said)}'


def keeps(by_codec, codec):
    if codec not in by_codec or 'none' not in by_codec:
        return False
    test, of_fp32 = (statistics.fmean(by_codec[c]['values']['test']) for c in (codec, 'none'))
    return test >= of_fp32 - LOST
