"""Graphs larger than memory: `pdadmm augment --out FOLDER` beside scipy, PyTorch Geometric and DGL on the same files."""

import json
import pathlib
import re
import shlex
import shutil
import signal
import tempfile

from .at_size_methods import interpreter
from .figures import Figure, Panel, Series, two_digits
from .kernels import output
from .peers import SKIPPED, seconds_of
from .session import ROOT, Task, finished, left_out
from .tables import Table, measured

TITLE = 'Graphs larger than memory: augmentation on disk'
ABOUT = """A power-law graph of 16 edges a node in files of numpy (`bench/peers/hops.py make`), augmented with 4 hops beside the features;
X of 1 node in 70 is kept. "ours" works on disk within the memory given. scipy, and SIGN's transforms of PyTorch Geometric (PyG) and of
DGL, are `bench/peers/hops.py run`. Seconds are those of the whole command, with reading and building; peak is the most memory that a
process held (resident, with pages of files that it maps). What each of them and this program write is compared."""
SIZES = {
    'quick': dict(nodes=[100000]),
    'default': dict(nodes=[1000000]),
    'full': dict(nodes=[1000000, 10000000]),
}
FEATURES, DEGREE, HOPS = 64, 16, 5
PEERS = ('scipy', 'PyG', 'DGL')
PEER = ROOT / 'bench' / 'peers' / 'hops.py'


def memory_given(nodes):
    return ['100M'] if nodes <= 100000 else ['300M', '1G'] if nodes <= 1000000 else ['1G', '4G']


def tasks(session):
    python = interpreter('numpy, scipy.sparse')
    for nodes in session.sizes(SIZES).nodes:
        point = {'nodes': nodes}
        if not python:
            yield left_out(point, 'no Python here has scipy')
            continue
        made = ['make', 'GRAPH', '--nodes', nodes, '--edges', nodes * DEGREE, '--features', FEATURES]
        ours = {memory: ['augment', '--dataset', 'GRAPH', '--hops', HOPS, '--out', 'X', '--memory', memory] for memory in memory_given(nodes)}
        theirs = {peer: ['run', 'GRAPH', '--by', peer, '--hops', HOPS, '--out', 'X.npy'] for peer in PEERS}
        peers = [['bench/peers/hops.py', *made], *(['bench/peers/hops.py', *c] for c in theirs.values())]
        commands = [shlex.join(map(str, c)) for c in (peers[0], *(['pdadmm', *c] for c in ours.values()), *peers[1:])]
        yield Task(point, commands, side_by_side(session, python, made, ours, theirs), weight=nodes / 5000)


def side_by_side(session, python, made, ours, theirs):
    def work():
        folder = pathlib.Path(tempfile.mkdtemp(prefix='pdadmm-large-', dir=ROOT / 'runs' if (ROOT / 'runs').is_dir() else None))
        try:
            return values(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def values(folder):
        result = {'seconds': {}, 'cpu_seconds': {}, 'peak_bytes': {}, 'hops': {}, 'failed': {}, 'largest_difference': {}}
        last, peer_X = None, str(folder / 'theirs.npy')
        here = lambda command, X: [{'GRAPH': str(folder / 'graph'), 'X': X, 'X.npy': X}.get(str(a), str(a)) for a in command]

        def take(way, seconds, done):
            result['seconds'][way], result['cpu_seconds'][way], result['peak_bytes'][way] = seconds, done.cpu_seconds, done.peak_bytes

        output([python, str(PEER), *here(made, '')])
        for memory, command in ours.items():
            if last:
                shutil.rmtree(last)
            last = str(folder / f'ours-{memory}')
            done = session.call(here(command, last))
            take(f'ours, {memory}', seconds_of(done.output), done)
            result['hops'][memory] = re.findall(r'hop \d+, .*', done.errors)
        for peer, command in theirs.items():
            done = finished([python, str(PEER), *here(command, peer_X)])
            if done.code != 0:
                result['failed'][peer] = why(done)
                continue
            take(peer, json.loads(done.output)['seconds'], done)
            result['largest_difference'][peer] = float(output([python, '-c', SAME, last + '/X.npy', peer_X]))
        return result

    return work


def why(done):
    """Of a peer that did not come to its end: in words."""
    if done.code == -signal.SIGKILL:
        return f'out of memory, killed at {done.peak_bytes / 2**30:.1f} GiB'
    last = (done.errors.strip().splitlines() or [f'exit code {done.code}'])[-1]
    return last.split('skipped: ')[-1] if done.code == SKIPPED else last


SAME = """import sys, numpy
print(max(float(abs(a - b).max()) for a, b in zip(*(numpy.array_split(numpy.load(f, mmap_mode='r'), 100) for f in sys.argv[1:]))))"""


def tables(records):
    rows = []
    for r in measured(records):
        v = r['values']
        for way, seconds in v['seconds'].items():
            cpu, peak = f"{v['cpu_seconds'][way]:.1f}", f"{v['peak_bytes'][way] / 2**30:.2f}"
            rows.append([f"{r['point']['nodes']:,}", way, f'{seconds:.1f}', cpu, peak])
        rows += [[f"{r['point']['nodes']:,}", peer, reason, '', ''] for peer, reason in v.get('failed', {}).items()]
    return [Table('Augmentation, measured', ['nodes', 'way', 'seconds', 'of all processors', 'peak memory, GiB'], rows)] if rows else []


def figures(records):
    found = sorted(measured(records), key=lambda r: r['point']['nodes'])
    ways = list(dict.fromkeys(way for r in found for way in r['values']['seconds']))
    if not found:
        return []

    def series(key, unit):
        return [
            Series(way, [k for k, r in enumerate(found) if way in r['values'][key]], [r['values'][key][way] / unit for r in found if way in r['values'][key]])
            for way in ways
        ]

    rows = [f"{r['point']['nodes']:,}\nnodes" for r in found]
    panels = [
        Panel('', '', 'seconds', series('seconds', 1), ylog=True, rows=rows),
        Panel('', '', 'peak memory, GiB', series('peak_bytes', 2**30), ylog=True, rows=rows),
    ]
    return [Figure('large', finding(found), panels, 'Power-law graphs of 16 edges a node, in files of numpy; 4 hops beside the features; measured')]


def finding(found):
    """Ours with the most memory beside the peer that takes the least, on the largest graph that one of them augments."""
    both = [r for r in found if set(PEERS) & set(r['values']['seconds'])]
    if not both:
        return f"{found[-1]['point']['nodes']:,} nodes augmented on disk; in memory none of {', '.join(PEERS)} did"
    v = both[-1]['values']
    peer = min(set(PEERS) & set(v['seconds']), key=lambda way: v['peak_bytes'][way])
    ours = max(set(v['seconds']) - set(PEERS), key=lambda way: v['peak_bytes'][way])
    ratio = lambda key: two_digits(v[key][peer] / v[key][ours])
    return f"{both[-1]['point']['nodes']:,} nodes: {peer} takes {ratio('seconds')} times as long and {ratio('peak_bytes')} times the memory"
