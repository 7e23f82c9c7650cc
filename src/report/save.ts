/** Where a page is written: a file of somebody's, whole or not at all, and nothing that is no file. */
import { realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { ZferryError } from "../errors.ts";
import { ifThere, writeWhole } from "../files.ts";

export interface Place {
  readonly path: string;
  readonly mode: number;
}

/**
 * The file behind a path, links followed, so that a link stays one; and the mode that it has, or is to have.
 *
 * @throws ZferryError `usage` for a device, a folder, or a file in a folder that is not there
 */
export function placeFor(path: string): Promise<Place> {
  return refused(path, async () => {
    const found = await ifThere(stat(path));
    if (found === null) {
      await stat(dirname(path));
      return { path, mode: 0o600 };
    }
    if (found.isFile()) return { path: await realpath(path), mode: found.mode & 0o777 };
    throw new ZferryError("usage", `"${path}" is there and no file`, { hint: "name a file to write, as in --html report.html" });
  });
}

/** @throws ZferryError `usage` when it cannot be written; what was there before is there still */
export function save({ path, mode }: Place, page: string): Promise<void> {
  return refused(path, () => writeWhole(path, page, mode));
}

async function refused<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ZferryError || !(error instanceof Error) || !("syscall" in error)) throw error;
    throw new ZferryError("usage", `cannot write "${path}": ${error.message}`, { hint: "name a file in a folder that is there and that you may write to", cause: error });
  }
}
