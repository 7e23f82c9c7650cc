/**
 * What `status --notify` tells: what no run can tell, because none ran.
 */
import type { Happening } from "../notify/tell.ts";
import type { Standings } from "./gather.ts";

export function happeningsOf({ at, standings }: Standings): readonly Happening[] {
  return standings.flatMap(({ state, job, dataset, why, lastSuccessAt, nextExpectedAt }): Happening[] => {
    if (state !== "overdue" && state !== "disabled-too-long") return [];
    const details = { lastSuccessAt: lastSuccessAt?.toISOString() ?? null, nextExpectedAt: nextExpectedAt?.toISOString() ?? null };
    const kind = state === "overdue" ? "overdue" : "disabled";
    return [{ kind, job, dataset, at, text: `${dataset ?? `job "${job}"`} is ${kind}: ${why ?? ""}`, details }];
  });
}
