/**
 * Where the directory store keeps files and how it makes them stay: names that cannot leave the root, writes that
 * survive a power cut, and what the kernel's refusals mean.
 *
 * A file becomes an object by one atomic step (`rename` or `link`) after its bytes are on the disk; the folders on its
 * way are synced after. Whatever is not finished lives in `.zferry-tmp` of the same root (`directory-unfinished.ts`).
 */
import { mkdir, open, readdir, realpath, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ZferryError } from "../errors.ts";
import { checkKey } from "./keys.ts";
import type { ObjectKey } from "./store.ts";

/** The folder of unfinished files, in the root, so that a rename never crosses file systems. */
export const temporaryFolder = ".zferry-tmp";

/** NAME_MAX of every file system in question (`limits.h`). */
const maxComponentBytes = 255;

/** What the kernel said, by errno name; null for anything else. */
export function errnoOf(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}

/** Runs `work`; what the kernel refuses is thrown in the words of the store's contract: `cannot` + `what`. */
export async function tryTo<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asDirectoryError(error, what);
  }
}

/** The same failure in the words of the store's contract; any other error as it is. */
function asDirectoryError(error: unknown, what: string): unknown {
  const code = errnoOf(error);
  if (error instanceof ZferryError || code === null) return error;
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
    case "EFBIG":
      return new ZferryError("store-full", `cannot ${what}: no space left (${code})`, {
        hint: "free space or raise the quota where the store lives",
        cause: error,
      });
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new ZferryError("store-denied", `cannot ${what}: permission denied (${code})`, {
        hint: "check owner and mode of the folder, and that it is not mounted read-only",
        cause: error,
      });
    case "EEXIST":
    case "EISDIR":
    case "ENOTDIR":
    case "ENOTEMPTY":
      return new ZferryError("store-failed", `cannot ${what}: an object is in the way of a folder, or the reverse`, {
        hint: "a folder cannot hold both an object and objects below the same name",
        cause: error,
      });
    default:
      return new ZferryError("store-failed", `cannot ${what}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * The path of a key below `root` (a real path).
 *
 * @throws ZferryError `store-failed` for what is no key, has a component over 255 bytes or would be a temporary file
 */
export function pathOf(root: string, key: ObjectKey): string {
  checkKey(key);
  const components = key.split("/");
  const tooLong = components.find((component) => Buffer.byteLength(component) > maxComponentBytes);
  if (tooLong !== undefined) {
    throw new ZferryError("store-failed", `a folder cannot hold "${key}": "${tooLong}" is over 255 bytes long`, {
      hint: "shorten the dataset or snapshot name, or use an object store",
    });
  }
  if (components[0] === temporaryFolder) {
    throw new ZferryError("store-failed", `"${temporaryFolder}" is where the store keeps unfinished files`);
  }
  return join(root, ...components);
}

/** Refuses a folder that is reached through a symbolic link: its objects would be outside the root. */
export async function refuseLinks(path: string): Promise<void> {
  const folder = dirname(path);
  if ((await realpath(folder)) === folder) return;
  throw new ZferryError(
    "store-failed",
    `"${folder}" is reached through a symbolic link, which a store does not follow`,
  );
}

/** Files and folders; a folder that was tidied away meanwhile has none. */
export async function readFolder(path: string): Promise<{ name: string; isDirectory(): boolean }[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isFile() || entry.isDirectory());
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** Makes the entries of a folder survive a power cut. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Makes the folders between `root` and `path` that are missing, none of them behind a symbolic link.
 *
 * @returns the first one, or null when all are there
 */
async function makeFolders(root: string, path: string): Promise<string | null> {
  const folder = dirname(path);
  try {
    await refuseLinks(path);
    return null;
  } catch (error) {
    if (errnoOf(error) !== "ENOENT" || folder === root) throw error;
  }
  const first = await makeFolders(root, folder);
  await makeFolder(folder);
  return first ?? folder;
}

/** Makes one folder, unless there is something of that name. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
}

/** Makes the folder of `path`, and syncs every folder that got a new entry, `path` itself being one. */
export async function placeDurably(root: string, path: string, place: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    let first: string | null;
    try {
      first = await makeFolders(root, path);
      await refuseLinks(path);
      await place();
    } catch (error) {
      // Another process tidied an empty folder away between two of the calls.
      if (errnoOf(error) === "ENOENT" && attempt < 5) continue;
      throw error;
    }
    const last = dirname(first ?? path);
    for (let folder = dirname(path); ; folder = dirname(folder)) {
      await syncFolder(folder);
      if (folder === last || folder === root) return;
    }
  }
}

/** Removes the folders above `path` as long as they are empty, the root excepted. */
export async function tidyFolders(root: string, path: string): Promise<void> {
  for (let folder = dirname(path); folder !== root; folder = dirname(folder)) {
    try {
      await rmdir(folder);
    } catch (error) {
      if (["ENOTEMPTY", "EEXIST", "ENOENT", "EBUSY"].includes(errnoOf(error) ?? "")) return;
      throw error;
    }
  }
}
