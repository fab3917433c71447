"""bench/harness all --budget 2h: the suites in order of worth, each within its share of the time.

A suite may take its share of what is left of the budget, counted among the suites that are not done: what one does not use goes to
those behind it, and when all had their turn, to what is left of the first. Nothing is started when a share is used up, so a call
takes longer than its budget by no more than one result. Results of another program than that of today (sources.same) are measured
anew; those of an earlier call are not, so the same command goes on from where it stopped."""

import argparse
import dataclasses
import re
import shlex

from . import page
from .session import HarnessError, duration

# In order of worth: share of the budget in percent, and options of the default size where the suite's own would take days. Figures
# of README come first: its table from accuracy, its picture from accuracy and communication.
AT_SIZE = dict(
    datasets=['photo', 'pubmed', 'computers'], methods=['block', 'block-2', 'adam', 'torch', 'ridge'], layers=[2, 10], splits=2, trials=2, threads=2
)
PLAN = {
    'accuracy': (20, {}),
    'at-size': (18, AT_SIZE),
    'communication': (10, {}),
    'kernels': (8, dict(threads=2)),
    'devices': (8, dict(datasets=['cora', 'sbm:nodes=2000'])),
    'time-to-accuracy': (5, {}),
    'time-to-objective': (3, {}),
    'convergence': (3, dict(datasets=['cora', 'citeseer', 'photo', 'computers'])),
    'layers': (4, dict(datasets=['cora', 'sbm:nodes=2000'])),
    'peers': (4, {}),
    'penalties': (4, {}),
    'splits': (4, {}),
    'tune': (4, {}),
    'scaling': (3, {}),
    'large': (2, {}),
}


def seconds(text):
    """Of "2h", "90m", "1.5h" or "1h30m"."""
    found = re.fullmatch(r'(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?', text)
    hours, minutes = (float(part or 0) for part in found.groups()) if found else (0, 0)
    if hours + minutes <= 0:
        raise argparse.ArgumentTypeError(f"'{text}', expected a time like 2h, 90m or 1h30m")
    return 3600 * hours + 60 * minutes


@dataclasses.dataclass
class Part:
    """A suite of the plan, with the session that measures it."""

    name: str
    share: float
    session: object
    suite: object
    results: int = 0
    reason: str = ''  # why it was not measured in its turn
    error: HarnessError = None

    @property
    def left(self):
        return self.session.left

    def told(self):
        what = f'{self.name} {self.left} of {self.results}'
        return f'{what} ({self.error or self.reason})' if self.error or self.reason else what


def preferred(name, size):
    """The plan's sizes of a suite, and as an option the threads that it asks for."""
    own = dict(PLAN[name][1]) if size == 'default' else {}
    return own, {'threads': own.pop('threads')} if 'threads' in own else {}


def command_of(options, suite, sizes):
    """What does the same for this suite alone, as its records have it."""
    words = ['bench/harness', options.suite, *([] if options.size == 'default' else [f'--{options.size}']), '--out', options.out]
    words += [] if options.backend == 'cpu' else ['--backend', options.backend]
    words += ['--threads', options.threads]
    for name in suite.SIZES['quick']:
        given = getattr(options, name, None)
        value = sizes.get(name) if given is None else given
        if value is not None:
            words += [f'--{name.replace("_", "-")}', ','.join(map(str, value)) if isinstance(value, list) else value]
    return shlex.join(map(str, words))


def parts(given, parse, open_session):
    """The whole plan. `parse` reads the user's words over a namespace, so that they stand over the plan's."""
    made = []
    for name, (share, _) in PLAN.items():
        sizes, more = preferred(name, given.size)
        options = parse(argparse.Namespace(**more))
        options.suite, options.size, options.out = name, given.size, given.out
        suite = page.suite_of(name)
        session = open_session(options, command_of(options, suite, sizes), sizes)
        session.redo = True
        made.append(Part(name, share, session, suite))
    return made


def announce(found, budget_s, say):
    """What will be done, before anything is."""
    say(f'all: {duration(budget_s)} in order of worth; results of the same program are kept, others measured anew')
    for part in found:
        planned, to_do = part.session.planned(part.name, part.suite)
        part.results = len(planned)
        say(f'  {part.name:<18} {part.share:>3g} %, {duration(budget_s * part.share / 100)}: {len(to_do)} of {len(planned)} results to do')


def spend(found, budget_s, clock, hindered, say):
    """Measures until all is done, the time is over, or nothing can be measured. `hindered(part)`: why not now, or ''."""
    ends = clock() + budget_s
    while unfinished := [part for part in found if part.left and not part.error]:
        before = sum(part.session.done for part in unfinished)
        for number, part in enumerate(unfinished):
            now = clock()
            if now >= ends:
                return
            part.session.until = now + (ends - now) * part.share / sum(p.share for p in unfinished[number:])
            part.reason = hindered(part)
            if part.reason:
                say(f'{part.name}: {part.reason}; later')
                continue
            try:
                part.session.run(part.name, part.suite)
            except HarnessError as error:
                part.error = error
                say(f'{part.name}: {error}')
        if sum(part.session.done for part in unfinished) == before:
            return  # nothing can be measured now


def summary(found):
    left = [part for part in found if part.left]
    if not left:
        return 'all: nothing is left'
    return 'all: left: ' + '; '.join(part.told() for part in left) + '; the same command goes on from here'


def run(given, parse, open_session, hindered, say, clock):
    """The exit code: that of the first suite that failed."""
    found = parts(given, parse, open_session)
    announce(found, given.budget, say)
    try:
        spend(found, given.budget, clock, hindered, say)
    finally:  # also when it was interrupted
        say(summary(found))
    return next((part.error.code for part in found if part.error), 0)
