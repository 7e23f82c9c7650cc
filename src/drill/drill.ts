/**
 * One drill: a backup by lot, restored as a restore does it, looked at, and taken away again.
 *
 *   catalog → lot → place → verify at level receive (chain, guid, sample) → away → report
 *
 * The restore and what is looked at in it are those of `verify --level receive`; so what a drill finds is remembered by
 * `list` and `status` as well. Whatever goes wrong is in the report, with its name; only a run that is stopped has none.
 */
import { readCatalog } from "../catalog.ts";
import type { DrillReport } from "../drills.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { chainTo } from "../format/chain.ts";
import type { BackupEntry } from "../format/entry.ts";
import type { ReadOptions } from "../get.ts";
import { readStoreState } from "../state.ts";
import type { Store } from "../store/store.ts";
import type { Sample } from "../verify/sample.ts";
import { type VerifiedBackup, verify, type VerifyRequest } from "../verify/verify.ts";
import type { Zfs } from "../zfs/command.ts";
import { type DatasetName, datasetOf, type SnapshotName } from "../zfs/names.ts";
import { candidatesIn, pick } from "./pick.ts";
import { type Place, withPlace } from "./place.ts";

export interface DrillRequest extends ReadOptions {
  readonly store: Store;
  readonly zfs: Zfs;
  readonly stateDir: string;
  /** Null for datasets that are of no job. */
  readonly job: string | null;
  /** Which of the datasets in the store are in question. */
  readonly selects: (datasets: readonly DatasetName[]) => readonly DatasetName[];
  /** This one instead of a lot; null for a lot. */
  readonly backup: SnapshotName | null;
  /** The dataset below which to restore; null for a pool in a file. */
  readonly into: DatasetName | null;
  /** Files to read in what was restored; 0 for none. */
  readonly sampleCount: number;
  /** Decides backup and files. */
  readonly seed: string;
  readonly now: () => Date;
  /** Told when it is known what is tried. */
  readonly onPlan: (plan: DrillPlan) => void;
}

export interface DrillPlan {
  readonly backup: SnapshotName;
  readonly chain: readonly BackupEntry[];
  readonly candidateCount: number;
  readonly place: Place;
}

export interface DrillOutcome {
  readonly report: DrillReport;
  /** Why it failed; null when it passed. */
  readonly error: ZferryError | null;
}

type Facts = { -readonly [Name in keyof DrillReport]: DrillReport[Name] };

/** @throws `signal.reason`, after everything it made was taken away; every other failure is an outcome */
export async function drill(request: DrillRequest): Promise<DrillOutcome> {
  const { job, seed, store, now, signal } = request;
  const startedAt = now();
  const facts: Facts = {
    ...{ job, seed, storeUrl: store.url, startedAt, endedAt: startedAt, outcome: "failed", candidateCount: 0, dataset: null, backup: null },
    ...{ chain: [], guid: null, streamBytes: null, fetchedBytes: 0, place: null, restoreSeconds: null, sample: null, findings: [], error: null, isClean: true },
  };
  const error = await attempt(request, facts).catch((reason: unknown) => {
    signal.throwIfAborted();
    if (isZferryError(reason)) return reason;
    throw reason;
  });
  const told = error === null ? null : { code: error.code, message: error.message, hint: error.hint };
  return { error, report: { ...facts, endedAt: now(), outcome: error === null ? "passed" : "failed", error: told } };
}

/** The report of a drill that could not begin: its store cannot be opened, say. */
export function failedDrill({ job, storeUrl, seed, at }: { job: string | null; storeUrl: string; seed: string; at: Date }, error: ZferryError): DrillOutcome {
  const { code, message, hint } = error;
  const report: DrillReport = {
    ...{ job, seed, storeUrl, startedAt: at, endedAt: at, outcome: "failed", candidateCount: 0, dataset: null, backup: null },
    ...{ chain: [], guid: null, streamBytes: null, fetchedBytes: 0, place: null, restoreSeconds: null, sample: null, findings: [], error: { code, message, hint }, isClean: true },
  };
  return { error, report };
}

/** Notes in `facts` what comes to be known. @returns why it failed, or null */
async function attempt(request: DrillRequest, facts: Facts): Promise<ZferryError | null> {
  const { zfs, stateDir, into, signal } = request;
  const { backup, candidateCount, chain } = await choose(request);
  Object.assign(facts, { backup, dataset: datasetOf(backup), candidateCount });
  if (typeof chain === "string") {
    await lookAt(request, facts, backup, null);
    return failureOf(facts) ?? new ZferryError("backup-not-found", `"${backup}" cannot be restored: ${chain}`, { hint: "make a new full while the data is there" });
  }
  facts.chain = chain.map((one) => one.backup);
  facts.streamBytes = chain.reduce((sum, { streamBytes }) => sum + streamBytes, 0);
  facts.guid = String(chain[chain.length - 1]?.guid ?? "");
  const onGone = (): void => {
    facts.isClean = true;
  };
  await withPlace({ zfs, stateDir, parent: into, chain, onGone, signal }, async (place) => {
    facts.place = place;
    facts.isClean = false;
    request.onPlan({ backup, chain, candidateCount, place });
    await lookAt(request, facts, backup, place);
  });
  return failureOf(facts);
}

interface Choice {
  readonly backup: SnapshotName;
  readonly candidateCount: number;
  /** Or why there is no way to it. */
  readonly chain: readonly BackupEntry[] | string;
}

/** @throws ZferryError `backup-not-found` when there is nothing to choose from */
async function choose({ store, stateDir, warn, signal, selects, seed, ...wanted }: DrillRequest): Promise<Choice> {
  const catalog = await readCatalog(store, { dataset: null, stateDir, warn, signal });
  const candidates = candidatesIn(catalog, await readStoreState(stateDir, store.url, () => undefined), selects);
  const backup = wanted.backup ?? pick(candidates, seed);
  if (backup === null || !candidates.includes(backup)) {
    const what = wanted.backup === null ? `no backup${wanted.job === null ? "" : ` of job "${wanted.job}"`}` : `no backup "${wanted.backup}"`;
    throw new ZferryError("backup-not-found", `there is ${what} in "${store.url}"`, { hint: "`zferry list` shows what there is" });
  }
  const entry = catalog.backups.find((one) => one.backup === backup);
  const chain = entry === undefined ? "its manifest is gone or cannot be read" : chainTo(entry, catalog);
  return { backup, candidateCount: candidates.length, chain };
}

/** Restores it where there is a place for it; otherwise looks for what is wrong with it. Throws what kept it from doing so. */
async function lookAt(request: DrillRequest, facts: Facts, backup: SnapshotName, place: Place | null): Promise<void> {
  const { zfs, sampleCount, seed } = request;
  const found: VerifiedBackup[] = [];
  const scratch: VerifyRequest["scratch"] = place === null ? null : {
    zfs,
    into: place.into,
    sample: sampleCount === 0 ? null : { fileCount: sampleCount, seed, isReadAnyway: true },
    onSample: ({ files, obstacle }: Sample) => {
      facts.sample = { files: [...files], obstacle };
    },
    onReceived: (seconds) => {
      facts.restoreSeconds = seconds;
    },
  };
  const scope = { kind: "snapshot", name: backup } as const;
  const onBackup = (one: VerifiedBackup): void => void found.push(one);
  await verify({ ...request, scope, level: place === null ? "exists" : "receive", budgetBytes: null, scratch, onBackup });
  const [result] = found.filter((one) => one.backup === backup);
  if (result === undefined) throw new ZferryError("backup-not-found", `"${backup}" was removed while it was tried`, { hint: "drill again" });
  facts.fetchedBytes = result.bytes;
  facts.findings = result.findings.map(({ kind, message }) => ({ kind, message }));
  if (result.findings.length === 0 && result.obstacle !== null) throw result.obstacle;
}

function failureOf({ backup, findings, place, restoreSeconds }: Facts): ZferryError | null {
  const [first, ...more] = findings;
  if (first === undefined) {
    if (place === null || restoreSeconds !== null) return null;
    return new ZferryError("bug", `"${backup ?? ""}" was found right and yet not received`);
  }
  const others = more.length === 0 ? "" : ` (and ${more.length} more)`;
  return new ZferryError("findings", `"${backup ?? ""}" cannot be restored as it was: ${first.kind}: ${first.message}${others}`, {
    hint: "restore it from another copy; make a new full while the data is there",
  });
}
