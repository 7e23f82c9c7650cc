/** Backups in short, as tests make them up. */
import type { BackupEntry } from "../src/format/entry.ts";

/** One with a base is an incremental; what a test does not say is the least there can be. */
export function backupEntry(some: Pick<BackupEntry, "backup" | "guid" | "createdAt"> & Partial<BackupEntry>): BackupEntry {
  const base = some.base ?? null;
  return {
    kind: base === null ? "full" : "incremental",
    attempt: "00000000",
    base,
    streamKind: "single",
    streamBytes: 1,
    messageBytes: 1,
    chunkCount: 1,
    packet: "ocb",
    flags: null,
    featureFlags: "0x4",
    committedAt: some.createdAt,
    sha256: null,
    ...some,
  };
}
