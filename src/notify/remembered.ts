/**
 * What is remembered of telling, so that the next run knows: when each notifier was last told what, and what is in trouble.
 *
 * A file for each job in `<state folder>/notify`. Losing it costs a message that was told already, or a recovery that is
 * not; so garbage counts as nothing.
 */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { isZferryError } from "../errors.ts";
import { inStateFolder, readIfAny, writeWhole } from "../files.ts";
import { parsedAs } from "../json.ts";

const time = z.iso.datetime().transform((text) => new Date(text));

const notesSchema = z.object({
  version: z.literal(1),
  job: z.string().nullable(),
  /** By dataset, the empty string for the job as a whole: since when it is in trouble that was told of, and what it was. */
  troubles: z.record(z.string(), z.object({ since: time, text: z.string() })),
  /** By notifier, then by topic (`lane.ts`): when it was last told. */
  told: z.record(z.string(), z.record(z.string(), time)),
  /** By notifier: the last message it did not get, and why; gone with the next one it gets. */
  undelivered: z.record(z.string(), z.object({ at: time, why: z.string() })),
});

export type Notes = z.output<typeof notesSchema>;

/** Times at which somebody was told that are older limit nothing any more. */
const forgottenMs = 60 * 24 * 60 * 60 * 1000;

function folderOf(stateDir: string): string {
  return join(stateDir, "notify");
}

function pathOf(stateDir: string, job: string | null): string {
  const name = (job ?? "").replaceAll(/[^A-Za-z0-9_.:-]/g, "-").slice(0, 100);
  return join(folderOf(stateDir), `${name}-${createHash("sha256").update(job ?? "\n").digest("hex").slice(0, 8)}.json`);
}

/** What one process reads and changes of the notes, one thing after the other. */
export class Notebook {
  readonly #stateDir: string;
  readonly #warn: (text: string) => void;
  readonly #now: () => Date;
  /** By job, notes that could not be written: they hold for this process at least. */
  readonly #unwritten = new Map<string | null, Notes>();
  #hasComplained = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor({ stateDir, warn, now }: { stateDir: string; warn: (text: string) => void; now: () => Date }) {
    this.#stateDir = stateDir;
    this.#warn = warn;
    this.#now = now;
  }

  /** Never rejects for what the disk does: then a warning is given once, and what is known stays in memory. */
  change<T>(job: string | null, change: (notes: Notes) => T): Promise<T> {
    const done = this.#last.then(() => this.#change(job, change));
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #change<T>(job: string | null, change: (notes: Notes) => T): Promise<T> {
    const path = pathOf(this.#stateDir, job);
    const before = this.#unwritten.get(job) ?? (await this.#read(path, job));
    const text = JSON.stringify(before);
    const result = change(before);
    if (JSON.stringify(before) === text) return result;
    forget(before, this.#now());
    try {
      await inStateFolder(`write the notes on who was told "${path}"`, () => writeWhole(path, `${JSON.stringify(before)}\n`));
    } catch (error) {
      this.#complain(error);
      this.#unwritten.set(job, before);
    }
    return result;
  }

  async #read(path: string, job: string | null): Promise<Notes> {
    try {
      const bytes = await inStateFolder(`read the notes on who was told "${path}"`, () => readIfAny(path));
      return parsedAs(notesSchema, bytes?.toString("utf8") ?? "") ?? emptyNotes(job);
    } catch (error) {
      this.#complain(error);
      return emptyNotes(job);
    }
  }

  #complain(error: unknown): void {
    if (!isZferryError(error, "config-invalid")) throw error;
    if (!this.#hasComplained) this.#warn(error.message);
    this.#hasComplained = true;
  }
}

function emptyNotes(job: string | null): Notes {
  return { version: 1, job, troubles: {}, told: {}, undelivered: {} };
}

function forget(notes: Notes, now: Date): void {
  const recent = ([, at]: [string, Date]): boolean => now.getTime() - at.getTime() < forgottenMs;
  notes.told = Object.fromEntries(
    Object.entries(notes.told).map(([name, topics]) => [name, Object.fromEntries(Object.entries(topics).filter(recent))]),
  );
}

/** The notes of every job. @throws ZferryError `config-invalid` when they cannot be read */
export async function readAllNotes(stateDir: string): Promise<readonly Notes[]> {
  const folder = folderOf(stateDir);
  return inStateFolder(`read the notes on who was told "${folder}"`, async () => {
    const names = await readdir(folder).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    });
    const files = await Promise.all(names.filter((name) => name.endsWith(".json")).map((name) => readIfAny(join(folder, name))));
    return files.flatMap((bytes) => parsedAs(notesSchema, bytes?.toString("utf8") ?? "") ?? []);
  });
}

/** A member, and never what every object has. */
export function ownOf<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
