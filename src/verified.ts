/**
 * What was found when a backup was last verified: the results this host remembers, and which of them still count.
 *
 * Each level does all that the lower ones do. So a result replaces those of its own and of lower levels, and a look at
 * the listing last night does not hide the damage that a full read found the week before.
 */
import { z } from "zod";

/** From the cheapest to the strongest; the command line's `--level`. */
export const verifyLevels = ["exists", "digest", "stream", "receive"] as const;
export type VerifyLevel = (typeof verifyLevels)[number];

/** Findings kept of one result; there can be one for each chunk. */
const maxKeptFindings = 10;

const resultSchema = z.object({
  /** Of the manifest: a result is about that version and no other. */
  etag: z.string(),
  at: z.iso.datetime().transform((text) => new Date(text)),
  findingCount: z.number(),
  /** The first few, one line each. */
  findings: z.array(z.string()),
});

/** The results for one manifest, by level. */
export const resultsSchema = z.partialRecord(z.enum(verifyLevels), resultSchema);

export type VerifyResult = z.output<typeof resultSchema>;
export type VerifyResults = z.output<typeof resultsSchema>;

export interface LastVerified extends VerifyResult {
  readonly level: VerifyLevel;
  readonly ok: boolean;
}

function isAtLeast(level: VerifyLevel, wanted: VerifyLevel): boolean {
  return verifyLevels.indexOf(level) >= verifyLevels.indexOf(wanted);
}

/** `before` with one more result. */
export function withResult(
  before: VerifyResults | undefined,
  level: VerifyLevel,
  { etag, at, findings }: { etag: string; at: Date; findings: readonly string[] },
): VerifyResults {
  const kept = counted(before, etag).filter((result) => !isAtLeast(level, result.level));
  const results: VerifyResults = {};
  for (const { level: higher, etag: of, at: when, findingCount, findings: lines } of kept) {
    results[higher] = { etag: of, at: when, findingCount, findings: lines };
  }
  results[level] = { etag, at, findingCount: findings.length, findings: findings.slice(0, maxKeptFindings) };
  return results;
}

/** When this version of the manifest was last verified at `level` or above; null for never. */
export function verifiedAt(results: VerifyResults | undefined, etag: string | null, level: VerifyLevel): Date | null {
  const times = counted(results, etag).filter((result) => isAtLeast(result.level, level)).map(({ at }) => at.getTime());
  return times.length === 0 ? null : new Date(Math.max(...times));
}

/** The one result to show: the newest that found something, otherwise the one of the highest level; null for none. */
export function lastVerified(results: VerifyResults | undefined, etag: string | null): LastVerified | null {
  const all = counted(results, etag);
  const bad = all.filter(({ ok }) => !ok).sort((a, b) => a.at.getTime() - b.at.getTime());
  return bad.at(-1) ?? all.at(-1) ?? null;
}

/** Of the first few findings, those that a chunk is missing or not what was stored; each names its object, in quotes. */
export function chunkFindings(results: VerifyResults | undefined, etag: string | null): readonly string[] {
  return counted(results, etag).flatMap(({ findings }) => findings.filter((line) => /^(missing-chunk|size|digest): /.test(line)));
}

/** Results of this version of the manifest, the highest level last. */
function counted(results: VerifyResults | undefined, etag: string | null): LastVerified[] {
  return verifyLevels.flatMap((level) => {
    const result = results?.[level];
    if (result === undefined) return [];
    return result.etag === etag ? [{ ...result, level, ok: result.findingCount === 0 }] : [];
  });
}
