/** How `zferry list` shows one backup: as a row, and as JSON (`docs/json-output.md`). */
import { formatSize } from "../bytes.ts";
import type { DamagedEntry } from "../catalog.ts";
import type { ListedBackup } from "../list.ts";
import type { LastVerified } from "../verified.ts";
import { momentText } from "./moments.ts";
import { painted, type Span } from "./paint.ts";

export const heading = ["snapshot taken", "kind", "stored", "packet", "verified", "restorable", "backup"];

/** What a narrow terminal shows below the row, the first ones first. */
export const folding = ["packet", "verified", "stored", "kind"];

/** @param isLocal - for a terminal: times of this place */
export function backupRow({ entry, obstacle, verified }: ListedBackup, isLocal: boolean): Span[] {
  return [
    momentText(entry.createdAt, "second", isLocal),
    entry.isImported === true ? `${entry.kind}, imported` : entry.kind,
    formatSize(entry.messageBytes),
    entry.packet,
    verifiedText(verified, isLocal),
    obstacle === null ? painted("yes", "good") : painted("no", "bad"),
    `${entry.backup}${entry.base?.backup == null ? "" : ` (since ${entry.base.backup})`}${obstacle === null ? "" : `: ${obstacle}`}`,
  ];
}

/** `stream 2026-11-21`, and what was found. */
function verifiedText(last: LastVerified | null, isLocal: boolean): Span {
  if (last === null) return "never";
  const day = momentText(last.at, "day", isLocal);
  return last.ok ? `${last.level} ${day}` : painted(`${last.level} ${day}: ${last.findingCount} found`, "bad");
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
    imported: entry.isImported === true,
    restorable: obstacle === null,
    obstacle,
    verified: verified === null ? null : { level: verified.level, at: verified.at, ok: verified.ok },
  };
}

export function damagedDocument({ key, error }: DamagedEntry): Record<string, unknown> {
  return { key, code: error.code, message: error.message };
}
