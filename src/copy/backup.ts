/**
 * One backup on its way from store to store: its manifest is found authentic, every piece of every chunk is checked against
 * it while it passes, and it is written last.
 */
import { copyAddedKeys } from "../added-keys.ts";
import type { Guard } from "../alone.ts";
import { noteBegun, noteEnded } from "../begun.ts";
import { fetchManifestFile, openManifest } from "../catalog.ts";
import { commit } from "../commit.ts";
import { copyChunk, refuseTooLarge } from "../download.ts";
import { isZferryError } from "../errors.ts";
import { type BackupEntry, entryOf, isSameManifest } from "../format/entry.ts";
import { attemptPrefix, restoreNoteKey } from "../format/layout.ts";
import type { ParsedManifest } from "../format/manifest.ts";
import { restoreNote } from "../format/restore-note.ts";
import { trusted } from "../get.ts";
import { ManifestReplaced } from "../manifest-replaced.ts";
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
  const { from, to, dataset, stateDir, reading, progress, signal } = request;
  const { file, parsed } = await fetchManifestFile(from, entry.backup, signal);
  if (!isSameManifest(entry, entryOf(parsed))) throw new ManifestReplaced(entry, entryOf(parsed));
  await refuseForged(request, parsed);
  const { manifest } = parsed;
  refuseTooLarge(to, manifest);
  const place = { verb: "copy", stateDir, store: to, dataset } as const;
  await noteBegun(place, entry);
  await removeUnfinished(to, attemptPrefix(entry.backup, entry.attempt), { warn: progress.warn, signal });
  let sentBytes = 0;
  const moving = { from, to, concurrency: reading.concurrency, onFetched: progress.onCopied, ...(progress.pressure === undefined ? {} : { pressure: progress.pressure }), signal };
  for (const [index, chunk] of manifest.chunks.entries()) {
    guard.throwIfOver();
    if (await copyChunk(moving, manifest, index, chunk)) sentBytes += chunk.sizeBytes;
  }
  // Made anew: nothing vouches for the note in the source, and people type what it says.
  await to.put(restoreNoteKey(manifest.backup, manifest.attempt), Buffer.from(restoreNote(manifest)), { when: "replace", signal });
  await copyAddedKeys(from, to, manifest, signal);
  await guard.check();
  signal.throwIfAborted();
  await commit(to, { manifest, file, attempt: { id: manifest.attempt, journal: null } }, progress.warn, signal);
  await noteEnded(place, entry);
  return sentBytes;
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
