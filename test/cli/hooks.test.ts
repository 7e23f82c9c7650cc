/** `zferry backup` of a job with hooks: the built program, its guard, and a pretended zfs that writes down what it was asked. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { built } from "../build.ts";
import { until } from "../quiesce/night.ts";
import { nightly, type Pool } from "./pool.ts";
import { type Ended, Scene } from "./zferry.ts";

beforeAll(built);

/** Kills the zferry whose guard runs this hook. */
const killZferry = "kill -9 $(cut -d ' ' -f 4 /proc/$PPID/stat)";

class Night {
  readonly scene = new Scene();
  readonly pool: Pool = nightly();
  readonly #config: string;

  constructor({ before = "", after = "" }: { before?: string; after?: string }) {
    const hook = (phase: string, more: string): string =>
      JSON.stringify(["/bin/sh", "-c", `echo "${phase} $ZFERRY_JOB $ZFERRY_DATASET $ZFERRY_SNAPSHOT" >>'${this.#path("log")}'\n${more}`]);
    const seen = `cp '${this.pool.folder}/calls.log' '${this.#path("calls")}'`;
    this.#config = this.scene.write(
      "zferry.yaml",
      `stores: { main: { url: ${JSON.stringify(this.scene.store)}, part_size: 16KiB } }
encryption: { recipients: [${JSON.stringify(this.scene.certificate("bob"))}] }
defaults: { chunk_size: 64KiB }
jobs:
  night:
    dataset: tank/src
    hooks:
      - name: service
        before_snapshot: ${hook("before", before)}
        after_snapshot: ${hook("after", `${seen}\n${after}`)}
        timeout: 10s
`,
    );
  }

  #path(name: string): string {
    return join(this.scene.folder, name);
  }

  /** Phase, job, dataset and snapshot of each hook that was begun. */
  get log(): string[][] {
    return existsSync(this.#path("log")) ? readFileSync(this.#path("log"), "utf8").trimEnd().split("\n").map((line) => line.split(" ")) : [];
  }

  get phases(): string[] {
    return this.log.map(([phase = ""]) => phase);
  }

  /** The verbs that zfs was called with before the last after-hook. */
  get verbsBeforeAfter(): string {
    return readFileSync(this.#path("calls"), "utf8");
  }

  get records(): string[] {
    return readdirSync(join(this.scene.stateDir, "quiesce"));
  }

  backup(...flags: string[]): Promise<Ended> {
    const words = ["backup", "--json", "--config", this.#config, "--state-dir", this.scene.stateDir, ...flags];
    return this.scene.spawn(words, { env: this.pool.env });
  }

  /** What the hooks look for to fail or not. */
  flag(name: string): string {
    return this.#path(name);
  }
}

describe("a job with hooks", () => {
  it("has its service down for the snapshot only: it is up before the first byte is sent", async () => {
    const night = new Night({});
    const ended = await night.backup();
    expect(ended).toMatchObject({ exit: 0 });
    const [document = ""] = ended.stdout.toString().split("\n"); // behind it comes that of the round
    const { backup } = JSON.parse(document) as { backup: string };
    expect(night.log).toEqual([
      ["before", "night", "tank/src", backup],
      ["after", "night", "tank/src", backup],
    ]);
    expect(night.verbsBeforeAfter).toContain('"snapshot"');
    expect(night.verbsBeforeAfter).not.toMatch(/"send","-L","-c","--"/);
    expect(night.records).toEqual([]);
  });

  it("of which nothing is planned but a dry run stops nothing", async () => {
    const night = new Night({});
    expect(await night.backup("--dry-run")).toMatchObject({ exit: 0 });
    expect(night.log).toEqual([]);
  });

  it("whose before-hook fails has no snapshot and no backup, is up again, and ends with 16", async () => {
    const night = new Night({ before: "echo no; exit 1" });
    const { exit, stderr } = await night.backup();
    expect(exit).toBe(16);
    expect(stderr).toContain('"code":"hook-failed"');
    expect(night.phases).toEqual(["before", "after"]);
    expect(night.pool.calls("snapshot")).toEqual([]);
    expect(night.scene.manifests).toEqual([]);
  });

  it("whose after-hook fails is backed up and ends with 16; the next run starts the service before it stops anything", async () => {
    const night = new Night({ after: `test -e "$HOME/mended"` });
    const { exit, stdout } = await night.backup();
    expect(exit).toBe(16);
    expect(stdout.toString()).toContain('"backup":"tank/src@');
    expect(night.scene.manifests).toHaveLength(1);
    expect(night.phases).toEqual(["before", "after", "after", "after"]);
    expect(night.records).toHaveLength(1);
    writeFileSync(night.flag("mended"), "");
    const next = await night.backup();
    expect(next.exit).toBe(0);
    expect(next.stderr).toContain("a run of night had left these after_snapshot hooks, which were run now: service");
    expect(night.phases.slice(4)).toEqual(["after", "before", "after"]);
    expect(night.records).toEqual([]);
  });

  it("is up again after SIGKILL of zferry, by its guard", async () => {
    const night = new Night({ before: `test -e "$HOME/second" || { touch "$HOME/second"; ${killZferry}; }` });
    expect(await night.backup()).toMatchObject({ exit: null, killedBy: "SIGKILL" });
    await until("the guard is done", () => night.records.length === 0);
    expect(night.phases).toEqual(["before", "after"]);
    expect(await night.backup()).toMatchObject({ exit: 0 });
    expect(night.phases).toEqual(["before", "after", "before", "after"]);
  });

  it("is up again after SIGKILL of both, by the next run", async () => {
    const night = new Night({ before: `test -e "$HOME/second" || { touch "$HOME/second"; ${killZferry}; kill -9 $PPID; }` });
    expect(await night.backup()).toMatchObject({ exit: null, killedBy: "SIGKILL" });
    expect(night.phases).toEqual(["before"]);
    const next = await night.backup();
    expect(next.exit).toBe(0);
    expect(next.stderr).toContain("a run of night had left these after_snapshot hooks");
    expect(night.phases).toEqual(["before", "after", "before", "after"]);
  });
});
