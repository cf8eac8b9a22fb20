/**
 * The page's style. Six looks for series (blue, orange, teal, purple, red, grey) after Okabe and Ito's palette, darkened
 * and lightened so that lines have a contrast of 3:1 and text one of 4.5:1 in both modes; each has a tint for areas.
 */
import { SERIES_STYLES } from "./charts/series.js";

const LIGHT = `
--page:#fff;--raised:#f6f7f9;--ink:#1b2027;--soft:#545d69;--rule:#d5dae1;--grid:#e4e8ed;--link:#0b5cad;--focus:#0b5cad;
--good:#176b3a;--good-tint:#e2f4e8;--bad:#a8201a;--bad-tint:#fde9e7;--open:#6b5300;--open-tint:#fbf2d5;
--c0:#0868b8;--t0:#d3e7f9;--c1:#b34b00;--t1:#fde3cd;--c2:#00755e;--t2:#cdeee6;
--c3:#8a3f96;--t3:#f1def5;--c4:#b3273f;--t4:#fbdde1;--c5:#5b6470;--t5:#e3e6ea;
--h0:#eef5fc;--h1:#d6e6f6;--h2:#bad5ef;--h3:#98c0e6;--h4:#74a8da;--h5:#2f6fae;--h6:#1d558e;--h7:#103a66;
--faint-ink:#1b2027;--strong-ink:#fff;`;

const DARK = `
--page:#14181d;--raised:#1c2128;--ink:#e8ebef;--soft:#a9b2bd;--rule:#3a424c;--grid:#2a3038;--link:#7cbcff;--focus:#7cbcff;
--good:#7bd69b;--good-tint:#173524;--bad:#ff9d94;--bad-tint:#45201d;--open:#e9cb6b;--open-tint:#3a3217;
--c0:#64b1f5;--t0:#173a5a;--c1:#f29a52;--t1:#52310f;--c2:#4cc9ac;--t2:#10443a;
--c3:#d498e2;--t3:#472a4f;--c4:#ff8794;--t4:#561f29;--c5:#a4adb8;--t5:#343b44;
--h0:#1a2531;--h1:#1c3146;--h2:#1f3f5d;--h3:#224e77;--h4:#265f94;--h5:#7db4e8;--h6:#a9cff2;--h7:#d7e9fa;
--faint-ink:#e8ebef;--strong-ink:#0e1319;`;

const PAGE = `
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--page);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",Arial,sans-serif;overflow-wrap:anywhere}
body{display:grid;grid-template-columns:minmax(0,1fr);max-width:92rem;margin:0 auto;padding:0 1rem}
h1,h2,h3,h4{line-height:1.25;margin:0 0 .5rem;text-wrap:balance}
h1{font-size:1.75rem}h2{font-size:1.375rem}h3{font-size:1.125rem}h4{font-size:1rem;margin-top:1.75rem}
p{margin:0 0 .75rem}
a{color:var(--link);text-underline-offset:.15em}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:.875em}
:focus-visible{outline:3px solid var(--focus);outline-offset:2px;border-radius:2px}
main:focus{outline:none}
.skip{position:absolute;left:1rem;top:-4rem;background:var(--page);padding:.5rem 1rem;z-index:1}
.skip:focus{top:.5rem}
header{padding:1.5rem 0 1rem;border-bottom:1px solid var(--rule)}
header p{color:var(--soft);margin:0}
main>section{padding:1.75rem 0;border-bottom:1px solid var(--rule)}
footer{padding:1rem 0 2rem;color:var(--soft);font-size:.875rem}
nav{padding:1rem 0;font-size:.9375rem}
nav h2{font-size:1rem}
nav ul{list-style:none;margin:0;padding:0}
nav ul ul{padding-left:1rem}
nav a{display:inline-block;padding:.125rem 0;text-decoration:none}
nav a:hover{text-decoration:underline}
.document{padding:.5rem 0 1rem}
.document+.document{border-top:1px dashed var(--rule);padding-top:1.75rem}
.note{color:var(--soft);font-size:.9375rem;max-width:48rem}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,17rem),1fr));gap:.625rem 1.5rem;margin:0 0 1.25rem}
.facts dt{color:var(--soft);font-size:.8125rem}
.facts dd{margin:0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:1rem;margin:0 0 1.5rem}
.card{background:var(--raised);border:1px solid var(--rule);border-radius:.5rem;padding:1rem}
.card p:last-child{margin:0}
.headline{color:var(--soft);margin-bottom:.5rem}
.headline strong{color:var(--ink);font-size:2.25rem;line-height:1.1;font-variant-numeric:tabular-nums}
.verdict{display:inline-block;border:1px solid currentColor;border-radius:.375rem;padding:0 .5rem;margin:0 .375rem .25rem 0;font-size:.875rem;color:var(--ink)}
.good{color:var(--good);background:var(--good-tint)}.bad{color:var(--bad);background:var(--bad-tint)}.open{color:var(--open);background:var(--open-tint)}`;

const TABLES = `
.scroll{position:relative;overflow-x:auto;margin:0 0 1.25rem}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:0 0 .375rem;color:var(--soft)}
caption span{display:inline-block;position:sticky;left:0;max-width:min(48rem,100vw - 2rem)}
th,td{padding:.3125rem 1rem .3125rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule);overflow-wrap:normal;font-weight:400}
td>bdi,th>bdi,td>a,th>a{display:inline-block;max-width:24rem;overflow-wrap:break-word}
thead th{vertical-align:bottom;font-weight:600}
.numbers{text-align:right;white-space:nowrap}
thead .numbers{white-space:normal;min-width:5rem}
.prose{min-width:11rem}
.text{white-space:nowrap}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.heat th,.heat td{padding:.375rem .5rem;text-align:right;border:0;min-width:3rem}
.heat td{color:var(--faint-ink)}.heat .h5,.heat .h6,.heat .h7{color:var(--strong-ink)}
.heat thead span{font-weight:400;color:var(--soft)}
${Array.from({ length: 8 }, (_, i) => `.h${i}{background:var(--h${i})}`).join("")}`;

const CHARTS = `
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));gap:1.5rem 2rem;margin:0 0 1.25rem;align-items:start}
figure{margin:0;min-width:0}
figure.wide{margin:0 0 1.25rem}
figcaption{margin:0 0 .375rem;font-size:.875rem;color:var(--soft);line-height:1.4}
figcaption strong{display:block;color:var(--ink);font-size:.9375rem}
.wide figcaption strong{display:inline}
.chart{display:block;width:100%;max-width:30rem;height:auto;font-size:11px;font-family:inherit}
.chart text{fill:var(--ink);font-variant-numeric:tabular-nums;unicode-bidi:isolate}
.axis line{stroke:var(--grid)}
.axis text{fill:var(--soft)}
.chart .value{font-weight:600}
.chart .row,.chart .value{paint-order:stroke;stroke:var(--page);stroke-width:3px;stroke-linejoin:round}
.small .mark{stroke:none}
.reference{stroke:var(--soft);stroke-dasharray:3 3}
.level path{fill:none;stroke:var(--soft);stroke-width:.5}
.level text{fill:var(--soft);font-size:10px}
.leader{stroke:var(--soft);stroke-width:.75}
.edge{fill:none;stroke:var(--c);stroke-width:1}
.equal{stroke:var(--soft);stroke-dasharray:3 3;fill:none}
${Array.from({ length: SERIES_STYLES }, (_, i) => `.s${i}{--c:var(--c${i});--t:var(--t${i})}`).join("")}
.line{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round}
.dashed .line{stroke-dasharray:5 4;stroke-width:1.5}
.mark{fill:var(--c);stroke:var(--page);stroke-width:1}
.hollow .mark{fill:var(--page);stroke:var(--c);stroke-width:1.5}
.dot{fill:var(--c);opacity:.75}
.whisker{fill:none;stroke:var(--c);stroke-width:1.5}
.fill{fill:var(--t);stroke:var(--c);stroke-width:1}
.solid{fill:var(--c)}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1rem;list-style:none;margin:0 0 .5rem;padding:0;font-size:.8125rem}
.legend li{display:flex;align-items:center;gap:.375rem}
.legend svg{flex:none}
details{margin:.25rem 0 0;font-size:.875rem}
summary{cursor:pointer;color:var(--link);padding:.125rem 0}
details .scroll{max-height:22rem;overflow:auto;margin:.375rem 0 0}
.strip{display:flex;flex-wrap:wrap;gap:.75rem .75rem;margin:.25rem 0 .5rem;font-size:.6875rem;line-height:1.375rem}
.group{display:flex;gap:2px}
.column{display:flex;flex-direction:column;gap:2px;width:1.25rem;text-align:center;color:var(--soft)}
.column>span{height:1.375rem}
.names,.group:last-child .column{width:2.25rem}
.names{text-align:left}
.cell{display:inline-block;min-width:1.25rem;line-height:1.25rem;text-align:center;font-size:.75rem;font-weight:600;color:var(--ink);background:var(--t);border:1px solid var(--c);border-radius:3px;print-color-adjust:exact;-webkit-print-color-adjust:exact}
${Array.from({ length: SERIES_STYLES }, (_, i) => `.choice-${i}{--c:var(--c${i});--t:var(--t${i})}`).join("")}
.choice-skip{--c:var(--c5);--t:var(--page);border-style:dashed}`;

const WIDE = `
@media screen and (min-width:64rem){
body{grid-template-columns:15rem minmax(0,1fr);grid-template-rows:auto 1fr auto;column-gap:2.5rem;padding:0 2rem}
header,footer{grid-column:1/-1}
nav{position:sticky;top:0;max-height:100vh;overflow-y:auto;align-self:start;padding:1.75rem 0}
}`;

const PRINT = `
@media print{
@page{margin:14mm}
body{font-size:10pt;max-width:none;padding:0}
nav,.skip,details,footer{display:none}
.figures{grid-template-columns:repeat(2,minmax(0,1fr))}
figure,.card,tr{break-inside:avoid}
h2,h3,h4,caption{break-after:avoid}
.scroll{overflow:visible}
table{font-size:7pt;width:100%}
th,td,td>bdi,th>bdi{white-space:normal;min-width:0;max-width:none;padding-right:.375rem}
.heat td,.fill,.mark,.dot,.solid,.verdict{print-color-adjust:exact;-webkit-print-color-adjust:exact}
a{color:inherit;text-decoration:none}
}`;

/** Dark on screens only: paper is white. */
export const STYLE = `:root{color-scheme:light dark;${LIGHT}}
@media screen and (prefers-color-scheme:dark){:root{${DARK}}}${PAGE}${TABLES}${CHARTS}${WIDE}${PRINT}
`;
