"""What the steps of a round left, as one JSON object."""

import json

MOST_ACCURACY_APART = 0.02  # between backends, mean of the seeds: single runs part ways by rounding alone


def read(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def figure(group, name, value, unit, floor, floor_is, relation=None, bound=None, note=None):
    ratio = value / floor if floor else None
    target = dict(of='ratio', relation=relation, bound=bound) if relation else None
    met = (ratio >= bound if relation == '>=' else ratio <= bound) if target else None
    return dict(group=group, name=name, value=value, unit=unit, floor=floor, floor_is=floor_is, ratio=ratio, target=target, met=met, note=note, missing=None)


def missing(group, name, why, relation, bound):
    return dict(group=group, name=name, value=None, unit='', floor=None, floor_is=None, ratio=None, target=dict(of='ratio', relation=relation, bound=bound),
                met=False, note=None, missing=why)


def peer_figures(work, figures_of_ours):
    """Peers' seconds over ours: how many times faster we are."""
    ours = {f['name']: f for f in figures_of_ours if f['group'] in ('iteration', 'hop') and f['value'] is not None}
    scale = {'us': 1e-6, 'ms': 1e-3}
    seconds = {name: f['value'] * scale[f['unit']] for name, f in ours.items()}
    answers = {path.stem: read(path) for path in work.glob('peer-*.json')}
    figures = []

    def faster(network):
        """Our faster form of a network."""
        names = [f'{network}, graph', f'{network}, one persistent kernel']
        return min((n for n in names if n in seconds), key=seconds.get, default=names[0])

    def beside(name, peer_seconds, our_name, relation=None, bound=None, note=None):
        if peer_seconds is None or our_name not in seconds:
            if relation:
                figures.append(missing('peer', name, 'the peer has no figure' if peer_seconds is None else f'{our_name}: ours has none', relation, bound))
            return
        figures.append(figure('peer', name, 1e3 * peer_seconds, 'ms', 1e3 * seconds[our_name], f'ours, {our_name}', relation, bound, note))

    cora, large, hops, sign = (answers.get(f'peer-{n}') for n in ('paper-cora', 'paper-large', 'spmm', 'sign'))
    counted = lambda a: f"{a['products_of_a_hidden_layer']:.1f} products a hidden layer, rho {a['rho']:g}"
    if cora:
        beside("the paper's algorithm in PyTorch, Cora 10 x 100", cora['seconds'], faster('Cora 10 x 100'), '>=', 100, counted(cora))
    if large:
        our_large = next((n for n in seconds if n.startswith('L ') and n.endswith(', fp32')), 'L 16, n 4000, N 44625, fp32')
        beside(f"the paper's algorithm in PyTorch, {our_large}", large['seconds'], our_large, '>=',
               0.9 * large['products_of_a_hidden_layer'] / 4, counted(large))
    for peer in ('adam', 'adam-depths'):
        for row in (answers.get(f'peer-{peer}') or {}).get('results', []):
            held = row['form'] == 'graph' and row['layers'] >= 8
            beside(f"Adam in PyTorch, {row['form']}, {row['math']}, Cora {row['layers']} x 100", row['seconds'],
                   faster(f"Cora {row['layers']} x 100"), '>=' if held else None, 1 if held else None,
                   'an epoch beside our fp32 iteration')
    for row in sign['results'] if sign else []:
        beside(f"SIGN in PyTorch, {row['form']}, {row['math']}, Cora", row['seconds'], faster('Cora 10 x 100'),
               note=f"{row['parameters']} weights, an epoch beside our fp32 iteration of ten layers")
    for row in hops['results'] if hops else []:
        our_name = next((n for n in seconds if n.startswith(f"{row['graph']} size")), row['graph'])
        beside(f"torch.sparse hop, {row['graph']} size", row['seconds'], our_name)
    return figures, answers


def training(work):
    """Accuracy and speed of the same training on both backends; a step that fails where accuracies are far apart."""
    on = {backend: read(work / f'run-{backend}' / 'summary.json') for backend in ('cpu', 'cuda')}
    if not all(on.values()):
        return {}, []
    row = {backend: dict(test_accuracy=summary['last']['test']['mean'], ms_per_iteration=summary['ms_per_iteration'])
           for backend, summary in on.items()}
    apart = abs(row['cuda']['test_accuracy'] - row['cpu']['test_accuracy'])
    good = apart <= MOST_ACCURACY_APART  # NaN is not
    return row, [dict(step='accuracy', result='passed' if good else 'failed', seconds=0.0, limit=0, cases={},
                      why='' if good else f'test accuracies {apart:.3f} apart, expected at most {MOST_ACCURACY_APART}')]


def bench(work):
    """Facts and figures of all benchmarks; of ceilings, which each measures for itself, the first."""
    facts, figures = {}, {}
    for path in sorted(work.glob('bench-*.json'), key=lambda p: p.stat().st_mtime):
        found = read(path) or {}
        for f in found.pop('figures', []):
            figures.setdefault((f['group'], f['name']), f)
        for name, value in found.items():
            facts.setdefault(name, value)
    return facts, list(figures.values())


def lines(path):
    """Lines of JSON, as bench_ranks prints them."""
    try:
        return [json.loads(line) for line in path.read_text().splitlines() if line.startswith('{')]
    except (OSError, ValueError):
        return []


def bare(steps, about):
    """A round of its steps alone."""
    return dict(passed=not any(s['result'] == 'failed' for s in steps), **about, steps=steps, figures=[], peers={}, training={},
                ranks=[])


def gather(work, done, about):
    for path in work.glob('peer-*.out'):
        answer = path.read_text(errors='replace').strip().splitlines()
        if answer and answer[-1].startswith('{'):
            path.with_suffix('.json').write_text(answer[-1])
    facts, figures = bench(work)
    peers, answers = peer_figures(work, figures)
    row, accuracy = training(work)
    steps = done + accuracy
    return {**bare(steps, about), **facts, 'figures': figures + peers, 'peers': answers, 'training': row,
            'ranks': lines(work / 'ranks.out')}


def say(round_):
    held = [f for f in round_['figures'] if f['met'] is not None]
    if held:
        print(f"targets: {sum(f['met'] for f in held)} of {len(held)} met")
    for step in round_['steps']:
        if step['step'] == 'accuracy':
            print(f"accuracy: {step['result']} {step['why']}")
    row = round_['training']
    if row:
        print(', '.join(f"{b} {row[b]['test_accuracy']:.4f} at {row[b]['ms_per_iteration']:.3f} ms" for b in ('cpu', 'cuda')))
