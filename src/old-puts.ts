/**
 * Journals of `put` that nobody has gone on with for longer than the grace period. The next `backup` of a dataset finds
 * what the last one has left; a `put` finds only what one of the same name has left, and where names change with the day
 * that one never comes. Such a journal holds a session key, and keeps its objects from the sweep (`strays.ts`).
 */
import type { Attempt } from "./format/layout.ts";
import { isZferryError } from "./errors.ts";
import { type LeftJournal, readJournals, removeJournal } from "./journals.ts";
import type { SweepRequest } from "./strays.ts";
import { datasetOf } from "./zfs/names.ts";

export interface PutSweep extends Pick<SweepRequest, "store" | "graceMs" | "now" | "alone"> {
  readonly stateDir: string;
}

/**
 * The attempts a journal of this host speaks for: all but those of {@link findOldPuts}.
 *
 * @throws ZferryError `config-invalid` when it cannot be told
 */
export async function spokenFor(sweep: PutSweep): Promise<ReadonlySet<Attempt>> {
  const journals = await readJournals(sweep.stateDir);
  return new Set(journals.filter((journal) => !isOld(journal, sweep)).map(({ attempt }) => attempt));
}

/** Journals of `put` into this store in which nothing was noted within the grace period. */
export async function findOldPuts(sweep: PutSweep): Promise<readonly LeftJournal[]> {
  return (await readJournals(sweep.stateDir)).filter((journal) => isOld(journal, sweep));
}

/** Removes one, unless it is gone on with by now or a run is at work on its dataset. Its objects must be gone before. */
export async function dropOldPut(old: LeftJournal, sweep: PutSweep): Promise<{ readonly kind: "removed" } | { readonly kind: "stays"; readonly reason: string }> {
  try {
    return await sweep.alone(datasetOf(old.backup), async () => {
      const isStill = (await findOldPuts(sweep)).some(({ path, attempt }) => path === old.path && attempt === old.attempt);
      if (!isStill) return { kind: "stays", reason: "it was written to meanwhile" };
      await removeJournal(old);
      return { kind: "removed" };
    });
  } catch (error) {
    if (isZferryError(error, "locked")) return { kind: "stays", reason: error.message };
    throw error;
  }
}

function isOld({ isPut, storeUrl, touchedAt }: LeftJournal, { store, graceMs, now }: PutSweep): boolean {
  return isPut && storeUrl === store.url && now().getTime() - touchedAt.getTime() > graceMs;
}
