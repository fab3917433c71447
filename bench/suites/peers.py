"""The same work in PyTorch: bench/peers, where torch can be imported."""

import json
import os
import re
import shlex
import subprocess
import sys

from .session import ROOT, Task, left_out
from .tables import Table, measured
from .timing import milliseconds, untimed

TITLE = 'Peers in PyTorch'
ABOUT = """The scripts of bench/peers: the paper's algorithm as its published code runs it, Adam eager and as a CUDA graph, and
torch.sparse. The first two train Cora's bundle (10 layers of 100 neurons, 5 hops) where it is here, else a made-up problem of its size;
"ours" is the same network on the same data by this program, timed right after. Left out where PyTorch, or the GPU that a script needs,
is missing."""
SIZES = {
    'quick': dict(seconds=2, depths='10', epochs=20),
    'default': dict(seconds=10, depths='8,10,16,32', epochs=50),
    'full': dict(seconds=30, depths='8,10,16,32,64', epochs=100),
}
SKIPPED = 77
HIDDEN = 100


def tasks(session):
    s = session.sizes(SIZES)
    on = 'cuda' if session.options.backend == 'cuda' else 'cpu'
    data = bundle(session)
    of_data = ['--bundle', data] if data else []
    scripts = {
        'paper_admm.py': (['--layers', '10', '--device', on, *of_data], [], [10]),
        'adam_mlp.py': (['--layers', s.depths, *of_data], ['--optimizer', 'adam'], [int(d) for d in s.depths.split(',')]),
        'spmm.py': ([], [], []),
    }
    for script, (arguments, options, depths) in scripts.items():
        why = missing(script)
        if why:
            yield left_out({'peer': script}, why)
            continue
        arguments = [*arguments, '--seconds', str(s.seconds)]
        ours = {d: ours_of(session, d, options, s.epochs) for d in (depths if data else [])}
        commands = [shlex.join(['bench/peers/' + script, *arguments]), *map(session.shown, ours.values())]
        yield Task({'peer': script}, commands, beside(session, script, arguments, ours), weight=2 * s.seconds)


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
        values = answer([sys.executable, str(ROOT / 'bench' / 'peers' / script), *arguments], session.options.threads)
        return {**values, 'ours_ms': {str(depth): milliseconds(session.train(command)[0]) for depth, command in ours.items()}}

    return work


def missing(script):
    """Why a script cannot run here, or ''."""
    test = 'import numpy, torch'
    if script != 'paper_admm.py':
        test += '; assert torch.cuda.is_available(), "PyTorch sees no CUDA device"'
    done = subprocess.run([sys.executable, '-c', test], capture_output=True, text=True)
    return '' if done.returncode == 0 else f"cannot run here: {done.stderr.strip().splitlines()[-1].split(': ', 1)[-1]}"


def answer(command, threads):
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, 'OMP_NUM_THREADS': str(threads)})
    if done.returncode == SKIPPED:
        return {'skipped': done.stderr.strip()}
    if done.returncode != 0:
        return {'failed': (done.stderr.strip().splitlines() or ['no message'])[-1]}
    return json.loads(done.stdout)


def tables(records):
    rows = []
    for r in measured(records):
        v = r['values']
        for part in v.get('results', [v]):
            what = ', '.join(str(part[k]) for k in ('graph', 'layers', 'form', 'math') if k in part)
            theirs = 1e3 * part['seconds'] if 'seconds' in part else None
            ours = v['ours_ms'].get(str(part.get('layers', 10)))
            shown = f'{theirs:.4g}' if theirs else v.get('skipped') or v.get('failed', '')
            rows.append([r['point']['peer'], what, shown, f'{ours:.4g}' if ours else '', f'{theirs / ours:.2f}' if theirs and ours else ''])
    header = ['script', 'case', 'ms an iteration, epoch or hop', 'ours, ms', 'theirs over ours']
    return [Table('Peers, measured', header, rows)] if rows else []


def figures(records):
    return []
