/**
 * The doctor on a sound store and on stores with one flaw each: the flaw is found by its own probe, nothing else is, and
 * nothing is left behind.
 */
import { expect, it } from "vitest";
import type { ByteSource } from "../src/bytes.ts";
import { type DoctorRequest, examine, type ProbeResult } from "../src/doctor.ts";
import { ZferryError } from "../src/errors.ts";
import { MemoryStore } from "../src/store/memory.ts";
import type { Store, StoredObject } from "../src/store/store.ts";
import { keysIn, never } from "./ferrying.ts";

const KiB = 1024;
const sizes = { chunkBytes: [64 * KiB], partBytes: 16 * KiB };

function examined(store: Store, options: Partial<DoctorRequest> = {}): Promise<ProbeResult[]> {
  const onProbe = (): void => undefined;
  return examine({ store, probePartBytes: 16 * KiB, sizes, now: () => new Date(), onProbe, signal: never, ...options });
}

/** Everything that is not as it should be, as `name outcome`. */
function complaintsOf(results: readonly ProbeResult[]): string[] {
  return results.filter(({ outcome }) => outcome !== "ok").map(({ name, outcome }) => `${name} ${outcome}`);
}

/** A store that is sound but for what `flaw` replaces. */
function flawed(flaw: (sound: MemoryStore) => Partial<Store>): { store: Store; sound: MemoryStore } {
  const sound = new MemoryStore();
  const store: Store = {
    url: sound.url,
    limits: sound.limits,
    put: (key, body, options) => sound.put(key, body, options),
    get: (key, options) => sound.get(key, options),
    head: (key, options) => sound.head(key, options),
    list: (prefix, options) => sound.list(prefix, options),
    delete: (keys, options) => sound.delete(keys, options),
    listUnfinished: () => sound.listUnfinished(),
    removeUnfinished: () => sound.removeUnfinished(),
    close: () => sound.close(),
    ...flaw(sound),
  };
  return { store, sound };
}

function denied(): never {
  throw new ZferryError("store-denied", "injected", { hint: "ask the owner" });
}

async function* changed(source: ByteSource, change: (piece: Uint8Array) => Uint8Array): ByteSource {
  for await (const piece of source) yield change(piece);
}

function flippedFirst(piece: Uint8Array): Uint8Array {
  return Uint8Array.from(piece, (byte, index) => (index === 0 ? byte ^ 1 : byte));
}

async function* reversed(objects: AsyncIterable<StoredObject>): AsyncIterable<StoredObject> {
  const all: StoredObject[] = [];
  for await (const object of objects) all.unshift(object);
  yield* all;
}

async function* withoutLast(objects: AsyncIterable<StoredObject>): AsyncIterable<StoredObject> {
  let last: StoredObject | null = null;
  for await (const object of objects) {
    if (last !== null) yield last;
    last = object;
  }
}

function skewedBy(ms: number): (sound: MemoryStore) => Partial<Store> {
  return (sound) => ({
    head: async (key, options) => {
      const found = await sound.head(key, options);
      return found === null ? null : { ...found, modifiedAt: new Date(found.modifiedAt.getTime() + ms) };
    },
  });
}

it("a sound store is told to be sound, one probe at a time, and is as empty afterwards as before", async () => {
  const store = new MemoryStore();
  const told: ProbeResult[] = [];
  const results = await examined(store, { onProbe: (result) => told.push(result) });
  expect(complaintsOf(results)).toEqual([]);
  expect(told).toEqual(results);
  expect(results.map(({ name }) => name)).toEqual([
    ...["put", "head", "get", "range", "list", "delete", "create-only", "create-race", "conditional-renew"],
    ...["multipart", "unfinished", "limits", "clock", "clean-up"],
  ]);
  expect(results.every(({ consequence }) => consequence === null)).toBe(true);
  expect(await keysIn(store)).toEqual([]);
});

it("what was in the store before stays as it is", async () => {
  const store = new MemoryStore();
  await store.put("doctor/mine", Buffer.from("x"), { when: "create", signal: never });
  await store.put("manifests/a@b.json", Buffer.from("x"), { when: "create", signal: never });
  await examined(store);
  expect(await keysIn(store)).toEqual(["doctor/mine", "manifests/a@b.json"]);
});

type Flaw = readonly [what: string, flaw: (sound: MemoryStore) => Partial<Store>, complaints: readonly string[]];

const flaws: readonly Flaw[] = [
  ["says that nothing is missing", (sound) => ({
    head: async (key, options) => (await sound.head(key, options)) ?? { key, sizeBytes: 1, etag: "x", modifiedAt: new Date() },
  }), ["head failed", "delete finding"]],
  ["refuses to look", () => ({ head: denied }), ["head failed", "delete finding", "clock finding"]],
  ["gives back other bytes", (sound) => ({ get: (key, options) => changed(sound.get(key, options), flippedFirst) }),
    ["get failed", "range failed", "create-only finding", "create-race finding", "conditional-renew finding", "multipart failed"]],
  ["gives the whole object for a range", (sound) => ({ get: (key, { signal }) => sound.get(key, { signal }) }), ["range failed"]],
  ["damages large objects only", (sound) => ({
    get: (key, options) => (key.endsWith("/parts") ? changed(sound.get(key, options), flippedFirst) : sound.get(key, options)),
  }), ["multipart failed"]],
  ["lists late", (sound) => ({ list: (prefix, options) => withoutLast(sound.list(prefix, options)) }), ["list failed"]],
  ["lists out of order", (sound) => ({ list: (prefix, options) => reversed(sound.list(prefix, options)) }), ["list failed"]],
  ["takes creates for replacements", (sound) => ({
    put: (key, body, options) => sound.put(key, body, options.when === "create" ? { ...options, when: "replace" } : options),
  }), ["create-only finding", "create-race finding"]],
  ["looks before it creates, and others do so at the same time", (sound) => ({
    put: async (key, body, options) => {
      if (options.when !== "create") return sound.put(key, body, options);
      if ((await sound.head(key, options)) !== null) throw new ZferryError("object-exists", "injected");
      return sound.put(key, body, { ...options, when: "replace" });
    },
  }), ["create-race finding"]],
  ["replaces whatever version is there", (sound) => ({
    put: (key, body, options) => sound.put(key, body, typeof options.when === "object" ? { ...options, when: "replace" } : options),
  }), ["conditional-renew finding"]],
  ["does not know conditions", (sound) => ({
    put: (key, body, options) => {
      if (options.when === "replace") return sound.put(key, body, options);
      throw new ZferryError("store-failed", "not implemented");
    },
  }), ["create-only finding", "create-race finding", "conditional-renew finding"]],
  ["takes no object in parts", (sound) => ({
    put: (key, body, options) => (body instanceof Uint8Array ? sound.put(key, body, options) : denied()),
  }), ["multipart failed"]],
];

it.for(flaws)("a store that %s is found out", async ([, flaw, complaints]) => {
  const { store, sound } = flawed(flaw);
  const results = await examined(store);
  expect(complaintsOf(results)).toEqual(complaints);
  for (const { outcome, consequence } of results) expect(consequence === null).toBe(outcome === "ok");
  expect(await keysIn(sound)).toEqual([]);
});

it.for([
  ["refuses to delete", denied],
  ["only says that it deletes", () => Promise.resolve()],
] as const)("a store that %s is usable, and what follows and what is left is said", async ([, remove]) => {
  const { store } = flawed(() => ({ delete: remove }));
  const results = await examined(store);
  expect(complaintsOf(results)).toEqual(["delete finding", "clean-up finding"]);
  expect(results.find(({ name }) => name === "delete")?.consequence).toContain("prune will not work");
  expect(results.at(-1)?.consequence).toMatch(/remove what is under "doctor\/[0-9a-f]{16}\/" by hand/);
});

it("a store that does not say what uploads are unfinished is usable, and its objects are removed all the same", async () => {
  const { store, sound } = flawed(() => ({ removeUnfinished: denied }));
  const results = await examined(store);
  expect(complaintsOf(results)).toEqual(["unfinished finding", "clean-up finding"]);
  expect(results.find(({ name }) => name === "unfinished")?.consequence).toContain("set a lifecycle rule");
  expect(await keysIn(sound)).toEqual([]);
});

it("where nothing can be stored nothing else is tried, and the store's own hint is passed on", async () => {
  const { store } = flawed(() => ({ put: denied }));
  const results = await examined(store);
  expect(results[0]).toMatchObject({ name: "put", outcome: "failed", detail: "injected", consequence: "backups cannot be stored here (ask the owner)" });
  expect(results.slice(1, -1).every(({ outcome }) => outcome === "skipped")).toBe(true);
});

it.for([
  ["sizes", { chunkBytes: [64 * KiB], partBytes: KiB }, "use 4 KiB to 8 TiB"],
  ["sizes of one job among others", { chunkBytes: [64 * KiB, 24 * KiB], partBytes: 16 * KiB }, "make the chunk size a multiple"],
] as const)("%s the store does not take are a finding with the sizes it does", async ([, wrong, advice]) => {
  const results = await examined(new MemoryStore(), { sizes: wrong });
  expect(complaintsOf(results)).toEqual(["limits finding"]);
  expect(results.find(({ name }) => name === "limits")?.consequence).toContain(advice);
});

it.for([
  [-62_000, "62 s behind ours", "leases and grace periods"],
  [62_000, "62 s ahead of ours", "leases and grace periods"],
  [-16 * 60_000, "960 s behind ours", "requests signed with this clock are refused"],
  [16 * 60_000, "960 s ahead of ours", "requests signed with this clock are refused"],
] as const)("a store whose clock is off by %i ms is a finding that says by how much", async ([ms, detail, consequence]) => {
  const now = new Date();
  const { store } = flawed(skewedBy(ms + now.getTime() - Date.now()));
  const results = await examined(store);
  expect(complaintsOf(results)).toEqual(["clock finding"]);
  const clock = results.find(({ name }) => name === "clock");
  expect(clock?.detail).toContain(detail);
  expect(clock?.consequence).toContain(consequence);
});

it.for([-50_000, -900, 0, 900, 50_000])("a store whose clock is off by %i ms is sound", async (ms) => {
  expect(complaintsOf(await examined(flawed(skewedBy(ms)).store))).toEqual([]);
});

/** A store that calls `tick` before each verb. */
function ticking(sound: MemoryStore, tick: () => void): Store {
  return new Proxy<Store>(sound, {
    get: (_, name) => {
      const member: unknown = Reflect.get(sound, name, sound);
      if (typeof member !== "function") return member;
      return (...words: unknown[]) => {
        tick();
        return Reflect.apply(member, sound, words) as unknown;
      };
    },
  });
}

it("a run that is stopped at any moment throws the reason and leaves nothing behind", async () => {
  const sound = new MemoryStore();
  let callCount = 0;
  await examined(ticking(sound, () => (callCount += 1)));
  expect(callCount).toBeGreaterThan(50);
  for (let stopAt = 1; stopAt < callCount - 3; stopAt += 5) {
    const stop = new AbortController();
    let count = 0;
    const store = ticking(sound, () => {
      count += 1;
      if (count === stopAt) stop.abort(new Error("enough"));
    });
    await expect(examined(store, { signal: stop.signal })).rejects.toThrow("enough");
    expect(await keysIn(sound)).toEqual([]);
  }
});
