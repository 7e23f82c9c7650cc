/** `zferry status --all-hosts`: how the datasets of several hosts stand, told apart by their stores (`docs/pull.md`). */
import { formatSize } from "../bytes.ts";
import { readCatalog } from "../catalog.ts";
import type { StoreSettings } from "../config/config.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { readStoreStates } from "../state.ts";
import { datasetDocument, heldDocument, statusDocument } from "../status/document.ts";
import { gather, type GatherRequest, type Standings } from "../status/gather.ts";
import { knownStore } from "../status/held.ts";
import { unclaimed, type Unclaimed } from "../status/other-hosts.ts";
import { ageText } from "../status/standing.ts";
import type { DatasetName } from "../zfs/names.ts";
import { gatherRequest } from "./gathering.ts";
import { hostStores } from "./hosts.ts";
import type { SharedFlags } from "./options.ts";
import { momentText } from "./moments.ts";
import { type Line, type Span, textOf } from "./paint.ts";
import { type Session, useStoreAt } from "./session.ts";
import { folding, heading, rowOf } from "./status.ts";
import { table } from "./table.ts";

interface HostFlags extends SharedFlags {
  readonly check?: boolean;
  readonly notify?: boolean;
  readonly serve?: string | true;
}

/** What another machine has stored. */
export interface Foreign {
  readonly host: string;
  readonly held: Unclaimed;
}

/**
 * The jobs as ever, with their host, and what the hosts' stores hold beside. Without `--check` and `--store` no store is asked.
 *
 * @throws ZferryError `usage` for flags that do not go with it
 */
export async function statusOfHosts(session: Session, names: readonly string[], flags: HostFlags): Promise<Standings> {
  if (flags.notify === true || flags.serve !== undefined) {
    throw new ZferryError("usage", "--all-hosts goes with neither --notify nor --serve", { hint: "those speak of the jobs of this configuration, of whatever host" });
  }
  const { report } = session;
  const request = gatherRequest(session, names, null);
  const { standings, hostOf, foreign } = await gatherHosts(session, request, flags.check === true || flags.store !== undefined);
  report.json(toDocument(standings, hostOf, foreign));
  report.text(toText(standings, { hostOf, foreign, width: report.columns }));
  return standings;
}

export interface HostStandings {
  readonly standings: Standings;
  /** By the store of a job, as the configuration names it. */
  readonly hostOf: ReadonlyMap<string, string>;
  readonly foreign: readonly Foreign[];
}

/** @param isAsking - reads the manifests of the hosts' stores first, as far as they can be read */
export async function gatherHosts(session: Session, request: GatherRequest, isAsking: boolean): Promise<HostStandings> {
  const { storeUrlOf, isPart, stateDir } = request;
  const hosts = await hostUrls(session, request, isAsking);
  const standings = await gather(request);
  const claimed = await claims(standings, request);
  const states = isPart ? [] : await readStoreStates(stateDir, () => undefined);
  const foreign = states.flatMap((state) => {
    const host = hosts.get(state.url);
    return host === undefined ? [] : unclaimed(knownStore(state, host), claimed.get(state.url) ?? new Set()).map((held): Foreign => ({ host, held }));
  });
  const hostOf = new Map<string, string>();
  for (const { store } of standings.standings) hostOf.set(store, hosts.get(await storeUrlOf(store)) ?? store);
  return { standings, hostOf, foreign };
}

/** The datasets that jobs have stored, by the URL of the store: of their own one, and of its copies. */
async function claims({ standings }: Standings, { config, storeUrlOf }: GatherRequest): Promise<ReadonlyMap<string, ReadonlySet<DatasetName>>> {
  const claimed = new Map<string, Set<DatasetName>>();
  for (const { job, store, dataset } of standings) {
    const { files = null, copies = [] } = config.jobs.get(job) ?? {};
    for (const one of files === null ? [store, ...copies.map((copy) => copy.store)] : []) {
      const url = await storeUrlOf(one);
      if (dataset !== null) claimed.set(url, (claimed.get(url) ?? new Set()).add(dataset));
    }
  }
  return claimed;
}

/** The hosts by the URL of their stores in the state file. Reads their manifests first when they are to be asked. */
async function hostUrls(session: Session, { storeUrlOf, warn }: GatherRequest, isAsking: boolean): Promise<ReadonlyMap<string, string>> {
  const urls = new Map<string, string>();
  for (const { host, settings } of await hostStores(session)) {
    urls.set(await storeUrlOf(settings.url), host);
    if (isAsking) {
      await lookInto(session, settings, (text) => {
        warn(`${host}: ${text}`);
      });
    }
  }
  return urls;
}

/** Reads the manifests of a store, which the state file remembers. One that cannot be read leaves what is remembered of it. */
export async function lookInto(session: Session, settings: StoreSettings, warn: (text: string) => void): Promise<void> {
  const { signal } = session.terminal;
  try {
    await useStoreAt(session, settings, "read", async ({ store }) => {
      const { damaged } = await readCatalog(store, { dataset: null, stateDir: session.settings.stateDir, warn, signal });
      for (const { key, error } of damaged) warn(`"${key}" cannot be used: ${error.message}`);
    });
  } catch (error) {
    signal.throwIfAborted();
    if (!isZferryError(error)) throw error;
    warn(`${error.message}; what is remembered of it is shown`);
  }
}

function toDocument(standings: Standings, hostOf: ReadonlyMap<string, string>, foreign: readonly Foreign[]): Record<string, unknown> {
  return {
    ...statusDocument(standings),
    datasets: standings.standings.map((one) => ({ host: hostOf.get(one.store), ...datasetDocument(one) })),
    elsewhere: foreign.map(({ host, held }) => ({ host, dataset: held.dataset, ...heldDocument(held) })),
  };
}

interface Shown {
  readonly hostOf: ReadonlyMap<string, string>;
  readonly foreign: readonly Foreign[];
  readonly width: number | null;
}

function toText({ at, standings }: Standings, { hostOf, foreign, width }: Shown): Line[] {
  const isLocal = width !== null;
  const rows: Span[][] = [
    ...standings.map((one) => [hostOf.get(one.store) ?? one.store, ...rowOf(one, at, isLocal)]),
    ...foreign.map(({ host, held }) => [host, ...foreignRow(held, at, isLocal)]),
  ];
  if (rows.length === 0) return ["no hosts"];
  rows.sort(([one = ""], [other = ""]) => (textOf(one) === textOf(other) ? 0 : textOf(one) < textOf(other) ? -1 : 1));
  return table([["host", ...heading], ...rows], { width, folding });
}

/** In the columns of a job: when it was stored last is all that is known of its runs. */
function foreignRow({ dataset, newest, verified }: Foreign["held"], at: Date, isLocal: boolean): string[] {
  const cells = new Map([
    ["dataset", dataset],
    ["last success", newest === null ? "never" : `${momentText(newest.committedAt, "minute", isLocal)} (${ageText(at.getTime() - newest.committedAt.getTime())})`],
    ["kind", newest?.kind ?? "-"],
    ["size", newest === null ? "-" : formatSize(newest.messageBytes)],
    ["verified", verified === null ? "never" : `${verified.level} ${momentText(verified.at, "day", isLocal)}${verified.ok ? "" : " BAD"}`],
    ["state", "elsewhere: no job here backs it up"],
  ]);
  return heading.map((column) => cells.get(column) ?? "-");
}
