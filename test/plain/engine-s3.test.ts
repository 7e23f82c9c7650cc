/** Mode `files` with engine `s3` by the command line: a night on a real bucket, what is told of it, and what comes back. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, type TestContext } from "vitest";
import { documentOf, type Ended } from "../cli/zferry.ts";
import { type Bucket, newBucket } from "../system/bucket.ts";
import { need } from "../systems.ts";
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

  it("into a folder is refused before services are stopped", async () => {
    const night = new FilesNight("      engine: s3\n", { more: "    store: near\n" });
    const file = join(night.scene.folder, "zferry.yaml");
    writeFileSync(file, `${readFileSync(file, "utf8")}stores: { near: { url: ${night.scene.store} } }\nencryption: { packet: none }\n`);
    const { exit, stderr } = await night.run(["backup"]);
    expect([exit, stderr]).toEqual([2, expect.stringContaining("needs a bucket")]);
    expect(night.pool.calls("snapshot")).toEqual([]);
  });
});
