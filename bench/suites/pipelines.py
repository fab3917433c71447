"""Backpropagation as a pipeline, by formula: GPipe, 1F1B, and zero bubble (arXiv 2401.10241), from times that bench_pipeline measures.

R stages hold the layers, M micro-batches follow each other through them. Of a micro-batch a stage takes F for the way forward, B for
the gradient of its input, W for that of its weights (without the zero bubble one block, B + W); of an epoch S for the optimizer's
step; a message takes c. An epoch ends when each stage may begin the next one, so its time is the period of epochs that repeat.

    GPipe        all forward, then all backward. Any stages:  max over k of
                   sum of F + B + W from k on + 2 (R-1-k) c + (M-1) (max F + max (B + W)) + S_k
                 equal stages:  (M + R - 1)(F + B + W) + 2 (R-1) c + S; all M micro-batches are in flight
    1F1B         one back, one forward: as long as GPipe where stages are equal; min(M, R) in flight, with messages as many more as
                 hide them
    zero bubble  W where a stage would wait, w micro-batches in flight (R: the paper's H1, 2R - 1: its H2, more where messages take
                 long):  max of  (M + R - 1)(F + B) + 2 (R-1) c + W + S  and  M (F + B + W) + waiting + S,  where the first stage waits
                 max(0, R F + (R-1)(B + 2 c) - w F) before the first gradient comes back

No schedule of as many in flight is faster than the zero bubble's formula; W is taken to be divisible, and with W >= F and M >= w a
schedule of that length exists. tests/bench/test_pipelines.py plays the schedules event by event."""

import dataclasses
import json
import math
import statistics

from .tables import Table

NAMES = {'gpipe': 'GPipe', '1f1b': '1F1B', 'zero_bubble': 'zero bubble'}
MICRO_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
CHECKED = (2, 4, 8, 16)  # micro-batches of the run on two ranks that the model stands beside


@dataclasses.dataclass
class Stage:
    """Seconds: of a micro-batch forward, its input's gradient, its weights' gradient; of an epoch the step."""

    forward: float
    input: float
    weights: float = 0.0
    step: float = 0.0

    @property
    def backward(self):
        return self.input + self.weights

    def work(self, batches):
        return batches * (self.forward + self.backward) + self.step


@dataclasses.dataclass
class Plan:
    """What a schedule takes."""

    seconds: float  # an epoch
    bubble: float  # of these, that a rank does nothing
    micro_batches: int
    in_flight: int  # micro-batches whose activations a rank keeps at once, at most


def gpipe_seconds(stages, batches, delay=0.0):
    """Of any stages."""
    longest = 0.0
    for k, first in enumerate(stages):
        rest = stages[k:]
        once = sum(s.forward + s.backward for s in rest) + 2 * (len(rest) - 1) * delay
        again = (batches - 1) * (max(s.forward for s in rest) + max(s.backward for s in rest))
        longest = max(longest, once + again + first.step)
    return longest


def gpipe(stage, ranks, batches, delay=0.0):
    seconds = gpipe_seconds([stage] * ranks, batches, delay)
    return Plan(seconds, seconds - stage.work(batches), batches, batches)


def one_back_one_forward(stage, ranks, batches, delay=0.0):
    """Of the first stage, which keeps the most: stage k keeps k fewer."""
    like = gpipe(stage, ranks, batches, delay)
    hiding = math.ceil(2 * (ranks - 1) * delay / (stage.forward + stage.backward))
    return dataclasses.replace(like, in_flight=min(batches, ranks + hiding))


def zero_bubble_seconds(stage, ranks, batches, in_flight, delay=0.0):
    others = ranks - 1
    critical = (batches + others) * (stage.forward + stage.input) + 2 * others * delay + stage.weights
    waiting = max(0.0, ranks * stage.forward + others * (stage.input + 2 * delay) - min(in_flight, batches) * stage.forward)
    return max(critical, batches * (stage.forward + stage.backward) + waiting) + stage.step


def zero_bubble(stage, ranks, batches, delay=0.0):
    """With as few in flight as make it as fast as it can be."""
    most = ranks + math.ceil((ranks - 1) * (stage.input + 2 * delay) / stage.forward)
    in_flight = min(batches, most)
    seconds = zero_bubble_seconds(stage, ranks, batches, in_flight, delay)
    while in_flight > min(ranks, batches) and zero_bubble_seconds(stage, ranks, batches, in_flight - 1, delay) <= seconds:
        in_flight -= 1
    return Plan(seconds, seconds - stage.work(batches), batches, in_flight)


SCHEDULES = {'gpipe': gpipe, '1f1b': one_back_one_forward, 'zero_bubble': zero_bubble}


# From measured times


def stages_of(line):
    """The stages of a line of bench_pipeline: medians over rounds."""
    batches = line['micro_batches']
    made = []
    for of_rank in line['stages']:
        forward, backward, weights, step = (statistics.median(of_rank[f'{key}_s']) for key in ('forward', 'backward', 'weight_products', 'step'))
        weights = min(weights, backward)
        made.append(Stage(forward / batches, (backward - weights) / batches, weights / batches, step))
    return made


def divided(stage, ranks, times=1.0):
    """A share of a whole network, without loss: layers are whole in truth, which no schedule mends. `times`: one clock's seconds over
    another's."""
    return Stage(*(times * value / ranks for value in (stage.forward, stage.input, stage.weights, stage.step)))


def best(lines, ranks, link, message_bytes, epoch_s):
    """{schedule: its plan with the number of micro-batches that is fastest} from lines of one rank, which are scaled to its epoch of
    `epoch_s`: more micro-batches wait less, but each of their products is slower. A message has `message_bytes` over their number."""
    whole = {line['micro_batches']: stages_of(line)[0] for line in lines}
    times = epoch_s / whole[1].work(1)
    latency_us, gb_per_s = link
    found = {}
    for name, schedule in SCHEDULES.items():
        plans = [
            schedule(divided(stage, ranks, times), ranks, batches, 1e-6 * latency_us + 1e-9 * message_bytes / batches / gb_per_s if ranks > 1 else 0.0)
            for batches, stage in whole.items()
        ]
        found[name] = min(plans, key=lambda plan: plan.seconds)
    return found


def fastest(plans):
    """The name of the best; of equals the one that keeps less."""
    return min(plans, key=lambda name: (round(plans[name]['seconds'], 12), plans[name]['in_flight'] / plans[name]['micro_batches']))


def as_values(plans):
    return {name: dataclasses.asdict(plan) for name, plan in plans.items()}


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


# Tables


def table(record, title):
    """Every schedule at its best number of micro-batches."""
    p, v = record['point'], record['values']
    one = 1e-3 * v['ms']['median']
    rows = []
    for link, found in v['links'].items():
        for ranks, forms in zip(p['ranks'], found):
            for name, plan in forms.get('pipelines', {}).items():
                waits, kept = plan['bubble'] / plan['seconds'], plan['in_flight'] / plan['micro_batches']
                rows.append(
                    [link, str(ranks), NAMES[name], f"{1e3 * plan['seconds']:.3f}", f"{one / plan['seconds']:.2f}", str(plan['micro_batches']),
                     f'{100 * waits:.1f} %', f'{100 * kept:.0f} %']
                )  # fmt: skip
    header = ['link', 'ranks', 'schedule', 'ms an epoch', 'speedup', 'micro-batches, best', 'a rank waits', 'activations kept at once']
    return Table(f'Pipelines of Adam, modelled from stages timed on one rank: {title}', header, rows) if rows else None


def check_tables(records):
    """GPipe's formula beside GPipe, on ranks that ran here."""
    made = []
    for r in records:
        p, rows, errors = r['point'], [], []
        for line in r['values']['lines']:
            if line['measured_s']:
                modelled, taken = gpipe_seconds(stages_of(line), line['micro_batches']), statistics.median(line['measured_s'])
                errors.append(modelled / taken - 1)
                rows.append([str(line['micro_batches']), f'{1e3 * modelled:.3f}', f'{1e3 * taken:.3f}', f'{100 * errors[-1]:+.1f} %'])
        if rows:
            title = f"GPipe on {p['ranks']} ranks, its formula beside what it took: {p['shape']}, {p['layers']} layers, n {p['hidden']}, N {p['nodes']}"
            made.append(Table(title, ['micro-batches', 'modelled, ms an epoch', 'measured, ms an epoch', 'error'], rows))
    return made
