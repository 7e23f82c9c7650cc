/**
 * `zferry init` and the first night after it, as a new user meets them.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parseConfig } from "../../src/index.ts";
import { nightly } from "./pool.ts";
import { recordedAt, Scene } from "./zferry.ts";

it("writes a configuration with which the first night works", async () => {
  const [scene, pool] = [new Scene(), nightly()];
  const values = ["--store", scene.store, "--dataset", "tank/src", "--passphrase-file", scene.passphraseFile];
  const init = await scene.run(["init", ...values]);
  expect(init).toMatchObject({ exit: 0 });
  expect(init.stdout.toString()).toBe(`wrote ${join(scene.folder, "zferry.yaml")}\n`);
  expect(init.stderr).not.toContain("warning");

  const plan = await scene.run(["backup", "--dry-run"], { env: pool.env });
  expect(plan).toMatchObject({ exit: 0, stdout: Buffer.from("tank-src: would make: full, there is no full backup in the store yet\n") });
  expect(scene.objects).toEqual([]);
  expect(await scene.run(["backup"], { env: pool.env })).toMatchObject({ exit: 0 });
  const second = await scene.run(["backup", "tank-src"], { env: pool.env, now: new Date(recordedAt.getTime() + 86_400_000) });
  expect(second.stdout.toString()).toMatch(/^tank-src: stored incremental backup tank\/src@zferry-20261122T074200Z: /);
  const restored = await scene.run(["restore", "tank/src", "--to", "pool/back"], { env: pool.env });
  expect(restored).toMatchObject({ exit: 0 });
  expect(pool.received(1)?.ended).toBe(true);
});

it("writes only what its reader takes, for its owner's eyes", async () => {
  const scene = new Scene();
  await scene.run(["init", "--config", "my.yaml", "--store", "s3://bucket/a b?region=auto", "--dataset", "tank/with space/x"]);
  const file = join(scene.folder, "my.yaml");
  const { stores, jobs } = parseConfig(readFileSync(file, "utf8"), file);
  expect(stores.get("main")).toMatchObject({ url: "s3://bucket/a b?region=auto" });
  expect(jobs.get("tank-with space-x")).toMatchObject({ datasets: ["tank/with space/x"], store: "main" });
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

it.for([
  ["a dataset with a longer name than a job may have", `tank/${"x".repeat(200)}`, `tank-${"x".repeat(95)}`],
  ["one with just the longest", `tank/${"x".repeat(95)}`, `tank-${"x".repeat(95)}`],
])("names the job of %s so that its reader takes it", async ([, dataset = "", job]) => {
  const scene = new Scene();
  expect(await scene.run(["init", "--store", scene.store, "--dataset", dataset])).toMatchObject({ exit: 0 });
  const { jobs } = parseConfig(readFileSync(join(scene.folder, "zferry.yaml"), "utf8"), "zferry.yaml");
  expect([...jobs.values()]).toMatchObject([{ name: job, datasets: [dataset] }]);
});

it("every setting in it that is commented out shows its default", async () => {
  const scene = new Scene();
  await scene.run(["init", "--store", "/x"]);
  const text = readFileSync(join(scene.folder, "zferry.yaml"), "utf8");
  const spelled = text.replace(/^( *)# ((?:part_size|concurrency|retry_for|packet|chunk_size|full_every|snapshot_prefix|zfs): .*)$/gm, "$1$2");
  expect(spelled).not.toBe(text);
  expect(parseConfig(spelled, "spelled")).toEqual(parseConfig(text, "text"));
});

it("tells what keeps it from working yet", async () => {
  const scene = new Scene();
  const { exit, stderr } = await scene.run(["init", "--passphrase-file", "/nowhere/secret"]);
  expect(exit).toBe(0);
  expect(stderr).toContain('warning: cannot read the passphrase file "/nowhere/secret"');
});

it("never overwrites", async () => {
  const scene = new Scene();
  const file = scene.write("zferry.yaml", "# mine\n");
  const { exit, stderr } = await scene.run(["init"]);
  expect(exit).toBe(2);
  expect(stderr).toContain("it exists");
  expect(stderr).toContain("zferry: hint: ");
  expect(readFileSync(file, "utf8")).toBe("# mine\n");
});

it.for([
  [["--store", "ftp://x"], "there is no kind of store"],
  [["--dataset", "tank@x"], "is not a dataset name"],
  [["--config", "no/such/folder.yaml"], "ENOENT"],
] as const)("writes nothing with %j", async ([flags, why]) => {
  const scene = new Scene();
  const { exit, stderr } = await scene.run(["init", ...flags]);
  expect(exit).toBe(2);
  expect(stderr).toContain(why);
  expect(() => statSync(join(scene.folder, "zferry.yaml"))).toThrow("ENOENT");
});
