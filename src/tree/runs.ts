/**
 * The lists of a job and dataset in a store: which there are, and fetching one to this host's disk.
 */
import { open } from "node:fs/promises";
import { gather } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { inStateFolder } from "../files.ts";
import { type FilesPlace, listKey, type ListKind, listNameOf, listsOf, listsOfJob, type ListName, maxNumber, numberOf, type RunId } from "../format/file-layout.ts";
import { type ListEnd, maxLineBytes, parseLine } from "../format/file-list.ts";
import type { Store, StoredObject } from "../store/store.ts";
import { type ListFile, maxListBytes, openList } from "./list-file.ts";

/** What a store has of one job and dataset, ascending. */
export interface Runs {
  readonly lists: readonly RunId[];
  readonly begun: readonly RunId[];
  readonly dropped: readonly RunId[];
}

export async function runsIn(store: Store, place: FilesPlace, signal: AbortSignal): Promise<Runs> {
  const found: Record<ListKind, RunId[]> = { list: [], begun: [], dropped: [] };
  for await (const { key } of store.list(listsOf(place), { signal })) {
    const name = listNameOf(place.job, key);
    if (name?.dataset === place.dataset) found[name.kind].push(name.run);
  }
  for (const runs of Object.values(found)) runs.sort();
  return { lists: found.list, begun: found.begun, dropped: found.dropped };
}

/**
 * One more than that of any run there is, and of the one this host knows of: a list that was hidden for a night is not the
 * newest when it is shown again.
 *
 * @throws ZferryError `manifest-invalid` when there is none left, since somebody has made up a list
 */
export function nextNumber({ lists, begun, dropped }: Runs, known: RunId | null): number {
  const runs = [...lists, ...begun, ...dropped, ...(known === null ? [] : [known])];
  const last = runs.reduce((highest, run) => Math.max(highest, numberOf(run)), 0);
  if (last < maxNumber) return last + 1;
  const taken = runs.find((run) => numberOf(run) === last);
  throw new ZferryError("manifest-invalid", `run ${taken ?? ""} has the last number there is, so no run can follow it`, {
    hint: taken === known ? "somebody has made up the one before it: see who can write to the store, and give the job another name" : "somebody has made it up: see who can write to the store, and remove what has this name",
  });
}

/** The lists of all datasets of a job, ascending by dataset and then by run. */
export async function listsIn(store: Store, job: string, signal: AbortSignal): Promise<readonly (ListName & { readonly object: StoredObject })[]> {
  const found: (ListName & { readonly object: StoredObject })[] = [];
  for await (const object of store.list(listsOfJob(job), { signal })) {
    const name = listNameOf(job, object.key);
    if (name?.kind === "list") found.push({ ...name, object });
  }
  return found.sort((a, b) => (a.dataset === b.dataset ? (a.run < b.run ? -1 : 1) : a.dataset < b.dataset ? -1 : 1));
}

/**
 * Fetches a list to a file of this host, replacing what is there, and looks for damage.
 *
 * @throws ZferryError `object-missing`, `manifest-invalid`, the store's codes
 */
export async function fetchList(store: Store, place: FilesPlace & { readonly run: RunId }, path: string, { signal, kind = "list" }: { readonly signal: AbortSignal; readonly kind?: ListKind }): Promise<ListFile> {
  const key = listKey(place, place.run, kind);
  const handle = await inStateFolder(`write "${path}"`, () => open(path, "w", 0o600));
  let bytes = 0;
  try {
    for await (const piece of store.get(key, { signal })) {
      bytes += piece.length;
      if (bytes > maxListBytes) throw new ZferryError("manifest-invalid", `list "${key}" is longer than ${maxListBytes} bytes`);
      await inStateFolder(`write "${path}"`, () => handle.appendFile(piece));
    }
  } finally {
    await handle.close();
  }
  return openList(path, { ...place, where: key });
}

/** What the end of a list says, without the rest; nothing vouches for it. @throws ZferryError `manifest-invalid`, the store's codes */
export async function fetchEnd(store: Store, { key, sizeBytes, etag }: StoredObject, signal: AbortSignal): Promise<ListEnd> {
  const range = { startBytes: Math.max(0, sizeBytes - maxEndBytes), endBytes: sizeBytes };
  const tooLong = (): Error => new ZferryError("store-failed", `"${key}" is longer than the store says`);
  const tail = await gather(store.get(key, { range, etag, signal }), maxLineBytes, tooLong);
  const line = parseLine(tail.subarray(tail.lastIndexOf("\n", tail.length - 2) + 1), key);
  if (line.type === "end") return line;
  throw new ZferryError("manifest-invalid", `list "${key}" is damaged: it has no end`);
}

/** Of the last line, with its seal. */
const maxEndBytes = 2048;
