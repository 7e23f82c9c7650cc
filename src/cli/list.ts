/** `zferry list [DATASET]`: what there is and whether it can be restored. */
import type { Command } from "commander";
import { formatSize } from "../bytes.ts";
import { manifestKey } from "../format/layout.ts";
import { type ListedBackup, list, type Listing } from "../list.ts";
import { readStoreState, type StoreState } from "../state.ts";
import { type LastVerified, lastVerified } from "../verified.ts";
import { parseDatasetName } from "../zfs/names.ts";
import { withStore } from "./options.ts";
import { table } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { type Session, useStore } from "./session.ts";

export function listCommand(command: Command, run: RunCommand): void {
  withStore(command).action(run(listBackups));
}

async function listBackups(session: Session, [name]: readonly string[]): Promise<void> {
  const { report, terminal, settings } = session;
  const dataset = name === undefined ? null : parseDatasetName(name);
  const { listing, state } = await useStore(session, { access: "read", named: null }, async ({ store }) => {
    const { stateDir } = settings;
    const found = await list(store, { dataset, stateDir, warn: report.warn, signal: terminal.signal });
    return { listing: found, state: await readStoreState(stateDir, store.url, () => undefined) };
  });
  report.json({ type: "list", backups: listing.backups.map((one) => toDocument(one, state)), damaged: damagedOf(listing) });
  report.text(toText(listing, state));
}

/** The result that counts, of the manifest that is there now. */
function verifiedOf({ entry }: ListedBackup, { verified, manifests }: StoreState): LastVerified | null {
  const key = manifestKey(entry.backup);
  return lastVerified(verified?.[key], manifests[key]?.etag ?? null);
}

function toDocument(listed: ListedBackup, state: StoreState): Record<string, unknown> {
  const { entry, obstacle } = listed;
  const last = verifiedOf(listed, state);
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
    verified: last === null ? null : { level: last.level, at: last.at, ok: last.ok },
  };
}

function damagedOf({ damaged }: Listing): Record<string, unknown>[] {
  return damaged.map(({ key, error }) => ({ key, code: error.code, message: error.message }));
}

function toText({ backups, damaged }: Listing, state: StoreState): string[] {
  if (backups.length === 0 && damaged.length === 0) return ["no backups"];
  const rows = backups.map((listed) => {
    const { entry, obstacle } = listed;
    return [
      entry.createdAt.toISOString().replace(".000Z", "Z"),
      entry.kind,
      formatSize(entry.messageBytes),
      entry.packet,
      verifiedText(verifiedOf(listed, state)),
      obstacle === null ? "yes" : "no",
      `${entry.backup}${entry.base?.backup == null ? "" : ` (since ${entry.base.backup})`}${obstacle === null ? "" : `: ${obstacle}`}`,
    ];
  });
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
