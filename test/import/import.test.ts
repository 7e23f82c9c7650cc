/** Import between stores: what arrives, what an import that was cut off leaves, and what is refused before a byte is written. */
import { beforeEach, describe, expect, it } from "vitest";
import { ZferryError } from "../../src/errors.ts";
import { type ImportedMessage, importMessages, type ImportRequest } from "../../src/import/import.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { takeLease } from "../../src/store/lease.ts";
import { leaseTiming } from "../../src/store/lease-object.ts";
import { parseDatasetName, parseSnapshotName } from "../../src/zfs/names.ts";
import { remade } from "../cli/pool.ts";
import { bobsKeyring, bytesOf, ferrying, keysIn, never } from "../ferrying.ts";
import { type FaultyStore, faultyStore } from "../faulty-store.ts";
import { ownFolder } from "../folder.ts";
import { recorded } from "../replay/forge.ts";

let source: Store;
let to: FaultyStore;
let stateDir: string;

/** Our own chunks as if somebody else had cut them: by ZFS2Cloud's names, in one folder for each message. */
beforeEach(async () => {
  [source, to, stateDir] = [called("memory:theirs"), Object.assign(faultyStore(called("memory:ours")), { url: "memory:ours" }), ownFolder()];
  await lay("s1-full/tank-src@s1", "full", "cfb");
  await lay("s2/tank-src@s2", "inc-i", "ocb");
});

const made = new Map<string, readonly (readonly [digits: string, bytes: Buffer])[]>();

async function chunksOf(stream: string, packet: "cfb" | "ocb", bytes: Uint8Array = recorded(stream)): Promise<readonly (readonly [digits: string, bytes: Buffer])[]> {
  const known = made.get(stream);
  if (known !== undefined) return known;
  const store = new MemoryStore();
  await ferrying(store, { stream: bytes, settings: { packet } });
  const chunks: (readonly [string, Buffer])[] = [];
  for (const key of await keysIn(store)) {
    const digits = /\.zfs\.gpg\.00(\d{4})$/.exec(key)?.[1];
    if (digits !== undefined) chunks.push([digits, await content(store, key)]);
  }
  made.set(stream, chunks);
  return chunks;
}

async function content(store: Store, key: string): Promise<Buffer> {
  return Buffer.from(await bytesOf(store, key));
}

function called(url: string): Store {
  return Object.assign(new MemoryStore(), { url });
}

async function lay(stem: string, stream: string, packet: "cfb" | "ocb"): Promise<void> {
  for (const [digits, bytes] of await chunksOf(stream, packet)) await source.put(`${stem}.zfs.gpg.${digits}`, bytes, { when: "create", signal: never });
}

function importing(extra: Partial<ImportRequest> = {}): Promise<readonly ImportedMessage[]> {
  const progress = { onFound: () => undefined, onRead: () => undefined, warn: () => undefined };
  return importMessages({ source, to, keyring: bobsKeyring, concurrency: 2, stateDir, leaseMs: null, isDryRun: false, progress, signal: never, ...extra });
}

function fates(messages: readonly ImportedMessage[]): string[] {
  return messages.map(({ fate, what, error }) => [what?.backup ?? "?", fate, ...(error === null ? [] : [error.code])].join(" "));
}

describe("import", () => {
  it("finds messages in any folder of any store, whatever else lies there, and imports the base first", async () => {
    for (const key of ["_last_full_backup", "_lock", "s3/notes.txt", "s3/tank-src@s3.zfs.gpg.00", "s3/tank-src@s3.zfs.gpg"]) {
      await source.put(key, Buffer.from("x"), { when: "create", signal: never });
    }
    expect(fates(await importing())).toEqual(["tank/src@s1 imported", "tank/src@s2 imported"]);
    expect(fates(await importing())).toEqual(["tank/src@s1 there", "tank/src@s2 there"]);
    const manifest = JSON.parse((await content(to, "manifests/tank/src@s2.json")).toString()) as Record<string, unknown>;
    expect(manifest).toMatchObject({ kind: "incremental", base: { backup: "tank/src@s1" }, imported: { from: "tank-src@s2.zfs.gpg" } });
  });

  it("a stream whose name is none of a snapshot fails by itself", async () => {
    const strange = remade(recorded("full"), { toGuid: 77n, laterSeconds: 5n, toName: "tank/src@s1&2" });
    for (const [digits, bytes] of await chunksOf("strange", "cfb", strange)) await source.put(`x/x@x.zfs.gpg.${digits}`, bytes, { when: "create", signal: never });
    expect(fates(await importing())).toEqual(["? failed stream-invalid", "tank/src@s1 imported", "tank/src@s2 imported"]);
  });

  it("reads every byte twice and says so", async () => {
    let [foundBytes, readBytes] = [0, 0];
    const progress = {
      onFound: (bytes: number): void => void (foundBytes = bytes),
      onRead: (bytes: number): void => void (readBytes += bytes),
      warn: () => undefined,
    };
    await importing({ progress });
    expect(foundBytes).toBeGreaterThan(573_000);
    expect(readBytes).toBe(2 * foundBytes);
  });

  it.for([1, 2, 5, 9, 10])("that fails at write %i leaves nothing that looks like a backup, and goes on with what is stored", async (count) => {
    const failure = new ZferryError("store-failed", "injected");
    let puts = 0;
    const failing: Store = {
      ...to,
      put: (key, body, options) => ((puts += 1) === count ? Promise.reject(failure) : to.put(key, body, options)),
    };
    await expect(importing({ to: failing })).rejects.toBe(failure);
    expect((await keysIn(to)).filter((key) => key.startsWith("manifests/"))).toEqual([]);
    to.calls.length = 0;
    expect(fates(await importing())).toEqual(["tank/src@s1 imported", "tank/src@s2 imported"]);
    // Eight chunks, a note and a manifest; two chunks, a note and a manifest.
    expect(to.calls.filter((verb) => verb === "put").length).toBe(14 - Math.min(count - 1, 8));
  });

  it("writes nothing of a message that is bad, and all of the others", async () => {
    const key = "s1-full/tank-src@s1.zfs.gpg.0004";
    const bytes = await content(source, key);
    bytes.writeUInt8(bytes.readUInt8(70) ^ 1, 70);
    await source.put(key, bytes, { when: "replace", signal: never });
    const warnings: string[] = [];
    const messages = await importing({ progress: { onFound: () => undefined, onRead: () => undefined, warn: (text) => void warnings.push(text) } });
    expect(fates(messages)).toEqual(["tank/src@s1 failed stream-invalid", "tank/src@s2 imported"]);
    expect(warnings).toEqual([expect.stringMatching(/starts from .* is not in "memory:ours"/)]);
    expect((await keysIn(to)).filter((one) => one.includes("@s1"))).toEqual([]);
  });

  it("takes bytes that changed between its two looks for damage", async () => {
    let reads = 0; // of the last file: for its first record, as short as the message is, then for all of it, then to be copied
    const changing = faultyStore(source);
    changing.get = async function* (key, options) {
      const isChanged = key.endsWith("@s2.zfs.gpg.0001") && (reads += 1) > 2;
      for await (const slice of source.get(key, options)) yield isChanged ? Buffer.from(slice).fill(0) : slice;
    };
    expect(fates(await importing({ source: changing }))).toEqual(["tank/src@s1 imported", "tank/src@s2 failed chunk-invalid"]);
  });

  it.for([
    ["in the middle", "s1-full/tank-src@s1.zfs.gpg.0003", /file number 3 of "s1-full\/tank-src@s1.zfs.gpg" is missing/],
    ["at the beginning", "s1-full/tank-src@s1.zfs.gpg.0000", /file number 0 .* is missing/],
  ] as const)("refuses a message without a file %s, by its names", async ([, key, why]) => {
    await source.delete([key], { signal: never });
    const [message] = await importing();
    expect(message).toMatchObject({ fate: "failed", what: null, error: { code: "chunk-invalid", message: expect.stringMatching(why) as unknown } });
  });

  it.for([
    ["is empty", "tank-src@s1.zfs.gpg.0003", 0, /is empty/],
    ["is shorter than the first", "tank-src@s1.zfs.gpg.0003", 65_535, /has 65535 bytes and not 65536/],
    ["comes last and is longer than the first", "tank-src@s1.zfs.gpg.0007", 65_537, /has 65537 bytes and not 65536/],
  ] as const)("refuses a message with a file that %s", async ([, name, sizeBytes, why]) => {
    await source.put(`s1-full/${name}`, Buffer.alloc(sizeBytes), { when: "replace", signal: never });
    expect((await importing())[0]).toMatchObject({ fate: "failed", error: { code: "chunk-invalid", message: expect.stringMatching(why) as unknown } });
  });

  it("does not find the end of a message whose last file is missing", async () => {
    await source.delete(["s1-full/tank-src@s1.zfs.gpg.0007"], { signal: never });
    expect(fates(await importing())).toEqual(["tank/src@s1 failed message-invalid", "tank/src@s2 imported"]);
  });

  it("never takes the place of another backup of that name", async () => {
    await ferrying(to, { stream: recorded("holes"), cargo: { backup: parseSnapshotName("tank/src@s1") } });
    const before = await content(to, "manifests/tank/src@s1.json");
    expect(fates(await importing())).toEqual(["tank/src@s1 failed backup-conflict", "tank/src@s2 imported"]);
    expect(await content(to, "manifests/tank/src@s1.json")).toEqual(before);
  });

  it("leaves a manifest that cannot be read where it is", async () => {
    await to.put("manifests/tank/src@s1.json", Buffer.from("{}"), { when: "create", signal: never });
    expect(fates(await importing())).toEqual(["tank/src@s1 failed manifest-invalid", "tank/src@s2 imported"]);
  });

  it("refuses what can only be received as a continuation", async () => {
    await lay("r/tank-res@r", "resume-part2-t", "cfb");
    expect(fates(await importing({ isDryRun: true }))).toEqual(["? failed stream-invalid", "tank/src@s1 would-import", "tank/src@s2 would-import"]);
  });

  it("takes the full where a snapshot was stored in both ways", async () => {
    await lay("s2-full/tank-src@s2", "full", "cfb");
    expect(fates(await importing())).toEqual(["tank/src@s1 imported", "tank/src@s1 there", "tank/src@s2 imported"]);
  });

  it("waits for nobody: a run at work on the dataset keeps it out", async () => {
    const dataset = parseDatasetName("tank/src");
    const lease = await takeLease(to, dataset, { ...leaseTiming(60_000), holder: { id: "another", host: "another" }, signal: never, warn: () => undefined });
    await expect(importing({ leaseMs: 60_000 })).rejects.toMatchObject({ code: "locked" });
    await lease.release();
    expect(fates(await importing({ leaseMs: 60_000 }))).toEqual(["tank/src@s1 imported", "tank/src@s2 imported"]);
  });

  it("refuses a source without messages, and one that is its own target", async () => {
    await expect(importing({ source: called("memory:empty") })).rejects.toMatchObject({ code: "backup-not-found" });
    await expect(importing({ source: to })).rejects.toMatchObject({ code: "usage" });
  });

  it("writes nothing in a dry run", async () => {
    expect(fates(await importing({ isDryRun: true }))).toEqual(["tank/src@s1 would-import", "tank/src@s2 would-import"]);
    expect(await keysIn(to)).toEqual([]);
  });
});
