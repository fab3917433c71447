"""The same work in PyTorch: bench/peers, where torch can be imported."""

import json
import subprocess
import sys

from .session import ROOT, Task, left_out
from .tables import Table, measured

TITLE = 'Peers in PyTorch'
ABOUT = """The scripts of bench/peers: the paper's algorithm as its published code runs it, Adam eager and as a CUDA graph, and
torch.sparse; each on the same problem as an iteration of ours. They are left out where PyTorch, or the GPU that a script needs, is
missing."""
SIZES = {
    'quick': dict(seconds=2, layers='8'),
    'default': dict(seconds=10, layers='8,10,16,32'),
    'full': dict(seconds=30, layers='8,10,16,32,64'),
}
SKIPPED = 77


def tasks(session):
    s = session.sizes(SIZES)
    scripts = {
        'paper_admm.py': [
            '--layers',
            '10',
            '--device',
            'cuda' if session.options.backend == 'cuda' else 'cpu',
            '--seconds',
            str(s.seconds),
        ],
        'adam_mlp.py': ['--layers', str(s.layers), '--seconds', str(s.seconds)],
        'spmm.py': ['--seconds', str(s.seconds)],
    }
    for script, arguments in scripts.items():
        command = [sys.executable, str(ROOT / 'bench' / 'peers' / script), *arguments]
        why = missing(script)
        if why:
            yield left_out({'peer': script}, why)
        else:
            yield Task(
                {'peer': script},
                [' '.join(['bench/peers/' + script, *arguments])],
                lambda command=command: answer(command),
                weight=2 * s.seconds,
            )


def missing(script):
    """Why a script cannot run here, or ''."""
    test = 'import numpy, torch' + (
        '' if script == 'paper_admm.py' else '; assert torch.cuda.is_available(), "PyTorch sees no CUDA device"'
    )
    done = subprocess.run([sys.executable, '-c', test], capture_output=True, text=True)
    return '' if done.returncode == 0 else f"cannot run here: {done.stderr.strip().splitlines()[-1].split(': ', 1)[-1]}"


def answer(command):
    done = subprocess.run(command, capture_output=True, text=True)
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
            rows.append(
                [
                    r['point']['peer'],
                    what,
                    f"{1e3 * part['seconds']:.4g} ms" if 'seconds' in part else v.get('skipped') or v.get('failed', ''),
                ]
            )
    return [Table('Peers, measured', ['script', 'case', 'an iteration, epoch or hop'], rows)] if rows else []


def figures(records):
    return []
