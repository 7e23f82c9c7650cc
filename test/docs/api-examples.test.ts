/** The examples of `docs/examples/api`, one story: what one stores the others list, read, copy and judge. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { backUp } from "../../docs/examples/api/backup.ts";
import { copyOut } from "../../docs/examples/api/download.ts";
import { rehearse } from "../../docs/examples/api/drill.ts";
import { digestOf } from "../../docs/examples/api/get.ts";
import { restorable } from "../../docs/examples/api/list.ts";
import { superfluous } from "../../docs/examples/api/prune.ts";
import { storeStream } from "../../docs/examples/api/put.ts";
import { quietly } from "../../docs/examples/api/quiesce.ts";
import { remember } from "../../docs/examples/api/rebuild.ts";
import { bringBack } from "../../docs/examples/api/restore.ts";
import { storeAt } from "../../docs/examples/api/store.ts";
import { problems } from "../../docs/examples/api/verify.ts";
import * as library from "../../src/index.ts";
import { bobsKeyring } from "../ferrying.ts";
import { ownFolder } from "../folder.ts";
import { nightly, streamOf } from "../cli/pool.ts";
import { fixtures } from "../cli/zferry.ts";
import { fakeProgram } from "../zfs/fake.ts";

const { signal } = new AbortController();
const recipients = { passphrases: [], certificates: [readFileSync(join(fixtures, "keys/bob.public.asc"), "utf8")] };

async function* bytes(): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(streamOf("two"));
}

it("the examples do what they say", { timeout: 60_000 }, async () => {
  for (const method of ["log", "warn", "error"] as const) vi.spyOn(console, method).mockImplementation(() => undefined);
  const [folder, stateDir, pool] = [ownFolder(), ownFolder(), nightly({ datasets: { tank: { snapshots: {} }, "tank/src": { snapshots: {} }, "tank/place": { snapshots: {} } } })];
  const zfs = library.zfsThrough([fakeProgram], { ...process.env, ...pool.env });
  const [store, copy] = [await storeAt(join(folder, "store")), await storeAt(join(folder, "copy"))];

  const name = await backUp(store, zfs, "tank/src", recipients, stateDir, signal);
  expect(name).toMatch(/^tank\/src@zferry-/);
  expect(await storeStream(store, "tank/src@two", bytes, recipients, signal)).toBeGreaterThan(1000);
  expect((await restorable(store, signal)).sort()).toEqual(["tank/src@two", name].sort());
  expect(await digestOf(store, "tank/src@two", bobsKeyring, signal)).toBe(createHash("sha256").update(streamOf("two")).digest("hex"));
  expect(await problems(store, bobsKeyring, stateDir, signal)).toEqual([]);
  expect(await copyOut(store, copy, "tank/src@two", signal)).toEqual([name, "tank/src@two"]);
  expect(await bringBack([copy, store], zfs, "tank/src", "tank/back", bobsKeyring, signal)).toEqual([name, "tank/src@two"]);
  expect(await rehearse(store, zfs, "tank/place", bobsKeyring, stateDir, signal)).toBeGreaterThan(0);
  expect(console.error).not.toHaveBeenCalled();
  expect(await superfluous(store, "tank/src", stateDir, signal)).toEqual([]);
  expect(await remember(store, stateDir, signal)).toBe(2);
  const request = { hooks: [], subject: { jobs: [], datasets: [], snapshots: [] }, stateDir, environment: {}, warn: console.warn, now: () => new Date(), signal };
  expect(await quietly(request, () => Promise.resolve("done"))).toBe("done");
  await store.close();
  await copy.close();
});

it("there is one for each verb of the library", () => {
  const verbs = ["backup", "put", "get", "list", "restore", "download", "verify", "prune", "drill", "quiesced", "recoverOwed", "rebuildState", "openStore"];
  const folder = new URL("../../docs/examples/api/", import.meta.url);
  const texts = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), "utf8"));
  for (const verb of verbs) expect([verb, verb in library, texts.some((text) => text.includes(` ${verb}(`))]).toEqual([verb, true, true]);
  const functions = Object.entries(library).filter(([name, value]) => typeof value === "function" && /^[a-z]/.test(name)).map(([name]) => name);
  const tools = ["exitStatus", "formatSize", "isZferryError", "openBackup", "parseConfig", "parseDatasetName", "parseSize", "parseSnapshotName", "readCatalog", "zfsThrough"];
  expect(functions.filter((name) => !tools.includes(name)).sort()).toEqual([...verbs].sort());
});
