/** Moments of a backup that the command line cannot be brought to: stopped right behind its commit, two in one second. */
import { env } from "node:process";
import { expect, it } from "vitest";
import { backup } from "../src/backup.ts";
import { readCatalog } from "../src/catalog.ts";
import { ZferryError } from "../src/errors.ts";
import type { Tell } from "../src/events.ts";
import { readStoreState } from "../src/state.ts";
import { MemoryStore } from "../src/store/memory.ts";
import type { BackupOutcome, BackupRequest } from "../src/voyage.ts";
import { zfsThrough } from "../src/zfs/command.ts";
import { parseDatasetName } from "../src/zfs/names.ts";
import { nightly, type Pool } from "./cli/pool.ts";
import { faultyStore } from "./faulty-store.ts";
import { keysIn, never, smallSettings } from "./ferrying.ts";
import { ownFolder } from "./folder.ts";
import { fakeProgram } from "./zfs/fake.ts";

const nothing = (): void => undefined;

/** One night. What it warns of fails the test. */
function night(pool: Pool, request: Partial<BackupRequest>): Promise<BackupOutcome> {
  const warn = (text: string): void => {
    throw new Error(`an unexpected warning: ${text}`);
  };
  return backup({
    zfs: zfsThrough([fakeProgram], { ...env, ...pool.env }),
    store: new MemoryStore(),
    dataset: parseDatasetName("tank/src"),
    snapshot: null,
    snapshotPrefix: "zferry-",
    policy: { ask: "auto", fullEveryMs: null, fullWhenIncrementalExceeds: null },
    settings: smallSettings,
    stateDir: ownFolder(),
    leaseMs: null,
    isOwnSnapshot: false,
    isAbandoning: false,
    isDryRun: false,
    now: () => new Date(),
    progress: { onRead: nothing, onStored: nothing, onPlan: nothing, onEstimate: nothing, warn },
    signal: never,
    ...request,
  });
}

it("a run that is stopped right behind its commit secures its anchor all the same, and says nothing of it", async () => {
  const [pool, stop, store] = [nightly(), new AbortController(), new MemoryStore()];
  const put = store.put.bind(store);
  store.put = async (key, body, options) => {
    const stored = await put(key, body, options);
    if (key.startsWith("manifests/")) stop.abort(new ZferryError("terminated", "stopped by SIGTERM"));
    return stored;
  };
  const { manifest } = await night(pool, { store, signal: stop.signal });
  expect(manifest?.kind).toBe("full");
  expect(pool.holds("tank/src")).toEqual([expect.stringContaining("zferry:anchor:")]);
  expect(Object.keys(pool.dataset("tank/src").bookmarks)).toHaveLength(1);
});

/** Stops a night by this signal when so many chunks were stored. @returns the keys of the objects it leaves, and how it was told to have ended */
async function stoppedNight(pool: Pool, { code, afterChunks, ...request }: { code: "interrupted" | "terminated"; afterChunks: number; store: MemoryStore; stateDir: string }): Promise<string[]> {
  const [stop, { store }] = [new AbortController(), request];
  const tell: Tell = ({ event }) => {
    if (event === "chunk-stored" && (afterChunks -= 1) === 0) stop.abort(new ZferryError(code, "stopped"));
  };
  const progress = { onRead: nothing, onStored: nothing, onPlan: nothing, onEstimate: nothing, warn: nothing, tell };
  if (afterChunks === 0) stop.abort(new ZferryError(code, "stopped"));
  await expect(night(pool, { ...request, progress, signal: stop.signal })).rejects.toMatchObject({ code });
  return keysIn(store);
}

it("a run that ends because the machine goes down (SIGTERM) leaves what it has stored to the next one, which goes on with it", async () => {
  const [pool, store, stateDir] = [nightly(), new MemoryStore(), ownFolder()];
  const left = await stoppedNight(pool, { code: "terminated", afterChunks: 3, store, stateDir });
  expect(left.filter((key) => /\.\d{6}$/.test(key)).length).toBeGreaterThanOrEqual(3);
  expect(pool.holds("tank/src")).toHaveLength(1);
  const again: string[] = [];
  const tell: Tell = (event) => {
    if (event.event === "chunk-stored" && event.sent) again.push(String(event.chunk));
  };
  const { manifest } = await night(pool, { store, stateDir, progress: { onRead: nothing, onStored: nothing, onPlan: nothing, onEstimate: nothing, warn: nothing, tell } });
  expect(again).not.toEqual(expect.arrayContaining(["0", "1", "2"]));
  expect(manifest?.chunks).toHaveLength(8);
  expect(pool.calls("snapshot")).toHaveLength(1);
});

it.for([["interrupted", 3], ["terminated", 0]] as const)("a run that is %s after %i chunks leaves nothing", async ([code, afterChunks]) => {
  const [pool, store, stateDir] = [nightly(), new MemoryStore(), ownFolder()];
  expect(await stoppedNight(pool, { code, afterChunks, store, stateDir })).toEqual([]);
  expect(Object.keys(pool.dataset("tank/src").snapshots)).toEqual([]);
});

it("a run remembers the manifest it has written, so that nobody has to read it to know of the backup", async () => {
  const [pool, stateDir, store] = [nightly(), ownFolder(), faultyStore(new MemoryStore())];
  const { manifest } = await night(pool, { store, stateDir });
  const { manifests } = await readStoreState(stateDir, store.url, (setAside) => expect.fail(setAside));
  expect(Object.values(manifests).map(({ entry }) => entry.backup)).toEqual([manifest?.backup]);
  store.calls.length = 0;
  await readCatalog(store, { dataset: null, stateDir, warn: (text) => expect.fail(text), signal: never });
  expect(store.calls).toEqual(["list"]);
});

it("a run that finds its name taken, because another job took a snapshot in this second, takes one in the next", async () => {
  const pool = nightly();
  pool.change(({ datasets }) => {
    Object.assign(datasets, { "tank/src": { snapshots: { "zferry-20261121T074200Z": { guid: "7", ours: true, holds: [] } } } });
  });
  const now = (): Date => new Date(pool.calls("snapshot").length === 0 ? "2026-11-21T07:42:00.990Z" : "2026-11-21T07:42:01.000Z");
  const { manifest } = await night(pool, { now });
  expect(manifest?.backup).toBe("tank/src@zferry-20261121T074201Z");
  expect(Object.keys(pool.dataset("tank/src").snapshots)).toHaveLength(2);
});
