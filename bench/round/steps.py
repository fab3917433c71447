"""The steps of a round on a GPU, in their order, and the questions that they answer.

A step has a limit of its own, and the limits of a round add up to its time: one that hangs costs no other its turn. What
a step leaves over the next ones may take. A rehearsal (--quick) tries steps, not times: its limits are LENIENT times those.
"""

import dataclasses

LENIENT = 6
SECONDS = {'first': 570, 'second': 300}
ON_THE_DEVICE = {'PDADMM_TEST_BACKEND': 'cuda'}
SMALL_SHAPES = {'PDADMM_TEST_SHAPES': 'n17_m13_N33_batch4,n5_m3_N700_batch1'}  # layers, and more nodes than a block
FUSED, FUSED_ONCE = 'FusedIterations*', 'FusedIterations.FollowTheOrdinaryOnes'
RECORDED = 'SameBits.RecordedOrEagerQueuedOrOneByOne'


@dataclasses.dataclass
class Step:
    name: str
    seconds: int
    kind: str  # tests, bench, sanitizer, nccl, training, peer or ranks: how programs.py runs it
    program: str
    arguments: tuple = ()
    environment: dict = dataclasses.field(default_factory=dict)
    quick: tuple = None  # arguments with --quick, where they are others
    tool: str = ''  # of compute-sanitizer


def tests(name, seconds, program, cases, quick, environment=None):
    return Step(name, seconds, 'tests', program, (cases,), environment or ON_THE_DEVICE, (quick,))


def bench(name, seconds):
    return Step(name, seconds, 'bench', 'bench_cuda', ('--parts', name))


def sanitizer(name, seconds, tool, program, cases, environment=None):
    return Step(name, seconds, 'sanitizer', program, (cases,), environment or ON_THE_DEVICE, tool=tool)


def peer(name, seconds, script, arguments, quick=None):
    return Step(f'peer-{name}', seconds, 'peer', script, tuple(arguments.split()), quick=quick and tuple(quick.split()))


ROUNDS = {
    'first': [
        bench('ceilings', 20),
        tests('operations', 50, 'test_operations', '*/cuda:-*Slow*', '*RefuseWrongShapes/cuda:*AloneAndInAStack/cuda',
              SMALL_SHAPES),
        tests('augmentation', 20, 'test_augmentation', '*', '*OfAnyWidth*'),
        tests('recorded', 30, 'test_invariants', f'{RECORDED}Slow:Backends.*', 'Backends.*'),
        tests('fused', 40, 'test_invariants', FUSED, FUSED_ONCE),
        tests('oracle', 15, 'test_oracle', '*', '*'),
        tests('subproblems', 15, 'test_subproblems', '*-*AnyNumberOfThreads',
              'WrightOmega*:NodeSpace*:ConjugateGradients.Reach*'),
        tests('backpropagation', 15, 'test_backpropagation', '*', '*Gradient*'),
        sanitizer('memcheck-fused', 25, 'memcheck', 'test_invariants', FUSED_ONCE),
        sanitizer('racecheck-fused', 30, 'racecheck', 'test_invariants', FUSED_ONCE),
        sanitizer('synccheck-fused', 20, 'synccheck', 'test_invariants', FUSED_ONCE),
        sanitizer('memcheck-recorded', 25, 'memcheck', 'test_invariants', RECORDED),
        bench('products', 50),
        bench('passes', 30),
        bench('small', 40),
        bench('large', 40),
        Step('nccl', 15, 'nccl', 'nccl_check', ('schedule', '1')),
        Step('train-cuda', 25, 'training', 'pdadmm', ('cuda',)),
        Step('train-cpu', 25, 'training', 'pdadmm', ('cpu',)),
        peer('adam', 16, 'adam_mlp.py', '--layers 10 --seconds 6'),
        peer('paper-cora', 12, 'paper_admm.py', '--seconds 3'),
        peer('sign', 12, 'sign.py', '--seconds 3'),
    ],
    'second': [
        tests('bits', 45, 'test_invariants', 'SameBits.*:-*Recorded*:*Slow', 'SameBits.AnotherSeed*'),
        tests('divergence', 10, 'test_divergence', 'Codecs/*', 'Codecs/*'),
        sanitizer('memcheck-operations', 25, 'memcheck', 'test_operations', '*AgreeWithFloat64*/cuda', SMALL_SHAPES),
        sanitizer('initcheck-operations', 20, 'initcheck', 'test_operations', '*AgreeWithFloat64*/cuda', SMALL_SHAPES),
        bench('hops', 35),
        bench('larger', 50),
        peer('adam-depths', 20, 'adam_mlp.py', '--layers 8,16,32 --seconds 8'),
        peer('paper-large', 20, 'paper_admm.py', '--layers 16 --hidden 4000 --inputs 2500 --nodes 44625 --seconds 8',
             '--layers 5 --hidden 48 --inputs 60 --nodes 400'),
        peer('spmm', 12, 'spmm.py', '--seconds 1', '--graphs Flickr'),
        Step('ranks', 18, 'ranks', 'bench_ranks',
             tuple('--backend cuda --math tf32 --layers 16 --hidden 4000 --inputs 500 --classes 7 --nodes 44625 '
                   '--quantize pq --ranks 1,8 --rounds 3 --link 4,370 --link 20,47'.split()),
             quick=tuple('--layers 4 --hidden 12 --inputs 9 --nodes 40 --quantize pq --ranks 1,2 --rounds 1'.split())),
        Step('nccl-two-ranks', 15, 'nccl', 'nccl_check', ('schedule', '2')),
        Step('nccl-grid', 30, 'nccl', 'nccl_check', ('grid',)),
    ],
}

# Question, topic, step, and which of its cases answer it ('' all).
QUESTIONS = [
    ('Does every operation agree with float64?', 'correct', 'operations', 'AgreeWithFloat64'),
    ('Are sparse products right in all four forms?', 'correct', 'operations', 'SparseProducts'),
    ('Do Thrust and cuSPARSE prepare and augment graphs rightly?', 'correct', 'augmentation', ''),
    ('Do worked examples come out?', 'correct', 'oracle', ''),
    ('Is every subproblem at its minimum?', 'correct', 'subproblems', ''),
    ('Do conjugate gradients reach the closed form?', 'correct', 'subproblems', 'ConjugateGradients'),
    ('Are the gradients of the baselines right?', 'correct', 'backpropagation', ''),
    ('Does the persistent kernel follow the ordinary iterations?', 'correct', 'fused', ''),
    ('Does NCCL make a communicator on this card, and end it?', 'correct', 'nccl', ''),
    ('Do messages arrive whole over NCCL, between two ranks on one card?', 'correct', 'nccl-two-ranks', ''),
    ('Do both backends train to the same accuracy?', 'correct', 'accuracy', ''),
    ('Does a call give the same bits twice?', 'same bits', 'operations', 'SameBitsTwice'),
    ('Is a product or an inverse the same alone and in a stack?', 'same bits', 'operations', 'AloneAndInAStack'),
    ('Is an iteration the same recorded and eager?', 'same bits', 'recorded', 'RecordedOrEager'),
    ("Can cuSOLVER's calls be recorded?", 'same bits', 'recorded', 'InversesAreRecorded'),
    ('Is a run the same whatever the stacks and interruptions?', 'same bits', 'bits', ''),
    ('Does a grid of layers x nodes leave the bits of one rank, on one card?', 'same bits', 'nccl-grid', ''),
    ('Is the persistent kernel clean under memcheck?', 'sanitizers', 'memcheck-fused', ''),
    ('... under racecheck?', 'sanitizers', 'racecheck-fused', ''),
    ('... under synccheck?', 'sanitizers', 'synccheck-fused', ''),
    ('Are recorded iterations clean under memcheck?', 'sanitizers', 'memcheck-recorded', ''),
    ('Is every operation clean under memcheck?', 'sanitizers', 'memcheck-operations', ''),
    ('... under initcheck?', 'sanitizers', 'initcheck-operations', ''),
]
