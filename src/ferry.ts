/**
 * The way of one backup, from the first byte of a stream to the manifest that makes it exist:
 *
 *   source → inspect → encrypt → cut → (digest → upload) × 2 → commit
 *
 * Every arrow is a pull: nothing is read while the upload window is full, and `zfs send` sleeps. The end of each stage
 * is a claim of success by all stages before it, so reaching the commit proves that the source ended well, the END
 * record was seen with the right checksum and guids, and every chunk is stored. On any failure nothing is committed and
 * the attempt's objects are removed. ADR 0002 says why this is nested generators and not `stream.pipeline`.
 */
import type { ByteSource } from "./bytes.ts";
import type { Cargo, FerryProgress, FerrySettings, Lock } from "./cargo.ts";
import { commit, describe, sealed, sweep } from "./commit.ts";
import { ZferryError } from "./errors.ts";
import { chunkKey, maxChunkCount, newAttempt, type PacketName, restoreNoteKey } from "./format/layout.ts";
import type { ChunkEntry, Manifest } from "./format/manifest.ts";
import { restoreNote } from "./format/restore-note.ts";
import { encrypt } from "./openpgp/encrypt.ts";
import { type MessageSecrets, newMessageSecrets, wrapSessionKey } from "./openpgp/session.ts";
import type { Store } from "./store/store.ts";
import { type Chunk, cut } from "./stream/cut.ts";
import { ChunkMeter } from "./stream/digest.ts";
import { inspection } from "./stream/inspect.ts";
import { parallel } from "./stream/parallel.ts";
import { Run } from "./stream/run.ts";

/** Chunks in flight: the next one fills while the last one is being completed. */
const chunksInFlight = 2;

/**
 * Stores one backup.
 *
 * Memory: (uploads in flight + 2) × part size in the store, one slice per stage here.
 *
 * @returns the manifest, after it was committed
 * @throws ZferryError whatever the source threw; `stream-invalid`; `backup-conflict`; the store's codes
 */
export async function ferry(
  store: Store,
  cargo: Cargo,
  settings: FerrySettings,
  progress: FerryProgress,
  outerSignal: AbortSignal,
): Promise<Manifest> {
  const startedAt = new Date();
  const attempt = newAttempt();
  const run = new Run(outerSignal);
  const secrets = newMessageSecrets();
  const lock = await lockFor(secrets, settings);
  const inspected = inspection({ expect: cargo.expect, onBegin: cargo.onBegin, signal: run.signal });
  let manifest: Manifest;
  let file: Buffer;
  try {
    const stream = inspected.through(counted(cargo.open(run.signal), progress.onRead));
    const message = pack(stream, settings.packet, secrets, lock);
    const chunks = cut(message, { chunkBytes: settings.chunkBytes });
    const entries: ChunkEntry[] = [];
    for await (const entry of parallel(chunks, { limit: chunksInFlight, run }, upload)) entries.push(entry);
    manifest = describe({ cargo, settings, stream: inspected.facts(), attempt, startedAt, lock, chunks: entries });
    await store.put(restoreNoteKey(cargo.backup, attempt), Buffer.from(restoreNote(manifest)), {
      when: "replace",
      signal: run.signal,
    });
    file = sealed(manifest, lock);
    run.signal.throwIfAborted(); // the last moment at which nothing can have been committed
  } catch (error) {
    run.fail(error);
    await sweep(store, cargo.backup, attempt, progress.warn);
    throw run.failure;
  }
  await commit(store, manifest, file, progress.warn, run.signal);
  return manifest;

  async function upload(chunk: Chunk): Promise<ChunkEntry> {
    if (chunk.index >= maxChunkCount) {
      throw new ZferryError("size-limits", `the stream needs more than ${maxChunkCount} chunks`, {
        hint: "choose a larger --chunk-size",
      });
    }
    const meter = new ChunkMeter({ markBytes: settings.partBytes });
    try {
      await store.put(chunkKey(cargo.backup, attempt, settings.packet, chunk.index), meter.through(lent(chunk.body)), {
        when: "replace",
        signal: run.signal,
        onStored: progress.onStored,
      });
    } catch (error) {
      run.fail(error);
      throw error;
    } finally {
      await chunk.body.return?.();
    }
    const { sizeBytes, sha256, marks } = meter.digest();
    return { sizeBytes, sha256, marks: [...marks] };
  }
}

/**
 * The body without a way to return it. A store lets go of a body as soon as something is wrong and says what only after
 * its clean-up; if the chunk ended meanwhile, the abandoned stream would be the first failure, and the one reported.
 */
function lent(body: AsyncIterator<Uint8Array>): ByteSource {
  return { [Symbol.asyncIterator]: () => ({ next: () => body.next() }) };
}

/** Null when there is no one to lock for, which only packet `none` allows. */
async function lockFor({ sessionKey }: MessageSecrets, { packet, recipients }: FerrySettings): Promise<Lock | null> {
  if (recipients.passphrases.length + recipients.certificates.length > 0) {
    return { sessionKey, packets: await wrapSessionKey(sessionKey, recipients, packet === "none" ? "ocb" : packet) };
  }
  if (packet === "none") return null;
  throw new ZferryError("key-missing", `packet "${packet}" needs a passphrase or a recipient's certificate`, {
    hint: "give --passphrase-file FILE, or set encryption.passphrase_file in the configuration",
  });
}

function pack(stream: ByteSource, packet: PacketName, secrets: MessageSecrets, lock: Lock | null): ByteSource {
  if (packet === "none" || lock === null) return stream;
  return encrypt(stream, { packet, secrets, sessionKeyPackets: lock.packets });
}

async function* counted(source: ByteSource, count: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const slice of source) {
    count(slice.length);
    yield slice;
  }
}
