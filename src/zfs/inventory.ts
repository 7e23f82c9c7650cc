/**
 * What is on the pool: a dataset with its snapshots and bookmarks, and the identities ZFS gives them.
 *
 * Names change and come back; a snapshot is known by its guid and ordered by its createTxg. Both are 64-bit and read
 * as bigints (`zfs list -j --json-int` would clamp half of them to 2^63 - 1).
 */
import { complained, saysMissing } from "./complaints.ts";
import { runZfs, type Cancellable, type Zfs } from "./command.ts";
import {
  parseBookmarkName,
  parseDatasetName,
  parseGuid,
  parseSnapshotName,
  parseU64,
  type BookmarkName,
  type DatasetName,
  type Guid,
  type SnapshotName,
} from "./names.ts";
import { readPropertiesBelow, unreadable, valueOf, type PropertyTable } from "./properties.ts";

/** The user property that marks a snapshot as made by us; its value tells which taking it is of. */
export const ownProperty = "zferry:snapshot";

interface Identity {
  readonly guid: Guid;
  /** Order of creation within a pool: what "older" means. */
  readonly createTxg: bigint;
  /** To the second. */
  readonly createdAt: Date;
}

export interface SnapshotFacts extends Identity {
  readonly name: SnapshotName;
  /** Marked by `createSnapshots`: the only snapshots we may ever destroy. */
  readonly ours: boolean;
  /** What it was marked with, whoever did; null without a mark. */
  readonly mark: string | null;
  /** Number of holds. */
  readonly userRefs: number;
}

/** Guid, createTxg and createdAt are those of the snapshot it was made from. */
export interface BookmarkFacts extends Identity {
  readonly name: BookmarkName;
}

export interface DatasetFacts {
  readonly name: DatasetName;
  readonly type: "filesystem" | "volume";
  readonly encrypted: boolean;
  readonly guid: Guid;
  /** Ascending createTxg. */
  readonly snapshots: readonly SnapshotFacts[];
  /** Ascending createTxg; empty where zfs has no bookmarks. */
  readonly bookmarks: readonly BookmarkFacts[];
}

/**
 * Reads one dataset with its snapshots and bookmarks, without its children.
 *
 * `null` means that zfs looked and there is no dataset of this name; that is also what it says when the whole pool is
 * not imported.
 */
export async function readDataset(zfs: Zfs, dataset: DatasetName, options: Cancellable): Promise<DatasetFacts | null> {
  try {
    return factsOf(dataset, await readInventory(zfs, dataset, options));
  } catch (error) {
    if (saysMissing(error, dataset)) return null;
    throw error;
  }
}

/** `root` and all file systems and volumes below it; all there are for null. @throws ZferryError `zfs-not-found` */
export async function listDatasets(zfs: Zfs, root: DatasetName | null, options: Cancellable): Promise<readonly DatasetName[]> {
  const columns = ["-H", "-r", "-t", "filesystem,volume", "-o", "name"];
  const text = await runZfs(zfs, ["list", ...columns, ...(root === null ? [] : ["--", root])], options);
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map(parseDatasetName);
}

/** True when the mark was set on the snapshot itself: datasets hand their user properties down, `zfs send -p` on. */
export function isOurs(table: PropertyTable): boolean {
  return table.get(ownProperty)?.source === "local";
}

const properties = ["type", "guid", "createtxg", "creation", "userrefs", ownProperty];

/** zfs-fuse has no property "encryption" and refuses the whole question because of it. */
async function readInventory(
  zfs: Zfs,
  dataset: DatasetName,
  options: Cancellable,
): Promise<ReadonlyMap<string, PropertyTable>> {
  try {
    return await readPropertiesBelow(zfs, [...properties, "encryption"], dataset, options);
  } catch (error) {
    if (!complained(error, "invalid property 'encryption'")) throw error;
    return await readPropertiesBelow(zfs, properties, dataset, options);
  }
}

function factsOf(dataset: DatasetName, tables: ReadonlyMap<string, PropertyTable>): DatasetFacts {
  const own = tables.get(dataset);
  if (own === undefined) throw unreadable(`nothing about "${dataset}"`);
  const entries = [...tables];
  return {
    name: dataset,
    type: typeOf(dataset, own),
    encrypted: !["off", "-"].includes(own.get("encryption")?.value ?? "off"),
    guid: parseGuid(valueOf(own, dataset, "guid")),
    snapshots: entries
      .filter(([name]) => name.startsWith(`${dataset}@`))
      .map(([name, table]) => snapshotFacts(parseSnapshotName(name), table))
      .sort(byCreateTxg),
    bookmarks: entries
      .filter(([name]) => name.startsWith(`${dataset}#`))
      .map(([name, table]) => ({ name: parseBookmarkName(name), ...identityOf(name, table) }))
      .sort(byCreateTxg),
  };
}

function typeOf(dataset: DatasetName, table: PropertyTable): "filesystem" | "volume" {
  const type = valueOf(table, dataset, "type");
  if (type !== "filesystem" && type !== "volume") throw unreadable(`"${dataset}" is a "${type}"`);
  return type;
}

function snapshotFacts(name: SnapshotName, table: PropertyTable): SnapshotFacts {
  const userRefs = Number(valueOf(table, name, "userrefs"));
  const ours = isOurs(table);
  return { name, ...identityOf(name, table), ours, mark: ours ? (table.get(ownProperty)?.value ?? null) : null, userRefs };
}

function identityOf(name: string, table: PropertyTable): Identity {
  const createTxg = parseU64(valueOf(table, name, "createtxg"));
  const seconds = parseU64(valueOf(table, name, "creation"));
  if (createTxg === null || seconds === null) throw unreadable(`createtxg or creation of "${name}"`);
  return { guid: parseGuid(valueOf(table, name, "guid")), createTxg, createdAt: new Date(Number(seconds) * 1000) };
}

function byCreateTxg(a: Identity, b: Identity): number {
  return a.createTxg < b.createTxg ? -1 : a.createTxg > b.createTxg ? 1 : 0;
}
