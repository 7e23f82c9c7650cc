/**
 * State folders as a host has them after so many nights, for reports: read back by the program's own `gather` and
 * `evidenceOf`. Nothing is drawn by lot: the same call makes the same page.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseConfig } from "../../src/config/config.ts";
import { jobsOfStreams } from "../../src/config/jobs.ts";
import { type Evidence, evidenceOf } from "../../src/report/evidence.ts";
import { storeIdOf } from "../../src/state.ts";
import { gather } from "../../src/status/gather.ts";
import { ownFolder } from "../folder.ts";

export const now = new Date("2026-11-21T12:00:00Z");
const dayMs = 24 * 60 * 60 * 1000;
const GiB = 2 ** 30;

export interface MadeUp {
  readonly dataset: string;
  readonly job?: string;
  /** Nights until last night, each with its backup; every thirtieth is a full. */
  readonly nightCount: number;
  /** Nights ago, whose backup verify has found something in. */
  readonly damaged?: readonly number[];
  /** Nights ago, whose run failed and left no backup. */
  readonly failed?: readonly number[];
  /** What such a run says. */
  readonly message?: string;
  readonly store?: string;
  readonly hasHooks?: boolean;
}

const bucket = "s3://backups/host?endpoint=https://account.r2.cloudflarestorage.com";

function ago(nights: number): Date {
  return new Date(now.getTime() - nights * dayMs - 10 * 60 * 60 * 1000);
}

/** Files of a state folder. */
function filesOf({ dataset, job = "home", nightCount, damaged = [], failed = [], message = "no space left", store = bucket, hasHooks = true }: MadeUp, index: number): { manifests: object; verified: object; runs: string[] } {
  const manifests: Record<string, unknown> = {};
  const verified: Record<string, unknown> = {};
  const runs: string[] = [];
  let base: { guid: string; backup: string } | null = null;
  for (let night = 0; night < nightCount; night += 1) {
    const left = nightCount - 1 - night;
    const [at, isFull] = [ago(left), night % 30 === 0];
    const backup = `${dataset}@zferry-${at.toISOString().replaceAll(/[-:]|\.\d+/g, "")}`;
    const guid = String(10_000_000 * (index + 1) + night + 1);
    const bytes = isFull ? Math.round((400 + night / 10) * GiB) : Math.round(((night % 30) * 0.7 + (night % 7) * 0.11) * GiB) + 1000;
    const seconds = Math.round(bytes / (isFull ? 96e6 : 60e6 + (night % 11) * 4e6)) + 20;
    const isFailed = failed.includes(left);
    const run = { job, dataset, storeUrl: store, startedAt: at, endedAt: new Date(at.getTime() + seconds * 1000), kind: isFull ? "full" : "incremental", downtimeMs: hasHooks ? 1200 + (night % 13) * 300 : null };
    if (isFailed) {
      runs.push(JSON.stringify({ ...run, outcome: "failed", backup: null, streamBytes: null, storedBytes: null, error: { code: "store-full", message, hint: null } }));
      continue;
    }
    runs.push(JSON.stringify({ ...run, outcome: "stored", backup, streamBytes: bytes, storedBytes: bytes + 4096, error: null }));
    const entry = { backup, kind: run.kind, attempt: "00000000", guid, createdAt: at, base: isFull ? null : base, streamKind: "single", streamBytes: bytes, messageBytes: bytes + 4096, chunkCount: Math.ceil(bytes / GiB), packet: "ocb", flags: [], featureFlags: "0x4", committedAt: run.endedAt, sha256: null };
    const key = `manifests/${backup}.json`;
    manifests[key] = { etag: "e", sizeBytes: 5000, entry };
    if (damaged.includes(left)) verified[key] = { digest: { etag: "e", at: ago(0), findingCount: 2, findings: ["chunk 3"] } };
    else if (left % 50 === 3) verified[key] = { stream: { etag: "e", at: ago(1), findingCount: 0, findings: [] } };
    if (isFull) base = { guid, backup };
  }
  return { manifests, verified, runs };
}

export interface Scene {
  readonly stateDir: string;
  readonly config: string;
}

/** A state folder, and the configuration that goes with it; every dataset a job of its own. */
export function sceneOf(all: readonly MadeUp[]): Scene {
  const stateDir = ownFolder();
  const stores = new Map<string, { url: string; anchors: object; manifests: object; verified: object }>();
  mkdirSync(join(stateDir, "history"));
  for (const [index, one] of all.entries()) {
    const { manifests, verified, runs } = filesOf(one, index);
    const url = one.store ?? bucket;
    const before = stores.get(url) ?? { url, anchors: {}, manifests: {}, verified: {} };
    stores.set(url, { ...before, manifests: { ...before.manifests, ...manifests }, verified: { ...before.verified, ...verified } });
    writeFileSync(join(stateDir, "history", `${index}.jsonl`), runs.map((run) => `${run}\n`).join(""));
  }
  writeFileSync(join(stateDir, "state.json"), JSON.stringify({ version: 1, stores: Object.fromEntries([...stores.values()].map((store) => [storeIdOf(store.url), store])) }));
  const names = [...new Set([bucket, ...stores.keys()])];
  const nameOf = (url: string): string => (url === bucket ? "offsite" : `store${names.indexOf(url)}`);
  const jobs = all.map(({ dataset, job = "home", store = bucket }) => `  ${job}: {dataset: ${JSON.stringify(dataset)}, store: ${nameOf(store)}, every: 1d}\n`);
  const config = `stores:\n${names.map((url) => `  ${nameOf(url)}: {url: ${JSON.stringify(url)}}\n`).join("")}jobs:${jobs.length === 0 ? " {}" : ""}\n${jobs.join("")}`;
  return { stateDir, config };
}

/** As the command makes it. */
export async function evidence(all: readonly MadeUp[], notes: readonly string[] = []): Promise<Evidence> {
  const { stateDir, config: text } = sceneOf(all);
  const config = parseConfig(text, "x");
  const storeUrlOf = (store: string): Promise<string> => Promise.resolve(config.stores.get(store)?.url ?? store);
  const standings = await gather({ config, isPart: false, allJobs: jobsOfStreams(config.jobs.values()), stateDir, storeUrlOf, warn: () => undefined, now: () => now });
  return evidenceOf({ standings, stateDir, hostOf: () => null, foreign: [], providerOf: () => "r2", notes });
}
