/**
 * The content of one file, read once, and what it turned out to be.
 */
import { createHash } from "node:crypto";
import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { ByteSource } from "../bytes.ts";
import { KiB } from "../bytes.ts";
import type { Found } from "./walk.ts";

const pieceBytes = 256 * KiB;

/** Not a link, not a pipe that would keep us waiting: whatever has taken the name since it was looked at. */
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export interface Content {
  readonly handle: FileHandle;
  /** As it was when it was opened. */
  readonly stat: BigIntStats;
}

/** The file that was found, opened; null when another one has its name by now. The caller closes it. @throws the kernel's refusal */
export async function openContent({ folder, name, stat: found }: Found): Promise<Content | null> {
  const handle = await open(folder.path(name), flags);
  try {
    const stat = await handle.stat({ bigint: true });
    if (stat.isFile() && stat.ino === found.ino && stat.dev === found.dev) return { handle, stat };
  } catch (error) {
    await handle.close();
    throw error;
  }
  await handle.close();
  return null;
}

/** What was read, once all of it was. */
export interface Counted {
  bytes: number;
}

/**
 * At most as many bytes as it had when it was opened: a log that grows comes to an end. What it has less, it has less.
 *
 * @param counted - counts what was read
 */
export async function* bytesOf({ handle, stat }: Content, counted: Counted): ByteSource {
  const size = Number(stat.size);
  while (counted.bytes < size) {
    const piece = Buffer.allocUnsafe(Math.min(pieceBytes, size - counted.bytes));
    const { bytesRead } = await handle.read(piece, 0, piece.length, counted.bytes);
    if (bytesRead === 0) return;
    counted.bytes += bytesRead;
    yield piece.subarray(0, bytesRead);
  }
}

/** Whether it is not what it was when it was opened. */
export async function hasChanged({ handle, stat }: Content, { bytes }: Counted): Promise<boolean> {
  const now = await handle.stat({ bigint: true });
  return BigInt(bytes) !== stat.size || now.size !== stat.size || now.mtimeNs !== stat.mtimeNs;
}

/** The digest and the size of what flows through, known at its end. */
export class Digested {
  readonly #hash = createHash("sha256");
  sizeBytes = 0;

  async *through(source: ByteSource): ByteSource {
    for await (const piece of source) {
      this.#hash.update(piece);
      this.sizeBytes += piece.length;
      yield piece;
    }
  }

  /** Once. */
  get sha256(): string {
    return this.#hash.digest("hex");
  }
}
