"""Accuracy against bytes sent (the paper's Fig. 5)."""

from .accuracy import grow_option, seed_option
from .figures import Figure, Panel, Series
from .session import Task
from .tables import Table, mean_sd, measured

TITLE = 'Communication (Fig. 5)'
ABOUT = """Test accuracy of the last iterate and bytes an iteration that a split after every layer sends (both tensors, 9 borders of 10
layers), preset `fast`, grown 2, 5, 10. Grid: 256 fixed levels on [-1, 2], the range of the paper's code. Difference: the change since
the last message, at so many bits. The saving is against two fp32 tensors; against the three of the paper's
code 4 bits in p and q save 91.7 %. The paper saves up to 45 %, in networks of 1,000 neurons (`--hidden 1000`)."""
SIZES = {
    'quick': dict(datasets=['sbm:nodes=500'], layers=10, hidden=16, seeds=2, epochs=20),
    'default': dict(datasets=['cora', 'pubmed', 'citeseer', 'photo'], layers=10, hidden=100, seeds=5, epochs=200),
    'full': dict(datasets=['cora', 'pubmed', 'citeseer', 'computers', 'cs'], layers=10, hidden=1000, seeds=5, epochs=200),
}
CODECS = {
    'none': [],
    **{
        f'{name}, {what}': ['--quantize', what.replace(' and ', ''), *options]
        for name, options in {
            'grid of 256': ['--codec', 'grid', '--levels=-1:2:256'],
            'difference, 8 bits': ['--bits', 8],
            'difference, 4 bits': ['--bits', 4],
            'difference, 2 bits': ['--bits', 2],
        }.items()
        for what in ('p', 'p and q')
    },
}


def tasks(session):
    s = session.sizes(SIZES)
    datasets, notes = session.datasets(s.datasets)
    yield from notes
    for dataset in datasets:
        for codec, options in CODECS.items():
            arguments = session.train_arguments(
                dataset,
                '--preset',
                'fast',
                '--layers',
                s.layers,
                '--hidden',
                s.hidden,
                '--epochs',
                s.epochs,
                *grow_option(s.layers, True),
                '--eval-every',
                20,
                *options,
                '--seeds',
                seed_option(range(s.seeds)),
            )
            yield Task(
                {
                    'dataset': dataset,
                    'codec': codec,
                    'layers': s.layers,
                    'hidden': s.hidden,
                    'epochs': s.epochs,
                    'train': session.facts(dataset)['train'],
                },
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
            'bytes_an_iteration': runs[0]['rows'][-1]['bytes'],
            'bytes': runs[0]['bytes'],
        }

    return work


def saving(values, unquantised):
    return 1 - values['bytes_an_iteration'] / unquantised['bytes_an_iteration']


def networks(records):
    """[(title, {dataset: {codec: record}}), ...]"""
    found = {}
    for r in measured(records):
        p = r['point']
        found.setdefault((p['layers'], p['hidden'], p['epochs']), {}).setdefault(p['dataset'], {})[p['codec']] = r
    return found


def tables(records):
    made = []
    for (layers, hidden, epochs), by_dataset in networks(records).items():
        rows = []
        for codec in CODECS:
            row = [codec]
            for by_codec in by_dataset.values():
                r, none = by_codec.get(codec), by_codec.get('none')
                row += (
                    [
                        mean_sd(r['values']['test']),
                        f"{r['values']['bytes_an_iteration']:,}"
                        + (f" (-{100 * saving(r['values'], none['values']):.1f} %)" if none and r is not none else ''),
                    ]
                    if r
                    else ['', '']
                )
            rows.append(row)
        header = ['what is quantised'] + [
            h for d, c in by_dataset.items() for h in (f"{d} (N {next(iter(c.values()))['point']['train']})", 'bytes an iteration')
        ]
        made.append(Table(f'Test accuracy and bytes, measured: {layers} layers, n {hidden}, {epochs} epochs a stage', header, rows))
    return made


def figures(records):
    made = []
    for (layers, hidden, epochs), by_dataset in networks(records).items():
        series = []
        for dataset, by_codec in by_dataset.items():
            of_both = {c: r for c, r in by_codec.items() if not c.endswith(', p')}  # p alone saves half of it
            for grid in (False, True):
                found = sorted((r for c, r in of_both.items() if c.startswith('grid') == grid), key=lambda r: r['values']['bytes'])
                name = f"{dataset} (N {found[0]['point']['train']}), {'grid of 256' if grid else 'difference, fp32'}" if found else ''
                megabytes = [1e-6 * r['values']['bytes'] for r in found]
                series.append(Series.of_seeds(name, megabytes, [r['values']['test'] for r in found], dashed=grid))
        made.append(
            Figure(
                f'communication-{hidden}',
                f'Communication: {layers} layers, n {hidden}, p and q at 2, 4, 8, 32 bits, measured',
                [Panel('', 'MB sent in training', 'test accuracy, mean and sd', series, xlog=True, paired=True)],
            )
        )
    return made
