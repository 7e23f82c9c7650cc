/**
 * `zferry download`: chunks, manifest and RESTORE.md of a backup and of what it needs, as they are, into a folder that
 * is itself a store.
 *
 * Needs no key. Each piece is checked against the manifest's digests on its way, the manifest is written last, and a
 * chunk that is there already with the right digest is not fetched again.
 */
import { copyAddedKeys } from "./added-keys.ts";
import { gather } from "./bytes.ts";
import { fetchManifest, readCatalog } from "./catalog.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import { chainTo } from "./format/chain.ts";
import type { BackupEntry } from "./format/entry.ts";
import { chunkKey, manifestKey, restoreNoteKey } from "./format/layout.ts";
import { type ChunkEntry, type Manifest, maxManifestBytes } from "./format/manifest.ts";
import { chunkPieces } from "./retrieve.ts";
import { measure } from "./stream/digest.ts";
import { type Pressure, watched } from "./stream/pressure.ts";
import type { Store } from "./store/store.ts";
import type { SnapshotName } from "./zfs/names.ts";

export interface DownloadRequest {
  readonly from: Store;
  readonly to: Store;
  readonly backup: SnapshotName;
  readonly concurrency: number;
  readonly onFetched: (bytes: number) => void;
  /** Of all backups together, before the first byte. */
  readonly onTotal?: (bytes: number) => void;
  readonly pressure?: Pressure;
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
}

/** @returns what is in the folder now: the base first, the wanted backup last */
export async function download(request: DownloadRequest): Promise<BackupEntry[]> {
  const { from, backup, warn, signal } = request;
  const catalog = await readCatalog(from, { dataset: null, stateDir: null, warn, signal });
  const entry = catalog.backups.find((candidate) => candidate.backup === backup);
  if (entry === undefined) {
    await fetchManifest(from, backup, signal); // says why it is not in the catalog
    throw new ZferryError("backup-not-found", `there is no backup "${backup}" in "${from.url}"`);
  }
  const chain = chainTo(entry, catalog);
  if (typeof chain === "string") {
    throw new ZferryError("backup-not-found", `"${backup}" cannot be restored: ${chain}`, {
      hint: "`zferry list` shows what can be restored; nothing was downloaded",
    });
  }
  request.onTotal?.(chain.reduce((sum, { messageBytes }) => sum + messageBytes, 0));
  for (const step of chain) await copyBackup(request, step.backup);
  return chain;
}

async function copyBackup(request: DownloadRequest, backup: SnapshotName): Promise<void> {
  const { from, signal } = request;
  const { manifest } = await fetchManifest(from, backup, signal);
  for (const [index, chunk] of manifest.chunks.entries()) await copyChunk(request, manifest, index, chunk);
  await copySmall(request, restoreNoteKey(backup, manifest.attempt));
  await copyAddedKeys(from, request.to, manifest, signal);
  await copySmall(request, manifestKey(backup));
}

/**
 * Puts one chunk into the other store, each piece checked on its way, unless it is there and is what it should be.
 *
 * @returns whether it was sent
 * @throws ZferryError `chunk-invalid`, and the codes of both stores
 */
export async function copyChunk(
  request: Omit<DownloadRequest, "backup" | "warn" | "onTotal">,
  manifest: Manifest,
  index: number,
  chunk: ChunkEntry,
): Promise<boolean> {
  const { from, to, signal, onFetched } = request;
  const key = chunkKey(manifest.backup, manifest.attempt, manifest.encryption.packet, index);
  if (await isThere(to, key, chunk, signal)) {
    onFetched(chunk.sizeBytes);
    return false;
  }
  await to.put(key, watched(chunkPieces(from, manifest, [index], request), request.pressure, "asking"), { when: "replace", signal });
  return true;
}

/** @throws ZferryError `size-limits`, before a byte is sent */
export function refuseTooLarge(to: Store, { backup, chunks }: Pick<Manifest, "backup" | "chunks">): void {
  const largestBytes = chunks.reduce((largest, { sizeBytes }) => Math.max(largest, sizeBytes), 0);
  if (largestBytes <= to.limits.maxObjectBytes) return;
  throw new ZferryError("size-limits", `a chunk of "${backup}" has ${largestBytes} bytes, more than "${to.url}" takes for one object`, {
    hint: "make backups with a smaller chunk_size, or give that store a larger part_size",
  });
}

async function isThere(to: Store, key: string, chunk: ChunkEntry, signal: AbortSignal): Promise<boolean> {
  const stored = await to.head(key, { signal });
  if (stored?.sizeBytes !== chunk.sizeBytes) return false;
  return (await measure(to.get(key, { signal }), { markBytes: chunk.sizeBytes })).sha256 === chunk.sha256;
}

async function copySmall({ from, to, warn, signal }: DownloadRequest, key: string): Promise<void> {
  const tooLong = () => new ZferryError("manifest-invalid", `"${key}" is longer than any manifest can be`);
  try {
    const bytes = await gather(from.get(key, { signal }), maxManifestBytes, tooLong);
    await to.put(key, bytes, { when: "replace", signal });
  } catch (error) {
    if (!isZferryError(error, "object-missing")) throw error;
    warn(`"${key}" is missing in "${from.url}"`);
  }
}
