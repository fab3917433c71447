"""Timings by training: medians of iterations, taken in turns so that every variant sees the same machine."""

import statistics

from .tables import spread

NO_GPU = 'needs a GPU, nothing is modelled for it from processor times; run with --backend cuda --build build/cuda'


def milliseconds(run):
    """Median time of a run's iterations after the first; evaluation is not included."""
    return 1e3 * statistics.median(row['seconds'] for row in run['rows'][1:] or run['rows'])


def in_turns(session, commands, rounds):
    """For {name: arguments of a training}: {name: spread of ms an iteration over rounds}, and the times round by round."""
    by_round = [{name: milliseconds(session.train(arguments)[0]) for name, arguments in commands.items()} for _ in range(rounds)]
    return {name: spread([times[name] for times in by_round]) for name in commands}, by_round


def ratio(by_round, above, below):
    """Spread of the ratios of two variants, each of one round."""
    return spread([times[above] / times[below] for times in by_round])


def untimed(epochs):
    """Options of a training whose iterations are timed: accuracies only at its end."""
    return ['--epochs', epochs, '--eval-every', epochs, '--seeds', 1]


def spread_text(s, digits=3):
    return f"{s['median']:.{digits}f} ({s['least']:.{digits}f} to {s['greatest']:.{digits}f})"
