"""Draws suites.figures.Figure with matplotlib: the finding on top, a legend that all panels share, panels, and what the marks mean."""

import style
from style import DASHES, FONT, GRID, INK, MUTED, NARROW, PAGE, PAPER, SMALL, TITLE

MARGIN, LINE = 0.14, 1.3  # inches around everything; height of a line of text, of its size
MARK = 5  # points of a marker
MOST_NAMED = 8  # lines that are named at their ends, where a picture has one panel


def draw(figure, width=PAGE):
    """A matplotlib figure. Panels stand side by side on a page, one above another where it is narrow."""
    plt = style.pyplot()
    side_by_side = width > (PAGE + NARROW) / 2
    columns = len(figure.panels) if side_by_side else 1
    heights = [panel_height(p) for p in figure.panels]
    heights = [max(heights)] if side_by_side else heights
    drawing = plt.figure(figsize=(width, sum(heights)), layout='constrained')
    grid = drawing.subplots(len(heights), columns, squeeze=False, gridspec_kw={'height_ratios': heights})
    axes = list(grid.flat)
    look = style.looks(list(dict.fromkeys(s.label for p in figure.panels for s in p.series if s.kind != 'bound')))
    dashes = dashes_of(figure)
    named = direct(figure)
    for axis, panel in zip(axes, figure.panels):
        for number, series in enumerate(panel.series):
            if panel.rows:
                draw_row_points(axis, series, panel, look)
            else:
                draw_line(axis, series, number, panel, look, dashes)
        dress(axis, panel)
    tidy_labels(axes, figure.panels, side_by_side)
    frame(drawing, figure, width, sum(heights), [] if named else handles(figure, look, dashes))
    drawing.draw_without_rendering()  # lays out: how much room there is for ticks
    for axis, panel in zip(axes, figure.panels):
        set_ticks(axis, panel, drawing.dpi)
    ends = [name_lines(axis, panel, look, named) if named or panel.ends else [] for axis, panel in zip(axes, figure.panels)]
    drawing.draw_without_rendering()
    for axis, panel, of_axis in zip(axes, figure.panels, ends):
        write_those_below(axis, panel, look)
        move_apart(axis, of_axis, drawing.dpi)
    drawing.set_layout_engine('none')
    return drawing


def dashes_of(figure):
    """{variant: its dashes}; bounds are grey and dashed, their variants dotted."""
    series = [s for p in figure.panels for s in p.series]
    lines = dict.fromkeys(s.variant for s in series if s.variant and s.kind != 'bound')
    return {'': DASHES[0], **{s.variant: DASHES[2] for s in series if s.variant}, **{v: DASHES[k % len(DASHES)] for k, v in enumerate(lines)}}


def panel_height(panel):
    """Inches, with title, ticks and label."""
    if not panel.rows:
        return style.PANEL_HEIGHT
    lines = max(1 + name.count('\n') for name in panel.rows)
    most = max(len(places(panel, row)) for row in range(len(panel.rows)))
    return 0.75 + len(panel.rows) * max(style.ROW_HEIGHT, 0.14 * most + 0.1, 0.16 * lines + 0.06)


def places(panel, row):
    """The series that have something in a row, from the top."""
    return [s for s in panel.series if row in s.x or row in (s.never or ())]


def place(panel, series, row):
    """Where in a row a series lies: they share its height."""
    here = places(panel, row)
    number = next(k for k, s in enumerate(here) if s is series)
    return row + (number - (len(here) - 1) / 2) * min(0.26, 0.8 / len(here))


def direct(figure):
    """Whether lines are named at their ends: then there is no legend."""
    (first, *others) = figure.panels
    plain = not first.rows and not any(s.variant for s in first.series)
    return not others and plain and 1 < len(first.series) <= MOST_NAMED


def marker_of(series, look):
    """Filled where measured, hollow where modelled, a cross where published."""
    colour, marker = look[series.label]
    if series.kind == 'published':
        return {'marker': 'x', 'markeredgecolor': colour, 'markersize': MARK + 1, 'markeredgewidth': 1.6}
    inside = colour if series.kind == 'measured' else PAPER
    return {'marker': marker, 'markerfacecolor': inside, 'markeredgecolor': colour, 'markersize': MARK, 'markeredgewidth': 1.2}


def draw_line(axis, series, number, panel, look, dashes):
    if series.kind == 'bound':
        axis.plot(series.x, series.y, color=MUTED, linestyle=dashes[series.variant] if series.variant else DASHES[1], linewidth=1.1, zorder=1.5)
        return
    colour = look[series.label][0]
    line = '' if len(series.x) == 1 or panel.points else dashes[series.variant]
    every = max(1, len(series.x) // 6)  # of a curve some points alone are marked, others than those of its neighbours
    marked = None if panel.marks else (number * every // 4 % len(series.x), every)
    axis.plot(series.x, series.y, color=colour, linestyle=line, linewidth=1.6, markevery=marked, **marker_of(series, look))
    if series.low and panel.bars:
        away = [[y - low for y, low in zip(series.y, series.low)], [high - y for y, high in zip(series.y, series.high)]]
        axis.errorbar(series.x, series.y, away, color=colour, linestyle='', elinewidth=1.2)
    elif series.low:
        axis.fill_between(series.x, series.low, series.high, alpha=0.18, color=colour, linewidth=0)


def draw_row_points(axis, series, panel, look):
    """Values of rows along x, several series of a row below each other."""
    shown = [k for k, value in enumerate(series.y) if panel.lowest is None or value >= panel.lowest]
    values, rows = [series.y[k] for k in shown], [place(panel, series, series.x[k]) for k in shown]
    bars = {}
    if series.low:
        bars['xerr'] = [[series.y[k] - series.low[k] for k in shown], [series.high[k] - series.y[k] for k in shown]]
    colour = look[series.label][0]
    axis.errorbar(values, rows, color=colour, linestyle='', elinewidth=1.4, **bars, **marker_of(series, look))
    for k, value, row in zip(shown, values, rows):
        if k in (series.texts or {}):
            note(axis, series.texts[k], (series.high[k] if series.high else value, row), colour)
    for row in series.never or ():
        note(axis, 'never', (1, place(panel, series, row)), colour, xycoords=axis.get_yaxis_transform())


def note(axis, text, at, colour, offset=(5, 0), **more):
    more = {'ha': 'left', 'va': 'center', 'fontsize': SMALL - 0.5, **more}
    return axis.annotate(text, at, offset, textcoords='offset points', color=colour, annotation_clip=False, **more)


def dress(axis, panel):
    if panel.xlog:
        axis.set_xscale('log', base=2 if panel.counts else 10)
    if panel.ylog:
        (axis.set_xscale if panel.rows else axis.set_yscale)('log')
    if panel.rows:
        axis.set_yticks(range(len(panel.rows)), panel.rows)
        axis.set_ylim(len(panel.rows) - 0.5, -0.5)
        axis.tick_params(axis='y', length=0, labelcolor=INK)
        axis.grid(axis='y', visible=False)
        for border in range(1, len(panel.rows)):
            axis.axhline(border - 0.5, color=GRID, linewidth=0.7, zorder=0.5)
        if any(s.texts for s in panel.series):
            axis.margins(x=0.16)
    if panel.reference is not None:
        (axis.axvline if panel.rows else axis.axhline)(panel.reference, color=MUTED, linewidth=1.1, linestyle=DASHES[1], zorder=1.2)
    if panel.lowest is not None and panel.rows:
        axis.set_xlim(left=panel.lowest)
    elif panel.lowest is not None:
        axis.set_ylim(bottom=panel.lowest)
    axis.set_title(panel.title, fontsize=FONT, color=INK)
    x, y = (panel.ylabel, panel.xlabel) if panel.rows else (panel.xlabel, panel.ylabel)
    axis.set_xlabel(x)
    axis.set_ylabel(y)


def tidy_labels(axes, panels, side_by_side):
    """What stands beside the first panel is not said again."""
    if not side_by_side:
        return
    for axis, panel in list(zip(axes, panels))[1:]:
        if panel.rows:
            if panel.rows == panels[0].rows:
                axis.tick_params(axis='y', labelleft=False)
        elif panel.ylabel == panels[0].ylabel:
            axis.set_ylabel('')


def set_ticks(axis, panel, dpi):
    """As many as there is room for."""
    from matplotlib import ticker

    box = axis.get_window_extent()
    for of_axis, log, inches, each, limits in (
        (axis.xaxis, axis.get_xscale() == 'log', box.width / dpi, 0.46, axis.get_xlim()),
        (axis.yaxis, axis.get_yscale() == 'log', box.height / dpi, 0.28, axis.get_ylim()),
    ):
        if panel.rows and of_axis is axis.yaxis:
            continue
        room = max(2, int(inches / each))
        if panel.counts and of_axis is axis.xaxis:
            values = style.apart(sorted({x for s in panel.series for x in s.x}), limits, log, room)
        elif log:
            values = style.log_ticks(*limits, room)
        else:
            of_axis.set_major_locator(ticker.MaxNLocator(max(2, min(6, int(inches / 0.55))), steps=[1, 2, 2.5, 5, 10]))
            of_axis.set_major_formatter(lambda value, _: style.tick_text(round(value, 10)))
            continue
        of_axis.set_major_locator(ticker.FixedLocator(values))
        of_axis.set_major_formatter(lambda value, _: style.tick_text(float(f'{value:.6g}')))
        of_axis.set_minor_locator(ticker.NullLocator())


# Names of lines


def name_lines(axis, panel, look, named):
    """Labels, or last values, behind the ends of lines; move_apart makes room between them."""
    ends = []
    for series in panel.series:
        colour = MUTED if series.kind == 'bound' else look[series.label][0]
        if named:
            ends.append(note(axis, series.label, (1, series.y[-1]), colour, xycoords=axis.get_yaxis_transform(), fontsize=SMALL))
        elif series.kind != 'bound':
            ends.append(note(axis, f'{series.y[-1]:.3g}', (1, series.y[-1]), colour, (2, 0), xycoords=axis.get_yaxis_transform()))
    return ends


def move_apart(axis, texts, dpi):
    """Moves texts up and down by so little that none lies on another."""
    if not texts:
        return
    apart = texts[0].get_window_extent().height * 1.12
    texts = sorted(texts, key=lambda t: t.get_window_extent().y0)
    wanted = [t.get_window_extent().y0 for t in texts]
    blocks = []  # [lowest place, of so many texts]: neighbours that would overlap share a block around the mean of their places
    for y in wanted:
        blocks.append([y, [y]])
        while len(blocks) > 1 and blocks[-2][0] + apart * len(blocks[-2][1]) > blocks[-1][0]:
            members = blocks[-2][1] + blocks.pop()[1]
            blocks[-1] = [sum(v - apart * k for k, v in enumerate(members)) / len(members), members]
    places = [start + apart * k for start, members in blocks for k in range(len(members))]
    box = axis.get_window_extent()
    above = box.y1 - apart / 2  # within the panel
    for k in reversed(range(len(places))):
        places[k] = min(places[k], above)
        above = places[k] - apart
    below = min(0.0, places[0] - (box.y0 - apart / 2))
    for text, place, y in zip(texts, places, wanted):
        text.xyann = (text.xyann[0], (place - below - y) * 72 / dpi)


def write_those_below(axis, panel, look):
    """Values of points below the axis, at its end; those of one place above each other. A curve without marks tells its last alone."""
    if panel.lowest is None:
        return
    if panel.rows:
        for s in panel.series:
            for row, value in zip(s.x, s.y):
                if value < panel.lowest:
                    note(axis, f'← {value:.2f}', (panel.lowest, place(panel, s, row)), look[s.label][0], (2, 0))
        return
    told = [(x, y, s.label) for s in panel.series for x, y in list(zip(s.x, s.y))[0 if panel.marks else -1 :]]
    found = sorted(at for at in told if at[1] < panel.lowest)
    ends = []  # by level, where its last text ends
    for x, y, label in found:
        left = axis.transData.transform((x, panel.lowest))[0]
        level = next((k for k, end in enumerate(ends) if left > end), len(ends))
        ends[level : level + 1] = [left + 42]
        note(axis, f'↓ {y:.2f}', (x, panel.lowest), look[label][0], (0, 2 + 10 * level), ha='center', va='bottom')


# Around the panels


def handles(figure, look, dashes):
    """Of the legend: labels with their marks, then how variants are dashed."""
    from matplotlib.lines import Line2D

    found = {}
    for panel in figure.panels:
        for s in panel.series:
            if s.label in found:
                continue
            if s.kind == 'bound':
                found[s.label] = Line2D([], [], color=MUTED, linestyle=dashes[s.variant] if s.variant else DASHES[1], linewidth=1.1, label=s.label)
            else:
                marks = marker_of(s, look)
                line = '' if panel.rows or panel.points else '-'
                found[s.label] = Line2D([], [], color=look[s.label][0], linestyle=line, linewidth=1.6, label=s.label, **marks)
    used = dict.fromkeys(s.variant for p in figure.panels for s in p.series if s.variant and s.kind != 'bound')
    variants = [Line2D([], [], color=MUTED, linestyle=dashes[v], linewidth=1.6, label=v) for v in used]
    return [*found.values(), *(variants if len(variants) > 1 else [])] if len(found) > 1 or len(variants) > 1 else []


def what_marks_mean(figure):
    kinds = {s.kind for p in figure.panels for s in p.series}
    said = [text for kind, text in (('measured', 'Filled: measured.'), ('modelled', 'Hollow: modelled.')) if kind in kinds]
    if kinds <= {'measured', 'bound'}:
        said = []
    if 'published' in kinds:
        said.append('Crosses: as published, not measured here.')
    return ' '.join([*said, *([figure.spread] if figure.spread else []), *figure.notes])


def frame(drawing, figure, width, height, legend_handles):
    """Finding, sizes and legend above the panels, the meaning of marks below; makes the canvas as high as they need."""
    def lines(text, size, weight='normal'):
        return wrapped(drawing, text, size, weight, width - 2 * MARGIN)

    title, about = lines(figure.title, TITLE, 'bold'), lines(figure.about, FONT)
    foot = lines(what_marks_mean(figure), SMALL)
    above = MARGIN + (len(title) * TITLE + len(about) * FONT) * LINE / 72 + 0.06
    legend, legend_height = None, 0.0
    if legend_handles:
        legend, legend_height = legend_that_fits(drawing, legend_handles, width)
        above += legend_height
    below = len(foot) * SMALL * LINE / 72 + (MARGIN if foot else MARGIN / 2)
    whole = above + height + below
    drawing.set_size_inches(width, whole)
    drawing.get_layout_engine().set(rect=(0, below / whole, 1, 1 - (above + below) / whole), w_pad=0.08, h_pad=0.06, wspace=0.03)
    y = MARGIN
    for text, size, weight, colour in [(t, TITLE, 'bold', INK) for t in title] + [(t, FONT, 'normal', MUTED) for t in about]:
        drawing.text(MARGIN / width, 1 - y / whole, text, fontsize=size, fontweight=weight, color=colour, va='top')
        y += size * LINE / 72
    if legend:
        legend.set_bbox_to_anchor(((MARGIN - 0.06) / width, 1 - y / whole), drawing.transFigure)
    for k, text in enumerate(reversed(foot)):
        drawing.text(MARGIN / width, (MARGIN / 2 + k * SMALL * LINE / 72) / whole, text, fontsize=SMALL, color=MUTED, va='bottom')


def legend_that_fits(drawing, found, width):
    """With as many columns as the width allows, and its height in inches."""
    for columns in range(len(found), 0, -1):
        legend = drawing.legend(
            handles=found, ncol=columns, loc='upper left', frameon=False, fontsize=SMALL, borderpad=0.3, handletextpad=0.5,
            columnspacing=1.4, handlelength=2.2, labelcolor=INK,
        )  # fmt: skip
        box = legend.get_window_extent(drawing.canvas.get_renderer())
        if box.width / drawing.dpi <= width - MARGIN or columns == 1:
            return legend, box.height / drawing.dpi
        legend.remove()


def wrapped(drawing, text, size, weight, inches):
    """Lines that are no wider than so many inches."""
    from matplotlib.font_manager import FontProperties

    font = FontProperties(family=style.SETTINGS['font.family'], size=size, weight=weight)
    renderer = drawing.canvas.get_renderer()
    found = []
    for word in text.split():
        longer = f'{found[-1]} {word}' if found else word
        if found and renderer.get_text_width_height_descent(longer, font, False)[0] / drawing.dpi <= inches:
            found[-1] = longer
        else:
            found.append(word)
    return found
