/**
 * Where the directory store keeps files and how it makes them stay: names that cannot leave the root, writes that
 * survive a power cut, a lock per key, and what the kernel's refusals mean.
 *
 * A file becomes an object by one atomic step (`rename` or `link`) after its bytes are on the disk; the folders on its
 * way are synced after. Whatever is not finished lives in `.zferry-tmp` of the same root, which is never listed.
 */
import { createHash, randomBytes } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { link, lstat, mkdir, open, readdir, realpath, rename, rm, rmdir, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ZferryError } from "../errors.ts";
import { checkKey } from "./keys.ts";
import type { ObjectKey } from "./store.ts";

/** The folder of unfinished files, in the root, so that a rename never crosses file systems. */
export const temporaryFolder = ".zferry-tmp";

/** NAME_MAX of every file system in question (`limits.h`). */
const maxComponentBytes = 255;
/** A lock is held for a rename and two syncs. One this old belongs to a process that is gone. */
const staleLockMs = 60_000;
/** Leftovers of a crashed run are nobody's after this long. */
const staleFileMs = 24 * 3_600_000;
const lockPollMs = 20;

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

/** Makes the folder of `path`, and syncs every folder that got a new entry, `path` itself being one. */
export async function placeDurably(root: string, path: string, place: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const first = await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    try {
      await refuseLinks(path);
      await place();
    } catch (error) {
      // Another process tidied the empty folder away between the two calls.
      if (errnoOf(error) === "ENOENT" && attempt < 5) continue;
      throw error;
    }
    const last = first === undefined ? dirname(path) : dirname(first);
    for (let folder = dirname(path); ; folder = dirname(folder)) {
      await syncFolder(folder);
      if (folder === last || folder === root) return;
    }
  }
}

/** What the names of unfinished files of objects in one folder begin with, so that they can be found again. */
function temporaryPrefix(folder: string): string {
  return `${createHash("sha256").update(folder).digest("hex").slice(0, 16)}-`;
}

/** The names of unfinished files and of locks. Nothing else is ever tidied away. */
const temporaryPattern = /^(?:[0-9a-f]{16}-[0-9a-f]{24}|[0-9a-f]{32}\.lock)$/;

/**
 * The folder of unfinished files. Looked at before each use, because whoever owns the store could put a link there, to
 * have files elsewhere tidied away or written.
 *
 * @throws ZferryError `store-failed` when it is anything but a folder
 */
async function temporaryFolderOf(root: string): Promise<string> {
  const path = join(root, temporaryFolder);
  if ((await lstat(path)).isDirectory()) return path;
  throw new ZferryError("store-failed", `"${path}" is not a folder, and a store keeps its unfinished files nowhere else`, {
    hint: "find out who put it there, and remove it: the store makes it anew",
  });
}

/** The same, made if need be. */
async function makeTemporaryFolder(root: string): Promise<string> {
  try {
    await mkdir(join(root, temporaryFolder), { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
  return temporaryFolderOf(root);
}

/** A new file in the folder of unfinished ones; nobody else can have it. */
export async function openTemporary(
  root: string,
  key: ObjectKey,
): Promise<{ readonly path: string; readonly handle: FileHandle }> {
  const name = `${temporaryPrefix(dirname(key))}${randomBytes(12).toString("hex")}`;
  const path = join(await makeTemporaryFolder(root), name);
  return { path, handle: await open(path, "wx", 0o600) };
}

/**
 * Gives `temporary` its name, unless the name is taken. By a hard link, which is atomic; where there are none (exFAT,
 * some network mounts) under the key's lock, which is as good among programs that use this store.
 *
 * @param options - `linkFile` is replaced in tests by one that refuses
 */
export async function linkUnlessTaken(
  root: string,
  temporary: string,
  path: string,
  { signal, linkFile = link }: { readonly signal: AbortSignal; readonly linkFile?: typeof link },
): Promise<"placed" | "taken"> {
  try {
    await linkFile(temporary, path);
    await unlink(temporary);
    return "placed";
  } catch (error) {
    const code = errnoOf(error) ?? "";
    if (code === "EEXIST") return "taken";
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(code)) throw error;
    return withKeyLock(root, path, signal, async () => {
      if (await exists(path)) return "taken";
      await rename(temporary, path);
      return "placed";
    });
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** Runs `work` while no other process runs work on the same path. A lock left by a dead process is broken after a minute. */
export async function withKeyLock<T>(root: string, path: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const name = createHash("sha256").update(path).digest("hex").slice(0, 32);
  const lock = join(await makeTemporaryFolder(root), `${name}.lock`);
  for (;;) {
    try {
      await (await open(lock, "wx", 0o600)).close();
      break;
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
      await removeIfStale(lock, staleLockMs);
      await sleep(lockPollMs);
      signal.throwIfAborted();
    }
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}

/** Removes what was written longer ago than that, or lies as far ahead: a clock that was wrong says nothing of its age. */
async function removeIfStale(path: string, ageMs: number): Promise<void> {
  try {
    const { mtimeMs } = await lstat(path);
    if (Math.abs(Date.now() - mtimeMs) > ageMs) await rm(path, { force: true });
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

/** Removes what runs that crashed over a day ago left unfinished. */
export async function removeStale(root: string): Promise<void> {
  for (const { path } of await temporaryFiles(root)) await removeIfStale(path, staleFileMs);
}

/** Removes the unfinished files of objects in one folder, and says how many they were. */
export async function removeTemporaryOf(root: string, folder: string): Promise<number> {
  const prefix = temporaryPrefix(folder);
  const unfinished = (await temporaryFiles(root)).filter(({ name }) => name.startsWith(prefix));
  for (const { path } of unfinished) await rm(path, { force: true });
  return unfinished.length;
}

async function temporaryFiles(root: string): Promise<{ readonly name: string; readonly path: string }[]> {
  try {
    const folder = await temporaryFolderOf(root);
    const entries = await readdir(folder, { withFileTypes: true });
    const ours = entries.filter((entry) => entry.isFile() && temporaryPattern.test(entry.name));
    return ours.map(({ name }) => ({ name, path: join(folder, name) }));
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return [];
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
