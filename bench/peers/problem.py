"""What the peers share: the training problem (made up, or from a bundle), the device, the clock, and the answer as one JSON object.

Matrices are features x nodes, as in the paper. Where a library is missing a peer says so in one line and exits with 77 (skipped).
"""
import json
import statistics
import sys
import time

SKIPPED = 77


def skip(reason):
    print(f'{sys.argv[0].rsplit("/", 1)[-1]}: skipped: {reason}', file=sys.stderr)
    sys.exit(SKIPPED)


try:
    import numpy
except ImportError:
    skip('numpy is not installed')


def torch_on(device):
    """PyTorch, or a skip where it or the device is missing."""
    try:
        import torch
    except ImportError:
        skip('PyTorch is not installed')
    if device == 'cuda' and not torch.cuda.is_available():
        skip('PyTorch sees no CUDA device')
    return torch


def add_options(parser):
    parser.add_argument('--bundle', help='an .npz bundle (data/README.md); otherwise a made-up problem of the sizes given')
    parser.add_argument('--hops', type=int, default=5, help='blocks A^0 .. A^(hops-1) of a bundle')
    parser.add_argument('--inputs', type=int, default=7165)
    parser.add_argument('--nodes', type=int, default=140)
    parser.add_argument('--classes', type=int, default=7)
    parser.add_argument('--hidden', type=int, default=100)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--seconds', type=float, default=10, help='of timing, about; at least one round')


def augmented(path, hops):
    """X (n0, N) of a bundle's training nodes, their labels, and the number of classes: A is symmetrised, with self loops and
    D^-1/2 A D^-1/2, as `pdadmm train` does it."""
    try:
        import scipy.sparse as sparse
    except ImportError:
        skip('reading a bundle needs scipy')
    with numpy.load(path) as file:
        a = {name: file[name] for name in file.files}

    def rows(prefix):
        values = a.get(prefix + '_data', numpy.ones(len(a[prefix + '_indices']), numpy.float32))
        return sparse.csr_matrix((values, a[prefix + '_indices'], a[prefix + '_indptr']), shape=tuple(a[prefix + '_shape']))

    adjacency = rows('adj')
    adjacency = adjacency - sparse.diags(adjacency.diagonal())
    adjacency = adjacency.maximum(adjacency.T) + sparse.identity(adjacency.shape[0], format='csr')
    scale = sparse.diags(1 / numpy.sqrt(numpy.asarray(adjacency.sum(axis=1)).ravel()))
    operator = (scale @ adjacency @ scale).astype(numpy.float32)
    block = a['features'].astype(numpy.float32) if 'features' in a else rows('attr').toarray().astype(numpy.float32)
    train, labels = a['train_idx'].astype(int), a['labels'].astype(int)
    blocks = []
    for _ in range(hops):
        blocks.append(block[train])
        block = operator @ block
    return numpy.concatenate(blocks, axis=1).T.copy(), labels[train], int(labels.max()) + 1


def problem(options):
    """X (n0, N) in fp32, labels (N), classes."""
    if options.bundle:
        return augmented(options.bundle, options.hops)
    draw = numpy.random.default_rng(options.seed)
    X = draw.standard_normal((options.inputs, options.nodes), dtype=numpy.float32) * numpy.float32(0.1)
    return X, numpy.arange(options.nodes) % options.classes, options.classes


def add_part_options(parser):
    parser.add_argument('--features', required=True, help='X of `pdadmm augment --out`: a row a node')
    parser.add_argument('--rows', required=True, help='what `pdadmm augment --rows` says of the rows of X')


def parts(options):
    """{'train': (X (N, n0) fp32, labels (N)), 'val': ..., 'test': ...} and the number of classes. X is read when it is used."""
    X, rows = numpy.load(options.features, mmap_mode='r'), numpy.load(options.rows)
    names = ('train', 'val', 'test')
    of = [numpy.flatnonzero(rows[:, 2] == number) for number in range(len(names))]
    return {name: (X[k[0] : k[-1] + 1], rows[k, 1]) for name, k in zip(names, of)}, int(rows[:, 1].max()) + 1


def blas():
    """The BLAS that this process has loaded, since libraries are as fast as theirs."""
    try:
        with open('/proc/self/maps') as maps:
            files = {line.split('/')[-1].strip() for line in maps if '/' in line}
    except OSError:
        return 'unknown'
    known = [f for f in files if any(name in f for name in ('openblas', 'mkl_rt', 'blis'))] or [f for f in files if 'blas' in f]
    return ', '.join(sorted(known)) or 'its own'


def seconds_each(work, wait, seconds, most_rounds=7):
    """Median seconds of work(), after one that warms up; `wait` waits for the device. Long works get fewer rounds, but one."""
    work()
    wait()
    began = time.perf_counter()
    work()
    wait()
    once = time.perf_counter() - began
    if once > seconds / 2:
        return once
    repeats = max(1, int(seconds / most_rounds / max(once, 1e-7)))
    taken, started = [], time.perf_counter()
    while not taken or (len(taken) < most_rounds and time.perf_counter() - started < seconds):
        began = time.perf_counter()
        for _ in range(repeats):
            work()
        wait()
        taken.append((time.perf_counter() - began) / repeats)
    return statistics.median(taken)


def answer(**fields):
    print(json.dumps(fields))
