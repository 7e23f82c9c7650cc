import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MiB } from "../src/bytes.ts";
import { type Catalog, type CatalogOptions, fetchManifest, openBackup, readCatalog } from "../src/catalog.ts";
import { rememberWritten } from "../src/catalog-cache.ts";
import { ZferryError } from "../src/errors.ts";
import { manifestKey } from "../src/format/layout.ts";
import type { Keyring } from "../src/openpgp/session.ts";
import { MemoryStore } from "../src/store/memory.ts";
import { forgetManifests, type KnownManifest, readStoreState, updateStoreState } from "../src/state.ts";
import type { Store, StoredObject } from "../src/store/store.ts";
import { parseDatasetName, parseSnapshotName, type SnapshotName } from "../src/zfs/names.ts";
import { faultyStore } from "./faulty-store.ts";
import { ownFolder } from "./folder.ts";
import * as golden from "./format/sealing.ts";
import { failureOf } from "./stream/sources.ts";

const { signal } = new AbortController();

async function write(store: Store, key: string, bytes: Uint8Array): Promise<void> {
  await store.put(key, bytes, { when: "replace", signal });
}

/** A manifest of that backup, sealed, in its place; `createdAt` orders them. */
async function commit(store: Store, name: string, createdAt = "2026-11-21T02:00:00.000Z"): Promise<SnapshotName> {
  const backup = parseSnapshotName(name);
  const members = golden.goldenMembers();
  const snapshot = { ...(members.snapshot as object), createdAt };
  await write(store, manifestKey(backup), golden.sealMembers({ ...members, backup, snapshot }));
  return backup;
}

interface Reading extends Catalog {
  readonly warnings: readonly string[];
}

async function read(store: Store, options: Partial<CatalogOptions> = {}): Promise<Reading> {
  const warnings: string[] = [];
  const warn = (text: string): void => void warnings.push(text);
  const catalog = await readCatalog(store, { dataset: null, stateDir: null, warn, signal, ...options });
  return { ...catalog, warnings };
}

function namesIn({ backups }: Catalog): string[] {
  return backups.map(({ backup }) => backup);
}

const storeFailed = new ZferryError("store-failed", "injected");

describe("a catalog", () => {
  it("of an empty store is empty", async () => {
    expect(await read(new MemoryStore())).toMatchObject({ backups: [], damaged: [], warnings: [] });
  });

  it("has every backup, in the order of their snapshots", async () => {
    const store = new MemoryStore();
    await commit(store, "tank/a@third", "2026-03-01T00:00:00Z");
    await commit(store, "tank/b@first", "2026-01-01T00:00:00Z");
    await commit(store, "tank@second", "2026-02-01T00:00:00Z");
    expect(namesIn(await read(store))).toEqual(["tank/b@first", "tank@second", "tank/a@third"]);
  });

  it("of many backups has all of them", async () => {
    const store = new MemoryStore();
    const names = Array.from({ length: 40 }, (_, index) => `tank/home@s${String(index).padStart(2, "0")}`);
    for (const name of [...names].reverse()) await commit(store, name);
    expect(namesIn(await read(store))).toEqual(names);
  });

  it("of one dataset has no other's, and asks for no other's", async () => {
    const store = new MemoryStore();
    for (const name of ["tank/home@a", "tank/home@b", "tank/home2@a", "tank/home/child@a", "tank@home"]) await commit(store, name);
    const spy = faultyStore(store);
    expect(namesIn(await read(spy, { dataset: parseDatasetName("tank/home") }))).toEqual(["tank/home@a", "tank/home@b"]);
    expect(spy.calls).toEqual(["list", "get", "get"]);
  });

  it("reads no chunk", async () => {
    const store = new MemoryStore();
    await commit(store, "tank/home@a");
    await write(store, "streams/tank/home@a/5d0c9f3a/home@a.zfs.gpg.000000", new Uint8Array(9));
    expect(namesIn(await read(store))).toEqual(["tank/home@a"]);
  });
});

describe("manifests that are read", () => {
  /** How many are read at once at most, of `count` whose text is at least `textBytes` long. */
  async function readsAtOnce(count: number, textBytes: number): Promise<number> {
    const store = new MemoryStore();
    for (let index = 0; index < count; index += 1) {
      const backup = parseSnapshotName(`tank/home@s${index}`);
      const { stream, ...members } = golden.goldenMembers();
      const padded = { ...(stream as object), flags: ["x".repeat(textBytes)] };
      await write(store, manifestKey(backup), golden.sealMembers({ ...members, stream: padded, backup }));
    }
    let [open, most] = [0, 0];
    const counting: Store = {
      ...faultyStore(store),
      async *get(key, options) {
        open += 1;
        most = Math.max(most, open);
        await new Promise(setImmediate); // all that may begin has begun
        yield* store.get(key, options);
        open -= 1;
      },
    };
    expect((await read(counting)).backups).toHaveLength(count);
    return most;
  }

  it("are read many at a time, and those of huge backups one by one", async () => {
    expect(await readsAtOnce(40, 0)).toBe(32);
    expect(await readsAtOnce(4, MiB)).toBe(1);
  });

  it("are refused above a MiB when the store lists them as smaller, so that no 32 of them are held at once", async () => {
    const store = new MemoryStore();
    await commit(store, "tank/home@good");
    await write(store, manifestKey(parseSnapshotName("tank/home@liar")), Buffer.alloc(3 * MiB));
    let yielded = 0;
    const lying: Store = {
      ...faultyStore(store),
      async *list(prefix, options) {
        for await (const object of store.list(prefix, options)) yield { ...object, sizeBytes: 100 };
      },
      async *get(key, options) {
        for await (const piece of store.get(key, options)) {
          for (let offset = 0; offset < piece.length; offset += 65_536) {
            yielded += 65_536;
            yield piece.subarray(offset, offset + 65_536);
          }
        }
      },
    };
    const { backups, damaged } = await read(lying);
    expect(backups).toMatchObject([{ backup: "tank/home@good" }]);
    expect(damaged).toMatchObject([{ error: { code: "manifest-invalid", message: expect.stringContaining("longer than") as string } }]);
    expect(yielded).toBeLessThan(2 * MiB);
  });

  it("are not gone on with when ten thousand are of no use: a listing without end ends there", async () => {
    const endless: Store = {
      ...faultyStore(new MemoryStore()),
      async *list() {
        for (let index = 0; ; index += 1) {
          yield await Promise.resolve({ key: `manifests/${index}`, sizeBytes: 1, etag: "e", modifiedAt: new Date() });
        }
      },
    };
    expect(await failureOf(read(endless))).toMatchObject({ code: "manifest-invalid" });
  });

  it("can be damaged and huge, and stop no other", async () => {
    const store = new MemoryStore();
    await write(store, manifestKey(parseSnapshotName("tank/home@a")), new Uint8Array(2 * MiB));
    await write(store, manifestKey(parseSnapshotName("tank/home@b")), new Uint8Array(2 * MiB));
    await commit(store, "tank/home@c");
    expect(await read(store)).toMatchObject({ backups: [{ backup: "tank/home@c" }], damaged: [{}, {}] });
  });
});

describe("a manifest that cannot be used", () => {
  it("hides no other, and is told with its key and its reason", async () => {
    const store = new MemoryStore();
    await commit(store, "tank/home@good");
    for (const name of golden.brokenNames()) {
      await write(store, manifestKey(parseSnapshotName(`tank/home@${name}`)), golden.broken(name));
    }
    await write(store, "manifests/not-a-backup.json", golden.goldenKeyed);
    await write(store, "manifests/tank/home@renamed.json", golden.goldenKeyed);
    const { backups, damaged } = await read(store);
    expect(backups.map(({ backup }) => backup)).toEqual(["tank/home@good"]);
    expect(damaged).toHaveLength(golden.brokenNames().length + 2);
    const codeOf = (key: string): string | undefined => damaged.find((entry) => entry.key === key)?.error.code;
    expect(codeOf("manifests/tank/home@newer.json.json")).toBe("format-too-new");
    expect(codeOf("manifests/tank/home@bit-flip.json.json")).toBe("manifest-invalid");
    expect(codeOf("manifests/tank/home@renamed.json")).toBe("manifest-invalid");
    expect(codeOf("manifests/not-a-backup.json")).toBe("manifest-invalid");
    expect(damaged.every(({ key, error }) => error.message.includes(`"${key}"`))).toBe(true);
  });

  it("is read again every time, until it is mended", async () => {
    const [store, stateDir] = [new MemoryStore(), ownFolder()];
    await write(store, manifestKey(golden.goldenBackup), golden.broken("bit-flip.json"));
    expect((await read(store, { stateDir })).damaged).toHaveLength(1);
    expect((await read(store, { stateDir })).damaged).toHaveLength(1);
    await write(store, manifestKey(golden.goldenBackup), golden.goldenKeyed);
    expect(await read(store, { stateDir })).toMatchObject({ damaged: [], backups: [{ backup: "tank/home@golden" }] });
  });
});

describe("a store that cannot be read", () => {
  it.for([
    ["list", "before"],
    ["list", 0],
    ["list", 1],
    ["list", "after"],
    ["get", "before"],
    ["get", 0],
    ["get", 100],
    ["get", "after"],
  ] as const)("is an error and never an empty catalog: %s fails, %s", async ([verb, when]) => {
    const [store, stateDir] = [new MemoryStore(), ownFolder()];
    for (const name of ["tank/home@a", "tank/home@b"]) await commit(store, name);
    await read(store, { stateDir });
    await commit(store, "tank/home@c");
    const known = readFileSync(join(stateDir, "state.json"), "utf8");
    const faulty = faultyStore(store);
    faulty.fail(verb, { error: storeFailed, when });
    expect(await failureOf(read(faulty, { stateDir }))).toBe(storeFailed);
    faulty.assertAllFired();
    expect(readFileSync(join(stateDir, "state.json"), "utf8")).toBe(known);
  });

  it("stops at an abort", async () => {
    const reason = new ZferryError("interrupted", "stopped by SIGINT");
    const store = new MemoryStore();
    await commit(store, "tank/home@a");
    expect(await failureOf(read(store, { signal: AbortSignal.abort(reason) }))).toBe(reason);
  });
});

describe("what was read before", () => {
  it("is not read again: an unchanged catalog costs one listing", async () => {
    const [store, stateDir] = [new MemoryStore(), ownFolder()];
    for (const name of ["tank/home@a", "tank/home@b", "tank/work@a"]) await commit(store, name);
    const spy = faultyStore(store);
    const first = await read(spy, { stateDir });
    expect(spy.calls).toEqual(["list", "get", "get", "get"]);
    spy.calls.length = 0;
    expect((await read(spy, { stateDir })).backups).toEqual(first.backups);
    expect(spy.calls).toEqual(["list"]);
  });

  it.for([
    ["another version", () => ({ etag: "other" })],
    ["another size", () => ({ sizeBytes: 1 })],
    ["no size, as it was remembered once", () => ({ sizeBytes: undefined })],
    ["no SHA-256, as it was remembered once", ({ entry }) => ({ entry: { ...entry, sha256: null } })],
    ["nothing of an import, as it was remembered once", ({ entry }) => ({ entry: { ...entry, isImported: undefined } })],
  ] as const satisfies readonly (readonly [string, (known: KnownManifest) => Partial<KnownManifest>])[])("is not believed of %s than the listing shows", async ([, change]) => {
    const [store, stateDir] = [new MemoryStore(), ownFolder()];
    const key = manifestKey(await commit(store, "tank/home@a"));
    const { backups } = await read(store, { stateDir });
    await updateStoreState(stateDir, store.url, ({ manifests }) => {
      const known = manifests[key];
      if (known !== undefined) Object.assign(known, change(known));
    });
    const spy = faultyStore(store);
    expect((await read(spy, { stateDir })).backups).toEqual(backups);
    expect((await read(spy, { stateDir })).backups).toEqual(backups);
    expect(spy.calls).toEqual(["list", "get", "list"]);
  });

  it("is read again when it has changed", async () => {
    const [store, stateDir] = [new MemoryStore(), ownFolder()];
    await commit(store, "tank/home@a");
    await commit(store, "tank/home@b");
    await read(store, { stateDir });
    await commit(store, "tank/home@a", "2030-01-01T00:00:00Z");
    const spy = faultyStore(store);
    const { backups } = await read(spy, { stateDir });
    expect(spy.calls).toEqual(["list", "get"]);
    expect(backups.map(({ createdAt }) => createdAt.getUTCFullYear())).toEqual([2026, 2030]);
  });

  it("is forgotten when its manifest is gone", async () => {
    const [store, stateDir] = [new MemoryStore(), ownFolder()];
    for (const name of ["tank/home@a", "tank/home@b", "tank/work@a"]) await commit(store, name);
    await read(store, { stateDir });
    await store.delete([manifestKey(parseSnapshotName("tank/home@a"))], { signal });
    expect(namesIn(await read(store, { stateDir, dataset: parseDatasetName("tank/home") }))).toEqual(["tank/home@b"]);
    const { remembered } = await read(store, { stateDir });
    expect(Object.keys(remembered.manifests).sort()).toEqual(["manifests/tank/home@b.json", "manifests/tank/work@a.json"]);
  });

  /** A reading of a store with backup `a`, known, and `b`, new, between whose listing and end another run does something. @returns names remembered and lost, then and after the next reading */
  async function readWhile(another: (store: MemoryStore, stateDir: string) => Promise<void>): Promise<unknown> {
    const [store, stateDir] = [new MemoryStore(), ownFolder()];
    await commit(store, "tank/home@a");
    await read(store, { stateDir });
    await commit(store, "tank/home@b");
    const list = async function* (): AsyncGenerator<StoredObject, void> {
      const listed: StoredObject[] = [];
      for await (const object of store.list("", { signal })) listed.push(object);
      await another(store, stateDir);
      yield* listed;
    };
    await read({ ...faultyStore(store), list }, { stateDir });
    const namesOf = async (): Promise<unknown> => {
      const { manifests, lost = {} } = await readStoreState(stateDir, store.url, (text) => expect.fail(text));
      return [manifests, lost].map((known) => Object.values(known).map(({ entry }) => entry.backup).sort());
    };
    const then = await namesOf();
    await read(store, { stateDir });
    return [then, await namesOf()];
  }

  it("and what another run of this host commits meanwhile are both remembered", async () => {
    const commitNew = async (store: MemoryStore, stateDir: string): Promise<void> => {
      const key = manifestKey(await commit(store, "tank/home@c"));
      const known = (await read(store)).manifests.get(key);
      if (known !== undefined) await rememberWritten(store, { stateDir, warn: (text) => expect.fail(text) }, known);
    };
    const all = [["tank/home@a", "tank/home@b", "tank/home@c"], []];
    expect(await readWhile(commitNew)).toEqual([all, all]);
  });

  it("is not brought back when another run of this host prunes it meanwhile, and so not missed later", async () => {
    const prune = async (store: MemoryStore, stateDir: string): Promise<void> => {
      const key = manifestKey(parseSnapshotName("tank/home@a"));
      await updateStoreState(stateDir, store.url, (state) => {
        forgetManifests(state, new Set([key]));
      });
      await store.delete([key], { signal });
    };
    const left = [["tank/home@b"], []];
    expect(await readWhile(prune)).toEqual([left, left]);
  });

  it("of another store is another's", async () => {
    const stateDir = ownFolder();
    const [one, other] = [new MemoryStore(), { ...faultyStore(new MemoryStore()), url: "file:///other" }];
    await commit(one, "tank/home@a");
    await read(one, { stateDir });
    expect(namesIn(await read(other, { stateDir }))).toEqual([]);
    expect(namesIn(await read(one, { stateDir }))).toEqual(["tank/home@a"]);
  });

  it("is not needed: without a folder everything is read, and nothing written", async () => {
    const store = new MemoryStore();
    await commit(store, "tank/home@a");
    const spy = faultyStore(store);
    await read(spy);
    await read(spy);
    expect(spy.calls).toEqual(["list", "get", "list", "get"]);
  });

  it("is found again from the store when the state file is garbage, with a warning", async () => {
    const [store, stateDir] = [new MemoryStore(), ownFolder()];
    await commit(store, "tank/home@a");
    writeFileSync(join(stateDir, "state.json"), "garbage");
    const { warnings, backups } = await read(store, { stateDir });
    expect(backups).toHaveLength(1);
    expect(warnings).toEqual([expect.stringMatching(/^the state file could not be read; it was set aside as ".*unreadable-\d+" and is rebuilt/)]);
    expect((await read(store, { stateDir })).warnings).toEqual([]);
  });

  it("need not be remembered: a folder that cannot be written is a warning", async () => {
    const [store, folder] = [new MemoryStore(), ownFolder()];
    await commit(store, "tank/home@a");
    const stateDir = join(folder, "link");
    symlinkSync(join(folder, "no", "where"), stateDir);
    const { warnings, backups } = await read(store, { stateDir });
    expect(backups).toHaveLength(1);
    expect(warnings).toEqual([expect.stringMatching(/^cannot lock the state file/)]);
  });
});

describe("fetching a manifest", () => {
  it("says that there is no such backup when there is none", async () => {
    expect(await failureOf(fetchManifest(new MemoryStore(), golden.goldenBackup, signal))).toMatchObject({
      code: "backup-not-found",
      message: 'there is no backup "tank/home@golden" in "memory:"',
    });
  });

  it("does not say so when the store failed", async () => {
    const faulty = faultyStore(new MemoryStore());
    faulty.fail("get", { error: storeFailed, when: "before" });
    expect(await failureOf(fetchManifest(faulty, golden.goldenBackup, signal))).toBe(storeFailed);
  });
});

const alone: Keyring = { passphrases: [], privateKeys: [] };
const right: Keyring = { passphrases: [golden.goldenPassphrase], privateKeys: [] };

async function opening(bytes: Buffer, keyring: Keyring, backup = golden.goldenBackup): ReturnType<typeof openBackup> {
  const store = new MemoryStore();
  await write(store, manifestKey(backup), bytes);
  return openBackup(store, backup, keyring, signal);
}

describe("opening a backup", () => {
  it("gives its session key when the passphrase is right", async () => {
    const { sessionKey, isAuthentic, manifest } = await opening(golden.goldenKeyed, right);
    expect(sessionKey).toEqual(golden.goldenSessionKey);
    expect(isAuthentic).toBe(true);
    expect(manifest.backup).toBe("tank/home@golden");
  });

  it("tells a wrong passphrase, a missing one and damage apart", async () => {
    const wrong: Keyring = { passphrases: ["wrong", "also wrong"], privateKeys: [] };
    expect(await failureOf(opening(golden.goldenKeyed, wrong))).toMatchObject({ code: "key-wrong" });
    expect(await failureOf(opening(golden.goldenKeyed, alone))).toMatchObject({ code: "key-missing" });
    expect(await failureOf(opening(golden.broken("bit-flip.json"), right))).toMatchObject({ code: "manifest-invalid" });
  });

  it("finds a change by someone without the key", async () => {
    const forged = golden.sealMembers(golden.withMember("stream.recordCount", 43), { key: Buffer.alloc(32) });
    expect(await failureOf(opening(forged, right))).toMatchObject({
      code: "manifest-invalid",
      message: expect.stringContaining("changed by someone without the key") as string,
    });
  });

  it("refuses an encrypted backup whose seal was taken away", async () => {
    const stripped = golden.sealMembers(golden.goldenMembers(), { key: null });
    expect(await failureOf(opening(stripped, right))).toMatchObject({
      code: "manifest-invalid",
      message: 'the manifest of "tank/home@golden" is encrypted and yet sealed without a key',
    });
  });

  it("refuses one that is sealed with a key nobody can open", async () => {
    const members = golden.withMember("encryption", { packet: "none", sessionKeyPackets: null, keyCheck: null });
    expect(await failureOf(opening(golden.sealMembers(members), right))).toMatchObject({ code: "manifest-invalid" });
  });

  it("says when nobody vouches for it", async () => {
    const { sessionKey, isAuthentic } = await opening(golden.goldenUnkeyed, alone, parseSnapshotName("tank/home@golden-2"));
    expect(sessionKey).toBeNull();
    expect(isAuthentic).toBe(false);
  });
});
