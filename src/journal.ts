/**
 * The journal of a run in progress: what is needed to make the same ciphertext again, and how far it got.
 *
 * One file per run, mode 0600 because it holds the session key, a line per fact, each line with its own
 * checksum and flushed before what it speaks of may happen. A torn last line is as if it had never been written. A bad
 * line before that means that it cannot be told what may have left this machine: the run is not gone on with, but the
 * header still says what to let go. Without a header the file is garbage, which is set aside. Removed last, when all it
 * stands for is settled.
 */
import { createHash } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { inStateFolder, readIfAny, syncFolder, writeWhole } from "./files.ts";
import { packetNames } from "./format/layout.ts";
import type { ChunkEntry } from "./format/manifest.ts";
import { storeIdOf } from "./state.ts";
import { type DatasetName, parseSnapshotName, type SnapshotName } from "./zfs/names.ts";

const headerSchema = z.object({
  version: z.literal(1),
  storeUrl: z.string(),
  backup: z.string().transform((text) => parseSnapshotName(text)),
  attempt: z.string(),
  startedAt: z.iso.datetime().transform((text) => new Date(text)),
  packet: z.enum(packetNames),
  chunkBytes: z.number(),
  partBytes: z.number(),
  sessionKey: z.base64(),
  nonce: z.base64(),
  /** Session-key packets; null when there is no one to lock for. */
  lockPackets: z.base64().nullable(),
  /** Who they are for (`attempt.ts`); null when that was not noted. */
  recipients: z
    .object({
      passphraseCount: z.number(),
      /** SHA-256 of each, ascending. */
      certificates: z.array(z.string()),
    })
    .nullable()
    .default(null),
  /** What the run sends, for `backup`; null for `put`, whose stream comes from outside. */
  send: z
    .object({
      guid: z.string(),
      baseGuid: z.string().nullable(),
      baseName: z.string().nullable(),
      baseBackup: z.string().nullable(),
      flags: z.array(z.string()),
      /** The snapshot was taken by this run, and goes away with it when it is given up. */
      isOwnSnapshot: z.boolean(),
    })
    .nullable(),
});

const lineSchema = z.union([
  z.object({ header: headerSchema }),
  z.object({ mark: z.object({ chunk: z.number(), index: z.number(), sha256: z.string() }) }),
  z.object({ chunk: z.object({ index: z.number(), sizeBytes: z.number(), sha256: z.string(), marks: z.array(z.string()) }) }),
]);

export type JournalHeader = z.output<typeof headerSchema>;

/** How far an earlier try got. */
export interface JournaledProgress {
  /** By index: chunks the store has confirmed. */
  readonly chunks: ReadonlyMap<number, ChunkEntry>;
  /** By chunk and mark, `chunk:mark`: the running SHA-256 of what may have left this machine. */
  readonly marks: ReadonlyMap<string, string>;
}

/** Of all journals, in the state folder. */
export const folderName = "journal";

/** Whose journal: a dataset has one for `backup`, and each name one for `put`. */
export type JournalOwner =
  | { readonly verb: "backup"; readonly name: DatasetName }
  | { readonly verb: "put"; readonly name: SnapshotName };

/** Of nothing but the owner and the store, so that the next run finds it. */
export function journalPath(stateDir: string, storeUrl: string, { verb, name }: JournalOwner): string {
  const readable = name.replaceAll("/", "-").slice(0, 100);
  return join(stateDir, folderName, `${verb}-${storeIdOf(storeUrl)}-${readable}-${sumOf(name)}.journal`);
}

function sumOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}

/** An open journal. Its lines are written one after the other, in the order they were asked for. */
export class Journal {
  readonly path: string;
  readonly header: JournalHeader;
  readonly progress: JournaledProgress;
  /** False when a line behind the header is damaged: `progress` is not all that was noted then. */
  readonly isWhole: boolean;
  readonly #file: FileHandle;
  #last: Promise<void> = Promise.resolve();
  #isOpen = true;
  #isGivenUp = false;
  #hasChunks: boolean;

  private constructor(path: string, file: FileHandle, { header, progress, isWhole }: Omit<Read, "goodBytes">) {
    this.path = path;
    this.#file = file;
    this.header = header;
    this.progress = progress;
    this.isWhole = isWhole;
    this.#hasChunks = progress.chunks.size > 0;
  }

  /**
   * Begins a journal, replacing an earlier one in one step: the caller has dealt with that.
   *
   * @throws ZferryError `config-invalid` when it cannot be written; the same for every note
   */
  static async begin(stateDir: string, owner: JournalOwner, header: JournalHeader): Promise<Journal> {
    const path = journalPath(stateDir, header.storeUrl, owner);
    const file = await inStateFolder(writing(path), async () => {
      await writeWhole(path, lineOf({ header }));
      return open(path, "a", 0o600);
    });
    return new Journal(path, file, { header, progress: { chunks: new Map(), marks: new Map() }, isWhole: true });
  }

  /**
   * Opens the journal an earlier run has left, or null when there is none.
   *
   * @param onGarbage - told where one was put that has no header, or one of another version
   * @throws ZferryError `config-invalid` when it cannot be read for another reason than what stands in it
   */
  static async find(
    stateDir: string,
    storeUrl: string,
    owner: JournalOwner,
    onGarbage: (setAside: string) => void,
  ): Promise<Journal | null> {
    const path = journalPath(stateDir, storeUrl, owner);
    const text = await readJournal(path);
    if (text === null) return null;
    const read = parse(text);
    if (read === null) {
      const setAside = `${path}.unreadable-${Date.now()}`;
      await inStateFolder(`set aside the journal "${path}"`, () => rename(path, setAside));
      onGarbage(setAside);
      return null;
    }
    const file = await inStateFolder(writing(path), () => openBehind(path, read.goodBytes));
    return new Journal(path, file, read);
  }

  /** Notes what is about to leave this machine. Resolves when it is on the disk. */
  mark(chunk: number, index: number, sha256: string): Promise<void> {
    return this.#write({ mark: { chunk, index, sha256 } });
  }

  /** Notes a chunk the store has confirmed. */
  async chunk(index: number, { sizeBytes, sha256, marks }: ChunkEntry): Promise<void> {
    await this.#write({ chunk: { index, sizeBytes, sha256, marks } });
    this.#hasChunks = true;
  }

  /** Whether a chunk is stored whole, in this run or in one before it. */
  get hasChunks(): boolean {
    return this.#hasChunks;
  }

  /** Whether a later run could go on from here. */
  get isKept(): boolean {
    return this.#isOpen && !this.#isGivenUp;
  }

  /** What it speaks of was removed from the store. The file stays until its owner has let go of all else, and removes it. */
  giveUp(): void {
    this.#isGivenUp = true;
  }

  /** Closes the file and leaves it for the next run. */
  async close(): Promise<void> {
    await this.#last.catch(() => undefined);
    await this.#file.close();
  }

  /** Ends the journal: the run was committed or given up. */
  async remove(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.close();
    await rm(this.path, { force: true });
    await syncFolder(dirname(this.path));
  }

  #write(fact: unknown): Promise<void> {
    const line = lineOf(fact);
    this.#last = this.#last.then(() =>
      inStateFolder(writing(this.path), async () => {
        await this.#file.appendFile(line);
        await this.#file.datasync();
      }),
    );
    return this.#last;
  }
}

function lineOf(fact: unknown): string {
  const json = JSON.stringify(fact);
  return `${sumOf(json)} ${json}\n`;
}

function writing(path: string): string {
  return `write the journal "${path}"`;
}

/** Null when there is none. */
function readJournal(path: string): Promise<Buffer | null> {
  return inStateFolder(`read the journal "${path}"`, () => readIfAny(path));
}

/** Opens a journal behind what is good of it. */
async function openBehind(path: string, goodBytes: number): Promise<FileHandle> {
  const file = await open(path, "a", 0o600);
  try {
    await file.truncate(goodBytes);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** What a journal says of its run; null when there is none, or none that can be understood. @throws ZferryError `config-invalid` */
export async function readHeader(path: string): Promise<JournalHeader | null> {
  const bytes = await readJournal(path);
  return bytes === null ? null : (parse(bytes)?.header ?? null);
}

interface Read {
  readonly header: JournalHeader;
  readonly progress: JournaledProgress;
  readonly isWhole: boolean;
  /** Length of what is kept: all but a torn last line. */
  readonly goodBytes: number;
}

/** Null when there is no header. */
function parse(bytes: Buffer): Read | null {
  const chunks = new Map<number, ChunkEntry>();
  const marks = new Map<string, string>();
  let header: JournalHeader | null = null;
  let goodBytes = 0;
  while (goodBytes < bytes.length) {
    const end = bytes.indexOf("\n", goodBytes);
    const fact = end < 0 ? null : parseLine(bytes.toString("utf8", goodBytes, end));
    if (fact === null) {
      if (end < 0 || end === bytes.length - 1) break; // torn
      return header === null ? null : { header, progress: { chunks, marks }, isWhole: false, goodBytes: bytes.length };
    }
    if ("header" in fact) header = fact.header;
    else if ("mark" in fact) marks.set(markKey(fact.mark.chunk, fact.mark.index), fact.mark.sha256);
    else chunks.set(fact.chunk.index, fact.chunk);
    goodBytes = end + 1;
  }
  return header === null ? null : { header, progress: { chunks, marks }, isWhole: true, goodBytes };
}

export function markKey(chunk: number, index: number): string {
  return `${chunk}:${index}`;
}

function parseLine(line: string): z.output<typeof lineSchema> | null {
  const json = line.slice(9);
  if (line.slice(0, 9) !== `${sumOf(json)} `) return null;
  try {
    return lineSchema.parse(JSON.parse(json));
  } catch {
    return null;
  }
}
