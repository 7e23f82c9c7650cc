/**
 * `zfs get -Hp`: properties of datasets, snapshots and bookmarks, tab-separated, raw numbers.
 *
 * This one command prints the same on OpenZFS and on zfs-fuse, whose `list` has no `-p` and shows guids as "7.51E".
 * Names may hold spaces, so a line splits at tabs only. A property that does not apply has the value "-".
 */
import { ZferryError } from "../errors.ts";
import { runZfs, type Cancellable, type Zfs } from "./command.ts";
import type { BookmarkName, DatasetName, SnapshotName } from "./names.ts";

export interface Property {
  readonly value: string;
  /** `local`, `default`, `inherited from X`, `received`, or `-`. */
  readonly source: string;
}

export type PropertyTable = ReadonlyMap<string, Property>;

/** Reads the named properties of one thing. @throws ZferryError `zfs-not-found` when it is not there */
export async function readProperties(
  zfs: Zfs,
  names: readonly string[],
  of: DatasetName | SnapshotName | BookmarkName,
  options: Cancellable,
): Promise<PropertyTable> {
  const text = await runZfs(zfs, ["get", "-Hp", ...columns, "--", names.join(","), of], options);
  const table = parseProperties(text).get(of);
  if (table === undefined) throw unreadable(`nothing about "${of}"`);
  return table;
}

/** Reads the named properties of a dataset, its snapshots and bookmarks and its children, by full name. */
export async function readPropertiesBelow(
  zfs: Zfs,
  names: readonly string[],
  dataset: DatasetName,
  options: Cancellable,
): Promise<ReadonlyMap<string, PropertyTable>> {
  const args = ["-Hp", "-r", "-d", "1", ...columns, "--", names.join(","), dataset];
  return parseProperties(await runZfs(zfs, ["get", ...args], options));
}

/** A property that must be there. @throws ZferryError `zfs-failed` */
export function valueOf(table: PropertyTable, name: string, property: string): string {
  const found = table.get(property);
  if (found === undefined || found.value === "-") throw unreadable(`no ${property} of "${name}"`);
  return found.value;
}

/** The complaint about an output that is not what zfs has ever printed. */
export function unreadable(what: string): ZferryError {
  return new ZferryError("zfs-failed", `cannot read what "zfs get" printed: ${what}`, {
    hint: "run zfs get -Hp by hand; a user property with a line break in its value confuses its output",
  });
}

const columns = ["-o", "name,property,value,source"];

/**
 * A line that is not four fields, or a property given twice, fails the whole: a value with a line break in it could
 * otherwise pass for lines of its own.
 */
function parseProperties(text: string): Map<string, Map<string, Property>> {
  const tables = new Map<string, Map<string, Property>>();
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const [name, property, value, source, ...rest] = line.split("\t");
    if (name === undefined || property === undefined || value === undefined || source === undefined || rest.length > 0) {
      throw unreadable(`the line "${line}"`);
    }
    const table = tables.get(name) ?? new Map<string, Property>();
    if (table.has(property)) throw unreadable(`${property} of "${name}" twice`);
    tables.set(name, table.set(property, { value, source }));
  }
  return tables;
}
