/**
 * Small local files that must be whole or not there: written beside, flushed, renamed, and the folder flushed too.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ZferryError } from "./errors.ts";

/** A draft this old belongs to a process that died with it. */
const leftoverMs = 600_000;

/** What is asked of a file or folder; null when there is none. */
export async function ifThere<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** The content of a file; null when there is none. */
export function readIfAny(path: string): Promise<Buffer | null> {
  return ifThere(readFile(path));
}

/**
 * What the kernel refuses of a file in the state folder is for the user to put right, and no bug.
 *
 * @param what - what was to be done, as in `write the journal "…"`
 * @throws ZferryError `config-invalid` for that; whatever else `work` throws as it is
 */
export async function inStateFolder<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ZferryError || !(error instanceof Error) || !("syscall" in error)) throw error;
    throw new ZferryError("config-invalid", `cannot ${what}: ${error.message}`, {
      hint: "give the user zferry runs as access to its state folder, or name another with --state-dir",
      cause: error,
    });
  }
}

/**
 * Replaces `path` with `content`, so that a crash leaves the old file or the new one. Folders that are missing get mode 0700.
 *
 * @param mode - of the file, whatever the umask
 */
export async function writeWhole(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await removeLeftovers(path);
  const draft = `${path}.${randomBytes(4).toString("hex")}.new`;
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      if (mode !== 0o600) await file.chmod(mode);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/**
 * Makes a file that was not there, of mode 0600; what could not be written to its end does not stay, and what was survives a
 * power cut.
 *
 * @throws the kernel's refusal, `EEXIST` among others
 */
export async function writeNew(path: string, content: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Removes what processes that died while they wrote `path` left beside it. */
async function removeLeftovers(path: string): Promise<void> {
  const beginning = `${basename(path)}.`;
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(beginning) || !/^[0-9a-f]{8}\.new$/.test(name.slice(beginning.length))) continue;
    const draft = join(dirname(path), name);
    const { mtimeMs } = await stat(draft).catch(() => ({ mtimeMs: Infinity })); // its writer has just renamed it
    if (Date.now() - mtimeMs > leftoverMs) await rm(draft, { force: true });
  }
}

/** Makes a rename in `folder` survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
