#!/usr/bin/env python3
"""Test accuracy of a preset on several data sets, unquantised and quantised, as a table beside the paper's figures.

Usage: bench/accuracy.py [--preset paper] [--datasets cora,citeseer,...] [--out FILE.jsonl]
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
VARIANTS = [('unquantised', []), ('p, q 8 bits', ['--quantize', 'pq', '--bits', '8']), ('p, q 4 bits', ['--quantize', 'pq', '--bits', '4'])]


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
    parser.add_argument('--out', help='append every result to this file as JSON lines')
    options = parser.parse_args()
    seeds = options.seeds or ('' if options.preset == 'paper' else '5')
    version = subprocess.run([options.program, '--version'], capture_output=True, text=True).stdout.strip()
    print('| data set | paper | ' + ' | '.join(f'{name}, last | best val' for name, _ in VARIANTS) + ' |')
    print('|---' * (2 + 2 * len(VARIANTS)) + '|')
    for dataset in options.datasets.split(','):
        row = [dataset, f'{PAPER[dataset]:.3f}' if dataset in PAPER else '-']
        for name, extra in VARIANTS:
            arguments = ['--dataset', dataset, '--preset', options.preset, '--layers', options.layers, '--hidden', options.hidden, *extra]
            arguments += ['--seeds', seeds] if seeds else []
            summary = run(options.program, arguments)
            row += [cell(summary, 'last'), cell(summary, 'best_val')]
            if options.out:
                record = {'command': 'pdadmm train ' + ' '.join(arguments), 'variant': name, 'version': version,
                          'machine': platform.processor() or platform.machine(), 'summary': summary}
                with open(options.out, 'a', encoding='utf-8') as lines:
                    lines.write(json.dumps(record) + '\n')
        print('| ' + ' | '.join(row) + ' |', flush=True)


if __name__ == '__main__':
    main()
