"""The speedup picture of `devices`: a panel a network size and link, pdADMM-G's lines beside Adam's, and one of what was measured."""

from . import paper
from .figures import Figure, MOST_PANELS, Panel, Series, so_many, in_pictures, span
from .rivals import BEST_PIPELINE, LABELS, forms_of, speedups
from .tables import measured

OURS = 'pdADMM-G, layers on ranks'
GRID = 'pdADMM-G, layers x nodes on ranks'
PAPER = 'the paper, 16 K80'


def ours(codec):
    return OURS if codec == 'none' else f'pdADMM-G-Q, {codec} bits'


def shape_of(point):
    return tuple(point[k] for k in ('shape', 'layers', 'hidden', 'inputs', 'nodes'))


def modelled_panels(records):
    """One a network size and link."""
    shapes = {}
    for r in (r for r in records if r['kind'] == 'modelled'):
        shapes.setdefault(shape_of(r['point']), []).append(r)
    made = []
    for (shape, layers, hidden, _, nodes), found in shapes.items():
        links = dict.fromkeys(link for r in found for link in r['values']['links'])
        made += [modelled_panel(shape, f'modelled, {link}: {layers} x {hidden}, N {nodes}', link, found) for link in links]
    return made


def modelled_panel(shape, title, link, records):
    lines, most = [], {}
    for r in records:
        p, v = r['point'], r['values']
        if link not in v['links']:
            continue
        if p['what'] == 'rivals':
            one = 1e-3 * v['ms']['median']
            found = v['links'][link]
            lines += [Series(text, p['ranks'], speedups(found, form, one), kind='modelled') for form, text in forms_of(found).items()]
        elif p['what'] == 'grid':
            if p['codec'] == 'none':  # quantised grids lie on those: the tables have them
                lines.append(Series(GRID, p['ranks'], [g['speedup'] for g in v['links'][link]], kind='modelled'))
        else:
            ranks = [line['ranks'] for line in v['stages']]
            lines.append(Series(ours(p['codec']), ranks, [f['speedup'] for f in v['links'][link]], kind='modelled'))
            most.update((line['ranks'], line['flop_balance_bound']) for line in v['stages'])
    if shape.split()[0].lower() in paper.SPEEDUP:
        x, y = zip(*paper.SPEEDUP[shape.split()[0].lower()])
        lines.append(Series(PAPER, list(x), list(y), kind='published'))
    if most:
        lines.insert(0, Series('bound: whole layers on ranks', list(most), list(most.values()), kind='bound', variant='bound'))
    return speedup_panel(title, lines)


def speedup_panel(title, lines):
    ranks = sorted({x for s in lines for x in s.x})
    ideal = Series('ideal', ranks, ranks, kind='bound')
    return Panel(title, 'ranks', 'times as fast as one rank', [ideal, *lines], counts=True, ends=True)


def measured_panels(records):
    """One a network: ranks ran side by side on this machine."""
    networks = {}
    for r in measured(records):
        p = r['point']
        networks.setdefault((p['dataset'].partition(':')[0], p['layers'], p['hidden'], p['train']), []).append(r)
    made = []
    for (dataset, layers, hidden, train), found in networks.items():
        lines = [
            Series.of_spreads(OURS if r['point']['method'] == 'pdADMM-G' else r['point']['method'], r['point']['ranks'], list(r['values']['speedup'].values()))
            for r in found
        ]
        made.append(speedup_panel(f'measured, {dataset}: {layers} x {hidden}, N {train}', lines))
    return made


def last_of(panel, label):
    return next((s.y[-1] for s in panel.series if s.label == label), None)


def finding(panels):
    """Speedup at the most ranks: ours, and the better of Adam's forms, over all panels."""
    found = [(last_of(p, OURS), max(filter(None, (last_of(p, label) for label in LABELS)), default=None), p) for p in panels]
    found = [(a, b, p) for a, b, p in found if a and b]
    if not found:
        return 'Speedup by ranks'
    ranks = max(x for _, _, p in found for s in p.series for x in s.x)
    ours_, adam = ([row[k] for row in found if max(row[2].series[0].x) == ranks] for k in (0, 1))
    modelled = 'Modelled: on' if any(s.kind == 'modelled' for _, _, p in found for s in p.series) else 'On'
    return f"{modelled} {ranks} ranks pdADMM-G is {span(ours_)} times as fast as on one, Adam's better form {span(adam)} times"


def figures(records):
    modelled, on_machine = modelled_panels(records), measured_panels(records)
    made = []
    for number, part in enumerate(in_pictures(modelled, MOST_PANELS - bool(on_machine)) or [[]]):
        beside = on_machine[:1] if number == 0 else []
        panels = part + beside
        if panels:
            name = 'devices' if number == 0 else f'devices-{number + 1}'
            made.append(Figure(name, finding(panels), panels, about(bool(part), beside), spread_of(records), schedules_of(panels)))
    for number, part in enumerate(in_pictures(on_machine[1:])):
        made.append(Figure(f'devices-measured-{number + 1}', finding(part), part, about(False, part), spread_of(records)))
    return made


def about(modelled, on_machine):
    said = ['modelled from stages that were timed one rank at a time'] if modelled else []
    said += ['measured on the processors of one machine'] if on_machine else []
    return 'Layers x neurons, training nodes N; each method over its own iteration or epoch on one rank, ' + ' and '.join(said)


def schedules_of(panels):
    found = any(s.label == BEST_PIPELINE for p in panels for s in p.series)
    return ['Best pipeline: the fastest of GPipe, 1F1B and zero bubble.'] if found else []


def spread_of(records):
    rounds = [s['repetitions'] for r in measured(records) for s in r['values']['speedup'].values()]
    return f'Bands: least to greatest of {so_many(min(rounds), "round")}.' if rounds else ''
