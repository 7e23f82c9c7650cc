/**
 * The way back: from a manifest that was found authentic to the verified stream.
 *
 *   ranges → fetch (several at a time, in order) → [check each against its mark → decrypt] in threads → inspect → withhold
 *
 * Nothing of a chunk reaches the decrypter before the next mark or the chunk's digest matched, and the end of the
 * stream stays here until digests, final tag or MDC, record checksums and guids were all found right. A piece that is bad or
 * missing in one store is fetched from the next (`fall-over.ts`), and checked like any other.
 */
import { fill, KiB, type LentSource } from "./bytes.ts";
import type { OpenedBackup } from "./catalog.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import { type Search, type Sources, sourcesOf } from "./fall-over.ts";
import { chunkKey } from "./format/layout.ts";
import type { ChunkEntry, Manifest } from "./format/manifest.ts";
import { decrypt } from "./openpgp/decrypt.ts";
import { Pool } from "./store/pool.ts";
import type { ByteRange, Store, StoredObject } from "./store/store.ts";
import { ChunkCheck } from "./stream/digest.ts";
import { inspection } from "./stream/inspect.ts";
import { parallel } from "./stream/parallel.ts";
import { type Pressure, watched } from "./stream/pressure.ts";
import { Run } from "./stream/run.ts";
import { withheldBytes, withhold } from "./stream/withhold.ts";
import { throughLine } from "./thread/line.ts";
import { blockBytes, type Sender } from "./thread/link.ts";
import type { PieceClaim, Station } from "./thread/station.ts";
import type { Guid } from "./zfs/names.ts";

/** More ranges than this are not fetched at a time: each holds a buffer of the mark distance until its turn comes. */
const maxRangesInFlight = 2;

/** What is handed on at a time: as much as stays in a core's cache from one stage to the next. */
const sliceBytes = 256 * KiB;

export interface RetrieveOptions {
  /** Ranges fetched at a time, two at most; memory is (that + 1) × the manifest's mark distance. */
  readonly concurrency: number;
  /** Worker threads for hashes and ciphers, 0 (the default) to 2. */
  readonly threads?: number;
  readonly onFetched: (bytes: number) => void;
  /** Told which end holds the other up. */
  readonly pressure?: Pressure;
  readonly signal: AbortSignal;
}

/**
 * The stream of a backup, byte for byte as it was stored, lent; its last 64 KiB come only once everything was found
 * right.
 *
 * @param from - a store, or several that hold the backup: memory is the same
 * @throws ZferryError `chunk-invalid`, `message-invalid`, `stream-invalid`, and the store's codes
 */
export async function* retrieve(from: Store | Sources, backup: OpenedBackup, options: RetrieveOptions): AsyncGenerator<Uint8Array> {
  const { manifest } = backup;
  const { threads = 0 } = options;
  const sources = sourcesOf(from);
  const stream = threads === 0 ? openedHere(sources, backup, options) : openedInThreads(sources, backup, { ...options, threads });
  const inspected = inspection({ expect: identityOf(manifest), signal: options.signal });
  yield* watched(withhold(inspected.through(stream), { bytes: withheldBytes }), options.pressure, "asking");
}

function openedHere(sources: Sources, { manifest, sessionKey }: OpenedBackup, options: RetrieveOptions): LentSource {
  const message = chunkPieces(sources, manifest, manifest.chunks.keys(), options);
  return sessionKey === null || manifest.encryption.packet === "none" ? message : decrypt(message, { sessionKey });
}

async function* openedInThreads(
  sources: Sources,
  { manifest, sessionKey }: OpenedBackup,
  { concurrency, threads, onFetched, pressure, signal }: RetrieveOptions & { readonly threads: number },
): AsyncGenerator<Uint8Array> {
  const run = new Run(signal);
  const largestBytes = largestPieceBytes(manifest);
  const limit = Math.min(concurrency, maxRangesInFlight);
  const buffers = new Pool<Buffer>(limit, () => Buffer.allocUnsafeSlow(largestBytes));
  const stations: Station[] = [{ kind: "check" }];
  if (sessionKey !== null && manifest.encryption.packet !== "none") stations.push({ kind: "open", sessionKey });
  const plan = { stations, threads, keptBlocks: Math.ceil(largestBytes / blockBytes) };
  const feed = async (input: Sender<PieceClaim | null>): Promise<null> => {
    for await (const one of watched(fetched(sources, manifest, manifest.chunks.keys(), { buffers, limit, run }), pressure, "reading")) {
      const claim = claimOf(manifest, one.piece, sources);
      for (;;) {
        onFetched(one.bytes.length);
        await input.write(one.bytes, claim);
        input.flush(claim);
        if (claim.otherwise !== null || (await input.answer())) break;
        await fetchAgain(manifest, one, run);
      }
      buffers.give(one.buffer);
    }
    return null;
  };
  for await (const { slice } of throughLine<PieceClaim | null, null>(plan, run, feed, () => undefined)) {
    for (let at = 0; at < slice.length; at += sliceBytes) yield slice.subarray(at, at + sliceBytes);
  }
}

function largestPieceBytes({ markBytes, messageBytes }: Manifest): number {
  return Math.min(markBytes, messageBytes);
}

/** Where there is one store the thread need not answer, and nobody has to wait for it. */
function claimOf(manifest: Manifest, piece: Piece, { isOne }: Sources): PieceClaim {
  const { chunk, range } = piece;
  const { message, hint } = notAsStored(manifest, piece);
  const sha256 = range.endBytes === chunk.sizeBytes ? chunk.sha256 : chunk.marks[range.startBytes / manifest.markBytes];
  const otherwise = isOne ? { message, hint: hint ?? "" } : null;
  return { sizeBytes: range.endBytes - range.startBytes, begins: range.startBytes === 0, sha256: sha256 ?? "", otherwise };
}

/** What the stream must say of itself. A compound stream has several snapshots, and its first record names none. */
function identityOf({ stream, snapshot, base }: Manifest): { toGuid?: Guid; fromGuid?: Guid | null } {
  return stream.kind === "compound" ? {} : { toGuid: snapshot.guid, fromGuid: base === null ? null : base.guid };
}

interface Piece {
  readonly index: number;
  readonly chunk: ChunkEntry;
  readonly range: ByteRange;
}

/** The bytes of some chunks, one after the other, lent, in slices of pieces of the mark distance, each of them checked. */
export async function* chunkPieces(
  from: Store | Sources,
  manifest: Manifest,
  indices: Iterable<number>,
  { concurrency, onFetched, pressure, signal }: Omit<RetrieveOptions, "threads">,
): AsyncGenerator<Buffer> {
  const run = new Run(signal);
  const limit = Math.min(concurrency, maxRangesInFlight);
  const buffers = new Pool<Buffer>(limit + 1, () => Buffer.allocUnsafeSlow(largestPieceBytes(manifest)));
  let check: ChunkCheck | null = null;
  for await (const one of watched(fetched(sourcesOf(from), manifest, indices, { buffers, limit, run }), pressure, "reading")) {
    const { piece, bytes, buffer } = one;
    onFetched(bytes.length);
    if (check === null || piece.range.startBytes === 0) check = new ChunkCheck(piece.chunk);
    while (!check.accepts(bytes)) {
      await fetchAgain(manifest, one, run);
      onFetched(bytes.length);
    }
    for (let at = 0; at < bytes.length; at += sliceBytes) yield bytes.subarray(at, at + sliceBytes);
    buffers.give(buffer);
  }
}

interface Fetched {
  readonly piece: Piece;
  readonly bytes: Buffer;
  /** Of the pool. */
  readonly buffer: Buffer;
  readonly search: Search;
}

/** Pieces of the mark distance in buffers of the pool, in order, not checked yet. */
function fetched(
  sources: Sources,
  manifest: Manifest,
  indices: Iterable<number>,
  { buffers, limit, run }: { readonly buffers: Pool<Buffer>; readonly limit: number; readonly run: Run },
): AsyncGenerator<Fetched> {
  return parallel(piecesOf(manifest, indices), { limit, run }, async (piece) => {
    const buffer = await buffers.take(run.signal);
    const bytes = buffer.subarray(0, piece.range.endBytes - piece.range.startBytes);
    const search = sources.search({ backup: manifest.backup, chunk: piece.index, key: keyOf(manifest, piece) });
    const one = { piece, bytes, buffer, search };
    await fetchFromAny(manifest, one, run.signal);
    return one;
  });
}

/** From the first store that has bytes of that size to give. */
function fetchFromAny(manifest: Manifest, { piece, bytes, search }: Fetched, signal: AbortSignal): Promise<void> {
  return search.first((store) => fetchPiece(store, manifest, piece, { into: bytes, signal }), signal);
}

/** The same piece from the next store, when what came was not what was stored. Fails the run, whose first failure is the reason. */
async function fetchAgain(manifest: Manifest, one: Fetched, run: Run): Promise<void> {
  try {
    one.search.failed(notAsStored(manifest, one.piece));
    await fetchFromAny(manifest, one, run.signal);
  } catch (error) {
    run.fail(error);
    throw error;
  }
}

function* piecesOf({ chunks, markBytes }: Manifest, indices: Iterable<number>): Generator<Piece> {
  for (const index of indices) {
    const chunk = chunks[index];
    if (chunk === undefined) throw new ZferryError("bug", `there is no chunk ${index}`);
    for (let startBytes = 0; startBytes < chunk.sizeBytes; startBytes += markBytes) {
      const endBytes = Math.min(startBytes + markBytes, chunk.sizeBytes);
      yield { index, chunk, range: { startBytes, endBytes } };
    }
  }
}

/** Fills `into` with one range of one chunk, when the chunk has the size it should have. */
async function fetchPiece(
  store: Store,
  manifest: Manifest,
  piece: Piece,
  { into, signal }: { into: Buffer; signal: AbortSignal },
): Promise<void> {
  const { chunk, range } = piece;
  const onFound = ({ sizeBytes }: StoredObject): void => {
    if (sizeBytes === chunk.sizeBytes) return;
    throw damaged(manifest, piece, `it has ${sizeBytes} bytes and should have ${chunk.sizeBytes}`);
  };
  try {
    await fill(into, store.get(keyOf(manifest, piece), { range, signal, onFound }), (seenBytes) =>
      damaged(manifest, piece, `the store sent ${seenBytes} bytes of ${into.length}`),
    );
  } catch (error) {
    if (isZferryError(error, "object-missing")) throw damaged(manifest, piece, "it is missing");
    if (!isZferryError(error, "store-failed")) throw error;
    // A store refuses a range behind the end of a chunk that was cut short, as it fails for any other reason.
    const found = await store.head(keyOf(manifest, piece), { signal });
    if (found !== null) onFound(found);
    throw error;
  }
}

function keyOf({ backup, attempt, encryption }: Manifest, { index }: Piece): string {
  return chunkKey(backup, attempt, encryption.packet, index);
}

function notAsStored(manifest: Manifest, piece: Piece): ZferryError {
  return damaged(manifest, piece, `bytes ${piece.range.startBytes} to ${piece.range.endBytes} are not what was stored`);
}

function damaged(manifest: Manifest, piece: Piece, why: string): ZferryError {
  const place = `chunk ${piece.index} of ${manifest.chunks.length} of "${manifest.backup}"`;
  return new ZferryError("chunk-invalid", `${place} ("${keyOf(manifest, piece)}"): ${why}`, {
    hint: "restore from a second copy of the store, or choose another backup with `zferry list`",
  });
}
