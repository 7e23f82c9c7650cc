import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ago, hourMs, now } from "../status/standings.ts";
import { filesUnder, recorded, Scene } from "./zferry.ts";

/** Two datasets in two stores, and the jobs they are of. */
async function twoStores(): Promise<{ scene: Scene; flags: readonly string[]; file: string; page: () => string }> {
  const scene = new Scene();
  const urlOf = (name: string): string => join(scene.folder, "all", name);
  for (const [name, backup, stream] of [["web", "tank/src@s1", "full"], ["web", "tank/src@s2", "inc-i"], ["db", "tank/db@s1", "holes"], ["laptop", "tank/old@s1", "comp-lz4"]] as const) {
    const words = ["put", backup, "--store", urlOf(name), "--state-dir", scene.stateDir, ...scene.small, ...scene.forBob];
    expect((await scene.run(words, { stdin: recorded(stream), now: ago(2 * hourMs) })).exit).toBe(0);
  }
  const stores = ["web", "db", "laptop"].map((name) => `  ${name}: {url: ${urlOf(name)}}\n`).join("");
  const config = scene.write("zferry.yaml", `state_dir: ${scene.stateDir}\nstores:\n${stores}jobs:\n  web: {dataset: tank/src, store: web}\n  db: {dataset: tank/db, store: db}\n`);
  const file = join(scene.folder, "report.html");
  return { scene, flags: ["--config", config, "--html", file], file, page: () => readFileSync(file, "utf8") };
}

describe("zferry report --html", () => {
  it("writes one file with the jobs that are named, or all, and says where", async () => {
    const { scene, flags, file, page } = await twoStores();
    const { exit, stdout, stderr } = await scene.run(["report", "--check", ...flags], { now });
    expect([exit, stdout.toString(), stderr]).toEqual([0, "", expect.stringMatching(/^zferry: wrote ".*report\.html": 2 datasets, \d+(\.\d+)? KiB\n$/)]);
    expect(page().match(/<h2 id="d\d-title">.*<\/h2>/g)).toEqual(['<h2 id="d1-title">tank/src</h2>', '<h2 id="d2-title">tank/db</h2>']);
    expect(page().match(/<td>s2<\/td><td>incremental<\/td><td>s1<\/td>/g)).toHaveLength(1);
    expect([page().includes("tank/old"), statSync(file).mode & 0o777]).toEqual([false, 0o600]);
    expect((await scene.run(["report", "db", ...flags], { now })).exit).toBe(0);
    expect(page().match(/<h2 id="d\d-title">.*<\/h2>/g)).toEqual(['<h2 id="d1-title">tank/db</h2>']);
    expect((await scene.run(["report", "--all-hosts", "--check", ...flags], { now })).exit).toBe(0);
    expect(page().match(/<h2 id="d\d-title">.*<\/h2>/g)).toEqual(['<h2 id="d1-title">tank/src on web</h2>', '<h2 id="d2-title">tank/db on db</h2>', '<h2 id="d3-title">tank/old on laptop</h2>']);
    expect(page().match(/<b>Not judged:<\/b> no job here backs it up/g)).toHaveLength(2);
  });

  it("with --check has what is in the stores now, and notes what is damaged, and the store that is not there", async () => {
    const { scene, flags, page } = await twoStores();
    rmSync(join(scene.stateDir, "state.json"));
    const [manifest = ""] = filesUnder(join(scene.folder, "all", "web")).filter((name) => name.endsWith("@s2.json"));
    writeFileSync(join(scene.folder, "all", "web", manifest), "{}");
    rmSync(join(scene.folder, "all", "db"), { recursive: true });
    const { exit, stderr } = await scene.run(["report", "--check", "--retry-for", "0s", ...flags], { now });
    expect(exit).toBe(0);
    expect(page()).toMatch(/<h2 id="notes">To be known<\/h2>\n<ul>\n<li>web: &quot;manifests\/tank\/src@s2\.json&quot; cannot be used: manifest .*<\/li>\n<li>db: .*; what is remembered of it is shown<\/li>/);
    expect(page()).toContain("nothing is known of db; --check asks it");
    expect(stderr).toMatch(/warning: web: .*\n.*warning: db: /);
  });

  it.for([
    ["a folder that is not there", (folder: string) => join(folder, "none", "x.html"), 'cannot write "'],
    ["a device", () => "/dev/stdout", "is there and no file"],
  ] as const)("refuses to write to %s, and asks no store for it", async ([, pathOf, message]) => {
    const scene = new Scene();
    const config = scene.write("zferry.yaml", `state_dir: ${scene.stateDir}\njobs: {web: {dataset: tank/src, store: ${scene.store}}}\n`);
    const { exit, stderr } = await scene.run(["report", "--check", "--config", config, "--html", pathOf(scene.folder)], { now });
    expect([exit, stderr]).toEqual([2, expect.stringContaining(message)]);
  });

  it("refuses to guess where", async () => {
    const { exit, stderr } = await new Scene().run(["report"]);
    expect([exit, stderr]).toEqual([2, expect.stringContaining('required option "--html <file>" not specified')]);
  });
});
