"""The same work in PyTorch: bench/peers, where torch can be imported."""

import json
import os
import re
import shlex
import subprocess
import tempfile

from .at_size_methods import PACKAGES, interpreter
from .session import ROOT, Task, left_out
from .tables import Table, measured, spread
from .timing import milliseconds, spread_text, untimed

TITLE = 'Peers in PyTorch'
ABOUT = """The scripts of bench/peers: the paper's algorithm as its published code runs it, Adam (eager; on a GPU as a CUDA graph,
too), and on a GPU torch.sparse. The first two train Cora's bundle (10 layers of 100 neurons, 5 hops) where it is here, else a made-up problem of its size;
"ours" is the same network on the same data by this program, timed right after. Left out where PyTorch, or the GPU that a script needs,
is missing. Augmentation: X of all nodes of a made-up graph, normalisation and stacking included, by scipy (one thread), by torch.sparse,
which is also SIGN's transform, and by this program, taking turns; the copy moves the bytes that the hops must read and write once."""
SIZES = {
    'quick': dict(seconds=2, depths='10', epochs=20, rounds=2, graphs={'small': (5000, 60000, 32)}),
    'default': dict(seconds=10, depths='8,10,16,32', epochs=50, rounds=5, graphs={'arxiv size': (169343, 2500000, 128)}),
    'full': dict(
        seconds=30, depths='8,10,16,32,64', epochs=100, rounds=9, graphs={'arxiv size': (169343, 2500000, 128), 'Flickr size': (89250, 990000, 500)}
    ),
}
SKIPPED = 77
HIDDEN = 100
AUGMENTATION, HOPS = 'augmentation.py', 5
LIBRARIES = {'ours': 'pdadmm augment', 'scipy': 'scipy.sparse, one thread', 'torch': "torch.sparse (SIGN's transform)", 'copy': 'a copy of as many bytes'}


def tasks(session):
    s = session.sizes(SIZES)
    on = 'cuda' if session.options.backend == 'cuda' else 'cpu'
    data = bundle(session)
    of_data = ['--bundle', data] if data else []
    scripts = {
        'paper_admm.py': (['--layers', '10', '--device', on, *of_data], [], [10]),
        'adam_mlp.py': (['--layers', s.depths, '--device', on, *of_data], ['--optimizer', 'adam'], [int(d) for d in s.depths.split(',')]),
        'spmm.py': ([], [], []),
    }
    for script, (arguments, options, depths) in scripts.items():
        why = missing(script, on)
        if why:
            yield left_out({'peer': script}, why)
            continue
        arguments = [*arguments, '--seconds', str(s.seconds)]
        ours = {d: ours_of(session, d, options, s.epochs) for d in (depths if data else [])}
        commands = [shlex.join(['bench/peers/' + script, *arguments]), *map(session.shown, ours.values())]
        yield Task({'peer': script}, commands, beside(session, script, arguments, ours), weight=2 * s.seconds)
    for graph, size in s.graphs.items():
        yield augmentation(session, graph, size, s.rounds)


def bundle(session):
    """Path of Cora's bundle, or None."""
    found = re.search(r'^\s+cora\s+(\S+\.npz)$', session.ask(['info']), re.MULTILINE)
    return found.group(1) if found else None


def ours_of(session, depth, options, epochs):
    network = (
        ['--layers', depth, '--hidden', HIDDEN, '--hops', 5, '--rho', '1e-4', '--nu', '1e-4']
        if not options
        else ['--layers', depth, '--hidden', HIDDEN]
    )
    return session.train_arguments('cora', '--preset', 'none', *network, *options, *untimed(epochs))


def beside(session, script, arguments, ours):
    def work():
        values = answer([interpreter('numpy, torch'), str(ROOT / 'bench' / 'peers' / script), *arguments], session.options.threads)
        return {**values, 'ours_ms': {str(depth): milliseconds(session.train(command)[0]) for depth, command in ours.items()}}

    return work


def augmentation(session, graph, size, rounds):
    """Everyone's whole augmentation of one graph, and the copy beside them."""
    nodes, entries, features = size
    point = {'peer': AUGMENTATION, 'graph': graph, 'nodes': nodes, 'entries': entries, 'features': features, 'hops': HOPS}
    modules = 'numpy, torch'
    if not interpreter(modules):
        return left_out(point, f'no Python here has {modules} (Debian: {PACKAGES[modules]})')
    made_up = ['--nodes', nodes, '--entries', entries, '--features', features]
    ours = ['augment', '--split', 'random:60%/20%/20%', '--hops', HOPS, '--no-cache', '--backend', session.options.backend, '--threads', session.options.threads]
    theirs = ['--hops', HOPS, '--threads', session.options.threads]
    shown = lambda words: shlex.join(map(str, words))
    commands = [
        shown(['bench/peers/' + AUGMENTATION, '--write', 'graph.npz', *made_up]),
        shown(['bench/peers/' + AUGMENTATION, '--graph', 'graph.npz', *theirs]),
        shown(['pdadmm', *ours, '--dataset', './graph.npz', '--out', 'x.npy']),
    ]

    def work():
        with tempfile.TemporaryDirectory() as folder:
            file, X = (os.path.join(folder, name) for name in ('graph.npz', 'x.npy'))
            script = [interpreter(modules), str(ROOT / 'bench' / 'peers' / AUGMENTATION)]
            subprocess.run([*script, '--write', file, *map(str, made_up)], check=True)
            seconds = {}
            for _ in range(rounds):
                found = answer([*script, '--graph', file, *map(str, theirs)], session.options.threads)
                if 'results' not in found:
                    return found
                line = session.ask([*map(str, ours), '--dataset', file, '--out', X])
                for name, each in {**{r['library']: r['seconds'] for r in found['results']}, 'ours': seconds_of(line)}.items():
                    seconds.setdefault(name, []).append(each)
        return {'torch': found['torch'], 'difference': found['difference'], 'ms': {name: spread([1e3 * t for t in of]) for name, of in seconds.items()}}

    return Task(point, commands, work, weight=1e-7 * rounds * entries * features)


def seconds_of(line):
    """That `pdadmm augment` says at its end."""
    return float(re.search(r', ([\d.]+) s$', line.strip()).group(1))


def missing(script, on):
    """Why a script cannot run here, or ''."""
    python = interpreter('numpy, torch')
    if not python:
        return f"no Python here has numpy, torch (Debian: {PACKAGES['numpy, torch']})"
    if on == 'cpu' and script != 'spmm.py':
        return ''
    test = 'import torch; assert torch.cuda.is_available(), "PyTorch sees no CUDA device"'
    done = subprocess.run([python, '-c', test], capture_output=True, text=True)
    return '' if done.returncode == 0 else f"cannot run here: {done.stderr.strip().splitlines()[-1].split(': ', 1)[-1]}"


def answer(command, threads):
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, 'OMP_NUM_THREADS': str(threads)})
    if done.returncode == SKIPPED:
        return {'skipped': done.stderr.strip()}
    if done.returncode != 0:
        return {'failed': (done.stderr.strip().splitlines() or ['no message'])[-1]}
    return json.loads(done.stdout)


def tables(records):
    rows, augmented = [], []
    for r in measured(records):
        v = r['values']
        if r['point']['peer'] == AUGMENTATION:
            augmented += augmentation_rows(r)
            continue
        for part in v.get('results', [v]):
            what = ', '.join(str(part[k]) for k in ('graph', 'layers', 'form', 'math') if k in part)
            theirs = 1e3 * part['seconds'] if 'seconds' in part else None
            ours = v['ours_ms'].get(str(part.get('layers', 10)))
            shown = f'{theirs:.4g}' if theirs else v.get('skipped') or v.get('failed', '')
            rows.append([r['point']['peer'], what, shown, f'{ours:.4g}' if ours else '', f'{theirs / ours:.2f}' if theirs and ours else ''])
    header = ['script', 'case', 'ms an iteration, epoch or hop', 'ours, ms', 'theirs over ours']
    of_augmentation = Table(f'Augmentation of {HOPS} hops, measured', ['graph', 'by', 'ms', 'over ours', 'over a copy'], augmented)
    return ([Table('Peers, measured', header, rows)] if rows else []) + ([of_augmentation] if augmented else [])


def augmentation_rows(record):
    p, v = record['point'], record['values']
    graph = f"{p['graph']}: {p['nodes']:,} nodes, {p['features']} features"
    if 'ms' not in v:
        return [[graph, 'scipy, torch', v.get('skipped') or v.get('failed', ''), '', '']]
    ours, copy = (v['ms'][name]['median'] for name in ('ours', 'copy'))
    return [
        [graph, LIBRARIES[name], spread_text(v['ms'][name], 1), f"{v['ms'][name]['median'] / ours:.2f}", f"{v['ms'][name]['median'] / copy:.1f}"]
        for name in LIBRARIES
    ]


def figures(records):
    return []
