/**
 * One backup on its way from store to store: its manifest is found authentic, every piece of every chunk is checked against
 * it while it passes, and it is written last.
 */
import { copyAddedKeys } from "../added-keys.ts";
import type { Guard } from "../alone.ts";
import { noteBegun, noteEnded } from "../begun.ts";
import { fetchListed, fetchManifestFile, openManifest } from "../catalog.ts";
import { commit, committed } from "../commit.ts";
import { copyChunk, refuseTooLarge } from "../download.ts";
import { isZferryError } from "../errors.ts";
import { type BackupEntry, entryOf, isSameManifest } from "../format/entry.ts";
import { attemptPrefix, chunkKey, manifestKey, restoreNoteKey } from "../format/layout.ts";
import type { ChunkEntry, Manifest, ParsedManifest } from "../format/manifest.ts";
import { restoreNote } from "../format/restore-note.ts";
import { trusted } from "../get.ts";
import { ManifestReplaced } from "../manifest-replaced.ts";
import { forgetFindings, updateStoreState } from "../state.ts";
import type { ObjectKey } from "../store/store.ts";
import { removeUnfinished } from "../unfinished.ts";
import type { CopyRequest } from "./copy.ts";

/**
 * Memory: as a download's and an upload's together (`retrieve.ts`, `store/s3.ts`), and the manifest.
 *
 * @returns bytes of chunks that were sent
 * @throws ZferryError `chunk-invalid`, `manifest-invalid`, `format-too-new`, `key-…` for the source; `backup-conflict`,
 * `size-limits`, `locked` for the target; the codes of both stores
 */
export async function copyBackup(request: CopyRequest, guard: Guard, entry: BackupEntry): Promise<number> {
  const { to, dataset, stateDir, progress, signal } = request;
  const { file, manifest } = await manifestOfSource(request, entry);
  const place = { verb: "copy", stateDir, store: to, dataset } as const;
  await noteBegun(place, entry);
  await removeUnfinished(to, attemptPrefix(entry.backup, entry.attempt), { warn: progress.warn, signal });
  const sentBytes = await sendChunks(request, guard, manifest, () => Promise.resolve(true));
  await sendNote(request, manifest);
  await copyAddedKeys(request.from, to, manifest, signal);
  await guard.check();
  signal.throwIfAborted();
  await commit(to, { manifest, file, attempt: { id: manifest.attempt, journal: null } }, progress.warn, signal);
  progress.tell?.(committed(to, manifest));
  await noteEnded(place, entry);
  return sentBytes;
}

/**
 * Sends the chunks of a backup that is in the target under the very same manifest, and of which verify has found some
 * missing or damaged there. Nothing is removed: what cannot be mended stays as it is.
 *
 * @param findings - those about chunks; what they name is read back, of the other chunks only the size is looked at
 * @returns bytes of chunks that were sent
 * @throws ZferryError as {@link copyBackup}
 */
export async function mendBackup(request: CopyRequest, guard: Guard, entry: BackupEntry, findings: readonly string[]): Promise<number> {
  const { to, stateDir, signal } = request;
  const { manifest } = await manifestOfSource(request, entry);
  await fetchListed(to, entry, signal); // it may be gone, or another one, by now
  const sentBytes = await sendChunks(request, guard, manifest, async (key, { sizeBytes }) => {
    return findings.some((line) => line.includes(`"${key}"`)) || (await to.head(key, { signal }))?.sizeBytes !== sizeBytes;
  });
  await sendNote(request, manifest);
  await updateStoreState(stateDir, to.url, (state) => {
    forgetFindings(state, new Set([manifestKey(entry.backup)]));
  });
  return sentBytes;
}

/** The manifest that `entry` was made of, fit to be copied. */
async function manifestOfSource(request: CopyRequest, entry: BackupEntry): Promise<{ readonly file: Buffer; readonly manifest: Manifest }> {
  const { file, parsed } = await fetchManifestFile(request.from, entry.backup, request.signal);
  if (!isSameManifest(entry, entryOf(parsed))) throw new ManifestReplaced(entry, entryOf(parsed));
  await refuseForged(request, parsed);
  refuseTooLarge(request.to, parsed.manifest);
  return { file, manifest: parsed.manifest };
}

/** @param isSuspect - whether a chunk is to be read back, and sent unless it is there as it should be */
async function sendChunks(
  { from, to, reading, progress, signal }: CopyRequest,
  guard: Guard,
  manifest: Manifest,
  isSuspect: (key: ObjectKey, chunk: ChunkEntry) => Promise<boolean>,
): Promise<number> {
  let sentBytes = 0;
  const moving = { from, to, concurrency: reading.concurrency, onFetched: progress.onCopied, ...(progress.pressure === undefined ? {} : { pressure: progress.pressure }), signal };
  for (const [index, chunk] of manifest.chunks.entries()) {
    guard.throwIfOver();
    if (!(await isSuspect(chunkKey(manifest.backup, manifest.attempt, manifest.encryption.packet, index), chunk))) continue;
    const isSent = await copyChunk(moving, manifest, index, chunk);
    if (isSent) sentBytes += chunk.sizeBytes;
    progress.tell?.({ event: "chunk-stored", store: to.url, backup: manifest.backup, chunk: index, bytes: chunk.sizeBytes, sent: isSent });
  }
  return sentBytes;
}

/** Made anew: nothing vouches for the note in the source, and people type what it says. */
async function sendNote({ to, signal }: CopyRequest, manifest: Manifest): Promise<void> {
  await to.put(restoreNoteKey(manifest.backup, manifest.attempt), Buffer.from(restoreNote(manifest)), { when: "replace", signal });
}

/**
 * With a key here the manifest must have been sealed by a holder of it: whoever can write to one store is not to have his
 * work carried into the next.
 *
 * @throws ZferryError `manifest-invalid`, `key-missing`, `key-wrong`
 */
async function refuseForged({ from, reading, progress, signal }: CopyRequest, parsed: ParsedManifest): Promise<void> {
  const { keyring, allowUnauthenticated } = reading;
  if (keyring.passphrases.length + keyring.privateKeys.length === 0) return;
  try {
    trusted(await openManifest(from, parsed, keyring, signal), { keyring, allowUnauthenticated, warn: progress.warn });
  } catch (error) {
    if (!allowUnauthenticated || !isZferryError(error, "key-missing", "key-wrong")) throw error;
    progress.warn(`"${parsed.manifest.backup}" is copied unauthenticated: ${error.message}`);
  }
}
