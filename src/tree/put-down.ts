/**
 * One file, link or symbolic link of a list, made in a folder that is held open. What is there already is replaced only on
 * request, and a file gets its name when all of it was written and found to be what was stored.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, lchown, link, lstat, lutimes, open, rename, symlink, unlink } from "node:fs/promises";
import { asBuffer, type LentSource } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { ifThere } from "../files.ts";
import type { FileEntry, FolderEntry, TreeEntry } from "../format/file-list.ts";
import type { Folder } from "./folder.ts";

/** Zeros of a file with holes are left out by so much, and at multiples of it: no file system has smaller blocks. */
const blockBytes = 4096;
const zeros = Buffer.alloc(blockBytes);
const fresh = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** A name that is to be made. */
export interface Spot {
  readonly folder: Folder;
  readonly name: Buffer;
  /** For messages. */
  readonly path: string;
}

export interface Manner {
  /** Files and links that are there are replaced; folders never are. */
  readonly overwrite: boolean;
  /** Whether owners can be given, which takes root. */
  readonly givesOwners: boolean;
}

type About = Pick<FolderEntry, "mode" | "uid" | "gid" | "mtime">;

/** @throws ZferryError `target-exists` when there is something that is not to be replaced */
export async function refuseTaken({ folder, name, path }: Spot, { overwrite }: Manner): Promise<void> {
  const there = await ifThere(lstat(folder.path(name)));
  if (there !== null && (!overwrite || there.isDirectory())) throw taken(path);
}

/** @param content - of the file, which throws unless it is what was stored @throws ZferryError `target-exists`; what `content` throws */
export async function putFile(spot: Spot, entry: FileEntry, { content, manner }: { readonly content: LentSource; readonly manner: Manner }): Promise<void> {
  await underName(spot, manner, async (draft) => {
    const handle = await open(draft, fresh, 0o600);
    try {
      await write(handle, content, entry.sparse === true);
      await handle.truncate(entry.sizeBytes);
      await dress(handle, entry, manner);
    } finally {
      await handle.close();
    }
  });
}

/** @returns whether it could be made: not every file system takes every hard link */
export async function putLink(spot: Spot, { folder, name }: Pick<Spot, "folder" | "name">, manner: Manner): Promise<boolean> {
  try {
    await underName(spot, manner, (draft) => link(folder.path(name), draft));
    return true;
  } catch (error) {
    if (["EXDEV", "EPERM", "EMLINK", "ENOTSUP"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}

/** @throws ZferryError `target-exists` */
export async function putSymlink(spot: Spot, entry: Extract<TreeEntry, { type: "symlink" }>, manner: Manner): Promise<void> {
  await underName(spot, manner, async (draft) => {
    await symlink(Buffer.from(entry.target, "base64"), draft);
    if (manner.givesOwners) await lchown(draft, entry.uid, entry.gid);
    const seconds = secondsOf(entry);
    await lutimes(draft, seconds, seconds);
  });
}

/** Owner, mode and time of something that is open; last of all, since writing changes the time. */
export async function dress(handle: FileHandle, about: About, { givesOwners }: Manner): Promise<void> {
  if (givesOwners) await handle.chown(about.uid, about.gid);
  // Whoever cannot give it to its owner makes no program that runs as somebody else.
  await handle.chmod(givesOwners ? about.mode : about.mode & 0o777);
  const seconds = secondsOf(about);
  await handle.utimes(seconds, seconds);
}

/**
 * To the microsecond, which is what a double holds. As text: of a number below zero, a time before 1970, Node makes the time
 * it is now (`toUnixTimestamp` in its lib/internal/fs/utils.js).
 */
function secondsOf({ mtime }: Pick<About, "mtime">): string {
  return String(Number(BigInt(mtime) / 1000n) / 1e6);
}

/** Makes it under a name that nobody has, and gives it its own when it is whole. */
async function underName({ folder, name, path }: Spot, { overwrite }: Manner, make: (draft: Buffer) => Promise<void>): Promise<void> {
  const draft = folder.path(Buffer.from(`.zferry-${randomBytes(8).toString("hex")}`));
  try {
    await make(draft);
    if (overwrite) await rename(draft, folder.path(name));
    else await giveName(draft, folder.path(name));
  } catch (error) {
    if (["EEXIST", "EISDIR", "ENOTEMPTY"].includes((error as NodeJS.ErrnoException).code ?? "")) throw taken(path);
    throw error;
  } finally {
    await unlink(draft).catch(() => undefined); // it has its name, or it was never made
  }
}

/** A link is refused where a name is taken, which a rename is not. */
async function giveName(draft: Buffer, path: Buffer): Promise<void> {
  try {
    await link(draft, path);
  } catch (error) {
    if (!["EPERM", "ENOTSUP", "EMLINK"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    if ((await ifThere(lstat(path))) !== null) throw Object.assign(new Error("it is taken"), { code: "EEXIST" });
    await rename(draft, path);
  }
}

async function write(handle: FileHandle, content: LentSource, isSparse: boolean): Promise<void> {
  let at = 0;
  for await (const piece of content) {
    for (const [from, to] of isSparse ? filledIn(asBuffer(piece), at) : [[0, piece.length] as const]) await writeAll(handle, piece.subarray(from, to), at + from);
    at += piece.length;
  }
}

/** Where a piece of a file holds more than zeros, in whole blocks of the file. @param at - where it lies in the file */
function* filledIn(piece: Buffer, at: number): Generator<readonly [from: number, to: number]> {
  let begin: number | null = null;
  for (let from = 0; from < piece.length; ) {
    const to = Math.min(piece.length, from + blockBytes - ((at + from) % blockBytes));
    const isEmpty = piece.subarray(from, to).equals(zeros.subarray(0, to - from));
    if (isEmpty && begin !== null) {
      yield [begin, from];
      begin = null;
    }
    if (!isEmpty) begin ??= from;
    from = to;
  }
  if (begin !== null) yield [begin, piece.length];
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

export function taken(path: string): ZferryError {
  return new ZferryError("target-exists", `there is something called "${path}" already`, { hint: "restore into an empty folder, or replace files with --overwrite" });
}
