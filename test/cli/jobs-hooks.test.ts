/**
 * Jobs with hooks: when services stop and start, what a hook that fails means, and how long all of it may take.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { readRuns, type RunRecord } from "../../src/history.ts";
import { nightly, type Pool } from "./pool.ts";
import { type Ended, Scene } from "./zferry.ts";

vi.setConfig({ testTimeout: 120_000 });

class HookedNight {
  readonly scene = new Scene();
  readonly pool: Pool = nightly({ datasets: { "tank/a": { snapshots: {} }, "tank/b": { snapshots: {} } } });

  /** A command that notes its name among the calls of zfs. */
  command(name: string, after = ""): string {
    return JSON.stringify(["/bin/sh", "-c", `echo '{"pid":1,"args":["${name}"]}' >> ${this.pool.folder}/calls.log; ${after}`]);
  }

  configure(jobs: string): void {
    this.scene.write(
      "zferry.yaml",
      `state_dir: state\nstores:\n  main:\n    url: ${this.scene.store}\n    part_size: 16KiB\n` +
        `encryption:\n  recipients: [${this.scene.certificate("bob")}]\ndefaults:\n  chunk_size: 64KiB\njobs:\n${jobs}`,
    );
  }

  /** The built program: hooks are run by a process of their own. */
  run(...words: string[]): Promise<Ended> {
    return this.scene.spawn(["backup", ...words], { env: this.pool.env });
  }

  /** Verbs and hooks in the order in which they came. */
  get order(): string[] {
    const lines = readFileSync(join(this.pool.folder, "calls.log"), "utf8").trim().split("\n");
    return lines.map((line) => (JSON.parse(line) as { args: string[] }).args[0] ?? "");
  }

  get runs(): Promise<readonly RunRecord[]> {
    return readRuns(this.scene.stateDir, (text) => expect.fail(text));
  }

  get intents(): boolean {
    return existsSync(join(this.scene.stateDir, "journal"));
  }
}

describe("jobs with hooks", () => {
  it("stop their services for the one atomic snapshot of their group and for nothing else, a shared hook once", async () => {
    const night = new HookedNight();
    const hook = (name: string): string => `{name: ${name}, before_snapshot: ${night.command(`stop-${name}`)}, after_snapshot: ${night.command(`start-${name}`)}}`;
    night.configure(`  a: {dataset: tank/a, group: g, hooks: [${hook("db")}]}\n  b: {dataset: tank/b, group: g, hooks: [${hook("db")}, ${hook("web")}]}\n`);
    const { exit, stderr } = await night.run();
    expect(exit, stderr).toBe(0);
    const around = night.order.slice(night.order.indexOf("stop-db"), night.order.lastIndexOf("start-db") + 1);
    expect(around).toEqual(["stop-db", "stop-web", "snapshot", "start-web", "start-db"]);
    expect(night.order.indexOf("send")).toBeGreaterThan(night.order.indexOf("start-db"));
    expect(night.scene.manifests).toHaveLength(2);
    for (const { downtimeMs } of await night.runs) expect(downtimeMs).toBeGreaterThan(0);
  });

  it("store nothing when a service does not stop: status 16, the service is up, and no snapshot is left", async () => {
    const night = new HookedNight();
    night.configure(`  a: {dataset: tank/a, hooks: [{name: db, before_snapshot: ${night.command("stop", "exit 3")}, after_snapshot: ${night.command("start")}}]}\n`);
    const { exit, stderr } = await night.run();
    expect(exit, stderr).toBe(16);
    expect(night.order).toContain("start");
    expect(night.order).not.toContain("snapshot");
    expect(night.scene.manifests).toEqual([]);
    expect((await night.runs).map(({ outcome, error }) => [outcome, error?.code])).toEqual([["failed", "hook-failed"]]);
    for (const { downtimeMs } of await night.runs) expect(downtimeMs).toBeGreaterThan(0);
  });

  it("store everything when a service does not start again, and then end with 16", async () => {
    const night = new HookedNight();
    night.configure(`  a: {datasets: [tank/a, tank/b], hooks: [{name: db, before_snapshot: ${night.command("stop")}, after_snapshot: ${night.command("start", "exit 3")}}]}\n`);
    const { exit, stderr } = await night.run();
    expect(exit, stderr).toBe(16);
    expect(night.scene.manifests).toHaveLength(2);
    expect((await night.runs).map(({ outcome }) => outcome)).toEqual(["stored", "stored"]);
  });

  it("are not run with --dry-run", async () => {
    const night = new HookedNight();
    night.configure(`  a: {dataset: tank/a, hooks: [{name: db, before_snapshot: ${night.command("stop")}}]}\n`);
    expect((await night.run("--dry-run")).exit).toBe(0);
    expect(night.order).not.toContain("stop");
    expect(night.intents).toBe(false);
  });

  it("that keep services down for longer than max_downtime say so, and fail nothing", async () => {
    const night = new HookedNight();
    night.configure(`  a: {dataset: tank/a, max_downtime: 1s, hooks: [{name: db, before_snapshot: ${night.command("stop", "sleep 1.1")}}]}\n`);
    const { exit, stderr } = await night.run();
    expect(exit, stderr).toBe(0);
    expect(stderr).toMatch(/warning: a: services were down for \d+\.\d s, and max_downtime is 1 s/);
  });
});
