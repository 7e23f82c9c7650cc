/**
 * The report: one HTML page that needs nothing but itself. It has no script, asks no network, and says so to the browser
 * (Content-Security-Policy), so that a name or an error text which were taken for more than text could do nothing.
 *
 * `docs/adr/0013-report.md` has why it is drawn as it is, `docs/report.md` what is on it.
 */
import { createHash } from "node:crypto";
import { setImmediate as others } from "node:timers/promises";
import { formatSize } from "../bytes.ts";
import { priceLists, priceWarning } from "../bench/scale-prices.ts";
import { version } from "../version.ts";
import type { Chapter, Evidence } from "./evidence.ts";
import { type Html, html, markup, textOf } from "./html.ts";
import { section, titleOf } from "./section.ts";
import { style } from "./style.ts";
import { table, verifiedText } from "./tables.ts";
import { amount, badge, instant, minuteOf, signs, type Verdict, verdictOf } from "./words.ts";

/** What a browser may do with the page: use its one style sheet, and nothing else. */
export const pagePolicy = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; img-src data:; base-uri 'none'; form-action 'none'`;

const sheet = markup(style);

/** @param signal - looked at after each dataset; others get their turn there, because a server draws it too */
export async function reportPage(evidence: Evidence, signal: AbortSignal): Promise<string> {
  const { at, chapters, notes } = evidence;
  const sections: Html[] = [];
  for (const [index, chapter] of chapters.entries()) {
    sections.push(section({ chapter, id: `d${index + 1}`, at }));
    await others();
    signal.throwIfAborted();
  }
  return textOf(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${pagePolicy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="zferry ${version}">
<title>${overallOf(chapters).title} – zferry report</title>
<link rel="icon" href="data:,">
<style>${sheet}</style>
</head>
<body>
<a class="skip" href="#main">To the report</a>
<header>
<h1>Backups</h1>
<p class="aside">zferry ${version}, as of ${instant(at)}. All times are UTC.</p>
</header>
<main id="main" tabindex="-1">
${overall(evidence)}${noted(notes)}${sections}</main>
<footer>
<p>Written from what this host remembers of its runs and stores; <code>zferry report --check</code> asks the stores first. A backup counts as restorable as long as nothing is known against it: only <code>verify</code> and <code>drill</code> prove it.</p>
<p>Costs: ${priceWarning}. US dollars without tax and free allowances, each dataset as if it were alone in the account: ${sources()}.</p>
</footer>
</body>
</html>
`);
}

interface Overall {
  readonly kind: Verdict;
  readonly title: string;
  /** Of which something is to be said, by their places among the chapters. */
  readonly about: readonly number[];
}

function overallOf(chapters: readonly Chapter[]): Overall {
  const kinds = chapters.map(({ standing }) => (standing === null ? null : verdictOf(standing).kind));
  const count = kinds.filter((kind) => kind !== null).length;
  const of = (wanted: Verdict): number[] => kinds.flatMap((kind, index) => (kind === wanted ? [index] : []));
  const [bad, noted] = [of("bad"), of("note")];
  if (count === 0) return { kind: "note", title: "No job backs up anything here", about: [] };
  if (bad.length > 0) return { kind: "bad", title: `Bad: ${whichOf(bad.length, count)} ${bad.length === 1 ? "needs" : "need"} attention`, about: bad };
  if (noted.length > 0) return { kind: "note", title: `Nothing is bad, and ${whichOf(noted.length, count)} ${noted.length === 1 ? "has" : "have"} a note`, about: noted };
  return { kind: "good", title: `Good: ${count === 1 ? "the one dataset is" : `all ${count} datasets are`} in order`, about: [] };
}

function whichOf(some: number, count: number): string {
  return count === 1 ? "the one dataset" : `${some} of ${amount(count, "dataset")}`;
}

function overall({ chapters, notes }: Evidence): Html {
  const { kind, title, about } = overallOf(chapters);
  const lines = chapters.flatMap((chapter, index) => (chapters.length > 1 && about.includes(index) ? [aboutOf(chapter, index)] : []));
  return html`<section class="overall ${kind}" aria-labelledby="overall">
<h2 id="overall"><span class="sign" aria-hidden="true">${signs[kind]}</span> ${title}</h2>
${lines.length === 0 ? null : html`<ul>
${lines}</ul>`}${notes.length === 0 ? null : html`
<p><a href="#notes">Not everything could be looked at, or told.</a></p>`}
</section>
${chapters.length < 2 ? null : contents(chapters)}`;
}

function aboutOf(chapter: Chapter, index: number): Html {
  return html`<li><a href="#d${index + 1}">${titleOf(chapter)}</a>: ${chapter.standing?.why ?? verdictOf(chapter.standing).text}</li>
`;
}

/** All datasets in a row each, which leads to theirs. */
function contents(chapters: readonly Chapter[]): Html {
  const rows = chapters.map((chapter, index) => ({ chapter, href: `#d${index + 1}` }));
  const good = ({ backups }: Chapter): Chapter["backups"] => backups.filter(({ trouble }) => trouble === null);
  const columns = [
    { head: "Dataset", of: ({ chapter, href }: (typeof rows)[number]) => html`<a href="${href}">${titleOf(chapter)}</a>` },
    { head: "Standing", of: ({ chapter: { standing } }: (typeof rows)[number]) => badge(standing) },
    { head: "Newest restorable (UTC)", of: ({ chapter }: (typeof rows)[number]) => minutes(good(chapter).at(-1)) },
    { head: "Oldest restorable (UTC)", of: ({ chapter }: (typeof rows)[number]) => minutes(good(chapter)[0]) },
    { head: "Backups", isNumber: true, of: ({ chapter: { held } }: (typeof rows)[number]) => held?.backupCount ?? "–" },
    { head: "Stored", isNumber: true, of: ({ chapter: { held } }: (typeof rows)[number]) => (held === null ? "–" : formatSize(held.storedBytes)) },
    { head: "Verified", of: ({ chapter: { held } }: (typeof rows)[number]) => verifiedText(held?.verified ?? null) },
  ];
  return html`<nav aria-label="Datasets">
${table("Datasets", columns, rows)}
</nav>
`;
}

function minutes(backup: Chapter["backups"][number] | undefined): string {
  return backup === undefined ? "nothing" : minuteOf(backup.entry.createdAt);
}

function noted(notes: readonly string[]): Html | null {
  if (notes.length === 0) return null;
  return html`<section class="notes" aria-labelledby="notes">
<h2 id="notes">To be known</h2>
<ul>
${notes.map((note) => html`<li>${note}</li>
`)}</ul>
</section>
`;
}

/** The addresses in full and not as links: the page leads nowhere but into itself, and a printed one shows no links. */
function sources(): string {
  return [...new Set(priceLists.map(({ source }) => source))].join(", ");
}
