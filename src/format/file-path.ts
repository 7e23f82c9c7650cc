/**
 * Paths of files as text: any bytes in, printable ASCII out, and back (`docs/format.md` § Files).
 *
 * A path is relative to the root of its tree, whose own path is empty; its components are divided by `/`.
 */

/** As the kernel has it: components of any bytes but `/` and NUL. */
export type TreePath = Buffer;

/** What stands for itself; every other byte is `%` and two upper-case hex digits. */
const plain = new Set(Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/"));
const slash = 0x2f;

export function pathText(path: Uint8Array): string {
  let text = "";
  for (const byte of path) text += plain.has(byte) ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return text;
}

/**
 * The path that {@link pathText} has made this text of; null for every other text. One that could lead out of its tree
 * (`..`, an empty component, a NUL) is none.
 */
export function parsePathText(text: string): TreePath | null {
  if (!/^(?:[A-Za-z0-9._/-]|%[0-9A-F]{2})*$/.test(text)) return null;
  const path = Buffer.from(text.replaceAll(/%([0-9A-F]{2})/g, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))), "latin1");
  if (pathText(path) !== text || path.includes(0)) return null;
  if (path.length === 0) return path;
  return path.toString("latin1").split("/").some((name) => name === "" || name === "." || name === "..") ? null : path;
}

/** In the order of a walk: a folder, then what is in it, names by their bytes. Negative when `a` comes first. */
export function comparePaths(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at += 1) {
    const [x = 0, y = 0] = [a[at], b[at]];
    if (x !== y) return (x === slash ? 0 : x) - (y === slash ? 0 : y);
  }
  return a.length - b.length;
}

/** The folder a path lies in: empty for the root; null for the root itself. */
export function parentOf(path: TreePath): TreePath | null {
  return path.length === 0 ? null : path.subarray(0, Math.max(0, path.lastIndexOf(slash)));
}

export function nameOf(path: TreePath): Buffer {
  return path.subarray(path.lastIndexOf(slash) + 1);
}

export function joinPath(folder: TreePath, name: Uint8Array): TreePath {
  return folder.length === 0 ? Buffer.from(name) : Buffer.concat([folder, Buffer.from("/"), name]);
}
