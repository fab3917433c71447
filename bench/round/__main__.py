"""One round on a machine with an NVIDIA GPU: does the CUDA backend compute rightly, and how fast?

    bench/gpu_round.sh [OUT] [--round first|second] [--after ROUND.json] [--build FOLDER] [--steps a,b,...] [--quick]
                       [--seconds S]
Runs tests, sanitizers, benchmarks, peers in PyTorch and training on both backends, each step within a limit of its own;
`second` runs what `first` left out, and with --after first what has not passed there. Needs no network and no packages
where a build is there or was carried (bench/pack_gpu_round.sh). Writes OUT/round.json, round.html and round.log anew after
every step. OUT is runs/gpu-round unless given. Exit codes: 0 done, 1 a step failed, 2 wrong use, 4 no GPU or nothing to
run, 5 OUT cannot be written.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import page  # noqa: E402
import programs  # noqa: E402
import report  # noqa: E402
import runner  # noqa: E402
import steps  # noqa: E402


class Failure(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Failure(2, message)


def options():
    parser = Parser(prog='gpu_round.sh', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', nargs='?', default='runs/gpu-round')
    parser.add_argument('--round', choices=sorted(steps.ROUNDS), default='first')
    parser.add_argument('--after')
    parser.add_argument('--build')
    parser.add_argument('--steps')
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--seconds', type=float)
    o = parser.parse_args()
    o.seconds = o.seconds or steps.SECONDS[o.round]
    return o


def chosen_steps(o):
    plan = list(steps.ROUNDS[o.round])
    if o.after:
        try:
            before = {s['step']: s['result'] for s in json.loads(pathlib.Path(o.after).read_text())['steps']}
        except (OSError, ValueError, KeyError) as error:
            raise Failure(2, f'--after {o.after}: {error}, expected round.json of an earlier round') from error
        plan = [s for s in steps.ROUNDS['first'] if o.round != 'first' and before.get(s.name) != 'passed'] + plan
    if o.steps:
        known = {s.name: s for s in plan}
        for name in o.steps.split(','):
            if name not in known:
                raise Failure(2, f'step {name}: unknown, expected some of {",".join(known)}')
        plan = [known[name] for name in o.steps.split(',')]
    return plan


def find_gpu():
    def says(*arguments):
        try:
            return subprocess.run(['nvidia-smi', *arguments], capture_output=True, text=True, timeout=30).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            return ''

    listed = [line for line in says('-L').splitlines() if line.startswith('GPU')]
    if not listed:
        raise Failure(4, 'no GPU: nvidia-smi -L shows none, expected an NVIDIA GPU and its driver; run this on such a machine')
    return listed + [says('--query-gpu=name,driver_version,memory.total', '--format=csv,noheader')]


def write(out, work, done, about, log):
    """The round so far, in both files. What a step left and nobody can read costs no other step its turn."""
    try:
        round_ = report.gather(work, done, about)
        html = page.page(round_, steps.QUESTIONS)
    except Exception:
        why = traceback.format_exc()
        log.write(why)
        unread = dict(step='report', result='failed', seconds=0.0, limit=0, why=why.strip().splitlines()[-1], cases={})
        round_ = report.bare([*done, unread], about)
        html = page.page(round_, steps.QUESTIONS)
    for name, text in (('round.json', json.dumps(round_, indent=1) + '\n'), ('round.html', html)):
        fresh = out / f'{name}.new'
        fresh.write_text(text)
        fresh.replace(out / name)
    return round_


def go(o, work):
    plan, gpu = chosen_steps(o), find_gpu()
    end, out = time.monotonic() + o.seconds, pathlib.Path(o.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        log = open(out / 'round.log', 'w', encoding='utf-8')
    except OSError as error:
        raise Failure(5, f'{out}: {error.strerror}, expected a folder that can be written') from error
    with log:
        try:
            build = programs.Programs(programs.find_build(o.build, log), work, o.quick)
        except programs.Missing as missing:
            raise Failure(4, str(missing)) from missing
        done = []
        print(gpu[0], flush=True)
        for step in plan:
            later = sum(s.seconds for s in plan[len(done) + 1:])
            done.append(runner.run_step(step, build, end - time.monotonic(), later, log))
            print(f"{step.name:<22}{done[-1]['result']:<9}{done[-1]['seconds']:>6.1f} s  {done[-1]['why']}", flush=True)
            round_ = write(out, work, done, dict(round=o.round, gpu=gpu, complete=len(done) == len(plan)), log)
    report.say(round_)
    print(f"{out / 'round.json'}, {out / 'round.html'}: written")
    return 0 if round_['passed'] else 1


def main():
    try:
        o = options()
        with tempfile.TemporaryDirectory() as work:
            return go(o, pathlib.Path(work))
    except Failure as failure:
        print(f'pdadmm: error: gpu_round.sh: {failure}', file=sys.stderr)
        return failure.code


if __name__ == '__main__':
    sys.exit(main())
