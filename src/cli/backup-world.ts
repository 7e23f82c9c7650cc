/** What a run of jobs works with, made of a session. */
import type { Place, World } from "../job/task.ts";
import { makeTeller } from "../notify/tell.ts";
import type { BackupFlags } from "./backup.ts";
import type { BackupReport } from "./backup-report.ts";
import { copyWorldFor, openToPlan } from "./copy-world.ts";
import { ferrySettings, leaseMsFor, openStoreAt, type Session, zfsFor } from "./session.ts";
import { readKeyring } from "../secrets.ts";
import { storeSettings } from "./settings.ts";

export function worldFor(session: Session, flags: BackupFlags, shown: BackupReport): World {
  const { report, terminal, settings } = session;
  const { environment, now, signal } = terminal;
  const { stateDir, config } = settings;
  const { warn } = report;
  const isDryRun = flags.dryRun === true;
  const teller = makeTeller(isDryRun ? [] : config.notify, { stateDir, environment, warn, now, signal });
  return {
    ...copyWorldFor(session, { isDryRun, teller }),
    environment,
    isAbandoning: flags.abandon === true,
    zfsOf: (job) => zfsFor(session, job),
    policyOf: ({ fullEveryMs, fullWhenIncrementalExceeds }) => ({
      ask: flags.full === true ? "full" : flags.incremental === true ? "incremental" : "auto",
      fullEveryMs,
      fullWhenIncrementalExceeds,
    }),
    openPlace: async ({ store: named, chunkBytes, files }): Promise<Place> => {
      const place = storeSettings(flags, config, named === "" ? null : named);
      const packing = await ferrySettings(session, place, files === null ? chunkBytes : place.partBytes);
      const store = await (isDryRun ? openToPlan(session, place, "backup") : openStoreAt(session, place, "write"));
      const leaseMs = isDryRun ? null : leaseMsFor(session, place);
      return { store, settings: packing, leaseMs, concurrency: place.concurrency, readKeyring: () => readKeyring(settings.encryption, environment), close: () => store.close() };
    },
    progressOf: shown.progressOf,
    ended: shown.ended,
    failed: shown.failed,
  };
}
