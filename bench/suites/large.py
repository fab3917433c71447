"""Graphs larger than memory: `pdadmm augment --out FOLDER` beside scipy on the same files."""

import json
import pathlib
import re
import shlex
import shutil
import tempfile

from .at_size_methods import interpreter
from .figures import Figure, Panel, Series, two_digits
from .kernels import output
from .peers import seconds_of
from .session import ROOT, Task, finished, left_out
from .tables import Table, measured

TITLE = 'Graphs larger than memory: augmentation on disk'
ABOUT = """A power-law graph of 16 edges a node in files of numpy (`bench/peers/hops.py make`), augmented with 4 hops beside the features;
X of 1 node in 70 is kept. "ours" works on disk within the memory given, scipy is
`bench/peers/hops.py run`. Seconds are those of the whole command, with reading and building; peak is the most memory that a process
held (resident, with pages of files that it maps). What scipy and this program write is compared."""
SIZES = {
    'quick': dict(nodes=[100000], memory=['100M']),
    'default': dict(nodes=[1000000], memory=['300M', '1G']),
    'full': dict(nodes=[1000000, 10000000], memory=['1G', '4G']),
}
FEATURES, DEGREE, HOPS = 64, 16, 5
PEER = ROOT / 'bench' / 'peers' / 'hops.py'


def tasks(session):
    s = session.sizes(SIZES)
    python = interpreter('numpy, scipy.sparse')
    for nodes in s.nodes:
        point = {'nodes': nodes}
        if not python:
            yield left_out(point, 'no Python here has scipy')
            continue
        made = ['make', 'GRAPH', '--nodes', nodes, '--edges', nodes * DEGREE, '--features', FEATURES]
        ours = {memory: ['augment', '--dataset', 'GRAPH', '--hops', HOPS, '--out', 'X', '--memory', memory] for memory in s.memory}
        commands = [shlex.join(map(str, ['bench/peers/hops.py', *made])), *(shlex.join(['pdadmm', *map(str, c)]) for c in ours.values())]
        yield Task(point, commands, side_by_side(session, python, made, ours), weight=nodes / 5000)


def side_by_side(session, python, made, ours):
    def work():
        folder = pathlib.Path(tempfile.mkdtemp(prefix='pdadmm-large-', dir=ROOT / 'runs' if (ROOT / 'runs').is_dir() else None))
        try:
            return values(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def values(folder):
        graph, result = str(folder / 'graph'), {'seconds': {}, 'cpu_seconds': {}, 'peak_bytes': {}, 'hops': {}}
        output([python, str(PEER), *(graph if a == 'GRAPH' else str(a) for a in made)])
        for memory, command in ours.items():
            X = str(folder / f'ours-{memory}')
            done = session.call([{'GRAPH': graph, 'X': X}.get(str(a), str(a)) for a in command])
            result['seconds'][f'ours, {memory}'] = seconds_of(done.output)
            result['peak_bytes'][f'ours, {memory}'] = done.peak_bytes
            result['cpu_seconds'][f'ours, {memory}'] = done.cpu_seconds
            result['hops'][memory] = re.findall(r'hop \d+, .*', done.errors)
        done = finished([python, str(PEER), 'run', graph, '--hops', str(HOPS), '--out', str(folder / 'scipy.npy')])
        if done.code != 0:
            return {**result, 'failed': (done.errors.strip().splitlines() or [f'exit code {done.code}'])[-1]}
        peer = json.loads(done.output)
        result['seconds']['scipy'] = peer['seconds']
        result['peak_bytes']['scipy'] = done.peak_bytes
        result['cpu_seconds']['scipy'] = done.cpu_seconds
        same = output([python, '-c', SAME, X + '/X.npy', str(folder / 'scipy.npy')])
        return {**result, 'entries': peer['entries'], 'largest_difference': float(same)}

    return work


SAME = """import sys, numpy
print(max(float(abs(a - b).max()) for a, b in zip(*(numpy.array_split(numpy.load(f, mmap_mode='r'), 100) for f in sys.argv[1:]))))"""


def tables(records):
    rows = []
    for r in measured(records):
        v = r['values']
        for way, seconds in v['seconds'].items():
            cpu, peak = f"{v['cpu_seconds'][way]:.1f}", f"{v['peak_bytes'][way] / 2**30:.2f}"
            rows.append([f"{r['point']['nodes']:,}", way, f'{seconds:.1f}', cpu, peak])
        if 'failed' in v:
            rows.append([f"{r['point']['nodes']:,}", 'scipy', v['failed'], '', ''])
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
    """Ours with the most memory beside scipy on the largest graph that both have."""
    both = [r for r in found if 'scipy' in r['values']['seconds']]
    if not both:
        return f"{found[-1]['point']['nodes']:,} nodes augmented on disk; scipy did not"
    v = both[-1]['values']
    ours = max((way for way in v['seconds'] if way != 'scipy'), key=lambda way: v['peak_bytes'][way])
    ratio = lambda key: two_digits(v[key]['scipy'] / v[key][ours])
    return f"{both[-1]['point']['nodes']:,} nodes: scipy takes {ratio('seconds')} times as long and {ratio('peak_bytes')} times the memory"
