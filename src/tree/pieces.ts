/**
 * A walk as pieces of work: each name with what earlier runs know of it, so that several can be at work at a time.
 *
 * Holds, besides the walk, one entry for each file with several names whose names have not all been met.
 */
import { comparePaths, type TreePath } from "../format/file-path.ts";
import { Folder } from "./folder.ts";
import type { ListedEntry } from "./list-file.ts";
import { entryOf, type Sending, type Sent } from "./send.ts";
import { type Found, type Missed, walk } from "./walk.ts";
import type { Piece } from "./window.ts";

interface Walking {
  /** Lists of earlier runs, in the order of a walk; the likeliest first. */
  readonly before: readonly AsyncGenerator<ListedEntry, unknown>[];
  readonly sending: Sending;
}

export async function* piecesOf(path: string, { before, sending }: Walking): AsyncGenerator<Piece<Sent | Missed>> {
  const cursors = before.map((entries) => new Cursor(entries));
  const twins = new Twins();
  const root = await Folder.at(path);
  try {
    for await (const found of walk(root, sending.signal)) {
      if (found.kind !== "found") yield { weight: 0, work: () => Promise.resolve(found) };
      else yield await pieceOf(found, { cursors, twins, sending });
    }
  } finally {
    for (const cursor of cursors) await cursor.end();
    await root.letGo();
  }
}

interface Around {
  readonly cursors: readonly Cursor[];
  readonly twins: Twins;
  readonly sending: Sending;
}

async function pieceOf(found: Found, { cursors, twins, sending }: Around): Promise<Piece<Sent | Missed>> {
  const isFile = found.stat.isFile();
  const before: ListedEntry[] = [];
  for (const cursor of isFile ? cursors : []) {
    const listed = await cursor.find(found.path);
    if (listed !== null) before.push(listed);
  }
  found.folder.hold();
  const work = async (): Promise<Sent | Missed> => {
    try {
      return await entryOf(found, { before, first: isFile ? twins.firstOf(found) : null }, sending);
    } finally {
      await found.folder.letGo();
    }
  };
  const drop = (): Promise<void> => found.folder.letGo();
  return { weight: isFile ? Number(found.stat.size) : 0, work: isFile ? () => twins.noting(found, work) : work, drop };
}

/** A list, read as far as the walk has come. */
class Cursor {
  readonly #entries: AsyncGenerator<ListedEntry, unknown>;
  #next: ListedEntry | null = null;
  #isOver = false;

  constructor(entries: AsyncGenerator<ListedEntry, unknown>) {
    this.#entries = entries;
  }

  /** What the list has of this path; paths are asked for in ascending order. */
  async find(path: TreePath): Promise<ListedEntry | null> {
    while (!this.#isOver && (this.#next === null || comparePaths(this.#next.path, path) < 0)) {
      const step = await this.#entries.next();
      this.#isOver = step.done === true;
      this.#next = step.done === true ? null : step.value;
    }
    return this.#next?.path.equals(path) === true ? this.#next : null;
  }

  async end(): Promise<void> {
    await this.#entries.return(null);
  }
}

interface Names {
  readonly first: Promise<Sent | Missed>;
  leftCount: number;
}

/** Files with several names, by what the kernel calls them. */
class Twins {
  readonly #names = new Map<string, Names>();

  /** What becomes of the first name; null when this is it. */
  firstOf(found: Found): Promise<Sent | Missed> | null {
    const id = idOf(found);
    const names = this.#names.get(id);
    if (names === undefined) return null;
    names.leftCount -= 1;
    if (names.leftCount === 0) this.#names.delete(id);
    return names.first;
  }

  /** Begins the work; remembers it when it is that of the first name of several. */
  noting(found: Found, work: () => Promise<Sent | Missed>): Promise<Sent | Missed> {
    const isFirst = found.stat.nlink > 1n && !this.#names.has(idOf(found));
    const first = work();
    if (isFirst) this.#names.set(idOf(found), { first, leftCount: Number(found.stat.nlink) - 1 });
    return first;
  }
}

function idOf({ stat: { dev, ino } }: Found): string {
  return `${dev}:${ino}`;
}
