/**
 * How everything stands as JSON (`docs/json-output.md`): of `status --json` and of `/api/v1/backup/status`.
 */
import type { DrillReport } from "../drills.ts";
import type { LastVerified } from "../verified.ts";
import type { Standings } from "./gather.ts";
import type { Held } from "./held.ts";
import type { Standing } from "./standing.ts";

export function statusDocument({ at, standings, undelivered }: Standings): Record<string, unknown> {
  return {
    type: "status",
    at,
    ok: !standings.some(({ isProblem }) => isProblem),
    datasets: standings.map(datasetDocument),
    notifiers: undelivered.map(({ notifier, at: since, why }) => ({ name: notifier, undeliveredAt: since, why })),
  };
}

export function datasetDocument(standing: Standing): Record<string, unknown> {
  const { job, dataset, store, isEnabled, state, isProblem, why, lastRun, lastSuccessAt, lastStored, held, copies } = standing;
  return {
    job,
    dataset,
    store: held?.store ?? store,
    enabled: isEnabled,
    state,
    problem: isProblem,
    why,
    lastSuccessAt,
    nextExpectedAt: standing.nextExpectedAt,
    lastRun: lastRun === null ? null : { startedAt: lastRun.startedAt, endedAt: lastRun.endedAt, outcome: lastRun.outcome, error: lastRun.error },
    lastBackup:
      lastStored === null
        ? null
        : { backup: lastStored.backup, kind: lastStored.kind, streamBytes: lastStored.streamBytes, storedBytes: lastStored.storedBytes, seconds: secondsOf(standing.durationMs) },
    meanSeconds: secondsOf(standing.meanDurationMs),
    downtimeSeconds: secondsOf(standing.downtimeMs),
    failureCount: standing.failureCount,
    held: held === null ? null : heldDocument(held),
    copies: copies.map(heldDocument),
    drill: standing.drill === null ? null : drillDocument(standing.drill),
    copying: standing.copying.map(({ store: name, lastRun: last, lastSuccessAt: at, waitingSince }) => ({
      store: name,
      lastRun: last === null ? null : { startedAt: last.startedAt, endedAt: last.endedAt, outcome: last.outcome, error: last.error },
      lastSuccessAt: at,
      waitingSince,
    })),
  };
}

export function heldDocument({ store, backupCount, storedBytes, newest, oldestRestorableAt, newestRestorableAt, verified, restoreVerifiedAt, damaged, lostCount }: Held): Record<string, unknown> {
  return {
    store,
    backupCount,
    storedBytes,
    newest: newest?.backup ?? null,
    newestRestorableAt,
    oldestRestorableAt,
    verified: verifiedDocument(verified),
    restoreVerifiedAt,
    damaged,
    lostCount,
  };
}

function drillDocument({ backup, endedAt, outcome, restoreSeconds, sample, error }: DrillReport): Record<string, unknown> {
  const files = sample?.files ?? [];
  return {
    backup,
    at: endedAt,
    ok: outcome === "passed",
    rtoSeconds: restoreSeconds === null ? null : secondsOf(restoreSeconds * 1000),
    fileCount: files.length,
    comparedCount: files.filter(({ isCompared }) => isCompared).length,
    error,
  };
}

function verifiedDocument(verified: LastVerified | null): Record<string, unknown> | null {
  return verified === null ? null : { level: verified.level, at: verified.at, ok: verified.ok };
}

function secondsOf(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms) / 1000;
}
