/**
 * The moment a backup begins to exist, and what is done when it does not come to that.
 */
import { type Attempt, attemptOf } from "./attempt.ts";
import { gather } from "./bytes.ts";
import type { Cargo, FerrySettings, Lock } from "./cargo.ts";
import { fetchManifest } from "./catalog.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import type { Event } from "./events.ts";
import { type BackupEntry, entryOf } from "./format/entry.ts";
import { attemptPrefix, manifestKey } from "./format/layout.ts";
import { type ChunkEntry, formatVersion, type Manifest, parseManifest, sealManifest } from "./format/manifest.ts";
import { keyCheck, manifestKey as hmacKey } from "./openpgp/session.ts";
import type { Store, StoredObject } from "./store/store.ts";
import type { StreamFacts } from "./stream/inspect.ts";
import { removeUnfinished } from "./unfinished.ts";
import { version } from "./version.ts";
import type { Guid, SnapshotName } from "./zfs/names.ts";

/** What is told when it exists. */
export function committed({ url }: Pick<Store, "url">, { backup, kind, stream, messageBytes, chunks }: Manifest): Event {
  return { event: "committed", store: url, backup, kind, streamBytes: stream.sizeBytes, storedBytes: messageBytes, chunkCount: chunks.length };
}

/** How long the clean-up after a failure may take before the failure is reported without it. */
const sweepTimeoutMs = 60_000;
/** The same when somebody waits for the end, with a finger on the keys or a shutdown to finish. */
const hurriedSweepTimeoutMs = 3000;

/** What a manifest tells of. */
interface Attempted {
  readonly cargo: Pick<Cargo, "backup" | "createTxg" | "flags" | "baseBackup">;
  readonly settings: Pick<FerrySettings, "packet" | "chunkBytes" | "partBytes">;
  readonly stream: StreamFacts;
  readonly attempt: Pick<Attempt, "id" | "startedAt" | "lock">;
  readonly chunks: ChunkEntry[];
}

/** The manifest of a finished upload. Its kind and base are what the stream itself says. */
export function describe({ cargo, settings, stream, attempt, chunks }: Attempted): Manifest {
  const { toGuid, fromGuid, creationTime } = identityOf(stream);
  const { id, startedAt, lock } = attempt;
  return {
    format: formatVersion,
    backup: cargo.backup,
    kind: fromGuid === null ? "full" : "incremental",
    attempt: id,
    snapshot: { guid: toGuid, createTxg: cargo.createTxg, createdAt: creationTime },
    base: fromGuid === null ? null : { guid: fromGuid, backup: cargo.baseBackup(fromGuid) },
    stream: {
      sizeBytes: stream.sizeBytes,
      recordCount: stream.recordCount,
      kind: stream.kind,
      featureFlags: `0x${stream.featureFlags.toString(16)}`,
      flags: cargo.flags === null ? null : [...cargo.flags],
    },
    encryption: {
      packet: settings.packet,
      sessionKeyPackets: lock === null ? null : lock.packets.toString("base64"),
      keyCheck: lock === null ? null : keyCheck(lock.sessionKey),
    },
    messageBytes: chunks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    chunkBytes: settings.chunkBytes,
    markBytes: settings.partBytes,
    chunks,
    startedAt,
    committedAt: new Date(),
    writer: `zferry ${version}`,
  };
}

/**
 * Which snapshot a stream restores, and what it starts from. A package names its last snapshot and has no guid of its
 * own: of the snapshots of that dataset in it, the first tells the base and the last one the rest.
 */
function identityOf(stream: StreamFacts): { toGuid: Guid; fromGuid: Guid | null; creationTime: Date } {
  const own = stream.snapshots.filter(({ toName }) => datasetPart(toName) === datasetPart(stream.toName));
  const [first, last] = [own[0], own.at(-1)];
  if (first === undefined || last?.toGuid == null) {
    throw new ZferryError("stream-invalid", `the stream holds no snapshot of "${stream.toName}"`, {
      hint: "send one snapshot of one dataset",
    });
  }
  return { toGuid: last.toGuid, fromGuid: first.fromGuid, creationTime: last.creationTime };
}

function datasetPart(name: string): string {
  return name.slice(0, name.indexOf("@"));
}

/**
 * The manifest's file, and its short form. What cannot be read back is never written.
 *
 * @throws ZferryError `bug`
 */
export function sealed(manifest: Manifest, lock: Lock | null): { readonly file: Buffer; readonly entry: BackupEntry } {
  const file = sealManifest(manifest, lock === null ? null : hmacKey(lock.sessionKey));
  try {
    return { file, entry: entryOf(parseManifest(file, manifestKey(manifest.backup), manifest.backup)) };
  } catch (error) {
    throw new ZferryError("bug", `the manifest of "${manifest.backup}" would not be readable: ${(error as Error).message}`, {
      hint: "nothing was committed; please report this with --log-level debug",
      cause: error,
    });
  }
}

/**
 * Writes the manifest, create-only.
 *
 * From here on the chunks are removed only when another manifest is seen in its place: a commit whose answer got lost
 * may have happened, and a manifest without its chunks would be worse than chunks without a manifest.
 *
 * @param file - what `sealed` made of the manifest
 * @returns it as the store has it
 * @throws ZferryError `backup-conflict` when another backup of that name was committed meanwhile; the store's codes
 */
export async function commit(
  store: Store,
  { manifest: { backup }, file, attempt }: { manifest: Manifest; file: Buffer; attempt: Pick<Attempt, "id" | "journal"> },
  warn: (text: string) => void,
  signal: AbortSignal,
): Promise<StoredObject> {
  try {
    return await store.put(manifestKey(backup), file, { when: "create", signal });
  } catch (error) {
    if (!isZferryError(error, "object-exists")) throw error;
    const stored = await storedAs(store, manifestKey(backup), file, signal);
    if (stored !== null) return stored; // by a try whose answer got lost
    await giveUp(store, backup, attempt, warn);
    throw new ZferryError("backup-conflict", `another backup "${backup}" was committed during this run`, {
      hint: "nothing of it was changed; run the backup again under another snapshot",
      cause: error,
    });
  }
}

/** The object, if it is exactly these bytes. */
async function storedAs(store: Store, key: string, bytes: Buffer, signal: AbortSignal): Promise<StoredObject | null> {
  const found = await store.head(key, { signal });
  if (found?.sizeBytes !== bytes.length) return null;
  const tooLong = () => new ZferryError("store-failed", `"${key}" is longer than the store says`);
  return bytes.equals(await gather(store.get(key, { signal }), bytes.length, tooLong)) ? found : null;
}

/**
 * Removes the objects of an attempt that came to nothing, and marks its journal as given up. Whoever owns the journal
 * removes it after all that it stands for, holds and a snapshot included, so that a run killed in between is found by the
 * next one. Never throws: the failure that led here is what counts.
 *
 * Removes nothing of an attempt whose manifest is there: a run that was killed right behind its commit looks unfinished
 * to its journal, and is a backup. When the manifest cannot be looked at, nothing is removed either.
 *
 * @param cause - what ended the attempt; a stop by signal leaves three seconds for this, and what is left to the next run
 */
export async function giveUp(
  store: Store,
  backup: SnapshotName,
  attempt: Pick<Attempt, "id" | "journal">,
  warn: (text: string) => void,
  cause: unknown = null,
): Promise<void> {
  const isHurried = isZferryError(cause, "interrupted", "terminated");
  const signal = AbortSignal.timeout(isHurried ? hurriedSweepTimeoutMs : sweepTimeoutMs);
  const prefix = attemptPrefix(backup, attempt.id);
  try {
    if ((await manifestOf(store, backup, attempt, signal)) === null) {
      await removeUnfinished(store, prefix, { warn, signal });
      const keys: string[] = [];
      for await (const { key } of store.list(prefix, { signal })) keys.push(key);
      if (keys.length > 0) await store.delete(keys, { signal });
    }
    attempt.journal?.giveUp();
  } catch (error) {
    warn(`could not remove the unfinished objects under "${prefix}": ${(error as Error).message}`);
  }
}

/**
 * The manifest of an attempt, or null when there is none. Anyone who can write to the store can name an attempt in a
 * manifest; only the attempt's own key can seal it. Without its journal, and without a key, its word must do.
 *
 * @throws ZferryError when there is a manifest and it cannot be read; `manifest-invalid` when it names the attempt and is
 * not sealed as the attempt would have sealed it
 */
export async function manifestOf(
  store: Store,
  backup: SnapshotName,
  { id, journal }: Pick<Attempt, "id" | "journal">,
  signal: AbortSignal,
): Promise<Manifest | null> {
  try {
    const parsed = await fetchManifest(store, backup, signal);
    if (parsed.manifest.attempt !== id) return null;
    const lock = journal === null ? null : attemptOf(journal).lock;
    if (lock !== null) parsed.checkSeal(hmacKey(lock.sessionKey));
    return parsed.manifest;
  } catch (error) {
    if (isZferryError(error, "backup-not-found")) return null;
    throw error;
  }
}
