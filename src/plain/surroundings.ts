/** What the programs of a job of files find around them: as little as hooks do, and what the job hands on by name. */
import { handedOn } from "../quiesce/surroundings.ts";
import { datasetOf, type SnapshotName } from "../zfs/names.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** @param names - of variables; one that ends in `*` is a beginning */
export function surroundingsOf(environment: Environment, names: readonly string[]): Record<string, string> {
  const isMeant = (variable: string): boolean => names.some((name) => (name.endsWith("*") ? variable.startsWith(name.slice(0, -1)) : variable === name));
  const meant = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined && isMeant(entry[0]));
  return { ...handedOn(environment), ...Object.fromEntries(meant) };
}

/** What this is about. */
export function subjectOf({ job, snapshot, view }: { readonly job: string; readonly snapshot: SnapshotName; readonly view: string }): Record<string, string> {
  return { ZFERRY_JOB: job, ZFERRY_DATASET: datasetOf(snapshot), ZFERRY_SNAPSHOT: snapshot, ZFERRY_VIEW: view };
}
