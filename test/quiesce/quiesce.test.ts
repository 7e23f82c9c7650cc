/** What a quiesce promises its caller, shown on the real processes: the driver, its guard, and hooks that are programs. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import type { HookSettings } from "../../src/config/hooks.ts";
import { built } from "../build.ts";
import { guardOf, isAlive, Night, until } from "./night.ts";

beforeAll(built);

describe("a quiesce", () => {
  it("goes down in order, takes the snapshot, and goes up in reverse", async () => {
    const night = new Night();
    const { value, downtimeMs, failures, warnings } = await night.run({ hooks: [night.hook("db"), night.hook("app")] });
    expect(night.log).toEqual(["before db", "before app", "snapshot", "after app", "after db"]);
    expect({ value, failures, warnings }).toEqual({ value: "snapshot", failures: [], warnings: [] });
    expect(downtimeMs).toBeGreaterThan(0);
    expect(night.recordNames).toEqual([]);
  });

  it("without hooks starts no process and has no downtime", async () => {
    const night = new Night();
    expect(await night.run({ hooks: [] })).toEqual({ value: "snapshot", downtimeMs: null, failures: [], warnings: [] });
    expect(night.recordNames).toEqual([]);
  });

  it("takes hooks with one half only: what has no before counts as begun when its turn has come", async () => {
    const night = new Night();
    const up: HookSettings = { ...night.hook("up"), before: null };
    const down: HookSettings = { ...night.hook("down"), after: null };
    const { failures } = await night.run({ hooks: [up, down] });
    expect(failures).toEqual([]);
    expect(night.log).toEqual(["before down", "snapshot", "after up"]);

    const other = new Night();
    const failing = other.hook("db", { before: "exit 1" });
    await other.run({ hooks: [failing, { ...other.hook("late"), before: null }] });
    expect(other.log).toEqual(["before db", "after db"]);
  });

  it("measures the downtime from the first before to the last after, the snapshot included and nothing else", async () => {
    const night = new Night();
    const stamp = (name: string): string => `date +%s%N >'${night.path(name)}'`;
    const hook = night.hook("db", { before: stamp("down"), after: `sleep 0.1; ${stamp("up")}` });
    const { downtimeMs } = await night.run({ hooks: [hook], work: "sleep 0.2" });
    const at = (name: string): number => Number(readFileSync(night.path(name), "utf8")) / 1e6;
    expect(downtimeMs).toBeGreaterThanOrEqual(at("up") - at("down"));
    expect(downtimeMs).toBeGreaterThanOrEqual(300);
  });

  it("ends in an error of the snapshot after all was started again", async () => {
    const night = new Night();
    const { error } = await night.run({ hooks: [night.hook("db")], work: "exit 3" });
    expect(error?.message).toBe("the work failed: 3");
    expect(night.log).toEqual(["before db", "snapshot", "after db"]);
    expect(night.recordNames).toEqual([]);
  });

  it("tells of a service that stayed down also when the snapshot failed, and how long it was down", async () => {
    const night = new Night();
    const { error, failures, downtimeMs } = await night.run({ hooks: [night.hook("db", { after: "exit 1" })], work: "exit 3" });
    expect(error?.message).toBe("the work failed: 3");
    expect(failures).toMatchObject([{ code: "hook-failed", message: expect.stringContaining('the after_snapshot hook "db" failed') as string }]);
    expect(downtimeMs).toBeGreaterThan(0);
  });

  it("tells of a service that stayed down also when another one could not be stopped", async () => {
    const night = new Night();
    const { error, failures } = await night.run({ hooks: [night.hook("db", { after: "exit 1" }), night.hook("app", { before: "exit 1" })] });
    expect(error?.message).toContain('the before_snapshot hook "app" failed');
    expect(failures).toMatchObject([{ message: expect.stringContaining('the after_snapshot hook "db" failed') as string }]);
  });

  it("stops nothing when it cannot note what it is about to stop", async () => {
    const night = new Night();
    mkdirSync(night.stateDir);
    writeFileSync(night.records, "in the way");
    const { error } = await night.run({ hooks: [night.hook("db")] });
    expect(error).toMatchObject({ code: "config-invalid" });
    expect(night.log).toEqual([]);
  });

  it("that can note nothing any more stops nothing more, and starts all the same what it had stopped", async () => {
    const night = new Night();
    const away = `mv '${night.records}' '${night.path("elsewhere")}'; echo >'${night.records}'`;
    const { error, warnings } = await night.run({ hooks: [night.hook("db", { before: away }), night.hook("app")] });
    expect(error).toMatchObject({ code: "config-invalid" });
    expect(warnings.join()).toContain("cannot write the record");
    // The command of the second was never begun, though its after-hook may be run.
    expect(night.log.filter((line) => line.startsWith("before"))).toEqual(["before db"]);
    expect(night.log.slice(-1)).toEqual(["after db"]);
  });

  it("waits, before it stops anything, for another one on this host to be over", async () => {
    const night = new Night();
    const slow = await night.start({ hooks: [night.hook("db", { before: "sleep 0.3" })], work: "sleep 0.3" });
    await night.noted("before db");
    const second = await night.run({ hooks: [night.hook("app")], work: "true" });
    await slow.outcome;
    expect(second.value).toBe("snapshot");
    expect(night.log).toEqual(["before db", "snapshot", "after db", "before app", "snapshot", "after app"]);
  });

  it("does not wait for ever for the snapshot: services are started, and the snapshot does not count", async () => {
    const night = new Night();
    const { error, value } = await night.run({ hooks: [night.hook("db")], work: "exec sleep 60", limits: { workMs: 200 } });
    expect(value).toBeUndefined();
    expect(error).toMatchObject({ code: "hook-failed" });
    expect(error?.message).toContain("the snapshot took so long");
    expect(night.log).toEqual(["before db", "snapshot", "after db"]);
  });
});

describe("a hook", () => {
  it("gets the job, datasets, snapshots and the phase, and of the run's variables only what is known to be no secret", async () => {
    const night = new Night();
    const dump = (name: string): string => `env >'${night.path(name)}'`;
    const hook = night.hook("db", { before: dump("before"), after: dump("after") });
    const secrets = { AWS_SECRET_ACCESS_KEY: "squeamish ossifrage", MY_PASSPHRASE: "squeamish ossifrage", PGPASSWORD: "squeamish ossifrage" };
    const env = { ...secrets, HOME: night.folder, PGHOST: "/run/pg" };
    await night.run({ hooks: [hook], env, work: `cp '${night.records}'/*.json '${night.path("record")}'` });
    const before = readFileSync(night.path("before"), "utf8");
    for (const line of [
      "ZFERRY_PHASE=before_snapshot",
      "ZFERRY_JOB=night",
      "ZFERRY_DATASET=tank/a",
      "ZFERRY_DATASETS=tank/a\ntank/b",
      "ZFERRY_SNAPSHOT=tank/a@now",
      "ZFERRY_SNAPSHOTS=tank/a@now\ntank/b@now",
      `HOME=${night.folder}`,
      "PGHOST=/run/pg",
      "PWD=/",
    ]) {
      expect(`\n${before}`).toContain(`\n${line}\n`);
    }
    expect(readFileSync(night.path("after"), "utf8")).toContain("ZFERRY_PHASE=after_snapshot\n");
    for (const name of ["before", "after", "record"]) expect(readFileSync(night.path(name), "utf8")).not.toContain("squeamish");
  });

  it("is run as its words stand, with no shell between", async () => {
    const night = new Night();
    const words = ["a b", "$HOME", "*", "'\"", "", "; exit 1", "line\nbreak"];
    const script = 'const [path, ...words] = process.argv.slice(1); require("node:fs").writeFileSync(path, words.join("\\0"))';
    const { failures } = await night.run({
      hooks: [{ name: "words", before: [process.execPath, "-e", script, "--", night.path("words"), ...words], after: null, timeoutMs: 10_000 }],
    });
    expect(failures).toEqual([]);
    expect(readFileSync(night.path("words"), "utf8").split("\0")).toEqual(words);
  });

  it.for([
    ["exits with another status than 0", "echo first >&2; echo 'no such table' >&2; exit 3", "exit 3", "no such table"],
    ["is killed", "kill -9 $$", "it was killed by SIGKILL", null],
    ["runs a program that is not there", "exec /no/such/program", "exit 127", null],
  ] as const)("that %s before the snapshot ends the run: what began is undone, the rest never begins", async ([, before, why, words]) => {
    const night = new Night();
    const hooks = [night.hook("one"), night.hook("two", { before }), night.hook("three")];
    const { error } = await night.run({ hooks });
    expect(error).toMatchObject({ code: "hook-failed" });
    expect(error?.message).toContain(`the before_snapshot hook "two" failed: ${why}`);
    if (words !== null) expect(error?.message).toContain(`it said "${words}"`);
    expect(night.log).toEqual(["before one", "before two", "after two", "after one"]);
    expect(night.recordNames).toEqual([]);
  });

  it("whose program is not there says so", async () => {
    const night = new Night();
    const { error } = await night.run({ hooks: [{ name: "db", before: ["/no/such/program"], after: null, timeoutMs: 1000 }] });
    expect(error?.message).toContain('"db" failed: exit 127, as of a program that is not there');
  });

  it("that takes too long is ended with all it has started, by SIGKILL if need be", async () => {
    const night = new Night();
    const stubborn = `trap '' TERM; sleep 300 & echo $! >'${night.path("child")}'; echo $$ >'${night.path("self")}'; while :; do sleep 1; done`;
    const { error } = await night.run({ hooks: [night.hook("db", { before: stubborn, timeoutMs: 400 })] });
    expect(error?.message).toContain('the before_snapshot hook "db" failed: it took longer than 0.4 s');
    expect(night.log).toEqual(["before db", "after db"]);
    for (const name of ["child", "self"]) {
      const pid = Number(readFileSync(night.path(name), "utf8"));
      await until(`${name} is gone`, () => !isAlive(pid));
    }
  });

  it("is not waited for beyond its exit, though what it left running holds its output open", async () => {
    const night = new Night();
    const lock = `sleep 300 & echo $! >'${night.path("lock")}'`;
    const release = `kill "$(cat '${night.path("lock")}')"`;
    const { value, failures } = await night.run({ hooks: [night.hook("lock", { before: lock, after: release })], work: `kill -0 "$(cat '${night.path("lock")}')"` });
    expect({ value, failures }).toEqual({ value: "snapshot", failures: [] });
  });

  it("may print as much as it likes", async () => {
    const night = new Night();
    const noise = "head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' y >&2; echo; echo the end; exit 1";
    const { error } = await night.run({ hooks: [night.hook("loud", { before: noise })] });
    expect(error?.message).toContain('it said "the end"');
    expect(error?.message.length).toBeLessThan(1000);
  });

  it("that fails after the snapshot is tried again when the others had their turn", async () => {
    const night = new Night();
    const once = `test -e '${night.path("tried")}' || { touch '${night.path("tried")}'; echo not yet; exit 1; }`;
    const { value, failures, warnings } = await night.run({ hooks: [night.hook("db"), night.hook("app", { after: once })] });
    expect({ value, failures }).toEqual({ value: "snapshot", failures: [] });
    expect(night.log).toEqual(["before db", "before app", "snapshot", "after app", "after db", "after app"]);
    expect(warnings).toEqual(['the after_snapshot hook "app" failed: exit 1; it said "not yet" (try 1 of 3)']);
    expect(night.recordNames).toEqual([]);
  });

  it("has its time also when that is more than a timer can count", async () => {
    const night = new Night();
    const { value, failures } = await night.run({ hooks: [night.hook("db", { before: "sleep 0.1", timeoutMs: 30 * 86_400_000 })] });
    expect({ value, failures }).toEqual({ value: "snapshot", failures: [] });
  });

  it("that hangs after the snapshot is ended and tried again", async () => {
    const night = new Night();
    const once = `test -e '${night.path("tried")}' || { touch '${night.path("tried")}'; exec sleep 300; }`;
    const { failures } = await night.run({ hooks: [night.hook("db", { after: once, timeoutMs: 300 })] });
    expect(failures).toEqual([]);
    expect(night.log).toEqual(["before db", "snapshot", "after db", "after db"]);
  });

  it("that fails to the last costs no backup: it is told, and stays owed", async () => {
    const night = new Night();
    const { value, failures, warnings, downtimeMs } = await night.run({ hooks: [night.hook("db", { after: "exit 1" })] });
    expect(value).toBe("snapshot");
    expect(failures).toMatchObject([{ code: "hook-failed", hint: expect.stringContaining("zferry recover") as string }]);
    expect(warnings).toHaveLength(3);
    expect(downtimeMs).toBeGreaterThan(0);
    expect(night.recordNames).toHaveLength(1);
  });
});

describe("a signal", () => {
  it("on the way down lets the hook that runs come to its end, and then starts again what was stopped", async () => {
    const night = new Night();
    const hooks = [night.hook("one"), night.hook("two", { before: `sleep 0.3; ${night.note("two is down")}` }), night.hook("three")];
    const running = await night.start({ hooks });
    await night.noted("before two");
    running.child.kill("SIGTERM");
    expect((await running.outcome)?.error).toMatchObject({ code: "terminated" });
    expect(night.log).toEqual(["before one", "before two", "two is down", "after two", "after one"]);
    expect(night.recordNames).toEqual([]);
  });

  it("during the snapshot ends it, and starts again what was stopped", async () => {
    const night = new Night();
    const running = await night.start({ hooks: [night.hook("one"), night.hook("two")], work: "exec sleep 300" });
    await night.noted("snapshot");
    running.child.kill("SIGTERM");
    expect((await running.outcome)?.error).toMatchObject({ code: "terminated" });
    expect(night.log).toEqual(["before one", "before two", "snapshot", "after two", "after one"]);
    expect(night.recordNames).toEqual([]);
  });

  it("given twice ends zferry at once, and the guard does the rest", async () => {
    const night = new Night();
    const running = await night.start({ hooks: [night.hook("one"), night.hook("two", { after: "sleep 0.3" })], work: "exec sleep 300" });
    await night.noted("snapshot");
    running.child.kill("SIGINT");
    await night.noted("after two");
    running.child.kill("SIGINT");
    expect(await running.outcome).toBeNull();
    await until("nothing is owed", () => night.recordNames.length === 0);
    expect(night.log).toEqual(["before one", "before two", "snapshot", "after two", "after one"]);
  });

  it.for(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s to the guard does not stop it", async (signal) => {
    const night = new Night();
    const go = night.path("go");
    const running = await night.start({ hooks: [night.hook("one")], work: `until test -e '${go}'; do sleep 0.02; done` });
    await night.noted("snapshot");
    const guard = await guardOf(running);
    process.kill(guard, signal);
    writeFileSync(go, "");
    expect(await running.outcome).toMatchObject({ value: "snapshot", failures: [], warnings: [] });
    expect(night.log).toEqual(["before one", "snapshot", "after one"]);
  });
});
