/** Which jobs are run by one unit: those of a group together, any other by itself. Disabled ones by none. */
import type { JobSettings } from "../config/jobs.ts";
import { unitName } from "./unit-text.ts";

/** What of a job decides which unit runs it. */
type Member = Pick<JobSettings, "name" | "group" | "isEnabled">;

/** Jobs that run together. */
export interface Crew<Job extends Member = JobSettings> {
  /** Of service and timer, without their endings. */
  readonly unit: string;
  /** The group's name, or the job's. */
  readonly label: string;
  readonly jobs: readonly Job[];
}

/** @throws ZferryError `config-invalid` when a name is too long for a unit */
export function crewsOf<Job extends Member>(jobs: readonly Job[]): readonly Crew<Job>[] {
  const byUnit = new Map<string, Crew<Job>>();
  for (const job of jobs.filter(({ isEnabled }) => isEnabled)) {
    const unit = job.group === null ? unitName("zferry-backup-", job.name) : unitName("zferry-group-", job.group);
    const crew = byUnit.get(unit) ?? { unit, label: job.group ?? job.name, jobs: [] };
    byUnit.set(unit, { ...crew, jobs: [...crew.jobs, job] });
  }
  return [...byUnit.values()];
}
