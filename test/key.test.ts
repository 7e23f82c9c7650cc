/** Keys that are added to backups that are there: who opens them then, with what, and what an addition leaves untouched. */
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openBackup, readCatalog } from "../src/catalog.ts";
import { copy } from "../src/copy/copy.ts";
import { download } from "../src/download.ts";
import { addKey, type KeyOutcome, keysOf, removeKey } from "../src/key.ts";
import type { BackupEntry } from "../src/format/entry.ts";
import { addedKeyKey } from "../src/format/layout.ts";
import type { Keyring, Recipients } from "../src/openpgp/session.ts";
import { MemoryStore } from "../src/store/memory.ts";
import type { Store } from "../src/store/store.ts";
import { attemptOfKey } from "../src/strays.ts";
import { get } from "../src/get.ts";
import { datasetOf } from "../src/zfs/names.ts";
import { faultyStore } from "./faulty-store.ts";
import { bobsKeyring, bytesOf, ferrying, fullStream, keysIn, never, someBackup } from "./ferrying.ts";
import { ownFolder } from "./folder.ts";
import { fixtureKey } from "./openpgp/sample.ts";
import { ZferryError } from "../src/errors.ts";

const nobody: Keyring = { passphrases: [], privateKeys: [] };
const spare = { passphrases: ["a spare passphrase"], certificates: [] };
const withSpare: Keyring = { ...nobody, passphrases: spare.passphrases };
const carol = fixtureKey("carol");

const made = new Map<string, Buffer>();
let store: Store;
let entry: BackupEntry;

beforeAll(async () => {
  const first = new MemoryStore();
  await ferrying(first);
  for (const key of await keysIn(first)) made.set(key, Buffer.from(await bytesOf(first, key)));
});

beforeEach(async () => {
  store = Object.assign(new MemoryStore(), { url: "memory:main" });
  for (const [key, bytes] of made) await store.put(key, bytes, { when: "create", signal: never });
  entry = await only();
});

async function only(of: Store = store): Promise<BackupEntry> {
  const [found] = (await readCatalog(of, { dataset: null, stateDir: null, warn: () => undefined, signal: never })).backups;
  if (found === undefined) throw new Error("there is no backup");
  return found;
}

function adding(name: string, { keyring = bobsKeyring, recipients = spare, to = store }: { keyring?: Keyring; recipients?: Recipients; to?: Store } = {}): Promise<KeyOutcome> {
  return addKey({ store: to, name, keyring, recipients, signal: never }, entry);
}

async function streamWith(keyring: Keyring, from: Store = store): Promise<boolean> {
  const options = { keyring, allowUnauthenticated: false, concurrency: 2, onFetched: () => undefined, warn: () => undefined, signal: never };
  const slices: Uint8Array[] = [];
  for await (const slice of get(from, someBackup, options)) slices.push(slice);
  return Buffer.concat(slices).equals(fullStream);
}

describe("a key that was added", { timeout: 60_000 }, () => {
  it("opens the backup, beside those it was made for, and not one byte that was there is changed", async () => {
    await expect(openBackup(store, someBackup, withSpare, never)).rejects.toMatchObject({ code: "key-missing" });
    expect(await adding("spare")).toMatchObject({ outcome: "added", error: null });
    expect(await streamWith(withSpare)).toBe(true);
    expect(await streamWith(bobsKeyring)).toBe(true);
    for (const [key, bytes] of made) expect((await bytesOf(store, key)).equals(bytes)).toBe(true);
    expect((await keysIn(store)).filter((key) => !made.has(key))).toEqual([addedKeyKey(someBackup, entry.attempt, "spare")]);
  });

  it("is listed with its name, behind those the backup was made for", async () => {
    await adding("spare");
    await adding("carol", { recipients: { passphrases: [], certificates: [carol.certificate] } });
    const keys = await keysOf({ store, signal: never }, entry);
    expect(keys.map(({ name, holders }) => [name, holders.map(({ kind }) => kind)])).toEqual([
      [null, ["private-key"]],
      ["carol", ["private-key"]],
      ["spare", ["passphrase"]],
    ]);
  });

  it("can add the next one, and is found there the second time", async () => {
    await adding("spare");
    expect(await adding("spare")).toMatchObject({ outcome: "there" });
    expect(await adding("carol", { keyring: withSpare, recipients: { passphrases: [], certificates: [carol.certificate] } })).toMatchObject({ outcome: "added" });
    expect(await streamWith(carol.keyring)).toBe(true);
  });

  it("never takes the place of another one of its name", async () => {
    await adding("spare");
    const before = Buffer.from(await bytesOf(store, addedKeyKey(someBackup, entry.attempt, "spare")));
    const another = { passphrases: ["another passphrase"], certificates: [] };
    expect(await adding("spare", { recipients: another })).toMatchObject({ outcome: "failed", error: { code: "backup-conflict" } });
    expect((await bytesOf(store, addedKeyKey(someBackup, entry.attempt, "spare"))).equals(before)).toBe(true);
  });

  it("for one certificate is not taken for that of another", async () => {
    const forOne = (name: "alice" | "carol"): Recipients => ({ passphrases: [], certificates: [fixtureKey(name).certificate] });
    expect(await adding("colleague", { recipients: forOne("carol") })).toMatchObject({ outcome: "added" });
    expect(await adding("colleague", { recipients: forOne("carol") })).toMatchObject({ outcome: "there" });
    expect(await adding("colleague", { recipients: forOne("alice") })).toMatchObject({ outcome: "failed", error: { code: "backup-conflict" } });
  });

  it("needs somebody who can open the backup", async () => {
    expect(await adding("spare", { keyring: withSpare })).toMatchObject({ outcome: "failed", error: { code: "key-missing" } });
    expect(await adding("spare", { keyring: carol.keyring })).toMatchObject({ outcome: "failed", error: { code: "key-missing" } });
    expect((await keysIn(store)).length).toBe(made.size);
  });

  it("goes with a copy and with a download, and is no stray", async () => {
    await adding("spare");
    const [away, folder] = [Object.assign(new MemoryStore(), { url: "memory:away" }), Object.assign(new MemoryStore(), { url: "memory:folder" })];
    const progress = { onBegin: () => undefined, onCopied: () => undefined, warn: () => undefined };
    const reading = { keyring: nobody, allowUnauthenticated: false, concurrency: 2 };
    await copy({ from: store, to: away, dataset: datasetOf(someBackup), keep: null, reading, stateDir: ownFolder(), leaseMs: null, isDryRun: false, now: () => new Date(), progress, signal: never });
    await download({ from: store, to: folder, backup: someBackup, concurrency: 2, onFetched: () => undefined, warn: () => undefined, signal: never });
    for (const other of [away, folder]) expect(await streamWith(withSpare, other)).toBe(true);
    expect(attemptOfKey(addedKeyKey(someBackup, entry.attempt, "spare"))).toEqual({ backup: someBackup, attempt: entry.attempt });
    expect(attemptOfKey(addedKeyKey(someBackup, entry.attempt, "Not A Name"))).toBeNull();
  });

  it("opens nothing when somebody else has put it there", async () => {
    const other = new MemoryStore();
    await ferrying(other);
    const theirs = await only(other);
    await addKey({ store: other, name: "planted", keyring: bobsKeyring, recipients: spare, signal: never }, theirs);
    const planted = await bytesOf(other, addedKeyKey(someBackup, theirs.attempt, "planted"));
    await store.put(addedKeyKey(someBackup, entry.attempt, "planted"), planted, { when: "create", signal: never });
    await store.put(addedKeyKey(someBackup, entry.attempt, "rubbish"), Buffer.from("rubbish"), { when: "create", signal: never });
    await store.put(addedKeyKey(someBackup, entry.attempt, "vast"), Buffer.alloc(70_000), { when: "create", signal: never });
    await expect(openBackup(store, someBackup, withSpare, never)).rejects.toMatchObject({ code: "key-missing" });
    expect(await streamWith(bobsKeyring)).toBe(true);
    expect((await keysOf({ store, signal: never }, entry)).map(({ name, holders }) => [name, holders.length])).toEqual([[null, 1], ["planted", 1], ["rubbish", 0]]);
  });

  it("that could not be looked for is not said to be wrong, and who may not list is told what the manifest tells", async () => {
    await adding("spare");
    const failing = (code: "store-failed" | "store-denied"): Store => {
      const faulty = faultyStore(store);
      faulty.fail("list", { error: new ZferryError(code, "injected"), when: "before" });
      return faulty;
    };
    await expect(openBackup(failing("store-failed"), someBackup, withSpare, never)).rejects.toMatchObject({ code: "store-failed" });
    await expect(openBackup(failing("store-denied"), someBackup, withSpare, never)).rejects.toMatchObject({ code: "key-missing" });
  });
});

describe("taking a key away", () => {
  const removing = (name: string, keyring: Keyring, isDryRun = false): Promise<KeyOutcome> => removeKey({ store, name, keyring, isDryRun, signal: never }, entry);

  it("is shown, done, and leaves the others", async () => {
    await adding("spare");
    expect(await removing("spare", bobsKeyring, true)).toMatchObject({ outcome: "would-go" });
    expect(await streamWith(withSpare)).toBe(true);
    expect(await removing("spare", bobsKeyring)).toMatchObject({ outcome: "removed" });
    await expect(openBackup(store, someBackup, withSpare, never)).rejects.toMatchObject({ code: "key-missing" });
    expect(await streamWith(bobsKeyring)).toBe(true);
    expect(await removing("spare", bobsKeyring)).toMatchObject({ outcome: "nothing" });
  });

  it("is refused to who has nothing else that opens the backup", async () => {
    await adding("spare");
    expect(await removing("spare", withSpare)).toMatchObject({ outcome: "failed", error: { code: "key-missing" } });
    expect(await streamWith(withSpare)).toBe(true);
  });
});
