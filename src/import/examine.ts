/**
 * A message that nobody has sealed, looked at: what it is, and whether all of it is there and right.
 *
 * What can be known without the sender's word: that it decrypts to its end and its digest (MDC) or tags fit, that every record
 * of the stream has its checksum, and that the stream has its END. Who made it nobody can tell.
 */
import type { LentSource } from "../bytes.ts";
import type { Lock } from "../cargo.ts";
import { isZferryError } from "../errors.ts";
import type { ChunkEntry } from "../format/manifest.ts";
import { keyWrong } from "../openpgp/candidates.ts";
import { decrypt, messageKeys } from "../openpgp/decrypt.ts";
import type { Keyring, PacketKind } from "../openpgp/session.ts";
import type { Store } from "../store/store.ts";
import { MarkWalk } from "../stream/digest.ts";
import { type BeginFacts, inspection, type StreamFacts } from "../stream/inspect.ts";
import type { CutFile, CutMessage } from "./messages.ts";

/** What the beginning of a message tells. */
export interface Beginning {
  readonly begin: BeginFacts;
  readonly packet: PacketKind;
  readonly lock: Lock;
}

interface Reading {
  readonly source: Store;
  readonly keyring: Keyring;
  readonly onRead: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Opens a message as far as the first record of its stream.
 *
 * @throws ZferryError `key-missing`, `key-wrong`, `message-invalid`, `stream-invalid`, and the store's codes
 */
export async function readBeginning({ files }: CutMessage, { source, keyring, signal }: Reading): Promise<Beginning> {
  const { kind, packets, candidates } = await messageKeys(bytesOf(source, files, signal), keyring);
  for (const candidate of candidates) {
    try {
      const begin = await firstRecord(decrypt(bytesOf(source, files, signal), { candidate }), signal);
      return { begin, packet: kind, lock: { sessionKey: candidate.sessionKey, packets } };
    } catch (error) {
      if (!isZferryError(error, "key-wrong")) throw error;
    }
  }
  throw keyWrong();
}

async function firstRecord(stream: LentSource, signal: AbortSignal): Promise<BeginFacts> {
  const seen: BeginFacts[] = [];
  const onBegin = (begin: BeginFacts): Promise<void> => {
    seen.push(begin);
    return Promise.resolve();
  };
  for await (const slice of inspection({ onBegin, signal }).through(stream)) if (slice.length > 0) break;
  const [begin] = seen;
  if (begin === undefined) throw new Error("an inspection released bytes before it had seen the first record");
  return begin;
}

export interface Examined {
  readonly stream: StreamFacts;
  readonly chunks: ChunkEntry[];
}

/**
 * Reads a message from its first byte to its last.
 *
 * @throws ZferryError `message-invalid`, `stream-invalid`, and the store's codes
 */
export async function examine({ files }: CutMessage, { lock, begin }: Beginning, markBytes: number, { source, onRead, signal }: Reading): Promise<Examined> {
  const chunks: ChunkEntry[] = [];
  const expect = begin.toGuid === null ? {} : { toGuid: begin.toGuid, fromGuid: begin.fromGuid };
  const inspected = inspection({ expect, signal });
  const message = measured(files, chunks, { source, markBytes, onRead, signal });
  for await (const slice of inspected.through(decrypt(message, { sessionKey: lock.sessionKey }))) if (slice.length === 0) continue;
  return { stream: inspected.facts(), chunks };
}

async function* measured(
  files: readonly CutFile[],
  chunks: ChunkEntry[],
  { source, markBytes, onRead, signal }: Omit<Reading, "keyring"> & { readonly markBytes: number },
): AsyncGenerator<Uint8Array> {
  for (const { key, sizeBytes } of files) {
    const walk = new MarkWalk({ markBytes, chunkBytes: Number.POSITIVE_INFINITY });
    const noted: string[] = [];
    for await (const slice of source.get(key, { range: { startBytes: 0, endBytes: sizeBytes }, signal })) {
      for (const { sha256 } of walk.push(slice)) noted.push(sha256);
      onRead(slice.length);
      yield slice;
    }
    for (const { sha256 } of walk.end()) noted.push(sha256);
    chunks.push({ sizeBytes, sha256: noted.at(-1) ?? "", marks: noted.slice(0, -1) });
  }
}

async function* bytesOf(source: Store, files: readonly CutFile[], signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (const { key } of files) yield* source.get(key, { signal });
}
