import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env, kill } from "node:process";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { runZfs, zfsThrough, type Zfs } from "../../src/zfs/command.ts";
import { fakeZfs, isAlive, never } from "./fake.ts";

/** Any program stands for zfs here: these tests are about how it is called. */
function program(lines: string, name = "zfs"): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, lines, { mode: 0o755 });
  return path;
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "zferry-command-"));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Throws while the file is not there or half written. */
function pidIn(file: string): number {
  const text = readFileSync(file, "utf8");
  if (!text.endsWith("\n")) throw new Error("not yet");
  return Number(text);
}

function shell(script: string): Zfs {
  return { ...zfsThrough([program(`#!/bin/sh\n${script}\n`)], { PATH: env.PATH }), graceMs: 200 };
}

describe("a call of zfs", () => {
  it("returns what zfs wrote to stdout", async () => {
    expect(await runZfs(shell('printf "%s|" "$@"'), ["list", "-H", "tank/a b"], { signal: never })).toBe("list|-H|tank/a b|");
  });

  it("is no failure when zfs wrote to stderr and exited 0", async () => {
    expect(await runZfs(shell("echo cannot mount >&2; echo fine"), ["list"], { signal: never })).toBe("fine\n");
  });

  it("waits for the exit after the end of output", async () => {
    const late = shell("echo all; exec >&-; sleep 0.1; echo out of space >&2; exit 3");
    await expect(runZfs(late, ["list"], { signal: never })).rejects.toMatchObject({
      code: "zfs-no-space",
      message: '"zfs list" failed with exit status 3: out of space',
    });
  });

  it.for([["list", "-H"], ["get", "-Hp"], ["send", "-nP"]] as const)("that only asks does not wait for ever: zfs %s %s", async (args) => {
    const stuck = { ...shell("trap '' TERM; while :; do sleep 0.05; done"), answerMs: 20, graceMs: 20 };
    await expect(runZfs(stuck, args, { signal: never })).rejects.toMatchObject({
      code: "zfs-failed",
      message: `"zfs ${args[0]}" has not answered within 1 s`,
      hint: expect.stringContaining("zpool status -v") as string,
    });
  });

  it("that changes something has the time it takes", async () => {
    expect(await runZfs({ ...shell("sleep 0.1; echo done"), answerMs: 1 }, ["snapshot", "tank@a"], { signal: never })).toBe("done\n");
  });

  it("gives zfs an input that has ended", async () => {
    expect(await runZfs(shell("cat; echo read"), ["list"], { signal: never })).toBe("read\n");
  });

  it("survives a megabyte on stderr and keeps its last 64 KiB", async () => {
    const noisy = shell("head -c 1048576 /dev/zero | tr '\\0' x >&2; echo out of space >&2; exit 1");
    const error = await runZfs(noisy, ["list"], { signal: never }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "zfs-no-space" });
    const { stderr } = (error as { cause: { ending: { stderr: string } } }).cause.ending;
    expect(stderr).toHaveLength(65_536);
    expect(stderr).toMatch(/^x+out of space\n$/);
  });

  it("does not wait for a stranger who keeps stderr open", async () => {
    const pidFile = join(temporaryFolder(), "pid");
    const leaving = shell(`sleep 60 >&- & echo $! > "${pidFile}"; echo done`);
    expect(await runZfs(leaving, ["list"], { signal: never })).toBe("done\n");
    expect(kill(pidIn(pidFile), "SIGKILL")).toBe(true);
  });

  it.for([
    ["is not there", "nothing", "ENOENT"],
    ["may not be run", "zfs", "EACCES"],
  ] as const)("says so when the program %s", async ([, name, why]) => {
    const path = join(temporaryFolder(), name);
    writeFileSync(join(path, "..", "zfs"), "#!/bin/sh\n", { mode: 0o644 });
    await expect(runZfs(zfsThrough([path], {}), ["list"], { signal: never })).rejects.toMatchObject({
      code: "zfs-failed",
      message: `cannot run "${path}": ${why}`,
    });
  });

  it("says so when the arguments are more than the system takes", async () => {
    const names = Array.from({ length: 40_000 }, (_, index) => `${"x".repeat(200)}${index}`);
    await expect(runZfs(shell("true"), ["snapshot", ...names], { signal: never })).rejects.toMatchObject({
      code: "zfs-failed",
      message: expect.stringMatching(/^cannot run ".*": E2BIG$/) as string,
    });
  });
});

describe("the environment of zfs", () => {
  it("holds what programs need, and no secret", () => {
    const given = {
      PATH: "/bin",
      HOME: "/root",
      SSH_AUTH_SOCK: "/run/agent",
      ZFS_SET_PIPE_MAX: "1",
      ZFERRY_PASSPHRASE: "secret",
      AWS_SECRET_ACCESS_KEY: "an-unused-secret",
      NODE_OPTIONS: "--inspect",
      LANG: "de_DE.UTF-8",
      USER: undefined,
    };
    expect(zfsThrough(["zfs"], given).environment).toEqual({
      PATH: "/bin",
      HOME: "/root",
      SSH_AUTH_SOCK: "/run/agent",
      ZFS_SET_PIPE_MAX: "1",
    });
  });

  it("is in the C locale, so that zfs says what we can read", async () => {
    const zfs = zfsThrough([program("#!/bin/sh\nenv\n")], { PATH: env.PATH, LC_ALL: "de_DE.UTF-8", SECRET: "x" });
    const output = await runZfs(zfs, ["list"], { signal: never });
    expect(output).toContain("LC_ALL=C\n");
    expect(output).not.toContain("SECRET");
  });
});

describe("zfs on another host", () => {
  it("gets every argument whole through the shell that ssh runs there", async () => {
    const ssh = program('#!/bin/sh\nshift\nexec sh -c "$*"\n', "ssh");
    const zfs = zfsThrough([ssh, "nas", "printf", "%s\\\\n"], { PATH: env.PATH });
    const args = ["tank/a b@s1", "$(echo no)", "it's", "a;b", "", "*"] as const;
    expect(await runZfs(zfs, args, { signal: never })).toBe(`${args.join("\n")}\n`);
  });
});

describe("aborting", () => {
  it.for([
    ["a process", ""],
    ["a process that ignores SIGTERM", "trap '' TERM;"],
  ] as const)("ends %s and throws the reason when it is gone", async ([, deafness]) => {
    const abort = new AbortController();
    const pidFile = join(temporaryFolder(), "pid");
    const endless = shell(`${deafness} echo $$ > "${pidFile}"; while :; do sleep 1; done`);
    const running = runZfs(endless, ["list"], { signal: abort.signal });
    const pid = await vi.waitFor(() => pidIn(pidFile));
    abort.abort(new Error("enough"));
    await expect(running).rejects.toThrow("enough");
    expect(isAlive(pid)).toBe(false);
  });

  it("before the start starts nothing", async () => {
    const fake = fakeZfs({ datasets: { "tank/a": {} } });
    await expect(runZfs(fake.zfs, ["list"], { signal: AbortSignal.abort(new Error("no")) })).rejects.toThrow("no");
    expect(fake.calls()).toEqual([]);
  });
});
