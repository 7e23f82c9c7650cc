/** Jobs, runs and stores as tests of the status make them up. */
import type { JobSettings } from "../../src/config/jobs.ts";
import { parseConfig } from "../../src/config/config.ts";
import type { RunRecord } from "../../src/history.ts";
import { parseDatasetName, parseSnapshotName } from "../../src/zfs/names.ts";

export const now = new Date("2026-11-21T12:00:00Z");
export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;
export const home = parseDatasetName("tank/home");

export function ago(ms: number): Date {
  return new Date(now.getTime() - ms);
}

/** A job as a configuration makes it. @param lines - of YAML, below the job */
export function jobOf(...lines: readonly string[]): JobSettings {
  const some = lines.length === 0 ? ["dataset: tank/home"] : lines;
  const job = parseConfig(`stores: {main: {url: /nowhere}}\njobs:\n  home:\n${some.map((line) => `    ${line}\n`).join("")}`, "x").jobs.get("home");
  if (job === undefined) throw new Error("no job");
  return job;
}

/** @param endedAgoMs - when it ended, before now */
export function runOf(endedAgoMs: number, some: Partial<RunRecord> & { readonly tookMs?: number } = {}): RunRecord {
  const { tookMs = 60_000, ...rest } = some;
  const isStored = (rest.outcome ?? "stored") === "stored";
  return {
    job: "home",
    dataset: home,
    storeUrl: "file:///nowhere",
    startedAt: ago(endedAgoMs + tookMs),
    endedAt: ago(endedAgoMs),
    outcome: "stored",
    kind: isStored ? "incremental" : null,
    backup: isStored ? parseSnapshotName("tank/home@zferry-1") : null,
    streamBytes: isStored ? 2000 : null,
    storedBytes: isStored ? 1000 : null,
    downtimeMs: null,
    error: rest.outcome === "failed" ? { code: "store-full", message: "no space", hint: "make room" } : null,
    ...rest,
  };
}
