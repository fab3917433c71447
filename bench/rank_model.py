"""Iteration time of ranks side by side, from stage times that bench_ranks measured one rank at a time ("modelled").

Schedule of host/admm/ranked_iteration.cpp: a rank does `begin` (needs no message), waits for q of its left neighbour, does
`update_p` and sends p to the left, does `under_p`, waits for p of its right neighbour (and until its own has left), does `close` and
sends q to the right. A message takes latency + bytes / bandwidth; every border has a link of its own. Standard library only. Backpropagation's parallel forms, below, are modelled from one rank's epoch.
"""
ITERATIONS = 200  # the second half of them is counted: by then the pipeline is in its steady state


def iteration_seconds(stages, p_bytes, q_bytes, latency_s, bytes_per_s):
    """Seconds an iteration of all ranks; `stages` is stages_s of bench_ranks, a dict a rank."""
    last = len(stages) - 1
    p_time, q_time = (latency_s + size / bytes_per_s for size in (p_bytes, q_bytes))
    now = [0.0] * len(stages)
    q_sent = [float('-inf')] * len(stages)
    half_way = 0.0
    for iteration in range(ITERATIONS):
        p_sent = []
        for rank, stage in enumerate(stages):
            now[rank] += stage['begin']
            if rank > 0:
                now[rank] = max(now[rank], q_sent[rank - 1] + q_time)
            if rank < last:
                now[rank] = max(now[rank], q_sent[rank] + q_time)
            now[rank] += stage['update_p']
            p_sent.append(now[rank])
        for rank, stage in enumerate(stages):
            now[rank] += stage['under_p']
            if rank < last:
                now[rank] = max(now[rank], p_sent[rank + 1] + p_time)
            if rank > 0:
                now[rank] = max(now[rank], p_sent[rank] + p_time)
            now[rank] += stage['close']
        q_sent = list(now)
        if iteration == ITERATIONS // 2 - 1:
            half_way = max(now)
    return (max(now) - half_way) / (ITERATIONS - ITERATIONS // 2)


def modelled(record, latency_s, bytes_per_s):
    """Figures of one line of bench_ranks over a link: seconds an iteration, of them exposed by messages, speedup over one rank, and
    its share of the bound that balanced flops allow. The same for every number of ranks, so that curves begin at 1."""
    if record['ranks'] == 1:
        seconds = free = record['one_rank_s']
    else:
        seconds = iteration_seconds(record['stages_s'], record['p_bytes'], record['q_bytes'], latency_s, bytes_per_s)
        free = iteration_seconds(record['stages_s'], 0, 0, 0.0, 1.0)
    speedup = record['one_rank_s'] / seconds
    return {'iteration_s': seconds, 'exposed_s': seconds - free, 'speedup': speedup, 'share_of_bound': speedup / record['flop_balance_bound']}


def balanced(costs, ranks):
    """Sums of contiguous blocks of `costs`, one a rank, whose largest is least."""
    best = {0: (0.0, [])}
    for _ in range(min(ranks, len(costs))):
        best = {
            end: min((max(best[cut][0], sum(costs[cut:end])), best[cut][1] + [sum(costs[cut:end])]) for cut in best if cut < end)
            for end in range(1, len(costs) + 1)
            if any(cut < end for cut in best)
        }
    return best[len(costs)][1]


def pipeline_seconds(epoch_s, shares, micro_batches, message_bytes, latency_s, bytes_per_s):
    """An epoch of backpropagation with blocks of layers on ranks and nodes in micro-batches (GPipe): all forward, then all back. `shares`
    of the work of one rank's epoch, a third of it forward; small products are taken to be as fast as large ones, which favours it."""
    message = latency_s + message_bytes / bytes_per_s if len(shares) > 1 else 0.0
    arrived = [0.0] * micro_batches
    busy = []  # until when a rank's forward work lasts
    for rank, share in enumerate(shares):
        now = 0.0
        for k in range(micro_batches):
            now = max(now, arrived[k] + (message if rank else 0.0)) + epoch_s * share / 3 / micro_batches
            arrived[k] = now
        busy.append(now)
    arrived = [busy[-1]] * micro_batches
    for rank in reversed(range(len(shares))):
        now = busy[rank]
        for k in range(micro_batches):
            now = max(now, arrived[k] + (message if rank + 1 < len(shares) else 0.0)) + epoch_s * shares[rank] * 2 / 3 / micro_batches
            arrived[k] = now
    return arrived[-1]


def data_parallel_seconds(epoch_s, ranks, parameter_bytes, latency_s, bytes_per_s):
    """An epoch with the nodes divided: each rank sends 2 (R - 1) / R of the gradient, under the backward pass (two thirds of the work) as
    far as that lasts. The work is taken to divide evenly, the optimizer's too, which favours it."""
    work = epoch_s / ranks
    messages = 2 * (latency_s + (ranks - 1) / ranks * parameter_bytes / bytes_per_s) if ranks > 1 else 0.0
    return work + max(0.0, messages - work * 2 / 3)


def worker_seconds(epoch_s, ranks, sent_bytes, every, latency_s, bytes_per_s):
    """An epoch of workers with weights of their own, each on its share of the nodes. After every `every` of them a rank sends `sent_bytes`
    under nothing: the next step starts from what it gets."""
    return epoch_s / ranks + (2 * latency_s + sent_bytes / bytes_per_s if ranks > 1 else 0.0) / every
