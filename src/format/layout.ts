/**
 * Where things lie in a store: the object keys of `docs/format.md` § Objects, made and parsed in this file alone.
 */
import { randomBytes } from "node:crypto";
import { datasetOf, type DatasetName, leafOf, parseSnapshotName, shortNameOf, type SnapshotName } from "../zfs/names.ts";

/** How the message of a backup is packed; `none` is the stream itself. */
export const packetNames = ["ocb", "cfb", "rfc9580", "none"] as const;
export type PacketName = (typeof packetNames)[number];

/** Eight lower-case hex digits that keep two tries of one backup apart. */
export type Attempt = string;

/** Chunk numbers have six digits so that they sort, which bounds a backup to a million chunks. */
export const maxChunkCount = 1_000_000;

export const manifestsPrefix = "manifests/";
export const streamsPrefix = "streams/";

export function newAttempt(): Attempt {
  return randomBytes(4).toString("hex");
}

export function manifestKey(backup: SnapshotName): string {
  return `${manifestsPrefix}${backup}.json`;
}

/** Prefix of the manifests of one dataset (not of its children). */
export function manifestsOf(dataset: DatasetName): string {
  return `${manifestsPrefix}${dataset}@`;
}

/** The backup a manifest's key names, or null when the key is not one of ours. */
export function backupOfManifestKey(key: string): SnapshotName | null {
  if (!key.startsWith(manifestsPrefix) || !key.endsWith(".json")) return null;
  try {
    return parseSnapshotName(key.slice(manifestsPrefix.length, -".json".length));
  } catch {
    return null;
  }
}

/** Folder of one attempt, with its slash. */
export function attemptPrefix(backup: SnapshotName, attempt: Attempt): string {
  return `${streamsPrefix}${backup}/${attempt}/`;
}

/** What the chunks of a backup are called, without their numbers: `home@monday.zfs.gpg`. */
export function chunkStem(backup: SnapshotName, packet: PacketName): string {
  const stem = `${leafOf(datasetOf(backup))}@${shortNameOf(backup)}.zfs`;
  return packet === "none" ? stem : `${stem}.gpg`;
}

export function chunkKey(backup: SnapshotName, attempt: Attempt, packet: PacketName, index: number): string {
  return `${attemptPrefix(backup, attempt)}${chunkStem(backup, packet)}.${String(index).padStart(6, "0")}`;
}

/** What a key that was added to a backup may be called. */
export const addedKeyName = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** Session-key packets that were added to a backup later: they open it like those in its first chunk. */
export function addedKeyKey(backup: SnapshotName, attempt: Attempt, name: string): string {
  return `${addedKeysPrefix(backup, attempt)}${name}.pgp`;
}

export function addedKeysPrefix(backup: SnapshotName, attempt: Attempt): string {
  return `${attemptPrefix(backup, attempt)}KEY-`;
}

/** The name in the key of such an object; null for every other key. */
export function nameOfAddedKey(key: string): string | null {
  const name = /\/KEY-([^/]+)\.pgp$/.exec(key)?.[1] ?? "";
  return addedKeyName.test(name) ? name : null;
}

export function restoreNoteKey(backup: SnapshotName, attempt: Attempt): string {
  return `${attemptPrefix(backup, attempt)}RESTORE.md`;
}
