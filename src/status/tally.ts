/**
 * What no run notes by itself: since when this host knows a job, since when it is disabled, and how often it has failed in
 * all. In `<state folder>/tally.json`; losing it makes counters begin anew, and ages of jobs that never ran.
 */
import { join } from "node:path";
import { z } from "zod";
import type { JobSettings } from "../config/jobs.ts";
import { inStateFolder, readIfAny, writeWhole } from "../files.ts";
import type { RunRecord } from "../history.ts";
import { parsedAs } from "../json.ts";

const time = z.iso.datetime().transform((text) => new Date(text));

const tallySchema = z.object({
  version: z.literal(1),
  jobs: z.array(z.object({ name: z.string(), seenAt: time, disabledSince: time.nullable() })),
  /** Failed runs; those that ended until `until` are counted. */
  failures: z.array(z.object({ job: z.string(), dataset: z.string().nullable(), count: z.number(), until: time })),
});

export type Tally = z.output<typeof tallySchema>;

export const emptyTally: Tally = { version: 1, jobs: [], failures: [] };

type Job = Pick<JobSettings, "name" | "isEnabled">;

export interface Known {
  readonly jobs: readonly Job[];
  /** Whether there are other jobs in the configuration. */
  readonly isPart: boolean;
  readonly runs: readonly RunRecord[];
  readonly now: Date;
}

/** Pure: the tally with what is known now. Jobs that are gone from the configuration are forgotten. */
export function tallied(before: Tally, { jobs, isPart, runs, now }: Known): Tally {
  const known = new Set(jobs.map(({ name }) => name));
  const others = <T>(all: readonly T[], nameOf: (one: T) => string): T[] => (isPart ? all.filter((one) => !known.has(nameOf(one))) : []);
  const current = jobs.map(({ name, isEnabled }) => {
    const old = before.jobs.find((one) => one.name === name);
    return { name, seenAt: earlier(old?.seenAt, now), disabledSince: isEnabled ? null : earlier(old?.disabledSince, now) };
  });
  return {
    version: 1,
    jobs: [...others(before.jobs, ({ name }) => name), ...current],
    failures: [...others(before.failures, ({ job }) => job), ...counted(before, runs.filter(({ job }) => known.has(job)))],
  };
}

/** A time to come is that of a clock that was ahead: it counts as now. */
function earlier(time: Date | null | undefined, now: Date): Date {
  return time == null || time > now ? now : time;
}

function counted(before: Tally, runs: readonly RunRecord[]): Tally["failures"] {
  const counts = new Map<string, Tally["failures"][number]>();
  const keyOf = ({ job, dataset }: { job: string; dataset: string | null }): string => JSON.stringify([job, dataset]);
  const old = new Map(before.failures.map((one) => [keyOf(one), one]));
  for (const run of runs) {
    const key = keyOf(run);
    const { count, until } = counts.get(key) ?? old.get(key) ?? { count: 0, until: new Date(0) };
    const isNew = run.endedAt > (old.get(key)?.until ?? new Date(0));
    counts.set(key, {
      job: run.job,
      dataset: run.dataset,
      count: count + (isNew && run.outcome === "failed" ? 1 : 0),
      until: run.endedAt > until ? run.endedAt : until,
    });
  }
  return [...counts.values()];
}

/** Brings the file up to what is known now. A file that cannot be read or written is a warning. @returns the tally */
export async function keepTally(
  stateDir: string,
  known: Known,
  warn: (text: string) => void,
): Promise<Tally> {
  const path = join(stateDir, "tally.json");
  let after = tallied(emptyTally, known);
  try {
    await inStateFolder(`keep the tally "${path}"`, async () => {
      const text = (await readIfAny(path))?.toString("utf8") ?? "";
      after = tallied(parsedAs(tallySchema, text) ?? emptyTally, known);
      const content = `${JSON.stringify(after)}\n`;
      if (content !== text) await writeWhole(path, content);
    });
  } catch (error) {
    warn((error as Error).message);
  }
  return after;
}
