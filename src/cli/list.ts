/** `zferry list [DATASET]`: what there is and whether it can be restored. */
import type { Command } from "commander";
import { ZferryError } from "../errors.ts";
import { list, type Listing } from "../list.ts";
import { parseDatasetName } from "../zfs/names.ts";
import { backupDocument, backupRow, damagedDocument, folding, heading } from "./listing.ts";
import { type SharedFlags, withStore } from "./options.ts";
import { type Line, painted } from "./paint.ts";
import { counted } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { type Session, useStore } from "./session.ts";
import { table } from "./table.ts";

interface ListFlags extends SharedFlags {
  readonly allHosts?: boolean;
}

export function listCommand(command: Command, run: RunCommand): void {
  command.option("--all-hosts", "list every store of the configuration; with --store every host that has a folder of its own right below it");
  withStore(command, "requests").action(run(listBackups));
}

async function listBackups(session: Session, [name]: readonly string[], { allHosts }: ListFlags): Promise<void> {
  const { report, terminal, settings } = session;
  const dataset = name === undefined ? null : parseDatasetName(name);
  if (allHosts === true) {
    await (await import("./list-hosts.ts")).listHosts(session, dataset);
    return;
  }
  const listing = await useStore(session, { access: "read", named: null }, ({ store }) =>
    list(store, { dataset, stateDir: settings.stateDir, warn: report.warn, signal: terminal.signal }),
  );
  if (report.isJson) report.json({ type: "list", backups: listing.backups.map(backupDocument), damaged: listing.damaged.map(damagedDocument) });
  else report.text(toText(listing, report.columns));
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

function toText({ backups, damaged }: Listing, width: number | null): Line[] {
  if (backups.length === 0 && damaged.length === 0) return ["no backups"];
  const rows = backups.map((backup) => backupRow(backup, width !== null));
  return [...table([heading, ...rows], { width, folding }), ...damaged.map(({ key, error }): Line => [painted("damaged:", "bad"), ` ${key}: ${error.message}`])];
}
