/**
 * Every error code is reached, and is described in `docs/errors.md` with the exit status it has. The table is typed by the
 * codes themselves: a new one does not compile until there is a way to it here.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { beforeAll, expect, it, onTestFinished, vi } from "vitest";
import { runToExit } from "../../src/cli/program.ts";
import { type ErrorCode, exitStatusOf, MemoryStore } from "../../src/index.ts";
import { takeLocalLock } from "../../src/lock.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { built } from "../build.ts";
import { FilesNight } from "../plain/files-night.ts";
import { nightly, Pool } from "./pool.ts";
import { ownTerminal } from "./terminal.ts";
import { type Ended, recorded, type RunOptions, Scene } from "./zferry.ts";

beforeAll(built, 180_000); // it is not the program's fault that it has to be made

const { signal } = new AbortController();
/** `tank/src@s1` in a scene's store, which bob can open. */
async function stored(): Promise<Scene> {
  const scene = new Scene();
  await scene.put("tank/src@s1", recorded("full"));
  return scene;
}

/** Runs it so that its last word has its code. */
const told = (scene: Scene, words: readonly string[], options: RunOptions = {}): Promise<Ended> => scene.run([...words, "--log-format", "json"], options);
const get = (scene: Scene, ...flags: string[]): Promise<Ended> => told(scene, ["get", "tank/src@s1", ...scene.place, ...flags]);
const put = (scene: Scene, stdin: Uint8Array, ...flags: string[]): Promise<Ended> => told(scene, ["put", "tank/src@s1", ...scene.place, ...scene.forBob, ...flags], { stdin });

/** The manifest, changed. */
function rewritten(scene: Scene, change: (text: string) => string): void {
  const file = join(scene.store, "manifests/tank/src@s1.json");
  writeFileSync(file, change(readFileSync(file, "utf8")));
}

/** A backup with a zfs that has only these words. */
function saying(words: string): Promise<Ended> {
  const scene = new Scene();
  const script = scene.write("zfs", `#!/bin/sh\necho "${words}" >&2\nexit 1\n`, 0o700);
  return told(scene, ["backup", "--dataset", "tank/src", "--zfs", script, ...scene.place, ...scene.forBob]);
}

async function listing(url: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return told(new Scene(), ["list", "--store", url, "--retry-for", "0s"], { env });
}

/** A put that waits for more of its stream, and is stopped. */
async function stopped(by: NodeJS.Signals): Promise<Ended> {
  const scene = new Scene();
  const { ended, feed, kill } = await scene.start(["put", "tank/src@s1", ...scene.place, ...scene.forBob, "--json"]);
  feed(recorded("full").subarray(0, 300_000));
  await vi.waitUntil(() => scene.journalPath !== null, { timeout: 50_000 });
  kill(by);
  return ended;
}

const credentials = { AWS_ACCESS_KEY_ID: "somebody", AWS_SECRET_ACCESS_KEY: "somebody's secret" };

/** How a command line comes to end with each code; null for those that others become on their way there. */
const ways: Readonly<Record<ErrorCode, (() => Promise<Pick<Ended, "exit" | "stderr">>) | null>> = {
  bug: async () => {
    const environment = new Proxy({}, { get: () => { throw new TypeError("nobody foresaw this"); } });
    const terminal = ownTerminal({ environment });
    const exit = await runToExit(["list", "--log-format", "json", "--store", "s"], { ...terminal, environment });
    return { exit, stderr: terminal.written.stderr };
  },
  usage: () => told(new Scene(), ["nonsense"]),
  "config-invalid": () => {
    const scene = new Scene();
    return told(scene, ["list", "--config", scene.write("z.yaml", "jobs: [")]);
  },
  "secret-unusable": () => put(new Scene(), recorded("full"), "--passphrase-file", "/nowhere/passphrase"),
  "size-limits": () => put(new Scene(), recorded("full"), "--chunk-size", "100KiB", "--part-size", "64KiB"),
  findings: async () => {
    const scene = await stored();
    rewritten(scene, () => "{}");
    return told(scene, ["list", ...scene.place]);
  },
  "backup-not-found": async () => {
    const scene = await stored();
    return told(scene, ["get", "tank/src@s9", ...scene.place, ...scene.asBob]);
  },
  locked: async () => {
    const scene = new Scene();
    const { release } = await takeLocalLock(scene.stateDir, parseDatasetName("tank/src"), { signal });
    return put(scene, recorded("full")).finally(release);
  },
  "key-missing": async () => get(await stored()),
  "key-wrong": async () => {
    const scene = new Scene();
    await scene.put("tank/src@s1", recorded("full"), ...scene.secret);
    return get(scene, "--passphrase-file", scene.write("another", "nothing like it"));
  },
  "stream-invalid": () => put(new Scene(), Buffer.alloc(1000, "no stream")),
  "message-invalid": () => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    scene.write("old/src@s1.zfs.gpg.0000", Buffer.from([0xc3, 0x04, 0x63, 0x01, 0x02, 0x03, 0xff, 0xff]));
    return told(scene, ["restore", "tank/src@s1", "--from", join(scene.folder, "old"), "--to", "pool/back", ...scene.secret], { env: pool.env });
  },
  "manifest-invalid": async () => {
    const scene = await stored();
    rewritten(scene, (text) => text.replace('"full"', '"incremental"').replace('"attempt"', '"at"'));
    return get(scene, ...scene.asBob);
  },
  "chunk-invalid": async () => {
    const scene = await stored();
    rmSync(join(scene.store, scene.objects.find((name) => name.endsWith(".000000")) ?? ""));
    return get(scene, ...scene.asBob);
  },
  "backup-conflict": async () => put(await stored(), recorded("inc-i")),
  "zfs-failed": () => saying("cannot do it: for a reason nobody has heard of"),
  "zfs-not-found": () => {
    const [scene, pool] = [new Scene(), nightly()];
    return told(scene, ["backup", "--dataset", "tank/none", ...scene.place, ...scene.forBob], { env: pool.env });
  },
  "zfs-busy": () => saying("cannot open 'tank/src': dataset is busy"),
  "zfs-permission": () => saying("cannot open 'tank/src': permission denied"),
  "zfs-no-space": () => saying("cannot open 'tank/src': out of space"),
  "target-exists": async () => {
    const [scene, pool] = [await stored(), new Pool({ datasets: { "pool/back": { snapshots: {} } } })];
    return told(scene, ["restore", "tank/src", "--to", "pool/back", ...scene.place, ...scene.asBob], { env: pool.env });
  },
  "target-modified": () => saying("cannot receive: destination tank/src has been modified since most recent snapshot"),
  "store-failed": () => listing("s3://bucket?endpoint=http://127.0.0.1:1&region=auto", credentials),
  "store-denied": () => listing("s3://bucket?endpoint=http://127.0.0.1:1&region=auto"),
  "store-not-found": () => listing("/nowhere"),
  "store-full": async () => {
    const server = createServer((request, response) => {
      request.resume().on("end", () => response.writeHead(507).end());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    return listing(`s3://bucket?endpoint=http://127.0.0.1:${port}&region=auto`, credentials);
  },
  "object-exists": null, // `backup-conflict`, `locked`
  "object-missing": null, // `backup-not-found`, `chunk-invalid`
  "hook-failed": () => {
    const [scene, pool] = [new Scene(), nightly()];
    const hook = '{name: service, before_snapshot: ["/bin/false"], after_snapshot: ["/bin/true"], timeout: 10s}';
    const file = scene.write("z.yaml", `state_dir: ${scene.stateDir}\nstores: {main: {url: ${scene.store}}}\nencryption: {recipients: [${scene.certificate("bob")}]}\njobs: {home: {dataset: tank/src, hooks: [${hook}]}}\n`);
    return scene.spawn(["backup", "--config", file, "--json"], { env: pool.env });
  },
  "format-too-new": async () => {
    const scene = await stored();
    rewritten(scene, (text) => text.replace('"format": 1', '"format": 2').replace('"seal":"v1:', '"seal":"v2:'));
    return get(scene, ...scene.asBob);
  },
  "view-failed": () => new FilesNight("      engine: command\n      command: [\"true\"]\n").run(["backup", "--log-format", "json"]), // nothing is in the tree
  "engine-failed": () => {
    const night = new FilesNight('      engine: command\n      command: ["false"]\n');
    writeFileSync(join(night.tree, "f"), "");
    return night.run(["backup", "--log-format", "json"]);
  },
  interrupted: () => stopped("SIGINT"),
  terminated: () => stopped("SIGTERM"),
};

const codes = Object.keys(ways) as ErrorCode[];

it.for(codes.filter((code) => ways[code] !== null))("%s is what a command line can end with", { timeout: 60_000 }, async (code) => {
  const ended = await ways[code]?.();
  const last = JSON.parse(ended?.stderr.trimEnd().split("\n").at(-1) ?? "") as unknown;
  expect(last).toMatchObject({ type: "error", code, exit: exitStatusOf[code] });
  expect(ended?.exit).toBe(exitStatusOf[code]);
});

it("object-exists and object-missing are a store's own", async () => {
  const store = new MemoryStore();
  const write = (): Promise<unknown> => store.put("k", Buffer.from("x"), { when: "create", signal });
  await write();
  await expect(write()).rejects.toMatchObject({ code: "object-exists" });
  const read = async (): Promise<void> => {
    for await (const piece of store.get("none", { signal })) expect(piece).toBeUndefined();
  };
  await expect(read()).rejects.toMatchObject({ code: "object-missing" });
});

it("docs/errors.md describes every code and no other, with what to do", () => {
  const text = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
  const table = text.slice(text.indexOf("| code | exit | when | what to do |"));
  const rows = table.split("\n").filter((line) => line.startsWith("| `")).map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()));
  expect(rows.map(([, code]) => code?.replaceAll("`", ""))).toEqual(Object.keys(exitStatusOf));
  for (const [, code = "", exit, when = "", todo = ""] of rows) {
    expect(Number(exit), code).toBe(exitStatusOf[code.replaceAll("`", "") as ErrorCode]);
    expect([code, when.length > 10, todo.length > 5]).toEqual([code, true, true]);
  }
});
