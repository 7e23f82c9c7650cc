/**
 * `verify --level receive` on a real OpenZFS: received, its guid compared, destroyed again, and nothing else touched.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { openStore } from "../../src/store/open.ts";
import { defaultRetryPolicy } from "../../src/store/retry.ts";
import { expectAllFound } from "../cli/harms.ts";
import { documentOf, filesUnder, Scene } from "../cli/zferry.ts";
import { begin, end, seal, write } from "../replay/forge.ts";
import { need } from "../systems.ts";
import { newBucket } from "./bucket.ts";
import { Guest } from "./guest.ts";
import { nodeInGuest } from "./guest-node.ts";

const minutes = 60_000;
const MiB = 1024 * 1024;

/** A full of 11 MiB, which is three chunks of the smallest size S3 takes, and an incremental of it. */
const streams = {
  one: () => seal([begin({ toGuid: 11n }), ...Array.from({ length: 11 }, () => write(MiB)), end(11n)]),
  two: () => seal([begin({ toGuid: 12n, fromGuid: 11n }), write(5000), end(12n)]),
};

describe("verify on a real S3 server finds", () => {
  it("each of eight kinds of harm at its level and names the place, and nothing in a clean bucket", { timeout: 2 * minutes }, async (context) => {
    const bucket = await newBucket(need(context, "s3"));
    const scene = new Scene();
    const place = ["--store", bucket.url, "--state-dir", scene.stateDir];
    const store = await openStore(bucket.url, { partBytes: 5 * MiB, concurrency: 4, retry: defaultRetryPolicy, access: "write", environment: bucket.env });
    onTestFinished(() => store.close());
    const put = async (name: "one" | "two"): Promise<void> => {
      const words = ["put", `tank/src@${name}`, ...place, "--part-size", "5MiB", "--chunk-size", "5MiB", ...scene.forBob];
      const { exit, stderr } = await scene.run(words, { env: bucket.env, stdin: streams[name]() });
      expect(exit, stderr).toBe(0);
    };
    await put("one");
    await put("two");
    await expectAllFound({ scene, store, place, env: bucket.env, put });
  });
});

it("level receive receives a full and its incremental into a scratch dataset of OpenZFS and leaves nothing there", { timeout: 5 * minutes }, async (context) => {
  const guest = new Guest(need(context, "openzfs"));
  const [scene, dataset, place] = [new Scene(), guest.newName("tsrc"), guest.newName("tdst")];
  await guest.zfs("create", dataset);
  await guest.zfs("create", place);
  const flags = [...scene.place, "--zfs", guest.zfsPath];
  const backup = async (): Promise<void> => {
    const ended = await scene.run(["backup", "--dataset", dataset, ...flags, ...scene.small, ...scene.forBob, "--full-every", "36500d"], { now: new Date() });
    expect(ended.exit, ended.stderr).toBe(0);
  };
  await guest.sh(`head -c 300000 /dev/urandom > /${dataset}/file`);
  await backup();
  await guest.sh(`echo more > /${dataset}/more; sleep 1`);
  await backup();
  await guest.zfs("create", `${place}/neighbour`);

  const words = ["verify", "--level", "receive", "--into", `${place}/scratch`, "--sample", "3", ...flags, ...scene.asBob, "--json"];
  const clean = await scene.run(words);
  expect(clean.exit, clean.stderr).toBe(0);
  // Its zfs is on another machine than zferry, and so are the files.
  const beyondReach = { fileCount: 0, obstacle: expect.stringMatching(/cannot be read from here: ENOENT/) as string };
  expect(documentOf(clean)).toMatchObject({ samples: [beyondReach, beyondReach] });
  expect(documentOf(clean)).toMatchObject({ complete: true, backups: [{ level: "receive", ok: true }, { level: "receive", ok: true }] });
  expect((await guest.zfs("list", "-Hr", "-o", "name", place)).split("\n")).toEqual([place, `${place}/neighbour`]);

  const [chunk = ""] = filesUnder(scene.store).filter((file) => file.endsWith(".000002"));
  writeFileSync(join(scene.store, chunk), Buffer.alloc(65_536));
  const damaged = await scene.run(words);
  expect(damaged.exit, damaged.stderr).toBe(3);
  const { backups } = documentOf(damaged) as { backups: { findings: { kind: string }[] }[] };
  expect(backups.map(({ findings }) => findings.map(({ kind }) => kind))).toEqual([["digest"], ["digest"]]);
  expect((await guest.zfs("list", "-Hr", "-o", "name", place)).split("\n")).toEqual([place, `${place}/neighbour`]);
});

/** What the sample does where zferry and the pool are on one machine: `dist` is run inside the guest, by its own Node. */
const script = `
  import { readFileSync } from "node:fs";
  import { compareSample } from "./dist/verify/sample.js";
  const zfs = { command: ["zfs"], environment: { PATH: process.env.PATH }, graceMs: 1000, answerMs: 60_000 };
  const [source, into, guid] = process.argv.slice(2);
  const run = async (name, change = {}, signal = new AbortController().signal) => {
    const entry = { backup: source + "@s", guid: BigInt(guid), streamKind: "single", ...change };
    const told = await compareSample({ zfs, into }, entry, { fileCount: 5, seed: "7" }, signal).catch((error) => ({ threw: error.message }));
    console.log(JSON.stringify({ name, ...told }));
  };
  const stop = new AbortController();
  await run("compared");
  await run("unknown guid", { guid: 5n });
  const isMounted = () => readFileSync("/proc/mounts", "utf8").includes(" " + process.env.TMPDIR + "/");
  const looking = setInterval(() => isMounted() && stop.abort(new Error("stopped")), 5);
  await run("stopped", {}, stop.signal);
  clearInterval(looking);
`;

it("the file sample finds a changed file on OpenZFS, and never leaves anything mounted", { timeout: 3 * minutes }, async (context) => {
  const system = need(context, "openzfs");
  const guest = new Guest(system);
  const [source, into] = [guest.newName("tsrc"), guest.newName("tdst")];
  const { folder, run } = await nodeInGuest(system, guest, script);
  await guest.zfs("create", source);
  await guest.sh(`cd /${source} && mkdir d && for i in 1 2 3 4; do echo $i >f$i; done && echo 5 >d/f5`);
  await guest.zfs("snapshot", `${source}@s`);
  await guest.sh(`zfs send ${source}@s | zfs receive ${into} && echo changed >/${into}/d/f5 && zfs unmount ${into}`);
  const told = await run(source, into, await guest.guid(`${source}@s`));
  const lines = told.split("\n").map((line) => JSON.parse(line) as unknown);
  const damage = expect.stringMatching(/^the file "d\/f5" is not what it is in the source's snapshot: SHA-256 [0-9a-f]{64} in the backup, SHA-256 [0-9a-f]{64} there$/) as string;
  expect(lines).toEqual([
    { name: "compared", sample: { backup: `${source}@s`, seed: "7", fileCount: 5, obstacle: null, files: expect.arrayContaining([{ path: "d/f5", sizeBytes: 8, sha256: expect.any(String) as string, isCompared: true }]) as unknown }, findings: [expect.objectContaining({ kind: "sample", message: damage })] },
    { name: "unknown guid", sample: { backup: `${source}@s`, seed: "7", fileCount: 0, obstacle: "its snapshot is not on the pool any more", files: [] }, findings: [] },
    { name: "stopped", threw: "stopped" },
  ]);
  expect(await guest.sh(`grep -c ' ${folder}' /proc/mounts || true; ls -d ${folder}/zferry-verify-* 2>/dev/null || true`)).toBe("0");
  expect(await guest.zfs("get", "-H", "-o", "value", "mounted", into)).toBe("no");
});
