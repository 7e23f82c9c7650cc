/** Which paths of a list a restore is about. */
import { ZferryError } from "../errors.ts";
import { parsePathText, type TreePath } from "../format/file-path.ts";
import { entriesOf, type ListFile } from "./list-file.ts";

/** Whether a path is to be restored: `below` with all that is in it, `towards` for the sake of what is in it. */
export type Wanted = (path: TreePath) => "below" | "towards" | "no";

/** @throws ZferryError `backup-not-found` for a path that is not in the list */
export async function wantedOf(paths: readonly string[], list: ListFile): Promise<Wanted> {
  if (paths.length === 0) return () => "below";
  const found = new Set<string>();
  const meant = new Map(paths.map((text) => [text, waysToRead(text)]));
  for await (const { path } of entriesOf(list)) {
    for (const [text, ways] of meant) if (ways.some((way) => way.equals(path))) found.add(text);
  }
  const missing = paths.find((text) => !found.has(text));
  if (missing !== undefined) {
    throw new ZferryError("backup-not-found", `there is no "${missing}" in run ${list.header.run}`, { hint: "`zferry files list JOB --run RUN` prints the paths" });
  }
  const ways = [...meant.values()].flat();
  return (path) => (ways.some((way) => isWithin(path, way)) ? "below" : ways.some((way) => isWithin(way, path)) ? "towards" : "no");
}

/** As it was typed, and as it is printed. */
function waysToRead(text: string): readonly TreePath[] {
  const trimmed = text.replace(/^(\.\/)+/, "").replace(/\/+$/, "");
  const parsed = parsePathText(trimmed);
  return [Buffer.from(trimmed === "." ? "" : trimmed), ...(parsed === null ? [] : [parsed])];
}

function isWithin(path: TreePath, folder: TreePath): boolean {
  if (folder.length === 0) return true;
  return path.subarray(0, folder.length).equals(folder) && (path.length === folder.length || path[folder.length] === 0x2f);
}
