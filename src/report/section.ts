/** One dataset's part of a report: how it stands, its plots, and the tables beside them. */
import { formatSize } from "../bytes.ts";
import type { Held } from "../status/held.ts";
import { costTable, backupsTable, daysTable, runsTable } from "./tables.ts";
import { spanOf } from "./axes.ts";
import { estimatesOf } from "./cost.ts";
import { dateOf, daysOf, stretchesOf } from "./days.ts";
import { type Chapter, shownCount } from "./evidence.ts";
import { type Content, type Html, html } from "./html.ts";
import { calendar, downtime, formats, rangeText, rateOf, shownMonths, sizes, type Span, throughput, timelines } from "./plots.ts";
import { amount, badge, dollars, instant, minuteOf, since, verdictOf } from "./words.ts";

/** What a dataset is called: with its job, which has several, and with its host where there are several. */
export function titleOf({ host, dataset, standing }: Chapter): string {
  const what = dataset ?? `job ${standing?.job ?? ""}`;
  return host === null ? what : `${what} on ${host}`;
}

export interface SectionRequest {
  readonly chapter: Chapter;
  /** Unique in the page, and a word. */
  readonly id: string;
  readonly at: Date;
}

export function section({ chapter, id, at }: SectionRequest): Html {
  const { standing } = chapter;
  const title = titleOf(chapter);
  return html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
<p class="lead">${badge(standing)}${standing === null ? null : html` <span class="aside">· job ${standing.job}</span>`}</p>
${standing?.why == null ? null : html`<p class="why ${verdictOf(standing).kind}">${standing.why}</p>`}
<dl class="facts">${facts(chapter, at)}</dl>
${unseen(chapter)}${plotsOf({ chapter, id, at })}
</section>
`;
}

function fact(name: string, ...values: readonly Content[]): Html {
  return html`<div><dt>${name}</dt>${values.map((value) => html`<dd>${value}</dd>`)}</div>
`;
}

function facts(chapter: Chapter, at: Date): readonly Html[] {
  const { standing, held, store, backups } = chapter;
  const [own] = estimatesOf(chapter);
  return [
    ...(standing === null ? [] : [fact("Last success", standing.lastSuccessAt === null ? "never" : since(standing.lastSuccessAt, at))]),
    ...(standing === null ? [] : [fact("Next expected", standing.nextExpectedAt === null ? "not expected" : instant(standing.nextExpectedAt))]),
    fact("Can be restored", restorableText(chapter)),
    fact("Stored", held === null ? `nothing is known of ${store}; --check asks it` : `${amount(held.backupCount, "backup")}, ${formatSize(held.storedBytes)}, in ${held.store}`),
    fact("Last verified", verifiedText(held, at)),
    ...(standing === null ? [] : [fact("Last drill", drillText(chapter, at)), fact("Copies", ...copyTexts(chapter, at))]),
    ...(standing === null ? [] : [fact("Last downtime", standing.downtimeMs === null ? "no services are stopped" : formats.seconds(standing.downtimeMs / 1000))]),
    ...(own?.isOwn === true && backups.length > 0 ? [fact("Estimated cost", `${dollars(own.storageUsdPerMonth)} a month`)] : []),
  ];
}

function restorableText({ backups }: Chapter): Content {
  const good = backups.filter(({ trouble }) => trouble === null);
  const [oldest, newest] = [good[0], good.at(-1)];
  if (oldest === undefined || newest === undefined) return html`<b>nothing</b>`;
  const points = amount(good.length, "restore point");
  const from = good.length === 1 ? null : html`${instant(oldest.entry.createdAt)} to `;
  return html`${from}${instant(newest.entry.createdAt)}: ${points}${good.length < backups.length ? html`; <b>${amount(backups.length - good.length, "backup")} cannot be restored</b>` : null}`;
}

function verifiedText(held: Held | null, at: Date): Content {
  if (held?.verified == null) return "never";
  const { level, at: time, ok } = held.verified;
  return html`${since(time, at)}: ${level}, ${ok ? "nothing found" : html`<b>something found</b>`}`;
}

function drillText({ standing }: Chapter, at: Date): Content {
  const drill = standing?.drill ?? null;
  if (drill === null) return "never";
  if (drill.outcome === "failed") return html`${since(drill.endedAt, at)}: <b>failed</b>`;
  return html`${since(drill.endedAt, at)}: passed${drill.restoreSeconds === null ? null : `, restored in ${formats.seconds(drill.restoreSeconds)}`}`;
}

function copyTexts({ standing }: Chapter, at: Date): readonly Content[] {
  const { copying = [], copies = [] } = standing ?? {};
  const configured = copying.map(({ store, lastRun, waitingSince }) => {
    if (lastRun?.outcome === "failed") return html`${store}: <b>the last copy failed</b>, ${since(lastRun.endedAt, at)}`;
    return waitingSince === null ? html`${store}: has the newest` : html`${store}: <b>behind</b> since ${instant(waitingSince)}`;
  });
  const known = new Set(copying.map(({ store }) => store));
  const others = copies.filter(({ store }) => !known.has(store)).map(({ store, backupCount }) => html`${store}: ${amount(backupCount, "backup")}`);
  return configured.length + others.length === 0 ? ["none"] : [...configured, ...others];
}

/** A run knows what it has stored before the next one reads the store, and not what a reader of the store knows of it. */
function unseen({ backups, runs }: Chapter): Html | null {
  const newest = backups.at(-1)?.entry.createdAt ?? new Date(0);
  const known = new Set<string>(backups.map(({ entry }) => entry.backup));
  const missing = runs.flatMap(({ outcome, backup, startedAt }) => (outcome === "stored" && backup !== null && startedAt > newest && !known.has(backup) ? [backup] : []));
  if (missing.length === 0) return null;
  return html`<p class="aside">Stored since the store was last read, and therefore not among the backups below: ${missing.join(", ")}. <code>--check</code> reads it.</p>
`;
}

interface Figure {
  readonly title: string;
  readonly isWide?: boolean;
  readonly legend: Html;
  readonly drawing: Html;
}

function figure(id: string, { title, isWide = false, legend, drawing }: Figure): Html {
  return html`<figure aria-labelledby="${id}"${isWide ? html` class="wide"` : null}>
<figcaption><h3 id="${id}">${title}</h3><p class="legend">${legend}</p></figcaption>
${drawing}
</figure>
`;
}

/** As in the plots; read out it says nothing that the words beside it do not say. */
function glyph(kind: "full" | "incremental" | "bad" | "failed" | "none" | "ring"): Html {
  return html`<span class="glyph ${kind}" aria-hidden="true"></span>`;
}

function plotsOf({ chapter, id, at }: SectionRequest): Html {
  const backups = chapter.backups.slice(-shownCount);
  const runs = chapter.runs.slice(-shownCount);
  if (backups.length === 0 && runs.length === 0) return html`<p>There are no backups yet, and no runs: nothing can be drawn.</p>`;
  const span = spanOf([...backups.map(({ entry }) => entry.createdAt), ...runs.map(({ startedAt }) => startedAt)], at);
  const title = titleOf(chapter);
  return html`${timelineFigure({ chapter, id, at }, span)}
<div class="plots">
${backups.length === 0 ? null : html`${calendarFigure({ chapter, id, at })}${sizesFigure({ chapter, id, at }, span)}`}${runFigures({ chapter, id, at }, span)}${costFigure({ chapter, id, at })}</div>
<div class="tables">
${backups.length === 0 ? null : html`${backupsTable(title, chapter.backups)}${daysTable(title, stretchesOf(daysOf(chapter.backups, at)))}`}${runs.length === 0 ? null : runsTable(title, chapter.runs)}</div>`;
}

function timelineFigure({ chapter, id }: SectionRequest, span: Span): Html {
  const backups = chapter.backups.slice(-shownCount);
  const fullCount = backups.filter(({ entry }) => entry.kind === "full").length;
  const failedCount = chapter.runs.filter(({ outcome }) => outcome === "failed").length;
  const label = `Timeline of ${titleOf(chapter)}: ${amount(fullCount, "full")}, ${amount(backups.length - fullCount, "incremental")}, ${amount(failedCount, "failed run")}, from ${minuteOf(span[0])} to ${minuteOf(span[1])} UTC`;
  const { wide, narrow } = timelines(backups, chapter.runs.slice(-shownCount), span, label);
  const isTroubled = backups.some(({ trouble }) => trouble !== null);
  const legend = html`${glyph("full")} full, the anchor of its line${fullCount < backups.length ? html`; ${glyph("incremental")} incremental against it` : null}${isTroubled ? html`; ${glyph("bad")} cannot be restored` : null}${failedCount > 0 ? html`; ${glyph("failed")} run that failed` : null}`;
  return figure(`${id}-timeline`, { title: "Fulls and incrementals", isWide: true, legend, drawing: html`<div class="on-wide">${wide}</div><div class="on-narrow">${narrow}</div>` });
}

function calendarFigure({ chapter, id, at }: SectionRequest): Html {
  const all = daysOf(chapter.backups, at);
  const months = [...new Set(all.map(({ date }) => date.slice(0, 7)))].slice(-shownMonths);
  const days = all.filter(({ date }) => date.slice(0, 7) >= (months[0] ?? ""));
  const before = chapter.backups.filter(({ entry, trouble }) => trouble === null && dateOf(entry.createdAt) < (days[0]?.date ?? "")).length;
  const goodCount = days.filter((day) => day.goodCount > 0).length;
  const badCount = days.filter((day) => day.goodCount === 0 && day.badCount > 0).length;
  const label = `Calendar of ${titleOf(chapter)}: of ${amount(days.length, "day")} ${goodCount} have a restore point, ${badCount} only backups that cannot be restored`;
  const older = before === 0 ? null : html` Before these months there are ${amount(before, "restore point")} more.`;
  const hasGaps = days.length > goodCount + badCount;
  const legend = html`${glyph("full")} has a restore point${hasGaps ? html`; ${glyph("none")} none of its own: the newest before it stands` : null}${badCount > 0 ? html`; ${glyph("bad")} only what cannot be restored` : null}.${older}`;
  return days.length === 0 ? html`` : figure(`${id}-days`, { title: "What can be restored, for each day", legend, drawing: calendar(days, label) });
}

function sizesFigure({ chapter, id }: SectionRequest, span: Span): Html {
  const backups = chapter.backups.slice(-shownCount);
  const range = (kind: string): string => rangeText(backups.filter(({ entry }) => entry.kind === kind).map(({ entry }) => entry.messageBytes), formats.size);
  const label = `Sizes in the store of ${titleOf(chapter)}: fulls ${range("full")}, incrementals ${range("incremental")}`;
  const legend = html`${glyph("full")} full: ${range("full")}; ${glyph("ring")} incremental: ${range("incremental")}. The scale is logarithmic.`;
  return figure(`${id}-sizes`, { title: "Sizes in the store", legend, drawing: sizes(backups, span, label) });
}

function runFigures({ chapter, id }: SectionRequest, span: Span): Html {
  const runs = chapter.runs.slice(-shownCount);
  const rates = runs.flatMap((run) => rateOf(run) ?? []);
  const stops = runs.flatMap(({ downtimeMs }) => (downtimeMs === null ? [] : [downtimeMs / 1000]));
  const [rateRange, stopRange] = [rangeText(rates, formats.rate), rangeText(stops, formats.seconds)];
  const legend = html`${glyph("full")} full; ${glyph("ring")} incremental. Bytes of the stream over the time of the run: ${rateRange}`;
  const speed = figure(`${id}-rate`, { title: "Throughput", legend, drawing: throughput(runs, span, `Throughput of ${titleOf(chapter)}: ${rateRange}`) });
  const stop = figure(`${id}-stop`, { title: "Downtime", legend: html`How long services were stopped: ${stopRange}`, drawing: downtime(runs, span, `Downtime of ${titleOf(chapter)}: ${stopRange}`) });
  return html`${rates.length === 0 ? null : speed}${stops.length === 0 ? null : stop}`;
}

function costFigure({ chapter, id }: SectionRequest): Html | null {
  if (chapter.backups.length === 0) return null;
  return html`<div class="cost"><h3 id="${id}-cost">Estimated cost</h3>
${costTable(titleOf(chapter), estimatesOf(chapter))}</div>
`;
}
