/**
 * The eight ways to harm a store that `verify` must find, done through the verbs of a store, so that they are the same
 * for a folder and for a bucket; and how a table of them is run.
 *
 * There are two backups: the full `tank/src@one`, of three chunks or more, and the incremental `tank/src@two`.
 */
import { expect } from "vitest";
import { gather, GiB } from "../../src/bytes.ts";
import type { Store } from "../../src/store/store.ts";
import { compareKeys } from "../../src/store/keys.ts";
import { documentOf, type Ended, type Scene } from "./zferry.ts";

const { signal } = new AbortController();
const levels = ["exists", "digest", "stream"] as const;
export type Level = (typeof levels)[number];

/** A scene with two backups in a store of some kind. */
export interface Harbour {
  readonly scene: Scene;
  readonly store: Store;
  /** `--store` and `--state-dir`, and the variables they need. */
  readonly place: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Stores a backup of that name. */
  readonly put: (name: "one" | "two") => Promise<void>;
}

export interface Harm {
  readonly what: string;
  /** The level from which on it is found; null for no harm. */
  readonly from: Level | null;
  /** One for each line of findings, in the order of the lines. `KEY` and a number stand for that chunk's key. */
  readonly lines: readonly string[];
  readonly doIt: (harbour: Harbour, intact: Intact) => Promise<void>;
}

async function keysOf(store: Store, part: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list("", { signal })) if (key.includes(part)) keys.push(key);
  return keys.sort(compareKeys);
}

async function chunkKeyOf(store: Store, index: number): Promise<string> {
  const key = (await keysOf(store, "src@one.zfs.gpg.")).at(index);
  if (key === undefined) throw new Error(`there is no chunk ${index}`);
  return key;
}

function read(store: Store, key: string): Promise<Buffer> {
  return gather(store.get(key, { signal }), GiB, () => new Error(`"${key}" is not small`));
}

async function change(store: Store, key: string, edit: (bytes: Buffer) => Buffer): Promise<void> {
  await store.put(key, edit(await read(store, key)), { when: "replace", signal });
}

/** An object as it was, and the etag under which it is that. */
interface Kept {
  readonly bytes: Buffer;
  readonly etag: string;
}

/** What the store held before all harm: every object but leases. */
export type Intact = Map<string, Kept>;

export async function keep(store: Store): Promise<Intact> {
  const kept: Intact = new Map();
  for await (const { key, etag } of store.list("", { signal })) {
    if (!key.startsWith("locks/")) kept.set(key, { bytes: await read(store, key), etag });
  }
  return kept;
}

async function putBack(store: Store, intact: Intact): Promise<void> {
  const now = new Map<string, string>();
  for await (const { key, etag } of store.list("", { signal })) if (!key.startsWith("locks/")) now.set(key, etag);
  await store.delete([...now.keys()].filter((key) => !intact.has(key)), { signal });
  for (const [key, { bytes, etag }] of intact) {
    if (now.get(key) === etag) continue;
    intact.set(key, { bytes, etag: (await store.put(key, bytes, { when: "replace", signal })).etag });
  }
}

const one = "manifests/tank/src@one.json";
const two = "manifests/tank/src@two.json";

const harms: readonly Harm[] = [
  { what: "nothing in a clean store", from: null, lines: [], doIt: () => Promise.resolve() },
  {
    what: "a missing chunk",
    from: "exists",
    lines: ['tank/src@one: missing-chunk: chunk 2 of COUNT ("KEY2") is missing'],
    doIt: async ({ store }) => store.delete([await chunkKeyOf(store, 2)], { signal }),
  },
  {
    what: "an extra chunk",
    from: "exists",
    lines: ['tank/src@one: extra-object: "KEY1-more" is not in the manifest'],
    doIt: async ({ store }) => {
      const key = await chunkKeyOf(store, 1);
      await store.put(`${key}-more`, await read(store, key), { when: "create", signal });
    },
  },
  {
    what: "a flipped bit",
    from: "digest",
    lines: ['tank/src@one: digest: chunk 1 of COUNT of "tank/src@one" ("KEY1"): bytes FROM to TO are not what was stored'],
    doIt: async ({ store }) =>
      change(store, await chunkKeyOf(store, 1), (bytes) => {
        bytes.writeUInt8(bytes.readUInt8(20_000) ^ 1, 20_000);
        return bytes;
      }),
  },
  {
    what: "swapped chunks",
    from: "digest",
    lines: [0, 1].map((at) => `tank/src@one: digest: chunk ${at} of COUNT of "tank/src@one" ("KEY${at}"): bytes FROM to TO are not what was stored`),
    doIt: async ({ store }) => {
      const [here, there] = [await chunkKeyOf(store, 0), await chunkKeyOf(store, 1)];
      const before = await read(store, here);
      await store.put(here, await read(store, there), { when: "replace", signal });
      await store.put(there, before, { when: "replace", signal });
    },
  },
  {
    what: "a truncated chunk",
    from: "exists",
    lines: ['tank/src@one: size: chunk 1 of COUNT ("KEY1") has 1000 bytes and should have SIZE'],
    doIt: async ({ store }) => change(store, await chunkKeyOf(store, 1), (bytes) => bytes.subarray(0, 1000)),
  },
  {
    what: "a foreign manifest",
    from: "exists",
    lines: [`tank/src@two: foreign-manifest: "${two}" holds the whole manifest of another backup, "tank/src@one"`],
    doIt: async ({ store }) => store.put(two, await read(store, one), { when: "replace", signal }).then(() => undefined),
  },
  {
    what: "a manifest rolled back",
    from: "exists",
    lines: ["tank/src@two: rolled-back: the manifest committed at TIME (attempt HEX) was replaced by an older one, committed at TIME (attempt HEX)"],
    doIt: async (harbour, intact) => {
      await harbour.store.delete(await keysOf(harbour.store, "/src@two"), { signal });
      await rebuild(harbour);
      await harbour.put("two");
      expect((await verify(harbour, "exists")).exit).toBe(0); // and so this host has seen it
      await putBack(harbour.store, intact);
    },
  },
  {
    what: "a backup whose stream is fine and whose anchor is gone",
    from: "exists",
    lines: [
      'tank/src@two: base-missing: cannot be restored: its base, the snapshot with guid GUID, is not in the store (it was "tank/src@one")',
      "tank/src@one: rolled-back: the manifest committed at TIME (attempt HEX) was here and is gone",
    ],
    doIt: async ({ store }) => store.delete(await keysOf(store, "/src@one"), { signal }),
  },
];

async function rebuild({ scene, place, env }: Harbour): Promise<void> {
  const { exit, stderr } = await scene.run(["state", "rebuild", ...place], { env });
  expect(exit, stderr).toBe(0);
}

function verify({ scene, place, env }: Harbour, level: Level, ...flags: string[]): Promise<Ended> {
  const key = level === "stream" ? scene.asBob : []; // the others need none
  return scene.run(["verify", "--level", level, ...place, ...key, ...flags], { env });
}

/** The line as it is printed, but for what no test can know. */
function patternOf(line: string, keys: readonly string[]): RegExp {
  const text = line.replaceAll(/KEY(\d)/g, (_, at: string) => keys[Number(at)] ?? "?").replace("COUNT", String(keys.length));
  const escaped = text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const open = escaped.replaceAll("TIME", String.raw`[\d:.TZ-]{24}`).replaceAll("HEX", "[0-9a-f]{8}").replaceAll(/FROM|TO|GUID|SIZE/g, String.raw`\d+`);
  return new RegExp(`^finding: ${open}`);
}

interface Told {
  readonly backups: readonly { readonly backup: string; readonly findings: readonly { readonly kind: string; readonly message: string }[] }[];
}

/** Does each harm, verifies at every level as JSON and where it is first found as text too, and puts everything back. */
export async function expectAllFound(harbour: Harbour): Promise<void> {
  expect(harms).toHaveLength(1 + 8);
  const intact = await keep(harbour.store);
  for (const harm of harms) await expectFound(harbour, harm, intact);
}

async function expectFound(harbour: Harbour, { what, from, lines, doIt }: Harm, intact: Intact): Promise<void> {
  const { store } = harbour;
  const keys = await keysOf(store, "src@one.zfs.gpg.");
  await rebuild(harbour);
  expect((await verify(harbour, "exists")).exit).toBe(0);
  await doIt(harbour, intact);
  for (const level of levels) {
    const isFound = from !== null && levels.indexOf(level) >= levels.indexOf(from);
    const patterns = isFound ? lines.map((line) => patternOf(line, keys)) : [];
    const ended = await verify(harbour, level, "--json");
    expect([what, level, ended.exit], ended.stderr).toEqual([what, level, isFound ? 3 : 0]);
    const { backups } = documentOf(ended) as unknown as Told;
    expectLines(backups.flatMap(({ backup, findings }) => findings.map(({ kind, message }) => `finding: ${backup}: ${kind}: ${message}`)), patterns);
    if (level !== (from ?? "exists")) continue;
    const text = await verify(harbour, level);
    expect([what, level, text.exit], text.stderr).toEqual([what, level, isFound ? 3 : 0]);
    expectLines(text.stdout.toString().split("\n").filter((line) => line.startsWith("finding: ")), patterns);
  }
  await putBack(store, intact);
}

/** One line for each pattern, and none besides. */
function expectLines(lines: readonly string[], patterns: readonly RegExp[]): void {
  expect(lines, lines.join("\n")).toHaveLength(patterns.length);
  for (const pattern of patterns) expect(lines).toContainEqual(expect.stringMatching(pattern));
}
