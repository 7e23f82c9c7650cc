/**
 * Goal: whatever a store's owner puts into it, a reader ends with a value or a documented error, holds little memory,
 * and writes nothing outside the folder it was given. Method: mutations of valid objects, members that lie and are
 * sealed all the same, and keys that would lead elsewhere.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { fetchManifest, readCatalog } from "../../src/catalog.ts";
import { download } from "../../src/download.ts";
import { findChunkFiles } from "../../src/foreign.ts";
import { backupOfManifestKey, chunkKey, manifestKey, restoreNoteKey } from "../../src/format/layout.ts";
import { parseManifest } from "../../src/format/manifest.ts";
import { restoreNote } from "../../src/format/restore-note.ts";
import { openDirectory } from "../../src/store/directory.ts";
import { pathOf } from "../../src/store/directory-files.ts";
import { withKeyLock } from "../../src/store/directory-unfinished.ts";
import { findLease, leaseBody, leaseKey } from "../../src/store/lease-object.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import type { Store, StoredObject } from "../../src/store/store.ts";
import { parseStoreUrl } from "../../src/store/url.ts";
import { datasetOf, parseDatasetName } from "../../src/zfs/names.ts";
import { filesUnder } from "../cli/zferry.ts";
import { bytesOf, ferrying, never, someBackup } from "../ferrying.ts";
import { ownFolder } from "../folder.ts";
import { goldenBackup, goldenKeyed, goldenMembers, goldenUnkeyed, sealMembers, withMember } from "../format/sealing.ts";
import { documented, growthOf, hostile, roomBytes } from "./bytes.ts";

const signal = never;

describe("a manifest", () => {
  it("in any hostile form is what was sealed, or manifest-invalid, or of a newer format", async () => {
    const property = fc.asyncProperty(hostile(goldenKeyed, goldenUnkeyed), async (bytes) => {
      const outcome = await documented(() => parseManifest(bytes, "m", goldenBackup));
      if ("code" in outcome) expect(["manifest-invalid", "format-too-new"]).toContain(outcome.code);
    });
    await fc.assert(property, { numRuns: 300 });
  });

  const members = Object.keys(goldenMembers()).flatMap((name) => {
    const value = goldenMembers()[name];
    const inner = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.keys(value).map((key) => `${name}.${key}`) : [];
    return [name, ...inner];
  });
  const value = fc.oneof(
    fc.constantFrom<unknown>(0, -1, 0.5, 1e308, 2 ** 53, "", "\u0000", "../../x@y", "x".repeat(5000), [], {}, null, true, "18446744073709551616"),
    fc.jsonValue(),
  );

  it("that is sealed and has anything at all for a member is read or refused as manifest-invalid", async () => {
    const property = fc.asyncProperty(fc.constantFrom(...members), value, async (path, lie) => {
      const bytes = sealMembers(withMember(path, lie), { key: null });
      const outcome = await documented(() => parseManifest(bytes, "m", goldenBackup));
      if ("code" in outcome) expect(["manifest-invalid", "format-too-new"]).toContain(outcome.code);
      else restoreNote(outcome.value.manifest); // which must be able to take whatever is let through
    });
    await fc.assert(property, { numRuns: 300 });
  });

  it.for([2 ** 33, 2 ** 45, 2 ** 53 - 1])("with one chunk and one mark of %i bytes makes no reader take that much memory", async (sizeBytes) => {
    const store = new MemoryStore();
    await ferrying(store, { settings: { packet: "none", recipients: { passphrases: [], certificates: [] } } });
    const text = (await bytesOf(store, manifestKey(someBackup))).toString();
    const all = JSON.parse(text) as Record<string, unknown>;
    delete all.seal;
    const chunks = [{ sizeBytes, sha256: "0".repeat(64), marks: [] }];
    const lie = sealMembers({ ...all, chunks, chunkBytes: sizeBytes, markBytes: sizeBytes, messageBytes: sizeBytes }, { key: null });
    await store.put(manifestKey(someBackup), lie, { when: "replace", signal });
    let outcome: unknown = null;
    const growth = await growthOf(async () => {
      outcome = await documented(() => downloaded(store, new MemoryStore()));
    });
    expect(outcome).toEqual({ code: expect.stringMatching(/^(manifest|chunk)-invalid$/) as string });
    expect(growth).toBeLessThan(roomBytes);
  });
});

function downloaded(from: Store, to: Store): Promise<unknown> {
  return download({ from, to, backup: someBackup, concurrency: 2, onFetched: () => undefined, warn: () => undefined, signal });
}

describe("a lease object", () => {
  const key = leaseKey(parseDatasetName("tank/home"));
  const valid = leaseBody({
    format: 1,
    holder: "h",
    host: "host",
    epoch: 3,
    attempt: null,
    token: "0123456789abcdef",
    takenAt: "2026-11-21T00:00:00.000Z",
    renewedAt: "2026-11-21T00:00:00.000Z",
    ttlSeconds: 60,
    heartbeatSeconds: 20,
  });

  it("in any hostile form is a lease or garbage, and never more than a day's", async () => {
    const property = fc.asyncProperty(hostile(valid), async (bytes) => {
      const store = new MemoryStore();
      await store.put(key, bytes, { when: "create", signal });
      const outcome = await documented(() => findLease(store, key, signal));
      const record = "value" in outcome ? (outcome.value?.record ?? null) : null;
      expect(outcome).toHaveProperty("value");
      if (record !== null) expect(record.ttlSeconds).toBeLessThanOrEqual(86_400);
    });
    await fc.assert(property, { numRuns: 200 });
  });

  it("without an end is given up after a few kilobytes", async () => {
    let sentBytes = 0;
    const endless: Store = Object.assign(new MemoryStore(), {
      async *get(_key: string, options: { onFound?: (object: StoredObject) => void }) {
        options.onFound?.({ key, sizeBytes: 2 ** 40, modifiedAt: new Date(0), etag: "x" });
        for (;;) {
          sentBytes += 65_536;
          yield await Promise.resolve(Buffer.alloc(65_536, "x"));
        }
      },
    });
    expect(await findLease(endless, key, signal)).toMatchObject({ record: null });
    expect(sentBytes).toBe(65_536);
  });
});

/** Keys that would lead out of a folder, or be something else there. */
const escapes = ["..", "../x", "a/../../x", "/etc/passwd", "/", "a//b", "a/./b", "a\u0000b", "\u0000", "a/..", "C:\\x", "..\\x", "~/x", ".zferry-tmp/x", "a\nb", "\ud800"];

describe("a key", () => {
  const anyKey = fc.oneof(fc.constantFrom(...escapes), fc.array(fc.constantFrom(...escapes, "a", "b"), { maxLength: 4 }).map((parts) => parts.join("/")), fc.string({ unit: "binary", maxLength: 40 }));

  it("never leads out of the folder of a store", async () => {
    const root = "/store/root";
    const property = fc.asyncProperty(anyKey, async (key) => {
      const outcome = await documented(() => pathOf(root, key));
      if ("code" in outcome) expect(outcome.code).toBe("store-failed");
      else expect(resolve(outcome.value)).toBe(`${root}/${key}`);
    });
    await fc.assert(property, { numRuns: 500 });
  });

  it("of a manifest names a backup whose every key stays where it belongs, or no backup", async () => {
    const property = fc.asyncProperty(anyKey, async (part) => {
      const outcome = await documented(() => backupOfManifestKey(`manifests/${part}@${part}.json`));
      const backup = "value" in outcome ? outcome.value : null;
      if (backup === null) return;
      for (const key of [manifestKey(backup), chunkKey(backup, "00000000", "ocb", 0), restoreNoteKey(backup, "00000000"), leaseKey(datasetOf(backup))]) {
        expect(resolve(pathOf("/root", key))).toBe(`/root/${key}`);
      }
    });
    await fc.assert(property, { numRuns: 500 });
  });
});

describe("a store that lists and serves what it likes", () => {
  let honest: Map<string, Buffer>;

  beforeAll(async () => {
    const store = new MemoryStore();
    await ferrying(store);
    honest = new Map();
    for await (const { key } of store.list("", { signal })) honest.set(key, await bytesOf(store, key));
  });

  /** Lists the honest keys and the evil ones, and serves an honest manifest under each evil key. */
  async function evil(more: readonly string[]): Promise<Store> {
    const inner = new MemoryStore();
    for (const [key, bytes] of honest) await inner.put(key, bytes, { when: "create", signal });
    const lie = honest.get(manifestKey(someBackup)) ?? Buffer.alloc(0);
    return Object.assign(Object.create(inner) as MemoryStore, {
      limits: inner.limits,
      url: "memory:",
      put: inner.put.bind(inner),
      head: inner.head.bind(inner),
      async *list(prefix: string, options: { signal: AbortSignal }) {
        yield* inner.list(prefix, options);
        for (const key of more) yield { key, sizeBytes: lie.length, modifiedAt: new Date(0), etag: "e" };
      },
      async *get(key: string, options: Parameters<Store["get"]>[1]) {
        if (more.includes(key)) yield await Promise.resolve(lie);
        else yield* inner.get(key, options);
      },
    });
  }

  it("cannot make a download write outside its folder", async () => {
    const outside = ownFolder();
    const folder = join(outside, "in", "here");
    const keys = escapes.flatMap((part) => [`manifests/${part}@s.json`, `manifests/tank/src@${part}.json`, part]);
    await downloaded(await evil(keys), await openDirectory(folder, "write"));
    expect(filesUnder(outside).map((file) => file.startsWith("in/here/"))).not.toContain(false);
    expect(filesUnder(folder).sort()).toEqual([...honest.keys()].sort());
  });

  it("has what is no manifest's key told of and no other backup hidden", async () => {
    const property = fc.asyncProperty(fc.string({ unit: "binary", maxLength: 30 }), async (part) => {
      const store = await evil([`manifests/${part}.json`]);
      const { backups } = await readCatalog(store, { dataset: null, stateDir: null, warn: () => undefined, signal });
      expect(backups.map(({ backup }) => backup)).toEqual([someBackup]);
    });
    await fc.assert(property, { numRuns: 30 });
  });

  it("cannot make a reader hold a manifest without an end", async () => {
    const inner = new MemoryStore();
    const big = Buffer.alloc(4 * 1024 * 1024, " ");
    const endless: Store = Object.assign(inner, {
      async *get() {
        for (;;) yield await Promise.resolve(big);
      },
    });
    // The pieces are one and the same buffer here, so that what is counted is bytes and not this machine's memory.
    await expect(fetchManifest(endless, someBackup, signal)).rejects.toMatchObject({ code: "manifest-invalid" });
  });
});

describe("a link in the folder of a store that points outside", () => {
  it.for(["manifests", "manifests/tank", "streams", "streams/tank", "locks"])("at %s is not read, not listed, not written through", async (where) => {
    const [root, outside] = [ownFolder(), ownFolder()];
    writeFileSync(join(outside, "src@s1.json"), "theirs");
    mkdirSync(join(root, where, ".."), { recursive: true });
    symlinkSync(outside, join(root, where));
    const store = await openDirectory(root, "write");
    const listed: string[] = [];
    for await (const { key } of store.list("", { signal })) listed.push(key);
    expect(listed).toEqual([]);
    const key = `${where}/src@s1.json`;
    expect(await documented(() => store.head(key, { signal }))).toEqual({ code: "store-failed" });
    expect(await documented(() => bytesOf(store, key))).toEqual({ code: "store-failed" });
    expect(await documented(() => store.put(key, Buffer.from("ours"), { when: "replace", signal }))).toEqual({ code: "store-failed" });
    expect(await documented(() => store.put(`${where}/new`, Buffer.from("ours"), { when: "create", signal }))).toEqual({ code: "store-failed" });
    expect(await documented(() => store.put(`${where}/new/and/deep`, Buffer.from("ours"), { when: "create", signal }))).toEqual({ code: "store-failed" });
    expect(await documented(() => store.delete([key], { signal }))).toEqual({ code: "store-failed" });
    expect(readdirSync(outside)).toEqual(["src@s1.json"]);
    expect(readFileSync(join(outside, "src@s1.json"), "utf8")).toBe("theirs");
  });

  it.for([["a folder", ""], ["nothing", "gone"]] as const)("to %s, in the place of the unfinished files, is not read, not tidied, not written through", async ([, to]) => {
    const [root, outside] = [ownFolder(), ownFolder()];
    const unfinished = `${createHash("sha256").update("a").digest("hex").slice(0, 16)}-${"0".repeat(24)}`; // of an object in "a"
    for (const name of ["theirs", unfinished, `${"0".repeat(32)}.lock`]) {
      writeFileSync(join(outside, name), name);
      utimesSync(join(outside, name), 0, 0);
    }
    const theirs = filesUnder(outside);
    const store = await openDirectory(root, "write");
    symlinkSync(join(outside, to), join(root, ".zferry-tmp"));
    const actions: readonly (() => Promise<unknown>)[] = [
      () => openDirectory(root, "write").then(({ url }) => url),
      () => store.put("a/b", Buffer.from("ours"), { when: "replace", signal }),
      () => store.put("a/b", Buffer.from("ours"), { when: "create", signal }),
      () => store.removeUnfinished("a/", { signal }),
      () => withKeyLock(root, join(root, "a/b"), signal, () => Promise.resolve()),
    ];
    for (const action of actions) {
      expect(await documented(action)).toEqual({ code: "store-failed" });
      expect(filesUnder(outside)).toEqual(theirs);
    }
    expect(filesUnder(root)).toEqual([]);
  });
});

describe("the URL of a store", () => {
  it("of any form is a place or a usage error, and never shows what stands before an @", async () => {
    const valid = ["s3://bucket/prefix?endpoint=https://h:1&region=r&provider=ceph", "file:///a%20b", "/path", "s3://key:wordwordword@bucket/x"];
    const property = fc.asyncProperty(hostile(...valid.map((url) => Buffer.from(url))), async (bytes) => {
      const outcome = await documented(() => parseStoreUrl(bytes.toString("utf8"), {}));
      if ("code" in outcome) expect(outcome.code).toBe("usage");
    });
    await fc.assert(property, { numRuns: 300 });
    for (const url of ["s3://key:wordwordword@bucket/x", "key:wordwordword@bucket", "s3://b/?endpoint=https://key:wordwordword@h/"]) {
      expect(() => parseStoreUrl(url, {})).toThrow(expect.objectContaining({ code: "usage", message: expect.not.stringContaining("wordword") as string }) as Error);
    }
  });
});

describe("a folder of another program's chunks", () => {
  it("with any names in it has the files of the message, or none, or a documented error", async () => {
    const stem = "tank-src@s1.zfs.gpg.";
    const name = fc.oneof(
      fc.stringMatching(/^[0-9a-z.@-]{1,12}$/),
      fc.nat({ max: 12 }).map((number) => `${stem}${String(number).padStart(4, "0")}`),
      fc.constantFrom(`${stem}9999999`, `${stem}-001`, `${stem}0x10`, `${stem}000000`, stem, "src@s1.zfs.gpg.000001"),
    ).filter((text) => text !== "." && text !== "..");
    const property = fc.asyncProperty(fc.uniqueArray(name, { maxLength: 8 }), async (names) => {
      const folder = ownFolder();
      for (const each of names) writeFileSync(join(folder, each), "x");
      symlinkSync("/etc/passwd", join(folder, `${stem}0000.link`));
      const outcome = await documented(() => findChunkFiles(folder, someBackup));
      if ("code" in outcome) expect(outcome.code).toBe("chunk-invalid");
      else for (const file of outcome.value ?? []) expect(names.map((each) => join(folder, each))).toContain(file);
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it("does not follow a link to a file elsewhere, which is then missing", async () => {
    const folder = ownFolder();
    symlinkSync("/etc/passwd", join(folder, "tank-src@s1.zfs.gpg.0000"));
    expect(await findChunkFiles(folder, someBackup)).toBeNull();
    writeFileSync(join(folder, "tank-src@s1.zfs.gpg.0001"), "x");
    expect(await documented(() => findChunkFiles(folder, someBackup))).toEqual({ code: "chunk-invalid" });
  });
});
