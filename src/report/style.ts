/** The one style sheet of a report. No font, image or script of anybody else's; light, dark and on paper. */

/** Text has a contrast of 4.5 to 1 and more on each of its grounds, shapes of 3 to 1: `test/report/browser.test.ts` has it measured. */
const light = `--ground:#fff;--card:#f6f7f9;--text:#1a1f26;--quiet:#57606b;--edge:#d5dae0;--faint:#c3c9d1;--link:#0a53a8;--full:#0a53a8;--incremental:#3f7fc4;--good:#11692f;--good-ground:#e5f4ea;--bad:#b01c1c;--bad-ground:#fdeceb;--note:#57606b;--note-ground:#eef0f3`;
const dark = `--ground:#11151a;--card:#191f26;--text:#e8ebee;--quiet:#a4adb8;--edge:#343c46;--faint:#4a535e;--link:#8cc0ff;--full:#8cc0ff;--incremental:#5796da;--good:#7fd79b;--good-ground:#12291b;--bad:#ff9d94;--bad-ground:#331715;--note:#a4adb8;--note-ground:#20262e`;

export const style = `
:root{color-scheme:light dark;${light}}
@media (prefers-color-scheme:dark){:root{${dark}}}
*{box-sizing:border-box}
html{font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;background:var(--ground);color:var(--text);-webkit-text-size-adjust:100%}
body{max-width:64rem;margin:0 auto;padding:1.5rem 1rem 3rem;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.2;margin:0}
h2{font-size:1.3rem;line-height:1.3;margin:0 0 .5rem}
h3{font-size:1rem;margin:0}
nav{margin:1.5rem 0}
p{margin:.25rem 0}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
main:focus{outline:none}
.skip{position:absolute;left:-100rem}
.skip:focus{left:1rem;top:.5rem;background:var(--ground);padding:.5rem 1rem}
.aside{color:var(--quiet);font-size:.9rem;font-weight:400}
header{display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:baseline;justify-content:space-between;margin-bottom:1rem}
section{margin:2rem 0 0;padding-top:1.5rem;border-top:1px solid var(--edge)}
.overall,.notes{margin:1rem 0;padding:1rem 1.25rem;border:1px solid var(--edge);border-left-width:.5rem;border-radius:.25rem}
.overall h2,.notes h2{margin:0}
.overall ul,.notes ul{margin:.5rem 0 0;padding-left:1.25rem}
.overall.good{background:var(--good-ground);border-color:var(--good)}
.overall.good h2{color:var(--good)}
.overall.bad{background:var(--bad-ground);border-color:var(--bad)}
.overall.bad h2{color:var(--bad)}
.overall.note,.notes{background:var(--note-ground)}
.notes h2{font-size:1rem}
.badge.good{color:var(--good)}
.badge.bad{color:var(--bad)}
.badge.note{color:var(--note)}
.lead{margin:0 0 .5rem}
.why{color:var(--text)}
section>.why{padding:.5rem .75rem;background:var(--note-ground);border-left:.25rem solid var(--edge)}
section>.why.bad{background:var(--bad-ground);border-color:var(--bad)}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,18rem),1fr));gap:.75rem 1.5rem;margin:1rem 0}
.facts dt{color:var(--quiet);font-size:.85rem}
.facts dd{margin:0}
figure{margin:1.5rem 0 0}
figcaption{margin-bottom:.5rem}
.legend{font-size:.85rem;color:var(--quiet)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:0 2rem;align-items:start}
.plot{display:block;width:100%;height:auto;font:11px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;color:var(--quiet)}
.plot text{white-space:pre}
.on-narrow{display:none}
@media (max-width:40rem){.facts{grid-template-columns:1fr 1fr}.on-wide{display:none}.on-narrow{display:block}}
.glyph{display:inline-block;width:.6rem;height:.6rem;margin:0 .1rem 0 .25rem}
.glyph.full{background:var(--full)}
.glyph.incremental{width:2px;background:var(--incremental)}
.glyph.ring{border:2px solid var(--incremental);border-radius:50%}
.glyph.none{border:1px solid var(--quiet)}
.glyph.bad,.glyph.failed{width:auto;height:auto;color:var(--bad);font-weight:700;line-height:1}
.glyph.bad::before{content:"✕"}
.glyph.failed::before{content:"▲"}
.tables{margin-top:1.5rem}
details{border-top:1px solid var(--edge)}
summary{padding:.5rem 0;cursor:pointer;font-weight:600}
.scroll{overflow-x:auto;margin:.5rem 0 1rem}
table{border-collapse:collapse;width:100%;font-size:.8rem;font-variant-numeric:tabular-nums;overflow-wrap:normal}
caption{text-align:left;color:var(--quiet);padding-bottom:.25rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--edge)}
thead th{color:var(--quiet);vertical-align:bottom}
tbody th{font-weight:400}
tbody th,td{white-space:nowrap}
td:last-child:not(.number){white-space:normal;min-width:6rem}
nav tbody th,nav td:nth-child(2){white-space:normal;overflow-wrap:anywhere;min-width:8rem}
nav td:last-child:not(.number){white-space:nowrap}
.number{text-align:right}
.cost{margin-top:1.5rem}
.cost td,.cost th{padding-right:.5rem}
.cost:last-child:nth-child(odd){grid-column:1/-1;max-width:40rem}
footer{margin-top:2.5rem;padding-top:1rem;border-top:1px solid var(--edge);font-size:.85rem;color:var(--quiet)}
@media print{
:root{color-scheme:light;${light}}
@page{margin:14mm}
html{font-size:11px}
body{max-width:none;padding:0}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
a{color:inherit;text-decoration:none}
.skip,details:not([open]){display:none}
section{break-before:auto}
figure,.overall,.facts>div,tr{break-inside:avoid}
h2,h3{break-after:avoid}
.scroll{overflow:visible}
.plots{grid-template-columns:1fr 1fr}
.on-wide{display:block}
.on-narrow{display:none}
}
`;
