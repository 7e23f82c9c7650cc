/**
 * Which keys are keys: the rule of `store.ts`, checked by every store before it does anything, so that a key that works
 * in one store works in all of them.
 */
import { ZferryError } from "../errors.ts";
import type { ObjectKey } from "./store.ts";

/** Bytes of UTF-8 in one key, the prefix of the store's URL included (S3, R2: r2/platform/limits, read 2026-09). */
const maxKeyBytes = 1024;

function flawOf(key: string): string | null {
  if (key === "") return "it is empty";
  if (Buffer.byteLength(key) > maxKeyBytes) return `it is longer than ${maxKeyBytes} bytes`;
  if (Buffer.from(key).toString() !== key) return "it is not Unicode";
  // XML 1.0, in which S3 lists keys, cannot carry them.
  if (/\p{Cc}/u.test(key)) return "it has a control character";
  if (key.split("/").includes("")) return "a component is empty";
  if (key.split("/").some((component) => component === "." || component === "..")) return 'a component is "." or ".."';
  return null;
}

/** @throws ZferryError `store-failed` when the text cannot be a key in every store */
export function checkKey(key: ObjectKey): void {
  const flaw = flawOf(key);
  if (flaw !== null) throw new ZferryError("store-failed", `"${key}" cannot be the key of an object: ${flaw}`);
}

/** Orders keys as stores list them: by their UTF-8 bytes, which is not the order of JavaScript strings. */
export function compareKeys(left: ObjectKey, right: ObjectKey): number {
  return left === right ? 0 : Buffer.compare(Buffer.from(left), Buffer.from(right));
}
