/**
 * The list of a run of files: what there was in a tree, and where its contents lie (`docs/format.md` § Files).
 *
 * Lines of JSON: a header, then entries in the order of a walk, each key before the first entry that needs it, and an end
 * with the seal. Lists can be longer than memory: they are made and read line by line. Found to be damaged by `ListSum`
 * before a line of it is believed; where they are kept meanwhile is for others.
 */
import { createHash, createHmac, type Hash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { type ErrorCode, ZferryError } from "../errors.ts";
import { parseDatasetName } from "../zfs/names.ts";
import type { FilesPlace, RunId } from "./file-layout.ts";
import { isRunId } from "./file-layout.ts";
import { parsePathText } from "./file-path.ts";
import { packetNames } from "./layout.ts";

/** The one version this program writes and reads. */
const listVersion = 1;

/** Of one line, in bytes: three paths of `maxPathBytes` each, every byte written as three, and room for the rest. */
export const maxLineBytes = 1024 * 1024;

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`));
const run = z.string().refine(isRunId, "not a run");
const time = z.iso.datetime().transform((text) => new Date(text));
const count = z.int().min(0);
/** Nanoseconds since 1970, as text: a double would round them. */
const nanoseconds = z.string().regex(/^-?\d{1,20}$/);
/** Some path below the root; the root's own is the empty text. */
const path = z.string().refine((text) => parsePathText(text) !== null, "not a path");
const pathBelow = path.refine((text) => text !== "", "not a path below the root");

const packing = {
  packet: z.enum(packetNames),
  /** Base64; null where the run had no key. */
  sessionKeyPackets: z.base64().nullable(),
  keyCheck: hex(16).nullable(),
};

const headerSchema = z.object({
  list: z.literal("zferry files"),
  format: z.literal(listVersion),
  job: z.string(),
  dataset: z.string().transform((text, context) => {
    try {
      return parseDatasetName(text);
    } catch {
      context.addIssue("not the name of a dataset");
      return z.NEVER;
    }
  }),
  run,
  /** The run whose list was there before; null for the first. */
  base: run.nullable(),
  snapshot: z.string(),
  startedAt: time,
  writer: z.string(),
  ...packing,
});

/** How a run has packed what it has sent. */
const keySchema = z.object({ type: z.literal("key"), run, ...packing });

const owner = count.max(0xffff_ffff);
const about = { path, mode: z.int().min(0).max(0o7777), uid: owner, gid: owner, mtime: nanoseconds };

/** Of a symbolic link: any bytes that a kernel takes, in base64. */
const target = z.base64().refine((text) => text !== "" && !Buffer.from(text, "base64").includes(0), "not the target of a link");

const entrySchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("folder"), ...about }),
  z.object({
    type: z.literal("file"),
    ...about,
    path: pathBelow,
    sizeBytes: count,
    /** Its blocks are fewer than its size: zeros become holes again. */
    sparse: z.literal(true).optional(),
    /** It changed while it was read. */
    changed: z.literal(true).optional(),
    /** It has other names, in the tree or out of it. */
    linked: z.literal(true).optional(),
    /** The earlier path in this list that is the same file. */
    linkTo: pathBelow.optional(),
    /** Where its content is; null for a file without content. */
    object: z.object({ run, at: pathBelow.optional(), sizeBytes: count.min(1), sha256: hex(64) }).nullable(),
  }),
  z.object({ type: z.literal("symlink"), ...about, path: pathBelow, target }),
  z.object({ type: z.literal("other"), path: pathBelow, what: z.enum(["pipe", "socket", "device"]) }),
]);

const endSchema = z.object({
  type: z.literal("end"),
  entryCount: count,
  fileCount: count,
  /** Of all files, each name of a hard link counted once. */
  sizeBytes: count,
  committedAt: time,
});

export type ListHeader = z.output<typeof headerSchema>;
export type RunKey = z.output<typeof keySchema>;
export type TreeEntry = z.output<typeof entrySchema>;
export type FileEntry = Extract<TreeEntry, { type: "file" }>;
export type FolderEntry = Extract<TreeEntry, { type: "folder" }>;
export type ListEnd = z.output<typeof endSchema>;
export type ListLine = TreeEntry | RunKey | ListEnd;

/** How a run packs what it sends, as its header and its key line have it. */
export type Packing = Pick<RunKey, "packet" | "sessionKeyPackets" | "keyCheck">;

/** Stands in the seal where the HMAC would, when the writer had no key. */
const unkeyed = "unkeyed";
const sealPattern = new RegExp(`,"seal":"v(\\d{1,4}):([0-9a-f]{64}):([0-9a-f]{64}|${unkeyed})"}\\n$`);
/** A seal is no longer. */
export const maxSealBytes = 200;

/** Makes a list, line by line, and its seal at the end. */
export class ListSealer {
  readonly #sum: Hash = createHash("sha256");
  readonly #hmac: ReturnType<typeof createHmac> | null;

  /** @param key - 32 bytes; null for a list that is not sealed with any */
  constructor(key: Buffer | null) {
    this.#hmac = key === null ? null : createHmac("sha256", key);
  }

  header(header: ListHeader): Buffer {
    return this.#sealed(Buffer.from(`${JSON.stringify(header)}\n`));
  }

  line(line: TreeEntry | RunKey): Buffer {
    return this.#sealed(Buffer.from(`${JSON.stringify(line)}\n`));
  }

  /** Nothing may follow. */
  end(end: ListEnd): { readonly bytes: Buffer; readonly sha256: string } {
    const body = this.#sealed(Buffer.from(JSON.stringify(end).slice(0, -1)));
    const sha256 = this.#sum.digest("hex");
    const seal = Buffer.from(`,"seal":"v${listVersion}:${sha256}:${this.#hmac?.digest("hex") ?? unkeyed}"}\n`);
    return { bytes: Buffer.concat([body, seal]), sha256 };
  }

  #sealed(bytes: Buffer): Buffer {
    this.#sum.update(bytes);
    this.#hmac?.update(bytes);
    return bytes;
  }
}

/** What the end of a list says of the rest. */
export interface ListSeal {
  readonly sha256: string;
  readonly hmac: string | null;
  readonly sealBytes: number;
}

/** @param tail - the last {@link maxSealBytes} of it, or all @throws ZferryError `manifest-invalid`, `format-too-new` */
export function parseSeal(tail: Buffer, where: string): ListSeal {
  const found = sealPattern.exec(tail.toString("latin1"));
  const [whole, version, sha256, hmac] = found ?? [];
  if (whole === undefined || sha256 === undefined) throw invalidList(where, "its seal is missing or malformed");
  if (Number(version) > listVersion) {
    throw new ZferryError("format-too-new", `list "${where}" has format ${version ?? ""}, newer than ${listVersion}`, { hint: "upgrade zferry, then try again" });
  }
  return { sha256, hmac: hmac === unkeyed ? null : (hmac ?? null), sealBytes: whole.length };
}

/** The sums of a list's bytes, its seal left out. */
export class ListSum {
  readonly #sum = createHash("sha256");
  readonly #hmac: ReturnType<typeof createHmac> | null;

  constructor(key: Buffer | null) {
    this.#hmac = key === null ? null : createHmac("sha256", key);
  }

  update(bytes: Uint8Array): void {
    this.#sum.update(bytes);
    this.#hmac?.update(bytes);
  }

  /** @throws ZferryError `manifest-invalid` when a sum is not the seal's; with a key also where the list has none */
  check(seal: ListSeal, where: string): void {
    if (this.#sum.digest("hex") !== seal.sha256) throw invalidList(where, "its checksum does not match its content");
    if (this.#hmac === null) return;
    if (seal.hmac === null || !timingSafeEqual(this.#hmac.digest(), Buffer.from(seal.hmac, "hex"))) {
      throw invalidList(where, "it was changed by someone without the key: its seal does not match its content");
    }
  }
}

/**
 * @param expected - whose list it is, and of which run, by its key
 * @throws ZferryError `manifest-invalid`
 */
export function parseHeader(line: Buffer, where: string, expected: FilesPlace & { readonly run: RunId }): ListHeader {
  const header = parsed(headerSchema, line, where);
  const { job, dataset, run: own } = header;
  if (job !== expected.job || dataset !== expected.dataset || own !== expected.run) throw invalidList(where, `it is that of "${dataset}" of the job "${job}", run ${own}`);
  return header;
}

const lineSchema = z.union([entrySchema, keySchema, endSchema.extend({ seal: z.string().optional() })]);

/** @throws ZferryError `manifest-invalid` */
export function parseLine(line: Buffer, where: string): ListLine {
  return parsed(lineSchema, line, where);
}

function parsed<T>(schema: z.ZodType<T>, line: Buffer, where: string): T {
  let value: unknown;
  try {
    value = JSON.parse(line.toString("utf8"));
  } catch (error) {
    throw invalidList(where, `a line of it is not JSON (${(error as Error).message})`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw invalidList(where, `member "${result.error.issues[0]?.path.join(".") ?? ""}" of a line: ${result.error.issues[0]?.message ?? "wrong"}`);
}

export function invalidList(where: string, why: string): ZferryError {
  const code: ErrorCode = "manifest-invalid";
  return new ZferryError(code, `list "${where}" is damaged: ${why}`, { hint: "use the list of another run (`zferry files list`), or a second copy of the store" });
}
