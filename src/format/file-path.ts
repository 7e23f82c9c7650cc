/**
 * Paths of files as text: any bytes in, printable ASCII out, and back (`docs/format.md` § Files).
 *
 * A path is relative to the root of its tree, whose own path is empty; its components are divided by `/`.
 */
import { KiB } from "../bytes.ts";

/** As the kernel has it: components of any bytes but `/` and NUL. */
export type TreePath = Buffer;

/** In bytes. A list has no longer ones: as text, and three times in an entry, one still fits into a line (`maxLineBytes`). */
export const maxPathBytes = 64 * KiB;

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
 * (`..`, an empty component, a NUL), or is too long, is none. In one pass: each entry of a list takes it.
 */
export function parsePathText(text: string): TreePath | null {
  const path = Buffer.allocUnsafe(Math.min(text.length, maxPathBytes));
  let length = 0;
  for (let at = 0; at < text.length; length += 1) {
    const byte = byteAt(text, at);
    if (byte === null || length === path.length) return null;
    path[length] = byte;
    at += plain.has(byte) ? 1 : escapeChars;
  }
  const whole = path.subarray(0, length);
  return length > 0 && whole.toString("latin1").split("/").some((name) => name === "" || name === "." || name === "..") ? null : whole;
}

const escapeChars = "%41".length;
const digits = "0123456789ABCDEF";

/** The byte whose text begins there; null when none does, or a byte's that has another text. */
function byteAt(text: string, at: number): number | null {
  const code = text.charCodeAt(at);
  if (plain.has(code)) return code;
  if (text[at] !== "%" || at + escapeChars > text.length) return null;
  const [high, low] = [digits.indexOf(text.charAt(at + 1)), digits.indexOf(text.charAt(at + 2))];
  const byte = high * digits.length + low;
  return high < 0 || low < 0 || byte === 0 || plain.has(byte) ? null : byte;
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
