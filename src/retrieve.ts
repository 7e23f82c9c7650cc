/**
 * The way back: from a manifest that was found authentic to the verified stream.
 *
 *   ranges → fetch (several at a time, in order) → check each against its mark → decrypt → inspect → withhold
 *
 * Nothing of a chunk reaches the decrypter before the next mark or the chunk's digest matched, and the end of the
 * stream stays here until digests, final tag or MDC, record checksums and guids were all found right.
 */
import { gather } from "./bytes.ts";
import type { OpenedBackup } from "./catalog.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import { chunkKey } from "./format/layout.ts";
import type { ChunkEntry, Manifest } from "./format/manifest.ts";
import { decrypt } from "./openpgp/decrypt.ts";
import type { ByteRange, Store, StoredObject } from "./store/store.ts";
import { ChunkCheck } from "./stream/digest.ts";
import { inspection } from "./stream/inspect.ts";
import { parallel } from "./stream/parallel.ts";
import { Run } from "./stream/run.ts";
import type { Guid } from "./zfs/names.ts";
import { withheldBytes, withhold } from "./stream/withhold.ts";

export interface RetrieveOptions {
  /** Ranges fetched at a time; memory is (this + 1) × the manifest's mark distance. */
  readonly concurrency: number;
  readonly onFetched: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/**
 * The stream of a backup, byte for byte as it was stored; its last 64 KiB come only once everything was found right.
 *
 * @throws ZferryError `chunk-invalid`, `message-invalid`, `stream-invalid`, and the store's codes
 */
export async function* retrieve(store: Store, backup: OpenedBackup, options: RetrieveOptions): AsyncGenerator<Uint8Array> {
  const { manifest, sessionKey } = backup;
  const message = chunkPieces(store, manifest, manifest.chunks.keys(), options);
  const stream = sessionKey === null || manifest.encryption.packet === "none" ? message : decrypt(message, { sessionKey });
  const inspected = inspection({ expect: identityOf(manifest), signal: options.signal });
  yield* withhold(inspected.through(stream), { bytes: withheldBytes });
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

/** The bytes of some chunks, one after the other, in pieces of the mark distance, each of them checked. */
export async function* chunkPieces(
  store: Store,
  manifest: Manifest,
  indices: Iterable<number>,
  { concurrency, onFetched, signal }: RetrieveOptions,
): AsyncGenerator<Buffer> {
  const run = new Run(signal);
  const fetched = parallel(piecesOf(manifest, indices), { limit: concurrency, run }, async (piece) => {
    const bytes = await fetchPiece(store, manifest, piece, run.signal);
    onFetched(bytes.length);
    return { piece, bytes };
  });
  let check: ChunkCheck | null = null;
  for await (const { piece, bytes } of fetched) {
    const { startBytes, endBytes } = piece.range;
    if (check === null || startBytes === 0) check = new ChunkCheck(piece.chunk);
    if (!check.accepts(bytes)) throw damaged(manifest, piece, `bytes ${startBytes} to ${endBytes} are not what was stored`);
    yield bytes;
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

/** One range of one chunk, when the chunk has the size it should have. */
async function fetchPiece(store: Store, manifest: Manifest, piece: Piece, signal: AbortSignal): Promise<Buffer> {
  const { chunk, range } = piece;
  const key = keyOf(manifest, piece);
  const rangeBytes = range.endBytes - range.startBytes;
  try {
    const onFound = ({ sizeBytes }: StoredObject): void => {
      if (sizeBytes === chunk.sizeBytes) return;
      throw damaged(manifest, piece, `it has ${sizeBytes} bytes and should have ${chunk.sizeBytes}`);
    };
    const tooLong = () => damaged(manifest, piece, "the store sent too much");
    return await gather(store.get(key, { range, signal, onFound }), rangeBytes, tooLong);
  } catch (error) {
    if (isZferryError(error, "object-missing")) throw damaged(manifest, piece, "it is missing");
    throw error;
  }
}

function keyOf({ backup, attempt, encryption }: Manifest, { index }: Piece): string {
  return chunkKey(backup, attempt, encryption.packet, index);
}

function damaged(manifest: Manifest, piece: Piece, why: string): ZferryError {
  const place = `chunk ${piece.index} of ${manifest.chunks.length} of "${manifest.backup}"`;
  return new ZferryError("chunk-invalid", `${place} ("${keyOf(manifest, piece)}"): ${why}`, {
    hint: "restore from a second copy of the store, or choose another backup with `zferry list`",
  });
}
