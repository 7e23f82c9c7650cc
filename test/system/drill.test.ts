/**
 * `zferry drill` on a real OpenZFS: passes and names what it took and compared; fails by name; and leaves nothing, not even
 * when it is killed.
 */
import { copyFileSync, cpSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { documentOf, type Ended, filesUnder, Scene } from "../cli/zferry.ts";
import { built } from "../build.ts";
import { need, type OpenZfsSystem } from "../systems.ts";
import { Guest } from "./guest.ts";
import { nodeInGuest } from "./guest-node.ts";

const minutes = 60_000;

interface World {
  readonly scene: Scene;
  readonly guest: Guest;
  readonly source: string;
  readonly place: string;
  /** The full and its incremental. */
  readonly backups: readonly [string, string];
  readonly drill: (...words: string[]) => Promise<Ended>;
  /** What is below the place. */
  readonly left: () => Promise<string>;
}

async function world(system: OpenZfsSystem): Promise<World> {
  const guest = new Guest(system);
  const [scene, source, place] = [new Scene(), guest.newName("tsrc"), guest.newName("tdst")];
  await guest.zfs("create", source);
  await guest.zfs("create", place);
  const flags = [...scene.place, "--zfs", guest.zfsPath];
  for (const line of ["head -c 300000 /dev/urandom > big; mkdir d; for i in 1 2 3 4; do echo $i >d/f$i; done", "echo more >d/more; sleep 1"]) {
    await guest.sh(`cd /${source}; ${line}`);
    const ended = await scene.run(["backup", "--dataset", source, ...flags, ...scene.small, ...scene.forBob, "--full-every", "36500d"], { now: new Date() });
    expect(ended.exit, ended.stderr).toBe(0);
  }
  const { backups } = documentOf(await scene.run(["list", ...scene.place, "--json"])) as { backups: { backup: string; kind: string }[] };
  const named = (kind: string): string => backups.find((one) => one.kind === kind)?.backup ?? "";
  const drill = (...words: string[]): Promise<Ended> => scene.run(["drill", "--dataset", source, ...flags, ...(words.includes("--private-key") ? [] : scene.asBob), ...words], { now: new Date() });
  const left = async (): Promise<string> => (await guest.zfs("list", "-Hr", "-o", "name", place)).split("\n").slice(1).join();
  return { scene, guest, source, place, backups: [named("full"), named("incremental")], drill, left };
}

it("a drill on OpenZFS passes, fails by name, and leaves nothing, not even after a kill", { timeout: 10 * minutes }, async (context) => {
  const { scene, guest, place, source, backups: [full, incremental], drill, left } = await world(need(context, "openzfs"));
  const into = ["--into", place, "--sample", "0"];

  // Its files are on another machine than zferry, which it says.
  onTestFinished(() => guest.sh("rmdir /tmp/zferry-verify-* 2>/dev/null || true").then(() => undefined));
  const passed = await drill("--into", place, "--seed", "7", "--json");
  expect(passed.exit, passed.stderr).toBe(0);
  expect(documentOf(passed)).toMatchObject({ ok: true, seed: "7", candidateCount: 2, dataset: source, rtoSeconds: expect.any(Number) as number, clean: true, sample: { files: [], obstacle: expect.stringContaining("cannot be read from here") as string } });
  expect(await left()).toBe("");

  const [chunk = ""] = filesUnder(scene.store).filter((file) => file.endsWith(".000002"));
  const path = join(scene.store, chunk);
  copyFileSync(path, `${scene.folder}/chunk`);
  writeFileSync(path, Buffer.alloc(65_536));
  const damaged = await drill(...into, "--backup", incremental);
  expect([damaged.exit, damaged.stdout.toString()]).toEqual([3, expect.stringContaining(`finding: ${incremental}: digest: chunk 2 of `)]);
  copyFileSync(`${scene.folder}/chunk`, path);

  const manifest = join(scene.store, `manifests/${full}.json`);
  renameSync(manifest, `${scene.folder}/manifest`);
  const lost = await drill(...into, "--backup", incremental);
  expect([lost.exit, lost.stdout.toString()]).toEqual([3, expect.stringContaining(`finding: ${incremental}: base-missing: `)]);
  renameSync(`${scene.folder}/manifest`, manifest);

  const locked = await drill(...into, "--private-key", scene.privateKey("alice"));
  expect([locked.exit, locked.stdout.toString()]).toEqual([12, expect.stringContaining("FAILED: ")]);

  await guest.zfs("set", "quota=200K", place);
  const full_ = await drill(...into, "--backup", full);
  expect([full_.exit, full_.stdout.toString()]).toEqual([14, expect.stringContaining(`too little space for the drill: "${place}" has `)]);
  await guest.zfs("set", "quota=none", place);
  expect(await left()).toBe("");

  // A zfs that kills whoever called it once the full has been received.
  const killing = scene.write("zfs-killing", `#!/bin/sh\n'${guest.zfsPath}' "$@"; s=$?\n[ "$1" = receive ] && kill -9 $PPID\nexit $s\n`, 0o700);
  const killed = await scene.spawn(["drill", "--dataset", source, ...scene.place, "--zfs", killing, ...scene.asBob, ...into, "--backup", incremental]);
  expect(killed.killedBy).toBe("SIGKILL");
  const leftover = await left();
  expect(leftover).toMatch(new RegExp(`^${place}/zferry-drill-[0-9a-f]{8}$`));
  // Noted is the zfs that made it, which kills nobody when it destroys.
  const next = await drill(...into, "--backup", full);
  expect(next.exit, next.stderr).toBe(0);
  expect(next.stderr).toContain(`removed what a drill that was killed had left: "${leftover}"`);
  expect(await left()).toBe("");
  expect(readdirSync(join(scene.stateDir, "drills"))).toEqual([]);
});

/** Runs inside the guest, where zferry, its files and the pool are on one machine. */
const script = `
  import { readFileSync } from "node:fs";
  import { drill } from "./dist/drill/drill.js";
  import { openStore } from "./dist/store/open.js";
  import { defaultRetryPolicy } from "./dist/store/retry.js";
  import { zfsThrough } from "./dist/zfs/command.js";
  const [source, place, full, incremental] = process.argv.slice(2);
  const signal = new AbortController().signal;
  const store = await openStore("./store", { partBytes: 16384, concurrency: 1, retry: defaultRetryPolicy, access: "read", environment: {}, credentials: null });
  const keyring = { passphrases: [], privateKeys: [{ armored: readFileSync("bob.asc", "utf8"), passphrase: null }] };
  const common = {
    store, zfs: zfsThrough(["zfs"], process.env), stateDir: process.cwd() + "/state", job: null, selects: (all) => all, sampleCount: 9, seed: "7",
    keyring, allowUnauthenticated: false, concurrency: 1, threads: 0, onFetched() {}, onPlan() {}, warn: (text) => console.error(text), now: () => new Date(), signal,
  };
  for (const [backup, into] of [[full, place], [incremental, null]]) {
    const { report } = await drill({ ...common, backup, into });
    console.log(JSON.stringify(report));
  }
`;

it("a drill where zferry and the pool are on one machine compares files, below a place and in a pool of its own", { timeout: 10 * minutes }, async (context) => {
  const system = need(context, "openzfs");
  const { scene, guest, source, place, backups: [full, incremental] } = await world(system);
  const modules = join(dirname(await built()), "..", "node_modules");
  const { folder, run } = await nodeInGuest(system, guest, script, (luggage) => {
    mkdirSync(join(luggage, "node_modules"));
    cpSync(scene.store, join(luggage, "store"), { recursive: true });
    copyFileSync(scene.privateKey("bob"), join(luggage, "bob.asc"));
    for (const name of ["openpgp", "zod"]) symlinkSync(join(modules, name), join(luggage, "node_modules", name));
  });
  const told = await run(source, place, full, incremental);
  const reports = told.split("\n").map((line) => JSON.parse(line) as { sample: { files: { path: string; isCompared: boolean }[] } });
  const common = { outcome: "passed", error: null, findings: [], isClean: true, restoreSeconds: expect.any(Number) as number };
  expect(reports).toMatchObject([
    { ...common, backup: full, chain: [full], place: { kind: "dataset" }, sample: { obstacle: null } },
    { ...common, backup: incremental, chain: [full, incremental], place: { kind: "file-pool" } },
  ]);
  const namesIn = (index: number, isCompared: boolean): string[] => (reports[index]?.sample.files ?? []).filter((file) => file.isCompared === isCompared).map(({ path }) => path).sort();
  expect([namesIn(0, true), namesIn(0, false)]).toEqual([["big", "d/f1", "d/f2", "d/f3", "d/f4"], []]);
  expect([...namesIn(1, true), ...namesIn(1, false)].sort()).toEqual(["big", "d/f1", "d/f2", "d/f3", "d/f4", "d/more"]);
  expect(await guest.sh(`zpool list -H -o name | grep -c drill || true; ls ${folder}/state/drills; ls -d ${folder}/zferry-verify-* 2>/dev/null || true`)).toBe("0");
  expect((await guest.zfs("list", "-Hr", "-o", "name", place)).split("\n")).toEqual([place]);
});
