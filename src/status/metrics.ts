/**
 * How everything stands as Prometheus reads it (text format 0.0.4), for the textfile collector of node_exporter and for
 * `/metrics`. Pure. Times are Unix seconds, so that an age is `time() - …`; what is not known has no sample, and neither
 * has what an alert would wait for in vain: the next run, and a failure of the last one, of what is disabled or gone.
 *
 * Every sample but the build's has the labels `job`, `dataset` and `store`; `docs/monitoring.md` has the table.
 */
import { version } from "../version.ts";
import type { Standings } from "./gather.ts";
import type { Copying } from "./copying.ts";
import type { Held } from "./held.ts";
import type { Standing } from "./standing.ts";

interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
}

/** One of a dataset of a job. */
interface RunMetric extends Metric {
  readonly of: (standing: Standing) => number | null;
}

/** One of what a store holds of a dataset. */
interface HeldMetric extends Metric {
  readonly of: (held: Held) => number | null;
}

/** One of a copy that a job is to have. */
interface CopyMetric extends Metric {
  readonly of: (copying: Copying) => number | null;
}

const runMetrics: readonly RunMetric[] = [
  gauge("backup_last_success_timestamp_seconds", "End of the last run that stored the dataset, or found nothing to send", ({ lastSuccessAt }) => secondsOf(lastSuccessAt)),
  gauge("backup_last_run_timestamp_seconds", "End of the last run, whatever came of it", ({ lastRun }) => secondsOf(lastRun?.endedAt ?? null)),
  gauge("backup_last_run_failed", "1 when the last run failed", ({ lastRun, nextExpectedAt }) => (lastRun === null || nextExpectedAt === null ? null : flag(lastRun.outcome === "failed"))),
  gauge("backup_services_stopped", "1 when what hooks stopped was not started again", ({ state }) => flag(state === "stopped")),
  gauge("backup_expected_timestamp_seconds", "When the next run is expected", ({ nextExpectedAt }) => secondsOf(nextExpectedAt)),
  gauge("backup_overdue", "1 when the last success is older than overdue_after", ({ lapse }) => flag(lapse?.kind === "overdue")),
  gauge("backup_disabled", "1 for a disabled job", ({ isEnabled }) => flag(!isEnabled)),
  gauge("backup_disabled_too_long", "1 for a job disabled for longer than disabled_warning_after", ({ lapse }) => flag(lapse?.kind === "disabled")),
  gauge("backup_duration_seconds", "What the last backup took", ({ durationMs }) => (durationMs === null ? null : durationMs / 1000)),
  gauge("backup_duration_mean_seconds", "What those of its kind before it took, the mean of ten at most", ({ meanDurationMs }) => (meanDurationMs === null ? null : meanDurationMs / 1000)),
  gauge("backup_stream_bytes", "Bytes of the ZFS stream of the last backup", ({ lastStored }) => lastStored?.streamBytes ?? null),
  gauge("backup_stored_bytes", "Bytes the last backup has in the store", ({ lastStored }) => lastStored?.storedBytes ?? null),
  gauge("backup_downtime_seconds", "How long hooks had services stopped in the last run", ({ downtimeMs }) => (downtimeMs === null ? null : downtimeMs / 1000)),
  gauge("drill_last_timestamp_seconds", "End of the last drill of one of its backups, whatever came of it", ({ drill }) => secondsOf(drill?.endedAt ?? null)),
  gauge("drill_last_failed", "1 when that drill failed", ({ drill }) => (drill === null ? null : flag(drill.outcome === "failed"))),
  gauge("drill_restore_seconds", "What the restore of that drill took", ({ drill }) => drill?.restoreSeconds ?? null),
  { ...gauge("backup_failures_total", "Runs that failed", ({ failureCount }: Standing) => failureCount), type: "counter" },
];

const heldMetrics: readonly HeldMetric[] = [
  gauge("store_backups", "Backups in the store", ({ backupCount }) => backupCount),
  gauge("store_bytes", "Bytes of all backups in the store", ({ storedBytes }) => storedBytes),
  gauge("restore_newest_timestamp_seconds", "Snapshot time of the newest backup that can be restored", ({ newestRestorableAt }) => secondsOf(newestRestorableAt)),
  gauge("restore_oldest_timestamp_seconds", "Snapshot time of the oldest backup that can be restored: how far back one can go", ({ oldestRestorableAt }) => secondsOf(oldestRestorableAt)),
  gauge("verify_last_restore_timestamp_seconds", "When a backup was last decrypted and parsed whole, or received, and nothing was found", ({ restoreVerifiedAt }) => secondsOf(restoreVerifiedAt)),
  gauge("verify_failed_backups", "Backups in which verify has found something, and those that are gone", ({ damaged, lostCount }) => damaged.length + lostCount),
];

const copyMetrics: readonly CopyMetric[] = [
  gauge("copy_last_success_timestamp_seconds", "End of the last copy into the store that went well", ({ lastSuccessAt }) => secondsOf(lastSuccessAt)),
  gauge("copy_last_run_failed", "1 when the last copy into the store failed", ({ lastRun }) => (lastRun === null ? null : flag(lastRun.outcome === "failed"))),
  gauge("copy_waiting_since_timestamp_seconds", "When the oldest backup was made that the copy lacks; none while it has the newest", ({ waitingSince }) => secondsOf(waitingSince)),
];

function gauge<T>(name: string, help: string, of: (one: T) => number | null): Metric & { of: typeof of } {
  return { name: `zferry_${name}`, type: "gauge", help, of };
}

export function metricsText({ standings }: Standings): string {
  const build = [head({ name: "zferry_build_info", type: "gauge", help: "The version that wrote this" }), `zferry_build_info{version="${escaped(version)}"} 1`];
  const runs = runMetrics.flatMap((metric) => family(metric, standings.map((one) => [labelsOf(one, one.held?.store ?? one.store), metric.of(one)])));
  const stores = heldMetrics.flatMap((metric) => family(metric, standings.flatMap((one) => heldIn(one).map((held) => [labelsOf(one, held.store), metric.of(held)] as const))));
  const copies = copyMetrics.flatMap((metric) => family(metric, standings.flatMap((one) => one.copying.map((copy) => [labelsOf(one, copy.store), metric.of(copy)] as const))));
  return `${[...build, ...runs, ...stores, ...copies].join("\n")}\n`;
}

function heldIn({ held, copies }: Standing): readonly Held[] {
  return held === null ? copies : [held, ...copies];
}

/** Nothing for a metric of which nobody has a sample. */
function family(metric: Metric, samples: readonly (readonly [labels: string, value: number | null])[]): string[] {
  const lines = samples.flatMap(([labels, value]) => (value === null ? [] : [`${metric.name}{${labels}} ${value}`]));
  return lines.length === 0 ? [] : [head(metric), ...lines];
}

function head({ name, type, help }: Metric): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}`;
}

function labelsOf({ job, dataset }: Standing, store: string): string {
  return `job="${escaped(job)}",dataset="${escaped(dataset ?? "")}",store="${escaped(store)}"`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function secondsOf(time: Date | null): number | null {
  return time === null ? null : time.getTime() / 1000;
}

function flag(is: boolean): number {
  return is ? 1 : 0;
}
