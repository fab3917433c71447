#!/usr/bin/env python3
"""`pdadmm plan --grid` beside what ranks took on this machine: python3 bench/plan_check.py [--program PDADMM] [TRAIN OPTIONS]

Ranks are threads, and each one's time is that of its processor (Linux), without waits: so a busy machine or one with fewer
processors than ranks gives nearly the same figures. A rank alone would have the clock and the caches of all processors: it runs beside
copies of itself, one a processor. What is compared is the costliest rank: work, whole layers, ranges of nodes. What messages cost beside
it is not. An iteration is the slope between two numbers of epochs; the least of some rounds counts."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GRIDS = ['1x1', '2x1', '1x2', '3x1', '1x3', '4x1', '2x2', '1x4']
NETWORK = (
    '--dataset sbm:nodes=9000,classes=4,features=48,degree=6,seed=1 --split random:1024/40/40 --hops 2 --preset none --layers 8 --hidden 96 '
    '--node-ranges 16 --placement uniform'
).split()
EPOCHS = 20, 100


def ranks_of(grid):
    layers, nodes = map(int, grid.split('x'))
    return layers * nodes


def thread_seconds(command):
    """Seconds on a processor of every thread of a process, ascending."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds = {}
    while process.poll() is None:
        for thread in Path(f'/proc/{process.pid}/task').glob('*/schedstat'):
            try:
                seconds[thread] = 1e-9 * int(thread.read_text().split()[0])
            except (OSError, IndexError):
                pass  # it has just ended
        time.sleep(0.02)
    if process.returncode != 0:
        sys.exit(process.stderr.read())
    return sorted(seconds.values())


@contextlib.contextmanager
def beside(command, copies):
    with contextlib.ExitStack() as stack:
        for _ in range(copies):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def costliest_rank(program, grid, options):
    ranks = ranks_of(grid)

    def command(epochs):
        return [program, 'train', *options, '--grid', grid, '--threads', str(ranks), '--epochs', str(epochs), '--eval-every', str(epochs), '-q']

    with beside(command(100000), max(0, len(os.sched_getaffinity(0)) - ranks)):
        few, many = (thread_seconds(command(epochs)) for epochs in EPOCHS)
    return (many[-1] - few[-1]) / (EPOCHS[1] - EPOCHS[0])


def planned(program, grid, options, one_rank_s):
    words = ['--grid', grid, '--devices', str(ranks_of(grid)), '--json', '--device-rates', f'iteration={1e6 * one_rank_s:.6g}us']
    done = subprocess.run([program, 'plan', *options, *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    (found,) = json.loads(done.stdout)['grids']
    return found['even_s'] + found['whole_layers_s'] + found['node_ranges_s']


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--program', default=str(ROOT / 'build/cpu/host/pdadmm'))
    parser.add_argument('--rounds', type=int, default=4)
    given, options = parser.parse_known_args()
    options = NETWORK + options
    measured = {}
    for _ in range(given.rounds):
        for grid in GRIDS:
            measured.setdefault(grid, []).append(costliest_rank(given.program, grid, options))
    one = min(measured['1x1'])
    print('grid   planned ms   measured ms   error %   spread %')
    for grid, rounds in measured.items():
        model, found = planned(given.program, grid, options, one), min(rounds)
        print(f'{grid:<6} {1e3 * model:>10.2f} {1e3 * found:>13.2f} {100 * (model / found - 1):>9.1f} {100 * (max(rounds) / found - 1):>10.1f}')


if __name__ == '__main__':
    main()
