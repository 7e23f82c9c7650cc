/** What is done for a run that cannot do it any more: by zferry when the guard is dead, by `zferry recover` when both are. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { built } from "../build.ts";
import { guardOf, isAlive, Night, type NightOptions, type RunningNight, until } from "./night.ts";

beforeAll(built);

/** Starts a night, kills guard and zferry together when `line` is noted, and waits until nobody is left. */
async function cutOff(night: Night, line: string, options: NightOptions): Promise<void> {
  const running = await night.start(options);
  await night.noted(line);
  const guard = await guardOf(running);
  process.kill(guard, "SIGKILL");
  running.child.kill("SIGKILL");
  await until("both are gone", () => !isAlive(guard) && !isAlive(running.child.pid ?? 0));
}

async function killGuard(running: RunningNight): Promise<void> {
  const guard = await guardOf(running);
  process.kill(guard, "SIGKILL");
  await until("the guard is gone", () => !isAlive(guard));
}

describe("when the guard is killed", () => {
  it("during the snapshot, zferry itself goes up again", async () => {
    const night = new Night();
    const go = night.path("go");
    const running = await night.start({ hooks: [night.hook("one"), night.hook("two")], work: `until test -e '${go}'; do sleep 0.02; done` });
    await night.noted("snapshot");
    await killGuard(running);
    writeFileSync(go, "");
    const outcome = await running.outcome;
    expect(outcome).toMatchObject({ value: "snapshot", failures: [] });
    expect(outcome?.warnings).toEqual(["the process that runs the hooks has died; what is owed is done without it"]);
    expect(night.log).toEqual(["before one", "before two", "snapshot", "after two", "after one"]);
    expect(night.recordNames).toEqual([]);
  });

  it("on the way down, zferry waits for the hook that runs, goes up again, and fails", async () => {
    const night = new Night();
    const go = night.path("go");
    const before = `until test -e '${go}'; do sleep 0.02; done; ${night.note("two is down")}`;
    const running = await night.start({ hooks: [night.hook("one"), night.hook("two", { before })] });
    await night.noted("before two");
    await killGuard(running);
    writeFileSync(go, "");
    expect((await running.outcome)?.error).toMatchObject({ code: "hook-failed" });
    expect(night.log).toEqual(["before one", "before two", "two is down", "after two", "after one"]);
  });

  it("during the snapshot, recover leaves the hooks to the zferry that is at work", async () => {
    const night = new Night();
    const go = night.path("go");
    const running = await night.start({ hooks: [night.hook("one")], work: `until test -e '${go}'; do sleep 0.02; done` });
    await night.noted("snapshot");
    await killGuard(running);
    const { exit, records } = await night.recover();
    expect({ exit, records }).toMatchObject({ exit: 0, records: [{ outcome: "running", jobs: ["night"], hooks: ["one"] }] });
    expect(night.log).toEqual(["before one", "snapshot"]);
    writeFileSync(go, "");
    await running.outcome;
    expect(night.log).toEqual(["before one", "snapshot", "after one"]);
  });
});

describe("recover", () => {
  it("has nothing to do where nothing is owed, and makes no state folder", async () => {
    const night = new Night();
    expect(await night.recover()).toMatchObject({ exit: 0, records: [] });
    expect(readdirSync(night.folder)).toEqual([]);
  });

  it("does what a run owes that was killed with its guard, once", async () => {
    const night = new Night();
    await cutOff(night, "snapshot", { hooks: [night.hook("one"), night.hook("two"), { ...night.hook("none"), after: null }], work: "exec sleep 300" });
    const stopped = ["before one", "before two", "before none", "snapshot"];
    expect(await night.recover("--dry-run")).toMatchObject({ exit: 0, records: [{ outcome: "owed", hooks: ["two", "one"] }] });
    expect(night.log).toEqual(stopped);
    const { exit, records } = await night.recover();
    expect({ exit, records }).toMatchObject({ exit: 0, records: [{ outcome: "recovered", jobs: ["night"], hooks: ["two", "one"], failures: [] }] });
    expect(Date.parse(records[0]?.since ?? "")).toBeGreaterThan(0);
    expect(night.log).toEqual([...stopped, "after two", "after one"]);
    expect(await night.recover()).toMatchObject({ exit: 0, records: [] });
    expect(night.log).toEqual([...stopped, "after two", "after one"]);
  });

  it("first waits for a before-hook that survived: nothing is stopped after it was started again", async () => {
    const night = new Night();
    const go = night.path("go");
    const before = `until test -e '${go}'; do sleep 0.02; done; ${night.note("two is down")}`;
    await cutOff(night, "before two", { hooks: [night.hook("one"), night.hook("two", { before })] });
    const recovering = night.recover();
    setTimeout(() => {
      writeFileSync(go, "");
    }, 500);
    await recovering;
    expect(night.log).toEqual(["before one", "before two", "two is down", "after two", "after one"]);
  });

  it("ends a before-hook that survived and has had its time", async () => {
    const night = new Night();
    const before = `echo $$ >'${night.path("pid")}'; sleep 300`;
    await cutOff(night, "before two", { hooks: [night.hook("one"), night.hook("two", { before, timeoutMs: 2000 })] });
    await until("the hook has begun", () => readdirSync(night.folder).includes("pid"));
    const hook = Number(readFileSync(night.path("pid"), "utf8"));
    expect(isAlive(hook)).toBe(true);
    await night.recover();
    expect(isAlive(hook)).toBe(false);
    expect(night.log).toEqual(["before one", "before two", "after two", "after one"]);
  });

  it("runs only what has not succeeded", async () => {
    const night = new Night();
    const after = `test -e '${night.path("again")}' || { touch '${night.path("again")}'; exec sleep 300; }`;
    await cutOff(night, "after one", { hooks: [night.hook("one", { after }), night.hook("two")] });
    expect((await night.recover()).records).toMatchObject([{ outcome: "recovered", hooks: ["one"] }]);
    expect(night.log.filter((line) => line === "after two")).toHaveLength(1);
  });

  it("fails while a hook fails, keeps the record, and goes on the next time", async () => {
    const night = new Night();
    const after = `test -e '${night.path("mended")}' || { echo broken; exit 1; }`;
    await night.run({ hooks: [night.hook("one", { after }), night.hook("two")] });
    const failed = await night.recover();
    expect(failed).toMatchObject({ exit: 16, records: [{ outcome: "failed", hooks: ["one"], failures: [{ code: "hook-failed" }] }] });
    expect(failed.stderr).toContain("broken");
    writeFileSync(night.path("mended"), "");
    expect(await night.recover()).toMatchObject({ exit: 0, records: [{ outcome: "recovered", hooks: ["one"] }] });
    expect(night.recordNames).toEqual([]);
    expect(night.log.filter((line) => line === "after two")).toHaveLength(1);
  });

  it.for([
    ["garbage", "{"],
    ["of a newer zferry", '{"format":2}'],
    ["empty", ""],
  ] as const)("tells of a record that is %s, and removes nothing", async ([, content]) => {
    const night = new Night();
    mkdirSync(night.records, { recursive: true, mode: 0o700 });
    writeFileSync(join(night.records, "20261121T000000Z-00000000.json"), content, { mode: 0o600 });
    const { exit, records, stderr } = await night.recover();
    expect({ exit, records }).toMatchObject({ exit: 16, records: [{ id: "20261121T000000Z-00000000", outcome: "damaged", since: null }] });
    expect(stderr).toContain("cannot be read, so nobody knows");
    expect(night.recordNames).toHaveLength(1);
  });

  it("runs no command out of a record that others can write", async () => {
    const night = new Night();
    await cutOff(night, "snapshot", { hooks: [night.hook("one")], work: "exec sleep 300" });
    const [name = ""] = night.recordNames;
    chmodSync(join(night.records, name), 0o666);
    const { exit, stderr } = await night.recover();
    expect(exit).toBe(2);
    expect(stderr).toContain("others can write it");
    expect(night.log).toEqual(["before one", "snapshot"]);
  });
});
