import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { appendRun } from "../../src/history.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { built } from "../build.ts";
import { listener, nobody } from "../notify/listening.ts";
import { ago, dayMs, hourMs, now, runOf } from "../status/standings.ts";
import { documentOf, recorded, recordedAt, Scene } from "./zferry.ts";

beforeAll(built, 180_000); // it is not the program's fault that it has to be made

const token = "https-token-0123456789";

/** A scene with a configuration of two jobs. */
function sceneWith(more = ""): { scene: Scene; flags: readonly string[] } {
  const scene = new Scene();
  const file = scene.write(
    "zferry.yaml",
    `state_dir: ${scene.stateDir}\nstores: {main: {url: ${scene.store}}}\n${more}jobs:\n  home: {dataset: tank/home}\n  mail: {datasets: ["tank/mail*"], every: 6h}\n`,
  );
  return { scene, flags: ["--config", file] };
}

const mail = parseDatasetName("tank/mail-1");

describe("zferry status", () => {
  it("shows a line for every dataset, and is content where all is well", async () => {
    const { scene, flags } = sceneWith();
    await appendRun(scene.stateDir, runOf(10 * hourMs, { kind: "full", storedBytes: 3 * 1024 * 1024, downtimeMs: 2340 }));
    await appendRun(scene.stateDir, runOf(2 * hourMs, { job: "mail", dataset: mail, outcome: "nothing" }));
    const { exit, stdout, stderr } = await scene.run(["status", ...flags], { now });
    expect(stdout.toString().split("\n")).toEqual([
      "job   dataset      last success             kind  size      next               downtime  verified  drilled  copies  state",
      "home  tank/home    2026-11-21T02:00Z (10h)  full  3.00 MiB  2026-11-22T02:00Z  2.3s      never     never    -       ok",
      "mail  tank/mail-1  2026-11-21T10:00Z (2h)   -     -         2026-11-21T16:00Z  -         never     never    -       ok",
      "",
    ]);
    expect([exit, stderr]).toEqual([0, ""]);
  });

  it("ends with 3 when something failed or is overdue, and says why; of one job when it is named", async () => {
    const { scene, flags } = sceneWith();
    await appendRun(scene.stateDir, runOf(10 * hourMs, { outcome: "failed" }));
    await appendRun(scene.stateDir, runOf(9 * hourMs + 1, { job: "mail", dataset: mail }));
    const all = await scene.run(["status", ...flags, "--json"], { now });
    expect(documentOf(all)).toMatchObject({
      type: "status",
      at: now.toISOString(),
      ok: false,
      datasets: [
        { job: "home", dataset: "tank/home", store: "main", state: "failed", problem: true, why: "the run of 2026-11-21T02:00:00.000Z failed: no space (make room)", lastSuccessAt: null },
        { job: "mail", dataset: mail, state: "overdue", lastSuccessAt: ago(9 * hourMs + 1).toISOString(), lastBackup: { kind: "incremental", storedBytes: 1000, seconds: 60 } },
      ],
      notifiers: [],
    });
    expect(all.exit).toBe(3);
    expect(all.stderr).toContain('"code":"findings","message":"2 of 2 datasets need attention: \\"tank/home\\" is failed"');
    const one = await scene.run(["status", "mail", ...flags], { now: ago(hourMs) });
    expect([one.exit, one.stdout.toString()]).toEqual([0, expect.not.stringContaining("home")]);
    expect((await scene.run(["status", "nobody", ...flags], { now })).stderr).toContain('there is no job "nobody"');
  });

  it("ends with 3 while services are down that a run has stopped, though its backup is stored", async () => {
    const { scene, flags } = sceneWith();
    await appendRun(scene.stateDir, runOf(hourMs));
    const hook = { name: "db", before: ["/bin/true"], after: ["/bin/true"], timeoutMs: 1000, step: "began", process: null };
    const record = { format: 1, startedAt: ago(hourMs), run: null, subject: { jobs: ["home"], datasets: ["tank/home"], snapshots: [] }, environment: {}, hooks: [hook] };
    mkdirSync(join(scene.stateDir, "quiesce"), { recursive: true, mode: 0o700 });
    writeFileSync(join(scene.stateDir, "quiesce", "20261121T110000Z-00000000.json"), JSON.stringify(record), { mode: 0o600 });
    const { exit, stdout } = await scene.run(["status", "home", ...flags], { now });
    expect(exit).toBe(3);
    expect(stdout.toString()).toContain("stopped: what its hooks db stopped was not started again: run zferry recover\n");
    expect((await scene.run(["recover", "--state-dir", scene.stateDir])).exit).toBe(0);
    expect((await scene.run(["status", "home", ...flags], { now })).exit).toBe(0);
  });

  it("needs no store, and with --check asks it what is there", async () => {
    const { scene, flags } = sceneWith();
    await scene.put("tank/home@a", recorded("full"));
    await appendRun(scene.stateDir, runOf(hourMs));
    const held = async (...more: string[]): Promise<unknown> => {
      const { datasets } = documentOf(await scene.run(["status", "home", ...flags, "--json", ...more], { now })) as { datasets: { held: unknown }[] };
      return datasets[0]?.held;
    };
    const { stateDir, store } = scene;
    rmSync(join(stateDir, "state.json"), { force: true });
    expect(await held()).toBeNull();
    expect(await held("--check")).toMatchObject({ store: "main", backupCount: 1, newest: "tank/home@a", verified: null, lostCount: 0 });
    renameSync(store, `${store}.away`);
    expect(await held()).toMatchObject({ backupCount: 1 });
    const { exit, stderr } = await scene.run(["status", ...flags, "--check"], { now });
    expect([exit, stderr]).toEqual([15, expect.stringContaining("there is no folder")]);
  });

  it("with --notify tells what is overdue, each once a day", async () => {
    const there = await listener();
    const { scene, flags } = sceneWith(`notify: [{type: webhook, url: {env: HOOK_TOKEN}}]\n`);
    const env = { HOOK_TOKEN: `${there.url}/${token}` };
    await appendRun(scene.stateDir, runOf(40 * hourMs));
    await appendRun(scene.stateDir, runOf(hourMs, { job: "mail", dataset: mail }));
    for (const ms of [0, -hourMs, -25 * hourMs]) {
      const { exit, stderr } = await scene.run(["status", "--notify", ...flags], { now: ago(ms), env });
      expect([exit, stderr.includes("warning")]).toEqual([3, false]);
    }
    expect(there.received.map(({ path, body }) => [path, (JSON.parse(body) as { title: string }).title.split(": ").slice(1).join(": ")])).toEqual([
      [`/${token}`, "backup overdue: tank/home"],
      [`/${token}`, "backup overdue: tank/home"],
      [`/${token}`, "backup overdue: tank/mail-1"],
    ]);
  });

  it("names a notifier that did not get the last message", async () => {
    const there = await listener((_request, response) => response.writeHead(410).end());
    const { scene, flags } = sceneWith(`notify: [{type: webhook, name: pager, url: "${there.url}"}]\n`);
    await appendRun(scene.stateDir, runOf(40 * hourMs));
    const { stderr } = await scene.run(["status", "--notify", ...flags], { now });
    expect(stderr).toContain('warning: notifier "pager" was not told of "overdue" of job "home": it answered 410');
    const again = documentOf(await scene.run(["status", "--json", ...flags], { now }));
    expect(again.notifiers).toEqual([{ name: "pager", undeliveredAt: now.toISOString(), why: "it answered 410" }]);
  });

  it("leaves the metrics where they are collected", async () => {
    const { scene, flags } = sceneWith(`metrics: {textfile: ./zferry.prom}\n`);
    await appendRun(scene.stateDir, runOf(hourMs));
    await scene.run(["status", "home", ...flags], { now });
    const file = join(scene.folder, "zferry.prom");
    expect(existsSync(file)).toBe(true);
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect(readFileSync(file, "utf8")).toContain('zferry_backup_overdue{job="mail"'); // all jobs, whichever was asked for
  });

  it("has a backup leave them too, also one that failed, and tell of it", async () => {
    const there = await listener();
    const { scene, flags } = sceneWith(`notify: [{type: webhook, url: "${there.url}"}]\nmetrics: {textfile: ./zferry.prom}\n`);
    const { exit } = await scene.run(["backup", "home", ...flags, ...scene.forBob, "--zfs", "/bin/false"], { now });
    expect(exit).toBe(14);
    expect(readFileSync(join(scene.folder, "zferry.prom"), "utf8")).toContain('zferry_backup_last_run_failed{job="home",dataset="tank/home",store="main"} 1\n');
    expect(there.received.map(({ body }) => JSON.parse(body) as unknown)).toMatchObject([{ kind: "failure", job: "home", dataset: "tank/home", isBad: true }]);
    expect((await scene.run(["status", "home", ...flags], { now })).stdout.toString()).toContain("failed: the run of 2026-11-21T12:00:00.000Z failed: ");
  });

  it("calls each store by its name in them, whichever --store the command was for", async () => {
    const scene = new Scene();
    const file = scene.write(
      "zferry.yaml",
      `state_dir: ${scene.stateDir}\nmetrics: {textfile: ./zferry.prom}\nstores: {usb: {url: ${scene.folder}/usb}, main: {url: ${scene.store}}}\ndefaults: {store: main}\njobs: {home: {dataset: tank/home}}\n`,
    );
    await scene.put("tank/home@a", recorded("full"));
    const verify = async (store: string): Promise<string[]> => {
      const ended = await scene.run(["verify", "--config", file, "--level", "exists", "--store", store], { now });
      expect(ended.exit, ended.stderr).toBe(0);
      return readFileSync(join(scene.folder, "zferry.prom"), "utf8").split("\n").filter((line) => line.startsWith("zferry_store_backups"));
    };
    const inMain = ['zferry_store_backups{job="home",dataset="tank/home",store="main"} 1'];
    expect(await verify("main")).toEqual(inMain);
    mkdirSync(join(scene.folder, "usb"));
    expect(await verify("usb")).toEqual(inMain);
  });

  it("looks once: what cannot be read is said once, metrics or not", async () => {
    const { scene, flags } = sceneWith(`metrics: {textfile: ./zferry.prom}\n`);
    await appendRun(scene.stateDir, runOf(hourMs));
    const [name = ""] = readdirSync(join(scene.stateDir, "history"));
    appendFileSync(join(scene.stateDir, "history", name), "{\n");
    const { stderr } = await scene.run(["status", ...flags], { now });
    expect(stderr.split("\n").filter((line) => line.includes("has 1 damaged line"))).toHaveLength(1);
  });

  it("says how the others stand where the URL of one store is none", async () => {
    const scene = new Scene();
    const stores = `{main: {url: ${scene.store}}, odd: {url: "s3://bucket/x?endpoint=nonsense"}}`;
    const file = scene.write("zferry.yaml", `state_dir: ${scene.stateDir}\nstores: ${stores}\ndefaults: {store: main}\njobs: {home: {dataset: tank/home}}\n`);
    await appendRun(scene.stateDir, runOf(hourMs));
    const { exit, stdout, stderr } = await scene.run(["status", "--config", file], { now });
    expect([exit, stderr]).toEqual([0, ""]);
    expect(stdout.toString()).toContain("tank/home");
  });

  it("says no jobs where there are none", async () => {
    const scene = new Scene();
    const { exit, stdout } = await scene.run(["status", "--state-dir", scene.stateDir]);
    expect([exit, stdout.toString()]).toEqual([0, "no jobs\n"]);
  });
});

describe("zferry status --serve", () => {
  it("answers until SIGTERM, and then ends with 0", async () => {
    const { scene, flags } = sceneWith();
    const url = await nobody();
    const { ended, kill } = await scene.start(["status", ...flags, "--serve", url.replace("http://", ""), "--json"]);
    const isOver = ended.then(() => true);
    while (!(await Promise.race([isOver, fetch(`${url}/healthz`).then(() => true, () => false)]))) await sleep(20);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    const page = await fetch(url);
    expect([page.headers.get("content-type"), (await page.text()).includes('<h2 id="d1-title">tank/home</h2>')]).toEqual(["text/html; charset=utf-8", true]);
    kill("SIGTERM");
    const { exit, stderr } = await ended;
    expect([exit, stderr]).toEqual([0, expect.stringContaining(`"level":"info","text":"answers on ${url}/ (for browsers), ${url}/api/v1/backup/status, ${url}/metrics and ${url}/healthz"}\n`)]);
  });

  it("refuses what it does not go with", async () => {
    const { scene, flags } = sceneWith();
    const { exit, stderr } = await scene.run(["status", ...flags, "--serve", "--notify"]);
    expect([exit, stderr]).toEqual([2, expect.stringContaining("--serve goes with neither --check nor --notify")]);
  });
});

describe("a drill", () => {
  it("is told by a verify that decrypts or receives, with what it came to", async () => {
    const there = await listener();
    const { scene, flags } = sceneWith(`notify: [{type: webhook, url: "${there.url}", min_interval: 0s}]\nmetrics: {textfile: ./zferry.prom}\n`);
    await scene.put("tank/home@a", recorded("full"));
    const metrics = (): string => readFileSync(join(scene.folder, "zferry.prom"), "utf8");
    const verify = ["verify", ...flags, ...scene.asBob, "--level"];
    expect((await scene.run([...verify, "exists"], { now: recordedAt })).exit).toBe(0);
    expect((await scene.run([...verify, "stream"], { now: recordedAt })).exit).toBe(0);
    expect(metrics()).toContain(`zferry_verify_last_restore_timestamp_seconds{job="home",dataset="tank/home",store="main"} ${recordedAt.getTime() / 1000}\n`);
    const chunk = scene.objects.find((name) => name.endsWith(".000000")) ?? "";
    scene.write(join("store", chunk), "damage");
    expect((await scene.run([...verify, "stream"], { now: recordedAt })).exit).toBe(3);
    expect(metrics()).toContain('zferry_verify_failed_backups{job="home",dataset="tank/home",store="main"} 1\n');
    const told = there.received.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
    expect(told).toMatchObject([
      { kind: "drill", job: "home", dataset: "tank/home", isBad: false, text: "1 backup of tank/home verified at level stream: all would restore", details: { findingCount: 0 } },
      { kind: "drill", job: "home", dataset: "tank/home", isBad: true, text: expect.stringMatching(/^1 of 1 backup would not restore, or could not be tried: tank\/home@a: /) as string },
    ]);
    const status = await scene.run(["status", "home", ...flags], { now: new Date(recordedAt.getTime() + dayMs) });
    expect(status.stdout.toString()).toContain("damaged: verify has found something in tank/home@a: make a new full while you can");
    expect(status.exit).toBe(3);
  });
});
