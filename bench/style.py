"""The one style of all pictures: sizes, colours, markers, ticks, and the two colour schemes of an SVG."""

import html
import math
import re

PAGE, NARROW = 9.2, 4.4  # inches of a canvas: of a page, panels side by side; of a phone or a column, one above another
PANEL_HEIGHT, ROW_HEIGHT = 2.5, 0.23  # inches of a panel with lines, of a row
FONT, SMALL, TITLE = 9, 8, 11.5  # points
PAPER, INK, MUTED, GRID = '#ffffff', '#1f2328', '#59636e', '#d8dee4'
# Okabe and Ito's colours, told apart by the colour-blind too; each has a marker of its own, so that grey prints read.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#b8588c', '#b07d00', '#3f9bcc', '#7a5230', '#5b5bd6')
MARKERS = 'o^sDvPXp'
DASHES = ('-', (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
DARK = {
    PAPER: '#0d1117', INK: '#e6edf3', MUTED: '#9da7b3', GRID: '#30363d',
    **dict(zip(COLOURS, ('#58a6ff', '#ff8f4d', '#3fd09b', '#f09bc5', '#e3b341', '#9bd7f7', '#d0a27e', '#a9a9ff'))),
}  # fmt: skip
# Who is meant by a label keeps its colour in every picture: the first beginning that fits.
WHO = (('pdADMM-G-Q', 2), ('pdADMM-G', 0), ('Adam, nodes', 4), ('Adam, PyTorch', 4),
       ('Adam, workers and a centre', 3), ('Adam, workers and a leader', 6), ('Adam', 1), ('exact', 0), ('backtracking', 1), ('block', 2))
SETTINGS = {
    'font.family': 'DejaVu Sans', 'font.size': FONT, 'text.color': INK, 'axes.labelcolor': MUTED, 'axes.edgecolor': MUTED,
    'axes.labelsize': SMALL, 'xtick.labelsize': SMALL, 'ytick.labelsize': SMALL, 'xtick.color': MUTED, 'ytick.color': MUTED,
    'axes.titlesize': FONT, 'axes.titlelocation': 'left', 'axes.grid': True, 'grid.color': GRID, 'grid.linewidth': 0.7,
    'axes.axisbelow': True, 'axes.spines.top': False, 'axes.spines.right': False, 'axes.linewidth': 0.7,
    'xtick.major.width': 0.7, 'ytick.major.width': 0.7, 'figure.facecolor': PAPER, 'axes.facecolor': 'none',
    'savefig.facecolor': PAPER, 'svg.hashsalt': 'pdadmm', 'pdf.fonttype': 42,
}  # fmt: skip


class PlotError(Exception):
    """One line for the user."""


def pyplot():
    try:
        import matplotlib
    except ImportError:
        raise PlotError('matplotlib is missing; install it (Debian: apt install python3-matplotlib)') from None
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    plt.rcParams.update(SETTINGS)
    return plt


def looks(labels):
    """{label: (colour, marker)}: known names keep theirs, others take those that are left."""
    slots, free = {}, [k for k in range(len(COLOURS))]
    for label in labels:
        slot = next((k for start, k in WHO if label.startswith(start)), None)
        if slot in free:
            slots[label] = slot
            free.remove(slot)
    for label in labels:
        if label not in slots:
            slots[label] = free.pop(0) if free else len(slots)
    return {label: (COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]) for label, k in slots.items()}


# Ticks


def tick_text(value):
    """12,000 · 20 · 0.05 · 1e-07"""
    if value and (abs(value) >= 1e5 or abs(value) < 1e-4):
        return f'{value:.0e}'.replace('e+0', 'e').replace('e-0', 'e-').replace('e+', 'e')
    return f'{value:,g}' if abs(value) >= 1000 else f'{value:g}'


def log_ticks(low, high, room):
    """At most `room` ticks of a logarithmic axis: 1, 2, 5 times powers of ten, the powers alone, or every so many of them; of an axis
    so short that none or one of these is on it, even steps."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for subs, step in (((1, 1.5, 2, 3, 5, 7), 1), ((1, 2, 5), 1), ((1, 3), 1), *(((1,), step) for step in range(1, 40))):
        found = [s * 10.0**k for k in range(first - first % step, last + 1, step) for s in subs if low <= s * 10.0**k <= high]
        if len(found) <= room:
            return found if len(found) > 1 else even_ticks(low, high, room)
    return [low]


def even_ticks(low, high, room):
    """At most `room` multiples of 1, 2 or 5 times a power of ten."""
    power = math.floor(math.log10((high - low) / room))
    for step in (s * 10.0**k for k in (power, power + 1) for s in (1, 2, 5)):
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first < room:
            return [k * step for k in range(first, last + 1)]
    return [low]


def apart(values, limits, log, room):
    """Those of `values`, from the greatest down, that are no closer than a room-th of the axis."""
    scale = math.log if log else float
    closest = (scale(limits[1]) - scale(limits[0])) / (room + 1)
    found = []
    for value in reversed(values):
        if not found or scale(found[-1]) - scale(value) >= closest * 0.6:
            found.append(value)
    return found[::-1]


# Files


def finish_svg(text, title, about):
    """An SVG with a name for screen readers, and with the colours of dark pages where the reader's are dark."""
    rules = ''.join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark} !important}}' for light, dark in DARK.items() for kind in ('fill', 'stroke')
    )
    style = f'<style>@media (prefers-color-scheme:dark){{{rules}}}</style>'
    named = f'<title>{html.escape(title)}</title><desc>{html.escape(about)}</desc>'
    return re.sub(r'(<svg [^>]*)>', lambda found: f'{found.group(1)} role="img">{named}{style}', text, count=1)
