import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { notifySchema, notifySettingsOf } from "../../src/config/notify.ts";
import { appendRun } from "../../src/history.ts";
import { entrySchema } from "../../src/format/entry.ts";
import { updateStoreState } from "../../src/state.ts";
import { gather, type GatherRequest } from "../../src/status/gather.ts";
import { happeningsOf } from "../../src/status/happenings.ts";
import { metricsText } from "../../src/status/metrics.ts";
import { publishMetrics } from "../../src/status/publish.ts";
import { withResult } from "../../src/verified.ts";
import { version } from "../../src/version.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { ownFolder } from "../folder.ts";
import { happening, listener, tellerOf } from "../notify/listening.ts";
import { need } from "../systems.ts";
import { ago, dayMs, home, hourMs, now, runOf } from "./standings.ts";

const rules = fileURLToPath(new URL("../../docs/examples/alert-rules.yaml", import.meta.url));

const config = parseConfig(
  `stores: {main: {url: /main}, second: {url: /second}}
defaults: {store: main}
jobs:
  home: {dataset: tank/home}
  'odd "\\ job': {datasets: ["tank/vm/*"]}
  off: {dataset: tank/off, enabled: false}
`,
  "x",
);

function requestFor(stateDir: string, warnings: string[] = []): GatherRequest {
  const storeUrlOf = (store: string): Promise<string> => Promise.resolve(`file:///${store}`);
  return { config, isPart: false, allJobs: [...config.jobs.values()], stateDir, storeUrlOf, warn: (text) => warnings.push(text), now: () => now };
}

interface Stored {
  readonly backup: string;
  readonly guid: string;
  readonly baseGuid?: string;
  readonly ageMs: number;
  readonly bytes: number;
}

async function store(stateDir: string, url: string, backups: readonly Stored[]): Promise<void> {
  await updateStoreState(stateDir, url, (state) => {
    for (const { backup, guid, baseGuid, ageMs, bytes } of backups) {
      const key = `manifests/${backup}.json`;
      const entry = entrySchema.parse({
        backup,
        kind: baseGuid === undefined ? "full" : "incremental",
        attempt: "00000000",
        guid,
        createdAt: ago(ageMs).toISOString(),
        base: baseGuid === undefined ? null : { guid: baseGuid, backup: null },
        streamKind: "single",
        streamBytes: bytes,
        messageBytes: bytes,
        chunkCount: 1,
        packet: "ocb",
        flags: null,
        featureFlags: "0",
        committedAt: ago(ageMs).toISOString(),
        sha256: null,
      });
      state.manifests[key] = { etag: "e", entry };
    }
  });
}

/** A host with two nights behind it, a second store that lags, and a backup that was verified and one that is damaged. */
async function host(): Promise<string> {
  const stateDir = ownFolder();
  await appendRun(stateDir, runOf(2 * dayMs, { kind: "full", tookMs: 600_000, streamBytes: 9000, storedBytes: 9100 }));
  await appendRun(stateDir, runOf(dayMs + 6 * hourMs, { outcome: "failed" }));
  await appendRun(stateDir, runOf(6 * hourMs, { tookMs: 30_000, downtimeMs: 1500 }));
  await appendRun(stateDir, runOf(40 * hourMs, { job: 'odd "\\ job', dataset: parseDatasetName("tank/vm/a b") }));
  await store(stateDir, "file:///main", [
    { backup: "tank/home@1", guid: "1", ageMs: 2 * dayMs, bytes: 9100 },
    { backup: "tank/home@2", guid: "2", baseGuid: "1", ageMs: 6 * hourMs, bytes: 1000 },
    { backup: "tank/home@0", guid: "9", baseGuid: "8", ageMs: 9 * dayMs, bytes: 10 }, // its base is gone
    { backup: "tank/vm/a b@1", guid: "3", ageMs: 40 * hourMs, bytes: 77 },
  ]);
  await store(stateDir, "file:///second", [{ backup: "tank/home@1", guid: "1", ageMs: 2 * dayMs, bytes: 9100 }]);
  await updateStoreState(stateDir, "file:///main", (state) => {
    state.verified = {
      "manifests/tank/home@1.json": withResult(undefined, "receive", { etag: "e", at: ago(dayMs), findings: [] }),
      "manifests/tank/home@2.json": withResult(undefined, "exists", { etag: "e", at: ago(hourMs), findings: [] }),
      "manifests/tank/vm/a b@1.json": withResult(undefined, "stream", { etag: "e", at: ago(hourMs), findings: ["bad"] }),
    };
  });
  return stateDir;
}

const seconds = (ms: number): number => ago(ms).getTime() / 1000;

describe("the metrics", () => {
  it("say of every dataset and store what there is to know, and nothing that is not known", async () => {
    const text = metricsText(await gather(requestFor(await host())));
    const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    const of = 'job="home",dataset="tank/home",store="main"';
    const copy = 'job="home",dataset="tank/home",store="second"';
    const odd = String.raw`job="odd \"\\ job",dataset="tank/vm/a b",store="main"`;
    expect(samples).toContain(`zferry_build_info{version="${version}"} 1`);
    expect(samples.filter((line) => line.includes(of))).toEqual([
      `zferry_backup_last_success_timestamp_seconds{${of}} ${seconds(6 * hourMs)}`,
      `zferry_backup_last_run_timestamp_seconds{${of}} ${seconds(6 * hourMs)}`,
      `zferry_backup_last_run_failed{${of}} 0`,
      `zferry_backup_services_stopped{${of}} 0`,
      `zferry_backup_expected_timestamp_seconds{${of}} ${seconds(6 * hourMs - dayMs)}`,
      `zferry_backup_overdue{${of}} 0`,
      `zferry_backup_disabled{${of}} 0`,
      `zferry_backup_disabled_too_long{${of}} 0`,
      `zferry_backup_duration_seconds{${of}} 30`,
      `zferry_backup_stream_bytes{${of}} 2000`,
      `zferry_backup_stored_bytes{${of}} 1000`,
      `zferry_backup_downtime_seconds{${of}} 1.5`,
      `zferry_backup_failures_total{${of}} 1`,
      `zferry_store_backups{${of}} 3`,
      `zferry_store_bytes{${of}} 10110`,
      `zferry_restore_newest_timestamp_seconds{${of}} ${seconds(6 * hourMs)}`,
      `zferry_restore_oldest_timestamp_seconds{${of}} ${seconds(2 * dayMs)}`,
      `zferry_verify_last_restore_timestamp_seconds{${of}} ${seconds(dayMs)}`,
      `zferry_verify_failed_backups{${of}} 0`,
    ]);
    expect(samples.filter((line) => line.includes(copy)).map((line) => line.replace(`{${copy}}`, ""))).toEqual([
      "zferry_store_backups 1",
      "zferry_store_bytes 9100",
      `zferry_restore_newest_timestamp_seconds ${seconds(2 * dayMs)}`,
      `zferry_restore_oldest_timestamp_seconds ${seconds(2 * dayMs)}`,
      "zferry_verify_failed_backups 0",
    ]);
    expect(samples).toContain(`zferry_verify_failed_backups{${odd}} 1`);
    expect(samples).toContain('zferry_backup_disabled{job="off",dataset="tank/off",store="main"} 1');
    expect(samples.filter((line) => line.includes('job="off"')).join()).not.toContain("success");
  });

  it("leave alone what a glob matches no more: no run is expected, and none of it has failed", async () => {
    const stateDir = await host();
    const job = 'odd "\\ job';
    await appendRun(stateDir, runOf(39 * hourMs, { job, dataset: parseDatasetName("tank/vm/a b"), outcome: "failed" }));
    await appendRun(stateDir, runOf(hourMs, { job, dataset: parseDatasetName("tank/vm/c") }));
    const names = (text: string, dataset: string): unknown[] => text.split("\n").filter((line) => line.includes(`dataset="${dataset}"`)).map((line) => line.split("{", 1)[0]);
    const text = metricsText(await gather(requestFor(stateDir)));
    const alerting = ["zferry_backup_expected_timestamp_seconds", "zferry_backup_last_run_failed"];
    expect(names(text, "tank/vm/c")).toEqual(expect.arrayContaining(alerting));
    for (const name of alerting) expect(names(text, "tank/vm/a b")).not.toContain(name);
  });

  it("are not those of a clock that was ahead: no other dataset is gone for it, no failure uncounted, no job new for years", async () => {
    const stateDir = await host();
    const job = 'odd "\\ job';
    const ahead = -3000 * dayMs;
    await gather({ ...requestFor(stateDir), now: () => ago(ahead) });
    await appendRun(stateDir, runOf(ahead, { job, dataset: parseDatasetName("tank/vm/c"), outcome: "failed" }));
    await appendRun(stateDir, runOf(hourMs, { outcome: "failed" }));
    await appendRun(stateDir, runOf(ahead, { outcome: "failed" }));
    await gather(requestFor(stateDir));
    for (const hours of [0.5, 0.25]) await appendRun(stateDir, runOf(hours * hourMs, { outcome: "failed" }));
    const { standings } = await gather(requestFor(stateDir));
    expect(standings.map(({ dataset, state, failureCount }) => [dataset, state, failureCount])).toEqual([
      ["tank/home", "failed", 4],
      ["tank/vm/a b", "damaged", 0],
      ["tank/vm/c", "waiting", 0],
      ["tank/off", "disabled", 0],
    ]);
    const later = await gather({ ...requestFor(stateDir), now: () => ago(-8 * dayMs) });
    expect(later.standings.map(({ dataset, lapse }) => [dataset, lapse?.kind])).toEqual([
      ["tank/home", "overdue"],
      ["tank/vm/a b", "overdue"],
      ["tank/vm/c", "overdue"],
      ["tank/off", "disabled"],
    ]);
  });

  it("please promtool", async (context) => {
    const promtool = need(context, "promtool");
    const input = metricsText(await gather(requestFor(await host())));
    const { status, stdout, stderr } = spawnSync(promtool, ["check", "metrics"], { input, encoding: "utf8" });
    expect([status, stdout, stderr]).toEqual([0, "", ""]);
  });

  it("are a file that others can read, whole at any time, whatever the umask", async () => {
    const folder = ownFolder();
    const textfile = join(folder, "zferry.prom");
    const warnings: string[] = [];
    const stateDir = await host();
    const before = process.umask(0o077);
    try {
      for (let count = 0; count < 2; count += 1) await publishMetrics(textfile, requestFor(stateDir, warnings));
    } finally {
      process.umask(before);
    }
    expect(statSync(textfile).mode & 0o777).toBe(0o644);
    expect(readdirSync(folder)).toEqual(["zferry.prom"]);
    expect(readFileSync(textfile, "utf8")).toBe(metricsText(await gather(requestFor(stateDir))));
    expect(warnings).toEqual([]);
  });

  it("that cannot be written are a warning, and no folder is made for them", async () => {
    const warnings: string[] = [];
    const missing = join(ownFolder(), "nowhere", "zferry.prom");
    await publishMetrics(missing, requestFor(ownFolder(), warnings));
    expect(warnings).toEqual([expect.stringMatching(/^the metrics could not be written to ".*": ENOENT/)]);
    expect(existsSync(join(missing, ".."))).toBe(false);
  });

  it("are not left half-written where the old file stays", async () => {
    const folder = ownFolder();
    const textfile = join(folder, "zferry.prom");
    mkdirSync(textfile); // what a rename cannot replace
    const warnings: string[] = [];
    await publishMetrics(textfile, requestFor(ownFolder(), warnings));
    expect([warnings.length, readdirSync(folder)]).toEqual([1, ["zferry.prom"]]);
  });
});

describe("the alert rules", () => {
  it("please promtool", (context) => {
    const { status, stdout } = spawnSync(need(context, "promtool"), ["check", "rules", rules], { encoding: "utf8" });
    expect([status, stdout]).toEqual([0, expect.stringContaining("12 rules found")]);
  });

  it("fire on what they are for, and not on a good night", { timeout: 120_000 }, (context) => {
    const promtool = need(context, "promtool");
    const folder = ownFolder();
    const of = '{job="home",dataset="tank/home",store="main"}';
    const always = (name: string, value: number | string, labelled = of): { series: string; values: string } => ({ series: `${name}${labelled}`, values: `${value}+0x250` });
    // Hours from 1970 on; ten days in, every metric has the value it would have after a good night.
    const good = [
      always("zferry_build_info", 1, '{version="1"}'),
      always("zferry_backup_last_run_failed", 0),
      always("zferry_backup_services_stopped", 0),
      always("zferry_backup_overdue", 0),
      always("zferry_backup_expected_timestamp_seconds", 864_000),
      always("zferry_backup_duration_seconds", 600),
      always("zferry_backup_duration_mean_seconds", 500),
      always("zferry_verify_failed_backups", 0),
      always("zferry_verify_last_restore_timestamp_seconds", 800_000),
      always("zferry_drill_last_failed", 0),
      always("zferry_store_bytes", 20e9),
      always("zferry_restore_newest_timestamp_seconds", 860_000),
      always("zferry_copy_last_run_failed", 0, of.replace("main", "second")),
      always("zferry_copy_waiting_since_timestamp_seconds", 800_000, of.replace("main", "second")),
      always("zferry_backup_disabled_too_long", 0),
    ];
    const with_ = (name: string, values: string, labelled = of): typeof good => [...good.filter(({ series }) => series !== `${name}${labelled}`), { series: `${name}${labelled}`, values }];
    const cases: readonly (readonly [alert: string, series: typeof good])[] = [
      ["ZferryBackupFailed", with_("zferry_backup_last_run_failed", "1+0x250")],
      ["ZferryServicesStopped", with_("zferry_backup_services_stopped", "1+0x250")],
      ["ZferryBackupMissing", with_("zferry_backup_overdue", "1+0x250")],
      ["ZferryBackupMissing", with_("zferry_backup_expected_timestamp_seconds", "800000+0x250")],
      ["ZferryBackupSlow", with_("zferry_backup_duration_seconds", "1001+0x250")],
      ["ZferryVerifyFailed", with_("zferry_verify_failed_backups", "2+0x250")],
      ["ZferryRestoreUnproven", with_("zferry_verify_last_restore_timestamp_seconds", "-7000000+0x250")],
      ["ZferryDrillFailed", with_("zferry_drill_last_failed", "1+0x250")],
      ["ZferryStorageGrowth", with_("zferry_store_bytes", "20000000000+100000000x250")],
      ["ZferryCopyFailed", with_("zferry_copy_last_run_failed", "1+0x250", of.replace("main", "second"))],
      ["ZferryCopyLag", with_("zferry_copy_waiting_since_timestamp_seconds", "600000+0x250", of.replace("main", "second"))],
      ["ZferryDisabledTooLong", with_("zferry_backup_disabled_too_long", "1+0x250")],
      ["ZferryMetricsMissing", []],
    ];
    const alerts = [...new Set(cases.map(([alert]) => alert))];
    const groups = [["", good] as const, ...cases].map(([fires, series]) => ({
      interval: "1h",
      input_series: series,
      // Which labels an alert has, and what it says, is promtool's to render; here it counts whether it is there.
      promql_expr_test: alerts.map((alert) => ({
        expr: `count(ALERTS{alertname="${alert}",alertstate="firing"}) or vector(0)`,
        eval_time: "10d",
        exp_samples: [{ labels: "{}", value: alert === fires ? 1 : 0 }],
      })),
    }));
    // YAML is a superset of JSON.
    writeFileSync(join(folder, "test.yaml"), JSON.stringify({ rule_files: [rules], evaluation_interval: "1h", tests: groups }));
    const { status, stdout, stderr } = spawnSync(promtool, ["test", "rules", join(folder, "test.yaml")], { encoding: "utf8" });
    expect([status, `${stdout}${stderr}`]).toEqual([0, expect.stringContaining("SUCCESS")]);
  });
});

it("a notifier is shown as one that did not get its last message until it gets one, of whatever job", async () => {
  const stateDir = await host();
  const hook = await listener((_request, response, count) => response.writeHead(count === 1 ? 410 : 200).end());
  const list = [{ type: "webhook", url: hook.url, on: ["failure"], min_interval: "0s" }];
  const undelivered: string[][] = [];
  for (const [minutes, job] of [[2, "home"], [1, "off"]] as const) {
    const teller = tellerOf(list, { stateDir, now: () => ago(minutes * 60_000) });
    await teller.tell(happening({ job }));
    await teller.end();
    const request = requestFor(stateDir);
    const known = await gather({ ...request, config: { ...request.config, notify: notifySettingsOf(notifySchema.parse(list)) } });
    undelivered.push(known.undelivered.map(({ why }) => why));
  }
  expect(undelivered).toEqual([["it answered 410"], []]);
});

describe("what status --notify tells", () => {
  it("is what no run could: overdue datasets, and jobs disabled for too long", async () => {
    const stateDir = await host();
    await gather({ ...requestFor(stateDir), now: () => ago(9 * dayMs) }); // the job was disabled then
    const told = happeningsOf(await gather(requestFor(stateDir)));
    expect(told.map(({ kind, job, dataset, text }) => [kind, job, dataset, text.split(":", 1)[0]])).toEqual([
      ["overdue", 'odd "\\ job', "tank/vm/a b", "tank/vm/a b is overdue"], // damaged as well
      ["disabled", "off", "tank/off", "tank/off is disabled"],
    ]);
    const later = await gather({ ...requestFor(stateDir), now: () => ago(-2 * dayMs) });
    expect(happeningsOf(later).filter(({ kind }) => kind === "overdue").map(({ dataset }) => dataset)).toEqual([home, "tank/vm/a b"]);
  });
});

it("a state folder of another's is a warning, and the status is told without what cannot be noted", async () => {
  const stateDir = await host();
  chmodSync(stateDir, 0o500);
  const warnings: string[] = [];
  const { standings } = await gather(requestFor(stateDir, warnings));
  chmodSync(stateDir, 0o700);
  expect(standings).toHaveLength(3);
  // Root writes wherever it likes.
  expect(warnings.length).toBe(process.geteuid?.() === 0 ? 0 : 1);
});
