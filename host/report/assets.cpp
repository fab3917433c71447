// Style and script of a report (host/report/assets.hpp).
#include "host/report/assets.hpp"

namespace pdadmm {

const char* const report_style = R"css(
:root{color-scheme:light dark;--paper:#fff;--ink:#1f2328;--muted:#59636e;--line:#d8dee4;--soft:#f3f5f7;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#b8588c;--c4:#b07d00;--c5:#3f9bcc;--c6:#7a5230;--c7:#5b5bd6}
@media (prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#e6edf3;--muted:#9da7b3;--line:#30363d;--soft:#161b22;
--c0:#58a6ff;--c1:#ff8f4d;--c2:#3fd09b;--c3:#f09bc5;--c4:#e3b341;--c5:#9bd7f7;--c6:#d0a27e;--c7:#a9a9ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:980px;margin:0 auto;padding:20px 16px 40px}
h1{font-size:1.5rem;line-height:1.25;margin:.2em 0;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:1.8em 0 .5em;border-bottom:1px solid var(--line);padding-bottom:.2em}
.lead{font-size:1.15rem;margin:.4em 0}.lead strong{font-size:1.35em}
.muted,figcaption span,caption{color:var(--muted)}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums;margin:.4em 0}
caption{white-space:nowrap;text-align:left;padding-bottom:.3em;caption-side:top}
th,td{border-bottom:1px solid var(--line);padding:4px 12px 4px 0;text-align:right;white-space:nowrap}
th:first-child{text-align:left}thead th{color:var(--muted);font-weight:600;white-space:normal;vertical-align:bottom}
.matrix td{padding-left:8px;background:color-mix(in srgb,var(--c0) calc(var(--share)*55%),transparent)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:18px 24px}
figure{margin:0 0 1em}figcaption{font-weight:600}figcaption span{font-weight:400;font-size:.875rem}
figure>svg,.wide>svg{display:block;width:100%;height:auto}.wide>svg{min-width:560px}
svg text{font-size:11.5px;fill:var(--muted)}.end{text-anchor:end}.middle{text-anchor:middle}
.grid{stroke:var(--line)}.axis,.cursor,.mark{fill:none;stroke:var(--muted)}.mark{stroke-dasharray:2 3}.cursor{opacity:.7}
.line{fill:none;stroke-width:2;stroke-linejoin:round}.band{stroke:none;opacity:.16}
.c0{stroke:var(--c0);fill:var(--c0)}.c1{stroke:var(--c1);fill:var(--c1)}.c2{stroke:var(--c2);fill:var(--c2)}
.c3{stroke:var(--c3);fill:var(--c3)}.c4{stroke:var(--c4);fill:var(--c4)}.c5{stroke:var(--c5);fill:var(--c5)}
.c6{stroke:var(--c6);fill:var(--c6)}.c7{stroke:var(--c7);fill:var(--c7)}
.line.c1,.line.c5{stroke-dasharray:7 3}.line.c2,.line.c6{stroke-dasharray:2 2.5}.line.c3,.line.c7{stroke-dasharray:9 3 2 3}
.line{fill:none}.band{stroke:none}.dot{stroke:var(--paper);stroke-width:1}
.h0{fill:#440154}.h1{fill:#472d7b}.h2{fill:#3b528b}.h3{fill:#2c728e}.h4{fill:#21918c}.h5{fill:#28ae80}.h6{fill:#5ec962}
.h7{fill:#addc30}.h8{fill:#fde725}
.key{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;margin:.2em 0;padding:0;font-size:.875rem}
.key svg{width:26px;height:10px;margin-right:5px}.heat .key svg{width:14px}
output{display:block;min-height:1.5em;font-size:.875rem;color:var(--muted);font-variant-numeric:tabular-nums}
svg:focus-visible{outline:2px solid var(--c0);outline-offset:-2px}button:focus-visible{outline:2px solid var(--c0);outline-offset:2px}
pre{background:var(--soft);border:1px solid var(--line);border-radius:6px;padding:10px 12px;overflow-x:auto;font-size:.8125rem}
button{font:inherit;font-size:.875rem;padding:4px 12px;border:1px solid var(--line);border-radius:6px;background:var(--soft);
color:var(--ink);cursor:pointer}
.script-only{display:none}.scripted .script-only{display:inline-block}
@media print{:root{color-scheme:light;--paper:#fff;--ink:#000;--muted:#444;--line:#bbb;--soft:#fff;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#b8588c;--c4:#b07d00;--c5:#3f9bcc;--c6:#7a5230;--c7:#5b5bd6}
body{font-size:10.5pt}button,output{display:none!important}figure,table{break-inside:avoid}h2{break-after:avoid}
.charts{grid-template-columns:1fr 1fr}pre{white-space:pre-wrap}.wide{overflow:visible}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
)css";

const char* const report_script = R"js(
document.documentElement.classList.add('scripted');
for (const figure of document.querySelectorAll('.chart')) {
  const data = JSON.parse(figure.querySelector('script').textContent);
  const svg = figure.querySelector('svg[tabindex]'), cursor = svg.querySelector('.cursor'), said = figure.querySelector('output');
  const every = [...new Set(data.curves.flatMap(c => c.x))].sort((a, b) => a - b);
  const nearest = (list, x) => list.reduce((best, v, k) => Math.abs(v - x) < Math.abs(list[best] - x) ? k : best, 0);
  const along = data.log ? Math.log10 : x => x, low = along(data.low), high = along(data.high);
  const place = x => data.left + 4 + (along(x) - low) / (high - low) * (data.right - data.left - 4);
  const name = x => data.names ? data.names[Math.round(x)] : Number(x.toPrecision(6));
  let at = -1;
  const show = k => {
    at = Math.max(0, Math.min(every.length - 1, k));
    const x = every[at];
    cursor.setAttribute('d', `M${place(x)} ${data.top}V${data.bottom}`);
    said.textContent = `${data.x} ${name(x)}: ` + data.curves.map(c => `${c.label} ${c.y[nearest(c.x, x)]}`).join(' · ');
  };
  const hide = () => { cursor.removeAttribute('d'); said.textContent = '\u00a0'; };
  svg.addEventListener('pointermove', event => {
    const box = svg.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    show(nearest(every.map(along), low + (across - data.left - 4) / (data.right - data.left - 4) * (high - low)));
  });
  svg.addEventListener('pointerleave', hide);
  svg.addEventListener('blur', hide);
  svg.addEventListener('keydown', event => {
    const step = {ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10}[event.key];
    if (event.key === 'Home') show(0); else if (event.key === 'End') show(every.length - 1); else if (step) show(at + step); else return;
    event.preventDefault();
  });
}
for (const button of document.querySelectorAll('button[data-copies]')) button.addEventListener('click', async () => {
  const text = document.getElementById(button.dataset.copies);
  try { await navigator.clipboard.writeText(text.textContent); } catch {
    const range = document.createRange(); range.selectNodeContents(text);
    getSelection().removeAllRanges(); getSelection().addRange(range); document.execCommand('copy');
  }
  button.textContent = 'Copied';
});
)js";

}  // namespace pdadmm
