/**
 * What a quiesce owes: `<state folder>/quiesce/<id>.json`, there before the first before-hook begins and until the last
 * after-hook has succeeded. Whoever finds it can do the rest: the commands and their environment stand in it.
 *
 * One process at a time writes it, the one that has the lock of the folder.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { inStateFolder, readIfAny, syncFolder, writeWhole } from "../files.ts";
import { lockHolderSchema } from "../lock-holder.ts";

const processSchema = lockHolderSchema.pick({ pid: true, bootId: true, pidNamespace: true, startTime: true });

const argv = z
  .array(z.string())
  .min(1)
  .transform((words) => words as [string, ...string[]]);

const hookSchema = z.object({
  name: z.string(),
  before: argv.nullable(),
  after: argv.nullable(),
  timeoutMs: z.number().positive(),
  /** `began`: the before-hook was begun, so the after-hook is owed. `done`: it has succeeded. */
  step: z.enum(["waiting", "began", "done"]),
  /** The last process of this hook, which may still be at work when whoever started it was killed. */
  process: processSchema.nullable(),
});

export const recordSchema = z.object({
  format: z.literal(1),
  startedAt: z.iso.datetime(),
  /** The zferry whose snapshot this is for: as long as it runs, the hooks are its own affair. Null when it no longer is. */
  run: processSchema.nullable(),
  subject: z.object({ jobs: z.array(z.string()), datasets: z.array(z.string()), snapshots: z.array(z.string()) }),
  /** All that the commands get, besides what tells them the subject. */
  environment: z.record(z.string(), z.string()),
  hooks: z.array(hookSchema),
});

export type QuiesceRecord = z.output<typeof recordSchema>;
export type HookRecord = QuiesceRecord["hooks"][number];

/** Whether an after-hook is still to be run. */
export function isOwed({ step, after }: HookRecord): boolean {
  return step === "began" && after !== null;
}

export function recordFolder(stateDir: string): string {
  return join(stateDir, "quiesce");
}

/** @param id - begins with the time, so that names sort by age */
export function recordPath(stateDir: string, id: string): string {
  return join(recordFolder(stateDir), `${id}.json`);
}

/** Kept by whoever works on a quiesce: only one at a time does, so that none starts what another has just stopped. */
export function quiesceLockPath(stateDir: string): string {
  return join(stateDir, "locks", "quiesce.lock");
}

/** The records there are, the newest first. */
export async function recordPaths(stateDir: string): Promise<readonly string[]> {
  const names = await namesIn(stateDir);
  return names.filter((name) => name.endsWith(".json")).sort().reverse().map((name) => join(recordFolder(stateDir), name));
}

/** Whether there is nothing to do, nor to tidy away. */
export async function hasNoRecords(stateDir: string): Promise<boolean> {
  return (await namesIn(stateDir)).length === 0;
}

/** Removes what processes that were killed while they wrote a record left. For whoever has the turn: nobody else writes. */
export async function removeDrafts(stateDir: string): Promise<void> {
  for (const name of await namesIn(stateDir)) {
    if (name.endsWith(".new")) await rm(join(recordFolder(stateDir), name), { force: true });
  }
}

function namesIn(stateDir: string): Promise<readonly string[]> {
  const folder = recordFolder(stateDir);
  return inStateFolder(`list the folder "${folder}"`, () =>
    readdir(folder).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }),
  );
}

/** Null when there is none; `damaged` for one that cannot be read or understood. */
export async function readRecord(path: string): Promise<QuiesceRecord | "damaged" | null> {
  try {
    const bytes = await readIfAny(path);
    return bytes === null ? null : recordSchema.parse(JSON.parse(bytes.toString("utf8")));
  } catch {
    return "damaged";
  }
}

/** A record as it is worked through: what is noted in it is on disk before `note` returns. */
export class Ledger {
  readonly path: string;
  #record: QuiesceRecord;

  constructor(path: string, record: QuiesceRecord) {
    this.path = path;
    this.#record = record;
  }

  get record(): QuiesceRecord {
    return this.#record;
  }

  /** Writes a record that is new. @throws ZferryError `config-invalid`, as the others do */
  static async begin(path: string, record: QuiesceRecord): Promise<Ledger> {
    const ledger = new Ledger(path, record);
    await ledger.#save();
    return ledger;
  }

  /** Notes something about the hook at `index`; known here even when it cannot be written. */
  async note(index: number, news: Partial<Pick<HookRecord, "step" | "process">>): Promise<void> {
    const hooks = this.#record.hooks.map((hook, at) => (at === index ? { ...hook, ...news } : hook));
    this.#record = { ...this.#record, hooks };
    await this.#save();
  }

  /** From here on it is anybody's who recovers, though the run goes on. */
  async leave(): Promise<void> {
    this.#record = { ...this.#record, run: null };
    await this.#save();
  }

  /** Nothing is owed any more. */
  async close(): Promise<void> {
    await inStateFolder(`remove the record "${this.path}"`, async () => {
      await rm(this.path, { force: true });
      await syncFolder(join(this.path, ".."));
    });
  }

  async #save(): Promise<void> {
    await inStateFolder(`write the record "${this.path}"`, () => writeWhole(this.path, `${JSON.stringify(this.#record, null, 1)}\n`));
  }
}
