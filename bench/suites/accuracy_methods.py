"""What accuracy compares: methods, what tuned Adam is tuned over and how, how networks grow and which seeds they have."""

import statistics

QUANTISED = {'admm': [], 'admm-q8': ['--quantize', 'pq', '--bits', '8'], 'admm-q': ['--quantize', 'pq', '--bits', '4']}
BACKPROPAGATION = ('gd', 'adadelta', 'adagrad', 'adam')
METHODS = (*QUANTISED, *BACKPROPAGATION, 'adam-tuned')
NAMES = {
    'admm': 'pdADMM-G',
    'admm-q8': 'pdADMM-G-Q, 8 bits',
    'admm-q': 'pdADMM-G-Q, 4 bits',
    'gd': 'GD',
    'adadelta': 'Adadelta',
    'adagrad': 'Adagrad',
    'adam': 'Adam',
    'adam-tuned': 'Adam, tuned',
}
# The grid of tuned Adam: an axis, its values (the first is where the search starts), and the options of a value.
AXES = {
    'feature norm': (('l2', 'row', 'none'), lambda v: ['--feature-norm', v]),
    'weight decay': (('5e-4', '5e-3', '0'), lambda v: ['--weight-decay', v]),
    'dropout': (('0.5', '0'), lambda v: ['--dropout', v]),
    'depth': (('2', '3', 'grown'), None),
    'learning rate': (('1e-2', '1e-3'), lambda v: ['--learning-rate', v]),
}
# The same for AdamW, whose decay is a share of the learning rate and stands beside the gradient.
RULES = {
    'adam': (['--optimizer', 'adam'], AXES),
    'adamw, cosine': (
        ['--optimizer', 'adamw', '--rate-schedule', 'cosine'],
        {**AXES, 'weight decay': (('0.5', '5', '0.05'), AXES['weight decay'][1]), 'dropout': (('0.5', '0.8'), AXES['dropout'][1])},
    ),
}


def growth(layers):
    return [depth for depth in (2, 5) if depth < layers] + [layers]


def grow_option(layers, grown):
    return ['--grow', ','.join(map(str, growth(layers))) if grown else '']


def seed_option(seeds):
    return ','.join(map(str, seeds)) + (',' if len(seeds) == 1 else '')


def seeds_of(preset, count):
    """The published list for the paper's preset, as far as it goes; else 0, 1, ..."""
    published = (0, 100, 200, 300, 400)
    return list(published[:count] if preset == 'paper' and count <= len(published) else range(count))


def best_by_axis(axes, trial, figure):
    """One pass over {axis: values}, one axis after the other from the first value of each: the best settings and their mean validation
    `figure`. Yields `trial(settings)`, the task of settings that were not tried before, and gets its record."""
    seen, chosen = {}, {axis: values[0] for axis, values in axes.items()}
    for axis, values in axes.items():
        scores = []
        for value in values:
            settings = {**chosen, axis: value}
            name = tuple(settings.values())
            if name not in seen:
                record = yield trial(settings)
                seen[name] = statistics.fmean(record['values'][figure]) if record and record['values'] else 0.0
            scores.append(seen[name])
        chosen[axis] = values[scores.index(max(scores))]
    return chosen, max(scores)
