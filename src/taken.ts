/**
 * Snapshots that are taken before the backups they are for, several at once: from one instant for each pool.
 *
 *   name them, and note the names → (services stop) → take them (services start) → one backup each, or give it back
 *
 * A name that is noted (`intent.ts`) says that its snapshot is nobody's until a journal names it. So a run that is killed
 * anywhere in between leaves nothing that the next one would not find.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { FerryProgress } from "./cargo.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import type { Tell } from "./events.ts";
import { letGo } from "./holding.ts";
import { dropIntent, type IntentPlace, intentsOf, isMeant, noteIntent } from "./intent.ts";
import type { Store } from "./store/store.ts";
import { complained } from "./zfs/complaints.ts";
import type { Zfs } from "./zfs/command.ts";
import { readDataset } from "./zfs/inventory.ts";
import { type DatasetName, datasetOf, snapshotName, type SnapshotName } from "./zfs/names.ts";
import { createSnapshots, newMark, newSnapshotName } from "./zfs/snapshots.ts";

/** Names count seconds: so many of them in a row may be taken by others. */
const maxTries = 3;
const giveBackTimeoutMs = 30_000;

/** A snapshot that is wanted, for a backup of a dataset into a store. The caller holds the dataset's local lock. */
export interface WantedSnapshot {
  readonly zfs: Zfs;
  readonly storeUrl: string;
  readonly stateDir: string;
  readonly dataset: DatasetName;
  readonly prefix: string;
}

export interface NamedSnapshot extends WantedSnapshot {
  readonly name: SnapshotName;
  /** What it is marked with; one for all that are named together. */
  readonly mark: string;
}

interface Naming {
  readonly now: () => Date;
  readonly signal: AbortSignal;
}

interface Taking {
  readonly warn: (text: string) => void;
  readonly tell?: Tell | undefined;
  readonly signal: AbortSignal;
}

/**
 * Names and takes one snapshot. Where there is one of that name, the next second's name is taken.
 *
 * @throws ZferryError `target-exists`, and as `createSnapshots`: then it may be there, and its name stays noted
 */
export async function takeSnapshot(wanted: WantedSnapshot, options: Naming & Taking): Promise<SnapshotName> {
  const names = new Set<SnapshotName>();
  for (let tries = 1; ; tries += 1) {
    const one = (await nameFree([wanted], names, options))[0];
    if (one === undefined) throw new Error("no name for the one snapshot that is wanted");
    try {
      await takeSnapshots([one], options);
      return one.name;
    } catch (error) {
      if (!isZferryError(error, "target-exists")) throw error;
      await dropIntent(placeOf(one), one.name);
      if (tries === maxTries) throw error;
      names.add(one.name);
    }
  }
}

/**
 * Finds names of one moment for all of them, none of which is taken, and notes each.
 *
 * @throws ZferryError `zfs-not-found` for a dataset that is not there, `target-exists`, `config-invalid`
 */
export async function nameSnapshots(wanted: readonly WantedSnapshot[], naming: Naming): Promise<readonly NamedSnapshot[]> {
  return nameFree(wanted, await namesThere(wanted, naming.signal), naming);
}

async function nameFree(wanted: readonly WantedSnapshot[], there: ReadonlySet<SnapshotName>, { now, signal }: Naming): Promise<readonly NamedSnapshot[]> {
  const mark = newMark();
  for (let tries = 1; ; tries += 1) {
    const at = now();
    const named = wanted.map((one) => ({ ...one, name: snapshotName(one.dataset, newSnapshotName(one.prefix, at)), mark }));
    const taken = named.find(({ name }) => there.has(name));
    if (taken === undefined) {
      for (const one of named) await noteIntent(placeOf(one), one);
      return named;
    }
    if (tries === maxTries) {
      throw new ZferryError("target-exists", `there is a snapshot "${taken.name}" already`, { hint: "run again, or set another snapshot_prefix" });
    }
    await sleep(1000 - (at.getTime() % 1000), undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
  }
}

async function namesThere(wanted: readonly WantedSnapshot[], signal: AbortSignal): Promise<ReadonlySet<SnapshotName>> {
  const names = new Set<SnapshotName>();
  for (const { zfs, dataset } of wanted) {
    const facts = await readDataset(zfs, dataset, { signal });
    if (facts === null) throw new ZferryError("zfs-not-found", `there is no dataset "${dataset}"`, { hint: "`zfs list` shows what there is" });
    for (const { name } of facts.snapshots) names.add(name);
  }
  return names;
}

/**
 * Takes all of them: one atomic `zfs snapshot` for each pool. When it fails, or is stopped, some may be there: the caller
 * gives all of them back.
 *
 * @throws ZferryError as `createSnapshots`
 */
export async function takeSnapshots(named: readonly NamedSnapshot[], { warn, tell, signal }: Taking): Promise<void> {
  for (const [first, ...more] of byPool(named).values()) {
    if (first === undefined) continue;
    const names = [first, ...more].map(({ name }) => name);
    const { zfs, mark } = first;
    try {
      await createSnapshots(zfs, names, { mark, signal });
    } catch (error) {
      if (names.length === 1 || !complained(error, "too many arguments")) throw error;
      warn("this zfs takes one snapshot at a time, so those of several datasets are not from one instant");
      for (const name of names) await createSnapshots(zfs, [name], { mark, signal });
    }
    for (const name of names) tell?.({ event: "snapshot-taken", snapshot: name });
  }
}

/** Those that one command can take: of one zfs, and of one pool. */
function byPool(named: readonly NamedSnapshot[]): ReadonlyMap<string, readonly NamedSnapshot[]> {
  const pools = new Map<string, NamedSnapshot[]>();
  for (const one of named) {
    const key = JSON.stringify([one.zfs.command, one.dataset.split("/", 1)]);
    pools.set(key, [...(pools.get(key) ?? []), one]);
  }
  return pools;
}

interface Giver {
  readonly zfs: Zfs;
  readonly store: Pick<Store, "url">;
  readonly stateDir: string;
  readonly progress: Pick<FerryProgress, "warn">;
}

/**
 * Destroys a snapshot whose backup did not come about, if its name is noted still: otherwise a journal has it, or had it.
 * One that another run has taken under its name stays. Never throws: what could not be destroyed stays noted for the next
 * run. So does what is not there: a zfs that did not end in time, in the kernel or at the other end of ssh, may take it yet.
 */
export async function giveBack({ zfs, store, stateDir, progress }: Giver, name: SnapshotName): Promise<void> {
  const place = { stateDir, storeUrl: store.url, dataset: datasetOf(name) };
  try {
    const intent = (await intentsOf(place)).find((one) => one.name === name);
    if (intent === undefined) return;
    const facts = await readDataset(zfs, place.dataset, { signal: AbortSignal.timeout(giveBackTimeoutMs) });
    const snapshot = facts?.snapshots.find((one) => one.name === name);
    if (snapshot === undefined) return;
    if (!isMeant(intent, snapshot) || (await letGo({ zfs, store, stateDir, progress }, [], snapshot))) await dropIntent(place, name);
  } catch (error) {
    const why = isZferryError(error) ? error.message : String(error);
    progress.warn(`could not take back the snapshot "${name}", which the next run tries again: ${why}`);
  }
}

function placeOf({ stateDir, storeUrl, dataset }: WantedSnapshot): IntentPlace {
  return { stateDir, storeUrl, dataset };
}
