/**
 * A store in a folder: one file per object, under its key, readable with `cat` when nothing else is left. Folders are
 * made with mode 0700 and files with 0600. Writing survives a power cut once `put` has returned.
 *
 * Other programs may add files; symbolic links are never followed nor listed.
 */
import { constants } from "node:fs";
import type { BigIntStats } from "node:fs";
import { lstat, mkdir, open, realpath, rename, rm, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { ByteSource, LentSource } from "../bytes.ts";
import { KiB } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { pull } from "./abort.ts";
import * as files from "./directory-files.ts";
import * as unfinished from "./directory-unfinished.ts";
import { compareKeys } from "./keys.ts";
import { embeddedLimits } from "./memory.ts";
import { checkedRange, objectExists, objectMissing, objectReplaced } from "./outcomes.ts";
import type { GetOptions, ListOptions, ObjectKey, PutOptions, Store, StoredObject, UnfinishedPut } from "./store.ts";
import { truncatedReply } from "./transient.ts";

/** One read. */
const pieceBytes = 512 * KiB;
/** Files looked at at a time while listing. */
const statCount = 64;

interface Cancellable {
  readonly signal: AbortSignal;
}

/**
 * Opens the store in a folder. For `write` the folder is made if need be, and what crashed runs left is removed.
 *
 * @throws ZferryError `store-not-found` when it is to be read and is not there
 */
export async function openDirectory(path: string, access: "read" | "write"): Promise<Store> {
  return files.tryTo(`open the store "${path}"`, async () => {
    if (access === "write") await mkdir(path, { recursive: true, mode: 0o700 });
    const root = await existing(path);
    if (!(await lstat(root)).isDirectory()) throw new ZferryError("store-not-found", `"${path}" is not a folder`);
    if (access === "write") await unfinished.removeStale(root);
    return new DirectoryStore(root);
  });
}

async function existing(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (files.errnoOf(error) !== "ENOENT") throw error;
    throw new ZferryError("store-not-found", `there is no folder "${path}"`, {
      hint: "check the path, and that the disk it is on is mounted",
      cause: error,
    });
  }
}

class DirectoryStore implements Store {
  readonly url: string;
  readonly limits = embeddedLimits;
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
    this.url = `file://${root}`;
  }

  async put(key: ObjectKey, body: Uint8Array | ByteSource, options: PutOptions): Promise<StoredObject> {
    options.signal.throwIfAborted();
    const path = files.pathOf(this.#root, key);
    const what = `put "${key}" into "${this.url}"`;
    const temporary = await files.tryTo(what, async () => {
      await this.#checkRoot();
      return unfinished.openTemporary(this.#root, key);
    });
    try {
      await writeAll(temporary.handle, body, options, what);
      return await files.tryTo(what, async () => {
        const stats = await temporary.handle.stat({ bigint: true });
        await files.placeDurably(this.#root, path, () => this.#place(key, temporary.path, path, options));
        return seen(key, stats);
      });
    } finally {
      await temporary.handle.close();
      await rm(temporary.path, { force: true });
    }
  }

  async *get(key: ObjectKey, options: GetOptions): LentSource {
    options.signal.throwIfAborted();
    const path = files.pathOf(this.#root, key);
    const what = `read "${key}" from "${this.url}"`;
    const handle = await files.tryTo(what, () => this.#openObject(key, path));
    try {
      const object = seen(key, await files.tryTo(what, () => handle.stat({ bigint: true })));
      if (options.etag !== undefined && options.etag !== object.etag) throw objectReplaced(key, this.url);
      const { startBytes, endBytes } = checkedRange(object, options.range);
      options.onFound?.(object);
      const memory = Buffer.allocUnsafeSlow(Math.min(pieceBytes, endBytes - startBytes));
      for (let position = startBytes; position < endBytes;) {
        options.signal.throwIfAborted();
        const piece = await files.tryTo(what, () => readAt(handle, key, { position, into: memory.subarray(0, endBytes - position) }));
        position += piece.length;
        yield piece;
      }
    } finally {
      await handle.close();
    }
  }

  async head(key: ObjectKey, { signal }: Cancellable): Promise<StoredObject | null> {
    signal.throwIfAborted();
    const path = files.pathOf(this.#root, key);
    const stats = await files.tryTo(`look for "${key}" in "${this.url}"`, () => this.#stat(path));
    return stats?.isFile() === true ? seen(key, stats) : null;
  }

  async *list(prefix: string, { signal, after }: ListOptions): AsyncGenerator<StoredObject, void> {
    signal.throwIfAborted();
    const what = `list "${this.url}"`;
    await files.tryTo(what, () => this.#checkRoot());
    for await (const keys of this.#keysBelow("", prefix)) {
      const wanted = after === undefined ? keys : keys.filter((key) => compareKeys(key, after) > 0);
      for (let start = 0; start < wanted.length; start += statCount) {
        signal.throwIfAborted();
        yield* await files.tryTo(what, () => this.#seenIn(wanted.slice(start, start + statCount)));
      }
    }
  }

  async delete(keys: readonly ObjectKey[], { signal }: Cancellable): Promise<void> {
    signal.throwIfAborted();
    const paths = keys.map((key) => files.pathOf(this.#root, key));
    await files.tryTo(`delete from "${this.url}"`, async () => {
      await this.#checkRoot();
      for (const path of paths) {
        signal.throwIfAborted();
        await this.#remove(path);
      }
    });
  }

  /** Temporary files do not say what they were to become. */
  listUnfinished(): Promise<readonly UnfinishedPut[]> {
    return Promise.resolve([]);
  }

  /** Of the folder that `prefix` names, not of those below; all others go after a day, at an opening for writing. */
  removeUnfinished(prefix: string): Promise<number> {
    const folder = prefix.replace(/\/$/, "");
    return files.tryTo(`remove unfinished files of "${prefix}"`, () => unfinished.removeTemporaryOf(this.#root, folder));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** "Not there" is only said of a root that is: the disk may not be mounted. */
  async #checkRoot(): Promise<void> {
    try {
      await lstat(this.#root);
    } catch (error) {
      if (files.errnoOf(error) !== "ENOENT") throw error;
      throw new ZferryError("store-not-found", `the folder "${this.#root}" is gone`, {
        hint: "check that the disk it is on is mounted",
        cause: error,
      });
    }
  }

  async #place(key: ObjectKey, temporary: string, path: string, { when, signal }: PutOptions): Promise<void> {
    if (when === "create") {
      const outcome = await unfinished.linkUnlessTaken(this.#root, temporary, path, { signal });
      if (outcome === "taken") throw objectExists(key, this.url, when);
      return;
    }
    await unfinished.withKeyLock(this.#root, path, signal, async () => {
      if (when !== "replace") {
        const stats = await this.#stat(path);
        if (stats === null || seen(key, stats).etag !== when.etag) throw objectExists(key, this.url, when);
      }
      await rename(temporary, path);
    });
  }

  async #openObject(key: ObjectKey, path: string): Promise<FileHandle> {
    if ((await this.#stat(path))?.isFile() !== true) throw objectMissing(key, this.url);
    try {
      return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      if (files.errnoOf(error) !== "ENOENT") throw error;
      throw objectMissing(key, this.url, error);
    }
  }

  /** Objects of one folder, whose way there is looked at once; those that are gone meanwhile are left out. */
  async #seenIn(keys: readonly ObjectKey[]): Promise<StoredObject[]> {
    const paths = keys.map((key) => join(this.#root, key));
    const [first] = paths;
    if (first === undefined || (await this.#found(() => files.refuseLinks(first))) === null) return [];
    const stats = await Promise.all(paths.map((path) => this.#found(() => lstat(path, { bigint: true }))));
    return stats.flatMap((found, index) => (found?.isFile() === true ? seen(keys[index] ?? "", found) : []));
  }

  /** Null for what is not there, in a root that is. */
  #stat(path: string): Promise<BigIntStats | null> {
    return this.#found(async () => {
      await files.refuseLinks(path);
      return lstat(path, { bigint: true });
    });
  }

  async #found<T>(look: () => Promise<T>): Promise<T | null> {
    try {
      return await look();
    } catch (error) {
      if (!["ENOENT", "ENOTDIR"].includes(files.errnoOf(error) ?? "")) throw error;
      await this.#checkRoot();
      return null;
    }
  }

  async #remove(path: string): Promise<void> {
    if ((await this.#stat(path))?.isFile() !== true) return;
    try {
      await unlink(path);
    } catch (error) {
      if (files.errnoOf(error) !== "ENOENT") throw error;
    }
    await files.tidyFolders(this.#root, path);
  }

  /**
   * Keys in the order of their bytes: a folder sorts as its name with a slash, so that `a.b` comes before `a/b`. They come
   * in runs that lie in one folder.
   */
  async *#keysBelow(folder: string, prefix: string): AsyncGenerator<ObjectKey[], void> {
    const path = join(this.#root, folder);
    const entries = await files.tryTo(`list "${path}"`, () => files.readFolder(path));
    const found = entries
      .map((entry) => `${folder}${entry.name}${entry.isDirectory() ? "/" : ""}`)
      .filter((key) => key !== `${files.temporaryFolder}/` && (key.startsWith(prefix) || prefix.startsWith(key)))
      .sort(compareKeys);
    let run: ObjectKey[] = [];
    for (const key of found) {
      if (!key.endsWith("/")) {
        if (key.startsWith(prefix)) run.push(key);
        continue;
      }
      yield run;
      run = [];
      yield* this.#keysBelow(key, prefix);
    }
    yield run;
  }
}

function seen(key: ObjectKey, stats: BigIntStats): StoredObject {
  return {
    key,
    sizeBytes: Number(stats.size),
    modifiedAt: stats.mtime,
    // Every put makes a new file: inode and time of writing name the version.
    etag: [stats.ino, stats.mtimeNs, stats.size].map((part) => part.toString(16)).join("-"),
  };
}

async function writeAll(
  handle: FileHandle,
  body: Uint8Array | ByteSource,
  options: PutOptions,
  what: string,
): Promise<void> {
  const pieces = body instanceof Uint8Array ? [body] : pull(body, options.signal);
  for await (const piece of pieces) {
    options.signal.throwIfAborted();
    let offset = 0;
    while (offset < piece.length) {
      offset += (await files.tryTo(what, () => handle.write(piece, offset))).bytesWritten;
    }
    if (piece.length > 0) options.onStored?.(piece.length);
  }
  options.signal.throwIfAborted();
  await files.tryTo(what, () => handle.sync());
}

async function readAt(handle: FileHandle, key: ObjectKey, { position, into }: { position: number; into: Buffer }): Promise<Buffer> {
  const { bytesRead } = await handle.read(into, 0, into.length, position);
  if (bytesRead > 0) return into.subarray(0, bytesRead);
  const cause = truncatedReply("end of file");
  throw new ZferryError("store-failed", `"${key}" became shorter while it was being read`, { cause });
}
