/** What a run of jobs works with, made of a session. */
import { isZferryError } from "../errors.ts";
import type { Place, World } from "../job/task.ts";
import { makeTeller } from "../notify/tell.ts";
import { MemoryStore } from "../store/memory.ts";
import type { Store } from "../store/store.ts";
import { parseStoreUrl } from "../store/url.ts";
import type { BackupFlags } from "./backup.ts";
import type { BackupReport } from "./backup-report.ts";
import type { StoreSettings } from "../config/config.ts";
import { ferrySettings, leaseMsFor, openStoreAt, type Session, zfsFor } from "./session.ts";
import { storeSettings } from "./settings.ts";

export function worldFor(session: Session, flags: BackupFlags, shown: BackupReport): World {
  const { report, terminal, settings } = session;
  const { environment, now, signal } = terminal;
  const { stateDir, config } = settings;
  const { warn } = report;
  const isDryRun = flags.dryRun === true;
  return {
    stateDir,
    environment,
    isDryRun,
    isAbandoning: flags.abandon === true,
    zfsOf: (job) => zfsFor(session, job),
    policyOf: ({ fullEveryMs, fullWhenIncrementalExceeds }) => ({
      ask: flags.full === true ? "full" : flags.incremental === true ? "incremental" : "auto",
      fullEveryMs,
      fullWhenIncrementalExceeds,
    }),
    openPlace: async ({ store: named, chunkBytes }): Promise<Place> => {
      const place = storeSettings(flags, config, named === "" ? null : named);
      const packing = await ferrySettings(session, place, chunkBytes);
      const store = await (isDryRun ? openToPlan(session, place) : openStoreAt(session, place, "write"));
      const leaseMs = isDryRun ? null : leaseMsFor(session, place);
      return { store, settings: packing, leaseMs, close: () => store.close() };
    },
    progressOf: shown.progressOf,
    ended: shown.ended,
    failed: shown.failed,
    teller: makeTeller(isDryRun ? [] : config.notify, { stateDir, environment, warn, now, signal }),
    info: (text) => {
      report.info(text);
    },
    warn,
    now,
    signal,
  };
}

/** A folder that is not there yet is an empty store to a plan, because the run that follows makes it. */
async function openToPlan(session: Session, place: StoreSettings): Promise<Store> {
  const isFolder = parseStoreUrl(place.url, session.terminal.environment).kind === "directory";
  try {
    return await openStoreAt(session, place, "read");
  } catch (error) {
    if (!isFolder || !isZferryError(error, "store-not-found")) throw error;
    session.report.warn(`${error.message}: the first backup makes it`);
    return new MemoryStore();
  }
}
