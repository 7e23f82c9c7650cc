/**
 * The built program for tests that start it as a process: `dist/main.js`, made anew when it is older than the sources.
 *
 * `npm test` has built it already. Two test processes may ask at once; a lock folder lets one of them build.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const lock = join(root, "node_modules", ".zferry-build");
const main = join(root, "dist", "main.js");
/** A lock this old belongs to a build that was killed. */
const staleLockMs = 120_000;

let ready: Promise<string> | null = null;

/** Builds once in this process, if need be. @returns the path of `main.js`. @throws when the sources do not compile */
export function built(): Promise<string> {
  return (ready ??= bringUpToDate());
}

async function bringUpToDate(): Promise<string> {
  while (isStale()) {
    if (!locked()) {
      await sleep(200);
      continue;
    }
    try {
      if (isStale()) build();
    } finally {
      rmSync(lock, { recursive: true, force: true });
    }
  }
  return main;
}

function isStale(): boolean {
  const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const builtAt = writtenAt(main);
  return [...sources.map((name) => join(root, "src", name)), join(root, "tsconfig.json")].some((file) => writtenAt(file) > builtAt);
}

function writtenAt(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function locked(): boolean {
  if (Date.now() - writtenAt(lock) > staleLockMs) rmSync(lock, { recursive: true, force: true });
  try {
    mkdirSync(lock);
    return true;
  } catch {
    return false; // another process builds
  }
}

function build(): void {
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  const { status, stdout } = spawnSync(process.execPath, [compiler, "-p", root], { encoding: "utf8" });
  if (status !== 0) throw new Error(`the sources do not compile:\n${stdout}`);
}
