"""One step of a round: run within its limit, judged by what it left, noted in one line."""

import os
import re
import signal
import subprocess
import time

from programs import Missing
from steps import LENIENT

SKIPPED = 77
FAREWELL = 3  # seconds for the end of what was killed: one that a driver holds may never come to it
CASE = re.compile(r'^\[ +(OK|FAILED|SKIPPED) +\] ([\w./]+)', re.MULTILINE)


def run_within(command, seconds, output, errors, environment):
    """Exit code, or None past the limit; nothing that it started is left behind."""
    with open(output, 'wb') as out, open(errors, 'wb') as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment,
                                   start_new_session=True)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            try:
                process.wait(FAREWELL)
            except subprocess.TimeoutExpired:
                pass


def last_line(*texts):
    for text in texts:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines:
            return lines[-1][:300]
    return ''


def judge_tests(code, output):
    """Cases that were skipped for want of a device, or all of them, have not passed."""
    passed = re.search(r'^\[  PASSED  \] (\d+) tests?', output, re.MULTILINE)
    deviceless = re.search(r': Skipped\n(CUDA.*)', output)
    if code == 0 and (not passed or int(passed[1]) == 0 or deviceless):
        return 'failed', f'{passed[1] if passed else 0} cases ran: {deviceless[1] if deviceless else "no case of that name"}'
    failed = sorted({name for state, name in CASE.findall(output) if state == 'FAILED'})
    return ('passed', '') if code == 0 else ('failed', f'exit code {code}: {", ".join(failed)[:300] or last_line(output)}')


def judge(step, code, seconds, output, errors):
    if code is None:
        return 'failed', f'not ended after {seconds:.0f} s'
    if step.kind == 'sanitizer' and 'Device not supported' in output + errors:
        return 'skipped', 'compute-sanitizer: device not supported on this machine'
    if code == SKIPPED:
        return 'skipped', last_line(errors, output)
    if step.kind in ('tests', 'sanitizer'):
        return judge_tests(code, output)
    return ('passed', '') if code == 0 else ('failed', f'exit code {code}: {last_line(errors, output)}')


def run_step(step, programs, left, later, log):
    """The step's record. It may take its own limit and what earlier steps left over, up to what is left of the round;
    `later` are the limits of the steps behind it, which none of them loses."""
    spare = max(0, left - later - step.seconds)
    limit = min(step.seconds * (LENIENT if programs.quick else 1) + spare, left)
    record = dict(step=step.name, result='skipped', seconds=0.0, limit=step.seconds, why='', cases={})
    if limit < 1:
        record['why'] = 'no time left'
        return record
    began = time.monotonic()
    output, errors = (programs.work / f'{step.name}.{kind}' for kind in ('out', 'err'))
    try:
        command, environment = programs.command(step, limit)
        log.write(f'\n--- {step.name}, at most {limit:.0f} s: {" ".join(command)}\n')
        code = run_within(command, limit, output, errors, environment)
        out, err = (path.read_text(errors='replace') for path in (output, errors))
        log.write(out + err)
        record['result'], record['why'] = judge(step, code, limit, out, err)
        record['cases'] = {name: state for state, name in CASE.findall(out)}
    except Missing as missing:
        record['why'] = str(missing)
    except OSError as error:
        record['result'], record['why'] = 'failed', f'cannot be run: {error}'
    record['seconds'] = round(time.monotonic() - began, 1)
    log.flush()
    return record
