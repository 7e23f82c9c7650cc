/** How copies are shown: a line, or a document, for each dataset and each store it is copied into. */
import { formatSize } from "../bytes.ts";
import { failuresOf } from "../copy/copy.ts";
import { type CopyEnd, type CopyProgress, type CopyTask } from "../job/copies.ts";
import { titleOf, toldError } from "../job/task.ts";
import { Progress } from "./progress.ts";
import { counted, type Report, rounded } from "./report.ts";

export class CopyReport {
  readonly #report: Report;
  readonly #isDryRun: boolean;

  constructor(report: Report, { isDryRun }: { readonly isDryRun: boolean }) {
    this.#report = report;
    this.#isDryRun = isDryRun;
  }

  readonly copyProgressOf = (task: CopyTask): CopyProgress => {
    const progress = new Progress(this.#report, `${titleOf(task)}: copied to ${task.copy.store}`, { source: "the store", sink: "the other store" });
    this.#report.tell({ event: "copy-began", job: task.job.name, dataset: task.dataset, from: task.from.url, to: task.copy.store });
    return {
      onCopied: progress.count,
      onTotal: progress.total,
      ...progress.watching,
      end: () => {
        progress.end();
      },
    };
  };

  readonly copied = (end: CopyEnd): void => {
    const { task, storeUrl, startedAt, endedAt, error } = end;
    const seconds = (endedAt.getTime() - startedAt.getTime()) / 1000;
    const outcome = this.#outcomeOf(end);
    const code = error === null ? null : toldError(error).code;
    const told = { event: "copy-ended", job: task.job.name, dataset: task.dataset, from: task.from.url, to: storeUrl, outcome, code, seconds } as const;
    this.#report.event(told, { level: outcome === "failed" ? "error" : "info" });
    this.#report.json(this.#documentOf(end));
    const isSaid = this.#isDryRun || this.#outcomeOf(end) === "failed" || end.isBusy;
    if (isSaid) this.#report.text(this.#linesOf(end));
    else this.#report.done(this.#linesOf(end));
  };

  #documentOf(end: CopyEnd): Record<string, unknown> {
    const { task, storeUrl, startedAt, endedAt, outcome, error } = end;
    return {
      type: "copy",
      job: task.job.name,
      dataset: task.dataset,
      from: task.from.url,
      to: storeUrl,
      dryRun: this.#isDryRun,
      outcome: this.#outcomeOf(end),
      backups: (outcome?.backups ?? []).map((one) => ({
        backup: one.entry.backup,
        kind: one.entry.kind,
        outcome: one.fate,
        storedBytes: one.entry.messageBytes,
        sentBytes: one.sentBytes,
        error: one.error === null ? null : toldError(one.error),
      })),
      problems: (outcome?.problems ?? []).map(toldError),
      thereCount: outcome?.thereCount ?? null,
      unwantedCount: outcome?.unwantedCount ?? null,
      seconds: rounded((endedAt.getTime() - startedAt.getTime()) / 1000),
      error: error === null ? null : toldError(error),
    };
  }

  #outcomeOf(end: CopyEnd): "copied" | "planned" | "nothing" | "failed" | "skipped" {
    if (end.isBusy) return "skipped";
    if (end.error !== null || end.outcome === null) return "failed";
    if (end.outcome.backups.length === 0) return "nothing";
    return this.#isDryRun ? "planned" : "copied";
  }

  #linesOf(end: CopyEnd): string[] {
    const { task, outcome, error } = end;
    const title = `${titleOf(task)}: copy in ${task.copy.store}`;
    if (outcome === null) return end.isBusy ? [`${title}: skipped: ${toldError(error).message}`] : [];
    const { backups, thereCount, unwantedCount } = outcome;
    const done = backups.filter(({ fate }) => fate !== "failed");
    const mended = done.filter(({ fate }) => fate === "mended" || fate === "would-mend");
    const bytes = done.reduce((sum, { entry, fate, sentBytes }) => sum + (fate === "would-copy" ? entry.messageBytes : sentBytes), 0);
    const verb = this.#isDryRun ? "would be copied" : "copied";
    const also = mended.length === 0 ? "" : `, ${mended.length} ${this.#isDryRun ? "would be mended" : "mended"}`;
    const rest = `${thereCount} there already, ${unwantedCount} not wanted there`;
    const failures = failuresOf(outcome);
    const each = done.flatMap(({ entry, fate, sentBytes }) => {
      if (fate === "copied") return [];
      return fate === "mended" ? [`  mended ${entry.backup}, ${formatSize(sentBytes)} sent again; see with zferry verify`] : [`  ${fate.replace("-", " ")} ${entry.kind} ${entry.backup}, ${formatSize(entry.messageBytes)}`];
    });
    const failed = failures.length === 0 ? "" : `, ${failures.length} failed`;
    return [`${title}: ${counted(done.length - mended.length, "backup")} ${verb}${also}, ${formatSize(bytes)}; ${rest}${failed}`, ...each, ...failures.map((failure) => `  NOT COPIED: ${toldError(failure).message}`)];
  }
}
