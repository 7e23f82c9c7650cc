/**
 * The state file: a cache of what the stores hold and which anchor was last committed.
 *
 * Losing it loses nothing. It is found again from the manifests (`catalog.ts`) and the guids on the pool (`plan.ts`);
 * a file that cannot be read is set aside under another name, reported, and rebuilt.
 */
import { createHash } from "node:crypto";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { isZferryError, ZferryError } from "./errors.ts";
import { inStateFolder, readIfAny, writeWhole } from "./files.ts";
import { entrySchema, isSameManifest } from "./format/entry.ts";
import { parsedAs } from "./json.ts";
import { withLockInTurn } from "./lock-turn.ts";
import { resultsSchema } from "./verified.ts";

/** The anchor of one dataset in one store, written after its manifest was. */
const anchorSchema = z.object({ backup: z.string(), guid: z.string() });

/** A manifest in short. It holds for one version only; without a size, as it was written once, for none. */
const knownSchema = z.object({ etag: z.string(), sizeBytes: z.number().optional(), entry: entrySchema });

const storeStateSchema = z.object({
  url: z.string(),
  /** By dataset. */
  anchors: z.record(z.string(), anchorSchema),
  /** By manifest key. */
  manifests: z.record(z.string(), knownSchema),
  /** By manifest key: what was seen once and is gone now, or stands there as another one. `verify` tells of it. */
  lost: z.record(z.string(), knownSchema).optional(),
  /** By manifest key, then by level. */
  verified: z.record(z.string(), resultsSchema).optional(),
});

export const stateSchema = z.object({ version: z.literal(1), stores: z.record(z.string(), storeStateSchema) });

type State = z.output<typeof stateSchema>;
export type StoreState = z.output<typeof storeStateSchema>;
export type KnownManifest = z.output<typeof knownSchema>;

/** Eight hex digits that name a store in the state file and in ZFS hold tags: from its URL without settings. */
export function storeIdOf(url: string): string {
  return createHash("sha256").update(url).digest("hex").slice(0, 8);
}

function fileIn(stateDir: string): string {
  return join(stateDir, "state.json");
}

async function readState(stateDir: string, onGarbage: (setAside: string) => void): Promise<State> {
  const file = fileIn(stateDir);
  const bytes = await inStateFolder(`read the state file "${file}"`, () => readIfAny(file));
  if (bytes === null) return { version: 1, stores: {} };
  const state = parsedAs(stateSchema, bytes.toString("utf8"));
  if (state !== null) return state;
  const setAside = `${file}.unreadable-${Date.now()}`;
  await inStateFolder(`set aside the state file "${file}"`, () => rename(file, setAside));
  onGarbage(setAside);
  return { version: 1, stores: {} };
}

/**
 * What is remembered of one store; empty when nothing is. `onGarbage` is told where an unreadable file was put.
 *
 * @throws ZferryError `config-invalid` when it cannot be read for another reason than what stands in it
 */
export async function readStoreState(
  stateDir: string,
  url: string,
  onGarbage: (setAside: string) => void,
): Promise<StoreState> {
  const state = await readState(stateDir, onGarbage);
  return state.stores[storeIdOf(url)] ?? { url, anchors: {}, manifests: {} };
}

/**
 * Guids of the anchors of a dataset, in every store this host remembers.
 *
 * @throws ZferryError `config-invalid` when the file cannot be read for another reason than what stands in it
 */
export async function anchorGuids(stateDir: string, dataset: string): Promise<readonly string[]> {
  const { stores } = await readState(stateDir, () => undefined);
  return Object.values(stores).flatMap(({ anchors }) => (Object.hasOwn(anchors, dataset) ? [anchors[dataset]?.guid ?? ""] : []));
}

/**
 * What is remembered of every store.
 *
 * @throws ZferryError `config-invalid` when it cannot be read for another reason than what stands in it
 */
export async function readStoreStates(stateDir: string, onGarbage: (setAside: string) => void): Promise<readonly StoreState[]> {
  return Object.values((await readState(stateDir, onGarbage)).stores);
}

/** Others hold the lock for one writing. Beyond two minutes even a holder that cannot be looked up has lost it. */
const turnMs = 150_000;

/**
 * Remembers `change` of one store's state. The file is read again first, and no two processes of this host do so at once:
 * neither takes back what the other has noted, nor brings back what it has forgotten.
 *
 * @throws ZferryError `config-invalid` when the file cannot be read or written
 */
export async function updateStoreState(stateDir: string, url: string, change: (state: StoreState) => void): Promise<void> {
  const file = fileIn(stateDir);
  const turn = { waitMs: turnMs, signal: new AbortController().signal }; // what was done must be noted, whoever is stopped
  try {
    await withLockInTurn(join(stateDir, "locks", "state.lock"), "the state file", turn, () => update(stateDir, url, change));
  } catch (error) {
    if (!isZferryError(error, "locked")) throw error;
    throw new ZferryError("config-invalid", `cannot write the state file "${file}": ${error.message}`, {
      hint: "see what that process waits for; the lock is taken over as soon as it has ended",
      cause: error,
    });
  }
}

async function update(stateDir: string, url: string, change: (state: StoreState) => void): Promise<void> {
  const state = await readState(stateDir, () => undefined);
  const id = storeIdOf(url);
  const store = state.stores[id] ?? { url, anchors: {}, manifests: {} };
  change(store);
  state.stores[id] = store;
  const text = JSON.stringify(state, (_name, value: unknown) => (typeof value === "bigint" ? String(value) : value));
  const file = fileIn(stateDir);
  await inStateFolder(`write the state file "${file}"`, () => writeWhole(file, `${text}\n`));
}

/** Brings the manifests under `prefix` up to what was seen there; one that is gone, or another one, is kept as lost. */
export function noteManifests(state: StoreState, prefix: string, seen: ReadonlyMap<string, KnownManifest>): void {
  const lost = new Map(Object.entries(state.lost ?? {}));
  for (const [key, before] of Object.entries(state.manifests)) {
    const now = seen.get(key);
    const isLost = key.startsWith(prefix) && (now === undefined || !isSameManifest(before.entry, now.entry));
    if (isLost && !lost.has(key)) lost.set(key, before);
  }
  for (const [key, { entry }] of lost) {
    const now = seen.get(key);
    if (now !== undefined && isSameManifest(entry, now.entry)) lost.delete(key);
  }
  const others = Object.entries(state.manifests).filter(([key]) => !key.startsWith(prefix));
  state.manifests = Object.fromEntries([...others, ...seen]);
  if (lost.size > 0 || state.lost !== undefined) state.lost = Object.fromEntries(lost);
}

/**
 * For whoever is about to remove backups on purpose: `verify` misses them no more, also when the remover is killed right
 * after. What was found of them stays, since they may.
 */
export function expectNoMore(state: StoreState, keys: ReadonlySet<string>): void {
  state.manifests = without(state.manifests, keys);
  if (state.lost !== undefined) state.lost = without(state.lost, keys);
}

/** For whoever has mended a backup: what was found of it is so no more, and what is so nobody has looked at yet. */
export function forgetFindings(state: StoreState, keys: ReadonlySet<string>): void {
  if (state.verified !== undefined) state.verified = without(state.verified, keys);
}

/** Of backups that were removed on purpose nothing stays. */
export function forgetManifests(state: StoreState, keys: ReadonlySet<string>): void {
  expectNoMore(state, keys);
  forgetFindings(state, keys);
}

function without<T>(record: Record<string, T>, keys: ReadonlySet<string>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => !keys.has(key)));
}
