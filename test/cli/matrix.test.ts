/**
 * Every recorded stream, in every packet, in chunks that divide it, hold all of it, and straddle its end: what comes out
 * is what went in. What is recorded as broken does not go in.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { KiB, MiB } from "../../src/bytes.ts";
import { get, type Keyring, type Manifest, MemoryStore, type PacketName, parseSnapshotName, put, type Store } from "../../src/index.ts";
import { attemptPrefix } from "../../src/format/layout.ts";
import { built } from "../build.ts";
import { collect, fixtureKey, sliced } from "../openpgp/sample.ts";
import { filesUnder, recorded, Scene, unlocked } from "./zferry.ts";

const packets: readonly PacketName[] = ["ocb", "cfb", "rfc9580", "none"];
const whole = [
  "full", "inc-i", "empty-inc", "inc-I", "repl-R", "comp-lz4", "large-L", "embedded-e", "raw-w", "raw-w-inc", "holes",
  "zvol", "resume-full", "zfs-fuse/full", "zfs-fuse/inc-i",
];
const broken = [
  ["resume-part2-t", "continues an interrupted receive"],
  ["resume-part1-truncated", "is cut off at byte 500000"],
] as const;
const backup = parseSnapshotName("tank/any@thing");
const { signal } = new AbortController();
const quiet = { onRead: () => undefined, onStored: () => undefined, warn: () => undefined };
const alice = fixtureKey("alice");
let keyring: Keyring;

beforeAll(async () => {
  keyring = await unlocked("alice");
});

function stored(store: Store, stream: Buffer, packet: PacketName, chunkBytes: number, partBytes = chunkBytes): Promise<Manifest> {
  const settings = { packet, recipients: { passphrases: [], certificates: [alice.certificate] }, chunkBytes, partBytes };
  return put({ store, backup, open: () => sliced(stream, 65_537, 1, 311), settings, stateDir: null, progress: quiet, signal });
}

function fetched(store: Store): Promise<Buffer> {
  const options = { keyring, allowUnauthenticated: false, concurrency: 4, onFetched: () => undefined, warn: () => undefined, signal };
  return collect(get(store, backup, options));
}

/** The largest size that cuts a message into equal chunks, at least two of them unless its length is a prime number. */
function largestDivisor(sizeBytes: number): number {
  for (let divisor = 2; divisor * divisor <= sizeBytes; divisor += 1) if (sizeBytes % divisor === 0) return sizeBytes / divisor;
  return sizeBytes;
}

async function keysIn(store: Store): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list("", { signal })) keys.push(key);
  return keys;
}

describe.each(packets)("with packet %s", (packet) => {
  it.for(whole)("%s comes back as it went in, whatever the chunk size", async (name) => {
    const stream = recorded(name);
    const one = new MemoryStore();
    const { messageBytes, chunks } = await stored(one, stream, packet, 8 * MiB, 4 * KiB);
    expect(chunks).toHaveLength(1);
    expect((await fetched(one)).equals(stream)).toBe(true);

    const divisor = largestDivisor(messageBytes);
    const equal = new MemoryStore();
    const cut = await stored(equal, stream, packet, divisor);
    expect(cut.chunks.map(({ sizeBytes }) => sizeBytes)).toEqual(Array.from({ length: messageBytes / divisor }, () => divisor));
    expect((await fetched(equal)).equals(stream)).toBe(true);

    const straddling = new MemoryStore();
    const last = (await stored(straddling, stream, packet, 40 * KiB, 4 * KiB)).chunks.at(-1)?.sizeBytes ?? 0;
    expect(last).toBe(messageBytes % (40 * KiB));
    expect(last).toBeGreaterThan(0);
    expect((await fetched(straddling)).equals(stream)).toBe(true);
  });
});

describe.each(packets)("with packet %s, refused", (packet) => {
  it.for(broken)("%s leaves nothing behind", async ([name, why]) => {
    const store = new MemoryStore();
    await expect(stored(store, recorded(name), packet, 64 * KiB, 4 * KiB)).rejects.toThrow(why);
    expect(await keysIn(store)).toEqual([]);
  });
});

describe("by the command line", () => {
  beforeAll(built);

  it.for(packets)("a stream goes into a folder and comes back, with packet %s in parts of 4 KiB", async (packet) => {
    const scene = new Scene();
    await scene.put("tank/src@s1", recorded("inc-i"), "--packet", packet, "--part-size", "4KiB", "--chunk-size", "16KiB");
    const [attempt] = filesUnder(scene.store).filter((file) => file.endsWith("RESTORE.md"));
    expect(attempt).toMatch(new RegExp(`^${attemptPrefix(parseSnapshotName("tank/src@s1"), "[0-9a-f]{8}")}RESTORE.md$`));
    const { exit, stdout, stderr } = await scene.run(["get", "tank/src@s1", ...scene.place, ...scene.asBob]);
    expect(stderr).toContain("everything verified");
    expect(exit).toBe(0);
    expect(stdout.equals(recorded("inc-i"))).toBe(true);
  });

  it("the built program stores from its stdin and gives back on its stdout", async () => {
    const scene = new Scene();
    const flags = [...scene.place, ...scene.secret];
    const put = await scene.spawn(["put", "tank/src@s1", ...flags, ...scene.small], { stdin: recorded("full") });
    expect(put).toMatchObject({ exit: 0 });
    expect(put.stdout.toString()).toMatch(/^stored full backup tank\/src@s1: 462 KiB in 8 chunks, /);
    const got = await scene.spawn(["get", "tank/src@s1", ...flags]);
    expect(got).toMatchObject({ exit: 0 });
    expect(got.stdout.equals(recorded("full"))).toBe(true);
  });

  it.for(broken)("%s is refused, and there is no backup", async ([name, why]) => {
    const scene = new Scene();
    const words = ["put", "tank/res@s1", ...scene.place, ...scene.small, ...scene.forBob];
    const { exit, stderr, stdout } = await scene.run(words, { stdin: recorded(name) });
    expect(exit).toBe(13);
    expect(stderr).toContain(why);
    expect(stderr).toContain("zferry: hint: ");
    expect(stdout.toString()).toBe("");
    expect(scene.objects).toEqual([]);
    const list = await scene.run(["list", ...scene.place]);
    expect(list.stdout.toString()).toBe("no backups\n");
  });

  it("increments know their base by its guid, and list says when it is missing", async () => {
    const scene = new Scene();
    await scene.put("tank/src@s2", recorded("inc-i"));
    const alone = await scene.run(["list", ...scene.place]);
    expect(alone.stdout.toString()).toMatch(/ no +tank\/src@s2: its base, the snapshot with guid 13043067825435035368, is not in the store/);
    await scene.put("tank/src@s1", recorded("full"));
    const both = await scene.run(["list", ...scene.place]);
    expect(both.stdout.toString().match(/ yes /g)).toHaveLength(2);
  });

  it("a stream that a failing ssh cut off is not a backup, although the pipe ended quietly", async () => {
    const scene = new Scene();
    const words = ["put", "tank/src@s1", ...scene.place, ...scene.small, ...scene.forBob];
    for (const sizeBytes of [1, 311, 312, 100_000, 473_199, 473_200 - 312]) {
      const { exit } = await scene.run(words, { stdin: recorded("full").subarray(0, sizeBytes) });
      expect([sizeBytes, exit]).toEqual([sizeBytes, 13]);
    }
    expect(scene.objects).toEqual([]);
  });
});
