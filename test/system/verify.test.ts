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

  const words = ["verify", "--level", "receive", "--into", `${place}/scratch`, ...flags, ...scene.asBob, "--json"];
  const clean = await scene.run(words);
  expect(clean.exit, clean.stderr).toBe(0);
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
