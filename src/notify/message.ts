/**
 * A happening made fit to be sent: a title and a text that are short and clean, and the document that programs get.
 *
 * Names and error texts come from pools, stores and servers. Whoever chose them must not add a header to a mail, move a
 * cursor or send ten megabytes to a telephone: everything is cut, and characters that are no text are shown as escapes.
 */
import { hostname } from "node:os";
import type { HappeningKind } from "../config/notify.ts";
import { version } from "../version.ts";
import { visibleLines } from "../visible.ts";
import type { DatasetName } from "../zfs/names.ts";

/** Something worth telling. `recovery` is never told from outside: it follows from a `success`. */
export interface Happening {
  readonly kind: HappeningKind;
  /** Null for what belongs to no job, as a `verify` of a dataset that has none. */
  readonly job: string | null;
  /** Null for the job as a whole. */
  readonly dataset: DatasetName | null;
  readonly at: Date;
  /** What, which dataset, why, and what to do; a line or few. Any length and any characters: it is cut and cleaned. */
  readonly text: string;
  /** Facts for programs, as they go into JSON. A `drill` has `findingCount`. */
  readonly details: Readonly<Record<string, string | number | null>>;
}

/** What is sent. */
export interface Message {
  readonly kind: HappeningKind;
  readonly job: string | null;
  readonly at: Date;
  /** One line. */
  readonly title: string;
  readonly text: string;
  /** Whether somebody has to do something. */
  readonly isBad: boolean;
  /** The whole, as JSON (`docs/json-output.md`). */
  readonly document: string;
}

/** In UTF-8. A telephone shows less, Pushover takes 1,024 characters, ntfy 4,096 bytes. */
const maxTitleBytes = 200;
const maxTextBytes = 1000;
const maxDetailBytes = 500;
const maxDetailCount = 32;
/** Of several happenings in one message. */
const maxListed = 10;
const maxListedBytes = 80;

const words: Readonly<Record<HappeningKind, string>> = {
  start: "backup started",
  success: "backup done",
  failure: "backup failed",
  recovery: "backup works again",
  overdue: "backup overdue",
  drill: "restore drill passed",
  downtime: "services were down for too long",
  disabled: "backup disabled",
};

/** One message of happenings of one kind and job; there is one at least. */
export function messageOf(happenings: readonly [Happening, ...Happening[]]): Message {
  const [first, ...others] = happenings;
  const { kind, job, dataset, at } = first;
  const shownJob = job === null ? null : oneLine(job, maxDetailBytes);
  const isBad = happenings.some(isTrouble);
  const subject = others.length === 0 ? (dataset ?? shownJob ?? "") : `${happenings.length} of ${shownJob === null ? "no job" : `job "${shownJob}"`}`;
  const title = oneLine(`zferry on ${hostname()}: ${kind === "drill" && isBad ? "restore drill failed" : words[kind]}: ${subject}`, maxTitleBytes);
  const text = others.length === 0 ? clean(first.text, maxTextBytes) : listed(happenings);
  const document = JSON.stringify({
    type: "happening",
    version: 1,
    kind,
    job: shownJob,
    dataset: others.length === 0 ? dataset : null,
    at: at.toISOString(),
    host: hostname(),
    zferry: version,
    title,
    text,
    isBad,
    details: others.length === 0 ? detailsOf(first) : { count: happenings.length, datasets: datasetsOf(happenings) },
  });
  return { kind, job: shownJob, at, title, text, isBad, document };
}

/** Whether somebody has to do something. */
export function isTrouble({ kind, details }: Happening): boolean {
  if (kind === "drill") return details.findingCount !== 0;
  return kind !== "start" && kind !== "success" && kind !== "recovery";
}

/** A line each, as far as they go. */
function listed(happenings: readonly Happening[]): string {
  const lines = happenings.slice(0, maxListed).map(({ dataset, text }) => {
    const [line = ""] = text.slice(0, maxTextBytes).split("\n", 1);
    return oneLine(dataset === null || line.includes(dataset) ? line : `${dataset}: ${line}`, maxListedBytes);
  });
  const moreCount = happenings.length - lines.length;
  return (moreCount === 0 ? lines : [...lines, `and ${moreCount} more: see zferry status`]).join("\n");
}

function datasetsOf(happenings: readonly Happening[]): string[] {
  return happenings.slice(0, maxDetailCount).flatMap(({ dataset }) => (dataset === null ? [] : [dataset]));
}

function detailsOf({ details }: Happening): Record<string, string | number | null> {
  const few = Object.entries(details).slice(0, maxDetailCount);
  return Object.fromEntries(few.map(([name, value]) => [name, typeof value === "string" ? clean(value, maxDetailBytes) : value]));
}

/** Cut to so many bytes of UTF-8, between characters; what is no text is shown as an escape. */
export function clean(text: string, maxBytes: number): string {
  const few = text.slice(0, maxBytes); // no character has less than a byte
  const shown = visibleLines(few.replaceAll("\r\n", "\n"));
  const bytes = Buffer.from(shown); // what is half a surrogate pair becomes U+FFFD
  if (bytes.length <= maxBytes && text.length <= maxBytes) return bytes.toString();
  const ellipsis = "…";
  let end = Math.min(bytes.length, maxBytes - Buffer.byteLength(ellipsis));
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return `${bytes.subarray(0, end).toString()}${ellipsis}`;
}

/** The same as one line. */
export function oneLine(text: string, maxBytes: number): string {
  return clean(clean(text, maxBytes).replaceAll("\n", " "), maxBytes);
}
