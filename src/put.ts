/**
 * `zferry put`: stores a stream that someone else sends, as it is. Who it is and what it starts from is read from the
 * stream's own records.
 */
import type { ByteSource } from "./bytes.ts";
import type { Cargo, FerryProgress, FerrySettings } from "./cargo.ts";
import { fetchManifest, readCatalog } from "./catalog.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import { ferry } from "./ferry.ts";
import type { Manifest } from "./format/manifest.ts";
import type { Store } from "./store/store.ts";
import type { BeginFacts } from "./stream/inspect.ts";
import { datasetOf, type Guid, type SnapshotName } from "./zfs/names.ts";

export interface PutRequest {
  readonly store: Store;
  readonly backup: SnapshotName;
  /** Must obey the signal, and throw rather than end when the stream is not whole. */
  readonly open: (signal: AbortSignal) => ByteSource;
  readonly settings: FerrySettings;
  readonly stateDir: string | null;
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
    baseBackup: (guid) => catalog.backups.find((entry) => entry.guid === guid)?.backup ?? null,
    createTxg: null,
    flags: null,
  };
  return ferry(store, cargo, settings, progress, signal);
}

/** `zfs send -t` continues what one receiver has half received; no one else can receive it (`docs/format.md`). */
function refuseContinuation({ resuming, toName }: BeginFacts): void {
  if (!resuming) return;
  throw new ZferryError("stream-invalid", `the stream of "${toName}" continues an interrupted receive (zfs send -t)`, {
    hint: "send the whole snapshot: only the half-finished receive it was made for could use this one",
  });
}

/**
 * Refuses a name under which a backup exists already, before anything is sent.
 *
 * @throws ZferryError `backup-conflict`
 */
export async function refuseTakenName(
  store: Store,
  backup: SnapshotName,
  guid: Guid | null,
  signal: AbortSignal,
): Promise<void> {
  const taken = await manifestIfAny(store, backup, signal);
  if (taken === null) return;
  const same = taken.snapshot.guid === guid;
  throw new ZferryError(
    "backup-conflict",
    same
      ? `"${backup}" is in the store already, with the same guid ${taken.snapshot.guid}`
      : `"${backup}" is in the store already, with guid ${taken.snapshot.guid} and not ${guid ?? "this one"}`,
    { hint: same ? "nothing has to be done" : "store it under another name; a backup is never overwritten" },
  );
}

async function manifestIfAny(store: Store, backup: SnapshotName, signal: AbortSignal): Promise<Manifest | null> {
  try {
    return (await fetchManifest(store, backup, signal)).manifest;
  } catch (error) {
    if (isZferryError(error, "backup-not-found")) return null;
    throw error;
  }
}
