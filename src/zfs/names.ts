/**
 * Names and identities as ZFS has them, parsed once at the edge and trusted afterwards.
 *
 * A name is a branded string; an identity (guid, createtxg) is a bigint, because both are unsigned 64-bit and a double
 * rounds half of them (OpenZFS `include/sys/fs/zfs.h`, `module/zcommon/zfs_namecheck.c`).
 */
import { ZferryError } from "../errors.ts";

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** `pool/path/to/dataset`: a file system or volume, no `@` and no `#`. */
export type DatasetName = Branded<string, "DatasetName">;
/** `dataset@snapshot`. */
export type SnapshotName = Branded<string, "SnapshotName">;
/** `dataset#bookmark`. */
export type BookmarkName = Branded<string, "BookmarkName">;
/** Identity of a snapshot (a bookmark shares its snapshot's): survives rename, send and receive. */
export type Guid = Branded<bigint, "Guid">;

/** ZFS_MAX_DATASET_NAME_LEN less its terminating zero. */
const maxNameLength = 255;
const u64Limit = 1n << 64n;

/** Alphanumerics, `-_.:%` and spaces, also at the ends: as strict as ZFS and no more, or another's name blocks a dataset. */
const component = /^[A-Za-z0-9_.: %-]+$/;

function isComponent(text: string): boolean {
  return component.test(text) && text !== "." && text !== "..";
}

function refuse(what: string, text: string, why: string): never {
  throw new ZferryError("usage", `"${text}" is not a ${what}: ${why}`, {
    hint: "write pool/dataset, pool/dataset@snapshot or pool/dataset#bookmark, as `zfs list` prints them",
  });
}

/** @throws ZferryError `usage` */
export function parseDatasetName(text: string): DatasetName {
  if (text.length > maxNameLength) refuse("dataset name", text, `longer than ${maxNameLength} characters`);
  if (!/^[A-Za-z]/.test(text)) refuse("dataset name", text, "a pool's name starts with a letter");
  if (!text.split("/").every(isComponent)) {
    refuse("dataset name", text, "a component is empty, is . or .., or has a character ZFS does not allow");
  }
  return text as DatasetName;
}

function parseQualified(text: string, separator: "@" | "#", what: string): string {
  const at = text.indexOf(separator);
  if (at < 0) refuse(what, text, `it has no ${separator}`);
  parseDatasetName(text.slice(0, at));
  if (!isComponent(text.slice(at + 1))) refuse(what, text, `what follows ${separator} is not a name`);
  if (text.length > maxNameLength) refuse(what, text, `longer than ${maxNameLength} characters`);
  return text;
}

/** @throws ZferryError `usage` */
export function parseSnapshotName(text: string): SnapshotName {
  return parseQualified(text, "@", "snapshot name") as SnapshotName;
}

/** @throws ZferryError `usage` */
export function parseBookmarkName(text: string): BookmarkName {
  return parseQualified(text, "#", "bookmark name") as BookmarkName;
}

/** `tank/home@monday` from its two halves; each half must already be a valid name. */
export function snapshotName(dataset: DatasetName, snapshot: string): SnapshotName {
  return parseSnapshotName(`${dataset}@${snapshot}`);
}

/** `tank/home#monday` from its two halves. */
export function bookmarkName(dataset: DatasetName, bookmark: string): BookmarkName {
  return parseBookmarkName(`${dataset}#${bookmark}`);
}

/** What stands before the `@` or `#`. */
export function datasetOf(name: SnapshotName | BookmarkName): DatasetName {
  return name.slice(0, name.search(/[@#]/)) as DatasetName;
}

/** What stands behind the `@` or `#`. */
export function shortNameOf(name: SnapshotName | BookmarkName): string {
  return name.slice(name.search(/[@#]/) + 1);
}

/** The last component of a dataset's name: `home` of `tank/home`. */
export function leafOf(dataset: DatasetName): string {
  return dataset.slice(dataset.lastIndexOf("/") + 1);
}

/** Parses an unsigned 64-bit decimal as `zfs get -p` prints it; null when it is not one. */
export function parseU64(text: string): bigint | null {
  if (!/^\d{1,20}$/.test(text)) return null;
  const value = BigInt(text);
  return value < u64Limit ? value : null;
}

/** @throws ZferryError `zfs-failed` when zfs printed something else where a guid belongs */
export function parseGuid(text: string): Guid {
  const value = parseU64(text);
  if (value === null || value === 0n) throw new ZferryError("zfs-failed", `"${text}" is not a guid`);
  return value as Guid;
}

/** A non-zero 64-bit number read from a stream's records as a guid; null for 0, which there means "none". */
export function guidFrom(value: bigint): Guid | null {
  return value === 0n ? null : (value as Guid);
}
