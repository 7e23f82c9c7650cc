/** Mode `files` with engine `s3` by the command line: a night on a real bucket, what is told of it, and what comes back. */
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, type TestContext } from "vitest";
import { MiB } from "../../src/bytes.ts";
import { listKey, runId } from "../../src/format/file-layout.ts";
import { openStore } from "../../src/store/open.ts";
import { defaultRetryPolicy } from "../../src/store/retry.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { documentOf, type Ended } from "../cli/zferry.ts";
import { blocksOf, Machine } from "../docs/blocks.ts";
import { startFaultProxy } from "../fault-proxy.ts";
import { type Bucket, newBucket } from "../system/bucket.ts";
import { need } from "../systems.ts";
import { TreeScene } from "../tree/scene.ts";
import { FilesNight, nightInBucket } from "./files-night.ts";
import { described } from "./tree.ts";

const left: Bucket[] = [];
afterEach(async () => {
  while (left.length > 0) await left.pop()?.remove();
});

async function nightOn(context: TestContext, more = ""): Promise<{ night: FilesNight; bucket: Bucket; run: (...words: string[]) => Promise<Ended> }> {
  const bucket = await newBucket(need(context, "s3"));
  left.push(bucket);
  const night = nightInBucket(bucket.url, { more });
  return { night, bucket, run: (...words) => night.run(words, bucket.env) };
}

describe("a night of engine s3", () => {
  it("stores what is new, is in history and status, and comes back equal, all and one path", async (context) => {
    const { night, run, bucket } = await nightOn(context, "      keep: { last: 2 }\n");
    const first = await run("backup");
    expect([first.exit, first.stdout.toString()]).toEqual([0, expect.stringMatching(/^papers: files stored, run 000001-[^:]*: 2 of 2 files sent, /)]);
    writeFileSync(join(night.tree, "f"), "changed a little");
    const [line = ""] = (await run("backup", "--json")).stdout.toString().split("\n");
    expect(JSON.parse(line)).toMatchObject({ outcome: "stored", files: { engine: "s3", exitStatus: null, stored: { sentCount: 1, fileCount: 2, unreadableCount: 0 } } });
    expect((await night.runs).map(({ outcome, storeUrl }) => [outcome, storeUrl])).toEqual([["stored", "far"], ["stored", "far"]]);
    expect(documentOf(await run("status", "--json"))).toMatchObject({ ok: true, datasets: [{ job: "papers", store: "far", state: "ok" }] });
    night.expectTidy();
    const listed = documentOf(await run("files", "list", "--json"));
    expect(listed).toMatchObject({ runs: [{ job: "papers", dataset: "tank/src", fileCount: 2 }, { fileCount: 2, error: null }] });
    expect((await run("files", "list", "papers", "--run", "000002")).stdout.toString()).toBe("./\nf\nsub/\nsub/a%20b\n");
    const paths = (await run("files", "list", "papers", "--run", "000002", "--json")).stdout.toString().trimEnd().split("\n");
    const folder = { kind: "folder", sizeBytes: null, sentBy: null };
    expect(paths.map((text) => JSON.parse(text) as unknown)).toMatchObject([
      ...[{ type: "files-entry", path: ".", ...folder }, { path: "f", kind: "file", sizeBytes: 16, sentBy: expect.stringMatching(/^000002-/) as string, linkTo: null, changed: false }],
      ...[{ path: "sub", ...folder }, { path: "sub/a%20b", sizeBytes: 12, sentBy: expect.stringMatching(/^000001-/) as string }],
      { type: "files-paths", job: "papers", dataset: "tank/src", run: expect.stringMatching(/^000002-/) as string },
    ]);
    const all = await run("files", "restore", "papers", "--into", "back", "--json");
    expect(documentOf(all)).toMatchObject({ type: "files-restore", fileCount: 2, folderCount: 2 });
    expect(described(join(night.scene.folder, "back"), { hardLinks: true })).toEqual(described(night.tree, { hardLinks: true }));
    const one = await run("files", "restore", "papers", "sub/a b", "--run", "000001", "--into", "one");
    expect([one.exit, readFileSync(join(night.scene.folder, "one", "sub", "a b"), "utf8")]).toEqual([0, "some content"]);
    expect((await run("files", "restore", "papers", "--into", "back")).exit).toBe(14);
    expect((await run("backup")).exit).toBe(0);
    expect((await bucket.keys()).filter((key) => key.includes("file-lists/"))).toHaveLength(2);
    expect((await bucket.keys()).filter((key) => key.includes("/locks/"))).toEqual([]);
  }, 300_000);

  it("with a wrong passphrase nothing is restored, and nothing is told of the files", async (context) => {
    const { night, run } = await nightOn(context);
    await run("backup");
    night.scene.write("passphrase", "another passphrase\n");
    const { exit, stdout } = await run("files", "restore", "papers", "--into", "back");
    expect([exit, stdout.toString(), existsSync(join(night.scene.folder, "back"))]).toEqual([12, "", false]);
  }, 300_000);

  it("that is killed is gone on with by the next one, and leaves nothing", async (context) => {
    const { night, run, bucket } = await nightOn(context);
    writeFileSync(join(night.tree, "sub", "late"), "sent last");
    const preload = new URL("../system/kill-at.mjs", import.meta.url).href;
    const killed = await night.scene.spawn(["backup"], { env: { ...bucket.env, ...night.variables, NODE_OPTIONS: `--import ${preload}`, KILL_AT: "after s3 PUT root#3" } });
    expect(killed.killedBy).toBe("SIGKILL");
    expect(documentOf(await run("files", "list", "papers", "--json"))).toMatchObject({ runs: [] });
    const next = await run("backup");
    expect([next.exit, next.stderr]).toEqual([0, expect.stringContaining("a run of papers was killed")]);
    const keys = await bucket.keys();
    expect([keys.filter((key) => key.includes("/files/")).length, keys.filter((key) => key.includes("file-lists/")).length]).toEqual([3, 1]);
    await run("files", "restore", "papers", "--into", "back");
    expect(described(join(night.scene.folder, "back"), { hardLinks: true })).toEqual(described(night.tree, { hardLinks: true }));
    night.expectTidy();
  }, 300_000);

  it("that takes too long ends, is told of, and is gone on with by the next one, which is told of, too", async (context) => {
    const system = need(context, "s3");
    const bucket = await newBucket(system);
    left.push(bucket);
    const proxy = await startFaultProxy(Number(new URL(system.endpoint).port));
    const stuck = { match: /^PUT .*\/files\//, times: Infinity, fault: { kind: "hang" } } as const;
    proxy.add(stuck);
    try {
      const night = nightInBucket(bucket.url.replace(system.endpoint, `http://127.0.0.1:${proxy.port}`), { more: "      timeout: 1s\n", forBob: true });
      const told = join(night.scene.folder, "told");
      appendFileSync(join(night.scene.folder, "zferry.yaml"), `notify: [{ type: command, command: [sh, -c, "cat >> ${told}; echo >> ${told}"], on: [failure, success, recovery], min_interval: 0s }]\n`);
      const late = await night.run(["backup"], bucket.env);
      expect([late.exit, late.stderr, proxy.hitCount(stuck) > 0]).toEqual([18, expect.stringContaining("the files took longer than 1 s"), true]);
      night.expectTidy();
      proxy.heal();
      writeFileSync(join(night.scene.folder, "zferry.yaml"), readFileSync(join(night.scene.folder, "zferry.yaml"), "utf8").replace("timeout: 1s", "timeout: 1h"));
      expect(await night.run(["backup"], bucket.env)).toMatchObject({ exit: 0 });
      const messages = readFileSync(told, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as { kind: string; job: string; text: string });
      expect(messages.map(({ kind, job }) => [kind, job])).toEqual([["failure", "papers"], ["recovery", "papers"], ["success", "papers"]]);
      expect(messages[0]?.text).toContain("the files took longer than 1 s");
      expect((await bucket.keys()).filter((key) => key.endsWith(".begun"))).toEqual([]);
      // A list that a run drops while lists are looked at is none any more.
      proxy.add({ match: /^GET .*\.jsonl/, times: 1, fault: { kind: "status", status: 404, code: "NoSuchKey" } });
      expect(documentOf(await night.run(["files", "list", "--json"], bucket.env))).toMatchObject({ runs: [] });
      proxy.assertAllFired();
    } finally {
      await proxy.close();
    }
  }, 300_000);

  it("into a folder is refused before services are stopped", async () => {
    const night = new FilesNight("      engine: s3\n", { more: "    store: near\n" });
    const file = join(night.scene.folder, "zferry.yaml");
    writeFileSync(file, `${readFileSync(file, "utf8")}stores: { near: { url: ${night.scene.store} } }\nencryption: { packet: none }\n`);
    const { exit, stderr } = await night.run(["backup"]);
    expect([exit, stderr]).toEqual([2, expect.stringContaining("needs a bucket")]);
    expect(night.pool.calls("snapshot")).toEqual([]);
  });
});

it("what docs/files-mode.md says of restoring is done to the letter", async (context) => {
  const system = need(context, "s3");
  const bucket = await newBucket(system);
  left.push(bucket);
  const machine = new Machine(["tank/documents"]);
  const { scene } = machine;
  const store = await openStore(bucket.url, { partBytes: 5 * MiB, concurrency: 2, retry: defaultRetryPolicy, access: "write", environment: bucket.env });
  const tree = new TreeScene(store);
  const ofPage = { job: "documents", dataset: parseDatasetName("tank/documents") };
  const { signal } = new AbortController();
  mkdirSync(join(tree.tree, "letters/2026"), { recursive: true });
  for (const name of ["letters/2026/a b", "letters/old", "f"]) writeFileSync(join(tree.tree, name), name);
  // The page speaks of the twelfth run: the eleventh was begun, and came to nothing.
  await store.put(listKey(ofPage, runId(11, tree.now, "0a0b0c"), "begun"), Buffer.from("{}"), { when: "create", signal });
  const certificates = [readFileSync(scene.certificate("bob"), "utf8")];
  await tree.save({ ...ofPage, place: { store, packet: "ocb", recipients: { passphrases: [], certificates }, keyring: { passphrases: [], privateKeys: [] }, partBytes: 5 * MiB, concurrency: 2, leaseMs: null } });
  await store.close();
  scene.write("keys", `AWS_ACCESS_KEY_ID=${system.accessKeyId}\nAWS_SECRET_ACCESS_KEY=${system.secretAccessKey}\n`);
  const jobs = "documents: { dataset: tank/documents, mode: files, store: far, files: { engine: s3 } }";
  scene.write("root/etc/zferry/zferry.yaml", `stores: { far: { url: "${bucket.url}", credentials: { file: ${join(scene.folder, "keys")} } } }\njobs: { ${jobs} }\nencryption: { recipients: [${scene.certificate("bob")}], private_keys: [${scene.privateKey("bob")}] }\n`);
  const block = blocksOf("docs/files-mode.md").find(({ text }) => text.startsWith("zferry files list"));
  await machine.run(block?.text ?? "");
  expect(described(machine.path("/mnt/back"), { hardLinks: true })).toEqual(described(tree.tree, { hardLinks: true }));
  expect(readdirSync(machine.path("/mnt/letters"), { recursive: true }).sort()).toEqual(["letters", "letters/2026", "letters/2026/a b"]);
}, 300_000);
