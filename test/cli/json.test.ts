/**
 * What programs rely on: one JSON document a command on stdout, JSON lines on stderr, and no secret anywhere.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { MemoryStore, openBackup, parseSnapshotName } from "../../src/index.ts";
import { manifestKey } from "../../src/format/layout.ts";
import { built } from "../build.ts";
import { nightly, Pool, streamOf } from "./pool.ts";
import { documentOf, type Ended, filesUnder, passphrase, recorded, Scene } from "./zferry.ts";

beforeAll(built);

/** The members of each command's document: adding is free, renaming is not. */
const members = {
  init: ["file", "jobs", "obstacle", "store"],
  put: ["backup", "baseGuid", "chunkCount", "guid", "kind", "seconds", "storedBytes", "streamBytes"],
  backup: ["backup", "chunkCount", "dataset", "downtimeSeconds", "dryRun", "error", "guid", "job", "outcome", "plan", "seconds", "storedBytes", "streamBytes"],
  list: ["backups", "damaged"],
  restore: ["dryRun", "fetchedBytes", "seconds", "snapshot", "steps"],
  download: ["backups", "bytes", "folder", "seconds"],
  verify: ["backups", "bytes", "complete", "findings", "level", "seconds"],
  "state-rebuild": ["anchors", "backupCount", "damagedCount"],
} as const;

function expectDocument(ended: Ended, type: keyof typeof members): Record<string, unknown> {
  expect(ended).toMatchObject({ exit: 0 });
  const document = documentOf(ended);
  expect(document.type).toBe(type);
  const names = Object.keys(document).filter((name) => name !== "type");
  expect(names).toEqual(expect.arrayContaining([...members[type]]));
  expect(documented(type)).toEqual(expect.arrayContaining(names));
  expect(ended.stdout.toString().match(/\n/g)).toHaveLength(1);
  expectJsonLines(ended.stderr);
  return document;
}

/** What `docs/json-output.md` says of a type: the words in its row that are set as code. */
function documented(type: string): string[] {
  const text = readFileSync(new URL("../../docs/json-output.md", import.meta.url), "utf8");
  const row = text.split("\n").find((line) => line.startsWith(`| \`${type}\``)) ?? "";
  return [...row.matchAll(/`([A-Za-z]+)(?:\[\])?`/g)].map(([, word = ""]) => word);
}

function expectJsonLines(stderr: string): void {
  for (const line of stderr.split("\n").slice(0, -1)) {
    const { type } = JSON.parse(line) as { type: string };
    expect(["message", "event", "error"]).toContain(type);
  }
}

describe("with --json", () => {
  it("put, list, restore, verify, download and state rebuild each print one document", async () => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    const run = (command: readonly string[], ...flags: readonly string[]): Promise<Ended> =>
      scene.run([...command, "--json", ...scene.place, ...flags], { stdin: streamOf("one"), env: pool.env });

    const put = expectDocument(await run(["put", "tank/src@s1"], ...scene.small, ...scene.forBob), "put");
    expect(put).toMatchObject({ kind: "full", guid: "13043067825435035368", baseGuid: null, streamBytes: 473_200, chunkCount: 8 });

    const { backups, damaged } = expectDocument(await run(["list"]), "list") as { backups: object[]; damaged: object[] };
    expect(damaged).toEqual([]);
    expect(backups).toEqual([
      {
        backup: "tank/src@s1", kind: "full", guid: "13043067825435035368", createdAt: "2026-11-21T07:42:00.000Z", baseGuid: null,
        baseBackup: null, streamBytes: 473_200, storedBytes: put.storedBytes, chunkCount: 8, packet: "ocb",
        committedAt: expect.stringMatching(/Z$/) as string, imported: false, restorable: true, obstacle: null,
        verified: null,
      },
    ]);

    const plan = await run(["restore", "tank/src"], "--to", "pool/x", "--dry-run", ...scene.asBob);
    const steps = [{ backup: "tank/src@s1", isThere: false, store: `file://${scene.store}` }];
    expect(documentOf(plan)).toEqual({ type: "restore", dryRun: true, steps, fallOvers: [] });
    const restored = expectDocument(await run(["restore", "tank/src"], "--to", "pool/x", ...scene.asBob), "restore");
    expect(restored).toMatchObject({ dryRun: false, fetchedBytes: put.storedBytes });

    expect(expectDocument(await run(["verify"], ...scene.asBob), "verify")).toMatchObject({ level: "stream", complete: true, findings: [] });
    const copy = join(scene.folder, "copy");
    expect(expectDocument(await run(["download", "tank/src@s1", copy]), "download")).toMatchObject({ backups: ["tank/src@s1"], folder: copy });
    const rebuilt = expectDocument(await run(["state", "rebuild"]), "state-rebuild");
    expect(rebuilt).toMatchObject({ anchors: { "tank/src": "tank/src@s1" }, backupCount: 1, damagedCount: 0 });
  });

  it("backup prints one document a job, and so does a plan", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    const words = ["backup", "--json", "--dataset", "tank/src", ...scene.place, ...scene.small, ...scene.forBob];
    const plan = expectDocument(await scene.run([...words, "--dry-run"], { env: pool.env }), "backup");
    expect(plan).toMatchObject({ dryRun: true, plan: { kind: "full", base: null }, backup: null, guid: null, streamBytes: null });
    const done = expectDocument(await scene.run(words, { env: pool.env }), "backup");
    expect(done).toMatchObject({ dryRun: false, job: "tank/src", dataset: "tank/src", guid: "13043067825435035368", streamBytes: 473_200 });
  });

  it("init prints one document", async () => {
    const scene = new Scene();
    const document = expectDocument(await scene.run(["init", "--json", "--store", scene.store]), "init");
    expect(document).toMatchObject({ file: join(scene.folder, "zferry.yaml"), jobs: ["tank-data"], store: scene.store });
    expect(document.obstacle).toContain("cannot read the passphrase file");
  });

  it("a damaged manifest is listed with its key and code", async () => {
    const scene = new Scene();
    await scene.put("tank/src@s1", recorded("inc-i"));
    writeFileSync(join(scene.store, "manifests/tank/src@s1.json"), "{}");
    const ended = await scene.run(["list", "--json", ...scene.place]);
    const document = documentOf(ended);
    expect(ended.exit).toBe(3);
    expect(ended.stderr).toContain('"code":"findings"');
    const damaged = { key: "manifests/tank/src@s1.json", code: "manifest-invalid", message: expect.stringContaining("damaged") as string };
    expect(document).toEqual({ type: "list", backups: [], damaged: [damaged] });
  });

  it.for([
    [["list", "--store", "/nowhere"], "store-not-found", 15],
    [["list", "--nope"], "usage", 2],
    [["bogus"], "usage", 2],
  ] as const)("%j ends with a line that tells code, message, hint and exit status", async ([words, code, exit]) => {
    const ended = await new Scene().spawn(["--json", ...words]);
    expect(ended.exit).toBe(exit);
    expect(ended.stdout.toString()).toBe("");
    const last = JSON.parse(ended.stderr.trimEnd().split("\n").at(-1) ?? "") as unknown;
    expect(last).toEqual({ type: "error", time: expect.stringMatching(/Z$/) as string, level: "error", code, exit, message: expect.any(String) as string, hint: expect.any(String) as string });
  });
});

describe("stdout", () => {
  it("of get holds the stream and nothing else, whatever is said on stderr", async () => {
    const scene = new Scene();
    await scene.put("tank/src@s1", recorded("inc-i"), "--packet", "none");
    for (const flags of [[], ["--json"], ["--log-level", "debug"]]) {
      const { stdout, stderr } = await scene.run(["get", "tank/src@s1", ...scene.place, ...scene.asBob, ...flags]);
      expect(stdout.equals(recorded("inc-i"))).toBe(true);
      expect(stderr).not.toBe("");
    }
  });

  it("of a run that fails is empty", async () => {
    const scene = new Scene();
    await scene.put("tank/src@s1", recorded("full"));
    const [chunk = ""] = filesUnder(scene.store).filter((file) => file.endsWith(".000000"));
    rmSync(join(scene.store, chunk));
    expect(await scene.run(["get", "tank/src@s1", ...scene.place, ...scene.asBob])).toMatchObject({ exit: 13, stdout: Buffer.alloc(0) });
  });

  it("--log-level error leaves only the error on stderr", async () => {
    const scene = new Scene();
    const quiet = await scene.run(["put", "tank/src@s1", ...scene.place, ...scene.small, ...scene.forBob, "--log-level", "error"], { stdin: recorded("inc-i") });
    expect(quiet).toMatchObject({ exit: 0, stderr: "" });
  });
});

describe("no secret", () => {
  it("is in any output, argument, environment, state file or stored object", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    const script = scene.write("spy", `#!/bin/sh\nenv >> '${scene.folder}/environments'\nexec zfs "$@"\n`, 0o700);
    const env = { ...pool.env, BACKUP_PASSPHRASE: passphrase };
    const common = [...scene.place, "--passphrase-env", "BACKUP_PASSPHRASE", "--log-level", "debug", "--zfs", script];
    const wrong = ["--passphrase-file", scene.write("wrong", "nothing like it\n")];
    const ended = [
      await scene.spawn(["backup", "--dataset", "tank/src", "--full-every", "36500d", ...common, ...scene.small], { env }),
      await scene.spawn(["list", ...scene.place, "--json"], { env }),
    ];
    expect(ended.map(({ exit }) => exit)).toEqual([0, 0]);
    const [backup] = (documentOf(ended[1] ?? never()).backups as { backup: string }[]).map((one) => parseSnapshotName(one.backup));
    if (backup === undefined) throw new Error("nothing was listed");
    ended.push(
      await scene.run(["restore", "tank/src", "--to", "pool/back", ...common, "--json"], { env }),
      await scene.run(["get", backup, ...scene.place, "--log-level", "debug", ...wrong], { env }),
    );
    expect(ended.map(({ exit }) => exit)).toEqual([0, 0, 0, 12]);

    const sessionKey = await sessionKeyOf(scene, backup);
    const secrets = [Buffer.from(passphrase), sessionKey, Buffer.from(sessionKey.toString("hex")), Buffer.from(sessionKey.toString("base64"))];
    const places = new Map<string, Buffer>(ended.flatMap(({ stdout, stderr }, index) => [[`stdout ${index}`, stdout], [`stderr ${index}`, Buffer.from(stderr)]] as const));
    for (const folder of [scene.folder, pool.folder]) {
      for (const file of filesUnder(folder)) if (file !== "passphrase") places.set(file, readFileSync(join(folder, file)));
    }
    expect([...places.keys()]).toEqual(expect.arrayContaining(["environments", "calls.log", "state/state.json", `store/${manifestKey(backup)}`]));
    expect(places.get("environments")?.toString()).toContain("LC_ALL=C");
    for (const [name, bytes] of places) expect([name, secrets.findIndex((secret) => bytes.includes(secret))]).toEqual([name, -1]);
  });

  function never(): never {
    throw new Error("there is no such run");
  }

  async function sessionKeyOf(scene: Scene, backup: ReturnType<typeof parseSnapshotName>): Promise<Buffer> {
    const store = new MemoryStore();
    const { signal } = new AbortController();
    await store.put(manifestKey(backup), readFileSync(join(scene.store, manifestKey(backup))), { when: "create", signal });
    const { sessionKey } = await openBackup(store, backup, { passphrases: [passphrase], privateKeys: [] }, signal);
    return sessionKey ?? never();
  }
});
