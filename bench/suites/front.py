"""The picture on the first page, from records of accuracy, communication and at-size: what is reached, what few bits cost, how soon."""

import math
import statistics

from . import accuracy_report, at_size_report
from .figures import Figure, Panel, Series
from .tables import measured

NAME = 'front'
NETWORK = (10, 100)  # layers, neurons
COMPARED = ('pdADMM-G-Q, 4 bits', 'Adam, tuned')
DATASET = 'cora'
CLEARLY = 0.9  # of the other's seconds; above that two are level
CODES = {
    '32 bits': 'none',
    '8 bits': 'difference, 8 bits, p and q',
    '4 bits': 'difference, 4 bits, p and q',
    '2 bits': 'difference, 2 bits rms, p and q',
    '1 bit': 'difference, 1 bit, p and q',
}


def labels_panel(records):
    """Test accuracy on few labels beside tuned Adam and the paper, with what it says; None where one of the two is missing."""
    network = next((n for n in accuracy_report.networks(records) if n[:2] == NETWORK), None)
    found = accuracy_report.of_network(records, network) if network else []
    datasets = accuracy_report.datasets_of(found)
    series, means, of_paper = accuracy_report.beside(found, datasets, NETWORK[1], [row for row in accuracy_report.SHOWN if row[0] in COMPARED])
    if set(means) != set(COMPARED):
        return None
    text = 'ten layers, about 20 labels a class'
    return Panel(text, '', 'test accuracy', series, rows=datasets), accuracy_report.finding(means, of_paper)


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


def times_panel(records):
    """Seconds to within half a point of the best, the quickest of ours beside the quickest Adam, and what that says; None without them."""
    found = [(dataset, rows) for (dataset, hidden, _), rows in at_size_report.rows_of(records).items() if hidden == NETWORK[1]]
    if not found:
        return None
    both = [at_size_report.quickest_of_both(rows) for _, rows in found]
    series = []
    for label, values in zip(('pdADMM-G', 'Adam, tuned'), zip(*both)):
        reached, never = ([k for k, v in enumerate(values) if math.isinf(v) == out] for out in (False, True))
        series.append(Series(label, reached, [values[k] for k in reached], never=never))
    sooner = sum(ours < CLEARLY * adam for ours, adam in both)
    names = [f"{dataset}, {rows[0].runs[0]['point']['train']:,}" for dataset, rows in found]
    told = f'with thousands sooner than Adam on {sooner} of {len(names)} graphs'
    return Panel('thousands of labels', '', 'seconds to half a point below the best', series, ylog=True, rows=names), told


def figure(records_of_suites):
    """From {suite: records}; None where no panel can be drawn."""
    labels, bits = labels_panel(records_of_suites.get('accuracy', [])), bits_panel(records_of_suites.get('communication', []))
    times = times_panel(records_of_suites.get('at-size', []))
    said, panels = [], []
    if labels:
        panels.append(labels[0])
        said.append(labels[1])
    if bits:
        (sent,) = bits.series
        two = bits.rows.index('2 bits')
        panels.append(bits)
        said.append(f'2 bits send {sent.y[0] / sent.y[two]:.0f} times less at accuracy {sent.texts[two]} ({sent.texts[0]} at 32)')
    if times:
        panels.append(times[0])
        said.append(times[1])
    if not panels:
        return None
    return Figure(NAME, '; '.join(said), panels, 'points: mean over seeds; bits: block steps; measured')
