/**
 * `zferry verify`: is what the store holds still what was stored, and could it be restored?
 *
 *   catalog → survey (every backup, no chunk read) → order by need → read each while the budget lasts → remember
 *
 * It runs to the end over all backups, whatever it finds. What it finds is a result and not an error; only what keeps it
 * from looking (a store or a pool that fails) ends the run. What was verified until then is remembered all the same.
 */
import { readCatalog } from "../catalog.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { chainTo } from "../format/chain.ts";
import { manifestKey } from "../format/layout.ts";
import type { ReadOptions } from "../get.ts";
import { readStoreState, type StoreState, updateStoreState } from "../state.ts";
import type { Store } from "../store/store.ts";
import { lastVerified, verifiedAt, type VerifyLevel, withResult } from "../verified.ts";
import { Budget, totalWithin, byNeed, type Candidate } from "./budget.ts";
import type { Finding } from "./findings.ts";
import { hasKey, readBackup, type Reading } from "./read.ts";
import { checkScratch, type Scratch } from "./receive.ts";
import { type Survey, survey, type Surveyed, type VerifyScope } from "./survey.ts";
import type { SnapshotName } from "../zfs/names.ts";

export type { VerifyScope };

export interface VerifyRequest extends ReadOptions {
  readonly store: Store;
  readonly scope: VerifyScope;
  /** Null for the highest that needs no pool: `stream` with a key, `digest` without. */
  readonly level: VerifyLevel | null;
  /** Bytes of chunks to read, at least one backup's; null for all. */
  readonly budgetBytes: number | null;
  /** For level `receive`, and only for it. */
  readonly scratch: Scratch | null;
  readonly stateDir: string;
  readonly now: () => Date;
  /** Told of each backup when all is known of it. */
  readonly onBackup: (result: VerifiedBackup) => void;
  /** What will be read, as far as it is known beforehand; before the first byte. */
  readonly onTotal?: (bytes: number) => void;
}

export interface VerifiedBackup extends Reading {
  readonly backup: SnapshotName;
}

export interface Verification {
  /** The level that was wanted. */
  readonly level: VerifyLevel;
  readonly backups: readonly VerifiedBackup[];
  /** About objects that are of no backup. */
  readonly findings: readonly Finding[];
}

/** The level for a request that names none. */
export function defaultLevel({ keyring }: Pick<ReadOptions, "keyring">): VerifyLevel {
  return hasKey(keyring) ? "stream" : "digest";
}

/**
 * @throws ZferryError `backup-not-found` when the scope names something that is not there; the store's codes; for level
 * `receive` those of `checkScratch`, and zfs' codes that say nothing of the backup
 */
export async function verify(request: VerifyRequest): Promise<Verification> {
  const { store, scope, stateDir, warn, signal, onBackup } = request;
  const level = request.level ?? defaultLevel(request);
  if (level !== "exists" && !hasKey(request.keyring)) {
    warn(
      "no passphrase and no private key is given: the levels stream and receive cannot be done for backups that are locked, and the seals of their manifests are not checked",
    );
  }
  if (level === "receive") await checkScratch(scratchOf(request), signal);
  const catalog = await readCatalog(store, { dataset: null, stateDir, warn, signal });
  const state = await readStoreState(stateDir, store.url, () => undefined);
  const surveyed = await survey(store, { scope, catalog, state, signal });
  const results: VerifiedBackup[] = [];
  const tell = (result: VerifiedBackup): void => {
    results.push(result);
    onBackup(result);
  };
  await remember(request, state, surveyed.backups.map(asSurveyed));
  const candidates = level === "exists" ? [] : candidatesIn(surveyed, { level, state, hasKey: hasKey(request.keyring) });
  const waiting = new Set(candidates.map(({ entry: { backup } }) => backup));
  for (const one of surveyed.backups) if (!waiting.has(one.backup)) tell(asSurveyed(one));
  try {
    await readAll({ ...request, level }, { candidates, surveyed, state }, (backup, result) => {
      waiting.delete(backup);
      if (result !== null) tell(result);
    });
  } finally {
    for (const one of surveyed.backups) if (waiting.has(one.backup)) tell(asSurveyed(one));
    warnOfUnread(state, results, warn);
  }
  return { level, backups: results, findings: surveyed.findings };
}

interface Plan {
  /** In the order in which they are to be read. */
  readonly candidates: readonly Candidate[];
  readonly surveyed: Survey;
  readonly state: StoreState;
}

/** Reads as many as the budget allows; `onRead` gets null for one that was removed meanwhile. */
async function readAll(
  request: VerifyRequest & { readonly level: VerifyLevel },
  { candidates, surveyed: { backups, usable }, state }: Plan,
  onRead: (backup: SnapshotName, result: VerifiedBackup | null) => void,
): Promise<void> {
  const findingsOf = new Map(backups.map(({ backup, findings }) => [backup, findings]));
  const budget = new Budget(request.budgetBytes);
  request.onTotal?.(totalWithin(candidates.map(({ costBytes }) => costBytes), request.budgetBytes));
  for (const { entry, costBytes } of candidates) {
    if (!budget.allows(costBytes)) return;
    const { backup } = entry;
    const reading = await readBackup(request, entry, { findings: findingsOf.get(backup) ?? [], usable });
    const result = reading === null ? null : { backup, ...reading };
    if (result === null) request.warn(`"${backup}" was removed while it was being verified`);
    else {
      budget.spend(result.bytes);
      await remember(request, state, [result]);
    }
    onRead(backup, result);
  }
}

function scratchOf({ scratch }: VerifyRequest): Scratch {
  if (scratch !== null) return scratch;
  throw new ZferryError("usage", "level receive needs a dataset to receive into", { hint: "name one that does not exist yet with --into" });
}

/** The backups that can be read, in the order of {@link byNeed}. */
function candidatesIn(
  { backups, usable }: Survey,
  { level, state, hasKey: isKeyed }: { level: VerifyLevel; state: StoreState; hasKey: boolean },
): Candidate[] {
  const candidates = backups.flatMap(({ entry }): Candidate[] => {
    if (entry === null) return [];
    const key = manifestKey(entry.backup);
    // Without a key the digests are what is done, so they are what counts.
    const when = verifiedAt(state.verified?.[key], state.manifests[key]?.etag ?? null, isKeyed ? level : "digest");
    const chain = level === "receive" ? chainTo(entry, usable) : [entry];
    const read = typeof chain === "string" ? [entry] : chain;
    return [{ entry, costBytes: read.reduce((sum, { messageBytes }) => sum + messageBytes, 0), verifiedAt: when }];
  });
  return candidates.sort(byNeed);
}

function asSurveyed({ backup, findings, obstacle }: Surveyed): VerifiedBackup {
  return { backup, level: "exists", findings, obstacle, isSealChecked: false, bytes: 0 };
}

/** A finding of an earlier night is not gone because this night did not look. */
function warnOfUnread({ verified = {}, manifests }: StoreState, results: readonly VerifiedBackup[], warn: (text: string) => void): void {
  const bad = results.filter(({ backup, level }) => {
    if (level !== "exists") return false;
    const key = manifestKey(backup);
    const etag = manifests[key]?.etag ?? "";
    return lastVerified(withResult(verified[key], "exists", { etag, at: new Date(0), findings: [] }), etag)?.ok === false;
  });
  if (bad.length > 0) warn(`not read this time, and found damaged the last time: "${bad.map(({ backup }) => backup).join('", "')}"`);
}

/** Keeps the results of backups whose manifests are there; all others' results are forgotten. */
async function remember({ store, stateDir, now, warn }: VerifyRequest, known: StoreState, results: readonly VerifiedBackup[]): Promise<void> {
  const at = now();
  try {
    await updateStoreState(stateDir, store.url, (state) => {
      const kept = Object.entries(state.verified ?? {}).filter(([key]) => key in state.manifests);
      const verified = Object.fromEntries(kept);
      for (const { backup, level, findings, obstacle } of results) {
        const key = manifestKey(backup);
        const etag = known.manifests[key]?.etag;
        if (etag === undefined || !(key in state.manifests) || (obstacle !== null && level === "exists")) continue;
        const lines = findings.map(({ kind, message }) => `${kind}: ${message}`);
        verified[key] = withResult(verified[key], level, { etag, at, findings: lines });
      }
      state.verified = verified;
    });
  } catch (error) {
    if (!isZferryError(error, "config-invalid")) throw error;
    warn(`the results could not be remembered: ${error.message}`);
  }
}
