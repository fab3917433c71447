"""bench/harness check: whether an iteration beside its products and beside Adam, and the bytes of messages, are as recorded, and whether
GPipe on two ranks takes what its formula says.

Times but for GPipe's are the processor's, of one thread: other processes do not count. Loose, for any machine that is not much unlike:
ratios of what runs in turns in one process may be WORSE times the recorded ones. What is too slow is measured once more,
since a busy machine passes. Bytes are exact."""

from . import communication, kernels, page, pipelines, quiet, rivals
from .session import HarnessError, MISSING, ROOT
from .tables import measured

WORSE = 1.5
RECORDS = ROOT / 'bench' / 'results'
STEPS = ('exact', 'block')
ONLY, ROUNDS = 'cora 10 x', 5
RATIOS = {'ratio': 'times its products', 'adam_ratio': "times Adam's epoch"}
# A made-up graph with Cora's classes and training nodes: messages have Cora's sizes.
GRAPH, SPLIT = 'sbm:nodes=1000,classes=7,features=16', 'random:20/100/100'
CODED = {'dataset': 'cora', 'layers': 10, 'hidden': 100}


def recorded(suite):
    return measured(page.records_of(RECORDS / f'{suite}.jsonl'))


def ratios_recorded():
    """{(step, network, ratio): value} of one thread."""
    found = [r for r in kernels.iterations_of(recorded('kernels')) if r['point']['threads'] == 1]
    return {(r['point']['step'], row['network'], name): row[name] for r in found for row in r['values']['rows'] for name in RATIOS}


def program_of(session, name):
    program = session.build / 'bench' / name
    if not program.exists():
        raise HarnessError(MISSING, f'{program}: not built, expected it; build it with: cmake --build {session.build} --target {name}')
    return program


def ratios_now(session, step):
    program = program_of(session, 'bench_iteration')
    arguments = ['--threads', '1', '--rounds', str(ROUNDS), '--step', step, '--only', ONLY, '--format', 'json', '--clock', 'cpu']
    rows = kernels.iterations(kernels.output([program, *arguments]))['rows']
    return {(step, row['network'], name): row[name] for row in rows for name in RATIOS}


def slower(now, before):
    """What is worse than recorded by more than WORSE, in words."""
    return [
        f'{step} steps, {network}: {now[key]:.2f} {RATIOS[name]}, expected at most {WORSE} x {before[key]:.2f}'
        for key in now
        if key in before and not now[key] <= WORSE * before[key]
        for step, network, name in [key]
    ]


def bytes_recorded():
    found = [r for r in recorded('communication') if CODED.items() <= r['point'].items() and r['point'].get('step', 'exact') == 'exact']
    return {r['point']['codec']: r['values']['bytes_an_iteration'] for r in found}


def bytes_now(session, codec):
    network = ['--preset', 'none', '--layers', CODED['layers'], '--hidden', CODED['hidden'], '--epochs', 1, '--seeds', 1]
    arguments = session.train_arguments(GRAPH, *network, '--split', SPLIT, '--no-cache', *communication.CODECS[codec])
    return session.train(arguments)[0]['rows'][-1]['bytes']


# GPipe on two threads: large enough that a message between them, which the formula leaves out, is little of it.
PIPELINE = dict(layers=8, hidden=256, inputs=256, classes=8, nodes=1024)
WITHIN, TRIES = 0.2, 4  # of what was measured, in the best try
SHORT_ROUNDS = 60  # of which the least counts
WATCHED = 2  # seconds: where other processes run the two ranks wait for a processor, which no formula knows


def pipeline_error(session):
    """Of the formula with the least times of the stages, beside the least time measured."""
    program = program_of(session, 'bench_pipeline')
    (line,) = pipelines.lines_of(kernels.output([program, *rivals.pipeline_command(PIPELINE, 2, [8], SHORT_ROUNDS), '--measure']))
    for stage in line['stages']:
        stage.update({key: [min(seconds)] for key, seconds in stage.items() if key != 'layers'})
    return pipelines.gpipe_seconds(pipelines.stages_of(line), 8) / min(line['measured_s']) - 1


def pipeline_fault(session):
    """In words; '' where the formula holds."""
    errors = []
    while len(errors) < TRIES and not (errors and abs(errors[-1]) <= WITHIN):
        errors.append(pipeline_error(session))
    nearest = min(errors, key=abs)
    return '' if abs(nearest) <= WITHIN else f'GPipe on 2 ranks: its formula is off by {nearest:+.0%}, expected at most {WITHIN:.0%}'


def pipelines_compared(session):
    """Faults, and what to say."""
    share = quiet.share_of_others(WATCHED) if session.machine['cores'] > 1 else None
    if share is None or share > quiet.MOST:
        return [], 'GPipe not compared: ' + ('one processor' if share is None else f'other processes take {share:.0%} of the processors')
    fault = pipeline_fault(session)
    return [fault] if fault else [], 'GPipe compared'


def run(session):
    """Exit code 1 where something is worse, twice."""
    before, failed = ratios_recorded(), []
    for step in STEPS:
        worse = slower(ratios_now(session, step), before)
        if worse:
            session.say('\n'.join(f'check: {text}; once more' for text in worse))
            worse = slower(ratios_now(session, step), before)
        failed += worse
        session.say(f"check: {step} steps: {'slower' if worse else 'as fast as recorded, or within a factor of ' + str(WORSE)}")
    for codec, expected in bytes_recorded().items():
        sent = bytes_now(session, codec)
        if sent != expected:
            failed.append(f'{codec}: {sent:,} bytes an iteration, expected {expected:,}')
    session.say('check: bytes compared')
    faults, said = pipelines_compared(session)
    failed += faults
    session.say(f'check: {said}')
    for text in failed:
        print(f'check: {text}')
    print('check: ' + (f'{len(failed)} worse than recorded' if failed else 'nothing is worse than recorded'))
    return 1 if failed else 0
