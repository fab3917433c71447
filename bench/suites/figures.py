"""What a picture shows, without how: suites describe figures, bench/drawing.py draws them in the style of bench/style.py."""

import dataclasses
import re
import statistics

MOST_PANELS = 3  # of a picture: more cannot be read at the width of a page


@dataclasses.dataclass
class Series:
    label: str  # named in the legend; its colour and marker are the same in all panels of a picture
    x: list  # numbers, or with a panel's `rows` their indices
    y: list
    low: list = None  # with high: a band around y, or bars where a panel has rows
    high: list = None
    kind: str = 'measured'  # filled; 'modelled': hollow; 'published': crosses; 'bound': a grey line
    variant: str = ''  # lines of one label that differ in how they are dashed
    texts: dict = None  # {index: text beside this point}
    never: list = None  # rows that have no value because it was never reached

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
    xlabel: str  # with its unit
    ylabel: str  # of the values, which lie along x where a panel has rows
    series: list
    xlog: bool = False
    ylog: bool = False  # of the values, too
    marks: bool = True  # points are marked; curves of many epochs are not
    counts: bool = False  # with xlog: x are counts, each of which has a tick
    points: bool = False  # no lines between points: they do not follow from one another
    bars: bool = False  # spreads are bars, not a band: points that do not follow from one another
    ends: bool = False  # the last value of each line is written behind it
    lowest: float = None  # where the axis of values ends; points below are written there as numbers
    rows: list = None  # names of rows, from the top: values lie along x
    reference: float = None  # a value to compare with, drawn as a line


@dataclasses.dataclass
class Figure:
    name: str  # of the file, without ending
    title: str  # what was found, with its number
    panels: list
    about: str = ''  # sizes, and that it was measured or modelled
    spread: str = ''  # what bands or bars are, of how many samples
    notes: list = dataclasses.field(default_factory=list)


def thinned(values, most=100):
    """At most about `most` of them, with the first and the last."""
    if len(values) <= most:
        return list(values)
    step = (len(values) - 1) / (most - 1)
    return [values[round(k * step)] for k in range(most)]


def in_pictures(items, most=MOST_PANELS):
    """Parts of at most so many, as even as they can be."""
    parts = -(-len(items) // most)
    ends = [round(k * len(items) / parts) for k in range(parts + 1)] if parts else []
    return [items[a:b] for a, b in zip(ends, ends[1:])]


def span(values, text='{:.3g}'):
    """ "3 to 12", or one number where both read alike."""
    least, most = text.format(min(values)), text.format(max(values))
    return least if least == most else f'{least} to {most}'


def two_digits(value):
    """ "3.7", "410": never with an exponent."""
    return f'{float(f"{value:.2g}"):g}'


def sizes(point):
    """What every picture says: 10 layers, n 100, N 140."""
    return f"{point['layers']} layers, n {point['hidden']}, N {point['train']}"


def so_many(number, what):
    """ "1 seed", "5 seeds"."""
    return f'{number} {what}' + ('' if number == 1 else 's')


def stem(dataset):
    """A data set in the name of a file: it may be a path, or sbm:... with its keys."""
    return re.sub(r'[^A-Za-z0-9]+', '-', dataset.rsplit('/', 1)[-1])[:60]
