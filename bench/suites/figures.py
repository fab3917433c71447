"""What a plot shows, without how: suites describe figures, bench/plot.py draws them."""

import dataclasses
import re
import statistics


@dataclasses.dataclass
class Series:
    label: str
    x: list
    y: list
    low: list = None  # with high: a band around y, or whiskers where a panel has categories
    high: list = None
    dashed: bool = False

    @classmethod
    def of_spreads(cls, label, x, spreads, **more):
        """Medians with the least and the greatest: tables.spread of every x."""
        return cls(label, x, *([s[key] for s in spreads] for key in ('median', 'least', 'greatest')), **more)

    @classmethod
    def of_seeds(cls, label, x, values, **more):
        """Means over seeds with standard deviations: a list of every x."""
        mean = [statistics.fmean(v) for v in values]
        sd = [statistics.stdev(v) if len(v) > 1 else 0.0 for v in values]
        return cls(label, x, mean, [m - s for m, s in zip(mean, sd)], [m + s for m, s in zip(mean, sd)], **more)


@dataclasses.dataclass
class Panel:
    title: str
    xlabel: str
    ylabel: str
    series: list
    xlog: bool = False
    ylog: bool = False
    marks: bool = True  # points are marked; curves of many epochs are not
    counts: bool = False  # with xlog: x are counts, each of which has a tick
    of_a_colour: int = 1  # so many series, one after the other, share a colour
    lowest: float = None  # where the axis of y ends; points below are written there as numbers
    categories: list = None  # then x counts along these


@dataclasses.dataclass
class Figure:
    name: str  # of the file, without ending
    title: str  # says sizes and "measured" or "modelled"
    panels: list


def thinned(values, most=100):
    """At most about `most` of them, with the first and the last."""
    if len(values) <= most:
        return list(values)
    step = (len(values) - 1) / (most - 1)
    return [values[round(k * step)] for k in range(most)]


def sizes(point):
    """What every title says: 10 layers, n 100, N 140."""
    return f"{point['layers']} layers, n {point['hidden']}, N {point['train']}"


def stem(dataset):
    """A data set in the name of a file: it may be a path, or sbm:... with its keys."""
    return re.sub(r'[^A-Za-z0-9]+', '-', dataset.rsplit('/', 1)[-1])[:60]
