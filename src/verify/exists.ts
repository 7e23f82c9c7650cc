/**
 * Level `exists`: one listing against the manifests. Needs no key and reads no chunk.
 *
 * The listing of streams must be taken after the manifests were listed: a manifest is written after its chunks, so what
 * a manifest names is in every later listing.
 */
import type { Catalog } from "../catalog.ts";
import { baseOf, chainTo } from "../format/chain.ts";
import type { BackupEntry } from "../format/entry.ts";
import { attemptPrefix, chunkKey, manifestKey, nameOfAddedKey, restoreNoteKey } from "../format/layout.ts";
import type { Manifest } from "../format/manifest.ts";
import type { ObjectKey, Store } from "../store/store.ts";
import { type Finding, finding } from "./findings.ts";

/** Sizes in bytes by key, of the objects in one attempt's folder. */
export type Folder = ReadonlyMap<ObjectKey, number>;

/** A dataset has no `@`, a snapshot no slash: the two slashes behind the first `@` end the backup and the attempt. */
const attemptFolder = /^streams\/[^@]*@[^/]*\/[^/]*\//;

/** The objects under `prefix` by their attempt's folder. Memory: about 200 bytes for each object. */
export async function listFolders(store: Store, prefix: string, signal: AbortSignal): Promise<ReadonlyMap<string, Folder>> {
  const folders = new Map<string, Map<ObjectKey, number>>();
  for await (const { key, sizeBytes } of store.list(prefix, { signal })) {
    const name = attemptFolder.exec(key)?.[0];
    if (name === undefined) continue;
    const folder = folders.get(name) ?? new Map<ObjectKey, number>();
    folders.set(name, folder.set(key, sizeBytes));
  }
  return folders;
}

/** Every chunk of the manifest is there with its size, and nothing else is. */
export function checkObjects(manifest: Manifest, folders: ReadonlyMap<string, Folder>): Finding[] {
  const { backup, attempt, encryption, chunks } = manifest;
  const folder: Folder = folders.get(attemptPrefix(backup, attempt)) ?? new Map<ObjectKey, number>();
  const named = new Set<ObjectKey>([restoreNoteKey(backup, attempt)]);
  const found: Finding[] = [];
  for (const [chunk, { sizeBytes }] of chunks.entries()) {
    const key = chunkKey(backup, attempt, encryption.packet, chunk);
    named.add(key);
    const thereBytes = folder.get(key);
    const place = `chunk ${chunk} of ${chunks.length} ("${key}")`;
    if (thereBytes === undefined) {
      found.push({ kind: "missing-chunk", chunk, key, message: `${place} is missing` });
    } else if (thereBytes !== sizeBytes) {
      const message = `${place} has ${thereBytes} bytes and should have ${sizeBytes}`;
      found.push({ kind: "size", chunk, key, message });
    }
  }
  for (const key of folder.keys()) {
    if (!named.has(key) && nameOfAddedKey(key) === null) found.push(finding("extra-object", `"${key}" is not in the manifest`, key));
  }
  return found;
}

/** Null when everything the backup is based on is in the catalog of backups whose manifests can be read. */
export function checkBase(entry: BackupEntry, catalog: Pick<Catalog, "backups">, unusable: ReadonlySet<string>): Finding | null {
  const chain = chainTo(entry, catalog);
  if (typeof chain !== "string") return null;
  const named = entry.base?.backup ?? null;
  if (named !== null && baseOf(entry, catalog) === null && unusable.has(named)) {
    const key = manifestKey(named);
    return finding("base-missing", `cannot be restored: the manifest of its base "${named}" cannot be used`, key);
  }
  const name = named === null ? "" : ` (it was "${named}")`;
  return finding("base-missing", `cannot be restored: ${chain}${name}`);
}
