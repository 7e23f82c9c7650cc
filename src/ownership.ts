/**
 * Whose files are acted on. What stands in a configuration is run, what stands in a journal decides the session key, and
 * the commands in a record of a quiesce are run by the next process that finds it: all are believed only where no other
 * user of this host can have written them.
 */
import type { Stats } from "node:fs";
import { lstat, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ifThere } from "./files.ts";

/** Whoever may write what we read. Root always may. */
interface Trusted {
  /** The effective user. */
  readonly userId: number;
  /** Whether the members of a group other than the owner's own (one of the same number) are too many. */
  readonly isGroupTrusted: boolean;
}

const [groupWrites, othersWrite, sticky] = [0o020, 0o002, 0o1000];

/** Why somebody else may have written it; null when nobody can. In a sticky folder nobody replaces what is another's. */
function flawOf(found: Stats, { userId, isGroupTrusted }: Trusted): string | null {
  const { uid, gid, mode } = found;
  if (uid !== userId && uid !== 0) return `it belongs to another user (${uid})`;
  if (found.isSymbolicLink() || (found.isDirectory() && (mode & sticky) !== 0)) return null;
  const octal = (mode & 0o7777).toString(8).padStart(4, "0");
  if ((mode & othersWrite) !== 0) return `others can write it (mode ${octal})`;
  if (!isGroupTrusted && gid !== uid && (mode & groupWrites) !== 0) return `its group can write it (mode ${octal})`;
  return null;
}

/** A path, and why what stands there cannot be believed. */
export interface Doubt {
  readonly path: string;
  readonly why: string;
}

/** The first of the paths to have a flaw, as a link or as what it leads to; what is not there has none. */
async function doubtOf(paths: readonly string[], trusted: Trusted): Promise<Doubt | null> {
  for (const path of paths) {
    for (const look of [lstat, stat]) {
      const found = await ifThere(look(path));
      const why = found === null ? null : flawOf(found, trusted);
      if (why !== null) return { path, why };
    }
  }
  return null;
}

/** Doubt in a file that nobody named, and that is acted on because of where it lies. */
export function doubtOfFile(path: string, userId: number): Promise<Doubt | null> {
  return doubtOf([path, dirname(path)], { userId, isGroupTrusted: false });
}

/**
 * Doubt in a state folder or in what a run would go by in it; none in one that is not there yet.
 *
 * @throws what the kernel refuses
 */
export async function doubtOfState(stateDir: string, userId: number): Promise<Doubt | null> {
  const trusted = { userId, isGroupTrusted: true };
  const journals = join(stateDir, "journal");
  const owed = join(stateDir, "quiesce");
  const fixed = [stateDir, join(stateDir, "state.json"), join(stateDir, "locks"), journals, owed];
  const doubt = await doubtOf(fixed, trusted);
  if (doubt !== null) return doubt;
  const inside = await Promise.all([journals, owed].map(async (folder) => {
    const names = (await ifThere(readdir(folder))) ?? [];
    return names.map((name) => join(folder, name));
  }));
  return doubtOf(inside.flat(), trusted);
}
