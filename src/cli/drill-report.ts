/** What is said of drills: to people, to programs, and to whoever wants to be told. */
import { formatSize } from "../bytes.ts";
import type { DrillOutcome, DrillPlan } from "../drill/drill.ts";
import type { DrillReport } from "../drills.ts";
import type { Event } from "../events.ts";
import type { Happening } from "../notify/tell.ts";
import { parseDatasetName } from "../zfs/names.ts";
import { clock } from "./clock.ts";
import { counted, rounded } from "./report.ts";
import type { Session } from "./session.ts";

export function planText({ backup, chain, candidateCount, place }: DrillPlan, job: string | null, seed: string): string {
  const bytes = chain.reduce((sum, { streamBytes }) => sum + streamBytes, 0);
  const before = chain.length === 1 ? "" : `, with ${counted(chain.length - 1, "backup")} before it`;
  const where = place.kind === "dataset" ? `into "${place.into}"` : "into a pool in a file";
  return `${job === null ? "" : `${job}: `}trying "${backup}" (${formatSize(bytes)}${before}), one of ${counted(candidateCount, "backup")} (--seed ${seed}), ${where}`;
}

export function linesOf(report: DrillReport): string[] {
  const { job, backup, outcome, findings, error, isClean, place } = report;
  const who = [job, backup].filter((one) => one !== null).join(": ");
  const left = isClean || place === null ? [] : [`left behind: ${place.into}: the next drill removes it`];
  const compared = sampleText(report);
  if (outcome === "passed") return [`passed: ${who}: restored in ${clock(report.restoreSeconds ?? 0)}, guid ${report.guid ?? ""} compared${compared}`, ...left];
  const found = findings.map(({ kind, message }) => `finding: ${who}: ${kind}: ${message}`);
  return [...found, `FAILED: ${who === "" ? "" : `${who}: `}${error?.message ?? ""}`, ...left];
}

function sampleText({ sample }: DrillReport): string {
  if (sample === null) return "";
  const { files, obstacle } = sample;
  const comparedCount = files.filter(({ isCompared }) => isCompared).length;
  const bytes = formatSize(files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
  if (obstacle === null) return `, ${counted(comparedCount, "file")} (${bytes}) the same as in the source's snapshot`;
  return files.length === 0 ? `; no file could be read: ${obstacle}` : `, ${counted(files.length, "file")} (${bytes}) read, and compared with nothing: ${obstacle}`;
}

export function documentOf(report: DrillReport): Record<string, unknown> {
  const { job, storeUrl, outcome, isClean, candidateCount, restoreSeconds, ...rest } = report;
  return {
    type: "drill",
    job,
    store: storeUrl,
    ok: outcome === "passed",
    candidateCount,
    ...rest,
    rtoSeconds: restoreSeconds === null ? null : rounded(restoreSeconds),
    clean: isClean,
  };
}

export function eventOf({ job, backup, outcome, restoreSeconds, error }: DrillReport): Event {
  const rtoSeconds = restoreSeconds === null ? null : rounded(restoreSeconds);
  return { event: "drill-ended", job, backup, ok: outcome === "passed", rtoSeconds, code: error?.code ?? null };
}

/** Tells each, where there is somebody to be told. Never rejects. */
export async function tellDrills({ settings, terminal, report }: Session, outcomes: readonly DrillOutcome[]): Promise<void> {
  const { config, stateDir } = settings;
  if (config.notify.length === 0) return;
  const { environment, now, signal } = terminal;
  const { makeTeller } = await import("../notify/tell.ts");
  const teller = makeTeller(config.notify, { stateDir, environment, warn: report.warn, now, signal });
  for (const outcome of outcomes) await teller.tell(happeningOf(outcome.report));
  await teller.end();
}

/** Pure. `findingCount` is null for what could not be tried. */
export function happeningOf(report: DrillReport): Happening {
  const { job, dataset, backup, endedAt: at, outcome, findings, error, restoreSeconds } = report;
  const isTried = outcome === "passed" || findings.length > 0;
  return {
    kind: "drill",
    job,
    dataset: dataset === null ? null : parseDatasetName(dataset),
    at,
    text: linesOf(report).at(-1) ?? "",
    details: {
      ...{ level: "receive", backupCount: backup === null ? 0 : 1, findingCount: isTried ? findings.length : null },
      ...{ backup, rtoSeconds: restoreSeconds === null ? null : rounded(restoreSeconds), code: error?.code ?? null },
    },
  };
}
