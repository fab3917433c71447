"""What suites share: the program under test, where results lie, and the records that they are made of.

A record is one line of JSON in OUT/SUITE.jsonl:
    suite, point   what was measured, e.g. {"dataset": "cora", "method": "adam"}
    kind           "measured", "modelled" (from measured parts, by a formula), or "left out" and `why`:
                   data are missing, or iterates were no longer finite
    key            digest of suite, point, commands and program version: a record with the key of a task is that task's result
    machine        with "others", the share of the processors that other processes took while it was measured
    anyway         why it should not have been measured, where it was asked for all the same
    commands, harness, commit, version, machine, device, seeds, time
    values         figures by name; a list holds one a seed or a repetition
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
import types

from . import sources
from .quiet import Others

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
USAGE, DATA, MISSING, OUTPUT, DIVERGED = 2, 3, 4, 5, 79  # exit codes, those of pdadmm


class HarnessError(Exception):
    """One line for the user, and the exit code that goes with it."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


@dataclasses.dataclass
class Task:
    """One measurement. `work()` returns its values; `weight` is a guess of its seconds, for the time left."""

    point: dict
    commands: list
    work: object
    seeds: list = dataclasses.field(default_factory=list)
    kind: str = 'measured'
    weight: float = 1.0
    why: str = ''


def left_out(point, why):
    return Task(point, [], dict, kind='left out', why=why, weight=0.0)


def machine():
    """Processor, its cores, and how busy it is: a shared machine's times are to be read with care."""
    name = platform.processor() or platform.machine()
    try:
        facts = dict(re.findall(r'^(model name|cpu family|model)\s*:\s*(.+)$', pathlib.Path('/proc/cpuinfo').read_text(), re.M))
        name = facts.get('model name', name)
        if {'cpu family', 'model'} <= facts.keys():  # some names are those of several generations
            name += f" (family {facts['cpu family']}, model {facts['model']})"
    except OSError:
        pass
    return {
        'processor': name,
        'cores': len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count(),
        'system': f'{platform.system()} {platform.release()}',
        'load': [round(x, 2) for x in os.getloadavg()],
    }


@dataclasses.dataclass
class Finished:
    code: int
    output: str
    errors: str
    peak_bytes: int  # most memory that the process held
    cpu_seconds: float = 0.0  # of its threads together


def finished(command, environment=None):
    """Runs a program to its end. OSError where it cannot be started."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment)
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode(errors='replace'))
    return Finished(process.returncode, *texts, used.ru_maxrss * (1 if sys.platform == 'darwin' else 1024), used.ru_utime + used.ru_stime)


class Store:
    """Records of one suite. A later record takes the place of an earlier one of its point; a line that broke off is dropped."""

    def __init__(self, path):
        self.path = path
        self.records = {}
        try:
            lines = path.read_text(encoding='utf-8').splitlines()
        except FileNotFoundError:
            return
        except UnicodeDecodeError:
            raise HarnessError(DATA, f'{path}: no text in UTF-8, expected lines of JSON; remove it or choose another --out') from None
        except OSError as error:
            raise HarnessError(OUTPUT, f'{path}: {error.strerror}, expected results; choose another --out') from None
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                if not isinstance(record['point'], dict):
                    raise TypeError
                self.records[self.identity(record['point'])] = record
            except (ValueError, KeyError, TypeError):
                if number < len(lines):
                    raise HarnessError(
                        DATA, f'{path}:{number}: not a record, expected a line of JSON with point and values; ' 'mend or remove the file'
                    ) from None

    @staticmethod
    def identity(point):
        return json.dumps(point, sort_keys=True)

    def find(self, point, key):
        record = self.records.get(self.identity(point))
        return record if record and record.get('key') == key else None

    def put(self, record):
        self.records[self.identity(record['point'])] = record
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
            with open(handle, 'w', encoding='utf-8') as lines:
                lines.writelines(json.dumps(r) + '\n' for r in self.records.values())
            os.chmod(name, 0o644)
            os.replace(name, self.path)
        except OSError as error:
            raise HarnessError(
                OUTPUT, f'{self.path}: {error.strerror}, expected a file that can be written; choose another --out'
            ) from None


class Session:
    """One call of the harness: `options` as command_line.py reads them, over `preferred` sizes of the suite."""

    def __init__(self, options, command, stream=None, clock=time.monotonic, preferred=None):
        self.options, self.command, self.stream, self.clock = options, command, stream or sys.stderr, clock
        self.preferred = preferred or {}
        self.build = pathlib.Path(options.build)
        self.program = self.build / 'host' / 'pdadmm'
        self.version = self.ask(['--version']).strip()
        devices = {line.split()[1]: line.split(None, 2)[2] for line in self.ask(['info']).splitlines() if line.startswith('backend ')}
        threads = f"{options.threads} thread{'s' if options.threads > 1 else ''}"
        self.device = re.sub(r'\b\d+ threads?\b', threads, devices.get(options.backend, options.backend))
        self.machine, self.commit = machine(), sources.commit()
        self.anyway = []
        self.redo = False  # results of other sources are measured anew
        self.until = None if options.max_minutes is None else clock() + 60 * options.max_minutes
        self.done, self.left = 0, 0  # results: measured; of the last suite those that are still to be measured
        self._facts = {}

    # The program

    def call(self, arguments):
        try:
            done = finished([self.program, *arguments])
        except OSError as error:
            raise HarnessError(
                MISSING,
                f'{self.program}: {error.strerror}, expected the program; build it with: '
                'cmake --preset cpu && cmake --build build/cpu --target pdadmm',
            ) from None
        if done.code != 0:
            lines = done.errors.strip().splitlines() or [f'ended with {done.code}']
            code = done.code if done.code in (USAGE, DATA, MISSING, DIVERGED) else 1
            raise HarnessError(code, lines[-1].removeprefix('pdadmm: error: '))
        return done

    def ask(self, arguments):
        return self.call(arguments).output

    def train(self, arguments):
        """One training: for every seed, its summary.json, with its metrics.jsonl as "rows" and the "peak_bytes" of the process."""
        with tempfile.TemporaryDirectory() as folder:
            run = pathlib.Path(folder, 'run')
            done = self.call(['train', '--quiet', '--out', str(run), *arguments])
            folders = sorted(run.glob('seed-*'), key=lambda p: int(p.name[5:])) or [run]
            return [
                {
                    **json.loads((f / 'summary.json').read_text()),
                    'rows': [json.loads(line) for line in (f / 'metrics.jsonl').read_text().splitlines()],
                    'peak_bytes': done.peak_bytes,
                }
                for f in folders
            ]

    def train_arguments(self, dataset, *more):
        """Methods are compared at the depth they are grown to, so the best model is that of the last stage."""
        where = ['--backend', self.options.backend, '--threads', str(self.options.threads)]
        return ['--dataset', dataset, *where, '--best-of', 'last-stage', *map(str, more)]

    @staticmethod
    def shown(arguments):
        """The command of a training as the user would type it."""
        return shlex.join(['pdadmm', 'train', *arguments])

    # Data sets

    def facts(self, dataset, split=()):
        """nodes, features, classes, train: sizes of a data set, with these options of its split. None where its files are not here."""
        key = (dataset, *split)
        if key not in self._facts:
            try:
                text = self.ask(['info', '--dataset', dataset, *map(str, split)])
            except HarnessError as error:
                if error.code != DATA:
                    raise
                self._facts[key] = str(error)
            else:
                number = {
                    name: int(re.search(rf'^{name}\s+(\d+)', text, re.MULTILINE).group(1)) for name in ('nodes', 'features', 'classes')
                }
                train = re.search(r'(\d+) train', text)
                self._facts[key] = {**number, 'train': int(train.group(1)) if train else 0}
        found = self._facts[key]
        return found if isinstance(found, dict) else None

    def why_missing(self, dataset):
        return self._facts[(dataset,)]

    def datasets(self, names):
        """Those of `names` that are here; yields tasks that note the others as left out. Asked for by the user, they must be here."""
        asked = self.options.datasets
        missing = [name for name in asked or names if not self.facts(name)]
        if asked and missing:
            raise HarnessError(DATA, f'--datasets: {self.why_missing(missing[0])}')
        for name in missing:
            yield left_out({'dataset': name}, self.why_missing(name))
        return [name for name in asked or names if name not in missing]

    def sizes(self, of_suite):
        """The suite's options at this size, under those that the user gave."""
        chosen = {**of_suite[self.options.size], **self.preferred}
        for name in chosen:
            given = getattr(self.options, name, None)
            if given is None:
                continue
            if name == 'layers' and not isinstance(chosen[name], list):
                if len(given) > 1:
                    raise HarnessError(USAGE, f'--layers: {len(given)} depths, expected one for the suite {self.options.suite}')
                given = given[0]
            chosen[name] = given
        return types.SimpleNamespace(**chosen)

    # Records

    def key(self, suite, task):
        text = json.dumps([suite, task.point, task.commands, self.version, task.why], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def say(self, text):
        print(text, file=self.stream, flush=True)

    def keeper(self, name, store):
        """Of a task the record that is its result already, or None."""

        def kept(task):
            record = None if self.options.fresh else store.find(task.point, self.key(name, task))
            return record if record and (not self.redo or sources.same(record['commit'], self.commit)) else None

        return kept

    def store_of(self, name):
        return Store(pathlib.Path(self.options.out) / f'{name}.jsonl')

    def planned(self, name, suite):
        """All tasks of a suite as far as can be told before they are done, and those that are still to be done."""
        kept = self.keeper(name, self.store_of(name))
        tasks = list(rehearse(suite.tasks(self), kept))
        to_do = [t for t in tasks if not kept(t)]
        self.left = len(to_do)
        return tasks, to_do

    def run(self, name, suite):
        """Does what is not done yet of a suite."""
        planned, to_do = self.planned(name, suite)
        store = self.store_of(name)
        kept = self.keeper(name, store)
        weight_left, spent, weight_done = sum(t.weight for t in to_do), 0.0, 0.0
        self.say(f'{name}: {len(planned)} results, {len(planned) - len(to_do)} of them here already')
        generator, record, number = suite.tasks(self), None, 0
        while True:
            try:
                task = generator.send(record)
            except StopIteration:
                self.left = 0
                break
            number += 1
            record = kept(task)
            if record:
                continue
            if self.until is not None and self.clock() >= self.until:
                self.say(f'{name}: its time is over; the same command goes on from here')
                break
            began = self.clock()
            record = self.record(name, task)
            store.put(record)
            taken = self.clock() - began
            self.done, self.left = self.done + 1, max(1, self.left - 1)  # a choice may bring more tasks than were planned
            spent, weight_done, weight_left = spent + taken, weight_done + task.weight, max(0.0, weight_left - task.weight)
            left = weight_left * spent / weight_done if weight_done else 0.0
            what = label(task.point)
            if record['kind'] == 'left out':
                self.say(f"{name}: left out: {what}: {record['why']}")
            else:
                self.say(f'{name} [{number}/{len(planned)}] {what}: {taken:.1f} s; {duration(left)} left')

    def record(self, name, task):
        self.machine['load'] = machine()['load']
        kind, why, others = task.kind, task.why, Others()
        try:
            values = task.work()
        except HarnessError as error:
            if error.code != DIVERGED:
                raise
            kind, why, values = 'left out', str(error), {}
        fields = {
            'suite': name,
            'point': task.point,
            'kind': kind,
            'key': self.key(name, task),
            'commands': task.commands,
            'harness': self.command,
            'commit': self.commit,
            'version': self.version,
            'machine': {**self.machine, 'others': others.share()},
            'device': self.device,
            'seeds': task.seeds,
            'time': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
            'values': values,
        }
        return {**fields, **({'why': why} if why else {}), **({'anyway': self.anyway} if self.anyway else {})}


def label(point):
    """A point in a few words."""

    def text(value):
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        return '/'.join(map(str, parts))

    return ' '.join(text(v) for name, v in point.items() if name != 'links')


def duration(seconds):
    return f'{seconds:.0f} s' if seconds < 100 else f'{seconds / 60:.0f} min'


def rehearse(generator, kept):
    """The tasks of a suite without doing them: a suite that chooses by results gets those that are `kept`, or None, and goes on
    with its first choice."""
    try:
        task = next(generator)
        while True:
            yield task
            task = generator.send(kept(task))
    except StopIteration:
        return
