/**
 * A list of files on this host's disk, where it is written before it is sent, and read after it was fetched: lists can be
 * longer than memory. Holds one line at a time.
 */
import { type FileHandle, open } from "node:fs/promises";
import { asBuffer, type ByteSource, GiB, KiB } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { comparePaths, parentOf, parsePathText, type TreePath } from "../format/file-path.ts";
import { type FilesPlace, type RunId } from "../format/file-layout.ts";
import {
  type FileEntry,
  invalidList,
  type ListEnd,
  type ListHeader,
  type ListLine,
  ListSealer,
  type ListSeal,
  ListSum,
  maxLineBytes,
  maxSealBytes,
  parseHeader,
  parseLine,
  parseSeal,
  type RunKey,
  type TreeEntry,
} from "../format/file-list.ts";
import { inStateFolder } from "../files.ts";

const pieceBytes = 256 * KiB;
const newline = 0x0a;

/** No list is longer: some 15 million files. Whoever can write to the store could fill the disk with one. */
export const maxListBytes = 4 * GiB;

/** A list in the making. Each of its verbs throws `size-limits` when it would be longer than it may be, `config-invalid` for the disk. */
export class ListDraft {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #sealer: ListSealer;
  #freeBytes: number;

  private constructor(path: string, handle: FileHandle, { sealer, maxBytes }: { readonly sealer: ListSealer; readonly maxBytes: number }) {
    this.path = path;
    this.#handle = handle;
    this.#sealer = sealer;
    this.#freeBytes = maxBytes;
  }

  /** Replaces what is at the path. The caller closes it. @param maxBytes - what nobody would read is not written */
  static async begin(path: string, header: ListHeader, { sealKey, maxBytes = maxListBytes }: { readonly sealKey: Buffer | null; readonly maxBytes?: number }): Promise<ListDraft> {
    return inStateFolder(`write the list "${path}"`, async () => {
      const draft = new ListDraft(path, await open(path, "w", 0o600), { sealer: new ListSealer(sealKey), maxBytes });
      await draft.#write(draft.#sealer.header(header));
      return draft;
    });
  }

  add(line: TreeEntry | RunKey): Promise<void> {
    return this.#write(this.#sealer.line(line));
  }

  /** @returns the SHA-256 of all it says, as its seal has it */
  async end(end: ListEnd): Promise<string> {
    const { bytes, sha256 } = this.#sealer.end(end);
    await this.#write(bytes);
    return sha256;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  #write(bytes: Buffer): Promise<void> {
    this.#freeBytes -= bytes.length;
    if (this.#freeBytes < 0) return Promise.reject(tooLong());
    return inStateFolder(`write the list "${this.path}"`, async () => {
      await this.#handle.appendFile(bytes);
    });
  }
}

function tooLong(): ZferryError {
  return new ZferryError("size-limits", "there are more files than a list may have: it would be longer than 4 GiB", { hint: "divide the dataset, or use engine rclone or restic for this one" });
}

/** The bytes of a file, handed over; all of them, or as many as are asked for. */
export async function* bytesOfFile(path: string, endBytes = Infinity): ByteSource {
  const handle = await inStateFolder(`read the list "${path}"`, () => open(path, "r"));
  try {
    for (let at = 0; at < endBytes; ) {
      const piece = Buffer.allocUnsafe(Math.min(pieceBytes, endBytes - at));
      const { bytesRead } = await handle.read(piece, 0, piece.length, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** Whose list a file holds, and what it is called in messages. */
export interface ListSubject extends FilesPlace {
  readonly run: RunId;
  readonly where: string;
}

/** A list that was found to be whole. */
export interface ListFile {
  readonly path: string;
  readonly subject: ListSubject;
  readonly header: ListHeader;
  readonly seal: ListSeal;
}

/** Looks for damage, which needs no key. @throws ZferryError `manifest-invalid`, `format-too-new` */
export async function openList(path: string, subject: ListSubject): Promise<ListFile> {
  const handle = await open(path, "r");
  let seal: ListSeal;
  let sizeBytes: number;
  try {
    sizeBytes = (await handle.stat()).size;
    const tail = Buffer.alloc(Math.min(sizeBytes, maxSealBytes));
    await handle.read(tail, 0, tail.length, sizeBytes - tail.length);
    seal = parseSeal(tail, subject.where);
  } finally {
    await handle.close();
  }
  await sumUp(path, { seal, sizeBytes, where: subject.where, key: null });
  for await (const line of linesIn(bytesOfFile(path), subject.where)) {
    return { path, subject, seal, header: parseHeader(line, subject.where, subject) };
  }
  throw invalidList(subject.where, "it is empty");
}

/** Looks for malice. @param key - of the list's run (`fileListKey`) @throws ZferryError `manifest-invalid` */
export async function checkSeal({ path, seal, subject: { where } }: ListFile, key: Buffer): Promise<void> {
  const handle = await open(path, "r");
  const { size } = await handle.stat().finally(() => handle.close());
  await sumUp(path, { seal, sizeBytes: size, where, key });
}

async function sumUp(path: string, { seal, sizeBytes, where, key }: { readonly seal: ListSeal; readonly sizeBytes: number; readonly where: string; readonly key: Buffer | null }): Promise<void> {
  const sum = new ListSum(key);
  for await (const piece of bytesOfFile(path, sizeBytes - seal.sealBytes)) sum.update(piece);
  sum.check(seal, where);
}

/** An entry with its path as bytes, and the key of the run that has sent its content; null where it has none. */
export interface ListedEntry {
  readonly entry: TreeEntry;
  readonly path: TreePath;
  readonly key: RunKey | null;
}

/**
 * The entries of a list that was found to be whole, and at last its end: each path once, in order, in a folder that was there
 * before it, each content of a run whose key was.
 *
 * @throws ZferryError `manifest-invalid`
 */
export async function* entriesOf({ path, subject: { where } }: ListFile): AsyncGenerator<ListedEntry, ListEnd> {
  const order = new Order(where);
  let isFirst = true;
  let end: ListEnd | null = null;
  for await (const bytes of linesIn(bytesOfFile(path), where)) {
    if (isFirst) {
      isFirst = false;
      continue;
    }
    if (end !== null) throw invalidList(where, "something follows its end");
    const line = parseLine(bytes, where);
    if (line.type === "end") end = line;
    else {
      const listed = order.next(line);
      if (listed !== null) yield listed;
    }
  }
  if (end?.entryCount !== order.count) throw invalidList(where, "its entries are not as many as it says");
  return end;
}

/** The entries that a run had noted when it was killed; a line that was cut off ends them, and so does what nobody can read. */
export async function* entriesLeft(path: string, expected: FilesPlace): AsyncGenerator<ListedEntry, null> {
  const order = new Order(path);
  let isFirst = true;
  try {
    for await (const bytes of linesIn(bytesOfFile(path), path)) {
      if (isFirst) {
        isFirst = false;
        const run: unknown = (JSON.parse(bytes.toString("utf8")) as { readonly run?: unknown }).run;
        parseHeader(bytes, path, { ...expected, run: String(run) });
        continue;
      }
      const line = parseLine(bytes, path);
      if (line.type === "end") return null;
      const listed = order.next(line);
      if (listed !== null) yield listed;
    }
  } catch {
    // What is whole was told; without the rest some files are sent once more.
  }
  return null;
}

/** What the lines of a list must be to each other. */
class Order {
  count = 0;
  readonly #where: string;
  readonly #keys = new Map<RunId, RunKey>();
  /** The folders that the last entry lies in, the root first, and itself where it is one. */
  readonly #folders: TreePath[] = [];
  #last: TreePath | null = null;

  constructor(where: string) {
    this.#where = where;
  }

  /** Null for a line that is no entry. */
  next(line: Exclude<ListLine, ListEnd>): ListedEntry | null {
    if (line.type === "key") {
      this.#keys.set(line.run, line);
      return null;
    }
    const path = parsePathText(line.path);
    if (path === null || (this.#last !== null && comparePaths(this.#last, path) >= 0)) throw invalidList(this.#where, `"${line.path}" is out of order`);
    this.#enter(path, line);
    this.#last = path;
    this.count += 1;
    return { entry: line, path, key: this.#keyFor(line) };
  }

  #enter(path: TreePath, { type, path: text }: TreeEntry): void {
    const parent = parentOf(path);
    while (parent !== null && this.#folders.length > 0 && this.#folders.at(-1)?.equals(parent) !== true) this.#folders.pop();
    if (parent !== null && this.#folders.length === 0) throw invalidList(this.#where, `"${text}" is in no folder of it`);
    if (type === "folder") this.#folders.push(path);
  }

  #keyFor(line: TreeEntry): RunKey | null {
    if (line.type !== "file" || line.object === null) return null;
    const key = this.#keys.get(line.object.run);
    if (key === undefined) throw invalidList(this.#where, `the key of "${line.path}" is missing`);
    return key;
  }
}

/** Without their line breaks; what follows the last break is one too. @throws ZferryError `manifest-invalid` for one that is too long */
async function* linesIn(source: ByteSource, where: string): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  for await (const piece of source) {
    let from = 0;
    const bytes = rest.length === 0 ? asBuffer(piece) : Buffer.concat([rest, piece]);
    for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, from)) {
      yield bytes.subarray(from, at);
      from = at + 1;
    }
    rest = Buffer.from(bytes.subarray(from));
    if (rest.length > maxLineBytes) throw invalidList(where, "a line of it is too long");
  }
  if (rest.length > 0) yield rest;
}

/** The path under which a file's content was sent. */
export function objectPathOf({ path, object }: FileEntry): string {
  return object?.at ?? path;
}
