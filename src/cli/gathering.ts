/** What lies on this host of all runs, for `status`, and for the metrics that every run leaves behind. */
import { realpath } from "node:fs/promises";
import { resolve } from "node:path";
import { jobsOfStreams } from "../config/jobs.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import type { GatherRequest, Standings } from "../status/gather.ts";
import type { ProviderName } from "../store/providers.ts";
import { parseStoreUrl, s3UrlOf, type StoreLocation } from "../store/url.ts";
import type { Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";

/**
 * What everything that looks at the status needs.
 *
 * @param names - of jobs; all of them when there is none
 * @param store - what `--store` puts in the place of the jobs' own; null for that
 */
export function gatherRequest(session: Session, names: readonly string[], store: string | null): GatherRequest {
  const { settings, report, terminal } = session;
  const { config, stateDir } = settings;
  const unknown = names.find((name) => !config.jobs.has(name));
  if (unknown !== undefined) {
    throw new ZferryError("usage", `there is no job "${unknown}"`, { hint: `the configuration has ${[...config.jobs.keys()].join(", ") || "none"}` });
  }
  const wanted = [...config.jobs].filter(([name]) => names.length === 0 || names.includes(name));
  const jobs = new Map(wanted.map(([name, job]) => [name, { ...job, store: store ?? job.store }]));
  return {
    config: { ...config, jobs },
    isPart: names.length > 0,
    allJobs: jobsOfStreams(config.jobs.values()),
    stateDir,
    storeUrlOf: (named) => storeUrlOf(config.stores.get(named)?.url ?? named, session),
    warn: report.warn,
    now: terminal.now,
  };
}

/** What the store is called in the state file, without opening it; a URL that is none, of which nothing can be there, as it is. */
async function storeUrlOf(url: string, { terminal }: Session): Promise<string> {
  const location = locationOf(url, terminal.environment);
  if (location === null) return url;
  if (location.kind === "s3") return s3UrlOf(location);
  const path = resolve(terminal.workingDirectory, location.path);
  return `file://${await realpath(path).catch(() => path)}`;
}

/** Whose bucket a store of a name or URL is in; null for a folder, and for a URL that is none. */
export function providerOfStore({ settings: { config }, terminal }: Session, store: string): ProviderName | null {
  const location = locationOf(config.stores.get(store)?.url ?? store, terminal.environment);
  return location?.kind === "s3" ? location.provider.name : null;
}

function locationOf(url: string, environment: Terminal["environment"]): StoreLocation | null {
  try {
    return parseStoreUrl(url, environment);
  } catch (error) {
    if (isZferryError(error, "usage")) return null;
    throw error;
  }
}

/**
 * Writes the metrics of all jobs as they are configured, whatever this run was for, where that is asked for. Never rejects.
 *
 * @param known - how all of them stand, where that was gathered just now
 */
export async function publish(session: Session, known: Standings | null = null): Promise<void> {
  const { textfile } = session.settings.config.metrics;
  if (textfile === null) return;
  const { publishMetrics } = await import("../status/publish.ts");
  await publishMetrics(resolve(session.terminal.workingDirectory, textfile), gatherRequest(session, [], null), known);
}
