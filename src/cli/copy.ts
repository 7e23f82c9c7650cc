/** `zferry copy`: backups from one store into another, undecrypted; of jobs, or between any two stores. */
import type { Command } from "commander";
import { readCatalog } from "../catalog.ts";
import type { JobSettings } from "../config/jobs.ts";
import { ZferryError } from "../errors.ts";
import { datasetOfEntry } from "../format/entry.ts";
import { type CopyEnd, copyFailure, CopyPlaces, type CopyWorld, runCopy } from "../job/copies.ts";
import { datasetsOf } from "../job/selection.ts";
import { makeTeller } from "../notify/tell.ts";
import type { Store } from "../store/store.ts";
import { type DatasetName, parseDatasetName } from "../zfs/names.ts";
import { copySettings, copyWorldFor } from "./copy-world.ts";
import { publish } from "./gathering.ts";
import { durationFlag, type SharedFlags, withOpening, withZfs } from "./options.ts";
import type { RunCommand } from "./run-command.ts";
import { type Session, useStoreAt, zfsFor } from "./session.ts";

const explanation = `
Jobs (all that are not disabled when none is named) are copied into the stores of their \`copies\`, as far as the policy of
each would keep it; a nightly run does so by itself (docs/copies.md). With --from and --to the words are datasets (all of the
store when none is named), and everything is copied. Ciphertext and keys stay as they are; every chunk is checked against its
manifest on the way. With a passphrase or private key at hand each manifest must be authentic; without one they are checked for
damage. What is there already is not sent again, and what was cut off is gone on with.
Exit status: 0 all is copied; 3 some copy of a job failed; with --from and --to that of the first failure.`;

interface CopyFlags extends SharedFlags {
  readonly from?: string;
  readonly to?: string;
  readonly dryRun?: boolean;
}

export function copyCommand(command: Command, run: RunCommand): void {
  command
    .option("--from <store>", "copy from this store, a name from the configuration or a URL; with --to")
    .option("--to <store>", "copy into this store")
    .option("--dry-run", "say what would be copied, and do nothing")
    .option("--retry-for <time>", "how long a failing request is tried again (default 1h)", durationFlag)
    .option("--state-dir <folder>", "folder of the state file, of locks and of journals")
    .addHelpText("after", explanation);
  withZfs(withOpening(command)).action(run(copyStores));
}

async function copyStores(session: Session, words: readonly string[], flags: CopyFlags): Promise<void> {
  const { terminal, report, settings } = session;
  const { environment, now, signal } = terminal;
  const isDryRun = flags.dryRun === true;
  const teller = makeTeller(isDryRun ? [] : settings.config.notify, { stateDir: settings.stateDir, environment, warn: report.warn, now, signal });
  const world = copyWorldFor(session, { isDryRun, teller });
  const places = new CopyPlaces(world);
  try {
    if (flags.from !== undefined || flags.to !== undefined) await copyBetween(session, words, flags, { ...world, isNoted: false }, places);
    else await copyJobs(session, jobsOf(session, words), world, places);
  } finally {
    await places.close();
    await teller.end();
    if (!isDryRun) await publish(session);
  }
}

async function copyBetween(session: Session, words: readonly string[], { from, to }: CopyFlags, world: CopyWorld, places: CopyPlaces): Promise<void> {
  if (from === undefined || to === undefined) {
    throw new ZferryError("usage", "--from and --to go together", { hint: "name both stores, or jobs and neither" });
  }
  const { config } = session.settings;
  await useStoreAt(session, copySettings(session, from), "read", async ({ store }) => {
    const named = words.map((word) => parseDatasetName(word));
    const datasets = named.length > 0 ? named : await datasetsIn(store, world);
    const ends: CopyEnd[] = [];
    for (const dataset of datasets) {
      const job = { ...config.defaults, name: dataset, datasets: [dataset], exclude: [], isRecursive: false, group: null, files: null, store: from, copies: [] };
      ends.push(await runCopy({ job, dataset, copy: { store: to, keep: null }, from: store }, places, world));
    }
    throwFirst(session, ends.flatMap(({ error }) => (error === null ? [] : [error])));
  });
}

async function datasetsIn(store: Store, { stateDir, warn, signal }: CopyWorld): Promise<readonly DatasetName[]> {
  const { backups, damaged } = await readCatalog(store, { dataset: null, stateDir, warn, signal });
  for (const { key, error } of damaged) warn(`"${key}" in "${store.url}" cannot be used: ${error.message}`);
  return [...new Set(backups.map(datasetOfEntry))].sort();
}

function jobsOf({ settings: { config } }: Session, names: readonly string[]): readonly JobSettings[] {
  const unknown = names.find((name) => !config.jobs.has(name));
  if (unknown !== undefined) throw new ZferryError("usage", `there is no job "${unknown}"`, { hint: `the configuration has: ${[...config.jobs.keys()].join(", ") || "none"}` });
  const jobs = [...config.jobs.values()].filter(({ name, isEnabled }) => (names.length === 0 ? isEnabled : names.includes(name)));
  const wanted = jobs.filter(({ copies }) => copies.length > 0);
  if (wanted.length > 0) return wanted;
  throw new ZferryError("usage", names.length === 0 ? "there is nothing to copy: no job has copies" : `${names.join(", ")}: no copies are configured`, {
    hint: "give jobs `copies` in the configuration (docs/copies.md), or name two stores with --from and --to",
  });
}

/** Every dataset of every job gets its turn; the first failure is the run's. */
async function copyJobs(session: Session, jobs: readonly JobSettings[], world: CopyWorld, places: CopyPlaces): Promise<void> {
  const failures: unknown[] = [];
  for (const job of jobs) {
    try {
      await useStoreAt(session, copySettings(session, job.store), "read", async ({ store: from }) => {
        for (const dataset of await datasetsOf(job, zfsFor(session, job), world)) {
          for (const copy of job.copies) {
            const end = await runCopy({ job, dataset, copy, from }, places, world);
            if (end.error !== null && !end.isBusy) failures.push(copyFailure(end));
          }
        }
      });
    } catch (error) {
      world.signal.throwIfAborted();
      failures.push(error);
    }
  }
  throwFirst(session, failures);
}

/** The first is the last word of the run; the others are said before it. */
function throwFirst({ report }: Session, failures: readonly unknown[]): void {
  for (const error of failures.slice(1)) report.failure(error);
  if (failures.length > 0) throw failures[0];
}
