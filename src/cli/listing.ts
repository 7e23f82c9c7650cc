/** How `zferry list` shows one backup: as a row, and as JSON (`docs/json-output.md`). */
import { formatSize } from "../bytes.ts";
import type { DamagedEntry } from "../catalog.ts";
import type { ListedBackup } from "../list.ts";
import type { LastVerified } from "../verified.ts";

export const heading = ["snapshot taken", "kind", "stored", "packet", "verified", "restorable", "backup"];

export function backupRow({ entry, obstacle, verified }: ListedBackup): string[] {
  return [
    entry.createdAt.toISOString().replace(".000Z", "Z"),
    entry.kind,
    formatSize(entry.messageBytes),
    entry.packet,
    verifiedText(verified),
    obstacle === null ? "yes" : "no",
    `${entry.backup}${entry.base?.backup == null ? "" : ` (since ${entry.base.backup})`}${obstacle === null ? "" : `: ${obstacle}`}`,
  ];
}

/** `stream 2026-11-21`, and what was found. */
function verifiedText(last: LastVerified | null): string {
  if (last === null) return "never";
  const day = last.at.toISOString().slice(0, 10);
  return `${last.level} ${day}${last.ok ? "" : `: ${last.findingCount} found`}`;
}

export function backupDocument({ entry, obstacle, verified }: ListedBackup): Record<string, unknown> {
  return {
    backup: entry.backup,
    kind: entry.kind,
    guid: entry.guid,
    createdAt: entry.createdAt,
    baseGuid: entry.base?.guid ?? null,
    baseBackup: entry.base?.backup ?? null,
    streamBytes: entry.streamBytes,
    storedBytes: entry.messageBytes,
    chunkCount: entry.chunkCount,
    packet: entry.packet,
    committedAt: entry.committedAt,
    restorable: obstacle === null,
    obstacle,
    verified: verified === null ? null : { level: verified.level, at: verified.at, ok: verified.ok },
  };
}

export function damagedDocument({ key, error }: DamagedEntry): Record<string, unknown> {
  return { key, code: error.code, message: error.message };
}
