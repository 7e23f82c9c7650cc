/** `zferry list [DATASET]`: what there is and whether it can be restored. */
import type { Command } from "commander";
import { formatSize } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { type ListedBackup, list, type Listing } from "../list.ts";
import type { LastVerified } from "../verified.ts";
import { parseDatasetName } from "../zfs/names.ts";
import { withStore } from "./options.ts";
import { counted, table } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { type Session, useStore } from "./session.ts";

export function listCommand(command: Command, run: RunCommand): void {
  withStore(command, "requests").action(run(listBackups));
}

async function listBackups(session: Session, [name]: readonly string[]): Promise<void> {
  const { report, terminal, settings } = session;
  const dataset = name === undefined ? null : parseDatasetName(name);
  const listing = await useStore(session, { access: "read", named: null }, ({ store }) =>
    list(store, { dataset, stateDir: settings.stateDir, warn: report.warn, signal: terminal.signal }),
  );
  if (report.isJson) report.json({ type: "list", backups: listing.backups.map(toDocument), damaged: damagedOf(listing) });
  else report.text(toText(listing));
  refuseSilence(listing);
}

/** A backup whose manifest cannot be read is one that cannot be restored: a script that looks at nothing else must see it. */
function refuseSilence({ backups, damaged }: Listing): void {
  if (damaged.length === 0) return;
  const count = backups.length + damaged.length;
  throw new ZferryError("findings", `${damaged.length} of ${counted(count, "manifest")} cannot be used`, {
    hint: "the others are listed; restore the damaged ones from a second copy of the store, and see `zferry verify`",
  });
}

function toDocument({ entry, obstacle, verified }: ListedBackup): Record<string, unknown> {
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

function damagedOf({ damaged }: Listing): Record<string, unknown>[] {
  return damaged.map(({ key, error }) => ({ key, code: error.code, message: error.message }));
}

function toText({ backups, damaged }: Listing): string[] {
  if (backups.length === 0 && damaged.length === 0) return ["no backups"];
  const rows = backups.map(({ entry, obstacle, verified }) => [
    entry.createdAt.toISOString().replace(".000Z", "Z"),
    entry.kind,
    formatSize(entry.messageBytes),
    entry.packet,
    verifiedText(verified),
    obstacle === null ? "yes" : "no",
    `${entry.backup}${entry.base?.backup == null ? "" : ` (since ${entry.base.backup})`}${obstacle === null ? "" : `: ${obstacle}`}`,
  ]);
  return [
    ...table([["snapshot taken", "kind", "stored", "packet", "verified", "restorable", "backup"], ...rows]),
    ...damaged.map(({ key, error }) => `damaged: ${key}: ${error.message}`),
  ];
}

/** `stream 2026-11-21`, and what was found. */
function verifiedText(last: LastVerified | null): string {
  if (last === null) return "never";
  const day = last.at.toISOString().slice(0, 10);
  return `${last.level} ${day}${last.ok ? "" : `: ${last.findingCount} found`}`;
}
