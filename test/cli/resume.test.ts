/**
 * A run that was killed is gone on with by the next one: what is stored is compared and skipped, and nothing is ever
 * encrypted to something else under the same keys.
 */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, rmSync, truncateSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { built } from "../build.ts";
import { begin, end, type Piece, seal } from "../replay/forge.ts";
import { nightly, type Pool, streamOf } from "./pool.ts";
import { recorded, Scene } from "./zferry.ts";

const later = new Date("2026-11-22T00:00:00Z");

function wordsFor(scene: Scene, ...flags: string[]): string[] {
  return ["backup", "--dataset", "tank/src", ...scene.place, ...scene.small, ...scene.forBob, ...flags];
}

function journals(scene: Scene): string[] {
  const folder = join(scene.stateDir, "journal");
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
}

function journalOf(scene: Scene): string {
  const [journal, ...more] = journals(scene);
  if (journal === undefined || more.length > 0) throw new Error(`there are ${journals(scene).length} journals`);
  return journal;
}

function headerOf(scene: Scene): { readonly sessionKey: string; readonly attempt: string } {
  const [line = ""] = readFileSync(journalOf(scene), "utf8").split("\n", 1);
  return (JSON.parse(line.slice(line.indexOf(" ") + 1)) as { header: { sessionKey: string; attempt: string } }).header;
}

/** Objects of the store with the time they were written: an object that is written again gets another one. */
function writtenAt(scene: Scene): Map<string, number> {
  return new Map(scene.objects.map((key) => [key, statSync(join(scene.store, key)).mtimeMs]));
}

/** Waits until the journal says all that. */
async function noted(scene: Scene, ...facts: readonly string[]): Promise<void> {
  const isNoted = (path: string): boolean => {
    const text = readFileSync(path, "utf8");
    return facts.every((fact) => text.includes(fact));
  };
  while (scene.journalPath === null || !isNoted(scene.journalPath)) await sleep(20);
}

/** Starts a backup whose send hangs late in the stream, and kills it with SIGKILL when some chunks are stored. */
async function killedBackup(scene: Scene, pool: Pool): Promise<void> {
  pool.change((state) => (state.faults = { send: { at: 400_000, hang: true } }));
  const { ended, kill } = await scene.start(wordsFor(scene), { stdin: new Uint8Array(), env: pool.env });
  await noted(scene, '"chunk":{"index":3,');
  kill("SIGKILL");
  expect(await ended).toMatchObject({ killedBy: "SIGKILL" });
  for (const pid of pool.alive) process.kill(pid, "SIGKILL");
  pool.change((state) => (state.faults = {}));
}

async function stored(scene: Scene, backup: string): Promise<Buffer> {
  const { stdout, stderr, exit } = await scene.run(["get", backup, ...scene.place, ...scene.asBob]);
  expect(exit, stderr).toBe(0);
  return stdout;
}

/** The first (and only) backup in the store. */
function backupIn(scene: Scene): string {
  return (scene.manifests[0] ?? "").replace(/\.json$/, "");
}

describe("a backup that was killed", () => {
  beforeAll(built);

  it("is gone on with by the next one: stored chunks stay, the rest is sent, and the stream comes back equal", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await killedBackup(scene, pool);
    expect(scene.manifests).toEqual([]);
    expect(statSync(journalOf(scene)).mode & 0o777).toBe(0o600);
    expect(pool.holds("tank/src")).toHaveLength(1);
    const before = writtenAt(scene);
    const chunks = [...before.keys()].filter((key) => key.includes(".zfs.gpg."));

    const { exit, stderr, stdout } = await scene.run(wordsFor(scene), { env: pool.env, now: later });
    expect(exit, stderr).toBe(0);
    expect(stderr).toMatch(/goes on with an unfinished upload, \d chunks of which are stored/);
    expect(stdout.toString()).toContain("stored full backup");
    const after = writtenAt(scene);
    for (const key of chunks) expect(after.get(key), key).toBe(before.get(key));
    expect(await stored(scene, backupIn(scene))).toEqual(Buffer.from(streamOf("one")));
    expect(journals(scene)).toEqual([]);
    expect(pool.calls("snapshot")).toHaveLength(1);
    expect(pool.holds("tank/src")).toEqual([expect.stringContaining("zferry:anchor:")]);
  });

  it("goes on behind a torn line of its journal", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await killedBackup(scene, pool);
    const journal = journalOf(scene);
    truncateSync(journal, statSync(journal).size - 7);
    const { exit, stderr } = await scene.run(wordsFor(scene), { env: pool.env, now: later });
    expect(exit, stderr).toBe(0);
    expect(stderr).toContain("goes on with an unfinished upload");
    expect(await stored(scene, backupIn(scene))).toEqual(Buffer.from(streamOf("one")));
  });

  it("starts anew, saying so, when its journal is garbage, which is set aside", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await killedBackup(scene, pool);
    const journal = journalOf(scene);
    writeFileSync(journal, `garbage\n${readFileSync(journal, "utf8")}`);
    pool.change((state) => (state.streams = ["one.zfs", "two.zfs"]));
    const { exit, stderr } = await scene.run(wordsFor(scene, "--dataset", `tank/src@${Object.keys(pool.dataset("tank/src").snapshots)[0] ?? ""}`), { env: pool.env, now: later });
    expect(exit, stderr).toBe(0);
    expect(stderr).toContain("set aside as");
    expect(journals(scene)).toEqual([expect.stringContaining(".unreadable-")]);
    expect(await stored(scene, backupIn(scene))).toEqual(Buffer.from(streamOf("one")));
  });

  it("behind its commit gets its anchor from the next run, which goes on as usual", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await killedBackup(scene, pool);
    const [path, journal] = [journalOf(scene), readFileSync(journalOf(scene))];
    expect(await scene.run(wordsFor(scene), { env: pool.env, now: later })).toMatchObject({ exit: 0 });
    // As if it had been killed right after the manifest was written: no anchor, no bookmark, nothing remembered.
    writeFileSync(path, journal);
    rmSync(join(scene.stateDir, "state.json"));
    pool.change((state) => {
      const dataset = state.datasets["tank/src"];
      if (dataset === undefined) throw new Error("no dataset");
      dataset.bookmarks = {};
      for (const snapshot of Object.values(dataset.snapshots)) snapshot.holds.length = 0;
    });
    const objects = scene.objects;
    const { exit, stderr, stdout } = await scene.run(wordsFor(scene), { env: pool.env, now: new Date("2026-11-23T00:00:00Z") });
    expect(exit, stderr).toBe(0);
    expect(stderr).toContain("was committed by a run that could not finish its last steps");
    expect(stdout.toString()).toContain("stored incremental backup");
    expect(objects.every((key) => scene.objects.includes(key))).toBe(true);
    expect(pool.holds("tank/src")).toEqual([expect.stringContaining("zferry:anchor:")]);
    expect(Object.keys(pool.dataset("tank/src").bookmarks)).toHaveLength(1);
    expect(journals(scene)).toEqual([]);
  });

  it("is finished first when something else is asked for, which is done then", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await killedBackup(scene, pool);
    pool.change((state) => (state.streams = ["one.zfs", "later.zfs"]));
    const { exit, stderr } = await scene.run(wordsFor(scene, "--full"), { env: pool.env, now: later });
    expect(exit, stderr).toBe(0);
    expect(scene.manifests).toHaveLength(2);
  });

  it("is given up with --abandon: objects, hold and snapshot go, and a new backup is made", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await killedBackup(scene, pool);
    const [attempt] = readdirSync(join(scene.store, "streams", "tank", readdirSync(join(scene.store, "streams", "tank"))[0] ?? ""));
    const { exit, stderr } = await scene.run(wordsFor(scene, "--abandon"), { env: pool.env, now: later });
    expect(exit, stderr).toBe(0);
    expect(stderr).toContain("is given up: it was asked to");
    expect(scene.objects.filter((key) => key.includes(`/${attempt ?? "?"}/`))).toEqual([]);
    expect(Object.keys(pool.dataset("tank/src").snapshots)).toHaveLength(1);
    expect(journals(scene)).toEqual([]);
  });

  it("is given up when its snapshot is gone", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await killedBackup(scene, pool);
    pool.change((state) => (state.datasets["tank/src"] = { snapshots: {}, bookmarks: {} }));
    const { exit, stderr } = await scene.run(wordsFor(scene), { env: pool.env, now: later });
    expect(exit, stderr).toBe(0);
    expect(stderr).toContain("is given up: its snapshot is gone");
    expect(await stored(scene, backupIn(scene))).toEqual(Buffer.from(streamOf("one")));
  });

  it("is given up when the sizes were changed, because the same ciphertext could not be made in the same chunks", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await killedBackup(scene, pool);
    const { exit, stderr } = await scene.run([...wordsFor(scene), "--chunk-size", "32KiB"], { env: pool.env, now: later });
    expect(exit, stderr).toBe(0);
    expect(stderr).toContain("packet, chunk size or part size were changed");
  });

  it("is given up when it is for other recipients now: who is no longer one opens nothing that is stored afterwards", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await killedBackup(scene, pool);
    const words = wordsFor(scene).map((word) => (word === scene.certificate("bob") ? scene.certificate("alice") : word));
    const { exit, stderr } = await scene.run(words, { env: pool.env, now: later });
    expect(exit, stderr).toBe(0);
    expect(stderr).toContain("is given up: it is for other recipients now");
    expect((await scene.run(["get", backupIn(scene), ...scene.place, ...scene.asBob])).exit).toBe(12);
  });
});

/** A full stream whose `writeCount` records of 16 KiB hold `fill`, but for one of them. */
function streamWith(fill: number, odd: { readonly index: number; readonly fill: number } | null): Uint8Array {
  const pieces: Piece[] = [begin()];
  for (let index = 0; index < 40; index++) {
    const record = new Uint8Array(312);
    const view = new DataView(record.buffer);
    view.setUint32(0, 3, true);
    view.setBigUint64(32, 16_384n, true);
    pieces.push({ record, payload: new Uint8Array(16_384).fill(odd?.index === index ? odd.fill : fill) });
  }
  pieces.push(end());
  return seal(pieces);
}

describe("a put that was killed", () => {
  beforeAll(built);

  /** Chunks of six parts: 256 KiB, which OCB gives at once, end in the middle of the third chunk. */
  const sizes = ["--chunk-size", "96KiB", "--part-size", "16KiB"];

  /** Feeds the beginning of a stream, waits until two chunks are stored and a third one is in hand, and kills. */
  async function killedPut(scene: Scene, stream: Uint8Array): Promise<void> {
    const { ended, kill, feed } = await scene.start(wordsOf(scene));
    feed(stream.subarray(0, 330_000));
    await noted(scene, '"chunk":{"index":1,', '"mark":{"chunk":2,"index":3,');
    kill("SIGKILL");
    expect(await ended).toMatchObject({ killedBy: "SIGKILL" });
  }

  function wordsOf(scene: Scene, ...flags: string[]): string[] {
    return ["put", "tank/a@s", ...flags, ...scene.place, ...sizes, ...scene.forBob];
  }

  function resumed(scene: Scene, stream: Uint8Array): ReturnType<Scene["run"]> {
    return scene.run(wordsOf(scene, "--resume"), { stdin: stream });
  }

  it("is gone on with by --resume, and without it dropped and begun anew", async () => {
    const stream = recorded("full");
    for (const flags of [["--resume"], []]) {
      const scene = new Scene();
      await killedPut(scene, stream);
      const before = scene.objects.filter((key) => key.startsWith("streams/"));
      const { exit, stderr } = await scene.run(wordsOf(scene, ...flags), { stdin: stream });
      expect(exit, stderr).toBe(0);
      expect(before.every((key) => scene.objects.includes(key))).toBe(flags.length > 0);
      expect(await stored(scene, "tank/a@s")).toEqual(stream);
      expect(journals(scene)).toEqual([]);
    }
  });

  it.for([
    ["in a chunk that is stored", 1],
    ["in a part that was noted but whose chunk is not stored", 13],
  ] as const)("drops the attempt when a byte differs %s, and never makes other ciphertext under its keys", async ([, index]) => {
    const scene = new Scene();
    const first = streamWith(1, null);
    await killedPut(scene, first);
    const { attempt } = headerOf(scene);
    expect(readFileSync(journalOf(scene), "utf8")).toContain('{"mark":{"chunk":2,"index":3,');
    const { exit, stderr } = await resumed(scene, streamWith(1, { index, fill: 2 }));
    expect(exit).toBe(13);
    expect(stderr).toContain("is not the one an earlier, unfinished run has sent");
    expect(scene.objects).toEqual([]);
    expect(journals(scene)).toEqual([]);

    const again = streamWith(1, { index, fill: 2 });
    expect(await resumed(scene, again)).toMatchObject({ exit: 0 });
    expect(scene.objects.filter((key) => key.includes(attempt))).toEqual([]);
    expect(await stored(scene, "tank/a@s")).toEqual(Buffer.from(again));
  });

  it("behind its commit is not taken for unfinished: what was committed is never removed", async () => {
    const scene = new Scene();
    const stream = recorded("full");
    await killedPut(scene, stream);
    const [path, journal] = [journalOf(scene), readFileSync(journalOf(scene))];
    expect(await resumed(scene, stream)).toMatchObject({ exit: 0 });
    const objects = scene.objects;
    for (const flags of [["--resume"], []]) {
      writeFileSync(path, journal); // as if it had been killed before it could remove it
      const { exit, stderr } = await scene.run(wordsOf(scene, ...flags), { stdin: stream });
      expect(exit, stderr).toBe(13);
      expect(stderr).toContain("is in the store already, with the same guid");
      expect(scene.objects).toEqual(objects);
      expect(journals(scene)).toEqual([]);
    }
    expect(await stored(scene, "tank/a@s")).toEqual(stream);
  });

  it("keeps the session key out of everything but its journal", async () => {
    const scene = new Scene();
    await killedPut(scene, recorded("full"));
    const { sessionKey } = headerOf(scene);
    const hex = Buffer.from(sessionKey, "base64").toString("hex");
    for (const key of scene.objects) {
      const content = readFileSync(join(scene.store, key));
      expect(content.includes(sessionKey) || content.includes(hex)).toBe(false);
    }
    const { stderr } = await resumed(scene, recorded("full"));
    expect(stderr).not.toContain(sessionKey);
    expect(createHash("sha256").update(await stored(scene, "tank/a@s")).digest("hex")).toBe(createHash("sha256").update(recorded("full")).digest("hex"));
  });
});
