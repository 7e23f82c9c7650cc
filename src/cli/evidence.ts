/** What a page of `report`, or of `status --serve`, is made of. */
import { jobsOfStreams } from "../config/jobs.ts";
import { type Evidence, evidenceOf } from "../report/evidence.ts";
import { gather, type GatherRequest } from "../status/gather.ts";
import { gatherRequest, providerOfStore } from "./gathering.ts";
import type { Session } from "./session.ts";
import { impatient, storeSettings } from "./settings.ts";

export interface EvidenceFlags {
  readonly check?: boolean;
  readonly allHosts?: boolean;
  readonly store?: string;
}

/**
 * How everything stands, and the backups and runs behind it; `--check` and `--all-hosts` as with `status`, but for a store
 * that cannot be asked, which is a note.
 */
export async function gatherEvidence(session: Session, names: readonly string[], flags: EvidenceFlags): Promise<Evidence> {
  const { report, settings } = session;
  const notes: string[] = [];
  const warn = (text: string): void => {
    notes.push(text);
    report.warn(text);
  };
  const common = { stateDir: settings.stateDir, providerOf: (store: string) => providerOfStore(session, store), notes };
  const isAsking = flags.check === true;
  if (flags.allHosts === true) {
    const { gatherHosts } = await import("./status-hosts.ts");
    const { standings, hostOf, foreign } = await gatherHosts(session, { ...gatherRequest(session, names, null), warn }, isAsking || flags.store !== undefined);
    return evidenceOf({ ...common, standings, foreign, hostOf: (store) => hostOf.get(store) ?? null });
  }
  const request = { ...gatherRequest(session, names, flags.store ?? null), warn };
  if (isAsking) await askStores(session, request);
  return evidenceOf({ ...common, standings: await gather(request), foreign: [], hostOf: () => null });
}

async function askStores(session: Session, { config, warn }: GatherRequest): Promise<void> {
  const { lookInto } = await import("./status-hosts.ts");
  const stores = new Set(jobsOfStreams(config.jobs.values()).map(({ store }) => store));
  for (const store of stores) {
    await lookInto(session, impatient(session.flags, storeSettings(session.flags, session.settings.config, store)), (text) => {
      warn(`${store}: ${text}`);
    });
  }
}
