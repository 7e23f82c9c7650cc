/** A store with backups of few bytes: manifests like any other, sealed by their own rules, and objects in their places. */
import { prune } from "../../src/prune/prune.ts";
import type { PruneOutcome, PruneRequest } from "../../src/prune/request.ts";
import { chunkKey, manifestKey, restoreNoteKey } from "../../src/format/layout.ts";
import type { Store } from "../../src/store/store.ts";
import { parseDatasetName, type SnapshotName } from "../../src/zfs/names.ts";
import { ownFolder } from "../folder.ts";
import { keysIn, never } from "../ferrying.ts";
import * as golden from "../format/sealing.ts";
import { named, noRules, type Sketch, sketched } from "../retaining.ts";

const chunkCount = (golden.goldenMembers().chunks as unknown[]).length;

/** Attempts differ by the backup's name. */
export function attemptOf(backup: SnapshotName): string {
  return Buffer.from(backup).reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7).toString(16).padStart(8, "0");
}

/** Every object of a backup, its manifest first. */
export function objectsOf(name: string): string[] {
  const backup = named(name);
  const chunks = Array.from({ length: chunkCount }, (_, index) => chunkKey(backup, attemptOf(backup), "ocb", index));
  return [manifestKey(backup), ...chunks, restoreNoteKey(backup, attemptOf(backup))];
}

export async function stock(store: Store, sketches: readonly Sketch[]): Promise<void> {
  for (const sketch of sketches) {
    const { backup, guid, createdAt, base, kind } = sketched(sketch);
    const { snapshot } = golden.goldenMembers();
    const members = {
      ...golden.goldenMembers(),
      backup,
      kind,
      attempt: attemptOf(backup),
      snapshot: { ...(snapshot as object), guid: String(guid), createdAt: createdAt.toISOString() },
      base: base === null ? null : { guid: String(base.guid), backup: null },
    };
    const [manifest = "", ...others] = objectsOf(backup);
    for (const key of others) await store.put(key, Buffer.from("x"), { when: "replace", signal: never });
    await store.put(manifest, golden.sealMembers(members), { when: "replace", signal: never });
  }
}

export interface Pruning extends Partial<PruneRequest> {
  readonly warnings?: string[];
}

/** Prunes `tank/home`, by default for real, in a state folder of its own, and keeping the last one. */
export function pruning(store: Store, { warnings = [], ...options }: Pruning = {}): Promise<PruneOutcome> {
  return prune({
    zfs: null,
    store,
    dataset: parseDatasetName("tank/home"),
    keep: { local: null, store: { ...noRules, last: 1 } },
    stateDir: options.stateDir ?? ownFolder(),
    leaseMs: null,
    isDryRun: false,
    now: () => new Date("2027-01-01T00:00Z"),
    progress: { warn: (text) => void warnings.push(text) },
    signal: never,
    ...options,
  });
}

/** The backups whose manifest is there, after the `@` for `tank/home`. */
export async function backupsIn(store: Store): Promise<string[]> {
  const keys = await keysIn(store);
  return keys.filter((key) => key.startsWith("manifests/")).map((key) => key.slice("manifests/".length, -".json".length).replace("tank/home@", ""));
}

/** What became of each, by fate. */
export function fates({ backups }: PruneOutcome): Record<string, string[]> {
  const by: Record<string, string[]> = {};
  for (const { subject, fate } of backups) (by[fate] ??= []).push(subject.backup.replace("tank/home@", ""));
  return by;
}
