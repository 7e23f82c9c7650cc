/**
 * Files of one run brought back: all, or some paths with all that is below them.
 *
 * Nothing is made outside the folder it is to be made in, whatever a list says and whoever may write in that folder: every
 * name is made in a folder that was opened without following a link, and that the list has named before.
 */
import { mkdir } from "node:fs/promises";
import { ZferryError } from "../errors.ts";
import type { LentSource } from "../bytes.ts";
import { type FilesPlace, objectKey, type RunId } from "../format/file-layout.ts";
import type { FileEntry, FolderEntry, RunKey } from "../format/file-list.ts";
import { nameOf, parentOf, type TreePath } from "../format/file-path.ts";
import { decrypt } from "../openpgp/decrypt.ts";
import type { Keyring } from "../openpgp/session.ts";
import { linkedController } from "../store/abort.ts";
import type { Store } from "../store/store.ts";
import { Digested } from "./content.ts";
import { Folder } from "./folder.ts";
import { entriesOf, type ListedEntry, type ListFile, objectPathOf } from "./list-file.ts";
import { Level } from "./level.ts";
import { keyOf } from "./packing.ts";
import { dress, type Manner, putFile, putLink, putSymlink, refuseTaken, type Spot, taken } from "./put-down.ts";
import { refusedByKernel } from "./walk.ts";
import { type Wanted, wantedOf } from "./wanted.ts";
import { inOrder, type Piece } from "./window.ts";

/** Files at a time, and of how many bytes together. Each holds one chunk of its message, 256 KiB, and what is on its way. */
const bounds = { maxCount: 16, maxWeight: Infinity } as const;

export interface RestoreRequest {
  readonly store: Store;
  readonly place: FilesPlace;
  /** Found to be whole, and to be believed as far as the caller wants. */
  readonly list: ListFile;
  /** Made when it is not there; its parent must be. A path that is trusted. */
  readonly into: string;
  /** Of which to restore what has that path, or lies below it; empty for everything. As text or as bytes. */
  readonly paths: readonly string[];
  readonly keyring: Keyring;
  readonly manner: Manner;
  readonly onWritten: (bytes: number) => void;
  readonly signal: AbortSignal;
}

export interface Restored {
  readonly fileCount: number;
  readonly folderCount: number;
  readonly symlinkCount: number;
  /** Further names of files that were restored. */
  readonly linkCount: number;
  /** Pipes, sockets and devices. */
  readonly leftOutCount: number;
  readonly sizeBytes: number;
}

/**
 * A restore that fails leaves what it has made; a file that has its name is whole.
 *
 * @throws ZferryError `backup-not-found` for a path that is not in the list, before anything is made; `target-exists`,
 * `chunk-invalid`, `message-invalid`, `key-missing`, `key-wrong`, `manifest-invalid`, the store's codes; `engine-failed` for what the
 * kernel refuses
 */
export async function restoreTree(request: RestoreRequest): Promise<Restored> {
  const wanted = await wantedOf(request.paths, request.list);
  const run = linkedController(request.signal);
  const laying = new Laying({ ...request, signal: run.signal }, wanted);
  try {
    for await (const add of inOrder(laying.pieces(), { ...bounds, stop: (reason: unknown) => { run.abort(reason); } })) laying.count(add);
    await laying.end();
  } catch (error) {
    run.abort(error);
    await laying.end().catch(() => undefined); // the first failure is the one that counts
    throw refusedByKernel(run.signal.reason, `restore into "${request.into}"`);
  } finally {
    run.release();
  }
  return laying.restored;
}

type Count = Partial<Record<keyof Restored, number>>;
const nothing: Restored = { fileCount: 0, folderCount: 0, symlinkCount: 0, linkCount: 0, leftOutCount: 0, sizeBytes: 0 };

class Laying {
  restored: Restored = nothing;
  readonly #request: RestoreRequest;
  readonly #wanted: Wanted;
  /** The folders that the last entry lies in, the root first. */
  readonly #levels: Level[] = [];
  /** By the first name in the list, where a file with several names is. */
  readonly #twins = new Map<string, { readonly path: TreePath; readonly done: Promise<unknown> }>();
  readonly #keys = new Map<RunId, Promise<Buffer | null>>();

  constructor(request: RestoreRequest, wanted: Wanted) {
    this.#request = request;
    this.#wanted = wanted;
  }

  count(add: Count): void {
    const sum = { ...this.restored };
    for (const [name, more] of Object.entries(add) as [keyof Restored, number][]) sum[name] += more;
    this.restored = sum;
  }

  /** In the order of the list; folders are made while they are asked for. */
  async *pieces(): AsyncGenerator<Piece<Count>> {
    const { list, signal } = this.#request;
    for await (const listed of entriesOf(list)) {
      signal.throwIfAborted();
      const wanted = this.#wanted(listed.path);
      if (wanted === "no" || (wanted === "towards" && listed.entry.type !== "folder")) continue;
      const piece = await this.#pieceOf(listed);
      if (piece !== null) yield piece;
    }
  }

  /** Lets go of what is open. */
  async end(): Promise<void> {
    for (let level = this.#levels.pop(); level !== undefined; level = this.#levels.pop()) await level.letGo();
  }

  async #pieceOf(listed: ListedEntry): Promise<Piece<Count> | null> {
    const { entry, path } = listed;
    const level = await this.#levelFor(path);
    if (entry.type === "folder") {
      await this.#enter(path, entry, level);
      return { weight: 0, work: () => Promise.resolve({ folderCount: 1 }) };
    }
    if (level === null) return null;
    if (entry.type === "other") return { weight: 0, work: () => Promise.resolve({ leftOutCount: 1 }) };
    const spot: Spot = { folder: level.folder, name: nameOf(path), path: entry.path };
    const { manner } = this.#request;
    level.hold();
    const letGo = (): Promise<void> => level.letGo();
    if (entry.type === "symlink") {
      return { weight: 0, work: () => putSymlink(spot, entry, manner).then(() => ({ symlinkCount: 1 })).finally(letGo), drop: letGo };
    }
    return { weight: entry.sizeBytes, work: () => this.#begin(spot, { ...listed, entry }).finally(letGo), drop: letGo };
  }

  /** The folder an entry lies in, which is the last that was entered of those above it; null for the root. */
  async #levelFor(path: TreePath): Promise<Level | null> {
    const parent = parentOf(path);
    while (parent !== null && this.#levels.at(-1)?.path.equals(parent) === false) await this.#levels.pop()?.letGo();
    return this.#levels.at(-1) ?? null;
  }

  async #enter(path: TreePath, entry: FolderEntry, above: Level | null): Promise<void> {
    const isNew = above === null ? await this.#makeRoot() : await made(above.folder.path(nameOf(path)));
    const folder = above === null ? await Folder.at(this.#request.into) : await entered(above.folder, path, entry.path);
    const finish = async (): Promise<void> => {
      // A folder that was there keeps what it has, unless it is to be as in the list.
      if (isNew || (above !== null && this.#request.manner.overwrite)) await dress(folder.handle, entry, this.#request.manner);
    };
    this.#levels.push(new Level(path, folder, { above, dress: finish }));
  }

  async #makeRoot(): Promise<boolean> {
    return made(Buffer.from(this.#request.into));
  }

  /** Remembers a file that has other names before anybody can ask for it. */
  #begin(spot: Spot, listed: ListedEntry & { readonly entry: FileEntry }): Promise<Count> {
    const { entry, path } = listed;
    const twin = entry.linkTo === undefined ? undefined : this.#twins.get(entry.linkTo);
    const done = twin === undefined ? this.#file(spot, listed) : this.#link(spot, listed, twin);
    if (entry.linked === true && twin === undefined) this.#twins.set(entry.linkTo ?? entry.path, { path, done });
    return done;
  }

  async #link(spot: Spot, listed: ListedEntry & { readonly entry: FileEntry }, twin: { readonly path: TreePath; readonly done: Promise<unknown> }): Promise<Count> {
    await twin.done;
    const { manner } = this.#request;
    await refuseTaken(spot, manner);
    const folder = await this.#folderOf(twin.path);
    try {
      if (await putLink(spot, { folder, name: nameOf(twin.path) }, manner)) return { linkCount: 1 };
    } finally {
      await folder.letGo();
    }
    return this.#file(spot, listed);
  }

  /** The folder of a path that was restored, step by step from the root, so that no link is followed. */
  async #folderOf(path: TreePath): Promise<Folder> {
    let folder = await Folder.at(this.#request.into);
    const names = (parentOf(path) ?? Buffer.alloc(0)).toString("latin1").split("/").filter((name) => name !== "");
    for (const name of names) {
      const above = folder;
      folder = await above.below(Buffer.from(name, "latin1")).finally(() => above.letGo());
    }
    return folder;
  }

  async #file(spot: Spot, { entry, key }: ListedEntry & { readonly entry: FileEntry }): Promise<Count> {
    const { manner, onWritten } = this.#request;
    await refuseTaken(spot, manner);
    await putFile(spot, entry, { content: this.#contentOf(entry, key), manner });
    onWritten(entry.sizeBytes);
    return { fileCount: 1, sizeBytes: entry.sizeBytes };
  }

  /** @throws ZferryError `chunk-invalid` at the end, unless it was what was stored */
  async *#contentOf(entry: FileEntry, key: RunKey | null): LentSource {
    const { store, place, signal } = this.#request;
    const { object } = entry;
    let bytes = 0;
    if (object !== null && key !== null) {
      const digested = new Digested();
      const stored = digested.through(store.get(objectKey(place, object.run, objectPathOf(entry)), { signal }));
      const sessionKey = key.packet === "none" ? null : await this.#keyFor(key);
      for await (const piece of sessionKey === null ? stored : decrypt(stored, { sessionKey })) {
        bytes += piece.length;
        if (bytes > entry.sizeBytes) break;
        yield piece;
      }
      if (digested.sizeBytes !== object.sizeBytes || digested.sha256 !== object.sha256) throw damaged(entry, "what is stored is not what was stored");
    }
    if (bytes !== entry.sizeBytes) throw damaged(entry, `it has not the ${entry.sizeBytes} bytes of the list`);
  }

  /** A passphrase is stretched once for each run, however many files of it there are. */
  #keyFor(key: RunKey): Promise<Buffer | null> {
    const known = this.#keys.get(key.run) ?? keyOf(key, this.#request.keyring);
    this.#keys.set(key.run, known);
    return known;
  }
}

/** @returns false when there is something of that name */
async function made(path: Buffer): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function entered(above: Folder, path: TreePath, text: string): Promise<Folder> {
  try {
    return await above.below(nameOf(path));
  } catch (error) {
    if (["ENOTDIR", "ELOOP"].includes((error as NodeJS.ErrnoException).code ?? "")) throw taken(text);
    throw error;
  }
}

function damaged({ path }: FileEntry, why: string): ZferryError {
  return new ZferryError("chunk-invalid", `the content of "${path}" is damaged: ${why}`, { hint: "restore it from another run (--run), or from a second copy of the store" });
}
