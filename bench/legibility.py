"""Faults of a drawing that a reader would see: texts on each other, texts over panels that are not theirs, texts beyond the canvas."""

TOUCH = 0.8  # pixels that boxes may share: the boxes of letters have some air


def texts(drawing):
    """(text, box, its axes or None) of everything that is drawn with letters."""
    renderer = drawing.canvas.get_renderer()
    found = [(t, None) for t in drawing.texts]
    for legend in drawing.legends:
        found += [(t, None) for t in legend.get_texts()]
    for axes in drawing.axes:
        legend = axes.get_legend()
        found += [(t, axes) for t in (*axes.texts, axes.title, axes._left_title, axes._right_title, axes.xaxis.label, axes.yaxis.label)]
        found += [(t, axes) for t in legend.get_texts()] if legend else []
        for of_axis in (axes.xaxis, axes.yaxis):
            found += [(t, axes) for tick in of_axis._update_ticks() for t in (tick.label1, tick.label2)]
    return [(t.get_text(), t.get_window_extent(renderer), axes) for t, axes in found if t.get_visible() and t.get_text().strip()]


def shared(a, b):
    """Whether two boxes share more than their air."""
    return min(a.x1, b.x1) - max(a.x0, b.x0) > TOUCH and min(a.y1, b.y1) - max(a.y0, b.y0) > TOUCH


def faults(drawing):
    """In words, one a fault."""
    drawing.draw_without_rendering()
    found, canvas = texts(drawing), drawing.bbox
    said = [
        f'"{text}" leaves the canvas'
        for text, box, _ in found
        if box.x0 < -TOUCH or box.y0 < -TOUCH or box.x1 > canvas.width + TOUCH or box.y1 > canvas.height + TOUCH
    ]
    for k, (text, box, _) in enumerate(found):
        said += [f'"{text}" lies on "{other}"' for other, of_other, _ in found[k + 1 :] if shared(box, of_other)]
    for axes in drawing.axes:
        legend = axes.get_legend()
        inside = [t.get_text() for t in legend.get_texts()] if legend else []
        said += [f'the legend of "{text}" lies over its panel' for text in inside]
        said += [
            f'"{text}" lies over the panel "{axes.get_title(loc="left")}"'
            for text, box, owner in found
            if owner is not axes and shared(box, axes.get_window_extent())
        ]
    return said
