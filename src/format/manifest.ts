/**
 * The manifest: what it says, and the seal that keeps it honest (`docs/format.md` § Manifest).
 *
 * Written by `sealManifest`, read by `parseManifest`, which finds damage; only `checkSeal` finds malice. Fetching and
 * caching belong to `catalog.ts`, the session key to `openpgp/session.ts`.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { ZferryError } from "../errors.ts";
import { type Guid, parseSnapshotName, type SnapshotName } from "../zfs/names.ts";
import { maxChunkCount, packetNames } from "./layout.ts";

/** The one version this program writes; it reads this and nothing newer. */
export const formatVersion = 1;

/** Largest manifest read, in bytes: a million chunks with a few marks each. */
export const maxManifestBytes = 512 * 1024 * 1024;

/**
 * Bytes per bracket or comma, at least, once a manifest has more than {@link freeTokens} of them. A chunk without marks
 * has 21, laid out as closely as can be; a mark has 67. What JSON makes of `[],[],` takes forty times the room.
 */
const bytesPerToken = 16;
/** Enough for all members but the chunks. */
const freeTokens = 1000;
const [bracket, brace, comma] = Buffer.from("[{,");

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`));
/** One check, because a second one would be run on what failed the first. */
const u64 = z.string().refine((text) => /^(0|[1-9]\d{0,19})$/.test(text) && BigInt(text) < 1n << 64n, "not an unsigned 64-bit number");
const guid = u64.refine((text) => text !== "0").transform((text) => BigInt(text) as Guid);
const positive = z.number().int().min(1);

/**
 * Largest distance of marks, in bytes: readers hold that much at a time, and Node 20 has no larger buffer
 * (`buffer.constants.MAX_LENGTH`), so that none was ever written.
 */
const maxMarkBytes = 2 ** 32;
const time = z.iso.datetime().transform((text) => new Date(text));
const snapshotName = z.string().transform((text, context): SnapshotName => {
  try {
    return parseSnapshotName(text);
  } catch {
    context.addIssue(`"${text}" is not a snapshot name`);
    return z.NEVER;
  }
});

const chunkSchema = z.object({ sizeBytes: positive, sha256: hex(64), marks: z.array(hex(64)) });

/** The file without its seal. */
export const manifestSchema = z.object({
  format: z.literal(formatVersion),
  backup: snapshotName,
  kind: z.enum(["full", "incremental"]),
  attempt: hex(8),
  snapshot: z.object({ guid, createTxg: u64.transform((text) => BigInt(text)).nullable(), createdAt: time }),
  base: z.object({ guid, backup: snapshotName.nullable() }).nullable(),
  stream: z.object({
    sizeBytes: positive,
    recordCount: positive,
    kind: z.enum(["single", "compound"]),
    featureFlags: z.string().regex(/^0x[0-9a-f]{1,16}$/),
    flags: z.array(z.string()).nullable(),
  }),
  encryption: z.object({
    packet: z.enum(packetNames),
    sessionKeyPackets: z.base64().nullable(),
    keyCheck: hex(16).nullable(),
  }),
  messageBytes: positive,
  chunkBytes: positive,
  markBytes: positive.max(maxMarkBytes),
  chunks: z.array(chunkSchema).min(1).max(maxChunkCount),
  startedAt: time,
  committedAt: time,
  writer: z.string(),
  imported: z.object({ from: z.string().max(1024) }).optional(),
});

/** A backup, as its manifest tells it. Sizes in bytes, identities as bigint, times as Date. */
export type Manifest = z.output<typeof manifestSchema>;
/** One object of the message: its size, its SHA-256 and its running SHA-256 at every `markBytes`. */
export type ChunkEntry = z.output<typeof chunkSchema>;

/** A manifest that parsed, and the means to find out whether to believe it. */
export interface ParsedManifest {
  readonly manifest: Manifest;
  /** SHA-256 of all it says, as its seal has it: tells one manifest from every other, whoever wrote them. */
  readonly sha256: string;
  /** False when the writer had no key: the checksum found no damage, and nothing can find malice. */
  readonly isKeyed: boolean;
  /** @throws ZferryError `manifest-invalid` when the HMAC under `key` (32 bytes) does not fit, or there is none */
  checkSeal(key: Buffer): void;
}

/** The manifest's file, sealed with `key` (32 bytes), or unkeyed with null. */
export function sealManifest(manifest: Manifest, key: Buffer | null): Buffer {
  const text = JSON.stringify(manifest, (_name, value: unknown) => (typeof value === "bigint" ? String(value) : value), 1);
  const body = Buffer.from(text.slice(0, -"\n}".length));
  const hmac = key === null ? unkeyed : hmacOf(body, key).toString("hex");
  return Buffer.concat([body, Buffer.from(`,"seal":"v${formatVersion}:${sumOf(body)}:${hmac}"}\n`)]);
}

/** Stands in the seal where the HMAC would, when the writer had no key. */
const unkeyed = "unkeyed";

function sumOf(body: Buffer): string {
  return createHash("sha256").update(body).digest("hex");
}

function hmacOf(body: Buffer, key: Buffer): Buffer {
  return createHmac("sha256", key).update(body).digest();
}

/** Longer than the seal member can be, with room for what a newer version may put there. */
const maxSealBytes = 1024;
const sealPattern = /,"seal":"v([1-9]\d{0,4}):([^"]*)"}\n$/;
/** What stands in a seal of this version. */
const sumsPattern = /^([0-9a-f]{64}):([0-9a-f]{64}|unkeyed)$/;
const formatPattern = /^{\s*"format":\s*([1-9]\d{0,4}),/;

/**
 * Parses a manifest's bytes.
 *
 * @param where - the object's key, for messages
 * @param expected - the backup the key names
 * @throws ZferryError `format-too-new`, or `manifest-invalid` saying what is wrong
 */
export function parseManifest(bytes: Buffer, where: string, expected: SnapshotName): ParsedManifest {
  const invalid = (why: string): ZferryError =>
    new ZferryError("manifest-invalid", `manifest "${where}" is damaged: ${why}`, {
      hint: "restore this manifest from a second copy of the store, or use another backup",
    });
  const seal = sealPattern.exec(bytes.subarray(-maxSealBytes).toString("latin1"));
  const format = formatPattern.exec(bytes.subarray(0, maxSealBytes).toString("latin1"));
  if (seal === null) throw invalid("its seal is missing or malformed");
  if (format === null || format[1] !== seal[1]) throw invalid("its two version numbers disagree");
  if (Number(seal[1]) > formatVersion) {
    throw new ZferryError("format-too-new", `manifest "${where}" has format ${seal[1]}, newer than ${formatVersion}`, {
      hint: "upgrade zferry, then try again",
    });
  }
  const sums = sumsPattern.exec(seal[2] ?? "");
  if (sums === null) throw invalid("its seal is missing or malformed");
  const body = bytes.subarray(0, bytes.length - seal[0].length);
  if (sumOf(body) !== sums[1]) throw invalid("its checksum does not match its content");
  const manifest = parseMembers(bytes, invalid);
  if (manifest.backup !== expected) throw invalid(`it is the manifest of "${manifest.backup}"`);
  checkShape(manifest, invalid);
  const isKeyed = sums[2] !== unkeyed;
  return {
    manifest,
    sha256: sums[1],
    isKeyed,
    checkSeal(key) {
      const stored = Buffer.from(sums[2] ?? "", "hex");
      if (!isKeyed || !timingSafeEqual(hmacOf(body, key), stored)) {
        throw invalid("it was changed by someone without the key: its seal does not match its content");
      }
    },
  };
}

/**
 * A manifest's bytes as plain values, which take a few times as much memory as the bytes and no more.
 *
 * @throws Error that says why not; of these bytes nothing is known yet
 */
export function parseJson(bytes: Buffer): unknown {
  const most = freeTokens + Math.floor(bytes.length / bytesPerToken);
  let count = 0;
  for (const byte of bytes) if (byte === comma || byte === bracket || byte === brace) count += 1;
  if (count > most) throw new Error("it has more values than a manifest of its length can have");
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw new Error(`it is not JSON (${(error as Error).message})`, { cause: error });
  }
}

function parseMembers(bytes: Buffer, invalid: (why: string) => ZferryError): Manifest {
  let value: unknown;
  try {
    value = parseJson(bytes);
  } catch (error) {
    throw invalid((error as Error).message);
  }
  const result = manifestSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw invalid(`member "${issue?.path.join(".") ?? ""}": ${issue?.message ?? "wrong"}`);
}

/** What types cannot say: the sums and counts that must agree with each other. */
function checkShape(manifest: Manifest, invalid: (why: string) => ZferryError): void {
  const { chunks, chunkBytes, markBytes, messageBytes, kind, base, encryption } = manifest;
  if ((kind === "full") !== (base === null)) throw invalid(kind === "full" ? "a full backup with a base" : "an incremental backup without a base");
  if (chunkBytes % markBytes !== 0) throw invalid("its chunk size is not a multiple of its mark distance");
  if ((encryption.sessionKeyPackets === null) !== (encryption.keyCheck === null)) throw invalid("half a session key");
  if (encryption.packet !== "none" && encryption.keyCheck === null) throw invalid("encrypted without a session key");
  let sumBytes = 0;
  for (const [index, chunk] of chunks.entries()) {
    const isLast = index === chunks.length - 1;
    if (isLast ? chunk.sizeBytes > chunkBytes : chunk.sizeBytes !== chunkBytes) throw invalid(`size of chunk ${index}`);
    if (chunk.marks.length !== Math.ceil(chunk.sizeBytes / markBytes) - 1) throw invalid(`marks of chunk ${index}`);
    sumBytes += chunk.sizeBytes;
  }
  if (sumBytes !== messageBytes) throw invalid("the sizes of its chunks do not add up");
}
