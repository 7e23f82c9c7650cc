/**
 * What goes after a run: lists that a policy does not keep, and contents that no list names. Only what runs of this job and
 * dataset have sent, and only while no other run can be at work on it.
 *
 * It may be cut off anywhere. A list becomes a note of what is to go with it before it goes itself, and the note goes last;
 * a run that was killed has its begun marker. So no list is left whose contents are gone, and the next run goes on.
 */
import { hostname } from "node:os";
import type { Guard } from "../alone.ts";
import { gather, KiB } from "../bytes.ts";
import type { KeepPolicy } from "../config/keep.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { type FilesPlace, listKey, objectKey, objectsOf, type RunId, timeOf } from "../format/file-layout.ts";
import { isAhead, keptByRules } from "../keep-rules.ts";
import type { ObjectKey, Store } from "../store/store.ts";
import { bytesOfFile, entriesOf, type ListFile, objectPathOf } from "./list-file.ts";
import type { FilesMemory } from "./memory.ts";
import { fetchList, runsIn } from "./runs.ts";

/** Keys removed by one call; S3 takes a thousand at once. */
const deleteBatch = 1000;
/** Keys looked up in the lists at a time: some 100 MB. What is more is looked up in a further round. */
const maxCandidates = 400_000;
const maxMarkerBytes = 4 * KiB;

export interface Tidying {
  readonly store: Store;
  readonly place: FilesPlace;
  /** The run that has just ended. */
  readonly own: RunId;
  /** Null keeps every list. */
  readonly keep: KeepPolicy | null;
  /** Whether a lease keeps runs of other hosts away; without one what they have begun is let be. */
  readonly isLeased: boolean;
  readonly memory: FilesMemory;
  readonly warn: (text: string) => void;
  readonly now: () => Date;
  readonly guard: Pick<Guard, "throwIfOver" | "signal">;
}

/** @throws ZferryError the store's codes, `locked`, `manifest-invalid` for a list that keeps what it may name from going */
export async function tidy(tidying: Tidying): Promise<void> {
  const { store, place, own, guard } = tidying;
  await remove(tidying, [listKey(place, own, "begun")]);
  const { lists, begun, dropped } = await runsIn(store, place, guard.signal);
  for (const run of begun) await endBegun(tidying, run, lists);
  for (const run of dropped) await endDropped(tidying, run);
  const staying = lists.filter((run) => !dropped.includes(run));
  for (const run of goingOf(staying, tidying)) {
    await drop(tidying, run);
    await endDropped(tidying, run);
  }
  await tidying.memory.forgetFetched();
}

/** The newest stays whatever the policy says, and so does what claims to be from the future. */
function goingOf(lists: readonly RunId[], { keep, now }: Tidying): readonly RunId[] {
  if (keep === null) return [];
  const at = now();
  const settled = lists.map((name) => ({ name, takenAt: timeOf(name), isFull: false })).filter(({ takenAt }) => !isAhead(takenAt, at));
  const kept = keptByRules(settled, keep, at);
  return settled.map(({ name }) => name).filter((name) => name !== lists.at(-1) && !kept.has(name));
}

/** A run that came to nothing, or whose last act was its commit. */
async function endBegun(tidying: Tidying, run: RunId, lists: readonly RunId[]): Promise<void> {
  const { store, place, guard, isLeased } = tidying;
  const marker = listKey(place, run, "begun");
  if (!lists.includes(run)) {
    if (!isLeased && (await hostOf(store, marker, guard.signal)) !== hostname()) return;
    const prefix = objectsOf(place, run);
    guard.throwIfOver();
    await store.removeUnfinished(prefix, guard);
    await removeUnnamed(tidying, keysUnder(store, prefix, guard.signal));
  }
  await remove(tidying, [marker]);
}

/** Null for a marker that nobody can read. */
async function hostOf(store: Store, marker: ObjectKey, signal: AbortSignal): Promise<unknown> {
  try {
    const bytes = await gather(store.get(marker, { signal }), maxMarkerBytes, () => new Error("too long"));
    return (JSON.parse(bytes.toString("utf8")) as { readonly host?: unknown }).host;
  } catch (error) {
    if (isZferryError(error) && !isZferryError(error, "object-missing")) throw error;
    return null;
  }
}

async function* keysUnder(store: Store, prefix: string, signal: AbortSignal): AsyncGenerator<ObjectKey> {
  for await (const { key } of store.list(prefix, { signal })) yield key;
}

/** The list of a run is one no more, but what is to go with it is still known. */
async function drop({ store, place, memory, guard }: Tidying, run: RunId): Promise<void> {
  await fetchList(store, { ...place, run }, memory.fetched, guard);
  guard.throwIfOver();
  await store.put(listKey(place, run, "dropped"), bytesOfFile(memory.fetched), { when: "replace", signal: guard.signal });
}

async function endDropped(tidying: Tidying, run: RunId): Promise<void> {
  const { store, place, memory, guard } = tidying;
  await remove(tidying, [listKey(place, run)]);
  const list = await fetchList(store, { ...place, run }, memory.fetched, { signal: guard.signal, kind: "dropped" });
  await removeUnnamed(tidying, contentsOf(list, place));
  await remove(tidying, [listKey(place, run, "dropped")]);
}

/** What a list names lies under keys of its own job and dataset, whatever it says. */
async function* contentsOf(list: ListFile, place: FilesPlace): AsyncGenerator<ObjectKey> {
  for await (const { entry } of entriesOf(list)) {
    if (entry.type === "file" && entry.object !== null) yield objectKey(place, entry.object.run, objectPathOf(entry));
  }
}

/** Removes those of the keys that no list names. */
async function removeUnnamed(tidying: Tidying, keys: AsyncGenerator<ObjectKey>): Promise<void> {
  for await (const candidates of inSets(keys)) {
    await spareNamed(tidying, candidates);
    const going = [...candidates];
    for (let at = 0; at < going.length; at += deleteBatch) await remove(tidying, going.slice(at, at + deleteBatch));
  }
}

/** A whole set at a time is held in memory, and of its source nothing else. */
async function* inSets(keys: AsyncGenerator<ObjectKey>): AsyncGenerator<Set<ObjectKey>> {
  let some = new Set<ObjectKey>();
  for await (const key of keys) {
    some.add(key);
    if (some.size < maxCandidates) continue;
    yield some;
    some = new Set();
  }
  if (some.size > 0) yield some;
}

/**
 * Every list is asked, the newest first: that a content is named by lists that follow each other holds only as long as
 * nobody has hidden one of them for a night.
 */
async function spareNamed({ store, place, memory, guard }: Tidying, candidates: Set<ObjectKey>): Promise<void> {
  const { lists } = await runsIn(store, place, guard.signal);
  if (lists.length === 0) throw new ZferryError("object-missing", `there is no list of the job "${place.job}" in "${store.url}", though one was just written`);
  for (const run of [...lists].reverse()) {
    if (candidates.size === 0) return;
    const list = await fetchList(store, { ...place, run }, memory.looked, guard);
    for await (const key of contentsOf(list, place)) candidates.delete(key);
  }
}

async function remove({ store, guard }: Tidying, keys: readonly ObjectKey[]): Promise<void> {
  guard.throwIfOver();
  await store.delete(keys, { signal: guard.signal });
}
