/**
 * The way of one backup, from the first byte of a stream to the manifest that makes it exist:
 *
 *   source → inspect → [encrypt → digest] in threads → cut → upload × 2 → commit
 *
 * Every arrow is a pull: nothing is read while the upload window is full, and `zfs send` sleeps. The end of each stage
 * is a claim of success by all stages before it, so reaching the commit proves that the source ended well, the END
 * record was seen with the right checksum and guids, and every chunk is stored. On any failure nothing is committed;
 * what was stored is removed, or kept for the next run to go on. ADR 0002 says why this is nested generators and not
 * `stream.pipeline`.
 */
import { type Attempt, AttemptDiffers, noteMark, storedChunk } from "./attempt.ts";
import type { ByteSource } from "./bytes.ts";
import type { Cargo, FerryProgress, FerrySettings } from "./cargo.ts";
import { commit, committed, describe, giveUp, sealed } from "./commit.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import { chunkKey, maxChunkCount, restoreNoteKey } from "./format/layout.ts";
import type { ChunkEntry, Manifest } from "./format/manifest.ts";
import { restoreNote } from "./format/restore-note.ts";
import type { Journal } from "./journal.ts";
import { packing } from "./packing.ts";
import type { Store } from "./store/store.ts";
import { type Chunk, cut } from "./stream/cut.ts";
import { ChunkMeter, type MarkQueue } from "./stream/digest.ts";
import { inspection } from "./stream/inspect.ts";
import { parallel } from "./stream/parallel.ts";
import { watched } from "./stream/pressure.ts";
import { Run } from "./stream/run.ts";
import { isWayBroken } from "./zfs/complaints.ts";

/** Chunks in flight: the next one fills while the last one is being completed. */
export const chunksInFlight = 2;

/**
 * Stores one backup, or goes on storing it where `attempt` was cut off.
 *
 * Memory: (uploads in flight + 1) × part size in the store, one slice per stage here.
 *
 * What becomes of a failed attempt depends on why it failed. The store's failures, and a lease that ran out before anybody
 * took it over, leave everything as it is when there is a journal, for the next run to go on; so do a connection to the zfs
 * host that broke and SIGTERM, once a chunk is stored. After any other failure its objects and its journal are removed.
 *
 * @returns the manifest, after it was committed
 * @throws ZferryError whatever the source threw; `stream-invalid`; `backup-conflict`; the store's codes
 */
export async function ferry(
  store: Store,
  { cargo, attempt }: { cargo: Cargo; attempt: Attempt },
  settings: FerrySettings,
  progress: FerryProgress,
  outerSignal: AbortSignal,
): Promise<Manifest> {
  const run = new Run(outerSignal);
  const inspected = inspection({ expect: cargo.expect, onBegin: cargo.onBegin, signal: run.signal });
  let manifest: Manifest;
  let made: ReturnType<typeof sealed>;
  try {
    const stream = inspected.through(counted(watched(cargo.open(run.signal), progress.pressure, "reading"), progress.onRead));
    const { message, marks } = packing(stream, attempt, settings, run);
    const chunks = cut(message, { chunkBytes: settings.chunkBytes });
    const entries: ChunkEntry[] = [];
    for await (const entry of parallel(chunks, { limit: chunksInFlight, run }, (chunk) => upload(chunk, marks))) entries.push(entry);
    refuseShorter(attempt, entries.length);
    manifest = describe({ cargo, settings, stream: inspected.facts(), attempt, chunks: entries });
    const note = Buffer.from(restoreNote(manifest));
    await store.put(restoreNoteKey(cargo.backup, attempt.id), note, { when: "replace", signal: run.signal });
    made = sealed(manifest, attempt.lock);
    await cargo.beforeCommit();
    run.signal.throwIfAborted(); // the last moment at which nothing can have been committed
  } catch (error) {
    run.fail(error);
    const isKept = attempt.journal !== null && (await canBeGoneOnWith(run.failure, attempt.journal, cargo));
    if (!isKept) await giveUp(store, cargo.backup, attempt, progress.warn, run.failure);
    throw run.failure;
  }
  const { file, entry } = made;
  const { etag, sizeBytes } = await commit(store, { manifest, file, attempt }, progress.warn, run.signal);
  progress.tell?.(committed(store, manifest));
  await cargo.onCommitted?.({ etag, sizeBytes, entry });
  return manifest;

  async function upload(chunk: Chunk, hashed: MarkQueue): Promise<ChunkEntry> {
    if (chunk.index >= maxChunkCount) {
      throw new ZferryError("size-limits", `the stream needs more than ${maxChunkCount} chunks`, {
        hint: "choose a larger --chunk-size",
      });
    }
    const onMark = (index: number, sha256: string) => noteMark(attempt, chunk.index, index, sha256);
    const sha256At = (index: number) => hashed.take(chunk.index, index);
    const meter = new ChunkMeter({ markBytes: settings.partBytes, sha256At, onMark });
    let isSent: boolean;
    try {
      isSent = await transfer(chunk, meter);
    } catch (error) {
      run.fail(error);
      throw error;
    } finally {
      await chunk.body.return?.();
    }
    const { sizeBytes, sha256, marks } = meter.digest();
    const entry = { sizeBytes, sha256, marks: [...marks] };
    if (storedChunk(attempt, chunk.index) === null) await attempt.journal?.chunk(chunk.index, entry);
    progress.tell?.({ event: "chunk-stored", store: store.url, backup: cargo.backup, chunk: chunk.index, bytes: sizeBytes, sent: isSent });
    return entry;
  }

  /** Sends the chunk; or only reads it, comparing, when an earlier try has stored it: then it returns false. */
  async function transfer(chunk: Chunk, meter: ChunkMeter): Promise<boolean> {
    const key = chunkKey(cargo.backup, attempt.id, settings.packet, chunk.index);
    const body = meter.through(lent(chunk.body));
    const asked = watched(body, progress.pressure, "asking");
    const known = storedChunk(attempt, chunk.index);
    if (known !== null && (await store.head(key, { signal: run.signal }))?.sizeBytes === known.sizeBytes) {
      while ((await body.next()).done !== true);
      if (meter.digest().sha256 !== known.sha256) throw new AttemptDiffers(`chunk ${chunk.index}`);
      return false;
    }
    await store.put(key, asked, { when: "replace", signal: run.signal, onStored: progress.onStored });
    return true;
  }
}

/**
 * What the store did, or the way to it, or a pause that outlasted the lease: the next run may be luckier with the same bytes. So
 * it may when the connection to another host's zfs broke, and after SIGTERM, which is how a machine that goes down says so; whoever
 * sits there and types Ctrl-C has it all removed.
 */
async function canBeGoneOnWith(error: unknown, journal: Journal, { isStillAlone }: Cargo): Promise<boolean> {
  if (isZferryError(error, "locked")) return isStillAlone();
  if (isZferryError(error, "terminated") || isWayBroken(error)) return journal.hasChunks;
  return isZferryError(error, "store-failed", "store-denied", "store-not-found", "store-full");
}

/**
 * The body without a way to return it. A store lets go of a body as soon as something is wrong and says what only after
 * its clean-up; if the chunk ended meanwhile, the abandoned stream would be the first failure, and the one reported.
 */
export function lent(body: AsyncIterator<Uint8Array>): ByteSource {
  return { [Symbol.asyncIterator]: () => ({ next: () => body.next() }) };
}

/** A second try that has fewer chunks than the first one stored is another stream. */
function refuseShorter({ journal }: Attempt, chunkCount: number): void {
  for (const index of journal?.progress.chunks.keys() ?? []) {
    if (index >= chunkCount) throw new AttemptDiffers(`the number of chunks, ${chunkCount},`);
  }
}

async function* counted(source: ByteSource, count: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const slice of source) {
    count(slice.length);
    yield slice;
  }
}
