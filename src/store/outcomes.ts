/**
 * The refusals every store has in common, in one wording, so that a reader of a log need not know which store it was.
 */
import { ZferryError } from "../errors.ts";
import type { ByteRange, ObjectKey, PutOptions, StoredObject } from "./store.ts";

/** A conditional put whose condition does not hold. */
export function objectExists(key: ObjectKey, url: string, when: PutOptions["when"], cause?: unknown): ZferryError {
  const why = typeof when === "object" ? "is not the version it was to replace" : "is there already";
  return new ZferryError("object-exists", `"${key}" ${why} in "${url}"`, cause === undefined ? {} : { cause });
}

export function objectMissing(key: ObjectKey, url: string, cause?: unknown): ZferryError {
  return new ZferryError("object-missing", `"${key}" is not in "${url}"`, cause === undefined ? {} : { cause });
}

/** A get of one version of an object that has another by now. */
export function objectReplaced(key: ObjectKey, url: string): ZferryError {
  return new ZferryError("store-failed", `"${key}" in "${url}" was replaced while it was being read`, {
    hint: "start again; two programs may be writing to this store",
  });
}

/**
 * The range to read, whole object by default.
 *
 * @throws ZferryError `store-failed` when it does not lie within the object
 */
export function checkedRange(object: StoredObject, range: ByteRange | undefined): ByteRange {
  if (range === undefined) return { startBytes: 0, endBytes: object.sizeBytes };
  const { startBytes, endBytes } = range;
  if (startBytes >= 0 && startBytes <= endBytes && endBytes <= object.sizeBytes) return range;
  throw new ZferryError(
    "store-failed",
    `"${object.key}" has ${object.sizeBytes} bytes; bytes ${startBytes} to ${endBytes} do not lie within it`,
  );
}
