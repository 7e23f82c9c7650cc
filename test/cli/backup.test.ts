/**
 * `zferry backup`, night after night, against a pretended zfs that replays recorded streams and writes down what it was
 * asked.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { guids, nightly, type Pool } from "./pool.ts";
import { documentOf, type Ended, recorded, recordedAt, Scene } from "./zferry.ts";

const dayMs = 86_400_000;
const names = ["zferry-20261121T074200Z", "zferry-20261122T074200Z", "zferry-20261123T074200Z"] as const;
const anchorName = `tank/src@${names[0]}`;

afterEach(() => {
  vi.unstubAllEnvs();
});

/** The run of night `night`, counted from 1. */
function backup(scene: Scene, pool: Pool, night: number, ...flags: readonly string[]): Promise<Ended> {
  const dataset = flags.includes("--dataset") ? [] : ["--dataset", "tank/src"];
  const now = new Date(recordedAt.getTime() + (night - 1) * dayMs);
  return scene.run(["backup", "--json", ...dataset, ...scene.place, ...scene.small, ...scene.forBob, ...flags], { env: pool.env, now });
}

async function stored(scene: Scene, pool: Pool, night: number, ...flags: readonly string[]): Promise<Record<string, unknown>> {
  const ended = await backup(scene, pool, night, ...flags);
  expect(ended).toMatchObject({ exit: 0 });
  return documentOf(ended);
}

/** Why a run would do what it would do. */
async function planned(scene: Scene, pool: Pool, night: number, ...flags: readonly string[]): Promise<unknown> {
  return (await stored(scene, pool, night, "--dry-run", ...flags)).plan;
}

/** What the stored stream itself says it starts from: `fromguid` of its BEGIN record. */
async function fromGuidOf(scene: Scene, short: string): Promise<bigint> {
  const { stdout } = await scene.run(["get", `tank/src@${short}`, ...scene.place, ...scene.asBob]);
  return stdout.readBigUInt64LE(48);
}

/** The arguments of the real sends, without those that only ask. */
function sends(pool: Pool): string[][] {
  return pool.calls("send").filter((args) => args.includes("--") && !args.includes("-nP"));
}

describe("night after night", () => {
  it("a full is made first and each later night is an incremental against it, also when the state file is lost meanwhile", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    expect(await stored(scene, pool, 1)).toMatchObject({ plan: { kind: "full" }, backup: anchorName, guid: String(guids.one) });
    expect(await stored(scene, pool, 2)).toMatchObject({ plan: { kind: "incremental", base: anchorName }, guid: String(guids.two) });
    rmSync(scene.stateDir, { recursive: true });
    expect(await stored(scene, pool, 3)).toMatchObject({ plan: { kind: "incremental", base: anchorName }, guid: String(guids.three) });

    expect(await fromGuidOf(scene, names[0])).toBe(0n);
    expect(await fromGuidOf(scene, names[1])).toBe(guids.one);
    expect(await fromGuidOf(scene, names[2])).toBe(guids.one);
    expect(sends(pool)).toEqual([
      ["send", "-L", "-c", "--", anchorName],
      ["send", "-L", "-c", "-i", anchorName, "--", `tank/src@${names[1]}`],
      ["send", "-L", "-c", "-i", anchorName, "--", `tank/src@${names[2]}`],
    ]);
  });

  it("snapshot and anchor are held before the send and let go after it, and only the anchor's own hold stays", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await stored(scene, pool, 1);
    const before = pool.calls().length;
    await stored(scene, pool, 2);
    const steps = pool.calls().slice(before).filter(([verb]) => verb === "hold" || verb === "release" || verb === "send");
    const tag = steps.find(([verb]) => verb === "hold")?.[2] ?? "";
    expect(tag).toMatch(/^zferry:run:[0-9a-f]{8}$/);
    const told = steps.map((args) => args.join(" ")).filter((text) => text.includes("--") && !text.includes("-nP"));
    expect(told).toEqual([
      `hold -- ${tag} tank/src@${names[1]}`,
      `hold -- ${tag} ${anchorName}`,
      `hold -- ${tag.replace("run", "anchor")} ${anchorName}`,
      `send -L -c -i ${anchorName} -- tank/src@${names[1]}`,
      `release -- ${tag} tank/src@${names[1]}`,
      `release -- ${tag} ${anchorName}`,
    ]);
    expect(pool.holds("tank/src")).toEqual([expect.stringMatching(/^zferry:anchor:[0-9a-f]{8}$/)]);
    const bookmarks = Object.entries(pool.dataset("tank/src").bookmarks);
    expect(bookmarks).toEqual([[expect.stringMatching(`^zferry-anchor-[0-9a-f]{8}-${names[0]}$`), expect.objectContaining({ guid: String(guids.one) })]]);
  });

  it("an anchor that has lost hold and bookmark gets them again before the next incremental is sent", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await stored(scene, pool, 1);
    const whole = pool.dataset("tank/src");
    pool.change((state) => {
      for (const dataset of Object.values(state.datasets)) {
        dataset.bookmarks = {};
        for (const { holds } of Object.values(dataset.snapshots)) holds.length = 0;
      }
      state.faults = { send: { at: 10_000, exit: 1 } }; // what comes behind the send is never reached
    });
    expect((await backup(scene, pool, 2)).exit).toBe(14);
    expect(pool.dataset("tank/src")).toEqual(whole);
  });

  it("a later full takes over: hold and bookmark move, and the old ones go", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await stored(scene, pool, 1);
    pool.change((state) => (state.streams = ["later.zfs"]));
    expect(await stored(scene, pool, 2, "--full")).toMatchObject({ plan: { kind: "full", reason: "asked for" } });
    const { snapshots, bookmarks } = pool.dataset("tank/src");
    expect(snapshots[names[0]]?.holds).toEqual([]);
    expect(snapshots[names[1]]?.holds).toHaveLength(1);
    expect(Object.keys(bookmarks)).toEqual([expect.stringContaining(names[1])]);
  });
});

describe("what was lost meanwhile", () => {
  it("a state file that is none is set aside and told of", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await stored(scene, pool, 1);
    for (const text of ["not JSON", "{}", '{"version":2,"stores":{}}', ""]) {
      writeFileSync(join(scene.stateDir, "state.json"), text);
      const ended = await backup(scene, pool, 2, "--dry-run");
      expect(documentOf(ended)).toMatchObject({ plan: { kind: "incremental", base: anchorName } });
      const aside = readdirSync(scene.stateDir).filter((name) => name.startsWith("state.json.unreadable-")).at(-1) ?? "";
      expect(readFileSync(join(scene.stateDir, aside), "utf8")).toBe(text);
      expect(ended.stderr).toContain(aside);
    }
  });

  it("an anchor whose snapshot is gone is sent from by its bookmark", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await stored(scene, pool, 1);
    pool.change((state) => {
      (state.datasets["tank/src"] ?? { snapshots: {} }).snapshots = {};
      state.streams = ["two.zfs"];
    });
    const [bookmark] = Object.keys(pool.dataset("tank/src").bookmarks);
    const { plan } = await stored(scene, pool, 2);
    expect(plan).toMatchObject({ kind: "incremental", base: `tank/src#${bookmark ?? ""}`, reason: expect.stringContaining("whose snapshot is gone") as string });
    expect(sends(pool).at(-1)).toEqual(["send", "-L", "-c", "-i", `tank/src#${bookmark ?? ""}`, "--", `tank/src@${names[1]}`]);
    expect(await fromGuidOf(scene, names[1])).toBe(guids.one);
  });

  it("without snapshot and bookmark a full is made, saying why", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await stored(scene, pool, 1);
    pool.change((state) => {
      state.datasets["tank/src"] = { snapshots: {}, bookmarks: {} };
      state.streams = ["later.zfs"];
    });
    const { plan } = await stored(scene, pool, 2);
    expect(plan).toMatchObject({ kind: "full", reason: `the anchor "${anchorName}" has neither snapshot nor bookmark on the pool any more` });
    expect(await fromGuidOf(scene, names[1])).toBe(0n);
  });

  it("without the anchor's manifest a full is made, saying why, whether the state file remembers the anchor or not", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await stored(scene, pool, 1);
    rmSync(join(scene.store, "manifests"), { recursive: true });
    expect(await planned(scene, pool, 2)).toMatchObject({ kind: "full", reason: "the manifest of the anchor is missing in the store" });
    rmSync(scene.stateDir, { recursive: true });
    expect(await planned(scene, pool, 2)).toMatchObject({ kind: "full", reason: "there is no full backup in the store yet" });
  });
});

describe("what is asked for", () => {
  it("an anchor older than --full-every makes a full, --incremental does not mind, --full needs no reason", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await stored(scene, pool, 1);
    expect(await planned(scene, pool, 30)).toMatchObject({ kind: "incremental" });
    expect(await planned(scene, pool, 31)).toMatchObject({ kind: "full", reason: `the anchor "${anchorName}" is 30 days old, the limit is 30 days` });
    expect(await planned(scene, pool, 31, "--full-every", "31d")).toMatchObject({ kind: "incremental" });
    expect(await planned(scene, pool, 2, "--full-every", "12h")).toMatchObject({ kind: "full" });
    expect(await planned(scene, pool, 31, "--incremental")).toMatchObject({ kind: "incremental", base: anchorName });
    expect(await planned(scene, pool, 2, "--full")).toMatchObject({ kind: "full", reason: "asked for" });
  });

  it("--dry-run prints the plan and does nothing, not even when there is no store yet", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    expect(await planned(scene, pool, 1)).toMatchObject({ kind: "full", reason: "there is no full backup in the store yet" });
    const verbs = new Set(pool.calls().map(([verb]) => verb));
    expect([...verbs].sort()).toEqual(["get", "send"]);
    expect(sends(pool)).toEqual([]);
    expect(scene.objects).toEqual([]);
    expect(readdirSync(scene.folder).sort()).toEqual(["passphrase"]);
  });

  it("an existing snapshot is stored once: the second time there is nothing to send", async () => {
    const [scene, pool] = [new Scene(), nightly({ datasets: { "tank/src": { snapshots: { manual: { guid: String(guids.one) } } } } })];
    expect(await stored(scene, pool, 1, "--dataset", "tank/src@manual")).toMatchObject({ backup: "tank/src@manual" });
    const sent = sends(pool).length;
    const again = await backup(scene, pool, 2, "--dataset", "tank/src@manual");
    expect(again.exit).toBe(0);
    expect(documentOf(again)).toMatchObject({ plan: { kind: "nothing" }, backup: null });
    expect(sends(pool)).toHaveLength(sent);
    expect(scene.manifests).toEqual(["tank/src@manual.json"]);
  });

  it("snapshots, bookmarks and children of others never keep it from its work, whatever names zfs let them have", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    pool.change(({ datasets }) => {
      const others = { snapshots: { "trail ": { guid: "7", holds: [], ours: false } }, bookmarks: { " lead": { guid: "8" } } };
      Object.assign(datasets, { "tank/src": others, "tank/src/ child ": {} });
    });
    expect(await stored(scene, pool, 1)).toMatchObject({ plan: { kind: "full" }, backup: anchorName });
  });

  it("an existing snapshot that fails to be stored is not destroyed", async () => {
    const [scene, pool] = [new Scene(), nightly({
      datasets: { "tank/src": { snapshots: { manual: { guid: String(guids.one) } } } },
      faults: { send: { at: 1000, exit: 1 } },
    })];
    expect(await backup(scene, pool, 1, "--dataset", "tank/src@manual")).toMatchObject({ exit: 14 });
    expect(Object.keys(pool.dataset("tank/src").snapshots)).toEqual(["manual"]);
    expect(pool.holds("tank/src")).toEqual([]);
    expect(pool.calls("destroy")).toEqual([]);
  });

  it("a snapshot whose name is in the store with another guid is refused before anything is sent", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await stored(scene, pool, 1);
    pool.change((state) => {
      state.datasets["tank/src"] = { snapshots: {}, bookmarks: {} };
      state.streams = ["later.zfs"];
    });
    const before = scene.objects;
    expect(await backup(scene, pool, 1)).toMatchObject({ exit: 13, stderr: expect.stringContaining(String(guids.one)) as string });
    expect(scene.objects).toEqual(before);
    expect(pool.dataset("tank/src").snapshots).toEqual({});
  });
});

describe("jobs of the configuration", () => {
  const config = (scene: Scene, jobs: string): string =>
    scene.write(
      "zferry.yaml",
      `state_dir: state\nstores:\n  main:\n    url: ${scene.store}\n    part_size: 16KiB\n` +
        `encryption:\n  recipients: [${scene.certificate("bob")}]\ndefaults:\n  chunk_size: 64KiB\njobs:\n${jobs}`,
    );

  it("all of them run when none is named, each with its own settings", async () => {
    const [scene, pool] = [new Scene(), nightly({ datasets: { "tank/src": { snapshots: {} }, "tank/two": { snapshots: {} } } })];
    config(scene, "  a: {dataset: tank/src}\n  b: {dataset: tank/two, snapshot_prefix: daily-}\n");
    const { exit, stdout } = await scene.run(["backup"], { env: pool.env });
    expect(exit).toBe(0);
    expect(stdout.toString().split("\n").map((line) => line.split(":")[0])).toEqual(["a", "b", ""]);
    expect(scene.manifests).toEqual([`tank/src@${names[0]}.json`, "tank/two@daily-20261121T074200Z.json"]);
  });

  it("an unknown job is refused before any of the others begins", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    config(scene, "  a: {dataset: tank/src}\n");
    const { exit, stderr } = await scene.run(["backup", "a", "nope"], { env: pool.env });
    expect(exit).toBe(2);
    expect(stderr).toContain('there is no job "nope"');
    expect(stderr).toContain("hint: the configuration has: a");
    expect(pool.calls()).toEqual([]);
  });

  it("one that fails does not stop the others, and its exit status is the run's", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    config(scene, "  a: {dataset: tank/gone}\n  b: {dataset: tank/src}\n  c: {dataset: tank/src, store: 'nope://x'}\n");
    const { exit, stderr, stdout } = await scene.run(["backup"], { env: pool.env });
    expect(exit).toBe(14);
    expect(stderr).toContain('there is no dataset "tank/gone"');
    expect(stderr).toContain('there is no kind of store "nope"');
    expect(stdout.toString()).toMatch(/^b: stored full backup/);
    expect(scene.manifests).toEqual([`tank/src@${names[0]}.json`]);
  });
});

describe("a dataset that ZFS encrypts", () => {
  const rawNights = (): Pool => {
    const pool = nightly({ streams: ["raw.zfs", "raw-inc.zfs"], datasets: { "tank/src": { encryption: "aes-256-gcm", snapshots: {} } } });
    writeFileSync(join(pool.folder, "raw.zfs"), recorded("raw-w"));
    writeFileSync(join(pool.folder, "raw-inc.zfs"), recorded("raw-w-inc"));
    return pool;
  };

  it.for(["ocb", "none"])("is sent raw, with packet %s, and comes back as it is", async (packet) => {
    const [scene, pool] = [new Scene(), rawNights()];
    await stored(scene, pool, 1, "--packet", packet);
    await stored(scene, pool, 2, "--packet", packet);
    expect(sends(pool)).toEqual([
      ["send", "-w", "--", anchorName],
      ["send", "-w", "-i", anchorName, "--", `tank/src@${names[1]}`],
    ]);
    expect(await scene.run(["restore", "tank/src", "--to", "pool/back", ...scene.place, ...scene.asBob], { env: pool.env })).toMatchObject({ exit: 0 });
    expect(pool.received(0)?.stream.equals(recorded("raw-w"))).toBe(true);
    expect(pool.received(1)?.stream.equals(recorded("raw-w-inc"))).toBe(true);
  });

  it("whose anchor was sent otherwise gets a new full, saying why", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    await stored(scene, pool, 1);
    pool.change((state) => Object.assign(state.datasets["tank/src"] ?? {}, { encryption: "aes-256-gcm" }));
    const plan = { kind: "full", reason: expect.stringContaining('the anchor was sent with "-L -c", now it would be "-w"') as string };
    expect(await planned(scene, pool, 2)).toMatchObject(plan);
  });
});

it("a store that cannot be read is an error and never an empty one", async () => {
  vi.stubEnv("AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED", "true");
  const [scene, pool] = [new Scene(), nightly()];
  const store = ["--store", "s3://bucket?endpoint=http://127.0.0.1:1", "--part-size", "5MiB", "--chunk-size", "5MiB", "--retry-for", "1s"];
  const env = { ...pool.env, AWS_ACCESS_KEY_ID: "someone", AWS_SECRET_ACCESS_KEY: "an-unused-secret" };
  const words = ["backup", "--dataset", "tank/src", "--state-dir", scene.stateDir, ...scene.forBob, ...store];
  expect(await scene.run(words, { env })).toMatchObject({ exit: 15 });
  expect(pool.calls("snapshot")).toEqual([]);
});

describe("a folder that has held backups and is not there", () => {
  it("is not made anew under the mount point, until someone makes it", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    const words = ["backup", "--dataset", "tank/src", ...scene.place, ...scene.small, ...scene.forBob];
    expect(await scene.run(words, { env: pool.env })).toMatchObject({ exit: 0 });
    expect(await scene.run(["list", ...scene.place])).toMatchObject({ exit: 0 });
    rmSync(scene.store, { recursive: true });
    const { exit, stderr } = await scene.run(words, { env: pool.env, now: new Date("2026-11-22T00:00:00Z") });
    expect(exit, stderr).toBe(15);
    expect(stderr).toContain("held 1 backup and is not there");
    expect(existsSync(scene.store)).toBe(false);
    expect(pool.calls("snapshot")).toHaveLength(1);
    mkdirSync(scene.store);
    pool.change((state) => (state.streams = ["one.zfs", "later.zfs"]));
    expect(await scene.run(words, { env: pool.env, now: new Date("2026-11-22T00:00:00Z") })).toMatchObject({ exit: 0 });
  });

  it("is looked for in the state file, and one that is garbage is set aside aloud", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    scene.write("state/state.json", "garbage");
    const words = ["backup", "--dataset", "tank/src", ...scene.place, ...scene.small, ...scene.forBob];
    const { exit, stderr } = await scene.run(words, { env: pool.env });
    expect(exit, stderr).toBe(0);
    expect(stderr).toContain("set aside as");
  });
});
