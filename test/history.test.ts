import { appendFileSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { appendRun, keptRuns, readRuns, type RunRecord } from "../src/history.ts";
import { parseDatasetName, parseSnapshotName } from "../src/zfs/names.ts";
import { ownFolder } from "./folder.ts";
import { failureOf } from "./stream/sources.ts";

const night = (number: number): Date => new Date(Date.UTC(2026, 0, 1, 3) + number * 86_400_000);

function run(number: number, rest: Partial<RunRecord> = {}): RunRecord {
  return {
    job: "home",
    dataset: parseDatasetName("tank/home"),
    storeUrl: "file:///backups",
    startedAt: night(number),
    endedAt: new Date(night(number).getTime() + 60_000),
    outcome: "stored",
    kind: "incremental",
    backup: parseSnapshotName(`tank/home@night-${number}`),
    streamBytes: 1000,
    storedBytes: 700,
    downtimeMs: null,
    error: null,
    ...rest,
  };
}

const refuse = (text: string): never => {
  throw new Error(text);
};

function fileIn(stateDir: string): string {
  const [name, ...others] = readdirSync(join(stateDir, "history"));
  if (name === undefined || others.length > 0) throw new Error("there is not one file");
  return join(stateDir, "history", name);
}

describe("the history", () => {
  it("is empty where nothing has run", async () => {
    expect(await readRuns(ownFolder(), refuse)).toEqual([]);
  });

  it.for([
    ["a backup", run(1)],
    ["one that had nothing to send", run(1, { outcome: "nothing", kind: null, backup: null, streamBytes: null, storedBytes: null })],
    ["one with services stopped", run(1, { downtimeMs: 2345 })],
    ["one that failed", run(1, { outcome: "failed", backup: null, error: { code: "store-failed", message: "it said\n\"no\"", hint: null } })],
    ["one of a dataset with an odd name", run(1, { job: "../../etc", dataset: parseDatasetName("tank/a:b_c.d-e") })],
  ] as const)("gives back %s as it was noted", async ([, record]) => {
    const folder = ownFolder();
    await appendRun(folder, record);
    expect(await readRuns(folder, refuse)).toEqual([record]);
    expect(readdirSync(folder)).toEqual(["history"]);
    expect(statSync(fileIn(folder)).mode & 0o777).toBe(0o600);
  });

  it("loses nothing when several runs end at once where the file has had its thousand", async () => {
    const folder = ownFolder();
    await appendRun(folder, run(0));
    appendFileSync(fileIn(folder), Array.from({ length: keptRuns - 2 }, (_, at) => `${JSON.stringify(run(at + 1))}\n`).join(""));
    await Promise.all([1, 2, 3, 4, 5].map((at) => appendRun(folder, run(keptRuns + at))));
    const nights = (await readRuns(folder, refuse)).map(({ startedAt }) => startedAt.getTime());
    expect(nights).toHaveLength(keptRuns);
    expect(new Set(nights).size).toBe(keptRuns);
  });

  it("is in the order in which runs began, whatever job they were of and whichever ended first", async () => {
    const folder = ownFolder();
    const other = { job: "other", dataset: parseDatasetName("tank/other") };
    for (const record of [run(3), run(1), run(2, other), run(0, other)]) await appendRun(folder, record);
    expect((await readRuns(folder, refuse)).map(({ startedAt }) => startedAt)).toEqual([0, 1, 2, 3].map(night));
  });

  it("loses nothing of what many append at once", async () => {
    const folder = ownFolder();
    await Promise.all(Array.from({ length: 50 }, (_, number) => appendRun(folder, run(number))));
    expect(await readRuns(folder, refuse)).toHaveLength(50);
  });
});

describe("what is kept", () => {
  it("is the newest thousand of each job and dataset, on disk at most two thousand", async () => {
    const folder = ownFolder();
    await appendRun(folder, run(0));
    const path = fileIn(folder);
    const many = Array.from({ length: keptRuns - 2 }, (_, number) => `${JSON.stringify(run(number + 1))}\n`).join("");
    appendFileSync(path, many);
    await appendRun(folder, run(5, { job: "other" }));
    for (let number = keptRuns - 1; number < keptRuns + 20; number += 1) await appendRun(folder, run(number));

    const runs = (await readRuns(folder, refuse)).filter(({ job }) => job === "home");
    expect(runs).toHaveLength(keptRuns);
    expect(runs[0]?.startedAt).toEqual(night(20));
    expect(runs.at(-1)?.startedAt).toEqual(night(keptRuns + 19));
    expect((await readRuns(folder, refuse)).filter(({ job }) => job === "other")).toHaveLength(1);

    appendFileSync(path, many); // a thousand more, and the oldest are gone from the disk
    await appendRun(folder, run(9999));
    const lines = readdirSync(join(folder, "history")).flatMap((name) => readFileSync(join(folder, "history", name), "utf8").trim().split("\n"));
    expect(lines.length).toBeLessThanOrEqual(2 * keptRuns);
  });
});

describe("damage", () => {
  it("costs the lines it is in, and is told", async () => {
    const folder = ownFolder();
    for (const number of [1, 2, 3]) await appendRun(folder, run(number));
    const path = fileIn(folder);
    const [first, second, third] = readFileSync(path, "utf8").split("\n");
    writeFileSync(path, `${first}\n${second?.replace("tank/home", "tank//")}\nnot json\n${third}\n`);
    const told: string[] = [];
    expect((await readRuns(folder, (text) => told.push(text))).map(({ startedAt }) => startedAt)).toEqual([night(1), night(3)]);
    expect(told).toEqual([`the history "${path}" has 2 damaged lines, skipped`]);
  });

  it("of a line that a power cut tore spoils none that comes after", async () => {
    const folder = ownFolder();
    await appendRun(folder, run(1));
    const path = fileIn(folder);
    truncateSync(path, statSync(path).size - 20);
    await appendRun(folder, run(2));
    const told: string[] = [];
    expect((await readRuns(folder, (text) => told.push(text))).map(({ startedAt }) => startedAt)).toEqual([night(2)]);
    expect(told).toHaveLength(1);
  });

  it("of the folder is the user's to put right", async () => {
    const folder = ownFolder();
    writeFileSync(join(folder, "history"), "in the way");
    expect(await failureOf(appendRun(folder, run(1)))).toMatchObject({ code: "config-invalid" });
    expect(await failureOf(readRuns(folder, refuse))).toMatchObject({ code: "config-invalid" });
  });
});
