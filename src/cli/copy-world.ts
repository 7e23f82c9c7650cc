/** What copies work with, made of a session. */
import { resolve } from "node:path";
import type { StoreSettings } from "../config/config.ts";
import { isZferryError } from "../errors.ts";
import type { CopyPlace, CopyWorld } from "../job/copies.ts";
import type { Teller } from "../notify/tell.ts";
import type { Keyring } from "../openpgp/session.ts";
import { readKeyring } from "../secrets.ts";
import { MemoryStore } from "../store/memory.ts";
import type { Store } from "../store/store.ts";
import { parseStoreUrl } from "../store/url.ts";
import { CopyReport } from "./copy-report.ts";
import { leaseMsFor, openStoreAt, refuseVanishedFolder, type Session } from "./session.ts";
import { storeSettings } from "./settings.ts";

export function copyWorldFor(session: Session, { isDryRun, teller }: { readonly isDryRun: boolean; readonly teller: Teller }): CopyWorld {
  const { report, terminal, settings, flags } = session;
  const shown = new CopyReport(report, { isDryRun });
  let keyring: Promise<Keyring> | null = null;
  return {
    stateDir: settings.stateDir,
    isDryRun,
    isNoted: true,
    openCopy: async ({ store: named }): Promise<CopyPlace> => {
      const place = copySettings(session, named);
      const store = await (isDryRun ? openToPlan(session, place, "copy") : openStoreAt(session, place, "write"));
      return { store, leaseMs: isDryRun ? null : leaseMsFor(session, place), close: () => store.close() };
    },
    keyring: () => (keyring ??= readKeyring(settings.encryption, terminal.environment)),
    allowUnauthenticated: flags.allowUnauthenticated === true,
    concurrency: 2, // as many ranges as are fetched at a time at most
    tell: report.tell,
    copyProgressOf: shown.copyProgressOf,
    copied: shown.copied,
    teller,
    info: (text) => {
      report.info(text);
    },
    warn: report.warn,
    now: terminal.now,
    signal: terminal.signal,
  };
}

/** A store by its name: a flag that names one means the other side. */
export function copySettings({ settings: { config }, flags: { logLevel, retryFor } }: Session, named: string): StoreSettings {
  return storeSettings({ logLevel, ...(retryFor === undefined ? {} : { retryFor }) }, config, named);
}

/** A folder that is not there yet is an empty store to a plan, because the run that follows makes it; or refuses to. */
export async function openToPlan(session: Session, place: StoreSettings, what: "backup" | "copy"): Promise<Store> {
  const { environment, workingDirectory } = session.terminal;
  const location = parseStoreUrl(place.url, environment);
  try {
    return await openStoreAt(session, place, "read");
  } catch (error) {
    if (location.kind !== "directory" || !isZferryError(error, "store-not-found")) throw error;
    await refuseVanishedFolder(session, place);
    session.report.warn(`${error.message}: the first ${what} makes it`);
    return Object.assign(new MemoryStore(), { url: `file://${resolve(workingDirectory, location.path)}` });
  }
}
