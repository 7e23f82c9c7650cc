/** `zferry list [DATASET]`: what there is and whether it can be restored. */
import type { Command } from "commander";
import { formatSize } from "../bytes.ts";
import { type ListedBackup, list, type Listing } from "../list.ts";
import { parseDatasetName } from "../zfs/names.ts";
import { withStore } from "./options.ts";
import { table } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { type Session, useStore } from "./session.ts";

export function listCommand(parent: Command, run: RunCommand): void {
  withStore(parent.command("list [dataset]").description("list backups: time, kind, base, size, restorable or why not")).action(
    run(listBackups),
  );
}

async function listBackups(session: Session, [name]: readonly string[]): Promise<void> {
  const { report, terminal, settings } = session;
  const dataset = name === undefined ? null : parseDatasetName(name);
  const listing = await useStore(session, { access: "read", named: null }, ({ store }) =>
    list(store, {
      dataset,
      stateDir: settings.stateDir,
      warn: report.warn,
      signal: terminal.signal,
    }),
  );
  report.json({ type: "list", backups: listing.backups.map(toDocument), damaged: damagedOf(listing) });
  report.text(toText(listing));
}

function toDocument({ entry, obstacle }: ListedBackup): Record<string, unknown> {
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
  };
}

function damagedOf({ damaged }: Listing): Record<string, unknown>[] {
  return damaged.map(({ key, error }) => ({ key, code: error.code, message: error.message }));
}

function toText({ backups, damaged }: Listing): string[] {
  if (backups.length === 0 && damaged.length === 0) return ["no backups"];
  const rows = backups.map(({ entry, obstacle }) => [
    entry.createdAt.toISOString().replace(".000Z", "Z"),
    entry.kind,
    formatSize(entry.messageBytes),
    entry.packet,
    obstacle === null ? "yes" : "no",
    `${entry.backup}${entry.base?.backup == null ? "" : ` (since ${entry.base.backup})`}${obstacle === null ? "" : `: ${obstacle}`}`,
  ]);
  return [
    ...table([["snapshot taken", "kind", "stored", "packet", "restorable", "backup"], ...rows]),
    ...damaged.map(({ key, error }) => `damaged: ${key}: ${error.message}`),
  ];
}
