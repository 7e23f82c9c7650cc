/**
 * Restoring from a folder of chunks without any manifest: what ZFS2Cloud writes, and zferry's own chunks when nothing
 * else is left.
 *
 * ZFS2Cloud names its files `<dataset with / as ->@<snapshot>.zfs.gpg.0000` (`split -d -a 4` behind `gpg1 -c`), in one
 * folder per snapshot. There is no digest and no sealed list, so only what OpenPGP itself checks is checked: an MDC or
 * AEAD tag vouches for the whole message, and the end of the stream is withheld until it did.
 */
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { ZferryError } from "./errors.ts";
import { decrypt } from "./openpgp/decrypt.ts";
import type { Keyring } from "./openpgp/session.ts";
import { type BeginFacts, inspection } from "./stream/inspect.ts";
import { withheldBytes, withhold } from "./stream/withhold.ts";
import { datasetOf, leafOf, shortNameOf, type SnapshotName } from "./zfs/names.ts";

const readBytes = 256 * 1024;

/**
 * The files of one message in their order, searched in `folder` and in the folders directly in it.
 *
 * @returns null when there are none
 * @throws ZferryError `chunk-invalid` when one of them is missing, empty, or there twice
 */
export async function findChunkFiles(folder: string, backup: SnapshotName): Promise<readonly string[] | null> {
  const dataset = datasetOf(backup);
  const stems = [dataset.replaceAll("/", "-"), leafOf(dataset)].map((name) => `${name}@${shortNameOf(backup)}.zfs.gpg.`);
  const numbered: { readonly file: string; readonly index: number }[] = [];
  for (const file of await filesNear(folder)) {
    const name = file.slice(file.lastIndexOf("/") + 1);
    const stem = stems.find((candidate) => name.startsWith(candidate));
    const digits = stem === undefined ? "" : name.slice(stem.length);
    if (/^\d{4,6}$/.test(digits)) numbered.push({ file, index: Number(digits) });
  }
  if (numbered.length === 0) return null;
  numbered.sort((a, b) => a.index - b.index);
  for (const [position, { file, index }] of numbered.entries()) {
    if (index === position) continue;
    const why = index > position ? `file number ${position} of "${backup}" is missing` : `"${file}" is there twice`;
    throw new ZferryError("chunk-invalid", `${why} in "${folder}"`, { hint: "download the whole backup again" });
  }
  return numbered.map(({ file }) => file);
}

async function filesNear(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isFile()) found.push(path);
    else if (entry.isDirectory()) {
      for (const inner of await readdir(path, { withFileTypes: true })) if (inner.isFile()) found.push(join(path, inner.name));
    }
  }
  return found;
}

export interface ForeignOptions {
  readonly keyring: Keyring;
  readonly onFetched: (bytes: number) => void;
  readonly onBegin: (begin: BeginFacts) => Promise<void>;
  readonly signal: AbortSignal;
}

/** The stream in those files; its last 64 KiB come only once message and stream were found whole. */
export async function* openForeign(files: readonly string[], options: ForeignOptions): AsyncGenerator<Uint8Array> {
  const { keyring, onFetched, onBegin, signal } = options;
  const stream = decrypt(concatenated(files, onFetched, signal), { keyring });
  yield* withhold(inspection({ onBegin, signal }).through(stream), { bytes: withheldBytes });
}

/** The sizes are looked at first, so that a file that grows or shrinks meanwhile is an error and not an end. */
async function* concatenated(
  files: readonly string[],
  onFetched: (bytes: number) => void,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  for (const file of files) {
    const { size } = await stat(file);
    let seenBytes = 0;
    for await (const slice of createReadStream(file, { highWaterMark: readBytes, signal }) as AsyncIterable<Buffer>) {
      seenBytes += slice.length;
      onFetched(slice.length);
      yield slice;
    }
    if (seenBytes !== size) throw new ZferryError("chunk-invalid", `"${file}" changed while it was read`);
  }
}

/** The total size of the files, for progress. */
export async function sizeOfFiles(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

