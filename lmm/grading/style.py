"""The style of pages: system fonts, light and dark, on paper always light.

What is right or wrong is told by a mark and a pattern beside the colour.
"""

STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --quiet: #57606a; --rule: #d0d7de; --link: #0a58a6;
  --ok: #dcf3e1; --ok-ink: #0c4a22; --no: #fbe0dd; --no-ink: #7d1a11; --stripe: #f4bfb9;
  --right: #0a58a6; --own: #b35000;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --ink: #e6e9ed; --quiet: #a4adb8; --rule: #3b434d; --link: #7cbcff;
    --ok: #123d20; --ok-ink: #b9f0c8; --no: #4a1a16; --no-ink: #ffd2cc; --stripe: #6a2a24;
    --right: #7cbcff; --own: #ffb066;
  }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #ffffff; --ink: #000000; --quiet: #333333; --rule: #999999; --link: #000000;
    --ok: #e6f5ea; --ok-ink: #000000; --no: #fbe0dd; --no-ink: #000000; --stripe: #d8a8a2;
    --right: #000000; --own: #555555;
  }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  section, figure, tr { break-inside: avoid; }
  .box { overflow: visible !important; }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", Arial, sans-serif;
  print-color-adjust: exact; -webkit-print-color-adjust: exact;
}
main { max-width: 80rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; }
h1, h2, h3, h4, p, li, summary, tbody th, td, figcaption { overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0.6rem 0; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 0.6rem; border-bottom: 1px solid var(--rule); }
h3 { font-size: 1.1rem; margin: 1.6rem 0 0.3rem; }
h4 { font-size: 1rem; margin: 1.1rem 0 0.3rem; }
p, ul, figcaption { max-width: 46rem; }
p { margin: 0.4rem 0; }
ul { padding-left: 1.3rem; margin: 0.4rem 0; }
a { color: var(--link); }
.points { font-size: 1.1rem; }
.why, figcaption { color: var(--quiet); }
.problem { border-left: 0.3rem solid var(--no-ink); padding-left: 0.8rem; }
.box { position: relative; overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td {
  padding: 0.25rem 0.7rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--rule);
}
thead th { vertical-align: bottom; color: var(--quiet); font-weight: 600; }
tbody th { font-weight: 400; min-width: 7rem; }
.number { text-align: right; }
td.number { white-space: nowrap; }
.ok, .no { white-space: nowrap; }
.ok { background: var(--ok); color: var(--ok-ink); }
.no {
  color: var(--no-ink); font-weight: 600; background:
  repeating-linear-gradient(135deg, var(--no) 0 7px, var(--stripe) 7px 9px);
}
.cases th, .cases td { padding: 0.25rem 0.16rem; }
.cases thead th { font-size: 0.7rem; line-height: 1.25; }
.cases tbody th { position: sticky; left: 0; background: var(--paper); max-width: 11rem; }
@media (min-width: 60rem) { .cases tbody th { min-width: 8rem; } }
@media (max-width: 30rem) {
  main { padding: 0.6rem 0.8rem 3rem; }
  th, td { padding: 0.25rem 0.35rem; }
  tbody th { min-width: 5.5rem; }
}
.heard { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
details { margin: 0.5rem 0; }
summary { cursor: pointer; font-weight: 600; }
summary h3 { display: inline; font-size: 1rem; margin: 0; }
pre {
  overflow-x: auto; border: 1px solid var(--rule); padding: 0.6rem; font-size: 0.85rem;
  font-family: ui-monospace, Menlo, Consolas, "Liberation Mono", monospace;
}
figure { margin: 0.6rem 0; }
svg { display: block; width: 100%; max-width: 34rem; height: auto; font-size: 15px; }
svg text { fill: var(--ink); }
svg .x { text-anchor: middle; }
svg .y { text-anchor: end; }
svg .frame { fill: none; stroke: var(--rule); }
svg .tick { stroke: var(--quiet); }
svg .right { fill: none; stroke: var(--right); stroke-width: 3; }
svg .own { fill: none; stroke: var(--own); stroke-width: 2; stroke-dasharray: 7 4; }
svg .dot { fill: var(--own); }
svg .mark { stroke-width: 1.5; stroke-dasharray: none; }
svg .mark.own { stroke-dasharray: 2 3; }
svg .bar { fill: var(--right); }
"""
