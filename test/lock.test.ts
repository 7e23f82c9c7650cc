import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pid } from "node:process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { holderIdOf, lockPath, takeLocalLock, withLocalLock } from "../src/lock.ts";
import { parseDatasetName } from "../src/zfs/names.ts";
import { built } from "./build.ts";
import { ownFolder } from "./folder.ts";
import { failureOf } from "./stream/sources.ts";

const { signal } = new AbortController();
const dataset = parseDatasetName("tank/home");

interface LockText {
  pid: number | null;
  bootId: string | null;
  pidNamespace: string | null;
  startTime: string | null;
  since: string;
  nonce: string;
}

function locked<T>(stateDir: string, work: () => Promise<T>, procDir = "/proc"): Promise<T> {
  return withLocalLock(stateDir, dataset, { signal, procDir }, work);
}

function idle(): Promise<string> {
  return Promise.resolve("done");
}

/** What a lock of this very process says, with changes. */
async function lockText(changes: Partial<LockText> = {}): Promise<string> {
  const stateDir = ownFolder();
  const text = await locked(stateDir, () => Promise.resolve(readFileSync(lockPath(stateDir, dataset), "utf8")));
  return JSON.stringify({ ...(JSON.parse(text) as LockText), ...changes });
}

/** A state folder with a lock that somebody left there, so long ago. */
function left(text: string, ageMs = 0): string {
  const stateDir = ownFolder();
  const path = lockPath(stateDir, dataset);
  mkdirSync(dirname(path));
  writeFileSync(path, text);
  const then = new Date(Date.now() - ageMs);
  utimesSync(path, then, then);
  return stateDir;
}

/** How eight runs end that start together, the one that works first; it goes on until the others have been refused. */
async function outcomesOf(stateDir: string): Promise<string[]> {
  const refusals: string[] = [];
  let letGo = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const work = async (): Promise<string> => {
    await gate;
    return "done";
  };
  const runs = Array.from({ length: 8 }, async () => {
    try {
      return await locked(stateDir, work);
    } catch (error) {
      refusals.push((error as { code: string }).code);
      if (refusals.length >= 7) letGo();
      return "";
    }
  });
  const results = await Promise.all(runs);
  return [...results.filter((result) => result !== ""), ...refusals];
}

interface Holder {
  /** Kills it and waits until it is gone. */
  kill(): Promise<void>;
  readonly pid: number;
  readonly answer: string;
}

/** Another process that takes the lock, and holds it until it is killed. */
async function otherProcess(stateDir: string): Promise<Holder> {
  const lock = pathToFileURL(join(dirname(await built()), "lock.js")).href;
  const script = `
    import { withLocalLock } from ${JSON.stringify(lock)};
    const { signal } = new AbortController();
    const hold = () => { console.log("held"); return new Promise((resolve) => setTimeout(resolve, 60_000)); };
    await withLocalLock(${JSON.stringify(stateDir)}, ${JSON.stringify(dataset)}, { signal }, hold)
      .catch((error) => console.log(error.code));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  onTestFinished(kill);
  const [answer] = (await once(createInterface(child.stdout), "line")) as [string];
  return { kill, pid: child.pid ?? 0, answer };
}

describe("a local lock", () => {
  it("is a file that says who holds it, for its owner only, and is gone afterwards", async () => {
    const stateDir = join(ownFolder(), "state");
    const path = lockPath(stateDir, dataset);
    const seen = await locked(stateDir, () => {
      const modes = [path, dirname(path)].map((entry) => statSync(entry).mode & 0o777);
      return Promise.resolve({ modes, text: JSON.parse(readFileSync(path, "utf8")) as LockText });
    });
    expect(seen.modes).toEqual([0o600, 0o700]);
    expect(seen.text).toMatchObject({ pid, bootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim() });
    expect(readdirSync(dirname(path))).toEqual([]);
  });

  it("has a name that tells datasets apart and fits any file system", () => {
    const name = (text: string): string => lockPath("/s", parseDatasetName(text)).slice("/s/locks/".length);
    const hash = createHash("sha256").update("tank/home").digest("hex").slice(0, 8);
    expect(name("tank/home")).toBe(`tank-home-${hash}.lock`);
    expect(name("tank-home")).not.toBe(name("tank/home"));
    const long = `tank/${"x".repeat(240)}`;
    expect(name(`${long}a`).length).toBeLessThan(200);
    expect(name(`${long}a`)).not.toBe(name(`${long}b`));
  });

  it("passes on what the work returns or throws, and is free again", async () => {
    const stateDir = ownFolder();
    expect(await locked(stateDir, idle)).toBe("done");
    const failure = new Error("broken");
    expect(await failureOf(locked(stateDir, () => Promise.reject(failure)))).toBe(failure);
    expect(await locked(stateDir, idle)).toBe("done");
  });

  it("is had by exactly one of eight, although all are of one process", async () => {
    const stateDir = ownFolder();
    expect(await outcomesOf(stateDir)).toEqual(["done", ...Array<string>(7).fill("locked")]);
  });

  it("of a living process is refused, with its number and since when", async () => {
    const stateDir = ownFolder();
    const holder = await otherProcess(stateDir);
    expect(holder.answer).toBe("held");
    const { since } = JSON.parse(readFileSync(lockPath(stateDir, dataset), "utf8")) as LockText;
    expect(await failureOf(locked(stateDir, idle))).toMatchObject({
      code: "locked",
      message: `another run is at work on "tank/home": process ${holder.pid} has the lock since ${since}`,
      hint: expect.stringContaining("wait") as string,
    });
    expect((await otherProcess(stateDir)).answer).toBe("locked");
  });

  it("of a killed process is taken over, by exactly one of eight, and nothing is left beside it", async () => {
    const stateDir = ownFolder();
    const holder = await otherProcess(stateDir);
    await holder.kill();
    expect(existsSync(lockPath(stateDir, dataset))).toBe(true);
    expect(await outcomesOf(stateDir)).toEqual(["done", ...Array<string>(7).fill("locked")]);
    const next = await otherProcess(stateDir);
    expect(next.answer).toBe("held");
  });

  it("of a killed process is taken over by exactly one of several processes", async () => {
    const stateDir = ownFolder();
    await (await otherProcess(stateDir)).kill();
    const holders = await Promise.all(Array.from({ length: 4 }, () => otherProcess(stateDir)));
    expect(holders.map(({ answer }) => answer).toSorted()).toEqual(["held", "locked", "locked", "locked"]);
  });

  it("does not keep another dataset of the same host waiting", async () => {
    const stateDir = ownFolder();
    const other = parseDatasetName("tank/home/alice");
    expect(await locked(stateDir, () => withLocalLock(stateDir, other, { signal }, idle))).toBe("done");
  });

  it("is not waited for by a run that was cancelled", async () => {
    const reason = new Error("enough");
    const options = { signal: AbortSignal.abort(reason) };
    expect(await failureOf(withLocalLock(ownFolder(), dataset, options, idle))).toBe(reason);
  });

  it.for([
    ["a file where its folder should be", (stateDir: string): void => { writeFileSync(join(stateDir, "locks"), ""); }],
    ["a symbolic link in its place", (stateDir: string): void => {
      mkdirSync(join(stateDir, "locks"));
      symlinkSync("/etc/hostname", lockPath(stateDir, dataset));
    }],
  ] as const)("cannot be taken with %s, and the error names the state folder", async ([, spoil]) => {
    const stateDir = ownFolder();
    spoil(stateDir);
    expect(await failureOf(locked(stateDir, idle))).toMatchObject({
      code: "config-invalid",
      message: expect.stringContaining(stateDir) as string,
      hint: expect.stringContaining("--state-dir") as string,
    });
  });
});

describe("a lock that was left behind", () => {
  const young = 60_000;
  const old = 121_000;

  it.for<[string, Partial<LockText>, number, string]>([
    ["this process, as far as can be seen", {}, 0, "locked"],
    ["this process, silent for long: it may be stopped", {}, old, "locked"],
    ["a number that was given out again", { startTime: "1" }, 0, "done"],
    ["a number nobody has", { pid: 4_194_305 }, 0, "done"],
    ["before the last boot", { bootId: "00000000-0000-0000-0000-000000000000" }, 0, "done"],
    ["another container, touched lately", { pidNamespace: "pid:[1]" }, young, "locked"],
    ["another container, silent for two minutes", { pidNamespace: "pid:[1]" }, old, "done"],
    ["another container, touched at a time soon to come", { pidNamespace: "pid:[1]" }, -young, "locked"],
    ["another container, touched at a time far ahead, by a clock that was wrong", { pidNamespace: "pid:[1]" }, -old, "done"],
    ["a host without /proc, touched lately", { pid: null, bootId: null, startTime: null }, young, "locked"],
    ["a host without /proc, silent for two minutes", { pid: null, bootId: null, startTime: null }, old, "done"],
  ])("by %s", async ([, changes, ageMs, outcome]) => {
    expect((await outcomesOf(left(await lockText(changes), ageMs))).at(0)).toBe(outcome);
  });

  it.for([
    ["empty", ""],
    ["cut off", '{"pid":'],
    ["of another program", '{"pid":"one"}'],
  ] as const)("and is %s counts for two minutes", async ([, text]) => {
    expect(await outcomesOf(left(text, young))).toEqual(Array<string>(8).fill("locked"));
    expect(await outcomesOf(left(text, old))).toEqual(["done", ...Array<string>(7).fill("locked")]);
  });

  it("of a zombie is nobody's: its parent has not yet noticed", async () => {
    const procDir = ownFolder();
    mkdirSync(join(procDir, "self", "ns"), { recursive: true });
    mkdirSync(join(procDir, "sys/kernel/random"), { recursive: true });
    mkdirSync(join(procDir, "7"));
    symlinkSync("pid:[1]", join(procDir, "self/ns/pid"));
    writeFileSync(join(procDir, "sys/kernel/random/boot_id"), "boot\n");
    const stat = (number: number, state: string): string =>
      `${number} (a ) name) ${state} ${Array.from({ length: 18 }, (_, index) => index).join(" ")} 55 0 0\n`;
    writeFileSync(join(procDir, "self", "stat"), stat(8, "R"));
    const text = await lockText({ pid: 7, bootId: "boot", pidNamespace: "pid:[1]", startTime: "55" });
    writeFileSync(join(procDir, "7", "stat"), stat(7, "S"));
    expect(await failureOf(locked(left(text), idle, procDir))).toMatchObject({ code: "locked" });
    writeFileSync(join(procDir, "7", "stat"), stat(7, "Z"));
    expect(await locked(left(text), idle, procDir)).toBe("done");
  });

  it("together with a takeover that was killed halfway is taken over all the same, and tidied", async () => {
    const gone = await lockText({ startTime: "1" });
    const stateDir = left(gone);
    const path = lockPath(stateDir, dataset);
    const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);
    const claim = `${path}.${digest(`${path.slice(dirname(path).length + 1)}:${digest(gone)}`)}`;
    const draft = `${path}.0123456789abcdef`;
    const long = new Date(Date.now() - 3_600_000);
    writeFileSync(claim, await lockText({ pid: 4_194_305 }));
    writeFileSync(draft, await lockText({ pid: 4_194_305 }));
    utimesSync(draft, long, long);
    expect(await outcomesOf(stateDir)).toEqual(["done", ...Array<string>(7).fill("locked")]);
    expect(readdirSync(dirname(path))).toEqual([]);
  });

  it("is not the one that is let go of, when another took it for silent", async () => {
    const stateDir = ownFolder();
    const path = lockPath(stateDir, dataset);
    const other = await lockText({ startTime: "1" });
    await locked(stateDir, () => {
      writeFileSync(path, other);
      return Promise.resolve();
    });
    expect(readFileSync(path, "utf8")).toBe(other);
  });
});

describe("the name of a state folder as a holder of leases", () => {
  it("stays the same, and is another one for another folder", async () => {
    const [one, other] = [ownFolder(), join(ownFolder(), "new")];
    expect(await holderIdOf(one)).toMatch(/^[0-9a-f]{16}$/);
    expect(await holderIdOf(one)).toBe(await holderIdOf(one));
    expect(await holderIdOf(other)).not.toBe(await holderIdOf(one));
  });

  it("is new each time where no boot can be told from another", async () => {
    const stateDir = ownFolder();
    expect(await holderIdOf(stateDir, ownFolder())).not.toBe(await holderIdOf(stateDir, ownFolder()));
  });
});

it("a lock that cannot be tidied away fails nobody who lets go of it", async () => {
  const stateDir = ownFolder();
  const { release } = await takeLocalLock(stateDir, dataset, { signal });
  rmSync(join(stateDir, "locks"), { recursive: true });
  writeFileSync(join(stateDir, "locks"), "in the way");
  await expect(release()).resolves.toBeUndefined();
});
