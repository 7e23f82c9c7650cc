import { beforeAll, describe, expect, it } from "vitest";
import { openBackup, type OpenedBackup } from "../src/catalog.ts";
import { ZferryError } from "../src/errors.ts";
import { type FallOver, Sources } from "../src/fall-over.ts";
import { chunkKey, type PacketName } from "../src/format/layout.ts";
import type { Manifest } from "../src/format/manifest.ts";
import { chunkPieces, retrieve, type RetrieveOptions } from "../src/retrieve.ts";
import { MemoryStore } from "../src/store/memory.ts";
import type { Store } from "../src/store/store.ts";
import { parseSnapshotName, type SnapshotName } from "../src/zfs/names.ts";
import { type FaultyStore, faultyStore } from "./faulty-store.ts";
import { bobsKeyring, bytesOf, ferrying, fullStream, keysIn, never, someBackup } from "./ferrying.ts";
import { recorded } from "./replay/forge.ts";
import { drain } from "./stream/sources.ts";

/** What is never released of a stream that is not known to be whole; an END record has 312 bytes. */
const withheld = 64 * 1024;

interface Stored {
  readonly store: MemoryStore;
  readonly opened: OpenedBackup;
}

async function stored(packet: PacketName = "ocb", stream = fullStream, backup: SnapshotName = someBackup): Promise<Stored> {
  const store = new MemoryStore();
  await ferrying(store, { stream, settings: { packet }, cargo: { backup } });
  return { store, opened: await openBackup(store, backup, bobsKeyring, never) };
}

/** The same objects in a store of one's own, to be damaged. */
async function copyOf(store: Store): Promise<MemoryStore> {
  const copy = new MemoryStore();
  for (const key of await keysIn(store)) await copy.put(key, await bytesOf(store, key), { when: "create", signal: never });
  return copy;
}

function read(store: Store, opened: OpenedBackup, options: Partial<RetrieveOptions> = {}): ReturnType<typeof drain> {
  return drain(retrieve(store, opened, { concurrency: 3, onFetched: () => undefined, signal: never, ...options }));
}

function keyAt({ backup, attempt, encryption }: Manifest, index: number): string {
  return chunkKey(backup, attempt, encryption.packet, index);
}

describe("a backup read back", () => {
  it.for(["ocb", "cfb", "none"] as const)("with packet %s is the stream it was made of", async (packet) => {
    const { store, opened } = await stored(packet);
    const { bytes, error } = await read(store, opened);
    expect(error).toBeNull();
    expect(bytes.equals(fullStream)).toBe(true);
  });

  it.for(["inc-i", "empty-inc", "inc-I", "repl-R", "raw-w", "zvol", "zfs-fuse/full"])("of the stream %s is that stream", async (name) => {
    const stream = recorded(name);
    const { store, opened } = await stored("ocb", stream);
    const { bytes, error } = await read(store, opened);
    expect(error).toBeNull();
    expect(bytes.equals(stream)).toBe(true);
  });

  it.for([1, 2, 7, 100])("is the same with %i ranges fetched at a time, each byte of the message once", async (concurrency) => {
    const { store, opened } = await stored();
    const spy = faultyStore(store);
    let fetchedBytes = 0;
    const { bytes } = await read(spy, opened, { concurrency, onFetched: (count) => (fetchedBytes += count) });
    expect(bytes.equals(fullStream)).toBe(true);
    expect(fetchedBytes).toBe(opened.manifest.messageBytes);
    const { chunks, markBytes } = opened.manifest;
    const rangeCount = chunks.reduce((sum, { sizeBytes }) => sum + Math.ceil(sizeBytes / markBytes), 0);
    expect(spy.calls).toEqual(Array.from({ length: rangeCount }, () => "get"));
  });

  it("may be some of its chunks", async () => {
    const { store, opened } = await stored();
    const options = { concurrency: 2, onFetched: (): undefined => undefined, signal: never };
    const { bytes } = await drain(chunkPieces(store, opened.manifest, [2, 0], options));
    const [two, zero] = [await bytesOf(store, keyAt(opened.manifest, 2)), await bytesOf(store, keyAt(opened.manifest, 0))];
    expect(bytes.equals(Buffer.concat([two, zero]))).toBe(true);
  });
});

interface Damage {
  readonly what: string;
  /** New content of chunk `index`; null removes it. */
  readonly change: (chunks: readonly Buffer[], index: number, foreign: Buffer) => Buffer | null;
  readonly why: RegExp;
}

const damages: readonly Damage[] = [
  { what: "missing", change: () => null, why: /: it is missing$/ },
  { what: "empty", change: () => Buffer.alloc(0), why: /: it has 0 bytes and should have \d+$/ },
  { what: "cut short by one byte", change: (chunks, at) => (chunks[at] ?? Buffer.alloc(0)).subarray(0, -1), why: /: it has \d+ bytes and should have \d+$/ },
  { what: "cut in half", change: (chunks, at) => half(chunks[at]), why: /: it has \d+ bytes and should have \d+$/ },
  {
    what: "longer by one byte",
    change: (chunks, at) => Buffer.concat([chunks[at] ?? Buffer.alloc(0), Buffer.of(0)]),
    why: /: it has \d+ bytes and should have \d+$/,
  },
  { what: "flipped in its first bit", change: (chunks, at) => flipped(chunks[at], 0), why: /: bytes 0 to \d+ are not what was stored$/ },
  { what: "flipped in a bit of its second piece", change: (chunks, at) => flipped(chunks[at], 16_390), why: /: bytes 16384 to \d+ are not/ },
  { what: "flipped in its last bit", change: (chunks, at) => flipped(chunks[at], -1), why: /: bytes \d+ to \d+ are not what was stored$/ },
  { what: "zeros of the same length", change: (chunks, at) => Buffer.alloc(chunks[at]?.length ?? 0), why: /: bytes 0 to \d+ are not/ },
  { what: "that of another backup", change: (chunks, at, foreign) => foreign.subarray(0, chunks[at]?.length), why: /: bytes 0 to \d+ are not/ },
];

function half(chunk: Buffer = Buffer.alloc(0)): Buffer {
  return chunk.subarray(0, chunk.length / 2);
}

function flipped(chunk: Buffer | undefined, at: number): Buffer {
  const copy = Buffer.from(chunk ?? []);
  const place = at < 0 ? copy.length + at : at;
  copy[place] = (copy[place] ?? 0) ^ 1;
  return copy;
}

describe.for(["ocb", "cfb", "none"] as const)("with packet %s, a chunk that is", (packet) => {
  let whole: Stored;
  let chunks: Buffer[];
  let foreign: Buffer;

  beforeAll(async () => {
    whole = await stored(packet);
    const { manifest } = whole.opened;
    chunks = await Promise.all(manifest.chunks.map((_, index) => bytesOf(whole.store, keyAt(manifest, index))));
    const other = await stored(packet, recorded("resume-full"), parseSnapshotName("tank/res@s1"));
    foreign = await bytesOf(other.store, keyAt(other.opened.manifest, 1));
  });

  /** Reads the backup with one object changed; nothing of what was changed, and no END record, may come out. */
  async function reading(changes: readonly (readonly [index: number, bytes: Buffer | null])[]): ReturnType<typeof drain> {
    const { manifest } = whole.opened;
    const store = await copyOf(whole.store);
    for (const [index, bytes] of changes) {
      const key = keyAt(manifest, index);
      if (bytes === null) await store.delete([key], { signal: never });
      else await store.put(key, bytes, { when: "replace", signal: never });
    }
    const outcome = await read(store, whole.opened);
    expect(outcome.bytes.length).toBeLessThanOrEqual(fullStream.length - withheld);
    expect(outcome.bytes.equals(fullStream.subarray(0, outcome.bytes.length))).toBe(true);
    const first = Math.min(...changes.map(([index]) => index));
    expect(outcome.bytes.length).toBeLessThanOrEqual((first + 1) * manifest.chunkBytes);
    return outcome;
  }

  it.for(damages)("$what is refused by its number and its key", async ({ change, why }) => {
    const { manifest } = whole.opened;
    for (const index of [0, 3, manifest.chunks.length - 1]) {
      if ((chunks[index]?.length ?? 0) <= 20_000 && why.source.includes("16384")) continue;
      const { error } = await reading([[index, change(chunks, index, foreign)]]);
      expect(error).toMatchObject({ code: "chunk-invalid", message: expect.stringMatching(why) as string });
      const place = `chunk ${index} of ${manifest.chunks.length} of "tank/src@s1" ("${keyAt(manifest, index)}"): `;
      expect((error as Error).message.startsWith(place)).toBe(true);
      expect(error).toMatchObject({ hint: expect.stringContaining("second copy") as string });
    }
  });

  it("in another one's place is refused, both ways", async () => {
    const { error } = await reading([
      [1, chunks[2] ?? null],
      [2, chunks[1] ?? null],
    ]);
    expect(error).toMatchObject({ code: "chunk-invalid", message: expect.stringMatching(/^chunk 1 of /) as string });
  });

  it("flipped in any piece gives nothing of that piece away", async () => {
    const { manifest } = whole.opened;
    for (const [index, { sizeBytes }] of manifest.chunks.entries()) {
      for (let piece = 0; piece * manifest.markBytes < sizeBytes; piece += 3) {
        const { bytes, error } = await reading([[index, flipped(chunks[index], Math.min(piece * manifest.markBytes + 5, sizeBytes - 1))]]);
        expect(error).toMatchObject({ code: "chunk-invalid" });
        expect(bytes.length).toBeLessThanOrEqual(index * manifest.chunkBytes + piece * manifest.markBytes);
      }
    }
  });
});

describe("a store that", () => {
  const failed = new ZferryError("store-failed", "injected");

  it.for(["before", 0, 100, "after"] as const)("fails, %s bytes of a range have come, is a failing store and not a damaged chunk", async (when) => {
    const { store, opened } = await stored();
    const faulty = faultyStore(store);
    faulty.fail("get", { error: failed, when });
    const { bytes, error } = await read(faulty, opened);
    expect(error).toBe(failed);
    expect(bytes.length).toBe(0);
    faulty.assertAllFired();
  });

  it.for([
    ["too little", (bytes: Buffer) => bytes.subarray(0, -1)],
    ["nothing", () => Buffer.alloc(0)],
    ["too much", (bytes: Buffer) => Buffer.concat([bytes, Buffer.of(0)])],
  ] as const)("sends %s and says it is all is found out", async ([, change]) => {
    const { store, opened } = await stored();
    const lying: Store = {
      ...faultyStore(store),
      get: async function* (key, options) {
        const { bytes } = await drain(store.get(key, options));
        yield change(bytes);
      },
    };
    const { bytes, error } = await read(lying, opened);
    expect(error).toMatchObject({ code: "chunk-invalid", message: expect.stringMatching(/: the store sent \d+ bytes of 16384$/) as string });
    expect(bytes.length).toBe(0);
  });
});

describe("a manifest that does not fit its chunks", () => {
  it("in the guid of the snapshot is refused before anything is released", async () => {
    const { store, opened } = await stored();
    const { manifest } = opened;
    const snapshot = { ...manifest.snapshot, guid: (manifest.snapshot.guid + 1n) as typeof manifest.snapshot.guid };
    const { bytes, error } = await read(store, { ...opened, manifest: { ...manifest, snapshot } });
    expect(error).toMatchObject({ code: "stream-invalid" });
    expect(bytes.length).toBe(0);
  });

  it("in its base is refused before anything is released", async () => {
    const { store, opened } = await stored();
    const { manifest } = opened;
    const base = { guid: manifest.snapshot.guid, backup: null };
    const { bytes, error } = await read(store, { ...opened, manifest: { ...manifest, kind: "incremental", base } });
    expect(error).toMatchObject({ code: "stream-invalid" });
    expect(bytes.length).toBe(0);
  });

  it("in the number of its chunks never releases the end", async () => {
    for (const packet of ["ocb", "cfb", "none"] as const) {
      const { store, opened } = await stored(packet);
      const { manifest } = opened;
      const shorter = { ...manifest, chunks: manifest.chunks.slice(0, -1) };
      const { bytes, error } = await read(store, { ...opened, manifest: shorter });
      expect(error).toMatchObject({ code: packet === "none" ? "stream-invalid" : "message-invalid" });
      expect(bytes.length).toBeLessThan(fullStream.length - 312);
    }
  });

  it("in the order of its chunks never releases the end", async () => {
    const { store, opened } = await stored("none");
    const { manifest } = opened;
    const chunks = [...manifest.chunks, ...manifest.chunks.slice(0, 1)];
    const { error, bytes } = await read(store, { ...opened, manifest: { ...manifest, chunks } });
    expect(error).not.toBeNull();
    expect(bytes.length).toBeLessThanOrEqual(fullStream.length - withheld);
  });

  it("in the session key never releases anything", async () => {
    const { store, opened } = await stored();
    const { error, bytes } = await read(store, { ...opened, sessionKey: Buffer.alloc(32, 7) });
    expect(error).toMatchObject({ code: expect.stringMatching(/^(message-invalid|key-wrong)$/) as string });
    expect(bytes.length).toBe(0);
  });
});

describe("a reader", () => {
  it("that is stopped ends with the reason, at whatever point, and keeps the end back", async () => {
    const { store, opened } = await stored();
    const reason = new ZferryError("terminated", "stopped by SIGTERM");
    for (let at = 1; at <= 30; at += 4) {
      const stop = new AbortController();
      let fetchedCount = 0;
      const onFetched = (): void => {
        if (++fetchedCount === at) stop.abort(reason);
      };
      const { bytes, error } = await read(store, opened, { signal: stop.signal, onFetched });
      if (fetchedCount < at) continue;
      expect(error).toBe(reason);
      expect(bytes.length).toBeLessThanOrEqual(fullStream.length - withheld);
    }
  });

  it("that has had enough leaves no request running", async () => {
    const { store, opened } = await stored();
    let openCount = 0;
    const counting: Store = {
      ...faultyStore(store),
      get: async function* (key, options) {
        openCount += 1;
        try {
          yield* store.get(key, options);
        } finally {
          openCount -= 1;
        }
      },
    };
    const stream = retrieve(counting, opened, { concurrency: 5, onFetched: () => undefined, signal: never });
    await stream.next();
    await stream.return(undefined);
    expect(openCount).toBe(0);
  });
});

describe("of two stores", () => {
  interface Two {
    readonly opened: OpenedBackup;
    readonly first: FaultyStore;
    readonly second: FaultyStore;
    readonly fallOvers: FallOver[];
    readonly sources: Sources;
  }

  async function two(packet: PacketName = "ocb"): Promise<Two> {
    const { store, opened } = await stored(packet);
    const [first, second] = [faultyStore(store), faultyStore(await copyOf(store))];
    const fallOvers: FallOver[] = [];
    return { opened, first, second, fallOvers, sources: new Sources([first, second], (one) => fallOvers.push(one)) };
  }

  const down = new ZferryError("store-failed", "injected; given up after 3 tries in 30 s");

  it.for(["ocb", "cfb", "none"] as const)("with packet %s, the second is asked for nothing while the first is whole", async (packet) => {
    const { opened, second, fallOvers, sources } = await two(packet);
    const { bytes, error } = await readFrom(sources, opened);
    expect(error).toBeNull();
    expect(bytes.equals(fullStream)).toBe(true);
    expect([second.calls, fallOvers]).toEqual([[], []]);
  });

  it.for(["before", 0, 100, "after"] as const)("one that fails, %s bytes of a range have come, is left alone from there on", async (when) => {
    const { opened, first, second, fallOvers, sources } = await two();
    first.fail("get", { error: down, when }, 100);
    const { bytes, error } = await readFrom(sources, opened);
    expect(error).toBeNull();
    expect(bytes.equals(fullStream)).toBe(true);
    expect(fallOvers).toMatchObject([{ chunk: null, key: null, store: first.url, next: second.url, code: "store-failed" }]);
    expect(first.calls.filter((verb) => verb === "get").length).toBeLessThanOrEqual(2); // those that were under way
  });

  it("one that could not be asked is asked again before all is given up", async () => {
    const { opened, first, second, sources } = await two();
    first.fail("get", { error: down, when: "before" }, 2);
    const { manifest } = opened;
    await second.delete([keyAt(manifest, 4)], { signal: never });
    const { bytes, error } = await readFrom(sources, opened);
    expect(error).toBeNull();
    expect(bytes.equals(fullStream)).toBe(true);
  });

  it("what is bad in one and cannot be read from the other is the store's failure, and names both", async () => {
    const { opened, first, second, sources } = await two();
    await first.delete([keyAt(opened.manifest, 3)], { signal: never });
    second.fail("get", { error: down, when: "before" }, 100);
    const { bytes, error } = await readFrom(sources, opened);
    expect(error).toMatchObject({ code: "store-failed", message: expect.stringMatching(/in ".*": chunk 3 of 8 .*: it is missing; in ".*": injected; given up/) as string });
    expect(bytes.length).toBeLessThanOrEqual(3 * opened.manifest.chunkBytes);
  });

  it("a chunk that is bad in one is asked of it no more, and told once", async () => {
    const { opened, first, fallOvers, sources } = await two();
    await first.put(keyAt(opened.manifest, 1), Buffer.alloc(64 * 1024), { when: "replace", signal: never });
    first.calls.length = 0;
    const { bytes } = await readFrom(sources, opened);
    expect(bytes.equals(fullStream)).toBe(true);
    expect(fallOvers).toMatchObject([{ chunk: 1, key: keyAt(opened.manifest, 1), code: "chunk-invalid" }]);
    const rangeCount = opened.manifest.chunks.reduce((sum, { sizeBytes }) => sum + Math.ceil(sizeBytes / opened.manifest.markBytes), 0);
    expect(first.calls.length).toBeLessThan(rangeCount);
  });

  it("a stream that is wrong in the manifest's own words is not looked for elsewhere", async () => {
    const { opened, second, sources } = await two();
    const { bytes, error } = await readFrom(sources, { ...opened, sessionKey: Buffer.alloc(32, 7) });
    expect(error).toMatchObject({ code: expect.stringMatching(/^(message-invalid|key-wrong)$/) as string });
    expect([bytes.length, second.calls]).toEqual([0, []]);
  });

  it("a reader that is stopped ends with the reason, and nothing is told of stores", async () => {
    const { opened, fallOvers, sources } = await two();
    const reason = new ZferryError("terminated", "stopped by SIGTERM");
    for (let at = 1; at <= 30; at += 7) {
      const stop = new AbortController();
      let fetchedCount = 0;
      const onFetched = (): void => {
        if (++fetchedCount === at) stop.abort(reason);
      };
      expect((await readFrom(sources, opened, { signal: stop.signal, onFetched })).error).toBe(reason);
    }
    expect(fallOvers).toEqual([]);
  });

  function readFrom(sources: Sources, opened: OpenedBackup, options: Partial<RetrieveOptions> = {}): ReturnType<typeof drain> {
    return drain(retrieve(sources, opened, { concurrency: 3, onFetched: () => undefined, signal: never, ...options }));
  }
});
