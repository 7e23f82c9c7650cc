/**
 * Where the files of a dataset and the lists of them lie in a store: the keys of `docs/format.md` § Files, made and parsed
 * in this file alone.
 */
import { createHash } from "node:crypto";
import { parseDatasetName, type DatasetName } from "../zfs/names.ts";
import { pathText } from "./file-path.ts";

export const listsPrefix = "file-lists/";
const objectsPrefix = "files/";

/** Names of jobs and paths of files that are longer as text, in characters, are known by their SHA-256: a key has 1,024 bytes. */
const maxJobChars = 128;
const maxPathChars = 512;

/** Whose files: a job's, of one dataset. */
export interface FilesPlace {
  readonly job: string;
  readonly dataset: DatasetName;
}

/** `000017-20261121T074200Z-1a2b3c`: number, time and lot, so that runs sort as they were made, whatever the clock said. */
export type RunId = string;

/** Of runs: theirs have six digits. */
export const maxNumber = 999_999;

const runPattern = /^(\d{6})-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[0-9a-f]{6}$/;

/** @param lot - six hex digits that keep apart what is made of one number */
export function runId(number: number, at: Date, lot: string): RunId {
  return `${String(number).padStart(6, "0")}-${at.toISOString().replace(/\.\d+/, "").replaceAll(/[-:]/g, "")}-${lot}`;
}

export function isRunId(text: string): text is RunId {
  return runPattern.test(text);
}

export function numberOf(run: RunId): number {
  return Number(run.slice(0, 6));
}

/** When it began, by its host's clock. */
export function timeOf(run: RunId): Date {
  const [, , ...parts] = runPattern.exec(run) ?? [];
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts.map(Number);
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second));
}

/** `list`: what a run has stored. `begun`: it is at work, or was killed. `dropped`: what is to go with a list that has gone. */
export type ListKind = "list" | "begun" | "dropped";

const endings: Readonly<Record<ListKind, string>> = { list: ".jsonl", begun: ".begun", dropped: ".dropped" };

function jobText(job: string): string {
  return shortened(pathText(Buffer.from(job)).replaceAll("/", "%2F").replace(/^\.{1,2}$/, (dots) => dots.replaceAll(".", "%2E")), maxJobChars);
}

/** `~` is in no text of a path. */
function shortened(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : `~${createHash("sha256").update(text).digest("hex")}`;
}

/** Of the lists of one job. */
export function listsOfJob(job: string): string {
  return `${listsPrefix}${jobText(job)}/`;
}

/** Of the lists of one job and dataset, not of those below it. */
export function listsOf({ job, dataset }: FilesPlace): string {
  return `${listsOfJob(job)}${dataset}@`;
}

export function listKey(place: FilesPlace, run: RunId, kind: ListKind = "list"): string {
  return `${listsOf(place)}${run}${endings[kind]}`;
}

export interface ListName {
  readonly dataset: DatasetName;
  readonly run: RunId;
  readonly kind: ListKind;
}

/** What a key below {@link listsOfJob} names; null for one that is not ours. */
export function listNameOf(job: string, key: string): ListName | null {
  const prefix = listsOfJob(job);
  const [, name = "", run = "", ending = ""] = /^(.*)@([^@.]*)(\.[a-z]+)$/.exec(key.slice(prefix.length)) ?? [];
  const kind = (Object.keys(endings) as ListKind[]).find((one) => endings[one] === ending);
  if (!key.startsWith(prefix) || kind === undefined || !isRunId(run)) return null;
  try {
    return { dataset: parseDatasetName(name), run, kind };
  } catch {
    return null;
  }
}

/** Of everything that one run has sent. */
export function objectsOf({ job, dataset }: FilesPlace, run: RunId): string {
  return `${objectsPrefix}${jobText(job)}/${dataset}@${run}/`;
}

/** @param path - as text (`pathText`), of the name the file had when it was sent */
export function objectKey(place: FilesPlace, run: RunId, path: string): string {
  return `${objectsOf(place, run)}${shortened(path, maxPathChars)}`;
}
