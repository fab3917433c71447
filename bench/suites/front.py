"""The picture on the first page, from records of at-size and communication: what depth and what few bits cost."""

import statistics

from .at_size_report import rows_of, test
from .figures import Figure, Panel, Series, stem
from .tables import measured

NAME = 'front'
DEPTH = 10
COMPARED = {'block': 'pdADMM-G', 'adam': 'Adam', 'torch': 'Adam, PyTorch'}
DATASET = 'cora'
CODES = {
    '32 bits': 'none',
    '8 bits': 'difference, 8 bits, p and q',
    '4 bits': 'difference, 4 bits, p and q',
    '2 bits': 'difference, 2 bits rms, p and q',
    '1 bit': 'difference, 1 bit, p and q',
}


def depth_panel(records):
    """Test accuracy of ten layers on 60/20/20 splits; None where no data set has both of ours and Adam's."""
    found = {}
    for (dataset, *_), rows in rows_of(records).items():
        by_method = {row.name: row for row in rows if row.layers == DEPTH and row.name in COMPARED}
        if {'block', 'adam'} <= set(by_method):
            found[dataset] = by_method
    if not found:
        return None
    series = []
    for method, title in COMPARED.items():
        at = [k for k, rows in enumerate(found.values()) if method in rows]
        series.append(Series.of_seeds(title, at, [list(found.values())[k][method].each(test) for k in at]))
    rows = [f'{stem(dataset)},\n{rows["block"].runs[0]["point"]["train"]:,} labels' for dataset, rows in found.items()]
    return Panel(f'{DEPTH} layers, thousands of labels', '', 'test accuracy', [s for s in series if s.x], rows=rows)


def bits_panel(records):
    """Test accuracy and bytes of a whole training by block steps, code by code; None where one is missing."""
    of_code = {r['point']['codec']: r for r in measured(records) if r['point']['dataset'] == DATASET and r['point'].get('step') == 'block'}
    if not set(CODES.values()) <= set(of_code):
        return None
    values = {title: of_code[codec]['values'] for title, codec in CODES.items()}
    sent = [v['bytes'] / 1e6 for v in values.values()]
    accuracies = {k: f"{statistics.fmean(v['test']):.3f}" for k, v in enumerate(values.values())}
    series = [Series('pdADMM-G', list(range(len(sent))), sent, texts=accuracies)]
    text = f'{DATASET}: test accuracy under each code'
    return Panel(text, '', 'MB sent in a whole training', series, ylog=True, rows=list(values))


def finding(depth, bits):
    """How deep networks end, and what two bits save at which accuracy."""
    said = []
    if depth:
        worst = {s.label: min(s.y) for s in depth.series}
        said.append(f"Ten layers reach {worst['pdADMM-G']:.2f} or more, Adam's fall to {worst['Adam']:.2f}")
    if bits:
        (sent,) = bits.series
        two = bits.rows.index('2 bits')
        said.append(f'2 bits send {sent.y[0] / sent.y[two]:.0f} times less at accuracy {sent.texts[two]} ({sent.texts[0]} at 32)')
    return '; '.join(said)


def figure(records_of_suites):
    """From {suite: records}; None where neither panel can be drawn."""
    depth, bits = depth_panel(records_of_suites.get('at-size', [])), bits_panel(records_of_suites.get('communication', []))
    panels = [panel for panel in (depth, bits) if panel]
    if not panels:
        return None
    return Figure(NAME, finding(depth, bits), panels, 'pdADMM-G by block steps; points: mean over splits or seeds; measured')
