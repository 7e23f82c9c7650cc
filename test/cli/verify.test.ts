/**
 * `zferry verify` as people and programs meet it: what it finds in a store that was tampered with, where, and with which
 * exit status; what it can do without a key; what it remembers.
 */
import { appendFileSync, copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openDirectory } from "../../src/store/directory.ts";
import { expectAllFound } from "./harms.ts";
import { Pool, streamOf } from "./pool.ts";
import { documentOf, type Ended, filesUnder, Scene } from "./zferry.ts";

const night = new Date("2026-11-22T03:00:00Z");

interface Told {
  readonly kind: string;
  readonly chunk: number | null;
  readonly key: string | null;
  readonly message: string;
}

interface Document {
  readonly level: string;
  readonly complete: boolean;
  readonly backups: readonly {
    readonly backup: string;
    readonly level: string;
    readonly ok: boolean;
    readonly bytes: number;
    readonly sealChecked: boolean;
    readonly findings: readonly Told[];
    readonly obstacle: { readonly code: string } | null;
  }[];
  readonly findings: readonly Told[];
  readonly bytes: number;
}

/** A full of eight chunks and two incrementals of it, locked for bob. */
async function stored(...flags: string[]): Promise<Scene> {
  const scene = new Scene();
  for (const name of ["one", "two", "three"] as const) await scene.put(`tank/src@${name}`, streamOf(name), ...flags);
  return scene;
}

function verify(scene: Scene, words: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return scene.run(["verify", ...words, ...scene.place], { env, now: night });
}

/** Runs with `--json`, and says how it ended. */
async function verified(scene: Scene, words: readonly string[]): Promise<Document & { readonly exit: number | null }> {
  const ended = await verify(scene, [...words, "--json"]);
  return { ...(documentOf(ended) as unknown as Document), exit: ended.exit };
}

function findingsIn({ backups, findings }: Document): string[] {
  const own = backups.flatMap((one) => one.findings.map(({ kind, chunk }) => `${one.backup} ${kind} ${chunk ?? "-"}`));
  return [...own, ...findings.map(({ kind, key }) => `${key ?? ""} ${kind}`)];
}

/** The path of a chunk of a backup. */
function chunk(scene: Scene, name: string, index: number): string {
  const files = filesUnder(scene.store).filter((file) => file.includes(`@${name}/`) && file.includes(".zfs"));
  return join(scene.store, files.at(index) ?? "");
}

function manifest(scene: Scene, name: string): string {
  return join(scene.store, `manifests/tank/src@${name}.json`);
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  const place = at < 0 ? bytes.length + at : at;
  bytes.writeUInt8(bytes.readUInt8(place) ^ 4, place);
  writeFileSync(file, bytes);
}

function swap(one: string, other: string): void {
  renameSync(one, `${one}.away`);
  renameSync(other, one);
  renameSync(`${one}.away`, other);
}

describe("a clean store", () => {
  it.for(["exists", "digest", "stream"] as const)("has nothing to be found at level %s", async (level) => {
    const scene = await stored();
    const document = await verified(scene, ["--level", level, ...scene.asBob]);
    expect(document).toMatchObject({ exit: 0, level, complete: true, findings: [] });
    expect(findingsIn(document)).toEqual([]);
    expect(document.backups.map((one) => [one.backup, one.level, one.ok]).sort()).toEqual(
      ["one", "three", "two"].map((name) => [`tank/src@${name}`, level, true]),
    );
    expect(document.backups.map(({ bytes }) => bytes > 0)).toEqual(Array(3).fill(level !== "exists"));
    expect(document.backups.map(({ sealChecked }) => sealChecked)).toEqual(Array(3).fill(level !== "exists"));
  });

  it("says so of each backup on stdout", async () => {
    const scene = await stored();
    const { exit, stdout } = await verify(scene, ["--level", "exists"]);
    expect(stdout.toString()).toBe(
      "ok: tank/src@one (exists)\nok: tank/src@two (exists)\nok: tank/src@three (exists)\nverified 3 backups: 0 findings\n",
    );
    expect(exit).toBe(0);
  });

  it("without any backup has none", async () => {
    const scene = new Scene();
    await scene.put("tank/src@one", streamOf("one"));
    rmSync(join(scene.store, "manifests"), { recursive: true });
    rmSync(scene.stateDir, { recursive: true });
    expect(await verify(scene, [])).toMatchObject({ exit: 0, stdout: Buffer.from("no backups\n") });
  });

  it("is read only where the words say", async () => {
    const scene = await stored();
    await scene.put("tank/other@one", streamOf("one"));
    const names = async (word: string): Promise<string[]> => (await verified(scene, [word, "--level", "exists"])).backups.map(({ backup }) => backup);
    expect(await names("tank/other")).toEqual(["tank/other@one"]);
    expect(await names("tank/src@two")).toEqual(["tank/src@two"]);
    expect(await verify(scene, ["tank/none", "--level", "exists"])).toMatchObject({ exit: 10 });
  });
});

describe("verify on a folder finds", () => {
  it("each of eight kinds of harm at its level and names the place, and nothing in a clean store", async () => {
    const scene = await stored();
    rmSync(manifest(scene, "three"));
    rmSync(join(scene.store, "streams/tank/src@three"), { recursive: true });
    const store = await openDirectory(scene.store, "write");
    await expectAllFound({ scene, store, place: scene.place, env: {}, put: (name: "one" | "two") => scene.put(`tank/src@${name}`, streamOf(name)) });
  });
});

describe("damage", () => {
  /** What is done, the level from which on it is found, and what is found there. */
  const rows: readonly [what: string, level: "exists" | "digest" | "stream", found: readonly string[], harm: (scene: Scene) => void][] = [
    ["a missing chunk", "exists", ["tank/src@one missing-chunk 3"], (scene) => { rmSync(chunk(scene, "one", 3)); }],
    ["the last chunk missing", "exists", ["tank/src@one missing-chunk 7"], (scene) => { rmSync(chunk(scene, "one", 7)); }],
    ["an extra chunk", "exists", ["tank/src@one extra-object -"], (scene) => {
      copyFileSync(chunk(scene, "one", 7), chunk(scene, "one", 7).replace(/7$/, "8"));
    }],
    ["a truncated chunk", "exists", ["tank/src@one size 4"], (scene) => { truncateSync(chunk(scene, "one", 4), 1000); }],
    ["a chunk grown longer", "exists", ["tank/src@one size 4"], (scene) => { appendFileSync(chunk(scene, "one", 4), "more"); }],
    ["a flipped bit", "digest", ["tank/src@two digest 0"], (scene) => { flip(chunk(scene, "two", 0), 300); }],
    ["swapped chunks", "digest", ["tank/src@one digest 2", "tank/src@one digest 5"], (scene) => { swap(chunk(scene, "one", 2), chunk(scene, "one", 5)); }],
    ["another backup's manifest under the key", "exists", ["tank/src@two foreign-manifest -"], (scene) => {
      copyFileSync(manifest(scene, "three"), manifest(scene, "two"));
    }],
    ["a damaged manifest", "exists", ["tank/src@two manifest-damaged -"], (scene) => { flip(manifest(scene, "two"), 200); }],
    ["no anchor any more", "exists", ["tank/src@one rolled-back -", "tank/src@three base-missing -", "tank/src@two base-missing -"], (scene) => {
      rmSync(manifest(scene, "one"));
      rmSync(join(scene.store, "streams/tank/src@one"), { recursive: true });
    }],
    ["an object that is no manifest", "exists", ["manifests/readme.txt extra-object"], (scene) => { scene.write("store/manifests/readme.txt", "hello"); }],
    ["a manifest whose seal someone without the key made", "stream", ["tank/src@two seal -"], (scene) => {
      const text = readFileSync(manifest(scene, "two"), "utf8");
      writeFileSync(manifest(scene, "two"), text.replace(/(:[0-9a-f]{63})(.)"}\n$/, (_, most: string, last: string) => `${most}${last === "0" ? "1" : "0"}"}\n`));
    }],
  ];

  it.for(rows)("%s is found from level %s on", async ([, from, found, harm]) => {
    const scene = await stored();
    await verify(scene, ["--level", "exists"]);
    harm(scene);
    const levels = ["exists", "digest", "stream"] as const;
    for (const level of levels) {
      const key = level === "digest" ? [] : scene.asBob;
      const document = await verified(scene, ["--level", level, ...key]);
      const isFound = levels.indexOf(level) >= levels.indexOf(from);
      expect({ level, exit: document.exit, findings: findingsIn(document).sort() }).toEqual(
        isFound ? { level, exit: 3, findings: found } : { level, exit: 0, findings: [] },
      );
    }
  });

  it("of several kinds in several backups is found in one run", async () => {
    const scene = await stored();
    truncateSync(chunk(scene, "one", 0), 10);
    flip(chunk(scene, "one", 6), -1);
    rmSync(chunk(scene, "one", 1));
    flip(chunk(scene, "three", 0), 77);
    const document = await verified(scene, [...scene.asBob]);
    const found = ["tank/src@one digest 6", "tank/src@one missing-chunk 1", "tank/src@one size 0", "tank/src@three digest 0"];
    expect([document.exit, findingsIn(document).sort()]).toEqual([3, found]);
  });

  it("is told with its place, one line for each finding, and with exit 3", async () => {
    const scene = await stored();
    flip(chunk(scene, "one", 5), 20_000);
    rmSync(chunk(scene, "one", 3));
    const { exit, stdout, stderr } = await verify(scene, ["tank/src@one", ...scene.asBob]);
    const [folder = ""] = chunk(scene, "one", 0).split("/src@one.zfs").map((part) => part.slice(scene.store.length + 1));
    expect(stdout.toString().split("\n").slice(0, 2)).toEqual([
      `finding: tank/src@one: missing-chunk: chunk 3 of 8 ("${folder}/src@one.zfs.gpg.000003") is missing`,
      `finding: tank/src@one: digest: chunk 5 of 8 of "tank/src@one" ("${folder}/src@one.zfs.gpg.000005"): bytes 16384 to 32768 are not what was stored`,
    ]);
    expect(stderr).toMatch(/error: verify has 2 findings in 1 of 1 backup\nzferry: hint: /);
    expect(exit).toBe(3);
  });
});

describe("a manifest that was rolled back", () => {
  it("is found when an earlier commit stands under its key again", async () => {
    const scene = new Scene();
    await scene.put("tank/src@one", streamOf("one"));
    const earlier = readFileSync(manifest(scene, "one"));
    const folder = join(scene.store, "streams");
    const before = join(scene.folder, "before");
    renameSync(folder, before);
    rmSync(manifest(scene, "one"));
    await scene.run(["state", "rebuild", ...scene.place]); // the first one was removed on purpose
    await scene.put("tank/src@one", streamOf("one"));
    expect(await verify(scene, ["--level", "exists"])).toMatchObject({ exit: 0 });
    rmSync(folder, { recursive: true });
    renameSync(before, folder);
    writeFileSync(manifest(scene, "one"), earlier);
    await scene.run(["list", ...scene.place]); // which sees the change, and must not forget what was
    const document = await verified(scene, ["--level", "exists"]);
    expect(findingsIn(document)).toEqual(["tank/src@one rolled-back -"]);
    expect(document.backups[0]?.findings[0]?.message).toMatch(/was replaced by an older one.*only witness/);
    expect(document.exit).toBe(3);
  });

  it("is found when it is gone, night after night, until the state is rebuilt", async () => {
    const scene = await stored();
    await verify(scene, ["--level", "exists"]);
    rmSync(manifest(scene, "three"));
    rmSync(join(scene.store, "streams/tank/src@three"), { recursive: true });
    for (let turn = 0; turn < 2; turn += 1) {
      const document = await verified(scene, ["--level", "exists"]);
      expect([document.exit, findingsIn(document)]).toEqual([3, ["tank/src@three rolled-back -"]]);
    }
    await scene.run(["state", "rebuild", ...scene.place]);
    expect(await verified(scene, ["--level", "exists"])).toMatchObject({ exit: 0 });
  });

  it("is no finding on a host that has never seen it", async () => {
    const scene = await stored();
    rmSync(manifest(scene, "three"));
    rmSync(join(scene.store, "streams/tank/src@three"), { recursive: true });
    rmSync(scene.stateDir, { recursive: true, force: true });
    expect(await verified(scene, ["--level", "exists"])).toMatchObject({ exit: 0 });
  });

  it("is forgotten when it is back", async () => {
    const scene = await stored();
    await verify(scene, ["--level", "exists"]);
    const bytes = readFileSync(manifest(scene, "three"));
    rmSync(manifest(scene, "three"));
    expect(await verify(scene, ["--level", "exists"])).toMatchObject({ exit: 3 });
    writeFileSync(manifest(scene, "three"), bytes);
    expect(await verify(scene, ["--level", "exists"])).toMatchObject({ exit: 0 });
  });
});

describe("keys", () => {
  it("a host with only the certificate checks digests, and says what it cannot do", async () => {
    const scene = await stored();
    const config = scene.write("zferry.yaml", `encryption:\n  recipients: ["${scene.certificate("bob")}"]\n`);
    const ended = await verify(scene, ["--config", config, "--json"]);
    const document = documentOf(ended) as unknown as Document;
    expect(document).toMatchObject({ level: "digest", complete: true });
    expect(document.backups.map(({ level, ok, sealChecked }) => [level, ok, sealChecked])).toEqual(Array(3).fill(["digest", true, false]));
    expect(ended.stderr).toMatch(/levels stream and receive cannot be done.*seals of their manifests are not checked/);
    expect(ended.exit).toBe(0);
    flip(chunk(scene, "one", 1), 9);
    expect(await verified(scene, [])).toMatchObject({ exit: 3 });
  });

  it("a level asked for by name that the host cannot do is done as far as it goes, and ends with 12", async () => {
    const scene = await stored();
    const { exit, backups } = await verified(scene, ["--level", "stream"]);
    expect(backups.map(({ level, ok, obstacle }) => [level, ok, obstacle?.code])).toEqual(Array(3).fill(["digest", false, "key-missing"]));
    expect(exit).toBe(12);
  });

  it("one that does not fit hides nothing of the backups it is not for", async () => {
    const scene = await stored();
    await scene.put("tank/other@one", streamOf("one"), "--packet", "ocb", "--passphrase-file", scene.passphraseFile);
    const { exit, backups } = await verified(scene, [...scene.asBob]);
    const other = backups.find(({ backup }) => backup === "tank/other@one");
    expect([exit, other?.level, other?.obstacle?.code]).toEqual([12, "exists", "key-missing"]);
    expect(backups.filter(({ level, ok }) => level === "stream" && ok)).toHaveLength(3);
    rmSync(chunk(scene, "two", 0));
    expect(await verified(scene, [...scene.asBob])).toMatchObject({ exit: 3 });
  });
});

describe("what is remembered", () => {
  const listed = async (scene: Scene): Promise<unknown[]> => {
    const { backups } = documentOf(await scene.run(["list", "--json", ...scene.place])) as { backups: { verified: unknown }[] };
    return backups.map((one) => one.verified);
  };
  const at = night.toISOString();

  it("is shown by list: nothing, then the level, then what was found", async () => {
    const scene = await stored();
    expect(await listed(scene)).toEqual([null, null, null]);
    await verify(scene, [...scene.asBob, "tank/src@one"]);
    expect(await listed(scene)).toEqual([{ level: "stream", at, ok: true }, null, null]);
    rmSync(chunk(scene, "two", 0));
    await verify(scene, ["--level", "exists"]);
    expect(await listed(scene)).toEqual([{ level: "stream", at, ok: true }, { level: "exists", at, ok: false }, { level: "exists", at, ok: true }]);
    const { stdout } = await scene.run(["list", ...scene.place]);
    expect(stdout.toString()).toMatch(/verified +restorable.*\n.* stream 2026-11-22 +yes .*\n.* exists 2026-11-22: 1 found +yes .*\n.* exists 2026-11-22 +yes /);
  });

  it("by a lower level does not hide what a higher one found", async () => {
    const scene = await stored();
    flip(chunk(scene, "one", 1), 9);
    await verify(scene, ["--level", "digest", "tank/src@one"]);
    const { exit, stderr } = await verify(scene, ["--level", "exists"]);
    expect(exit).toBe(0);
    expect(stderr).toContain('not read this time, and found damaged the last time: "tank/src@one"');
    expect((await listed(scene))[0]).toEqual({ level: "digest", at, ok: false });
  });

  it("decides what a budget is spent on", async () => {
    const scene = await stored();
    const read = async (budget: string, ...more: string[]): Promise<string[]> =>
      (await verified(scene, ["--level", "digest", "--budget", budget, ...more])).backups.filter(({ level }) => level === "digest").map(({ backup }) => backup.slice(9));
    expect(await read("1")).toEqual(["three"]);
    expect(await read("1")).toEqual(["two"]);
    expect(await read("1")).toEqual(["one"]);
    expect(await read("10GiB")).toEqual(["three", "two", "one"]);
    expect(await verify(scene, ["--budget", "many"])).toMatchObject({ exit: 2 });
  });
});

describe("level receive", () => {
  const pool = (extra: object = {}): Pool => new Pool({ datasets: { "tank/place": {} }, ...extra });
  const words = (scene: Scene, ...more: string[]): string[] => ["--level", "receive", "--into", "tank/place/scratch", ...scene.asBob, ...more];

  it("receives each backup with its chain, compares the guid, and takes it away again", async () => {
    const [scene, there] = [await stored(), pool()];
    const ended = await verify(scene, [...words(scene), "--json"], there.env);
    expect(ended.exit, ended.stderr).toBe(0);
    const { backups } = documentOf(ended) as unknown as Document;
    expect(backups.map(({ level, ok }) => [level, ok])).toEqual(Array(3).fill(["receive", true]));
    expect(there.calls("receive")).toHaveLength(5);
    expect(there.calls("destroy")).toEqual(Array(3).fill(["destroy", "-r", "--", "tank/place/scratch"]));
    expect(Object.keys(there.state.datasets)).toEqual(["tank/place"]);
    expect(there.alive).toEqual([]);
  });

  it("says why no files can be compared where the source's snapshot is gone, and what it did compare counts", async () => {
    const [scene, there] = [await stored(), pool()];
    const ended = await verify(scene, [...words(scene, "tank/src@one"), "--sample", "4", "--sample-seed", "abc", "--json"], there.env);
    expect(ended.exit, ended.stderr).toBe(0);
    const samples = [{ backup: "tank/src@one", seed: "abc", fileCount: 0, obstacle: "its snapshot is not on the pool any more" }];
    expect(documentOf(ended)).toMatchObject({ samples, backups: [{ level: "receive", ok: true }] });
    const text = await verify(scene, [...words(scene, "tank/src@one"), "--sample", "4"], there.env);
    expect(text.stderr).toContain('warning: no files of "tank/src@one" could be compared with the source: its snapshot is not on the pool any more');
    expect(Object.keys(there.state.datasets)).toEqual(["tank/place"]);
  });

  it("finds a stream that zfs does not take", async () => {
    const [scene, there] = [await stored(), pool({ faults: { receive: { at: "end", exit: 1, stderr: "cannot receive new filesystem stream: invalid backup stream" } } })];
    const { exit, stdout } = await verify(scene, [...words(scene, "tank/src@one")], there.env);
    expect(stdout.toString()).toMatch(/^finding: tank\/src@one: receive: .*invalid backup stream/);
    expect(exit).toBe(3);
  });

  it("names the chunk, of whichever backup of the chain, and leaves nothing on the pool", async () => {
    const [scene, there] = [await stored(), pool()];
    flip(chunk(scene, "one", 6), 100);
    const { exit, stdout } = await verify(scene, [...words(scene, "tank/src@two")], there.env);
    expect(stdout.toString()).toMatch(/^finding: tank\/src@two: digest: chunk 6 of 8 of "tank\/src@one"/);
    expect(exit).toBe(3);
    expect(Object.keys(there.state.datasets)).toEqual(["tank/place"]);
    expect(there.alive).toEqual([]);
  });

  it("destroys nothing that it finds in the scratch dataset and has not made", async () => {
    const [scene, there] = [await stored(), pool()];
    // Made by someone else between the first look and the receive: zfs refuses to receive into it.
    const script = scene.write("zfs-racing", `#!/bin/sh\nif [ "$1" = receive ]; then node -e '
      const f = process.env.ZFERRY_FAKE_ZFS + "/state.json"; const s = JSON.parse(require("fs").readFileSync(f));
      s.datasets["tank/place/scratch"] = { snapshots: { theirs: {} } }; require("fs").writeFileSync(f, JSON.stringify(s))'; fi\nexec zfs "$@"\n`, 0o700);
    const { exit, stderr } = await verify(scene, [...words(scene, "tank/src@one"), "--zfs", script], there.env);
    expect(exit).toBe(14);
    expect(stderr).toContain("it holds no snapshot of this backup");
    expect(there.calls("destroy")).toEqual([]);
    expect(Object.keys(there.dataset("tank/place/scratch").snapshots)).toEqual(["theirs"]);
  });

  it.for([
    ["a scratch dataset that exists", ["--level", "receive", "--into", "tank/place"], 14, "exists"],
    ["one whose parent does not", ["--level", "receive", "--into", "tank/none/scratch"], 14, "does not exist"],
    ["the top of a pool", ["--level", "receive", "--into", "scratch"], 2, "top of a pool"],
    ["no scratch dataset", ["--level", "receive"], 2, "need each other"],
    ["a scratch dataset at another level", ["--level", "stream", "--into", "tank/place/x"], 2, "need each other"],
    ["a level nobody knows", ["--level", "deep"], 2, "Allowed choices"],
    ["a sample at another level", ["--level", "stream", "--sample", "3"], 2, "is for --level receive"],
    ["a seed without a sample", ["--level", "receive", "--into", "tank/place/x", "--sample-seed", "a"], 2, "is for --level receive"],
    ["a sample of nothing", ["--level", "receive", "--into", "tank/place/x", "--sample", "0"], 2, "not a number of files"],
  ] as const)("%s is refused before anything is read", async ([, flags, exit, part]) => {
    const [scene, there] = [await stored(), pool()];
    const ended = await verify(scene, [...flags, ...scene.asBob], there.env);
    expect([ended.exit, ended.stdout.toString()]).toEqual([exit, ""]);
    expect(ended.stderr).toContain(part);
    expect(there.calls("receive")).toEqual([]);
  });
});
