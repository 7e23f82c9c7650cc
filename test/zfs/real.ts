/**
 * A real zfs to test against, and the short ways to make, send and receive things with it.
 *
 * ZFERRY_TEST_ZFS is the path of a zfs program, ZFERRY_TEST_ZPOOL that of its zpool; pools `tsrc` and `tdst` exist.
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { env } from "node:process";
import { runZfs, type Zfs } from "../../src/zfs/command.ts";
import { readDataset, type DatasetFacts, type SnapshotFacts } from "../../src/zfs/inventory.ts";
import { datasetOf, parseDatasetName, snapshotName, type DatasetName, type SnapshotName } from "../../src/zfs/names.ts";
import { defaultReceiveOptions, receive, type ReceiveOptions } from "../../src/zfs/receive.ts";
import { send, sendFlagsFor, type SendPlan } from "../../src/zfs/send.ts";
import { createSnapshots } from "../../src/zfs/snapshots.ts";
import { never } from "./fake.ts";

const program = env.ZFERRY_TEST_ZFS;
const poolProgram = env.ZFERRY_TEST_ZPOOL;
export const options = { signal: never };
const run = randomBytes(4).toString("hex");
export const source = parseDatasetName(`tsrc/zferry test-${run}`);
export const target = parseDatasetName(`tdst/zferry test-${run}`);

/** All variables go through: a zfs on another machine needs some of its own. */
export const environment = Object.fromEntries(Object.entries(env).filter((pair): pair is [string, string] => pair[1] !== undefined));
export const zfs: Zfs = { command: [program ?? "zfs"], environment, graceMs: 10_000, answerMs: 60_000 };

function missing(): string | null {
  if (program === undefined) return "ZFERRY_TEST_ZFS is not set: no real zfs to test against";
  if (poolProgram === undefined) return "ZFERRY_TEST_ZPOOL is not set";
  const pools = execFileSync(poolProgram, ["list", "-H", "-o", "name"], { encoding: "utf8" }).split("\n");
  return ["tsrc", "tdst"].every((pool) => pools.includes(pool)) ? null : "the pools tsrc and tdst do not exist";
}

/** What is missing for these tests; null when all is there. */
export const lack = missing();

export async function exists(dataset: DatasetName): Promise<DatasetFacts> {
  const facts = await readDataset(zfs, dataset, options);
  if (facts === null) throw new Error(`${dataset} is not there`);
  return facts;
}

export async function factsOf(snapshot: SnapshotName): Promise<SnapshotFacts> {
  const found = (await exists(datasetOf(snapshot))).snapshots.find(({ name }) => name === snapshot);
  if (found === undefined) throw new Error(`${snapshot} is not there`);
  return found;
}

export function child(parent: DatasetName, name: string): DatasetName {
  return parseDatasetName(`${parent}/${name}`);
}

export async function makeSource(name: string, extra: readonly string[] = []): Promise<DatasetName> {
  const dataset = child(source, name);
  await runZfs(zfs, ["create", ...extra, "--", dataset], options);
  return dataset;
}

export async function snap(dataset: DatasetName, name: string): Promise<SnapshotName> {
  const snapshot = snapshotName(dataset, name);
  await createSnapshots(zfs, [snapshot], { ...options, mark: "1" });
  return snapshot;
}

export async function planOf(snapshot: SnapshotName, base: SendPlan["base"] = null): Promise<SendPlan> {
  const dataset = await exists(datasetOf(snapshot));
  return { snapshot, base, flags: await sendFlagsFor(zfs, dataset, options) };
}

export async function ferry(plan: SendPlan, to: DatasetName, more: Partial<ReceiveOptions> = {}): Promise<void> {
  const how = { target: to, options: { ...defaultReceiveOptions, ...more } };
  await receive(zfs, send(zfs, plan, options), how, options);
}

export async function bytesOf(plan: SendPlan): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of send(zfs, plan, options)) pieces.push(piece);
  return Buffer.concat(pieces);
}

export async function* inPieces(bytes: Uint8Array, sizeBytes = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += sizeBytes) yield await Promise.resolve(bytes.subarray(at, at + sizeBytes));
}
