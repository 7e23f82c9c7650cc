/**
 * What a command works with: its flags settled, its store open, its report bound. Closed again when the command ends.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { ZferryError } from "../errors.ts";
import type { ReadOptions } from "../get.ts";
import { readStoreState } from "../state.ts";
import { defaultRetryPolicy, type Outage, type RetryPolicy } from "../store/retry.ts";
import { leaseSupport } from "../store/lease.ts";
import { ttlFor } from "../store/lease-object.ts";
import { openStore, storeLimits } from "../store/open.ts";
import { checkSizes } from "../store/sizes.ts";
import { parseStoreUrl } from "../store/url.ts";
import type { FerrySettings } from "../cargo.ts";
import type { StoreSettings } from "../config/config.ts";
import { readKeyring, readKeys, readRecipients } from "../secrets.ts";
import type { Store } from "../store/store.ts";
import { type Zfs, zfsThrough } from "../zfs/command.ts";
import type { SharedFlags } from "./options.ts";
import { counted, Report, reportOptions, rounded } from "./report.ts";
import { type Settings, settle, storeSettings, zfsCommand } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { Traffic } from "./traffic.ts";
import type { JobSettings } from "../config/jobs.ts";
import { defaultSettings } from "../config/schema.ts";
import { clock } from "./clock.ts";

/** One command's run. */
export interface Session {
  readonly flags: SharedFlags;
  readonly terminal: Terminal;
  readonly report: Report;
  readonly settings: Settings;
  /** By URL: a store that one dataset has waited for in vain is not waited for by the next. */
  readonly outages: Map<string, Outage>;
}

export async function openSession(flags: SharedFlags, terminal: Terminal): Promise<Session> {
  const report = new Report(terminal, reportOptions(flags));
  report.traffic = new Traffic();
  return { flags, terminal, report, settings: await settle(flags, terminal), outages: new Map() };
}

/** A store and what it was opened with. */
export interface OpenedStore {
  readonly store: Store;
  readonly settings: StoreSettings;
}

/** Opens the store the flags, the job or the configuration name, and closes it when `work` has ended. */
export async function useStore<T>(
  session: Session,
  { access, named }: { access: "read" | "write"; named: string | null },
  work: (opened: OpenedStore) => Promise<T>,
): Promise<T> {
  const settings = storeSettings(session.flags, session.settings.config, named);
  return useStoreAt(session, settings, access, work);
}

/** Opens a store by its settings, and closes it when `work` has ended. */
export async function useStoreAt<T>(
  session: Session,
  settings: StoreSettings,
  access: "read" | "write",
  work: (opened: OpenedStore) => Promise<T>,
): Promise<T> {
  const store = await openStoreAt(session, settings, access);
  try {
    return await work({ store, settings });
  } finally {
    await store.close();
  }
}

/** Opens a store by its settings; the caller closes it. */
export async function openStoreAt(session: Session, settings: StoreSettings, access: "read" | "write"): Promise<Store> {
  if (access === "write") await refuseVanishedFolder(session, settings);
  const { environment } = session.terminal;
  return openStore(settings.url, {
    partBytes: settings.partBytes,
    concurrency: settings.concurrency,
    retry: retryPolicy(session, settings),
    onPart: (change) => {
      session.report.traffic?.onPart(change, settings.concurrency);
    },
    access,
    environment,
    credentials: settings.credentials === null ? null : await readKeys(settings.credentials, environment),
  });
}

/**
 * A folder that has held backups and is not there is more likely not mounted than meant to be made anew: a backup would
 * go to the disk below the mount point, and nobody would notice.
 */
export async function refuseVanishedFolder({ report, terminal, settings }: Session, { url }: StoreSettings): Promise<void> {
  const location = parseStoreUrl(url, terminal.environment);
  if (location.kind !== "directory" || existsSync(location.path)) return;
  const storeUrl = `file://${resolve(terminal.workingDirectory, location.path)}`;
  const remembered = await readStoreState(settings.stateDir, storeUrl, (setAside) => {
    report.warn(`the state file could not be read; it was set aside as "${setAside}" and is rebuilt from the store`);
  });
  const count = Object.keys(remembered.manifests).length;
  if (count === 0) return;
  throw new ZferryError("store-not-found", `the folder "${location.path}" held ${counted(count, "backup")} and is not there`, {
    hint: "mount its disk; if it is to begin anew, create the folder",
  });
}

function retryPolicy({ report, outages }: Session, { url, retryMs }: StoreSettings): RetryPolicy {
  const outage = outages.get(url) ?? { isOn: false };
  outages.set(url, outage);
  return {
    ...defaultRetryPolicy,
    budgetMs: retryMs,
    outage,
    onRetry: (notice) => {
      const { what, attempt, delayMs, error } = notice;
      report.traffic?.onRetry(notice);
      const why = (error instanceof Error ? error.message : String(error)).replace(`cannot ${what}: `, "");
      const text = `${what} failed (try ${attempt}): ${why}; trying again in ${clock(delayMs / 1000)}`;
      report.event({ event: "request-retried", what, attempt, delaySeconds: rounded(delayMs / 1000), why }, { level: "warn", text });
    },
  };
}

/** How a backup is packed, checked against what the store takes, before anything is opened. */
export async function ferrySettings(session: Session, store: StoreSettings, chunkBytes: number | null): Promise<FerrySettings> {
  const { flags, settings, terminal } = session;
  const wanted = flags.chunkSize ?? chunkBytes ?? defaultSettings.chunkBytes;
  checkSizes({ chunkBytes: wanted, partBytes: store.partBytes, limits: storeLimits(store.url, terminal.environment) });
  return {
    packet: settings.encryption.packet,
    recipients: await readRecipients(settings.encryption, terminal.environment),
    chunkBytes: wanted,
    partBytes: store.partBytes,
    threads: settings.threads,
  };
}

/** How backups are read. */
export async function readOptions(
  session: Session,
  { concurrency }: StoreSettings,
  onFetched: (bytes: number) => void,
): Promise<ReadOptions> {
  return {
    keyring: await readKeyring(session.settings.encryption, session.terminal.environment),
    allowUnauthenticated: session.flags.allowUnauthenticated === true,
    concurrency,
    threads: session.settings.threads,
    onFetched,
    warn: session.report.warn,
    signal: session.terminal.signal,
  };
}

/** How long a lease in this store may go without a renewal; null, and a word about it, where there can be none. */
export function leaseMsFor({ report, terminal }: Session, { url, retryMs, leaseMs }: StoreSettings): number | null {
  const support = leaseSupport(url, terminal.environment);
  if (support === "none") report.warn(`"${url}" has no conditional writes: runs of one dataset on several hosts are not kept apart`);
  return support === "none" ? null : (leaseMs ?? ttlFor(retryMs));
}

export function zfsFor(session: Session, job: Pick<JobSettings, "zfs">): Zfs {
  return zfsThrough(zfsCommand(session.flags, job), session.terminal.environment);
}
