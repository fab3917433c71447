"""Iteration time of ranks side by side, from stage times that bench_ranks measured one rank at a time ("modelled").

Schedule of host/ranks/ranked_iteration.cpp: a rank does `begin` (needs no message), waits for q of its left neighbour, does
`update_p` and sends p to the left, does `under_p`, waits for p of its right neighbour (and until its own has left), does `close` and
sends q to the right. A message takes latency + bytes / bandwidth; every border has a link of its own. Standard library only.
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
