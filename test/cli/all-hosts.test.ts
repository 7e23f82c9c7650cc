import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hostsBelow } from "../../src/hosts.ts";
import { appendRun } from "../../src/history.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import { urlBelow } from "../../src/store/url.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { ago, hourMs, now, runOf } from "../status/standings.ts";
import { documentOf, recorded, Scene } from "./zferry.ts";

const { signal } = new AbortController();

describe("hosts below a place", () => {
  it("are the folders right below it that have manifests, however their names sort", async () => {
    const store = new MemoryStore();
    const keys = ["a/manifests/t@x.json", "a/streams/t@x/00000000/t@x.zfs.gpg.000000", "a.b/manifests/t@x.json", "a0/manifests/t@x.json", "a0", "b/streams/t@x", "c/locks/t.json", "d/e/manifests/t@x.json", "manifests/t@x.json", "web 1/manifests/t@x.json"];
    for (const key of keys) await store.put(key, Buffer.from("x"), { when: "create", signal });
    expect(await hostsBelow(store, { signal })).toEqual(["a.b", "a", "a0", "web 1"]);
  });

  it("are each found once, also where a server lists what sorts before what was asked for", async () => {
    const store = new MemoryStore();
    for (const key of ["a/manifests/t@x.json", "b/manifests/t@x.json"]) await store.put(key, Buffer.from("x"), { when: "create", signal });
    const list: typeof store.list = (prefix, options) => MemoryStore.prototype.list.call(store, prefix, { signal: options.signal });
    expect(await hostsBelow(Object.assign(Object.create(store) as MemoryStore, { list }), { signal })).toEqual(["a", "b"]);
  });

  it.for([
    ["s3://backups?endpoint=https://h/&region=x", "web1", "s3://backups/web1?endpoint=https://h/&region=x"],
    ["s3://backups/all/", "a b?c", "s3://backups/all/a%20b%3Fc"],
    ["file:///srv/all", "a#b", "file:///srv/all/a%23b"],
    ["/srv/all?/", "a b", "/srv/all?/a b"],
    ["./all", "web1", "./all/web1"],
  ] as const)("of %j one %j has the URL %j", ([root, folder, url]) => {
    expect(urlBelow(root, folder)).toBe(url);
  });
});

/** Three hosts, all of which have a dataset of the same name; two are pulled by jobs here. */
async function threeHosts(): Promise<{ scene: Scene; root: string; flags: readonly string[] }> {
  const scene = new Scene();
  const root = join(scene.folder, "all");
  const urlOf = (host: string): string => join(root, host);
  const put = async (host: string, backup: string, stream: string): Promise<void> => {
    const words = ["put", backup, "--store", urlOf(host), "--state-dir", scene.stateDir, ...scene.small, ...scene.forBob];
    const { exit, stderr } = await scene.run(words, { stdin: recorded(stream), now: ago(2 * hourMs) });
    expect(exit, stderr).toBe(0);
  };
  await put("web1", "tank/src@s1", "full");
  await put("web1", "tank/src@s2", "inc-i");
  await put("db1", "tank/src@s1", "holes");
  await put("laptop", "tank/src@s1", "comp-lz4");
  const config = scene.write(
    "zferry.yaml",
    `state_dir: ${scene.stateDir}
stores: {db1: {url: ${urlOf("db1")}}, web1: {url: ${urlOf("web1")}}}
jobs:
  web: {dataset: tank/src, store: web1, zfs: [ssh, web1, zfs]}
  db: {dataset: tank/src, store: db1, zfs: [ssh, db1, zfs]}
`,
  );
  for (const job of ["web", "db"]) await appendRun(scene.stateDir, runOf(hourMs, { job, dataset: parseDatasetName("tank/src") }));
  return { scene, root, flags: ["--config", config] };
}

describe("zferry list --all-hosts", () => {
  it("lists every store of the configuration under its name, and with --store every host that is there", async () => {
    const { scene, root, flags } = await threeHosts();
    const text = (await scene.run(["list", "--all-hosts", ...flags])).stdout.toString().trim().split("\n");
    expect(text.map((line) => /^(\S+) .*? (backup|tank\/src@\S+)( \(|$)/.exec(line)?.slice(1, 3))).toEqual([
      ["host", "backup"],
      ["db1", "tank/src@s1"],
      ["web1", "tank/src@s1"],
      ["web1", "tank/src@s2"],
    ]);
    const document = documentOf(await scene.run(["list", "--all-hosts", "--json", "--store", root, ...flags])) as { hosts: object[]; backups: { host: string; backup: string }[] };
    expect(document.backups.map(({ host, backup }) => `${host} ${backup}`)).toEqual(["db1 tank/src@s1", "laptop tank/src@s1", "web1 tank/src@s1", "web1 tank/src@s2"]);
    expect(document.hosts[2]).toEqual({ host: "web1", store: `file://${join(root, "web1")}`, backupCount: 2, error: null });
  });

  it("of one dataset, of each host that has it; others are named", async () => {
    const { scene, flags } = await threeHosts();
    const { stdout, exit } = await scene.run(["list", "tank/other", "--all-hosts", ...flags]);
    expect([exit, stdout.toString()]).toEqual([0, "db1: no backups\nweb1: no backups\n"]);
  });

  it("shows the others when one cannot be listed, and ends with 3", async () => {
    const { scene, root, flags } = await threeHosts();
    rmSync(join(root, "db1"), { recursive: true });
    const { stdout, stderr, exit } = await scene.run(["list", "--all-hosts", ...flags]);
    expect(stdout.toString()).toContain("web1  2");
    expect([exit, stderr]).toEqual([3, expect.stringContaining('1 of 2 hosts could not be listed: "db1"')]);
  });

  it("without any store asks for one", async () => {
    const { exit, stderr } = await new Scene().run(["list", "--all-hosts"]);
    expect([exit, stderr]).toEqual([2, expect.stringContaining("there is no store to look for hosts in")]);
  });
});

describe("zferry status --all-hosts", () => {
  it("says whose each dataset is, and takes none of another host for a copy", async () => {
    const { scene, flags } = await threeHosts();
    const { stdout, stderr, exit } = await scene.run(["status", "--all-hosts", "--check", ...flags], { now });
    expect([exit, stderr]).toEqual([0, ""]);
    const lines = stdout.toString().trim().split("\n");
    expect(lines.map((line) => line.split(/ +/).slice(0, 3))).toEqual([["host", "job", "dataset"], ["db1", "db", "tank/src"], ["web1", "web", "tank/src"]]);
    const { datasets } = documentOf(await scene.run(["status", "--json", ...flags], { now })) as { datasets: { held: { store: string }; copies: object[] }[] };
    expect(datasets.map(({ held, copies }) => [held.store, copies])).toEqual([["web1", []], ["db1", []]]);
  });

  it("shows what other machines have stored below a place", async () => {
    const { scene, root, flags } = await threeHosts();
    const words = ["status", "--all-hosts", "--store", root, ...flags];
    const lines = (await scene.run(words, { now })).stdout.toString().trim().split("\n");
    expect(lines.map((line) => line.split(/ +/)[0])).toEqual(["host", "db1", "laptop", "web1"]);
    expect(lines[2]?.indexOf("elsewhere:")).toBe(lines[0]?.indexOf("state"));
    expect(lines[2]).toMatch(/^laptop +- +tank\/src +.* full .* elsewhere: no job here backs it up$/);
    const document = documentOf(await scene.run([...words, "--json"], { now })) as { datasets: { host: string }[]; elsewhere: object[] };
    expect(document.datasets.map(({ host }) => host)).toEqual(["web1", "db1"]);
    expect(document.elsewhere).toEqual([expect.objectContaining({ host: "laptop", dataset: "tank/src", backupCount: 1, newest: "tank/src@s1" })]);
  });

  it("goes with neither --notify nor --serve", async () => {
    const { scene, flags } = await threeHosts();
    expect((await scene.run(["status", "--all-hosts", "--notify", ...flags], { now })).exit).toBe(2);
  });
});
