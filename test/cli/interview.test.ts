/**
 * `zferry init` on a terminal: the built program in a pty that `script` (util-linux) makes, answered question by question.
 */
import { spawn } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { PassThrough } from "node:stream";
import { beforeAll, expect, it } from "vitest";
import { interview } from "../../src/cli/interview.ts";
import { parseConfig } from "../../src/config/config.ts";
import { ZferryError } from "../../src/errors.ts";
import { built } from "../build.ts";
import { fakeProgram } from "../zfs/fake.ts";
import { nightly } from "./pool.ts";
import { ownTerminal } from "./terminal.ts";
import { Scene } from "./zferry.ts";

beforeAll(built);

/** Runs `zferry init` in a pty; each answer is typed when its question stands there. */
async function answered(scene: Scene, dialogue: readonly (readonly [question: string, answer: string])[]): Promise<{ exit: number | null; screen: string }> {
  const command = `${process.execPath} ${await built()} init`;
  const env = { PATH: `${dirname(fakeProgram)}:${process.env.PATH ?? ""}`, TERM: "dumb", ...nightly().env };
  const child = spawn("script", ["-qec", command, "/dev/null"], { cwd: scene.folder, env });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  let [screen, seen] = ["", 0];
  const left = [...dialogue];
  child.stdout.on("data", (piece: Buffer) => {
    screen += piece.toString();
    const next = left[0];
    const at = next === undefined ? -1 : screen.indexOf(next[0], seen);
    if (next === undefined || at < 0 || !screen.slice(at).includes("] ")) return;
    seen = screen.length;
    left.shift();
    child.stdin.write(next[1]);
  });
  const exit = await exited;
  expect(left, screen).toEqual([]);
  return { exit, screen };
}

it("asks for what it needs, tells what is wrong with an answer, and writes a configuration and a passphrase", async () => {
  const scene = new Scene();
  const passphraseFile = join(scene.folder, "keys", "passphrase");
  const { exit, screen } = await answered(scene, [
    ["Where do backups go", "ftp://x\r"],
    ["Where do backups go", `${scene.store}\r`],
    ["Which datasets", "tank//x\r"],
    ["Which datasets", "tank/src, tank/s*\r"],
    ["All that is below", "maybe\r"],
    ["All that is below", "y\r"],
    ["File with the passphrase", `${passphraseFile}\r`],
    ["Make one with a random", "\r"],
    ["How many daily", "many\r"],
    ["How many daily", "7 4 6\r"],
  ]);
  expect(exit, screen).toBe(0);
  expect(screen).toContain("Datasets here: tank/src");
  expect(screen).toContain('there is no kind of store "ftp"');
  const config = parseConfig(readFileSync(join(scene.folder, "zferry.yaml"), "utf8"), "zferry.yaml");
  expect(config.stores.get("main")?.url).toBe(scene.store);
  const [job] = config.jobs.values();
  expect(job).toMatchObject({ datasets: ["tank/src", "tank/s*"], isRecursive: true, keep: { local: null, store: { daily: 7, weekly: 4, monthly: 6 } } });
  const passphrase = readFileSync(passphraseFile, "utf8");
  expect(passphrase).toMatch(/^[\w-]{32}\n$/);
  expect(statSync(passphraseFile).mode & 0o777).toBe(0o600);
  expect(screen).not.toContain(passphrase.trim());
  expect(screen).not.toContain("warning");
});

it("takes what stands in brackets for empty answers, and makes no passphrase when told not to", async () => {
  const scene = new Scene();
  const { exit, screen } = await answered(scene, [
    ["Where do backups go", "\r"],
    ["Which datasets", "\r"],
    ["All that is below", "\r"],
    ["File with the passphrase", "/nowhere/passphrase\r"],
    ["Make one with a random", "n\r"],
    ["How many daily", "all\r"],
  ]);
  expect(exit, screen).toBe(0);
  const { stores, jobs, encryption } = parseConfig(readFileSync(join(scene.folder, "zferry.yaml"), "utf8"), "zferry.yaml");
  expect([stores.get("main")?.url, [...jobs.keys()], encryption.passphraseFile]).toEqual(["/var/backups/zferry", ["tank-src"], "/nowhere/passphrase"]);
  expect(jobs.get("tank-src")).toMatchObject({ datasets: ["tank/src"], isRecursive: false, keep: { store: null } });
  expect(screen).toContain("warning: cannot read the passphrase file");
});

it.for([
  ["Ctrl-C", "\u0003"],
  ["the end of input", "\u0004"],
] as const)("writes nothing on %s", async ([, key]) => {
  const scene = new Scene();
  const { exit, screen } = await answered(scene, [
    ["Where do backups go", "\r"],
    ["Which datasets", key],
  ]);
  expect([exit, screen]).toEqual([130, expect.stringContaining("nothing was written")]);
  expect(() => statSync(join(scene.folder, "zferry.yaml"))).toThrow("ENOENT");
});

it("makes no passphrase before the last answer", async () => {
  const scene = new Scene();
  const { exit, screen } = await answered(scene, [
    ["Where do backups go", "\r"],
    ["Which datasets", "\r"],
    ["All that is below", "\r"],
    ["File with the passphrase", `${join(scene.folder, "new")}\r`],
    ["Make one with a random", "\r"],
    ["How many daily", "\u0003"],
  ]);
  expect([exit, screen]).toEqual([130, expect.stringContaining("nothing was written")]);
  expect(() => statSync(join(scene.folder, "new"))).toThrow("ENOENT");
});

it("ends with what stopped it while it waits for an answer", async () => {
  const stop = new AbortController();
  const reason = new ZferryError("terminated", "stopped by SIGTERM");
  const stderr = new PassThrough();
  stderr.on("data", (piece: Buffer) => {
    if (piece.includes("Where do backups go")) setImmediate(() => { stop.abort(reason); });
  });
  const asking = interview(ownTerminal({ stderr, signal: stop.signal }), { store: "/x", datasets: ["tank/x"], isRecursive: false, passphraseFile: "/x", keep: null });
  await expect(asking).rejects.toBe(reason);
});

it("asks nothing when the file is there", async () => {
  const scene = new Scene();
  scene.write("zferry.yaml", "# mine\n");
  const { exit, screen } = await answered(scene, []);
  expect([exit, screen]).toEqual([2, expect.stringContaining("it exists")]);
});
