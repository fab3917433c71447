"""Who takes part in at-size: settings to choose from, and how one run of each is done."""

import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

from .accuracy_methods import grow_option, growth
from .session import DIVERGED, HarnessError, ROOT, finished

SPLIT = 'random:60%/20%/20%'
EVAL_EVERY = 5
PATIENCE = 12  # evaluations
# Features are the same for every method. Those of CS and Physics are wide: with five hops X would take 2.5 and 5.8 GB.
FEATURES = {
    'cs': ['--hops', 3, '--feature-norm', 'l2', '--binary-features'],
    'physics': ['--hops', 3, '--feature-norm', 'l2', '--binary-features'],
    '': ['--hops', 5, '--feature-norm', 'l2'],
}


def _exact(rho, mu):
    return f'rho {rho}, mu {mu}', ['--rho', rho, '--nu', rho, '--weight-decay', mu]


def _block(nu, ratio):
    return f'nu {nu}, decay {ratio}', ['--rho', nu, '--nu', nu, '--weight-decay', ratio]


def _adam(rate, dropout, decay):
    return f'rate {rate}, dropout {dropout}, decay {decay}', ['--learning-rate', rate, '--dropout', dropout, '--weight-decay', decay]


def _adamw(rate, dropout, decay):
    name, options = _adam(rate, dropout, decay)
    return f'AdamW, cosine, {name}', ['--optimizer', 'adamw', '--rate-schedule', 'cosine', *options]


# What each method is tuned over: as many settings for each, the likeliest first. Both Adams have the same.
EXACT = (
    _exact('0.01', '0.02'), _exact('0.01', '0.1'), _exact('0.1', '0.1'), _exact('0.1', '0.01'), _exact('1', '0.1'), _exact('0.001', '0.01'),
)  # fmt: skip
BLOCK = (
    _block('1', '0.05'), _block('1', '0.15'), _block('1', '0.02'), _block('0.1', '0.05'), _block('0.1', '0.15'), _block('1', '0.5'),
)  # fmt: skip
# Dropout of every layer leaves a deep network nothing to learn from, so some go without.
ADAM = (
    _adam('0.01', '0.5', '0'), _adam('0.01', '0.5', '0.0005'), _adamw('0.003', '0', '0.5'), _adam('0.001', '0.2', '0'),
    _adamw('0.01', '0.5', '0.5'), _adam('0.001', '0', '0.0005'),
)  # fmt: skip
RIDGE = tuple((f'penalty {k}', ['--penalty', k]) for k in ('1', '0.1', '10', '0.01', '0.001', '100'))
STEPWISE = ['--step', 'exact', '--step-floor', 1, '--rho-schedule', 'cost', '--rho-max', 1, '--penalties', 'absolute', '--decay-to', 'zero']
BLOCKWISE = ['--step', 'block', '--penalties', 'relative', '--decay-to', 'identity']


class Trained:
    """By `pdadmm train`. Grown networks are judged by their full depth alone."""

    def __init__(self, title, settings, options, grown):
        self.title, self.settings, self.options, self.grown = title, settings, options, grown
        self.of_depth = True

    def why_missing(self):
        return ''

    def arguments(self, session, s, dataset, layers, split, setting):
        epochs = s.epochs if self.grown else s.epochs * len(growth(layers))
        return session.train_arguments(
            dataset, *split_options(split), '--preset', 'fast', *features(dataset), '--layers', layers, '--hidden', s.hidden,
            *grow_option(layers, self.grown), '--epochs', epochs, '--eval-every', EVAL_EVERY, '--stage-patience', PATIENCE,
            *([] if '--optimizer' in setting else self.options), *setting, '--seed', split,
        )  # fmt: skip

    def commands(self, session, *run):
        return [session.shown(self.arguments(session, *run))]

    def run(self, session, s, dataset, layers, *rest):
        found = session.train(self.arguments(session, s, dataset, layers, *rest))[0]
        sent = {'bytes': found['bytes']} if 'adam' not in self.options else {}
        return {**climb(found['rows'], layers), **sent, 'peak_bytes': found['peak_bytes']}


class Peer:
    """By a script of bench/peers, on features that `pdadmm augment` writes."""

    def __init__(self, title, settings, script, modules, of_depth):
        self.title, self.settings, self.script, self.modules, self.of_depth = title, settings, script, modules, of_depth

    def why_missing(self):
        return '' if interpreter(self.modules) else f'no Python here has {self.modules} (Debian: {PACKAGES[self.modules]})'

    def arguments(self, session, s, layers, split, setting):
        network = [
            '--layers', layers, '--hidden', s.hidden, '--epochs', s.epochs * len(growth(layers)), '--eval-every', EVAL_EVERY,
            '--patience', PATIENCE, '--threads', session.options.threads, '--seed', split,
        ] if self.of_depth else []  # fmt: skip
        return [str(a) for a in [*network, *setting]]

    def augment(self, session, dataset, split):
        return ['augment', '--dataset', dataset, '--backend', session.options.backend, '--threads', str(session.options.threads),
                *map(str, [*split_options(split), *features(dataset)])]  # fmt: skip

    def commands(self, session, s, dataset, layers, split, setting):
        files = ['--features', 'x.npy', '--rows', 'rows.npy']
        return [
            shlex.join(['pdadmm', *self.augment(session, dataset, split), '--out', 'x.npy', '--rows', 'rows.npy']),
            shlex.join(['bench/peers/' + self.script, *files, *self.arguments(session, s, layers, split, setting)]),
        ]

    def run(self, session, s, dataset, layers, split, setting):
        with tempfile.TemporaryDirectory() as folder:
            x, rows = (str(pathlib.Path(folder, name)) for name in ('x.npy', 'rows.npy'))
            session.ask([*self.augment(session, dataset, split), '--out', x, '--rows', rows])
            command = [interpreter(self.modules), str(ROOT / 'bench' / 'peers' / self.script), '--features', x, '--rows', rows]
            threads = {'OMP_NUM_THREADS': str(session.options.threads)}
            done = finished([*command, *self.arguments(session, s, layers, split, setting)], {**os.environ, **threads})
        if done.code != 0:
            raise HarnessError(DIVERGED, f"{self.script}: {(done.errors.strip().splitlines() or ['no message'])[-1]}")
        found = json.loads(done.output)
        more = {key: found[key] for key in ('torch', 'blas') if key in found}
        return {**climb(found['rows'], layers), 'peak_bytes': done.peak_bytes, **more}


METHODS = {
    'exact': Trained('pdADMM-G, exact', EXACT, STEPWISE, True),
    'block': Trained('pdADMM-G, block', BLOCK, BLOCKWISE, True),
    'block-4': Trained('pdADMM-G-Q, block, 4 bits', BLOCK, [*BLOCKWISE, '--quantize', 'pq', '--bits', 4], True),
    'block-2': Trained('pdADMM-G-Q, block, 2 bits', BLOCK, [*BLOCKWISE, '--quantize', 'pq', '--bits', 2], True),
    'adam': Trained('Adam', ADAM, ['--optimizer', 'adam'], False),
    'torch': Peer('Adam, PyTorch', ADAM, 'torch_adam.py', 'numpy, torch', True),
    'ridge': Peer('ridge regression', RIDGE, 'ridge.py', 'numpy, scipy', False),
}
OURS = ('exact', 'block', 'block-4', 'block-2')
ADAMS = ('adam', 'torch')
PACKAGES = {'numpy, torch': 'python3-torch', 'numpy, scipy': 'python3-scipy'}
_interpreters = {}


def interpreter(modules):
    """A Python that can import `modules`: this one, or the system's, which has Debian's packages. None where there is none."""
    if modules not in _interpreters:
        imports = lambda python: subprocess.run([python, '-c', f'import {modules}'], capture_output=True).returncode == 0
        pythons = [sys.executable] + [p for p in ('/usr/bin/python3',) if os.path.exists(p)]
        _interpreters[modules] = next((p for p in pythons if imports(p)), None)
    return _interpreters[modules]


def split_options(split):
    return ['--split', SPLIT, '--split-seed', split]


def features(dataset):
    return FEATURES.get(dataset, FEATURES[''])


def climb(rows, layers):
    """Values of a run. A step of "climb" is an evaluation of the full depth that is better than all before it on the validation nodes:
    iterations, seconds of training (set-up of stages included) and bytes sent so far, validation and test accuracy."""
    steps, seconds, sent = [], 0.0, 0
    for row in rows:
        seconds, sent = seconds + row['seconds'] + row.get('setup_seconds', 0), sent + row.get('bytes', 0)
        if 'val_accuracy' in row and row.get('layers', layers) == layers and (not steps or row['val_accuracy'] > steps[-1][3]):
            steps.append([row['epoch'], round(seconds, 6), sent, row['val_accuracy'], row['test_accuracy']])
    return {'climb': steps, 'iterations': rows[-1]['epoch'], 'seconds': seconds}
