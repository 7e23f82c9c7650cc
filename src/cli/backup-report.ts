/** How a run of jobs is shown: a line, or a document, for each dataset, and one for all of them. */
import { formatRate, formatSize } from "../bytes.ts";
import type { Event } from "../events.ts";
import type { Failure } from "../job/run.ts";
import { type Task, type TaskEnd, type TaskProgress, titleOf, toldError } from "../job/task.ts";
import type { FilesOutcome } from "../plain/copy-files.ts";
import { word } from "../shell.ts";
import type { BackupOutcome } from "../voyage.ts";
import { clock } from "./clock.ts";
import { Progress } from "./progress.ts";
import { counted, type Report, rounded } from "./report.ts";

export class BackupReport {
  readonly #report: Report;
  readonly #isDryRun: boolean;
  /** One dataset without a job: it is the whole run. */
  readonly #isAdHoc: boolean;
  readonly #secondsOf = new Map<Task, number>();
  /** What has failed so far, each once: one hook can fail several datasets. */
  readonly #errors = new Set<unknown>();
  #storedBytes = 0;
  #hasStreams = false;
  /** A job whose files are in a store of ours. */
  #filesJob: string | null = null;
  readonly #counts = { stored: 0, nothing: 0, planned: 0, failed: 0, skipped: 0 };
  readonly #startedAt = performance.now();

  constructor(report: Report, { isDryRun, isAdHoc }: { readonly isDryRun: boolean; readonly isAdHoc: boolean }) {
    this.#report = report;
    this.#isDryRun = isDryRun;
    this.#isAdHoc = isAdHoc;
  }

  readonly progressOf = (task: Task): TaskProgress => {
    const title = titleOf(task);
    const progress = new Progress(this.#report, `${title}: sent`, { source: "zfs send", sink: "the store" });
    return {
      onPlan: (plan) => {
        const { kind, reason } = plan;
        const base = plan.kind === "incremental" ? plan.base.name : null;
        this.#report.event({ event: "planned", job: task.job.name, dataset: task.dataset, kind, reason, base }, { text: `${title}: ${kind}: ${reason}` });
      },
      onEstimate: (bytes) => {
        progress.expect(bytes);
      },
      onRead: progress.count,
      onStored: () => undefined,
      warn: this.#report.warn,
      ...progress.watching,
      tell: this.#report.tell,
      end: () => {
        progress.end();
        this.#secondsOf.set(task, progress.seconds);
      },
    };
  };

  readonly ended = (end: TaskEnd): void => {
    const outcome = this.#outcomeOf(end);
    this.#report.event(eventOf(end, outcome), { level: outcome === "failed" ? "error" : "info" });
    this.#counts[outcome] += 1;
    if (end.result.kind === "backed-up") this.#storedBytes += end.result.outcome.manifest?.messageBytes ?? 0;
    if (outcome !== "failed" || !this.#isAdHoc) this.#report.json(this.#documentOf(end, outcome));
    const { result, task } = end;
    if (result.kind === "backed-up") this.#hasStreams = true;
    if (result.kind === "files" && result.outcome.stored !== null) this.#filesJob = task.job.name;
    if (result.kind === "skipped") this.#report.text([`${titleOf(task)}: skipped: ${toldError(result.error).message}`]);
    if (result.kind === "backed-up") this.#tell(this.#lineOf(end, result.outcome));
    if (result.kind === "files") this.#tell(filesLine(end, result.outcome, this.#isDryRun));
  };

  /** The first failure is the last word of the run, which somebody else says; the others are said at once. */
  readonly failed = (error: unknown): void => {
    const isNews = this.#errors.size > 0 && !this.#errors.has(error);
    this.#errors.add(error);
    if (isNews) this.#report.failure(error);
  };

  /** All is done. */
  end(failures: readonly Failure[]): void {
    this.#advise();
    if (this.#isAdHoc) return;
    const { stored, nothing, planned, failed, skipped } = this.#counts;
    const seconds = rounded((performance.now() - this.#startedAt) / 1000);
    const failedJobs = [...new Set(failures.map(({ job }) => job.name))];
    const counts = { storedCount: stored, nothingCount: nothing, plannedCount: planned, failedCount: failed, skippedCount: skipped };
    this.#report.json({ type: "backup-summary", dryRun: this.#isDryRun, ...counts, failedJobs, seconds });
    const total = stored + nothing + planned + failed + skipped;
    if (total < 2 || failed + skipped === 0) return; // a line for each says it all
    this.#report.text([`${stored + nothing + planned} of ${counted(total, "dataset")} done, ${failed} failed, ${skipped} skipped`]);
  }

  /** For somebody who sits there: all of it in one line, and what can be done now. */
  #advise(): void {
    const { stored, nothing, planned, failed, skipped } = this.#counts;
    const total = stored + nothing + planned + failed + skipped;
    const seconds = (performance.now() - this.#startedAt) / 1000;
    if (!this.#isDryRun && total > 1) this.#report.remark(`${stored} of ${counted(total, "dataset")} stored, ${formatSize(this.#storedBytes)}; ${nothing} had nothing new; ${clock(seconds)}`);
    if (failed > 0) return; // the error and its hint are the last words
    if (planned > 0) this.#report.next("the same without --dry-run does it");
    else if (stored > 0 && this.#hasStreams) this.#report.next("zferry list shows the backups, zferry verify proves that they would restore");
    else if (this.#filesJob !== null) this.#report.next(`zferry files list ${word(this.#filesJob)} shows its runs, zferry files restore ${word(this.#filesJob)} --into FOLDER brings the newest back`);
  }

  #outcomeOf({ result }: TaskEnd): "stored" | "nothing" | "planned" | "failed" | "skipped" {
    if (result.kind === "files") return this.#isDryRun ? "planned" : "stored";
    if (result.kind !== "backed-up") return result.kind;
    if (result.outcome.manifest !== null) return "stored";
    return this.#isDryRun && result.outcome.plan.kind !== "nothing" ? "planned" : "nothing";
  }

  #documentOf({ task, startedAt, endedAt, downtimeMs, result }: TaskEnd, outcome: string): Record<string, unknown> {
    const { plan, manifest } = result.kind === "backed-up" ? result.outcome : { plan: null, manifest: null };
    const base = plan?.kind === "incremental" ? plan.base.name : null;
    return {
      type: "backup",
      job: task.job.name,
      dataset: task.dataset,
      dryRun: this.#isDryRun,
      outcome,
      plan: plan === null ? null : { kind: plan.kind, reason: plan.reason, base },
      backup: manifest?.backup ?? null,
      guid: manifest?.snapshot.guid ?? null,
      streamBytes: manifest?.stream.sizeBytes ?? null,
      storedBytes: manifest?.messageBytes ?? null,
      chunkCount: manifest?.chunks.length ?? null,
      files: result.kind === "files" ? result.outcome : null,
      seconds: result.kind === "files" ? (endedAt.getTime() - startedAt.getTime()) / 1000 : rounded(this.#secondsOf.get(task) ?? 0),
      downtimeSeconds: downtimeMs === null ? null : rounded(downtimeMs / 1000),
      error: "error" in result ? toldError(result.error) : null,
    };
  }

  /** A plan was asked for; what was done was not. */
  #tell(line: string): void {
    if (this.#isDryRun) this.#report.text([line]);
    else this.#report.done([line]);
  }

  #lineOf({ task, storeUrl }: TaskEnd, { plan, manifest }: BackupOutcome): string {
    const title = titleOf(task);
    if (manifest === null) {
      return this.#isDryRun ? `${title}: would make: ${plan.kind}, ${plan.reason}` : `${title}: nothing to send: ${plan.reason}`;
    }
    const { stream, messageBytes, chunks, kind, backup } = manifest;
    const seconds = this.#secondsOf.get(task) ?? 0;
    return (
      `${title}: stored ${kind} backup ${backup}: ${formatSize(messageBytes)} in ` +
      `${counted(chunks.length, "chunk")}, ${clock(seconds)}, ${formatRate(stream.sizeBytes, seconds)}, into ${storeUrl}`
    );
  }
}

function eventOf({ task, startedAt, endedAt, result }: TaskEnd, outcome: string): Event {
  const backup = result.kind === "backed-up" ? (result.outcome.manifest?.backup ?? null) : null;
  const code = "error" in result ? toldError(result.error).code : null;
  return { event: "dataset-ended", job: task.job.name, dataset: task.dataset, outcome, backup, code, seconds: (endedAt.getTime() - startedAt.getTime()) / 1000 };
}

function filesLine({ task, startedAt, endedAt }: TaskEnd, { target, stored }: FilesOutcome, isDryRun: boolean): string {
  if (isDryRun) return `${titleOf(task)}: would copy the files of a new snapshot, ${target}`;
  const took = clock((endedAt.getTime() - startedAt.getTime()) / 1000);
  if (stored === null) return `${titleOf(task)}: files copied, ${target}, ${took}`;
  const { run, sentCount, fileCount, sentBytes } = stored;
  return `${titleOf(task)}: files stored, run ${run}: ${sentCount} of ${counted(fileCount, "file")} sent, ${formatSize(sentBytes)}, ${took}`;
}
