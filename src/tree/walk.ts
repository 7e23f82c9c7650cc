/**
 * A tree of files, name by name: a folder, then what is in it, names in the order of their bytes (`comparePaths`).
 *
 * Holds the names of the folders it is in, all at a time: a folder with a million names takes some 100 MB.
 */
import type { BigIntStats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { ZferryError } from "../errors.ts";
import { joinPath, maxPathBytes, type TreePath } from "../format/file-path.ts";
import { Folder } from "./folder.ts";

/** Something that has a name in the tree. */
export interface Found {
  readonly kind: "found";
  readonly path: TreePath;
  readonly name: Buffer;
  readonly stat: BigIntStats;
  /** Where its name is: the root itself for the root. Open until the next one is asked for; hold it for longer. */
  readonly folder: Folder;
}

/** A name that could not be looked at. `vanished`: it went while the walk was on its way, or made room for another. */
export interface Missed {
  readonly kind: "vanished" | "unreadable";
  readonly path: TreePath;
  readonly why: string;
}

/** Snapshots of ZFS, where the tree is a dataset and they are shown in it. */
const snapshots = Buffer.from(".zfs");

/**
 * All below the root and the root itself, first. What is on another file system is found and not entered.
 *
 * @throws the kernel's refusal to read the root; the signal's reason
 */
export async function* walk(root: Folder, signal: AbortSignal): AsyncGenerator<Found | Missed> {
  const stat = await root.handle.stat({ bigint: true });
  const path: TreePath = Buffer.alloc(0);
  yield { kind: "found", path, name: Buffer.from("."), stat, folder: root };
  yield* walkIn(root, { path, device: stat.dev, signal });
}

interface Walking {
  readonly path: TreePath;
  /** Of the root. */
  readonly device: bigint;
  readonly signal: AbortSignal;
}

async function* walkIn(folder: Folder, { path: above, device, signal }: Walking): AsyncGenerator<Found | Missed> {
  const read = (): Promise<Buffer[]> => readdir(folder.path(), { encoding: "buffer" });
  const names = above.length === 0 ? await read() : await looked(read, above);
  if ("kind" in names) {
    yield names;
    return;
  }
  for (const name of names.sort((a, b) => Buffer.compare(a, b))) {
    if (above.length === 0 && name.equals(snapshots)) continue;
    signal.throwIfAborted();
    const path = joinPath(above, name);
    if (path.length > maxPathBytes) {
      yield { kind: "unreadable", path, why: "ENAMETOOLONG" };
      continue;
    }
    const stat = await looked(() => lstat(folder.path(name), { bigint: true }), path);
    if ("kind" in stat) {
      yield stat;
      continue;
    }
    yield { kind: "found", path, name, stat, folder };
    if (stat.isDirectory() && stat.dev === device) yield* enter(folder, name, { path, device, signal });
  }
}

async function* enter(above: Folder, name: Buffer, walking: Walking): AsyncGenerator<Found | Missed> {
  const folder = await looked(() => above.below(name), walking.path);
  if ("kind" in folder) {
    yield folder;
    return;
  }
  try {
    yield* walkIn(folder, walking);
  } finally {
    await folder.letGo();
  }
}

/** What went is no failure; what may not be looked at, or cannot be read, is one that leaves the others alone. */
async function looked<T>(look: () => Promise<T>, path: TreePath): Promise<T | Missed> {
  try {
    return await look();
  } catch (error) {
    return missed(path, error);
  }
}

/** What the kernel says when there is no such name, or it is that of another thing by now: we follow no links. */
const goneCodes = ["ENOENT", "ENOTDIR", "ELOOP"];

/** @throws what is no refusal of the kernel */
export function missed(path: TreePath, error: unknown): Missed {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined || code === "EMFILE" || code === "ENFILE") throw error;
  return { kind: goneCodes.includes(code) ? "vanished" : "unreadable", path, why: code };
}

/**
 * What the kernel has refused of files is for the user to put right, and no bug; anything else is what it was.
 *
 * @param what - completes "cannot …"
 */
export function refusedByKernel(error: unknown, what: string): unknown {
  if (error instanceof ZferryError || !(error instanceof Error) || !("syscall" in error)) return error;
  return new ZferryError("engine-failed", `cannot ${what}: ${error.message.replaceAll(/\/proc\/self\/fd\/\d+/g, "…")}`, {
    hint: "see that zferry may read and write there, and that there is room",
    cause: error,
  });
}
