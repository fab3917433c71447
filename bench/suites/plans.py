"""What `pdadmm plan --grid` says of made-up networks on ranks over one link: the harness' only model of grids and of Adam's forms."""

import json

MICRO = 1e6


def plan(session, shape, ranks, link, seconds, codec='none', grid='auto', node_ranges=16):
    """The plan of `ranks` devices, each a machine of its own, on a link of (microseconds, GB/s); `seconds` of one device: `iteration`
    and, where it is known, `epoch` of Adam."""
    latency_us, gb_per_s = link
    arguments = {
        'grid': grid,
        'devices': ranks,
        'per-machine': 1,
        'network': f'nic={gb_per_s:g}GB/s:{latency_us:g}us',
        'device-rates': ','.join(f'{key}={MICRO * value:.9g}us' for key, value in seconds.items()),
        'node-ranges': node_ranges,
        'preset': 'none',
        'layers': shape['layers'],
        'hidden': shape['hidden'],
        'shape': ','.join(f'{key}={shape[key]}' for key in ('inputs', 'classes', 'nodes')),
    }
    if codec != 'none':
        arguments.update({'quantize': 'pq', 'bits': codec})
    return json.loads(session.ask(['plan', '--json', '--backend', 'cpu', *(f'--{key}={value}' for key, value in arguments.items())]))


def best_grid(planned):
    """The chosen grid of a plan, with its speedup over one device."""
    return next(g for g in planned['grids'] if g['grid'] == planned['choice'])
