"""A round as one HTML page that needs nothing else: is it correct, are the bits the same twice, how fast beside its floors
and beside its peers?"""

import html

STYLE = '''body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#1a1a1a}
table{border-collapse:collapse;width:100%;margin:.5em 0 1.5em}th,td{text-align:left;padding:.25em .6em;border-bottom:1px solid #ddd;
vertical-align:top}th{border-bottom:2px solid #888}td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.passed,.yes,.met{color:#11632b;font-weight:600}.failed,.no,.missed{color:#a11212;font-weight:600}.skipped,.open{color:#6a5500;font-weight:600}
.bar{background:#cfd8e6;height:.7em}.small{color:#555;font-size:.9em}'''
TOPICS = {'correct': 'Is it correct?', 'same bits': 'Are the bits the same?', 'sanitizers': 'What do the sanitizers say?'}
GROUPS = {'ceiling': 'Ceilings of this card', 'gemm': 'Products, beside the bare library call', 'pass': 'Passes, beside a device copy',
          'iteration': 'Iterations, beside their products and passes alone', 'depth': 'Twice the layers', 'hop': "Sparse hops, beside the library's best",
          'peer': 'Peers, as multiples of our time'}
FACTS = ('device', 'compute capability', "driver's CUDA", 'CUDA runtime', 'cuBLASLt', 'cuSPARSE', 'TF32 of the library', 'commit', 'sizes', 'began')


def text(value):
    return html.escape(str(value))


def table(head, rows):
    cells = lambda tag, row: ''.join(f'<{tag}{" class=n" if c[:1] == "~" else ""}>{c.lstrip("~")}</{tag}>' for c in row)
    body = ''.join('<tr>' + cells('td', row) + '</tr>' for row in rows)
    return f"<table><tr>{cells('th', head)}</tr>{body}</table>"


def marked(word):
    return f'<span class="{text(word)}">{text(word)}</span>'


def answer(steps, name, case):
    """yes, no, or open where nothing has answered; with the reason."""
    step = steps.get(name)
    if not step:
        return 'open', 'not in this round'
    if not case:
        return {'passed': 'yes', 'failed': 'no'}.get(step['result'], 'open'), step['why']
    states = [state for found, state in step['cases'].items() if case in found]
    if not states:
        return 'open', step['why'] or 'its case did not run'
    return ('yes' if set(states) == {'OK'} else 'no' if 'FAILED' in states else 'open'), step['why']


def questions(round_, asked):
    steps, parts = {s['step']: s for s in round_['steps']}, []
    for topic, title in TOPICS.items():
        rows = []
        for question, of, name, case in asked:
            if of == topic and (name in steps or topic != 'sanitizers'):
                word, why = answer(steps, name, case)
                rows.append([text(question), marked(word), f'<span class=small>{text(why)}</span>'])
        parts.append(f'<h2>{title}</h2>' + table(['question', 'answer', ''], rows))
    return ''.join(parts)


def number(x):
    return '' if x is None else f'{x:.4g}'


def figures(round_):
    parts = []
    for group, title in GROUPS.items():
        rows = []
        for f in round_['figures']:
            if f['group'] != group:
                continue
            target = f['target']
            held = '' if not target else f"{target['relation']} {number(target['bound'])}".replace('<', '&lt;').replace('>', '&gt;')
            met = '' if f['met'] is None else marked('met' if f['met'] else 'missed')
            ratio = f['ratio']
            bar = '' if ratio is None else f'<div class=bar style="width:{max(1, min(100, 60 * ratio)):.0f}%"></div>'
            shown = f"~{number(f['value'])} {text(f['unit'])}" if not f['missing'] else 'none'
            rows.append([text(f['name']), shown, f"~{number(f['floor'])}", text(f['floor_is'] or ''), f'~{number(ratio)}{bar}',
                         f'{held} {met}', f"<span class=small>{text(f['missing'] or f['note'] or '')}</span>"])
        if rows:
            parts.append(f'<h2>{title}</h2>' + table(['what', 'figure', 'floor or ceiling', 'which is', 'ratio', 'target', 'note'], rows))
    return ''.join(parts)


def page(round_, asked):
    facts = [[text(name), text(round_[name])] for name in FACTS if name in round_]
    steps = [[text(s['step']), marked(s['result']), f"~{s['seconds']:.1f}", f"~{s['limit']}", f"<span class=small>{text(s['why'])}</span>"]
             for s in round_['steps']]
    row = round_['training']
    trained = ''
    if row:
        trained = '<h2>The same training on both backends</h2>' + table(
            ['backend', 'test accuracy', 'ms an iteration'],
            [[b, f"~{row[b]['test_accuracy']:.4f}", f"~{row[b]['ms_per_iteration']:.3f}"] for b in ('cpu', 'cuda')])
    title = f"{round_['round'].capitalize()} round on {round_['gpu'][0]}"
    state = 'complete' if round_['complete'] else 'not complete'
    return (f'<!doctype html><meta charset=utf-8><title>{text(title)}</title><style>{STYLE}</style><h1>{text(title)}</h1>'
            f'<p>{state}; {"no step failed" if round_["passed"] else "some step failed"}</p>' + table(['', ''], facts)
            + questions(round_, asked) + figures(round_) + trained + '<h2>Steps</h2>'
            + table(['step', 'result', '~seconds', '~limit', ''], steps) + '\n')
