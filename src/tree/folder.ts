/**
 * Folders held open, and what is in them reached through the descriptor: nobody who may write in a tree can put a symbolic
 * link in the way of a walk or a restore, and no path is too long.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

const flags = constants.O_RDONLY | constants.O_DIRECTORY;

/** Counts who needs it: closed when everybody has let go. */
export class Folder {
  readonly #handle: FileHandle;
  #users = 1;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** By a path that is trusted, symbolic links and all. The caller lets go of it. */
  static async at(path: string): Promise<Folder> {
    return new Folder(await open(path, flags));
  }

  /** A folder in this one; a symbolic link is none (`ENOTDIR`, `ELOOP`). The caller lets go of it. */
  async below(name: Uint8Array): Promise<Folder> {
    return new Folder(await open(this.path(name), flags | constants.O_NOFOLLOW));
  }

  get handle(): FileHandle {
    return this.#handle;
  }

  /** For calls that take a path: what is called `name` in here, wherever this folder has gone meanwhile. Without a name itself. */
  path(name: Uint8Array = Buffer.from(".")): Buffer {
    return Buffer.concat([Buffer.from(`/proc/self/fd/${this.#handle.fd}/`), name]);
  }

  /** One more who lets go of it. */
  hold(): this {
    this.#users += 1;
    return this;
  }

  async letGo(): Promise<void> {
    this.#users -= 1;
    if (this.#users === 0) await this.#handle.close();
  }
}
