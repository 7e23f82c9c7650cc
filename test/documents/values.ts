/** What documents are made of. Sizes are bytes, durations seconds, times ISO 8601 in UTC, 64-bit identities decimal strings. */
import { z } from "zod";
import { type ErrorCode, exitStatusOf } from "../../src/errors.ts";
import { packetNames } from "../../src/format/layout.ts";
import { verifyLevels } from "../../src/verified.ts";

export const text = z.string();
export const flag = z.boolean();
export const time = z.iso.datetime();
export const count = z.int().min(0);
export const bytes = z.int().min(0);
/** A clock that was set back makes one of them negative. */
export const seconds = z.number();
export const guid = z.string().regex(/^[1-9]\d{0,19}$/).describe("decimal, of 64 bits");
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
export const dataset = z.string().describe("as ZFS names it");
export const snapshot = z.string().regex(/^[^@]+@[^@]+$/).describe("DATASET@SNAPSHOT");
export const storeUrl = z.string().describe("URL of a store, or its name in the configuration");
export const kind = z.enum(["full", "incremental"]);
export const packet = z.enum(packetNames);
export const level = z.enum(verifyLevels);
export const code = z.enum(Object.keys(exitStatusOf) as [ErrorCode, ...ErrorCode[]]).describe("docs/errors.md");

/** Why something failed. */
export const failure = z.object({ code, message: text, hint: text.nullable() });
/** The same as it was remembered, perhaps by another version. */
export const rememberedFailure = z.object({ code: text, message: text, hint: text.nullable() });
export const verified = z.object({ level, at: time, ok: flag });
export const sampledFile = z.object({ path: text, sizeBytes: bytes, sha256, isCompared: flag });

/** A document of a type. */
export function document<const T extends string, S extends z.ZodRawShape>(type: T, what: string, shape: S) {
  return z.object({ type: z.literal(type), ...shape }).describe(what);
}
