#!/usr/bin/env python3
"""Gathers what bench/gpu_round.sh left in its working folder into one JSON object. Called by it:

    round_report.py WORK ROUND.json PART,PART,...
WORK holds PART.tsv (step, passed|failed|skipped, seconds, why), bench.json, peer-*.json, run-GRAPH-BACKEND/summary.json, gpu.txt.
Exit code 1 where a step failed.
"""
import json
import pathlib
import sys

MOST_ACCURACY_APART = 0.02  # between backends, mean of the seeds: single runs part ways by rounding alone


def read(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def steps_of(work, part):
    try:
        lines = (work / f'{part}.tsv').read_text().splitlines()
    except OSError:
        return []
    names = ('step', 'result', 'seconds', 'why')
    return [dict(zip(names, line.split('\t'))) | {'seconds': float(line.split('\t')[2])} for line in lines]


def figure(group, name, value, unit, floor, floor_is, relation=None, bound=None, note=None):
    ratio = value / floor if floor else None
    target = dict(of='ratio', relation=relation, bound=bound) if relation else None
    met = (ratio >= bound if relation == '>=' else ratio <= bound) if target else None
    return dict(group=group, name=name, value=value, unit=unit, floor=floor, floor_is=floor_is, ratio=ratio, target=target, met=met, note=note, missing=None)


def missing(group, name, why, relation, bound):
    return dict(group=group, name=name, value=None, unit='', floor=None, floor_is=None, ratio=None, target=dict(of='ratio', relation=relation, bound=bound),
                met=False, note=None, missing=why)


def peer_figures(work, bench):
    """Peers' seconds over ours: how many times faster we are."""
    ours = {f['name']: f for f in bench.get('figures', []) if f['group'] in ('iteration', 'hop') and f['value'] is not None}
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

    cora, large, adam, hops = (answers.get(f'peer-{n}') for n in ('paper-cora', 'paper-large', 'adam', 'spmm'))
    counted = lambda a: f"{a['products_of_a_hidden_layer']:.1f} products a hidden layer, rho {a['rho']:g}"
    beside("the paper's algorithm in PyTorch, Cora 10 x 100", cora and cora['seconds'], faster('Cora 10 x 100'), '>=', 100, cora and counted(cora))
    our_large = next((n for n in seconds if n.startswith('L ') and n.endswith(', fp32')), 'L 16, n 4000, N 44625, fp32')
    beside(f"the paper's algorithm in PyTorch, {our_large}", large and large['seconds'], our_large, '>=',
           0.9 * large['products_of_a_hidden_layer'] / 4 if large else None, large and counted(large))
    depths = sorted({r['layers'] for r in adam['results']}) if adam else [8, 16, 32]
    for layers in depths:
        for math in ('fp32', 'tf32') if adam else ('fp32',):
            for form in ('graph', 'eager') if adam else ('graph',):
                row = next((r for r in adam['results'] if (r['layers'], r['math'], r['form']) == (layers, math, form)), None) if adam else None
                held = form == 'graph' and layers >= 8
                beside(f'Adam in PyTorch, {form}, {math}, Cora {layers} x 100', row and row['seconds'], faster(f'Cora {layers} x 100'),
                       '>=' if held else None, 1 if held else None, 'an epoch beside our fp32 iteration')
    for row in hops['results'] if hops else []:
        our_name = next((n for n in seconds if n.startswith(f"{row['graph']} size")), row['graph'])
        beside(f"torch.sparse hop, {row['graph']} size", row['seconds'], our_name)
    return figures, answers


def training(work):
    """Accuracy and speed of the same training on both backends; a step that fails where accuracies are far apart."""
    rows, steps = [], []
    for cuda in sorted(work.glob('run-*-cuda/summary.json')):
        graph = cuda.parent.name[4:-5]
        on = {'cuda': read(cuda), 'cpu': read(work / f'run-{graph}-cpu' / 'summary.json')}
        if not all(on.values()):
            continue
        row = dict(graph=graph)
        for backend, summary in on.items():
            row[backend] = dict(test_accuracy=summary['last']['test']['mean'], ms_per_iteration=summary['ms_per_iteration'])
        rows.append(row)
        apart = abs(row['cuda']['test_accuracy'] - row['cpu']['test_accuracy'])
        good = apart <= MOST_ACCURACY_APART  # NaN is not
        steps.append(dict(step=f'accuracy-{graph}', result='passed' if good else 'failed', seconds=0.0,
                          why='' if good else f'test accuracies {apart:.3f} apart, expected at most {MOST_ACCURACY_APART}'))
    return rows, steps


def main():
    work, target, parts = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3].split(',')
    bench = read(work / 'bench.json') or {}
    figures = bench.pop('figures', [])
    peers, answers = peer_figures(work, dict(figures=figures)) if 'peers' in parts and 'bench' in parts else ([], {})
    rows, accuracy_steps = training(work)
    done = [dict(part=part, steps=steps_of(work, part) + (accuracy_steps if part == 'training' else [])) for part in parts]
    for part in done:
        results = {s['result'] for s in part['steps']}
        part['result'] = 'failed' if 'failed' in results else 'passed' if 'passed' in results else 'skipped'
    failed = [s for p in done for s in p['steps'] if s['result'] == 'failed']
    try:
        gpu = (work / 'gpu.txt').read_text().strip().splitlines()
    except OSError:
        gpu = []
    round_ = dict(passed=not failed, gpu=gpu, parts=done, **bench, figures=figures + peers, peers=answers, training=rows)
    target.write_text(json.dumps(round_, indent=1) + '\n')
    for part in done:
        print(f"{part['part']:<12}{part['result']}")
        for step in part['steps']:
            if step['result'] != 'passed':
                print(f"  {step['step']}: {step['result']}: {step['why']}")
    held = [f for f in round_['figures'] if f['met'] is not None]
    if held:
        print(f"targets: {sum(f['met'] for f in held)} of {len(held)} met")
    for row in rows:
        print(f"{row['graph']}: " + ', '.join(f"{b} {row[b]['test_accuracy']:.4f} at {row[b]['ms_per_iteration']:.3f} ms" for b in ('cpu', 'cuda')))
    print(f'{target}: written')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
