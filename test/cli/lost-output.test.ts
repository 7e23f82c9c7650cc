/** Nobody reads on: what is lost of what was asked for is a failure, what is lost of the conversation stops nothing. */
import { execFileSync } from "node:child_process";
import { Writable } from "node:stream";
import { beforeAll, expect, it } from "vitest";
import { runToExit } from "../../src/cli/program.ts";
import { built } from "../build.ts";
import { ownTerminal } from "./terminal.ts";
import { net, recorded, Scene } from "./zferry.ts";

beforeAll(built);

/** A stdout that takes nothing, as on a disk that is full, or behind a pipe whose reader has seen enough. */
function refusing(code: string): Writable {
  const stdout = new Writable({ write: (_chunk, _encoding, done) => { done(Object.assign(new Error(`${code}: write`), { code })); } });
  return stdout.on("error", () => undefined); // as `main.ts` does
}

it.for([
  ["ENOSPC", ["list"], 2, "zferry: error: what was asked for could not be written to stdout: ENOSPC: write\nzferry: hint: "],
  ["ENOSPC", ["list", "--json"], 2, '"code":"usage","message":"what was asked for could not be written to stdout: ENOSPC: write"'],
  ["EPIPE", ["list"], 0, ""],
  ["ENOSPC", ["help", "topics"], 2, "ENOSPC"],
  ["ENOSPC", ["help"], 2, "ENOSPC"],
  ["EPIPE", ["help"], 0, ""],
] as const)("stdout that fails with %s makes %j end with %i", async ([code, words, exit, said]) => {
  const scene = new Scene();
  await scene.put("tank/src@s1", recorded("inc-i"));
  const place = words[0] === "help" ? [] : scene.place;
  const terminal = ownTerminal({ stdout: refusing(code) });
  expect(await runToExit([...words, ...place], terminal)).toBe(exit);
  expect(terminal.written.stderr).toContain(said);
  if (exit === 0) expect(terminal.written.stderr).toBe("");
});

it("a disk that is full is noticed", async () => {
  const script = '"$NODE" "$MAIN" completion bash >/dev/full; echo "[$?]"';
  expect(execFileSync("bash", ["-c", script], { env: { NODE: process.execPath, MAIN: await built() }, encoding: "utf8", stdio: "pipe" })).toBe("[2]\n");
});

it("a reader of stderr that went away stops no run", async () => {
  const scene = new Scene();
  scene.write("stream", recorded("inc-i"));
  const flags = [...scene.place, ...scene.forBob, "--log-format", "json"].map((flag) => `'${flag}'`).join(" ");
  const script = `exec 3> >(exit 0); wait $!; "$NODE" --import "$NET" "$MAIN" put tank/src@s1 ${flags} <stream 2>&3; echo "[$?]"`;
  const env = { PATH: process.env.PATH, HOME: scene.folder, NODE: process.execPath, MAIN: await built(), NET: net };
  expect(execFileSync("bash", ["-c", script], { cwd: scene.folder, env, encoding: "utf8" })).toMatch(/^stored incremental backup tank\/src@s1: .*\n\[0\]\n$/);
  expect(scene.manifests).toEqual(["tank/src@s1.json"]);
});
