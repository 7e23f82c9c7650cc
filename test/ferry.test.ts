import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { FerrySettings } from "../src/cargo.ts";
import { fetchManifest, openBackup } from "../src/catalog.ts";
import { ZferryError } from "../src/errors.ts";
import { chunkKey, manifestKey, restoreNoteKey } from "../src/format/layout.ts";
import { sealManifest } from "../src/format/manifest.ts";
import { MemoryStore } from "../src/store/memory.ts";
import type { PutOptions, Store } from "../src/store/store.ts";
import type { BeginFacts } from "../src/stream/inspect.ts";
import { faultyStore } from "./faulty-store.ts";
import { ownFolder } from "./folder.ts";
import { begin, end, type Piece, recorded, seal } from "./replay/forge.ts";
import { bobsKeyring, bytesOf, ferrying, fullStream, keysIn, never, smallSettings, someBackup } from "./ferrying.ts";
import { aborted, failureOf, pattern, sliced, watched } from "./stream/sources.ts";

const injected = new ZferryError("store-failed", "injected");
const manifestAt = manifestKey(someBackup);

/** What `zstream dump` printed about a recorded stream. */
function dumpOf(name: string): string {
  return readFileSync(new URL(`../fixtures/streams/${name}.dump.txt`, import.meta.url), "utf8");
}

/** A store whose puts are replaced for some keys. */
function withPut(store: Store, put: (key: string, body: Parameters<Store["put"]>[1], options: PutOptions) => ReturnType<Store["put"]> | null): Store {
  return {
    url: store.url,
    limits: store.limits,
    put: (key, body, options) => put(key, body, options) ?? store.put(key, body, options),
    get: (key, options) => store.get(key, options),
    head: (key, options) => store.head(key, options),
    list: (prefix, options) => store.list(prefix, options),
    delete: (keys, options) => store.delete(keys, options),
    listUnfinished: (prefix, options) => store.listUnfinished(prefix, options),
    removeUnfinished: (prefix, options) => store.removeUnfinished(prefix, options),
    close: () => store.close(),
  };
}

describe("a backup", () => {
  it.for(["ocb", "cfb", "rfc9580", "none"] as const)("with packet %s is stored in chunks, a note and a manifest that fits them", async (packet) => {
    const store = new MemoryStore();
    const recipients: FerrySettings["recipients"] =
      packet === "rfc9580" ? { passphrases: ["a passphrase"], certificates: [] } : smallSettings.recipients;
    const manifest = await ferrying(store, { settings: { packet, recipients } });
    const chunkKeys = manifest.chunks.map((_, index) => chunkKey(someBackup, manifest.attempt, packet, index));
    expect(await keysIn(store)).toEqual([manifestAt, restoreNoteKey(someBackup, manifest.attempt), ...chunkKeys]);
    for (const [index, key] of chunkKeys.entries()) {
      const bytes = await bytesOf(store, key);
      expect(bytes.length).toBe(manifest.chunks[index]?.sizeBytes);
      expect(createHash("sha256").update(bytes).digest("hex")).toBe(manifest.chunks[index]?.sha256);
    }
    expect(manifest).toMatchObject({
      kind: "full",
      base: null,
      stream: { sizeBytes: fullStream.length, kind: "single", flags: null },
      encryption: { packet },
      chunkBytes: 65536,
      markBytes: 16384,
    });
    expect((await fetchManifest(store, someBackup, never)).manifest).toEqual(manifest);
  });

  it("can be opened by its key, and by no store owner's manifest", async () => {
    const store = new MemoryStore();
    await ferrying(store);
    expect(await openBackup(store, someBackup, bobsKeyring, never)).toMatchObject({ isAuthentic: true });
  });

  it("has one object more for every chunk size, the last one short or full, never empty", async () => {
    const { length } = fullStream;
    for (const [streamChunks, chunkBytes] of [[1, 474_112], [2, length / 2], [2, 237_568]] as const) {
      const store = new MemoryStore();
      const manifest = await ferrying(store, {
        settings: { packet: "none", chunkBytes, partBytes: chunkBytes / (chunkBytes % 4096 === 0 ? 4 : 2) },
      });
      expect(manifest.chunks.map(({ sizeBytes }) => sizeBytes)).toHaveLength(streamChunks);
      expect(manifest.chunks.every(({ sizeBytes }) => sizeBytes > 0)).toBe(true);
      expect(manifest.messageBytes).toBe(length);
    }
  });

  it("says of itself what the stream says: an incremental, its base, and the backup that holds it", async () => {
    const store = new MemoryStore();
    const asked: bigint[] = [];
    const manifest = await ferrying(store, {
      stream: recorded("inc-i"),
      cargo: {
        createTxg: 77n,
        flags: ["-L"],
        baseBackup: (guid) => {
          asked.push(guid);
          return someBackup;
        },
      },
    });
    const full = await ferrying(new MemoryStore());
    expect(manifest).toMatchObject({
      kind: "incremental",
      base: { guid: full.snapshot.guid, backup: someBackup },
      snapshot: { createTxg: 77n },
      stream: { flags: ["-L"] },
    });
    expect(asked).toEqual([full.snapshot.guid]);
  });

  it("of a package is known by its last snapshot", async () => {
    const manifest = await ferrying(new MemoryStore(), { stream: recorded("inc-I") });
    expect(manifest.stream.kind).toBe("compound");
    expect(manifest.kind).toBe("incremental");
    const begins = [...dumpOf("inc-I").matchAll(/^\ttoguid = (\w+)$/gm)].map(([, guid = ""]) => BigInt(`0x${guid}`));
    const froms = [...dumpOf("inc-I").matchAll(/^\tfromguid = (\w+)$/gm)].map(([, guid = ""]) => BigInt(`0x${guid}`));
    expect([manifest.snapshot.guid, manifest.base?.guid]).toEqual([begins.at(-1), froms.find((guid) => guid !== 0n)]);
    expect(manifest.snapshot.createdAt.getUTCFullYear()).toBeGreaterThan(2020);
  });

  it("never has the same ciphertext twice", async () => {
    const [one, other] = [await ferrying(new MemoryStore()), await ferrying(new MemoryStore())];
    expect(one.attempt).not.toBe(other.attempt);
    expect(one.chunks[0]?.sha256).not.toBe(other.chunks[0]?.sha256);
    expect(one.encryption.keyCheck).not.toBe(other.encryption.keyCheck);
  });

  it("is counted as it is read and as it is stored, each byte once", async () => {
    const counts = { read: 0, stored: 0 };
    const manifest = await ferrying(new MemoryStore(), {
      onRead: (bytes) => (counts.read += bytes),
      onStored: (bytes) => (counts.stored += bytes),
    });
    expect(counts).toEqual({ read: fullStream.length, stored: manifest.messageBytes });
  });
});

describe("nothing is sent", () => {
  it("when there is no key and the packet needs one", async () => {
    const store = faultyStore(new MemoryStore());
    const watch = watched([fullStream]);
    const cargo = { open: () => watch.source };
    const error = await failureOf(ferrying(store, { cargo, settings: { recipients: { passphrases: [], certificates: [] } } }));
    expect(error).toMatchObject({ code: "key-missing", hint: expect.stringContaining("--passphrase-file") as string });
    expect(store.calls).toEqual([]);
    expect(watch.pulledCount).toBe(0);
  });

  it("of the stream's plain bytes when the one who looks at its beginning refuses it", async () => {
    const store = new MemoryStore();
    const refusal = new ZferryError("backup-conflict", "the name is taken");
    const seen: BeginFacts[] = [];
    const cargo = {
      onBegin: (facts: BeginFacts) => {
        seen.push(facts);
        return Promise.reject(refusal);
      },
    };
    expect(await failureOf(ferrying(store, { cargo }))).toBe(refusal);
    expect(seen).toHaveLength(1);
    expect(await keysIn(store)).toEqual([]);
  });
});

/** A failing run must leave nothing, and warn of nothing. */
async function leavesNothing(store: Store, inner: Store, options: Parameters<typeof ferrying>[1] = {}): Promise<Error> {
  const warnings: string[] = [];
  const error = await failureOf(ferrying(store, { ...options, warnings }));
  expect(await keysIn(inner)).toEqual([]);
  expect(warnings).toEqual([]);
  return error;
}

describe("a put that fails", () => {
  const chunkCount = 8;

  it.for(Array.from({ length: chunkCount + 1 }, (_, index) => index))("before object %i was stored leaves no object and commits nothing", async (index) => {
    const inner = new MemoryStore();
    let count = 0;
    const store = withPut(inner, () => (count++ === index ? Promise.reject(injected) : null));
    expect(await leavesNothing(store, inner)).toBe(injected);
  });

  it.for(Array.from({ length: chunkCount + 1 }, (_, index) => index))("after object %i was stored leaves no object either", async (index) => {
    const inner = new MemoryStore();
    let count = 0;
    const store = withPut(inner, (key, body, options) =>
      count++ === index ? inner.put(key, body, options).then(() => Promise.reject(injected)) : null,
    );
    expect(await leavesNothing(store, inner)).toBe(injected);
  });

  it.for([0, 1, 3])("in the middle of chunk %i, letting go of its body long before it says why, is the failure that is reported", async (index) => {
    const inner = new MemoryStore();
    let count = 0;
    const full = new ZferryError("store-full", "the disk is full");
    const store = withPut(inner, (_key, body) => {
      if (count++ !== index) return null;
      return (async () => {
        const iterator = (body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
        await iterator.next();
        await iterator.return?.();
        for (let turns = 0; turns < 20; turns++) await turn(); // removing its draft, aborting its upload
        throw full;
      })();
    });
    expect(await leavesNothing(store, inner)).toBe(full);
  });

  it("never makes the source wait for ever, even when the source is stuck", async () => {
    const inner = new MemoryStore();
    const store = withPut(inner, async (_key, body) => {
      await (body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]().next();
      throw injected;
    });
    const cargo = { open: (signal: AbortSignal) => watched(sliced(fullStream, 70_000).slice(0, 2), { stuckUntil: signal }).source };
    expect(await leavesNothing(store, inner, { cargo })).toBe(injected);
  });

  it("of the note leaves nothing", async () => {
    const inner = new MemoryStore();
    const store = withPut(inner, (key) => (key.endsWith("RESTORE.md") ? Promise.reject(injected) : null));
    expect(await leavesNothing(store, inner)).toBe(injected);
  });

  it("and a clean-up that fails too are told as the failure and a warning", async () => {
    const inner = new MemoryStore();
    const store = faultyStore(inner);
    store.fail("put", { error: injected, when: "after" });
    store.fail("delete", { error: new Error("no leave to delete"), when: "before" });
    const warnings: string[] = [];
    expect(await failureOf(ferrying(store, { warnings }))).toBe(injected);
    store.assertAllFired();
    expect(warnings).toEqual([expect.stringMatching(/^could not remove the unfinished objects under "streams\/.*": no leave to delete$/)]);
  });
});

describe("a source that fails", () => {
  const failure = new ZferryError("zfs-failed", "zfs send ended with exit status 1");
  const { length } = fullStream;

  it.for([0, 1, 311, 312, 65_536, 131_072, Math.floor(length / 2), length - 312, length - 1, length])(
    "behind byte %i leaves nothing, and its own error is the one reported",
    async (at) => {
      const store = new MemoryStore();
      const watch = watched(sliced(fullStream.subarray(0, at), 10_007), { failure });
      expect(await leavesNothing(store, store, { cargo: { open: () => watch.source } })).toBe(failure);
    },
  );

  it.for([0, 1, 311, 312, 65_536, length - 312, length - 1])("by simply ending behind byte %i is found, and leaves nothing", async (at) => {
    const store = new MemoryStore();
    const error = await leavesNothing(store, store, { stream: fullStream.subarray(0, at) });
    expect(error).toMatchObject({ code: "stream-invalid" });
  });

  it("at once, when it is opened, leaves nothing", async () => {
    const store = new MemoryStore();
    const open = (): never => {
      throw failure;
    };
    expect(await leavesNothing(store, store, { cargo: { open } })).toBe(failure);
  });

  it("with bytes behind its end, or one bit other, leaves nothing", async () => {
    const store = new MemoryStore();
    const flipped = Uint8Array.from(fullStream);
    flipped[200_000] = (flipped[200_000] ?? 0) ^ 1;
    for (const stream of [Buffer.concat([fullStream, Buffer.of(0)]), flipped, pattern(1000)]) {
      expect(await leavesNothing(store, store, { stream })).toMatchObject({ code: "stream-invalid" });
    }
  });

  it("to be the snapshot that was expected leaves nothing", async () => {
    const store = new MemoryStore();
    const { snapshot } = await ferrying(new MemoryStore());
    const wrong = [{ toGuid: (snapshot.guid + 1n) as typeof snapshot.guid }, { fromGuid: snapshot.guid }];
    for (const expected of wrong) {
      expect(await leavesNothing(store, store, { cargo: { expect: expected } })).toMatchObject({ code: "stream-invalid" });
    }
  });
});

describe("an abort", () => {
  const reason = new ZferryError("interrupted", "stopped by SIGINT");

  it("before the start leaves nothing and reads nothing", async () => {
    const store = new MemoryStore();
    const watch = watched([fullStream]);
    expect(await leavesNothing(store, store, { signal: AbortSignal.abort(reason), cargo: { open: () => watch.source } })).toBe(reason);
  });

  it("at any of 60 points of the run ends it promptly and leaves no object", async () => {
    let points = 0;
    await ferrying(new MemoryStore(), { onRead: () => (points += 1), onStored: () => (points += 1) });
    for (let at = 1; at <= points; at++) {
      const store = new MemoryStore();
      const stop = new AbortController();
      let seen = 0;
      const count = (): void => {
        if (++seen === at) stop.abort(reason);
      };
      expect(await leavesNothing(store, store, { signal: stop.signal, onRead: count, onStored: count })).toBe(reason);
      expect(seen).toBeLessThanOrEqual(at + 2);
    }
    expect(points).toBeGreaterThan(50);
  });

  it("after any number of turns of the loop leaves no object, or a whole backup when it came too late", async () => {
    let committedCount = 0;
    for (let turns = 0; turns < 80; turns += 3) {
      const store = new MemoryStore();
      const stop = new AbortController();
      const run = ferrying(store, { signal: stop.signal, settings: { packet: "none" } }).then(() => "stored", (error: unknown) => error);
      for (let count = 0; count < turns; count++) await turn();
      stop.abort(reason);
      if ((await run) === "stored") {
        committedCount += 1;
        expect(await keysIn(store)).toContain(manifestAt);
      } else {
        expect(await run).toBe(reason);
        expect(await keysIn(store)).toEqual([]);
      }
    }
    expect(committedCount).toBeLessThan(27);
  });

  it("between the last object and the commit leaves nothing", async () => {
    const inner = new MemoryStore();
    const stop = new AbortController();
    const store = withPut(inner, async (key, body, options) => {
      const stored = await inner.put(key, body, options);
      if (key.endsWith("RESTORE.md")) stop.abort(reason);
      return stored;
    });
    expect(await leavesNothing(store, inner, { signal: stop.signal })).toBe(reason);
  });

  it("while a put and the source both wait for nothing else ends both", async () => {
    const inner = new MemoryStore();
    const stop = new AbortController();
    const store = withPut(inner, (_key, _body, { signal }) => aborted(signal));
    const cargo = { open: (signal: AbortSignal) => watched([fullStream.subarray(0, 1000)], { stuckUntil: signal }).source };
    const run = leavesNothing(store, inner, { signal: stop.signal, cargo });
    await turn();
    stop.abort(reason);
    expect(await run).toBe(reason);
  });
});

describe("a run whose lease is lost", () => {
  it.for([
    ["ran out stays to be gone on with while nobody else has begun", true],
    ["another has by now is given up, and leaves no object", false],
  ] as const)("that %s", async ([, isStillAlone]) => {
    const [store, stateDir, stop] = [new MemoryStore(), ownFolder(), new AbortController()];
    const reason = new ZferryError("locked", "the lease is lost");
    const onStored = (): void => {
      stop.abort(reason);
    };
    const cargo = { isStillAlone: () => Promise.resolve(isStillAlone) };
    expect(await failureOf(ferrying(store, { stateDir, signal: stop.signal, onStored, cargo }))).toBe(reason);
    expect((await keysIn(store)).length > 0).toBe(isStillAlone);
  });
});

describe("the commit", () => {
  it("that the store refuses, because another backup has the name, removes this one's objects and no other's", async () => {
    const store = new MemoryStore();
    const first = await ferrying(store);
    const before = await keysIn(store);
    const warnings: string[] = [];
    expect(await failureOf(ferrying(store, { warnings }))).toMatchObject({
      code: "backup-conflict",
      message: 'another backup "tank/src@s1" was committed during this run',
    });
    expect(await keysIn(store)).toEqual(before);
    expect((await fetchManifest(store, someBackup, never)).manifest.attempt).toBe(first.attempt);
    expect(warnings).toEqual([]);
  });

  it("whose answer was lost keeps the chunks: the manifest may be there", async () => {
    const inner = new MemoryStore();
    const lost = withPut(inner, (key, body, options) =>
      key === manifestAt ? inner.put(key, body, options).then(() => Promise.reject(injected)) : null,
    );
    expect(await failureOf(ferrying(lost))).toBe(injected);
    const { manifest } = await fetchManifest(inner, someBackup, never);
    expect(await keysIn(inner)).toHaveLength(manifest.chunks.length + 2);
  });

  it("that failed, nobody knows how, keeps the chunks as well", async () => {
    const inner = new MemoryStore();
    const lost = withPut(inner, (key) => (key === manifestAt ? Promise.reject(injected) : null));
    expect(await failureOf(ferrying(lost))).toBe(injected);
    expect((await keysIn(inner)).length).toBeGreaterThan(1);
  });

  it("that is refused because this very manifest is there already has happened, and keeps everything", async () => {
    const inner = new MemoryStore();
    const exists = new ZferryError("object-exists", "is there already");
    const twice = withPut(inner, (key, body, options) =>
      key === manifestAt ? inner.put(key, body, options).then(() => Promise.reject(exists)) : null,
    );
    const manifest = await ferrying(twice);
    expect(await keysIn(inner)).toHaveLength(manifest.chunks.length + 2);
  });

  it("that is refused when nobody can see by what keeps the chunks", async () => {
    const inner = new MemoryStore();
    await ferrying(inner);
    const before = await keysIn(inner);
    const store = faultyStore(inner);
    store.fail("head", { error: injected, when: "before" });
    expect(await failureOf(ferrying(store))).toBe(injected);
    store.assertAllFired();
    expect((await keysIn(inner)).length).toBeGreaterThan(before.length);
  });

  it("of what could not be read back is not tried, and leaves nothing", async () => {
    const record = begin({ seconds: 1n << 42n });
    const pieces: Piece[] = [record, end()];
    const store = new MemoryStore();
    expect(await leavesNothing(store, store, { stream: seal(pieces), settings: { packet: "none" } })).toMatchObject({
      code: "bug",
      message: expect.stringContaining('member "snapshot.createdAt"') as string,
    });
  });

  it("writes exactly the bytes that were sealed", async () => {
    const store = new MemoryStore();
    const manifest = await ferrying(store, { settings: { packet: "none", recipients: { passphrases: [], certificates: [] } } });
    expect((await bytesOf(store, manifestAt)).toString()).toBe(sealManifest(manifest, null).toString());
  });
});
