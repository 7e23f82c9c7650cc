/**
 * Engine `s3` of mode `files`: zferry itself stores the files of a view in the job's store (`tree/store-tree.ts`).
 */
import { formatSize } from "../bytes.ts";
import type { FilesEngine } from "../config/files.ts";
import { ZferryError } from "../errors.ts";
import type { PacketName } from "../format/layout.ts";
import type { Keyring, Recipients } from "../openpgp/session.ts";
import { linkedController } from "../store/abort.ts";
import type { Store } from "../store/store.ts";
import { storeTree, type TreeCounts, type TreeOutcome } from "../tree/store-tree.ts";
import type { DatasetName, SnapshotName } from "../zfs/names.ts";
import { beat } from "./pulse.ts";

/** A job's store, open, and how things are packed for it. */
export interface FilesPlace {
  readonly store: Store;
  readonly settings: { readonly packet: PacketName; readonly recipients: Recipients; readonly partBytes: number };
  readonly leaseMs: number | null;
  readonly concurrency: number;
  readonly readKeyring: () => Promise<Keyring>;
}

export type Stored = TreeOutcome;

export interface StoreFilesRequest {
  readonly job: string;
  readonly dataset: DatasetName;
  readonly snapshot: SnapshotName;
  readonly engine: Extract<FilesEngine, { kind: "s3" }>;
  readonly place: FilesPlace;
  /** Where the files are seen. */
  readonly root: string;
  readonly heartbeatMs: number;
  /** Null for no limit. */
  readonly timeoutMs: number | null;
  readonly stateDir: string;
  readonly info: (text: string) => void;
  readonly warn: (text: string) => void;
  readonly now: () => Date;
  readonly signal: AbortSignal;
}

/** @throws ZferryError `engine-failed` when it takes too long; what `storeTree` throws */
export async function storeFiles({ engine, place, heartbeatMs, timeoutMs, info, signal, ...request }: StoreFilesRequest): Promise<Stored> {
  const { store, settings, leaseMs, concurrency, readKeyring } = place;
  const run = linkedController(signal);
  let soFar: TreeCounts | null = null;
  const pulse = beat(heartbeatMs, (forMs) => {
    info(`at work for ${Math.floor(forMs / 60_000)} min: ${soFar === null ? "no file" : `${soFar.fileCount} files`} so far, ${formatSize(soFar?.sentBytes ?? 0)} sent`);
  });
  const timer = timeoutMs === null ? null : setTimeout(() => { run.abort(tooLong(timeoutMs)); }, timeoutMs);
  try {
    const keyring = await readKeyring();
    return await storeTree({
      ...request,
      place: { store, ...settings, packet: engine.isEncrypted ? settings.packet : "none", keyring, concurrency, leaseMs },
      keep: engine.keep,
      onProgress: (counts) => (soFar = counts),
      signal: run.signal,
    });
  } finally {
    if (timer !== null) clearTimeout(timer);
    pulse.stop();
    run.release();
  }
}

function tooLong(ms: number): ZferryError {
  return new ZferryError("engine-failed", `the files took longer than ${ms / 1000} s`, { hint: "the next run goes on where this one was; raise timeout, or leave it out" });
}
