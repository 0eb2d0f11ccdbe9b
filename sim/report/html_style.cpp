#include "html_style.h"

#include <string>

namespace kvsieve::sim {
namespace {

constexpr std::string_view kColours = R"css(
:root {
  --paper: #fdfdfb; --panel: #f4f3ee; --ink: #1c1f23; --soft: #525961; --rule: #d8d6ce;
  --accent: #0b647c; --pale: #9ccbd7; --sand: #ecc7a5; --grey: #868c92; --warm: #b4530f; --warm-panel: #fbf0e4;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --panel: #1e2226; --ink: #e8e6e1; --soft: #a8aeb4; --rule: #3a4046;
    --accent: #5cbad4; --pale: #2b6375; --sand: #74492a; --grey: #868d94; --warm: #eb9a55; --warm-panel: #2b221a;
  }
}
)css";

constexpr std::string_view kPage = R"css(
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 17px/1.55 Charter, "Bitstream Charter", "Iowan Old Style", "Palatino Linotype",
    Cambria, Georgia, "Liberation Serif", serif;
  font-kerning: normal; text-rendering: optimizeLegibility;
}
header, main, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 3.5rem; }
h1, h2, h3 { font-weight: 600; line-height: 1.2; text-wrap: balance; overflow-wrap: anywhere; }
h1 { font-size: 2.15rem; letter-spacing: -0.012em; margin: 0.35rem 0 0.5rem; }
h2 { font-size: 1.55rem; letter-spacing: -0.008em; margin: 0; }
h3 { font-size: 1.17rem; margin: 0; }
p { margin: 0.6rem 0; max-width: 42rem; overflow-wrap: anywhere; }
a { color: var(--accent); text-underline-offset: 0.18em; text-decoration-thickness: 0.06em; }
a:focus-visible, summary:focus-visible, .scroll:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 3px; border-radius: 2px;
}
.sans, .eyebrow, .origin, .headline, table, figcaption, details, .warnings, footer, svg {
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
    "Liberation Sans", sans-serif;
}
.eyebrow {
  color: var(--accent); font-size: 0.78rem; font-weight: 600; letter-spacing: 0.09em;
  text-transform: uppercase; margin: 0;
}
.subtitle { color: var(--soft); font-size: 1.06rem; margin: 0; }
.key { color: var(--soft); font-size: 0.92rem; border-top: 1px solid var(--rule);
  margin: 1.6rem 0 0; padding-top: 0.9rem; max-width: none; }
.origin {
  display: inline-block; font-size: 0.72rem; font-weight: 500; line-height: 1.5; color: var(--soft);
  border: 1px solid var(--grey); border-radius: 1em; padding: 0 0.65em; white-space: nowrap;
  vertical-align: 0.18em; letter-spacing: 0.01em;
}
.origin.modelled { border-style: dashed; }
section.overview { margin: 2.4rem 0 0; }
section.run { margin: 4.2rem 0 0; border-top: 2px solid var(--ink); padding-top: 1.1rem; }
section.part { margin: 2.6rem 0 0; }
.run-title { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.1rem 0.8rem; }
.number { color: var(--accent); margin-right: 0.35em; font-variant-numeric: tabular-nums; }
.part-title { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.1rem 0.7rem; }
.headline {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr));
  gap: 1.3rem 1.5rem; margin: 1.5rem 0 0; padding: 0;
}
.headline div { display: flex; flex-direction: column; border-top: 1px solid var(--rule);
  padding-top: 0.55rem; }
.headline dt { order: 2; font-size: 0.8rem; line-height: 1.35; }
.headline dd { margin: 0; }
.headline .value { order: 1; font-size: 1.5rem; line-height: 1.2; font-weight: 500;
  letter-spacing: -0.015em; font-variant-numeric: tabular-nums; }
.headline .detail { order: 3; font-size: 0.78rem; line-height: 1.4; color: var(--soft); }
.warnings { background: var(--warm-panel); border-left: 3px solid var(--warm); padding: 0.7rem 1rem;
  margin: 1.5rem 0 0; font-size: 0.88rem; }
.warnings ul { margin: 0.2rem 0 0; padding-left: 1.1rem; overflow-wrap: anywhere; }
footer { margin-top: 4.5rem; padding-bottom: 3rem; color: var(--soft); font-size: 0.8rem; }
footer p { border-top: 1px solid var(--rule); padding-top: 0.9rem; max-width: none; }
)css";

constexpr std::string_view kTables = R"css(
.scroll { overflow-x: auto; margin: 1rem 0 0; }
table { border-collapse: collapse; font-size: 0.82rem; line-height: 1.35;
  font-variant-numeric: tabular-nums lining-nums; }
table.overview { width: 100%; }
th, td { text-align: left; vertical-align: baseline; padding: 0.45rem 0.7rem 0.45rem 0; }
th:last-child, td:last-child { padding-right: 0; }
th.n, td.n { text-align: right; padding: 0.45rem 0 0.45rem 0.8rem; white-space: nowrap; }
table.overview td small { white-space: nowrap; }
thead th { font-weight: 500; color: var(--soft); vertical-align: bottom;
  border-bottom: 1px solid var(--ink); white-space: normal; }
thead th.n { white-space: normal; }
thead tr.origins th { border-bottom: 0; padding: 0 0 0.1rem 0.8rem; text-align: center; }
thead tr.origins th > span { display: block; border-bottom: 1px solid var(--rule);
  padding-bottom: 0.3rem; }
table.overview tbody a { white-space: nowrap; }
tbody th { font-weight: 500; }
tbody tr + tr th, tbody tr + tr td { border-top: 1px solid var(--rule); }
td small, th small { display: block; font-size: 0.9em; font-weight: 400; color: var(--soft); }
td.wrap { min-width: 16rem; }
.none { color: var(--soft); }
.better { color: var(--accent); font-weight: 600; }
.worse { color: var(--warm); font-weight: 600; }
details { margin: 0.6rem 0 0; font-size: 0.82rem; }
figure > details { margin-bottom: 2.4rem; }
summary { cursor: pointer; color: var(--soft); width: fit-content; }
summary:hover { color: var(--accent); }
details .scroll { margin-top: 0.5rem; max-height: 26rem; overflow: auto; }
details table { font-size: 1em; }
details th, details td { padding-top: 0.22rem; padding-bottom: 0.22rem; }
details th.n, details td.n { padding-top: 0.22rem; padding-bottom: 0.22rem; }
details.setup { margin-top: 1.4rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr));
  gap: 0.1rem 2rem; margin: 0.6rem 0 0; }
.facts div { display: flex; justify-content: space-between; gap: 1rem;
  border-bottom: 1px solid var(--rule); padding: 0.2rem 0; }
.facts dt { color: var(--soft); white-space: nowrap; }
.facts dd { margin: 0; text-align: right; overflow-wrap: anywhere; min-width: 0; }
)css";

constexpr std::string_view kCharts = R"css(
.figures { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 2.2rem;
  margin: 1.4rem 0 -2.4rem; }
figure { margin: 0; min-width: 0; display: grid; grid-template-rows: subgrid; grid-row: span 3;
  grid-template-columns: minmax(0, 1fr); row-gap: 0; align-content: start; }
figure.wide { grid-column: 1 / -1; }
figure .scroll { margin: 0; }
figcaption { margin: 0 0 0.7rem; font-size: 0.82rem; line-height: 1.4; color: var(--soft); }
figcaption strong { display: block; color: var(--ink); font-size: 0.95rem; font-weight: 600; }
svg.chart { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-size: 12px; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg text.label, svg text.point-label { fill: var(--ink); }
svg text.point-label { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
svg text.cell { fill: revert-layer; }
svg text.needle-label { fill: var(--warm); font-weight: 600; }
.f-accent { fill: var(--accent); } .f-grey { fill: var(--grey); }
.f-warm { fill: var(--warm); }
.f-pale { fill: var(--pale); stroke: var(--accent); stroke-width: 0.6; }
.f-sand { fill: var(--sand); stroke: var(--warm); stroke-width: 0.6; }
.s-accent { stroke: var(--accent); } .s-grey { stroke: var(--grey); }
.s-warm { stroke: var(--warm); } .s-pale { stroke: var(--pale); } .s-sand { stroke: var(--sand); }
.stroke { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.stroke.s-warm { stroke-dasharray: 6 3.5; } .stroke.s-grey { stroke-dasharray: 2 3; }
.dot { opacity: 0; } .dot:hover { opacity: 1; }
.d1 { opacity: 0.3; } .d2 { opacity: 0.5; } .d3 { opacity: 0.75; }
.grid { stroke: var(--rule); stroke-width: 0.75; } .base { stroke: var(--grey); }
.one { stroke: var(--ink); } .mark { stroke: var(--ink); stroke-width: 1.6; }
.whisker { stroke: var(--accent); stroke-width: 1.4; }
.track, .empty { fill: var(--panel); } .band { fill: var(--grey); opacity: 0.28; }
.needle { fill: var(--warm); fill-opacity: 0.16; stroke: var(--warm); }
rect:hover:not(.track):not(.band):not(.needle) { opacity: 0.8; }
)css";

constexpr std::string_view kMedia = R"css(
@media (max-width: 46rem) {
  body { font-size: 16px; }
  header, main, footer { padding: 0 1rem; }
  header { padding-top: 2rem; }
  h1 { font-size: 1.7rem; } h2 { font-size: 1.35rem; }
  .figures { grid-template-columns: minmax(0, 1fr); }
  figure.wide svg.chart { width: 46rem; max-width: none; }
  .headline { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  table.overview { min-width: 52rem; }
  table.overview tbody th, table.overview thead tr:last-child th.pin {
    position: sticky; left: 0; background: var(--paper); padding-right: 0.9rem; z-index: 1; }
}
@media print {
  @page { margin: 16mm 14mm; }
  body { font-size: 10.5pt; }
  header, main, footer { max-width: none; padding: 0; }
  a { color: inherit; text-decoration: none; }
  .scroll { overflow: visible; max-height: none !important; }
  details:not([open]) { display: none; }
  section.run { break-before: page; margin-top: 0; }
  h2, h3, .part-title, .run-title { break-after: avoid; }
  .part > p { break-after: avoid; }
  figure { margin-bottom: 1.5rem; }
  .figures { margin-bottom: 0; }
  figure, tr, .headline div { break-inside: avoid; }
  table.overview { font-size: 7.2pt; }
  th.n, td.n { padding-left: 0.5rem; }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
)css";

}  // namespace

std::string_view html_style() {
  static const std::string style = std::string(kColours) + std::string(kPage) +
                                   std::string(kTables) + std::string(kCharts) +
                                   std::string(kMedia);
  return style;
}

}  // namespace kvsieve::sim
