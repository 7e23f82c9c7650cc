/**
 * Events on stderr: what a program that follows a run is told, in which order, and that people are told as ever. That each
 * is as its schema says is seen to by `Scene`.
 */
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { Progress } from "../../src/cli/progress.ts";
import { Report } from "../../src/cli/report.ts";
import { built } from "../build.ts";
import { seen, validateLines } from "../documents/validate.ts";
import { Night, tonight } from "./job-night.ts";
import { nightly, Pool, streamOf } from "./pool.ts";
import { ownTerminal } from "./terminal.ts";
import { type Ended, recorded, Scene } from "./zferry.ts";

beforeAll(built, 180_000); // it is not the program's fault that it has to be made

/** Those that `documents.test.ts` does not come to; there all others are. */
const reachedHere = ["hooks-began", "hooks-ended", "progress", "request-retried", "fell-over", "removed"];

interface Line {
  readonly type: string;
  readonly time: string;
  readonly level: string;
  readonly event?: string;
  readonly text?: string;
  readonly [member: string]: unknown;
}

function linesOf({ stderr }: Ended): Line[] {
  return stderr.trimEnd().split("\n").map((line) => JSON.parse(line) as Line);
}

function eventsOf(ended: Ended): Line[] {
  return linesOf(ended).filter(({ type }) => type === "event");
}

function namesOf(ended: Ended): string[] {
  return eventsOf(ended).map(({ event = "" }) => event);
}

/** Runs of one event are one. */
function course(ended: Ended): string[] {
  return namesOf(ended).filter((name, index, all) => name !== all[index - 1]);
}

describe("the events of a run", () => {
  it("tell of a backup from its plan to its commit", async () => {
    const night = new Night("  home: {dataset: tank/src}\n", { datasets: ["tank/src"] });
    const ended = await night.run("--log-format", "json");
    expect(ended.exit, ended.stderr).toBe(0);
    expect(course(ended)).toEqual(["began", "dataset-began", "planned", "snapshot-taken", "chunk-stored", "committed", "dataset-ended", "ended"]);
    const [backup, store] = [`tank/src@${tonight}`, `file://${night.scene.store}`];
    const chunks = eventsOf(ended).filter(({ event }) => event === "chunk-stored");
    expect(chunks.map(({ chunk }) => chunk).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    for (const one of chunks) expect(one).toMatchObject({ backup, store, sent: true, level: "info", time: expect.stringMatching(/Z$/) as string });
    const committed = eventsOf(ended).find(({ event }) => event === "committed");
    expect(committed).toMatchObject({ backup, store, kind: "full", streamBytes: 473_200, chunkCount: 8 });
    expect(eventsOf(ended).at(-2)).toMatchObject({ job: "home", dataset: "tank/src", outcome: "stored", backup, code: null });
    expect(eventsOf(ended).at(-1)).toMatchObject({ command: "backup", exit: 0 });
    expect(ended.stdout.toString()).toMatch(/^home: stored full backup tank\/src@/); // text, because --json was not given
  });

  it("say what failed, and end before the error", async () => {
    const night = new Night("  home: {dataset: tank/none}\n", { datasets: ["tank/src"] });
    const ended = await night.run("--log-format", "json");
    expect(linesOf(ended).slice(-2)).toMatchObject([{ event: "ended", command: "backup", exit: 14, level: "error" }, { type: "error", code: "zfs-not-found", exit: 14 }]);
    const failed = eventsOf(ended).find(({ event }) => event === "dataset-ended");
    expect(failed).toMatchObject({ outcome: "failed", code: "zfs-not-found", backup: null, level: "error" });
  });

  it("tell of hooks around the snapshot, and of how long services were down", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    const hook = '{name: service, before_snapshot: ["/bin/true"], after_snapshot: ["/bin/true"], timeout: 10s}';
    const file = scene.write(
      "zferry.yaml",
      `state_dir: ${scene.stateDir}\nstores: {main: {url: ${scene.store}}}\nencryption: {recipients: [${scene.certificate("bob")}]}\njobs: {home: {dataset: tank/src, hooks: [${hook}]}}\n`,
    );
    const ended = await scene.spawn(["backup", "--config", file, "--json"], { env: pool.env });
    expect(ended.exit, ended.stderr).toBe(0);
    expect(course(ended)).toEqual(["began", "hooks-began", "snapshot-taken", "hooks-ended", "dataset-began", "planned", "chunk-stored", "committed", "dataset-ended", "ended"]);
    expect(eventsOf(ended)[1]).toMatchObject({ jobs: ["home"], hooks: ["service"] });
    expect(eventsOf(ended)[3]).toMatchObject({ jobs: ["home"], downtimeSeconds: expect.any(Number) as number, failureCount: 0 });
  });

  it("tell of a store that stood in for another, with the words people are told", async () => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    await scene.put("tank/src@one", streamOf("one"));
    const second = join(scene.folder, "second");
    cpSync(scene.store, second, { recursive: true });
    rmSync(join(scene.store, scene.objects.find((path) => path.endsWith(".000003")) ?? ""));
    const stores = ["--store", scene.store, "--store", second, "--state-dir", scene.stateDir, ...scene.asBob];
    const ended = await scene.run(["restore", "tank/src", "--to", "pool/back", ...stores, "--json"], { env: pool.env });
    expect(ended.exit, ended.stderr).toBe(0);
    expect(course(ended)).toEqual(["began", "receive-began", "fell-over", "receive-ended", "ended"]);
    const fallOver = eventsOf(ended).find(({ event }) => event === "fell-over");
    const urls = { store: `file://${scene.store}`, next: `file://${second}` };
    expect(fallOver).toMatchObject({ ...urls, level: "warn", backup: "tank/src@one", chunk: 3, code: "chunk-invalid", text: expect.stringContaining("going on with") as string });
  });

  it("tell of requests that are tried again", async () => {
    const env = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "an-unused-secret" };
    const words = ["list", "--store", "s3://bucket?endpoint=http://127.0.0.1:1&region=auto", "--retry-for", "1s", "--log-format", "json"];
    const ended = await new Scene().run(words, { env });
    expect(ended.exit, ended.stderr).toBe(15);
    expect(eventsOf(ended)[0]).toMatchObject({ event: "request-retried", level: "warn", attempt: 1, what: expect.stringContaining("list") as string });
  });

  it("tell of what was pruned", async () => {
    const scene = new Scene();
    for (const backup of ["tank/src@s1", "tank/src@s2"]) await scene.put(backup, recorded(backup.endsWith("1") ? "full" : "holes"));
    const words = ["prune", "--dataset", "tank/src", "--keep-last", "1", "--yes", "--json", ...scene.place];
    const ended = await scene.run(words, { now: new Date("2026-12-24T00:00:00Z") });
    expect(ended.exit, ended.stderr).toBe(0);
    expect(eventsOf(ended).filter(({ event }) => event === "removed")).toMatchObject([{ what: "backup", name: "tank/src@s1", store: `file://${scene.store}`, problem: null }]);
  });
});

describe("progress", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("is an event a minute", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const terminal = ownTerminal({ isInteractive: true });
    const progress = new Progress(new Report(terminal, { isJson: false, isJsonLog: true, level: "info" }), "sent");
    progress.expect(4000);
    vi.advanceTimersByTime(60_000);
    progress.count(1000);
    progress.end();
    validateLines("log", terminal.written.stderr);
    const told = { type: "event", level: "info", event: "progress", what: "sent", bytes: 1000, totalBytes: 4000, seconds: 60 };
    expect(JSON.parse(terminal.written.stderr)).toMatchObject({ ...told, text: "sent 1000 B of about 3.91 KiB at 17 B/s, 3:00 left" });
  });
});

describe("the format of the log", () => {
  const failing = ["list", "--store", "/nowhere"];
  it.for([
    [[...failing], "zferry: error: "],
    [[...failing, "--json"], '{"type":"error","time":"'],
    [[...failing, "--log-format", "json"], '{"type":"error","time":"'],
    [[...failing, "--log-format=json", "--log-level", "error"], '{"type":"error","time":"'],
    [[...failing, "--json", "--log-format", "text"], "zferry: error: "],
    [["--log-format", "json", "nonsense"], '{"type":"error","time":"'],
    [["--json", "--log-format", "text", "nonsense"], "zferry: error: "],
    [["--log-format", "xml", "list"], "zferry: error: option"],
  ] as const)("of %j", async ([words, begin]) => {
    const { stderr, stdout } = await new Scene().run(words);
    expect(stderr.slice(0, begin.length)).toBe(begin);
    expect(stdout.toString()).toBe("");
  });

  it("leaves out what is less important than --log-level says, events too", async () => {
    const scene = new Scene();
    const words = ["put", "tank/src@s1", ...scene.place, ...scene.small, ...scene.forBob, "--log-format", "json"];
    expect(await scene.run([...words, "--log-level", "warn"], { stdin: recorded("full") })).toMatchObject({ exit: 0, stderr: "" });
  });

  it("has no event in it for people", async () => {
    const scene = new Scene();
    const { stderr } = await scene.run(["put", "tank/src@s1", ...scene.place, ...scene.small, ...scene.forBob, "--log-level", "debug"], { stdin: recorded("full") });
    expect(stderr).not.toContain("chunk-stored");
  });
});

it("every event that documents.test.ts leaves to this file was told in it", () => {
  expect(reachedHere.filter((name) => !seen.has(name))).toEqual([]);
});
