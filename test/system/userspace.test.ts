/**
 * A larger generated dataset through `put` and `get`, sent and received by OpenZFS 2.3's own code in user space.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { net, Scene } from "../cli/zferry.ts";
import { built } from "../build.ts";
import { need } from "../systems.ts";
import { newBucket } from "./bucket.ts";

const minutes = 60_000;
const MiB = 1024 * 1024;

/** Runs the built program between two others: `from | zferry WORDS | to`; either end may be missing. */
async function between(words: readonly string[], env: Record<string, string>, ends: { from?: string[]; to?: string[] }): Promise<void> {
  const zferry = spawn(process.execPath, ["--import", net, await built(), ...words], { env: { PATH: process.env.PATH, ...env } });
  const said = buffer(zferry.stderr);
  const processes: ChildProcess[] = [zferry];
  const pipes: Promise<void>[] = [];
  if (ends.from !== undefined) {
    const from = spawn(ends.from[0] ?? "", ends.from.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
    pipes.push(pipeline(from.stdout, zferry.stdin));
  } else zferry.stdin.end();
  if (ends.to !== undefined) {
    const to = spawn(ends.to[0] ?? "", ends.to.slice(1), { stdio: ["pipe", "inherit", "pipe"] });
    processes.push(to);
    pipes.push(pipeline(zferry.stdout, to.stdin));
  } else zferry.stdout.resume();
  const statuses = await Promise.all(processes.map((child) => new Promise((resolve) => child.once("close", resolve))));
  await Promise.all(pipes);
  expect(statuses, (await said).toString()).toEqual(statuses.map(() => 0));
}

describe("OpenZFS 2.3 in user space", () => {
  it("receives 300 MB that went through put and get with every object equal", { timeout: 10 * minutes }, async (context) => {
    const { uz } = need(context, "uz");
    const bucket = await newBucket(need(context, "s3"));
    const scene = new Scene();
    const folder = mkdtempSync(join(tmpdir(), "zferry-uz-"));
    onTestFinished(() => {
      rmSync(folder, { recursive: true, force: true });
    });
    for (const pool of ["up", "down"]) {
      writeFileSync(join(folder, `${pool}.img`), "");
      truncateSync(join(folder, `${pool}.img`), 1024 * MiB);
      execFileSync(uz, ["create", folder, pool]);
    }
    execFileSync(uz, ["fill", folder, "up/data", "7", "300"]);
    execFileSync(uz, ["snap", folder, "up/data", "s1"]);
    const flags = ["--store", bucket.url, "--state-dir", scene.stateDir, ...scene.secret];
    await between(["put", "up/data@s1", ...flags], bucket.env, { from: [uz, "send", folder, "up/data@s1", "-Lc"] });
    await between(["get", "up/data@s1", ...flags], bucket.env, { to: [uz, "recv", folder, "down/data"] });
    // `up/data@s1 HASH 314572800 bytes guid GUID`: all but the name must agree.
    const sum = (name: string): string[] => execFileSync(uz, ["sum", folder, name]).toString().split(" ").slice(1);
    expect(sum("down/data@s1")).toContain("314572800");
    expect(sum("down/data@s1")).toEqual(sum("up/data@s1"));
  });
});
