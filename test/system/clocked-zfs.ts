/**
 * A real ZFS of a test's own, whose clock the test sets: what its snapshots and streams say of their time is that clock's.
 *
 * Either OpenZFS 2.3 in a small guest (`.ci/systems/guest/own-guest`), whose kernel is given a date; or zfs-fuse, which is ten
 * times as quick, with libfaketime around its daemon (`.ci/systems/fuse/with-zfs-fuse`). Nobody else's clock moves.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";

const run = promisify(execFile);
const systems = fileURLToPath(new URL("../../.ci/systems", import.meta.url));

export interface ClockedZfs {
  /** For `--zfs`. */
  readonly zfs: string;
  /** Runs `-c LINE` where the pools are mounted; a full path, as hooks need it. */
  readonly shell: string;
  /** Where a dataset of `tsrc` or `tdst` is mounted, for `shell`. */
  readonly mountOf: (dataset: string) => string;
  readonly sh: (line: string) => Promise<string>;
  readonly setTime: (time: Date) => Promise<void>;
}

/** A pool made at `begin`. @param way - `openzfs`: 2.3 in a guest; `fuse`: zfs-fuse */
export async function clockedZfs(way: "openzfs" | "fuse", begin: Date): Promise<ClockedZfs> {
  const folder = mkdtempSync(join(tmpdir(), "zferry-clocked-"));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return way === "openzfs" ? guest(folder, begin) : fuse(folder, begin);
}

async function guest(folder: string, begin: Date): Promise<ClockedZfs> {
  const child = spawn(join(systems, "guest", "own-guest"), [folder, begin.toISOString().slice(0, 19)], { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  await said(child, "agent ready");
  const shell = join(folder, "guest-sh");
  const sh = shellOf(shell);
  const setTime = async (time: Date): Promise<void> => {
    await sh(`date -s @${seconds(time)}`);
  };
  return { zfs: join(folder, "zfs"), shell, sh, mountOf: (dataset) => `/${dataset}`, setTime };
}

async function fuse(folder: string, begin: Date): Promise<ClockedZfs> {
  const clock = join(folder, "clock");
  const setTime = (time: Date): Promise<void> => {
    writeFileSync(clock, `@${time.toISOString().slice(0, 19).replace("T", " ")}\n`);
    return Promise.resolve();
  };
  await setTime(begin);
  const line = 'echo "ready $$ $ZFS_TEST_DIR"; exec sleep 1000000';
  const env = { ...process.env, ZFERRY_FUSE_CLOCK: clock, TMPDIR: dirname(folder) };
  const child = spawn(join(systems, "fuse", "with-zfs-fuse"), ["sh", "-c", line], { env, detached: true, stdio: ["ignore", "pipe", "ignore"] });
  const [, pid, mounts = ""] = (await said(child, "ready ")).split(/\s+/);
  const program = (name: string, command: string): string => {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\nexec nsenter --mount=/proc/${pid ?? ""}/ns/mnt --root=/proc/${pid ?? ""}/root -- ${command} "$@"\n`);
    chmodSync(path, 0o755);
    return path;
  };
  const shell = program("sh", "sh");
  const mountOf = (dataset: string): string => join(mounts, dataset.replace(/^t(src|dst)/, "$1"));
  return { zfs: program("zfs", "zfs"), shell, sh: shellOf(shell), mountOf, setTime };
}

function shellOf(program: string): (line: string) => Promise<string> {
  return async (line) => (await run(program, ["-c", line])).stdout.trim();
}

/** The line that begins with `words`; ends the child, and all that it has started, with the test. */
function said(child: ChildProcess, words: string): Promise<string> {
  onTestFinished(async () => {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    if (child.exitCode !== null || child.pid === undefined) return;
    process.kill(-child.pid, "SIGTERM");
    await gone;
  });
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.on("data", (bytes: Buffer) => {
      text += bytes.toString();
      const line = text.split(/\r?\n/).slice(0, -1).find((one) => one.startsWith(words));
      if (line !== undefined) resolve(line);
    });
    child.once("exit", () => {
      reject(new Error(`the ZFS of the test did not come up: ${text}`));
    });
  });
}

function seconds(time: Date): number {
  return Math.floor(time.getTime() / 1000);
}
