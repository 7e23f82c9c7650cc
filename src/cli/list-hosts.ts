/** `zferry list --all-hosts`: the backups of several hosts, each in a store of its own. */
import { isZferryError, ZferryError } from "../errors.ts";
import { list, type Listing } from "../list.ts";
import type { DatasetName } from "../zfs/names.ts";
import { hostStores, type HostStore } from "./hosts.ts";
import { backupDocument, backupRow, damagedDocument, folding, heading } from "./listing.ts";
import { type Line, painted } from "./paint.ts";
import { counted } from "./report.ts";
import { type Session, useStoreAt } from "./session.ts";
import { table } from "./table.ts";

/** What came of one host. */
interface HostListing {
  readonly host: string;
  readonly storeUrl: string;
  /** The error why it could not be listed. */
  readonly listing: Listing | ZferryError;
}

/** A host that cannot be listed keeps none of the others from it. @throws ZferryError `findings` when there was one, or damage */
export async function listHosts(session: Session, dataset: DatasetName | null): Promise<void> {
  const { report } = session;
  const hosts: HostListing[] = [];
  for (const host of await hostStores(session)) hosts.push(await listingOf(session, host, dataset));
  report.json({
    type: "list",
    hosts: hosts.map(hostDocument),
    backups: hosts.flatMap(({ host, listing }) => backupsIn(listing).map((backup) => ({ host, ...backupDocument(backup) }))),
    damaged: hosts.flatMap(({ host, listing }) => damagedIn(listing).map((entry) => ({ host, ...damagedDocument(entry) }))),
  });
  report.text(toText(hosts, report.columns));
  refuseSilence(hosts);
}

async function listingOf(session: Session, { host, settings }: HostStore, dataset: DatasetName | null): Promise<HostListing> {
  const { report, terminal } = session;
  const { stateDir } = session.settings;
  try {
    return await useStoreAt(session, settings, "read", async ({ store }) => {
      const warn = (text: string): void => {
        report.warn(`${host}: ${text}`);
      };
      const listing = await list(store, { dataset, stateDir, warn, signal: terminal.signal });
      return { host, storeUrl: store.url, listing };
    });
  } catch (error) {
    terminal.signal.throwIfAborted();
    if (!isZferryError(error)) throw error;
    report.warn(`${host}: ${error.message}`);
    return { host, storeUrl: settings.url, listing: error };
  }
}

function hostDocument({ host, storeUrl, listing }: HostListing): Record<string, unknown> {
  const error = listing instanceof ZferryError ? { code: listing.code, message: listing.message, hint: listing.hint } : null;
  return { host, store: storeUrl, backupCount: error === null ? backupsIn(listing).length : null, error };
}

function backupsIn(listing: HostListing["listing"]): Listing["backups"] {
  return listing instanceof ZferryError ? [] : listing.backups;
}

function damagedIn(listing: HostListing["listing"]): Listing["damaged"] {
  return listing instanceof ZferryError ? [] : listing.damaged;
}

function toText(hosts: readonly HostListing[], width: number | null): Line[] {
  const rows = hosts.flatMap(({ host, listing }) => backupsIn(listing).map((backup) => [host, ...backupRow(backup, width !== null)]));
  const without = hosts.filter(({ listing }) => !(listing instanceof ZferryError) && listing.backups.length === 0).map(({ host }) => `${host}: no backups`);
  const damaged = hosts.flatMap(({ host, listing }) => damagedIn(listing).map(({ key, error }): Line => [painted("damaged:", "bad"), ` ${host}: ${key}: ${error.message}`]));
  const shown = rows.length === 0 ? [] : table([["host", ...heading], ...rows], { width, folding });
  return hosts.length === 0 ? ["no hosts"] : [...shown, ...without, ...damaged];
}

/** Whoever looks at nothing but the exit status must see that something was not shown, or cannot be used. */
function refuseSilence(hosts: readonly HostListing[]): void {
  const failed = hosts.filter(({ listing }) => listing instanceof ZferryError).map(({ host }) => `"${host}"`);
  const damaged = hosts.flatMap(({ listing }) => damagedIn(listing));
  if (failed.length > 0) {
    throw new ZferryError("findings", `${failed.length} of ${counted(hosts.length, "host")} could not be listed: ${failed.join(", ")}`, {
      hint: "the others are; zferry list --store with that host's store says why",
    });
  }
  if (damaged.length === 0) return;
  throw new ZferryError("findings", `${counted(damaged.length, "manifest")} cannot be used`, {
    hint: "restore them from a second copy of their host's store, and see `zferry verify`",
  });
}
