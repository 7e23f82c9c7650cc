/**
 * A backup in one line: what `list`, planning and restoring need to know without reading chunk lists again.
 *
 * Entries are what the state file remembers of manifests, so each has a JSON form with the same rules as a manifest's:
 * identities as decimal strings, times in ISO 8601.
 */
import { z } from "zod";
import { type DatasetName, datasetOf, type Guid, parseGuid, parseSnapshotName, type SnapshotName } from "../zfs/names.ts";
import { packetNames } from "./layout.ts";
import type { ParsedManifest } from "./manifest.ts";

const guid = z.string().transform((text): Guid => parseGuid(text));
const time = z.iso.datetime().transform((text) => new Date(text));
const backup = z.string().transform((text): SnapshotName => parseSnapshotName(text));

/** The JSON form of {@link BackupEntry}. */
export const entrySchema = z.object({
  backup,
  kind: z.enum(["full", "incremental"]),
  attempt: z.string(),
  guid,
  createdAt: time,
  base: z.object({ guid, backup: backup.nullable() }).nullable(),
  streamKind: z.enum(["single", "compound"]),
  streamBytes: z.number(),
  messageBytes: z.number(),
  chunkCount: z.number(),
  packet: z.enum(packetNames),
  flags: z.array(z.string()).nullable(),
  featureFlags: z.string(),
  committedAt: time,
  /** Of the manifest (of all it says, as its seal has it); null in what an older version has remembered. */
  sha256: z.string().nullable().default(null),
  /** Taken over by `zferry import`, so its seal vouches for no time before `committedAt`; left out in what an older version has remembered. */
  isImported: z.boolean().optional(),
});

export type BackupEntry = z.output<typeof entrySchema>;

/** Short form of a manifest. */
export function entryOf({ manifest, sha256 }: Pick<ParsedManifest, "manifest" | "sha256">): BackupEntry {
  const { backup, kind, attempt, snapshot, base, stream, encryption, messageBytes, chunks, committedAt, imported } = manifest;
  return {
    backup,
    kind,
    attempt,
    guid: snapshot.guid,
    createdAt: snapshot.createdAt,
    base,
    streamKind: stream.kind,
    streamBytes: stream.sizeBytes,
    messageBytes,
    chunkCount: chunks.length,
    packet: encryption.packet,
    flags: stream.flags,
    featureFlags: stream.featureFlags,
    committedAt,
    sha256,
    isImported: imported !== undefined,
  };
}

/**
 * Whether two entries were made of one manifest. Its text tells. Where that was not remembered yet its attempt and its time
 * do, as long as nobody has copied them.
 */
export function isSameManifest(a: BackupEntry, b: BackupEntry): boolean {
  if (a.sha256 !== null && b.sha256 !== null) return a.sha256 === b.sha256;
  return a.attempt === b.attempt && a.committedAt.getTime() === b.committedAt.getTime();
}

export function datasetOfEntry(entry: BackupEntry): DatasetName {
  return datasetOf(entry.backup);
}

/** Ascending by the time of the snapshot, then by name: the order people read and anchors are chosen in. */
export function byAge(a: BackupEntry, b: BackupEntry): number {
  return a.createdAt.getTime() - b.createdAt.getTime() || (a.backup < b.backup ? -1 : 1);
}
