/**
 * Levels `digest` and `stream`: every chunk read again, and the whole way back short of `zfs recv`.
 */
import type { OpenedBackup } from "../catalog.ts";
import { isZferryError } from "../errors.ts";
import { chunkKey } from "../format/layout.ts";
import type { Manifest } from "../format/manifest.ts";
import { chunkPieces, retrieve, type RetrieveOptions } from "../retrieve.ts";
import type { Store } from "../store/store.ts";
import { parallel } from "../stream/parallel.ts";
import { Run } from "../stream/run.ts";
import { type Finding, findingOf } from "./findings.ts";

/**
 * Reads every chunk but those of `skip` and compares it with its marks and its digest, to the end whatever is found.
 *
 * Memory: (concurrency + 1) × the manifest's mark distance, at least two of them.
 *
 * @throws ZferryError the store's codes
 */
export async function checkDigests(
  store: Store,
  manifest: Manifest,
  skip: ReadonlySet<number>,
  options: RetrieveOptions,
): Promise<Finding[]> {
  const indices = [...manifest.chunks.keys()].filter((index) => !skip.has(index));
  // Chunks of several pieces are read one at a time, their pieces in parallel; small ones, of one piece, side by side.
  const isSmall = manifest.chunkBytes <= manifest.markBytes;
  const limit = isSmall ? Math.max(1, Math.floor((options.concurrency + 1) / 2)) : 1;
  const run = new Run(options.signal);
  const inside = { ...options, concurrency: isSmall ? 1 : options.concurrency, signal: run.signal };
  const found: Finding[] = [];
  for await (const one of parallel(indices, { limit, run }, (index) => checkChunk(store, manifest, index, inside))) {
    if (one !== null) found.push(one);
  }
  return found;
}

async function checkChunk(store: Store, manifest: Manifest, index: number, options: RetrieveOptions): Promise<Finding | null> {
  try {
    await drain(chunkPieces(store, manifest, [index], options));
    return null;
  } catch (error) {
    if (!isZferryError(error, "chunk-invalid")) throw error;
    const key = chunkKey(manifest.backup, manifest.attempt, manifest.encryption.packet, index);
    return { kind: "digest", chunk: index, key, message: error.message };
  }
}

/**
 * Decrypts and parses the whole stream; `skip` are the chunks known to be bad already. Where a chunk is bad the stream
 * cannot be had, and all chunks are looked at instead, so that each bad one is named.
 *
 * @throws ZferryError the store's codes
 */
export async function checkStream(
  store: Store,
  backup: OpenedBackup,
  skip: ReadonlySet<number>,
  options: RetrieveOptions,
): Promise<Finding[]> {
  if (skip.size > 0) return checkDigests(store, backup.manifest, skip, options);
  try {
    await drain(retrieve(store, backup, options));
    return [];
  } catch (error) {
    return explainReading(error, store, backup.manifest, options);
  }
}

/** What a reading that failed says of the backup. @throws `error` when it is no finding, and the store's codes */
export async function explainReading(error: unknown, store: Store, manifest: Manifest, options: RetrieveOptions): Promise<Finding[]> {
  const first = findingOf(error);
  if (first === null) throw error;
  if (first.kind !== "digest") return [first];
  const all = await checkDigests(store, manifest, new Set(), options);
  return all.length > 0 ? all : [{ ...first, message: `${first.message}; read again, every chunk of "${manifest.backup}" was right` }];
}

async function drain(source: AsyncGenerator<Uint8Array>): Promise<void> {
  while ((await source.next()).done !== true);
}
