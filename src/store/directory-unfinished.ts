/**
 * What a directory store has not finished: files that are no objects yet, and the locks under which they become some.
 * They lie in one folder of the root, which is never listed.
 *
 * Whoever owns the store could put a link in that folder's place, to have files elsewhere tidied away or written; so it
 * is looked at before each use.
 */
import { createHash, randomBytes } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { link, lstat, open, readdir, rename, rm, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ZferryError } from "../errors.ts";
import { errnoOf, makeFolder, temporaryFolder } from "./directory-files.ts";
import type { ObjectKey } from "./store.ts";

/** A lock is held for a rename and two syncs. One this old belongs to a process that is gone. */
const staleLockMs = 60_000;
/** Leftovers of a crashed run are nobody's after this long. */
const staleFileMs = 24 * 3_600_000;
const lockPollMs = 20;

/** What the names of unfinished files of objects in one folder begin with, so that they can be found again. */
export function temporaryPrefix(folder: string): string {
  return `${createHash("sha256").update(folder).digest("hex").slice(0, 16)}-`;
}

/** The names of unfinished files and of locks. Nothing else is ever tidied away. */
const temporaryPattern = /^(?:[0-9a-f]{16}-[0-9a-f]{24}|[0-9a-f]{32}\.lock)$/;

/** @throws ZferryError `store-failed` when it is anything but a folder */
async function temporaryFolderOf(root: string): Promise<string> {
  const path = join(root, temporaryFolder);
  if ((await lstat(path)).isDirectory()) return path;
  throw new ZferryError("store-failed", `"${path}" is not a folder, and a store keeps its unfinished files nowhere else`, {
    hint: "find out who put it there, and remove it: the store makes it anew",
  });
}

/** The same, made if need be. */
async function makeTemporaryFolder(root: string): Promise<string> {
  await makeFolder(join(root, temporaryFolder));
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
