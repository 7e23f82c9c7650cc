/** What becomes of copies as parts of a run: what is busy, what failed, and whom a store that fails concerns. */
import { beforeEach, describe, expect, it } from "vitest";
import { readCopies } from "../../src/copy-history.ts";
import { ZferryError } from "../../src/errors.ts";
import { type CopyEnd, CopyPlaces, type CopyWorld, runCopy } from "../../src/job/copies.ts";
import { leaseKey } from "../../src/store/lease-object.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { faultyStore } from "../faulty-store.ts";
import { bobsKeyring, ferrying, never } from "../ferrying.ts";
import { ownFolder } from "../folder.ts";
import { jobOf } from "../status/standings.ts";

const dataset = parseDatasetName("tank/src");
const copy = { store: "away", keep: null };
const job = jobOf("dataset: tank/src");

let main: Store;
let away: Store;
let stateDir: string;

function called(url: string): Store {
  return Object.assign(faultyStore(new MemoryStore()), { url });
}

beforeEach(async () => {
  [main, away, stateDir] = [called("memory:main"), called("memory:away"), ownFolder()];
  await ferrying(main);
});

function worldOf(some: Partial<CopyWorld> = {}): CopyWorld {
  return {
    stateDir,
    isDryRun: false,
    teller: { tell: () => Promise.resolve(), end: () => Promise.resolve() },
    info: () => undefined,
    warn: () => undefined,
    tell: () => undefined,
    now: () => new Date("2026-11-21T12:00:00Z"),
    signal: never,
    openCopy: () => Promise.resolve({ store: away, leaseMs: 60_000, close: () => Promise.resolve() }),
    keyring: () => Promise.resolve(bobsKeyring),
    allowUnauthenticated: false,
    concurrency: 2,
    copyProgressOf: () => ({ onCopied: () => undefined, end: () => undefined }),
    isNoted: true,
    copied: () => undefined,
    ...some,
  };
}

function run(world = worldOf(), places = new CopyPlaces(world), from = main): Promise<CopyEnd> {
  return runCopy({ job, dataset, copy, from }, places, world);
}

describe("a copy whose lease another host has taken over", () => {
  it("has failed, and is not taken for one that has left the work to another", async () => {
    const inner = away;
    away = {
      ...inner,
      put: async (key, body, options) => {
        const stored = await inner.put(key, body, options);
        if (!key.endsWith(".000000")) return stored;
        await inner.delete([leaseKey(dataset)], { signal: never });
        await inner.put(leaseKey(dataset), Buffer.from("another's"), { when: "create", signal: never });
        return stored;
      },
    };
    const end = await run();
    expect(end.error).toMatchObject({ code: "locked" });
    expect(end.isBusy).toBe(false);
    expect(await readCopies(stateDir, (text) => expect.fail(text))).toMatchObject([{ outcome: "failed", error: { code: "locked" } }]);
  });
});

describe("a source that fails", () => {
  it("fails the copies of what it holds, and none that is made of another store", async () => {
    const world = worldOf();
    const places = new CopyPlaces(world);
    const dead: Store = { ...called("memory:dead"), list: () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new ZferryError("store-failed", "dead")) }) }) };
    expect((await run(world, places, dead)).error).toMatchObject({ message: "dead" });
    expect(await run(world, places)).toMatchObject({ error: null, outcome: { backups: [{ fate: "copied" }] } });
  });
});
