/** What the plots show, as tables: to be read where a plot cannot be, and to be searched and copied. */
import { formatSize } from "../bytes.ts";
import type { RunRecord } from "../history.ts";
import { pricesReadOn } from "../bench/scale-prices.ts";
import type { LastVerified } from "../verified.ts";
import { shortNameOf } from "../zfs/names.ts";
import type { Estimate } from "./cost.ts";
import { dateOf, type Stretch } from "./days.ts";
import { type Backup, shownCount } from "./evidence.ts";
import { type Content, type Html, html } from "./html.ts";
import { formats, rateOf } from "./plots.ts";
import { amount, dollars, minuteOf } from "./words.ts";

interface Column<T> {
  readonly head: string;
  readonly isNumber?: boolean;
  readonly of: (row: T) => Content;
}

/** The first column names its row. @param caption - unique in the page: it is what a screen reader calls the table */
export function table<T>(caption: string, columns: readonly Column<T>[], rows: readonly T[]): Html {
  const classOf = ({ isNumber = false }: Column<T>): Html | null => (isNumber ? html` class="number"` : null);
  const heads = columns.map((column) => html`<th scope="col"${classOf(column)}>${column.head}</th>`);
  const body = rows.map((row) => html`<tr>${columns.map((column, index) => (index === 0 ? html`<th scope="row"${classOf(column)}>${column.of(row)}</th>` : html`<td${classOf(column)}>${column.of(row)}</td>`))}</tr>
`);
  return html`<div class="scroll" role="region" tabindex="0" aria-label="${caption}"><table><caption>${caption}</caption><thead><tr>${heads}</tr></thead><tbody>
${body}</tbody></table></div>`;
}

/** Closed until somebody opens it, with the keyboard too. */
function folded(title: string, count: number, content: Html): Html {
  return html`<details><summary>${title} <span class="aside">(${amount(count, "row")})</span></summary>${content}</details>
`;
}

function cutText(total: number): Html | null {
  return total > shownCount ? html`<p class="aside">The newest ${amount(shownCount, "row")} of ${total.toLocaleString("en-US")}.</p>` : null;
}

export function verifiedText(verified: LastVerified | null): string {
  if (verified === null) return "never";
  return `${verified.level}, ${dateOf(verified.at)}${verified.ok ? "" : `: ${amount(verified.findingCount, "finding")}`}`;
}

/** Beside the timeline and the sizes. */
export function backupsTable(of: string, backups: readonly Backup[]): Html {
  const rows = backups.slice(-shownCount).reverse();
  const columns: Column<Backup>[] = [
    { head: "Taken (UTC)", of: ({ entry }) => minuteOf(entry.createdAt) },
    { head: "Snapshot", of: ({ entry }) => shortNameOf(entry.backup) },
    { head: "Kind", of: ({ entry }) => entry.kind },
    { head: "Anchor", of: (backup) => anchorText(backup) },
    { head: "Stored", isNumber: true, of: ({ entry }) => formatSize(entry.messageBytes) },
    { head: "Verified", of: ({ verified }) => verifiedText(verified) },
    { head: "Can be restored", of: ({ trouble }) => (trouble === null ? "yes" : html`<b>no:</b> ${trouble}`) },
  ];
  return folded("All backups as a table", backups.length, html`${cutText(backups.length)}${table(`Backups of ${of}`, columns, rows)}`);
}

/** What an incremental is against: the snapshot alone where it is one of the same dataset. */
function anchorText({ entry, chain }: Backup): string {
  if (entry.base === null) return "–";
  const base = chain.at(-2)?.backup ?? entry.base.backup;
  return base === null ? `guid ${entry.base.guid}` : base.startsWith(entry.backup.slice(0, entry.backup.indexOf("@") + 1)) ? shortNameOf(base) : base;
}

/** Beside throughput and downtime. */
export function runsTable(of: string, runs: readonly RunRecord[]): Html {
  const rows = runs.slice(-shownCount).reverse();
  const seconds = ({ startedAt, endedAt }: RunRecord): number => Math.max(0, (endedAt.getTime() - startedAt.getTime()) / 1000);
  const columns: Column<RunRecord>[] = [
    { head: "Started (UTC)", of: ({ startedAt }) => minuteOf(startedAt) },
    { head: "Outcome", of: ({ outcome }) => (outcome === "failed" ? html`<b>failed</b>` : outcome) },
    { head: "Kind", of: ({ kind }) => kind ?? "–" },
    { head: "Took", isNumber: true, of: (run) => formats.seconds(seconds(run)) },
    { head: "Stream", isNumber: true, of: ({ streamBytes }) => (streamBytes === null ? "–" : formatSize(streamBytes)) },
    { head: "Throughput", isNumber: true, of: (run) => rateText(rateOf(run)) },
    { head: "Downtime", isNumber: true, of: ({ downtimeMs }) => (downtimeMs === null ? "–" : formats.seconds(downtimeMs / 1000)) },
    { head: "Why it failed or was skipped", of: ({ error }) => error?.message ?? "" },
  ];
  return folded("All runs as a table", runs.length, html`${cutText(runs.length)}${table(`Runs of ${of}`, columns, rows)}`);
}

function rateText(rate: number | null): string {
  return rate === null ? "–" : formats.rate(rate);
}

/** Beside the calendar. */
export function daysTable(of: string, stretches: readonly Stretch[]): Html {
  const columns: Column<Stretch>[] = [
    { head: "From", of: ({ from }) => from },
    { head: "To", of: ({ to }) => to },
    { head: "Days", isNumber: true, of: ({ dayCount }) => dayCount },
    { head: "Restore points", isNumber: true, of: ({ goodCount }) => goodCount },
    { head: "What can be restored", of: (stretch) => stretchText(stretch) },
  ];
  return folded("Day by day as a table", stretches.length, html`${cutText(stretches.length)}${table(`Restorable days of ${of}`, columns, stretches.slice(-shownCount).reverse())}`);
}

function stretchText({ goodCount, badCount, fallback }: Stretch): string {
  const broken = badCount > 0 ? `${amount(badCount, "backup")} cannot be restored` : null;
  const what = goodCount > 0 ? "the state of each day" : fallback === null ? "nothing" : `the state of ${fallback}`;
  return broken === null ? what : `${what}; ${broken}`;
}

export function costTable(of: string, estimates: readonly Estimate[]): Html {
  const columns: Column<Estimate>[] = [
    { head: "Provider", of: ({ list, isOwn }) => html`${list.name}${isOwn ? html` <b>(its store)</b>` : null}` },
    { head: "Storage, a month", isNumber: true, of: ({ storageUsdPerMonth }) => dollars(storageUsdPerMonth) },
    { head: "Restoring the newest", isNumber: true, of: ({ restoreUsd }) => (restoreUsd === null ? "–" : dollars(restoreUsd)) },
  ];
  return table(`Cost of ${of}, in US dollars at the list prices of ${pricesReadOn}`, columns, estimates);
}
