#!/usr/bin/env python3
"""Test accuracy of a preset on several data sets, by pdADMM-G, quantised, and by backpropagation, beside the paper's figures.

Usage: bench/accuracy.py [--preset paper] [--datasets cora,citeseer,...] [--methods admm,admm-q,gd,adam,...] [--scratch] [--out FILE.jsonl]
Each cell is one `pdadmm train` over five seeds; its command and every result go to FILE. Standard library only.
"""
import argparse
import json
import pathlib
import platform
import subprocess
import sys
import tempfile

PAPER = {  # 10 layers, 100 neurons: the better of the paper's two algorithms (Table III)
    'cora': .788, 'pubmed': .784, 'citeseer': .712, 'computers': .735, 'photo': .856, 'cs': .915, 'physics': .921, 'flickr': .513, 'arxiv': .655}
PAPER_BASELINES = {  # the same table
    'gd': {'cora': .730, 'pubmed': .638, 'citeseer': .637, 'computers': .646, 'photo': .735, 'cs': .884, 'physics': .909, 'flickr': .466, 'arxiv': .361},
    'adadelta': {'cora': .671, 'pubmed': .705, 'citeseer': .620, 'computers': .136, 'photo': .369, 'cs': .787, 'physics': .915, 'flickr': .461, 'arxiv': .523},
    'adagrad': {'cora': .726, 'pubmed': .753, 'citeseer': .601, 'computers': .688, 'photo': .813, 'cs': .887, 'physics': .916, 'flickr': .481, 'arxiv': .567},
    'adam': {'cora': .725, 'pubmed': .742, 'citeseer': .631, 'computers': .724, 'photo': .855, 'cs': .883, 'physics': .912, 'flickr': .512, 'arxiv': .674}}
METHODS = {'admm': ('unquantised', []), 'admm-q': ('p, q 8 bits', ['--quantize', 'pq', '--bits', '8']),
           'admm-q4': ('p, q 4 bits', ['--quantize', 'pq', '--bits', '4']),
           **{name: (name, ['--optimizer', name]) for name in PAPER_BASELINES}}


def run(program, arguments):
    """summary.json of one training over several seeds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program, 'train', '--quiet', '--out', folder + '/run', *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f'accuracy.py: error: {" ".join(command)} ended with {done.returncode}: {done.stderr.strip()}')
        return json.loads(pathlib.Path(folder, 'run', 'summary.json').read_text())


def cell(summary, which):
    test = summary[which]['test']
    return f"{test['mean']:.3f} ± {test['sd']:.3f}" if test['sd'] is not None else f"{test['mean']:.3f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--program', default='build/cpu/host/pdadmm')
    parser.add_argument('--preset', default='fast')
    parser.add_argument('--datasets', default='cora,citeseer,computers,photo,cs,physics')
    parser.add_argument('--layers', default='10')
    parser.add_argument('--hidden', default='100')
    parser.add_argument('--seeds', help='default: 5, or the published list with --preset paper')
    parser.add_argument('--methods', default='admm,admm-q,admm-q4', help='of ' + ', '.join(METHODS))
    parser.add_argument('--scratch', action='store_true', help='train the full depth at once instead of growing')
    parser.add_argument('--out', help='append every result to this file as JSON lines')
    options = parser.parse_args()
    methods = options.methods.split(',')
    if unknown := [name for name in methods if name not in METHODS]:
        parser.error(f"--methods: '{unknown[0]}', expected some of {', '.join(METHODS)}")
    seeds = options.seeds or ('' if options.preset == 'paper' else '5')
    version = subprocess.run([options.program, '--version'], capture_output=True, text=True).stdout.strip()
    print('| data set | paper | ' + ' | '.join(f'{name}, last | best val' for name, _ in map(METHODS.get, methods)) + ' |')
    print('|---' * (2 + 2 * len(methods)) + '|')
    for dataset in options.datasets.split(','):
        row = [dataset, f'{PAPER[dataset]:.3f}' if dataset in PAPER else '-']
        for method in methods:
            name, extra = METHODS[method]
            arguments = ['--dataset', dataset, '--preset', options.preset, '--layers', options.layers, '--hidden', options.hidden, *extra]
            arguments += (['--grow', ''] if options.scratch else []) + (['--seeds', seeds] if seeds else [])
            summary = run(options.program, arguments)
            paper = PAPER_BASELINES.get(method, {}).get(dataset)
            row += [cell(summary, 'last') + (f' (paper {paper:.3f})' if paper else ''), cell(summary, 'best_val')]
            if options.out:
                record = {'command': 'pdadmm train ' + ' '.join(arguments), 'variant': name, 'version': version,
                          'machine': platform.processor() or platform.machine(), 'summary': summary}
                with open(options.out, 'a', encoding='utf-8') as lines:
                    lines.write(json.dumps(record) + '\n')
        print('| ' + ' | '.join(row) + ' |', flush=True)


if __name__ == '__main__':
    main()
