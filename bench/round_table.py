#!/usr/bin/env python3
"""The table of a GPU round in Markdown: round_table.py ROUND.json [--all]

By default figures that are held to a target, and for groups with many of them the worst; --all prints every figure.
"""
import json
import sys

MANY = ('gemm', 'pass')
WORK = {'gemm': 'GEMM of an update', 'pass': 'fused pass', 'hop': 'SpMM hop', 'iteration': 'whole iteration', 'depth': 'twice the layers', 'peer': 'beside',
        'ceiling': 'ceiling'}


def target_text(target):
    if not target:
        return ''
    if target['bound'] is None:  # it would have come from the figure that is missing
        return f"{target['relation']} ?"
    return f"{target['relation']} {target['bound']:.4g}" + ('' if target['of'] == 'ratio' else ' (figure)')


def row(f):
    work = f"{WORK.get(f['group'], f['group'])}: {f['name']}"
    if f['missing']:
        return f"| {work} | none: {f['missing']} | | | {target_text(f['target'])} | no |"
    floor = '' if f['floor'] is None else f"{f['floor']:.4g} ({f['floor_is']})"
    ratio = '' if f['ratio'] is None else f"{f['ratio']:.3f}"
    met = '' if f['met'] is None else 'yes' if f['met'] else 'no'
    return f"| {work} | {f['value']:.4g} {f['unit']} | {floor} | {ratio} | {target_text(f['target'])} | {met} |"


def distance(f):
    """How far a figure is above its target's bound, at most 1 where it is missed."""
    if f['missing'] or f['ratio'] is None:
        return 0
    return f['ratio'] / f['target']['bound'] if f['target']['relation'] == '>=' else f['target']['bound'] / f['ratio']


def main():
    arguments = [a for a in sys.argv[1:] if a != '--all']
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(arguments[0], encoding='utf-8') as file:
            round_ = json.load(file)
        figures = round_['figures']
    except (OSError, ValueError, KeyError) as error:
        print(f'round_table.py: error: {arguments[0]}: {error}, expected round.json of bench/gpu_round.sh', file=sys.stderr)
        return 3
    chosen = figures
    if '--all' not in sys.argv:
        held = [f for f in figures if f['target']]
        chosen = [f for f in held if f['group'] not in MANY]
        for group in reversed(MANY):
            of_group = [f for f in held if f['group'] == group]
            if of_group:
                worst = dict(min(of_group, key=distance))
                worst['name'] = f"{sum(f['met'] for f in of_group)} of {len(of_group)} met, worst {worst['name']}"
                chosen.insert(0, worst)
    facts = [round_[key] for key in ('device', "driver's CUDA", 'cuBLASLt', 'cuSPARSE', 'commit', 'sizes') if key in round_]
    print(', '.join(str(f) for f in facts) + '\n')
    print('| work | figure | floor or ceiling of the same run | ratio | target | met |\n|---|---|---|---|---|---|')
    for f in chosen:
        print(row(f))
    return 0


if __name__ == '__main__':
    sys.exit(main())
