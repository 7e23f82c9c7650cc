/**
 * The kinds of value a configuration is made of, each with the words that refuse a wrong one.
 */
import { z } from "zod";
import { KiB, parseSize } from "../bytes.ts";
import { type DatasetName, parseDatasetName } from "../zfs/names.ts";
import { flawOfPattern } from "./globs.ts";

/** Smallest chunk and part any store takes. */
const minSizeBytes = 4 * KiB;
export const dayMs = 24 * 60 * 60 * 1000;
const durationUnitMs = new Map([["s", 1000], ["m", 60_000], ["h", 3_600_000], ["d", dayMs], ["w", 7 * dayMs]]);

/** `30d`, `12h`, `90m`, `45s`, `2w` in milliseconds; null when it is none of them. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,6})([smhdw])$/.exec(text);
  const unitMs = durationUnitMs.get(match?.[2] ?? "");
  return match === null || unitMs === undefined ? null : Number(match[1]) * unitMs;
}

/** For editors, which know no transforms; what is refused in the end is decided by the transform. */
const sizePattern = String.raw`^\s*\d+(\.\d+)? ?([bB]|[kKmMgGtT]([iI][bB])?)?\s*$`;
const durationPattern = String.raw`^\d{1,6}[smhdw]$`;

export const size = z.union([z.string().meta({ pattern: sizePattern }), z.number().meta({ minimum: minSizeBytes })], "must be a size, as in 16MiB or 1GiB").transform((value, context) => {
  try {
    const bytes = parseSize(String(value));
    if (bytes >= minSizeBytes) return bytes;
    context.addIssue(`must be 4KiB or more`);
  } catch {
    context.addIssue(`"${value}" is not a size; write it as 16MiB or 1GiB`);
  }
  return z.NEVER;
});

/** What a person sets: a kind of value, and what editors and `docs/configuration.md` say of it. @param shown - the default, as one writes it */
export function setting<T extends z.ZodType>(kind: T, description: string, shown?: string | number | boolean | null | readonly string[]): T {
  return kind.meta({ description, ...(shown === undefined ? {} : { shown }) });
}

export const duration = z.string("must be a duration, as in 30d, 12h, 90m or 45s").meta({ pattern: durationPattern }).transform((text, context) => {
  const ms = parseDuration(text);
  if (ms !== null && ms > 0) return ms;
  context.addIssue(`"${text}" is not a duration; write it as 30d, 12h, 90m or 45s`);
  return z.NEVER;
});

export const dataset = z.string().meta({ pattern: "^[A-Za-z][^@#*?]*$" }).transform((text, context): DatasetName => {
  try {
    return parseDatasetName(text);
  } catch (error) {
    context.addIssue((error as Error).message);
    return z.NEVER;
  }
});

/** A dataset's name, or a glob: `*` and `?` within a component, `**` for any number of components (`globs.ts`). */
export const pattern = z.string().transform((text, context): string => {
  const flaw = flawOfPattern(text);
  if (flaw === null) return text;
  context.addIssue(flaw);
  return z.NEVER;
});

/** `50%` as 0.5. */
export const percentage = z.string('must be a percentage, as in "50%"').meta({ pattern: String.raw`^\d{1,4}(\.\d{1,2})?%$` }).transform((text, context) => {
  const match = /^(\d{1,4}(?:\.\d{1,2})?)%$/.exec(text);
  const share = Number(match?.[1]) / 100;
  if (share > 0) return share;
  context.addIssue(`"${text}" is not a percentage; write it as 50%`);
  return z.NEVER;
});

export const fullEvery = z.string('must be a duration, as in 30d, or "never"').meta({ pattern: `^never$|${durationPattern}` }).transform((text, context) => {
  const ms = parseDuration(text);
  if (text === "never") return null;
  if (ms !== null && ms > 0) return ms;
  context.addIssue(`"${text}" is neither a duration, as in 30d, nor "never"`);
  return z.NEVER;
});
export const snapshotPrefix = z.string().regex(/^[A-Za-z0-9_.:-]{0,64}$/, "may hold letters, digits and _ . : - only, 64 at most");
export const concurrency = z.number().int().min(1).max(64);
export const threads = z
  .literal(["auto", 0, 1, 2], 'must be 0, 1, 2 or "auto"')
  .default("auto")
  .transform((count) => (count === "auto" ? null : count));
export const argv = z.array(z.string().min(1)).min(1).transform((words) => words as [string, ...string[]]);
