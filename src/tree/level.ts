/** A folder that is being filled by several at a time. */
import type { TreePath } from "../format/file-path.ts";
import type { Folder } from "./folder.ts";

export class Level {
  readonly path: TreePath;
  readonly folder: Folder;
  readonly #above: Level | null;
  readonly #dress: () => Promise<void>;
  #users = 1;

  constructor(path: TreePath, folder: Folder, { above, dress: finish }: { readonly above: Level | null; readonly dress: () => Promise<void> }) {
    this.path = path;
    this.folder = folder;
    this.#above = above?.hold() ?? null;
    this.#dress = finish;
  }

  hold(): this {
    this.#users += 1;
    return this;
  }

  /** It gets its mode and time when nothing more is made in it. */
  async letGo(): Promise<void> {
    this.#users -= 1;
    if (this.#users > 0) return;
    try {
      await this.#dress();
    } finally {
      await this.folder.letGo();
      await this.#above?.letGo();
    }
  }
}
