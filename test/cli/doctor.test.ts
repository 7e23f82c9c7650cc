/** `zferry doctor`: what it says and how it ends. What it finds is in `test/doctor.test.ts`. */
import { mkdirSync } from "node:fs";
import { expect, it } from "vitest";
import { newBucket } from "../system/bucket.ts";
import { need } from "../systems.ts";
import { documentOf, type Ended, filesUnder, Scene } from "./zferry.ts";

interface Probe {
  readonly name: string;
  readonly outcome: string;
  readonly detail: string;
  readonly consequence: string | null;
}

function examine(scene: Scene, ...flags: string[]): Promise<Ended> {
  return scene.run(["doctor", ...scene.place, ...flags], { now: new Date() });
}

function probesOf(ended: Ended): Probe[] {
  return documentOf(ended).probes as Probe[];
}

it("a folder is sound: exit 0, a line for each probe, and nothing is left in it", async () => {
  const scene = new Scene();
  const { exit, stdout } = await examine(scene);
  expect(exit).toBe(0);
  const lines = stdout.toString().trimEnd().split("\n");
  expect(lines).toHaveLength(14);
  for (const line of lines) expect(line).toMatch(/^[a-z-]+ +ok {7}/);
  expect(filesUnder(scene.store)).toEqual([]);
});

it("with --json there is one document, whose members are the contract", async () => {
  const scene = new Scene();
  const ended = await examine(scene, "--json");
  expect(ended.exit).toBe(0);
  expect(documentOf(ended)).toMatchObject({ type: "doctor", store: scene.store });
  for (const probe of probesOf(ended)) expect(Object.keys(probe)).toEqual(["name", "outcome", "detail", "consequence"]);
});

it("sizes that do not fit are a finding: exit 3, with what follows", async () => {
  const ended = await examine(new Scene(), "--part-size", "3MiB", "--json");
  expect(ended.exit).toBe(3);
  expect(JSON.parse(ended.stderr)).toMatchObject({ code: "findings", exit: 3 });
  expect(probesOf(ended).filter(({ outcome }) => outcome !== "ok")).toMatchObject([{ name: "limits", outcome: "finding" }]);
  const text = (await examine(new Scene(), "--part-size", "3MiB")).stdout.toString();
  expect(text).toMatch(/^limits +finding {2}chunks of 1 GiB are not a whole number of 3 MiB parts\n +backups with these sizes are refused/m);
});

it("sizes are judged together: a chunk size that fits the part size is no finding", async () => {
  expect((await examine(new Scene(), "--part-size", "3MiB", "--chunk-size", "30MiB")).exit).toBe(0);
});

it("a store in which nothing can be stored ends with 15, after all lines were said", async () => {
  const scene = new Scene();
  scene.write("store/doctor", "in the way");
  const ended = await examine(scene, "--json");
  expect(ended.exit).toBe(15);
  expect(probesOf(ended)[0]).toMatchObject({ name: "put", outcome: "failed" });
  expect(probesOf(ended).slice(1, -1).every(({ outcome }) => outcome === "skipped")).toBe(true);
  expect((await examine(scene)).stdout.toString()).toMatch(/^put +FAILED /);
});

it("a store that cannot be opened ends with 15", async () => {
  const scene = new Scene();
  scene.write("store", "a file");
  expect((await examine(scene)).exit).toBe(15);
});

it("each store that a job or its copies name is tried once, and one that cannot be opened keeps no other from it", async () => {
  const scene = new Scene();
  scene.write("attic", "a file");
  const stores = `stores: { main: { url: "${scene.store}" }, same: { url: "${scene.store}" }, attic: { url: "${scene.folder}/attic" }, unused: { url: /no/where } }`;
  const config = scene.write("two.yaml", `{ ${stores}, jobs: { a: { dataset: tank, store: main, copies: [{ store: attic }] }, b: { dataset: dozer, store: same } } }`);
  const ended = await scene.run(["doctor", "--config", config, "--json"], { now: new Date() });
  expect([ended.exit, ended.stderr]).toEqual([15, expect.stringContaining(`open of \\"${scene.folder}/attic\\"`)]);
  const stored = documentOf(ended).stores as { store: string; probes: Probe[] }[];
  expect(stored.map(({ store, probes }) => [store, probes.length, probes[0]?.name])).toEqual([[scene.store, 14, "put"], [`${scene.folder}/attic`, 1, "open"]]);
  expect([documentOf(ended).store, documentOf(ended).probes]).toEqual([scene.store, stored[0]?.probes]);
});

it("the parts of the probe are small however large those of backups are", async () => {
  const scene = new Scene();
  mkdirSync(scene.store);
  const probes = probesOf(await examine(scene, "--part-size", "256MiB", "--json"));
  expect(probes.find(({ name }) => name === "multipart")?.detail).toContain("6.00 MiB in two parts");
});

it("on a real S3 server all is well, and no object and no upload is left", async (context) => {
  const bucket = await newBucket(need(context, "s3"));
  const words = ["doctor", "--store", bucket.url];
  const ended = await new Scene().run([...words, "--json"], { env: bucket.env, now: new Date() });
  expect(probesOf(ended).filter(({ outcome }) => outcome !== "ok")).toEqual([]);
  expect(ended.exit).toBe(0);
  expect(await bucket.keys()).toEqual([]);
  expect(await bucket.openUploadCount()).toBe(0);
});

it("on a real S3 server that is told to be one without conditions the race has several winners, and that is a finding", async (context) => {
  const bucket = await newBucket(need(context, "s3"));
  const words = ["doctor", "--store", bucket.url.replace("provider=ceph", "provider=b2")];
  const ended = await new Scene().run([...words, "--json"], { env: bucket.env, now: new Date() });
  expect(ended.exit).toBe(3);
  const race = probesOf(ended).find(({ name }) => name === "create-race");
  expect(race).toMatchObject({ outcome: "finding", consequence: expect.stringContaining("runs on several hosts must not overlap") as string });
});
