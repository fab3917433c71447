"""pdadmm plan --grid: every figure of its table recomputed from host/RANKS.md, "Plans of grids"; choice, refusals, command lines.
Run by ctest: FILE PDADMM [TESTS]"""
import json
import math
import unittest

from cli_case import Case, bundle, npy_bytes

REAL, DOUBLE = 4, 8  # bytes
NVLINK, NIC = (4e-6, 450e9), (20e-6, 50e9)
FLOPS, BYTES = 360e12, 3.3e12
BY_FEATURES, BY_NODES = (16, 512, 640, 40, 50000), (16, 512, 9000, 40, 8000)  # layers, neurons, inputs, classes, training nodes


def seconds(flops, moved=0.0):
    return flops / FLOPS + moved / BYTES


def link(of, moved):
    return of[0] + moved / of[1]


class Network:
    """Counts of one network on V node ranges, by the rule `exact` or `block`, its first layer on features or by nodes."""

    def __init__(self, L, n, n0, C, N, V, rule, bits=None):
        self.L, self.n, self.n0, self.C, self.N, self.V, self.rule, self.bits = L, n, n0, C, N, V, rule, bits
        self.length = N if V == 1 else (-(-N // V) + 15) // 16 * 16
        self.V = V = -(-N // self.length)
        self.by_nodes = N < (n0 if rule == 'block' else 2 * n0)
        self.ranges = [min(self.length, N - v * self.length) for v in range(V)]

    def sides(self, layer):
        return (self.C if layer == self.L else self.n), (self.n0 if layer == 1 else self.n)

    def held(self, j, J):
        return range(self.V * j // J, self.V * (j + 1) // J)

    def layer(self, layer, J):
        """Seconds of a layer on the fullest of J ranks: begin_p, rest of p, before and after the sums of W, close."""
        rows, cols = self.sides(layer)
        c = max(sum(self.ranges[v] for v in self.held(j, J)) for j in range(J))
        held = max(len(self.held(j, J)) for j in range(J))
        product = 2 * rows * cols * c
        passes = REAL * rows * cols * (6 + (2 * held if held > 1 else 0) + (2 if J > 1 else 0))
        close = seconds(0, REAL * c * rows * (60 if layer == self.L else 12))
        begin, p, before, after = product, 2 * product if self.bits else product, product, product
        if layer == 1 and self.by_nodes:
            return 0, 0, 0, seconds(2 * rows * self.N * c), close
        if layer == 1:
            begin = p = 0
            extra = 2 * rows * cols * cols if self.rule == 'block' else 0
            return 0, 0, seconds(product), seconds(product + extra, passes), close
        p_passes = REAL * c * cols * (11 if self.rule == 'block' else 8)
        if self.rule == 'block':  # n >= classes: by W W' where that is less
            by_inputs = begin + 2 * cols * cols * rows + 2 * cols ** 3, 2 * cols * cols * c + product
            by_outputs = begin + 2 * (rows ** 3 / 3 + 3 * rows * rows * cols), 2 * product + product
            whole = self.N / c  # the choice is made for all nodes
            cost = lambda way: way[0] - begin + (way[1] - product) * whole
            begin, p = by_outputs if cost(by_outputs) < cost(by_inputs) else by_inputs
            before, after = product + 2 * cols * cols * c, product + 2 * rows * cols * cols + 2 * cols ** 3
        return seconds(begin), seconds(p, p_passes), seconds(before), seconds(after, passes), close

    def exchanged(self, layer):
        """Bytes that are added, of a matrix whose columns go to all, and how many such."""
        rows, cols = self.sides(layer)
        if layer == 1 and self.by_nodes:
            return DOUBLE * ((3 if self.rule == 'block' else 2) * rows + 1), REAL * rows * self.N, 2 if self.rule == 'block' else 1
        gram = self.rule == 'block' and layer > 1
        return REAL * (rows * cols + (cols * cols if gram else 0)) + DOUBLE * (2 * rows + (1 if self.rule == 'exact' else cols if gram else 0)), 0, 0

    def message(self, ranges):
        """Bytes of p or q: of each range its codes behind a header, in whole words where there are several."""
        if not self.bits:
            return sum(self.n * self.ranges[v] * REAL for v in ranges)
        each = [math.ceil(self.n * self.ranges[v] * self.bits / 8) + 8 for v in ranges]
        return sum(each) if self.V == 1 else sum(-(-b // 4) * 4 for b in each)


def subtrees(own, first, count):
    inside = [v for v in own if first <= v < first + count]
    if not inside or len(inside) == count:
        return min(1, len(inside))
    left = 1 << ((count - 1).bit_length() - 1)
    return subtrees(own, first, left) + subtrees(own, first + left, count - left)


class Sums:
    """Over the J ranks of one block, on machines of M. `by_machine`: inside each machine, then between them, and back; else from rank to rank."""

    def __init__(self, net, I, J, block, M, by_machine):
        machines = {}
        for j in range(J):
            machines.setdefault((block * J + j) // M, []).append(net.held(j, J))
        self.by_machine, self.J = by_machine, J
        self.own = [[subtrees(r, 0, net.V) for r in ranks] for ranks in machines.values()]
        self.whole = [subtrees([v for r in ranks for v in r], 0, net.V) for ranks in machines.values()]
        straddling = [(i * J // M, (i * J + J - 1) // M) for i in range(I)]
        self.sharers = max(max(1, sum(a < b and a <= m <= b for a, b in straddling)) for m in machines)
        self.machines = len(machines)

    def way(self, moved, back):
        """Seconds on the links of ranks and of machines."""
        c, k = self.J, self.machines
        inside = [(len(s) - 1) / (len(s) if self.by_machine else c) * (1 if back else max(s)) for s in self.own if len(s) > 1]
        if self.by_machine:
            between = [(k - 1) / k * (1 if back else s) for s in self.whole]
        else:
            between = [(c - len(s)) / c * (len(s) if back else sum(s)) for s in self.own]
        both = (link(NVLINK, max(inside) * moved) if inside else 0, link(NIC, self.sharers * max(between) * moved) if k > 1 else 0)
        return sum(both) if self.by_machine else max(both)

    def seconds(self, exchanged):
        moved, gathered, gathers = exchanged
        return self.way(moved, False) + self.way(moved, True) + (gathers * self.way(gathered, True) if gathers else 0)

    def scalar(self):
        return (NIC if self.machines > 1 else NVLINK)[0]

    def sent(self, exchanged):
        """Of all ranks, and of that between machines: an edge of the tree that crosses ranks is walked once, and back; what is gathered goes back alone."""
        moved, gathered, gathers = exchanged
        k, c = self.machines, self.J
        forth, back = moved, moved + gathers * gathered
        if self.by_machine:
            inside = sum((len(s) - 1) / len(s) * (sum(s) * forth + len(s) * back) for s in self.own)
            between = sum((k - 1) / k * (s * forth + back) for s in self.whole)
        else:
            inside = sum((len(s) - 1) / c * (sum(s) * forth + len(s) * back) for s in self.own)
            between = sum((c - len(s)) / c * (sum(s) * forth + len(s) * back) for s in self.own)
        between = between if k > 1 else 0
        return inside + between, between


def hidden_under(parts, free):
    """Parts (before, sums, after), the sums of one under the work of the other."""
    now, ready = 0.0, []
    for before, sums, _ in parts:
        now += before
        free = max(free, now) + sums if sums else free
        ready.append(free if sums else now)
    for (_, _, after), at in zip(parts, ready):
        now = max(now, at) + after
    return now


def stages(net, layers, J, sums, p_leaves, schedule):
    """begin, update_p, under_p, close of a block of layers (RankedIteration)."""
    layers = list(layers)
    kinds = [0 if l == 1 else 2 if l == net.L else 1 for l in layers]
    half = (len(layers) + 1) // 2 if schedule == "by-machine" else len(layers)
    p, stacks = [[0, 0, 0], [0, 0, 0]], {}  # of all layers, or of those of one kind
    begin = close = closing = 0
    for i, l in enumerate(layers):
        part = of_W = 0 if i < half else 1
        if schedule == "hidden":
            of_W = 0 if kinds.count(kinds[i]) == 1 or i - kinds.index(kinds[i]) < kinds.count(kinds[i]) // 2 else 1
        W = stacks.setdefault(kinds[i] if schedule == "hidden" else 0, [[0, 0, 0], [0, 0, 0]])
        begin_p, rest, before, after, last = net.layer(l, J)
        if layers[0] > 1 and kinds[i] == kinds[0]:
            begin += begin_p
        else:
            p[part][0] += begin_p
        p[part][0] += rest
        W[of_W][0] += before
        W[of_W][2] += after
        W[of_W][1] += sums.seconds(net.exchanged(l)) if sums else 0
        if layers[-1] < net.L and kinds[i] == kinds[-1]:
            close += last
        else:
            closing += last
    scalar = sums.scalar() if sums and net.rule == 'exact' else 0
    for part in p:
        part[1] = scalar if part[0] > 0 else 0
    under_p = 0
    for W in stacks.values():
        under_p += hidden_under(W, p_leaves - under_p)
    return begin, hidden_under(p, 0), under_p + scalar + closing, close


def iteration(ranks, borders):
    now, q_sent, half_way = [0.0] * len(ranks), [-math.inf] * len(ranks), 0
    for k in range(60):
        p_sent = []
        for i, (begin, update_p, _, _) in enumerate(ranks):
            waits = [now[i] + begin] + ([q_sent[i - 1] + borders[i - 1][1]] if i else []) + ([q_sent[i] + borders[i][1]] if i < len(borders) else [])
            p_sent.append(max(waits) + update_p)
        for i, (_, _, under_p, last) in enumerate(ranks):
            waits = [p_sent[i] + under_p] + ([p_sent[i + 1] + borders[i][0]] if i < len(borders) else []) + ([p_sent[i] + borders[i - 1][0]] if i else [])
            now[i] = max(waits) + last
        q_sent = list(now)
        half_way = max(now) if k == 29 else half_way
    return (max(now) - half_way) / 30


def expected(net, I, J, M, counts, schedule):
    ends = [sum(counts[:i + 1]) for i in range(I)]
    blocks = [range(end - count + 1, end + 1) for end, count in zip(ends, counts)]
    alone = [sum(net.layer(l, 1)) for l in range(1, net.L + 1)]
    message = max(net.message(net.held(j, J)) for j in range(J))
    borders, crossing = [], 0
    leaves = [a // M != (a + J) // M for a in range((I - 1) * J)]
    for i in range(I - 1):
        ranks = range(i * J, (i + 1) * J)
        shared = max(sum(leaves[a] for a in range(len(leaves)) if a // M == rank // M) for rank in ranks)
        borders.append((link(NIC, shared * message) if any(leaves[r] for r in ranks) else link(NVLINK, message),) * 2)
        crossing += sum(leaves[r] for r in ranks)
    sums = [Sums(net, I, J, i, M, schedule == "by-machine") if J > 1 else None for i in range(I)]
    bare = [stages(net, block, J, None, 0, schedule) for block in blocks]
    summed = [stages(net, block, J, s, 0, schedule) for block, s in zip(blocks, sums)]
    full = [stages(net, block, J, s, borders[i - 1][0] if i else 0, schedule) for i, (block, s) in enumerate(zip(blocks, sums))]
    costliest = max(sum(alone[l - 1] for l in block) for block in blocks) / J
    on_costliest = max(map(sum, bare))
    with_sums = iteration(summed, [(0, 0)] * (I - 1))
    over_nodes = [s.sent(net.exchanged(l)) for block, s in zip(blocks, sums) if s for l in block]
    both = 2 * net.message(range(net.V))
    return {'even_s': sum(alone) / (I * J), 'whole_layers_s': costliest - sum(alone) / (I * J), 'node_ranges_s': on_costliest - costliest,
            'sums_s': with_sums - on_costliest, 'borders_s': iteration(full, borders) - with_sums, 'layer_bytes': (I - 1) * both,
            'node_bytes': sum(a for a, _ in over_nodes), 'machine_bytes': sum(b for _, b in over_nodes) + crossing / J * both}


class Grids(Case):
    def plan(self, *arguments):
        return json.loads(self.ok("plan", "--preset", "none", "--json", "--grid", "auto", "--threads", "1", *arguments).stdout)

    def case(self, devices, rule, V, bits=None, M=8, sums="by-machine", shape=BY_FEATURES):
        L, n, n0, C, N = shape
        options = ["--devices", devices, "--step", rule, "--layers", L, "--hidden", n, "--shape", f"inputs={n0},classes={C},nodes={N}", "--node-ranges", V,
                   "--sums", sums, "--per-machine", M, "--network", "nvlink=450GB/s,nic=400Gbit/s:20us", "--device-rates", "flops=360TFLOP/s,bytes=3.3TB/s"]
        options += ["--quantize", "pq", "--bits", bits, "--scale", "max"] if bits else []
        return self.plan(*options), Network(L, n, n0, C, N, V, rule, bits)

    def test_every_figure(self):
        for devices, rule, V, bits, M, sums, shape in ((64, "exact", 32, None, 8, "by-machine", BY_FEATURES), (64, "block", 16, 4, 8, "waiting", BY_FEATURES),
                                                       (12, "exact", 16, 8, 4, "waiting", BY_FEATURES), (12, "block", 8, None, 5, "hidden", BY_FEATURES),
                                                       (1, "exact", 16, None, 8, "hidden", BY_FEATURES), (2, "exact", 1, 4, 1, "waiting", BY_FEATURES),
                                                       (12, "exact", 16, None, 5, "waiting", BY_NODES), (12, "block", 16, 4, 4, "by-machine", BY_NODES),
                                                       (12, "exact", 12, None, 8, "hidden", BY_FEATURES)):
            plan, net = self.case(devices, rule, V, bits, M, sums, shape)
            self.assertEqual(plan["sums"], sums)
            grids = [(i, devices // i) for i in range(1, min(16, devices) + 1) if devices % i == 0 and devices // i <= V]
            self.assertEqual([g["grid"] for g in plan["grids"]], [f"{i}x{j}" for i, j in grids])
            self.assertEqual(plan["node_ranges"], {"count": V, "length": net.length})
            one = sum(sum(net.layer(l, 1)) for l in range(1, 17))
            self.assertAlmostEqual(plan["one_device_s"] / one, 1, places=9)
            for found, (i, j) in zip(plan["grids"], grids):
                wanted = expected(net, i, j, M, found["blocks"], sums)
                total = sum(v for k, v in wanted.items() if k.endswith("_s"))
                for key, value in wanted.items():
                    size = total if key.endswith("_s") else max(value, 1)
                    self.assertLess(abs(found[key] - value), 1e-6 * size, (devices, rule, V, bits, found["grid"], key, found[key], value))
                self.assertAlmostEqual(found["iteration_s"] / total, 1, places=6)
                self.assertAlmostEqual(found["speedup"] * total / one, 1, places=6)
            self.assertEqual(plan["choice"], min(plan["grids"], key=lambda g: g["iteration_s"])["grid"])

    def test_adam_beside(self):
        plan, net = self.case(16, "exact", 16)
        n, N = net.n, net.N
        layers = [4 * n * net.n0 * N] + [6 * n * n * N] * 14 + [6 * n * net.C * N]
        parameters = sum(a * b + a for a, b in map(net.sides, range(1, 17)))
        work, moved = sum(layers) / FLOPS / 16, REAL * parameters
        sums = 2 * (link(NVLINK, 7 / 8 * moved) + link(NIC, moved / 2))
        self.assertAlmostEqual(plan["adam"]["data_s"] / (work + max(0, sums - work * 2 / 3)), 1, places=9)
        self.assertAlmostEqual(plan["adam"]["one_device_s"] / (16 * work), 1, places=9)
        self.assertGreater(plan["adam"]["pipeline_s"], max(layers) / FLOPS)

    def test_first_layer_by_the_graph_is_not_divided(self):
        N, train, features, n, classes = 400, 224, 300, 16, 2
        ring = [b for i in range(N) for b in sorted(((i - 1) % N, (i + 1) % N))]
        bundle(self.folder / "sparse.npz", adj_indptr=npy_bytes("<i8", list(range(0, 2 * N + 1, 2))), adj_indices=npy_bytes("<i4", ring), adj_shape=npy_bytes("<i8", [N, N]),
               features=None, attr_indptr=npy_bytes("<i8", list(range(N + 1))), attr_indices=npy_bytes("<i4", [i % features for i in range(N)]),
               attr_shape=npy_bytes("<i8", [N, features]), labels=npy_bytes("<i8", [i % classes for i in range(N)]), train_idx=None, val_idx=None, test_idx=None)
        plan = self.plan("--devices", "2", "--dataset", self.folder / "sparse.npz", "--split", "random:112/20/20", "--node-ranges", "2", "--hops", "2", "--layers", "2",
                         "--hidden", n, "--step", "exact", "--backend", "cpu", "--device-rates", "flops=1GFLOP/s,bytes=1000000TB/s")
        entries = 2 * N + (2 * 2 * N + N)  # features of two blocks; at most so many edges, both ways, and nodes
        first, last = 2 * n * train * (2 * 4 * entries // train + 1) / 1e9, 4 * 2 * classes * n * train / 1e9
        self.assertAlmostEqual(plan["one_device_s"] / (first + last), 1, places=6)
        nodes = next(g for g in plan["grids"] if g["grid"] == "1x2")
        self.assertAlmostEqual((nodes["even_s"] + nodes["whole_layers_s"] + nodes["node_ranges_s"]) / (first + last / 2), 1, places=6)

    def test_memory_and_choice(self):
        options = ["--devices", "16", "--layers", "16", "--hidden", "256", "--shape", "inputs=640,classes=40,nodes=8000", "--device-rates", "flops=1TFLOP/s,bytes=1TB/s"]
        free = self.plan(*options)
        memory = {g["grid"]: g["memory_bytes"] for g in free["grids"]}
        self.assertEqual(sorted(memory), ["16x1", "1x16", "2x8", "4x4", "8x2"])
        least = min(memory, key=memory.get)
        tight = self.plan(*options, "--device-memory", f"{memory[least] / 2**20 + 0.1:.1f}MiB")
        self.assertEqual(tight["choice"], least)
        done = self.refused(4, ["--device-memory", "16 ranks"], "plan", "--grid", "auto", *options, "--device-memory", "1MiB")
        self.assertNotIn("\n", done.stderr[:-1])

    def test_measured_seconds_give_the_rates(self):
        plan = self.plan("--devices", "2", "--per-machine", "1", "--network", "nic=1GB/s", "--shape", "inputs=64,classes=4,nodes=5000", "--device-rates",
                         "iteration=80ms,epoch=60ms")
        self.assertAlmostEqual(plan["one_device_s"], 0.08)
        self.assertAlmostEqual(plan["adam"]["one_device_s"], 0.06)
        here = self.plan("--devices", "2", "--shape", "inputs=64,classes=4,nodes=5000")
        self.assertTrue(here["rates"]["measured"])
        self.assertGreater(here["rates"]["flops_per_s"], 1e8)

    def test_text_and_command_lines(self):
        text = self.ok("plan", "--grid", "2x-1", "--devices", "16", "--dataset", "sbm:nodes=600,classes=3,features=16", "--split", "random:60/60/100", "--node-ranges",
                       "12", "--per_machine", "8", "--device-rates", "flops=1TFLOP/s,bytes=1TB/s", "--hidden", "20").stdout
        for line in ("10 layers of 20 neurons, 80 inputs, 3 classes, 180 training nodes in 12 ranges of 16",
                     "16 devices, 8 a machine; 450 GB/s and 4 us inside, 50 GB/s and 20 us for a machine to others",
                     "sums over nodes: waited for, as by train on GPUs", "choice: 2x8; start it with one of"):
            self.assertIn(line + "\n", text)
        train = "pdadmm train --dataset sbm:nodes=600,classes=3,features=16 --split random:60/60/100 --node-ranges 12 --hidden 20 --grid 2x8"
        for start in ("torchrun --no-python --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29400 ",
                      "srun --nodes 2 --ntasks 16 --ntasks-per-node 8 --gpus-per-node 8 ", "mpirun -n 16 --map-by ppr:8:node "):
            self.assertIn("    " + start + train + "\n", text)
        words = ["--grid", "2x2", "--devices", "4", "--shape", "inputs=64,classes=4,nodes=5000", "--device-rates", "flops=1TFLOP/s,bytes=1TB/s", "--backend", "cpu"]
        train = "pdadmm train --dataset NAME --preset none --threads 1 --backend cpu --grid 2x2"  # MPI carries the messages of processors
        self.assertEqual(self.plan(*words)["start"], [f"srun --nodes 1 --ntasks 4 --ntasks-per-node 4 --mpi=pmix {train}", f"mpirun -n 4 --map-by ppr:4:node {train}"])

    def test_refusals(self):
        shape = ["--layers", "16", "--shape", "inputs=64,classes=4,nodes=5000"]
        for grid, words in (("5x3", ["5x3 on 64 ranks", "15 ranks"]),
                            ("32x2", ["32x2: 64 ranks, 32 blocks of 16 layers, 2 blocks of 16 node ranges", "64 ranks, at most 16 and 16 blocks", "take 4x16, 8x8, 16x4"]),
                            ("2x32", ["2x32: 64 ranks", "32 blocks of 16 node ranges", "take 4x16, 8x8, 16x4"]), ("4x", "'4x'"), ("0x4", "'0x4'"), ("-1x-1", "'-1x-1'"),
                            ("5x-1", "5x-1 on 64 ranks"), ("two", "'two'")):
            self.refused(2, ["--grid: ", *([words] if isinstance(words, str) else words)], "plan", *shape, "--devices", "64", "--grid", grid)
        self.refused(2, ["--grid: auto, 67x1: 67 ranks", "take another number"], "plan", *shape, "--devices", "67", "--grid", "auto")
        for option, value in (("--network", "nic=fast"), ("--network", "nvlink=1GB/s"), ("--network", "nic=1GB/s"), ("--network", "nic=1GB/s,nic=2GB/s"),
                              ("--device-rates", "flops=1TFLOP/s"), ("--device-rates", "iteration=1"), ("--device-memory", "80"), ("--shape", "inputs=3")):
            self.refused(2, option + ": '", "plan", *shape, "--devices", "4", "--grid", "auto", option, value)
        self.refused(2, "--shape: with --dataset", "plan", *shape, "--grid", "auto", "--dataset", "sbm")
        self.refused(2, "--network: without --grid", "plan", "--network", "nic=1GB/s")
        self.refused(2, "--devices: 2.5", "plan", *shape, "--grid", "auto", "--devices", "2.5")


if __name__ == "__main__":
    unittest.main()
