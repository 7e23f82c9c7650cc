/** The program's modules and a Node to run them, inside the guest: for what only works where the pool is. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { onTestFinished } from "vitest";
import { built } from "../build.ts";
import { ownFolder } from "../folder.ts";
import type { OpenZfsSystem } from "../systems.ts";
import type { Guest } from "./guest.ts";

export interface GuestNode {
  /** In the guest: what was carried, with the program in `dist/`. */
  readonly folder: string;
  /** Runs the script with these words. @returns what it prints */
  readonly run: (...words: readonly string[]) => Promise<string>;
}

/**
 * @param system - whose guest it is
 * @param script - an ES module; `./dist/` is the program
 * @param pack - puts what else is needed into the folder that is carried; links are followed
 */
export async function nodeInGuest(system: OpenZfsSystem, guest: Guest, script: string, pack?: (luggage: string) => void): Promise<GuestNode> {
  const luggage = ownFolder();
  const folder = `/tmp/${basename(luggage)}`;
  onTestFinished(() => guest.sh(`rm -rf ${folder}`).then(() => undefined));
  mkdirSync(join(luggage, "lib"));
  symlinkSync(dirname(await built()), join(luggage, "dist"));
  const libraries = execFileSync("ldd", [process.execPath], { encoding: "utf8" }).match(/\/lib[^ ]+/g) ?? [];
  for (const file of [process.execPath, ...libraries]) symlinkSync(file, join(luggage, "lib", basename(file)));
  writeFileSync(join(luggage, "run.mjs"), script);
  writeFileSync(join(luggage, "package.json"), '{"type":"module"}');
  pack?.(luggage);
  const tar = spawn("tar", ["-c", "-h", "--exclude=*.map", "--exclude=*.cjs", "-C", luggage, "."], { stdio: ["ignore", "pipe", "ignore"] });
  // What leads into the guest shuts its streams when it ends, and would shut those of this process with them.
  const untar = spawn(system.sh, ["-c", `mkdir -p ${folder} && tar -x -C ${folder}`], { stdio: ["pipe", "ignore", "ignore"] });
  await pipeline(tar.stdout, untar.stdin);
  if (untar.exitCode === null) await once(untar, "exit");

  await guest.sh("mkdir -p /usr/bin; [ -e /usr/bin/env ] || ln -s /bin/busybox /usr/bin/env"); // by which the kernel mounts snapshots
  const node = `${folder}/lib/ld-linux-x86-64.so.2 --library-path ${folder}/lib ${folder}/lib/${basename(process.execPath)}`;
  return { folder, run: (...words) => guest.sh(`cd ${folder} && TMPDIR=${folder} ${node} run.mjs ${words.join(" ")}`) };
}
