/**
 * `zferry put`: stores a stream that someone else sends, as it is. Who it is and what it starts from is read from the
 * stream's own records.
 */
import { alone, type Guard, unguarded } from "./alone.ts";
import { type Attempt, attemptOf, beginAttempt, misfitOf, newKeys } from "./attempt.ts";
import type { ByteSource } from "./bytes.ts";
import type { Cargo, FerryProgress, FerrySettings } from "./cargo.ts";
import { readCatalog } from "./catalog.ts";
import { rememberWritten } from "./catalog-cache.ts";
import { giveUp, manifestOf } from "./commit.ts";
import { ZferryError } from "./errors.ts";
import { ferry } from "./ferry.ts";
import { attemptPrefix } from "./format/layout.ts";
import type { Manifest } from "./format/manifest.ts";
import { Journal } from "./journal.ts";
import type { Store } from "./store/store.ts";
import type { BeginFacts } from "./stream/inspect.ts";
import { refuseTakenName } from "./taken-name.ts";
import { removeUnfinished } from "./unfinished.ts";
import { datasetOf, type SnapshotName } from "./zfs/names.ts";

export interface PutRequest {
  readonly store: Store;
  readonly backup: SnapshotName;
  /** Must obey the signal, and throw rather than end when the stream is not whole. */
  readonly open: (signal: AbortSignal) => ByteSource;
  readonly settings: FerrySettings;
  readonly stateDir: string | null;
  /** How long the lease may go without a renewal; null for no lease (`alone.ts`). */
  readonly leaseMs?: number | null;
  /** Whether the stream is the one an unfinished `put` of this name began with, to be gone on with. */
  readonly isResumed?: boolean;
  readonly progress: FerryProgress;
  readonly signal: AbortSignal;
}

/**
 * Stores one stream, full or incremental, single or compound.
 *
 * @throws ZferryError `stream-invalid` for what is not a whole replay stream or can only be received as a continuation;
 * `backup-conflict` when the name is taken; the codes of `ferry`
 */
export async function put(request: PutRequest): Promise<Manifest> {
  const { stateDir, leaseMs = null } = request;
  if (stateDir === null) return run(request, unguarded(request.signal));
  return alone({ ...request, stateDir, leaseMs }, datasetOf(request.backup), (guard) => run({ ...request, signal: guard.signal }, guard));
}

async function run(request: PutRequest, guard: Guard): Promise<Manifest> {
  const { store, backup, open, settings, stateDir, progress, signal } = request;
  const catalog = await readCatalog(store, { dataset: datasetOf(backup), stateDir, warn: progress.warn, signal });
  const cargo: Cargo = {
    backup,
    open,
    expect: {},
    onBegin: async (begin) => {
      refuseContinuation(begin);
      await refuseTakenName(store, backup, begin.toGuid, signal);
    },
    beforeCommit: guard.check,
    onCommitted: (known) => rememberWritten(store, { stateDir, warn: progress.warn }, known),
    isStillAlone: guard.isStillAlone,
    baseBackup: (guid) => catalog.backups.find((entry) => entry.guid === guid)?.backup ?? null,
    createTxg: null,
    flags: null,
  };
  const attempt = await attemptFor(request);
  try {
    const manifest = await ferry(store, { cargo, attempt }, settings, progress, signal);
    await attempt.journal?.remove().catch((error: unknown) => {
      progress.warn(`the backup is stored, but its journal could not be removed: ${(error as Error).message}`);
    });
    return manifest;
  } catch (error) {
    const { journal } = attempt;
    if (journal?.isKept === true) await journal.close();
    else {
      await journal?.remove().catch((failure: unknown) => {
        progress.warn(`the journal of the failed upload could not be removed: ${(failure as Error).message}`);
      });
    }
    throw error;
  }
}

/** The attempt an earlier `put` of this name left unfinished, if it is to be gone on with; otherwise a new one. */
async function attemptFor(request: PutRequest): Promise<Attempt> {
  const { store, backup, settings, stateDir, progress } = request;
  if (stateDir === null) return { ...(await newKeys(settings)), journal: null };
  const owner = { verb: "put", name: backup } as const;
  const left = await Journal.find(stateDir, store.url, owner, (setAside) => {
    progress.warn(`the journal of an unfinished run could not be read; it was set aside as "${setAside}"`);
  });
  try {
    const isGoneOnWith = left !== null && (await takeUp(left, request));
    if (isGoneOnWith) return attemptOf(left);
  } catch (error) {
    await left?.close();
    throw error;
  }
  return beginAttempt(stateDir, owner, settings, { storeUrl: store.url, backup, send: null });
}

/** Whether the attempt of a journal can be gone on with. When not, all that is left of it is gone. */
async function takeUp(left: Journal, { store, backup, settings, isResumed, progress, signal }: PutRequest): Promise<boolean> {
  const { attempt } = left.header;
  if ((await manifestOf(store, backup, attemptOf(left), signal)) !== null) {
    await left.remove(); // killed behind its commit: there is nothing to go on with, and nothing to drop
    return false;
  }
  const misfit = await misfitOf(left, settings);
  if (isResumed === true && misfit === null) {
    await removeUnfinished(store, attemptPrefix(backup, attempt), { warn: progress.warn, signal });
    return true;
  }
  const why = misfit === null ? "; --resume would go on with it" : `: ${misfit}`;
  progress.warn(`an unfinished upload of "${backup}" was dropped${why}`);
  await giveUp(store, backup, { id: attempt, journal: left }, progress.warn);
  await left.close(); // the new one takes its place
  return false;
}

/** `zfs send -t` continues what one receiver has half received; no one else can receive it (`docs/format.md`). */
export function refuseContinuation({ resuming, toName }: BeginFacts): void {
  if (!resuming) return;
  throw new ZferryError("stream-invalid", `the stream of "${toName}" continues an interrupted receive (zfs send -t)`, {
    hint: "send the whole snapshot: only the half-finished receive it was made for could use this one",
  });
}
