/**
 * What `status --notify` tells: what no run can tell, because none ran.
 */
import type { Happening } from "../notify/tell.ts";
import type { Standings } from "./gather.ts";

export function happeningsOf({ at, standings }: Standings): readonly Happening[] {
  return standings.flatMap(({ lapse, job, dataset, lastSuccessAt, nextExpectedAt }): Happening[] => {
    if (lapse === null) return [];
    const { kind, why } = lapse;
    const details = { lastSuccessAt: lastSuccessAt?.toISOString() ?? null, nextExpectedAt: nextExpectedAt?.toISOString() ?? null };
    return [{ kind, job, dataset, at, text: `${dataset ?? `job "${job}"`} is ${kind}: ${why}`, details }];
  });
}
