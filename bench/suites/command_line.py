"""Command line of bench/harness."""

import argparse
import pathlib
import shlex
import signal
import sys
import time

from . import budget, check, cited, compare, page, quiet
from .page import SUITES
from .session import HarnessError, ROOT, Session, USAGE

OUT = {'quick': 'runs/bench-quick', 'default': 'runs/bench', 'full': 'runs/bench-full'}


class Parser(argparse.ArgumentParser):
    """Refuses in one line."""

    def error(self, message):
        raise HarnessError(USAGE, f'{message}; see bench/harness --help')


def count(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}', expected a whole number above 0")
    return int(text)


def counts(text):
    return [count(part) for part in text.split(',')]


def minutes(text):
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < float('inf'):
        raise argparse.ArgumentTypeError(f"'{text}', expected minutes above 0")
    return found


def names(text):
    """Names between commas; commas within `sbm:...` belong to the name."""
    found = []
    for part in text.split(','):
        if found and '=' in part and found[-1].startswith('sbm:'):
            found[-1] += ',' + part
        else:
            found.append(part)
    if not all(found):
        raise argparse.ArgumentTypeError(f"'{text}', expected names between commas")
    return found


def formats(text):
    found = names(text)
    for name in found:
        if name not in ('svg', 'png', 'pdf'):
            raise argparse.ArgumentTypeError(f"'{name}', expected svg, png or pdf")
    return list(dict.fromkeys(['svg', *found]))


def parser():
    p = Parser(
        prog='bench/harness',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Benchmarks of pdadmm beside the paper and beside backpropagation: JSON lines, tables and plots.\n'
        + '\nSuites:\n'
        + '\n'.join(f'  {name:<18} {page.suite_of(name).TITLE}' for name in SUITES)
        + '\n  report             one page of every result in --out\n  all                every suite, then the report\n  compare A B        which figures of two results differ by more than noise\n  check              whether speed and bytes are still as recorded, in two minutes',
    )
    p.add_argument('suite', choices=[*SUITES, 'report', 'all', 'compare', 'check'], metavar='SUITE')
    p.add_argument('results', nargs='*', type=pathlib.Path, metavar='A B', help='of compare: SUITE.jsonl, or folders of results')
    size = p.add_mutually_exclusive_group()
    size.add_argument('--quick', dest='size', action='store_const', const='quick', help='small data, minutes at most')
    size.add_argument('--full', dest='size', action='store_const', const='full', help="the paper's sizes")
    p.add_argument('--out', help='folder of results (default: runs/bench, runs/bench-quick, runs/bench-full)')
    p.add_argument('--formats', type=formats, default=['svg'], help='of pictures, between commas: svg (default), png, pdf')
    p.add_argument('--anyway', action='store_true', help='measure on a busy machine, and into bench/results from sources that are not committed; marks the records')
    p.add_argument('--fresh', action='store_true', help='measure anew what is there already')
    p.add_argument('--build', default=ROOT / 'build' / 'cpu', help='build folder of the program and its benchmarks (default build/cpu)')
    p.add_argument(
        '--backend', default='cpu', choices=['cpu', 'cuda', 'auto'], help='its results take the place of another one\'s: a folder each'
    )
    p.add_argument('--threads', type=count, default=1, help='of the CPU backend (default 1)')
    p.add_argument('--datasets', type=names, help='between commas; of the program, files, or sbm:...')
    p.add_argument('--methods', type=names, help='accuracy, splits, at-size, tune: of its methods')
    p.add_argument('--steps', type=names, help='communication: of its steps, exact and block')
    p.add_argument('--layers', type=counts, help='of the network; at-size, layers: depths between commas')
    p.add_argument('--nodes', type=counts, help='large: of its graphs, between commas')
    for name, what in (
        ('hidden', 'neurons of a layer'),
        ('epochs', 'of a growth stage'),
        ('seeds', 'how many'),
        ('search-seeds', 'accuracy, splits: of a trial of tuned Adam'),
        ('rounds', 'repetitions of timings'),
        ('splits', 'at-size, splits: how many'),
        ('trials', 'at-size: settings that each method may try; tune: trainings of a search'),
    ):
        p.add_argument(f'--{name}', type=count, help=what)
    p.add_argument('--max-minutes', type=minutes, metavar='M', help='start nothing after so long; the same command goes on later')
    p.add_argument('--budget', type=budget.seconds, metavar='TIME', help='all: redo results in order of worth for so long, like 2h or 90m; the same command goes on later')
    p.add_argument('--latency', type=float, default=None, metavar='US', help='devices: microseconds of a message, of the model')
    p.add_argument('--bandwidth', type=float, default=None, metavar='GB/S', help='devices: of a link, of the model')
    return p


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a killed suite ends its training too
    try:
        options = parser().parse_args(arguments)
        options.size = options.size or 'default'
        options.out = pathlib.Path(options.out or OUT[options.size])
        return work(options, shlex.join(['bench/harness', *arguments]))
    except HarnessError as error:
        print(f'harness: error: {error}', file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print('harness: interrupted; the same command goes on from here', file=sys.stderr)
        return 130


def refuse_strangers(options, suite):
    """Options that the suite would not heed."""
    for name in ('datasets', 'methods', 'steps', 'layers', 'hidden', 'epochs', 'seeds', 'search_seeds', 'rounds', 'splits', 'trials'):
        if getattr(options, name) is not None and name not in suite.SIZES['quick']:
            raise HarnessError(USAGE, f'--{name.replace("_", "-")}: not an option of the suite {options.suite}; see bench/harness --help')
    if options.suite != 'devices' and (options.latency, options.bandwidth) != (None, None):
        raise HarnessError(USAGE, f'--latency, --bandwidth: not options of the suite {options.suite}, expected devices')
    for name, given in (('methods', options.methods), ('steps', options.steps)):
        known = getattr(suite, name.upper()) if given else ()
        unknown = [g for g in given or () if g not in known]
        if unknown:
            raise HarnessError(USAGE, f"--{name}: '{unknown[0]}', expected some of {', '.join(known)}")


def hindrances(options, session, timed):
    """Why nothing should be measured now: (fault, what is expected, what to do, whether it spoils times alone)."""
    published = options.out.resolve().is_relative_to(ROOT / 'bench' / 'results')
    if published and session.commit.endswith('+'):
        yield f'sources differ from commit {session.commit[:-1]}', 'none', 'commit them', False
    if timed and options.size != 'quick':
        share = quiet.share_of_others()
        if share is not None and share > quiet.MOST:
            yield f'other processes take {share:.0%} of the processors', f'at most {quiet.MOST:.0%}', 'wait until they are done', True


def refuse_hindrances(options, session, suites):
    """Published figures belong to a commit, and times to a quiet machine, which is waited for only where one of the suites shows
    times. Asked for anyway: {suite: what its records have to say was amiss}."""
    marks = {name: [] for name in suites}
    for fault, expected, remedy, of_times in hindrances(options, session, any(map(page.is_timed, suites))):
        if not options.anyway:
            raise HarnessError(USAGE, f'--out {options.out}: {fault}, expected {expected}; {remedy}, or --anyway')
        for name in suites:
            marks[name] += [fault] if page.is_timed(name) or not of_times else []
    return marks


def all_within(options, arguments):
    """`all --budget`: what other sources measured is measured anew, as far as the time goes."""
    for name in ('fresh', 'max_minutes'):
        if getattr(options, name):
            raise HarnessError(USAGE, f'--budget: with --{name.replace("_", "-")}, expected it alone; leave one of them out')
    refuse_hindrances(options, Session(options, ''), ())

    def hindered(part):
        try:
            part.session.anyway = refuse_hindrances(part.session.options, part.session, (part.name,))[part.name]
        except HarnessError as error:
            return str(error)
        return ''

    open_session = lambda of_suite, command, sizes: Session(of_suite, command, preferred=sizes)
    say = lambda text: print(text, file=sys.stderr, flush=True)
    return budget.run(options, lambda over: parser().parse_args(arguments, over), open_session, hindered, say, time.monotonic)


def work(options, command):
    if options.suite == 'compare':
        if len(options.results) != 2:
            raise HarnessError(USAGE, f'compare: {len(options.results)} results, expected two: SUITE.jsonl or folders')
        print(compare.told(*options.results))
        return 0
    if options.results:
        raise HarnessError(USAGE, f'{options.results[0]}: expected nothing behind {options.suite}')
    if options.suite == 'check':
        return check.run(Session(options, command))
    if options.suite in SUITES:
        refuse_strangers(options, page.suite_of(options.suite))
    if options.budget and options.suite != 'all':
        raise HarnessError(USAGE, f'--budget: with {options.suite}, expected all; a suite alone has --max-minutes')
    code = all_within(options, shlex.split(command)[1:]) if options.budget else 0
    chosen = {'report': (), 'all': () if options.budget else SUITES}.get(options.suite, (options.suite,))
    if chosen:
        session = Session(options, command)
        marks = refuse_hindrances(options, session, chosen)
        for name in chosen:
            session.anyway = marks[name]
            session.run(name, page.suite_of(name))
            print(page.write_suite(options.out, name, options.formats))
    if options.suite in ('report', 'all'):
        for path in page.write_report(options.out, options.formats):
            print(f'{path}: written')
        for line in cited.write_pages(options.out):
            print(line)
    return code
