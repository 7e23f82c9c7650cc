/** What the doctor finds on this machine, where jobs are configured. */
import { chmodSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import type { ProbeResult } from "../../src/doctor-probes.ts";
import { examineMachine } from "../../src/machine/examine.ts";
import { zfsThrough } from "../../src/zfs/command.ts";
import { Pool } from "../cli/pool.ts";
import { documentOf, Scene } from "../cli/zferry.ts";
import { fakeProgram } from "../zfs/fake.ts";

const datasets = { tank: {}, "tank/home": {}, "tank/srv": {}, "tank/srv/mail": {} };

function configOf(scene: Scene, jobs: string): string {
  return `state_dir: ${scene.stateDir}\nstores: { main: { url: "${scene.store}" } }\nencryption: { passphrase_file: "${scene.passphraseFile}" }\njobs:\n${jobs}`;
}

/** What the doctor says of a configuration with these jobs. */
async function examined(jobs: string, { edit = (text: string) => text, scene = new Scene() } = {}): Promise<readonly ProbeResult[]> {
  const config = parseConfig(edit(configOf(scene, jobs)), "zferry.yaml");
  const seen: ProbeResult[] = [];
  const environment = { PATH: process.env.PATH, ...new Pool({ datasets }).env };
  const results = await examineMachine({
    config,
    stateDir: config.stateDir ?? "",
    encryption: config.encryption,
    environment,
    isRoot: false,
    zfsFor: ({ zfs: [program, ...rest] }) => zfsThrough([program === "zfs" ? fakeProgram : program, ...rest], environment),
    storeUrlsOf: ({ store, copies }) => [store, ...copies.map((copy) => copy.store)],
    onResult: (result) => seen.push(result),
    signal: new AbortController().signal,
  });
  expect(seen).toEqual(results);
  for (const { outcome, consequence } of results) expect(consequence === null).toBe(outcome !== "finding");
  return results;
}

function findings(checks: readonly ProbeResult[]): string[] {
  return checks.filter(({ outcome }) => outcome === "finding").map(({ name, detail }) => `${name}: ${detail}`);
}

const sound = "  home: { dataset: tank/home, hooks: [{ name: sync, before_snapshot: [sh, -c, sync], after_snapshot: [/bin/sh] }] }\n  srv: { datasets: [tank/s*], recursive: true }\n";

describe("the doctor", () => {
  it("finds nothing where all is as the configuration says, and asks everything there is to ask", async () => {
    const checks = await examined(sound);
    expect(findings(checks)).toEqual([]);
    expect(checks.map(({ name }) => name)).toEqual(["state-folder", "secrets", "job home", "job srv", "zfs-permission", "overlaps", "hooks", "disabled"]);
    expect(checks.find(({ name }) => name === "job srv")?.detail).toBe("datasets: 2");
  });

  it("says so before it tries the store, and ends with 3 when something was found", async () => {
    const scene = new Scene();
    const { env } = new Pool({ datasets });
    const config = scene.write("other.yaml", configOf(scene, `${sound}  off: { dataset: tank, enabled: false }\n`));
    const found = await scene.run(["doctor", "--config", config], { env, now: new Date() });
    expect(found.stdout.toString()).toMatch(/^state-folder +ok .*\nsecrets +ok +passphrases: 1; certificates: 0; private keys: 0\njob home +ok .*\n(.*\n)*put +ok/);
    expect([found.exit, found.stderr]).toEqual([3, expect.stringContaining("not all is as it should be: disabled")]);
    const document = documentOf(await scene.run(["doctor", "--config", config, "--json"], { env, now: new Date() }));
    expect((document.machine as ProbeResult[]).at(-1)).toEqual({ name: "disabled", outcome: "finding", detail: 'disabled: "off"', consequence: expect.any(String) as string });
  });

  it.for([
    ["a dataset that is not there", "  a: { dataset: tank/gone }\n", 'job a: not there: "tank/gone"'],
    ["globs that match nothing", "  a: { datasets: [tank/x*, vault/**] }\n", 'job a: "tank/x*", "vault/**" match no dataset'],
    ["a glob that matches nothing beside one that does", "  a: { datasets: [tank/h*, tank/x*] }\n", 'job a: matching nothing: "tank/x*"'],
    ["an exclusion of nothing", "  a: { datasets: [tank/*], exclude: [tank/tmp] }\n", 'job a: matching nothing: "tank/tmp"'],
    ["two jobs with one dataset in one store", `${sound}  all: { datasets: ["**"] }\n`, 'overlaps: "tank/home" is backed up to one store by the jobs "home" and "all"'],
    ["a hook's program that is nowhere", "  a: { dataset: tank, hooks: [{ name: x, before_snapshot: [no-such-program] }] }\n", 'hooks: cannot be run: "no-such-program"'],
    ["a hook's program that is a folder", "  a: { dataset: tank, hooks: [{ name: x, after_snapshot: [/usr/bin] }] }\n", 'hooks: cannot be run: "/usr/bin"'],
    ["a hook's program that may not be executed", "  a: { dataset: tank, hooks: [{ name: x, after_snapshot: [/etc/passwd] }] }\n", 'hooks: cannot be run: "/etc/passwd"'],
    ["a disabled job", "  a: { dataset: tank, enabled: false }\n", 'disabled: disabled: "a"'],
    ["a zfs that cannot be run", "  a: { dataset: tank, zfs: [/no/zfs] }\n", "job a: "],
  ] as const)("finds %s", async ([, jobs, expected]) => {
    expect(findings(await examined(jobs))).toEqual([expect.stringContaining(expected)]);
  });

  it("lets jobs have one dataset where they are not both enabled, or have stores of their own", async () => {
    const scene = new Scene();
    const checks = await examined(`  a: { dataset: tank/home }\n  b: { dataset: tank/home, store: "${scene.folder}/other" }\n  c: { dataset: tank/home, enabled: false }\n`);
    expect(findings(checks)).toEqual(['disabled: disabled: "c"']);
  });

  it("finds two jobs that prune the snapshots of one dataset by different rules, and none where the rules are one", async () => {
    const scene = new Scene();
    const both = (one: string, other: string): string =>
      `  a: { dataset: tank/home, keep: { local: ${one} } }\n  b: { dataset: tank/home, store: "${scene.folder}/other", keep: { local: ${other} } }\n`;
    expect(findings(await examined(both("{ last: 3 }", "{ daily: 30 }")))).toEqual(['overlaps: the jobs "a" and "b" keep different snapshots of "tank/home" on the pool']);
    expect(findings(await examined(both("{ last: 3 }", "{ last: 3 }")))).toEqual([]);
    expect(findings(await examined(both("{ last: 3 }", "null")))).toEqual([]);
  });

  it("finds two jobs that copy one dataset into one store", async () => {
    const scene = new Scene();
    const copies = "copies: [{ store: main }]";
    const jobs = `  a: { dataset: tank/home, store: "${scene.folder}/a", ${copies} }\n  b: { dataset: tank/home, store: "${scene.folder}/b", ${copies} }\n`;
    expect(findings(await examined(jobs))).toEqual(['overlaps: "tank/home" is backed up to one store by the jobs "a" and "b"']);
  });

  it("looks at the stores the jobs have, whichever is tried", async () => {
    const scene = new Scene();
    const { env } = new Pool({ datasets });
    const config = scene.write("other.yaml", configOf(scene, `  a: { dataset: tank/home, store: main }\n  b: { dataset: tank/home, store: "${scene.folder}/other" }\n`));
    const { exit, stdout } = await scene.run(["doctor", "--config", config, "--store", `${scene.folder}/third`], { env, now: new Date() });
    expect([exit, stdout.toString()]).toEqual([0, expect.stringContaining("no dataset goes to one store by two jobs")]);
  });

  it("finds a passphrase that others can read, one that is missing, and none", async () => {
    const scene = new Scene();
    chmodSync(scene.passphraseFile, 0o644);
    expect(findings(await examined(sound, { scene }))).toEqual([expect.stringMatching(/^secrets: the passphrase file ".*" can be read by others \(mode 0644\)$/)]);
    const gone = await examined(sound, { edit: (text) => text.replace(/passphrase_file: ".*"/, "passphrase_file: /nowhere") });
    expect(findings(gone)).toEqual(['secrets: cannot read the passphrase file "/nowhere": ENOENT']);
    const none = await examined(sound, { edit: (text) => text.replace(/encryption: .*\n/, "") });
    expect(findings(none)).toEqual(["secrets: neither a passphrase nor a certificate is configured"]);
  });

  it("finds a state folder that cannot be", async () => {
    const checks = await examined(sound, { edit: (text) => text.replace(/state_dir: .*\n/, "state_dir: /etc/passwd/state\n") });
    expect(findings(checks)).toEqual(['state-folder: cannot write to "/etc/passwd"']);
  });
});
