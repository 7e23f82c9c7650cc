/** `zferry doctor --restore`: the readiness checklist, for each job. */
import { selectDatasets } from "../config/globs.ts";
import { jobsOfStreams } from "../config/jobs.ts";
import type { ProbeResult } from "../doctor-probes.ts";
import { examineReadiness } from "../drill/readiness.ts";
import { isZferryError } from "../errors.ts";
import { type DatasetName, parseDatasetName } from "../zfs/names.ts";
import { readOptions, type Session, useStoreAt, zfsFor } from "./session.ts";
import { impatient, storeSettings } from "./settings.ts";

export interface RestoreFlags {
  /** Below which one would restore. */
  readonly into?: string;
}

/** @param onResults - told of each job as soon as it was looked at */
export async function restoreProbes(session: Session, { into }: RestoreFlags, onResults: (results: readonly ProbeResult[]) => void): Promise<readonly ProbeResult[]> {
  const { settings, terminal, flags } = session;
  const { config, stateDir } = settings;
  const jobs = jobsOfStreams(config.jobs.values()).filter(({ isEnabled }) => isEnabled);
  const everything = { name: "all", store: null, overdueAfterMs: null, zfs: config.defaults.zfs, drill: config.defaults.drill };
  const all: ProbeResult[] = [];
  for (const subject of jobs.length === 0 ? [everything] : jobs) {
    const selects = (listed: readonly DatasetName[]): readonly DatasetName[] =>
      "datasets" in subject ? selectDatasets(subject, listed).datasets.filter((one) => listed.includes(one)) : listed;
    const wanted = impatient(flags, storeSettings(flags, config, subject.store));
    const results = await useStoreAt(session, wanted, "read", async ({ store, settings: opened }) =>
      examineReadiness({
        ...(await readOptions(session, opened, () => undefined)),
        ...{ store, stateDir, selects, subject: subject.name, overdueAfterMs: subject.overdueAfterMs },
        zfs: zfsFor(session, subject),
        isRoot: terminal.isRoot,
        into: into === undefined ? subject.drill.into : parseDatasetName(into),
        now: terminal.now,
      }),
    ).catch((error: unknown): readonly ProbeResult[] => {
      terminal.signal.throwIfAborted();
      if (!isZferryError(error)) throw error;
      return [{ name: `last-good ${subject.name}`, outcome: "finding", detail: error.message, consequence: error.hint ?? "nothing can be restored from there" }];
    });
    onResults(results);
    all.push(...results);
  }
  return all;
}
