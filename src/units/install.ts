/** Puts unit files into a folder; what a person has changed there stays unless they say otherwise. */
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ZferryError } from "../errors.ts";
import { readIfAny } from "../files.ts";
import { mark, type UnitFile } from "./unit-text.ts";

export interface Installed {
  readonly written: readonly string[];
  /** There already, byte for byte. */
  readonly unchanged: readonly string[];
  /** Were there with another content, which is gone. */
  readonly replaced: readonly string[];
  /** Written by an earlier run and no part of these: of jobs that are no more. Left where they are. */
  readonly leftOver: readonly string[];
}

/**
 * Writes each file that is not there yet or, with `isForced`, is there with another content. Nothing is written when
 * anything stands in the way.
 *
 * @throws ZferryError `usage` when a file is there with another content and `isForced` is not set, or cannot be written
 */
export function installUnits(folder: string, units: readonly UnitFile[], { isForced }: { isForced: boolean }): Promise<Installed> {
  return inFolder(folder, async () => {
    const there = new Map<string, string | null>();
    for (const { name } of units) there.set(name, (await readIfAny(join(folder, name)))?.toString() ?? null);
    const wanted = units.filter(({ name, text }) => there.get(name) !== text);
    const replaced = wanted.filter(({ name }) => there.get(name) !== null).map(({ name }) => name);
    if (replaced.length > 0 && !isForced) {
      throw new ZferryError("usage", `"${join(folder, replaced[0] ?? "")}" is there and says something else`, {
        hint: "--force replaces it, and whatever else differs; keep changes of your own in drop-ins (`systemctl edit`)",
      });
    }
    await mkdir(folder, { recursive: true });
    for (const { name, text } of wanted) await replaceFile(join(folder, name), text);
    const unchanged = units.filter((unit) => !wanted.includes(unit)).map(({ name }) => name);
    const leftOver = await olderUnits(folder, new Set(units.map(({ name }) => name)));
    return { written: wanted.map(({ name }) => name), unchanged, replaced, leftOver };
  });
}

/** systemd reads these as root and nobody else has to write them. */
async function replaceFile(path: string, text: string): Promise<void> {
  const draft = `${path}.new`;
  await rm(draft, { force: true });
  await writeFile(draft, text, { flag: "wx", mode: 0o644 });
  await rename(draft, path);
}

async function olderUnits(folder: string, names: ReadonlySet<string>): Promise<readonly string[]> {
  const candidates = (await readdir(folder)).filter((name) => /^zferry-.*\.(service|timer)$/.test(name) && !names.has(name));
  const marked = await Promise.all(candidates.map(async (name) => (await readIfAny(join(folder, name)))?.toString().startsWith(mark) === true));
  return candidates.filter((_, at) => marked[at] === true).sort();
}

async function inFolder<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ZferryError) throw error;
    throw new ZferryError("usage", `cannot write units into "${folder}": ${(error as Error).message}`, {
      hint: "units of the system belong into /etc/systemd/system, which is root's",
      cause: error,
    });
  }
}
