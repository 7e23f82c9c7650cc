/**
 * What this host remembers of a job's files in a store, in the folder `file-lists` of its state folder: the newest list it
 * has seen, so that another one in its place is noticed; the list of a run that was killed, so that the next one need not
 * send everything again; and lists that were fetched.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ifThere, inStateFolder, readIfAny, writeWhole } from "../files.ts";
import { type FilesPlace, isRunId, type RunId } from "../format/file-layout.ts";

export interface Known {
  readonly run: RunId;
  /** Of all the list says, as its seal has it. */
  readonly sha256: string;
}

const knownSchema = z.object({ run: z.string().refine(isRunId), sha256: z.string() });

/** Of the job's name in the names of files; the hash tells apart what is cut off. */
const maxNameChars = 80;

/** What is older than this was left by a command that was killed. */
const leftoverMs = 24 * 3_600_000;

/**
 * A path for a list that is fetched to be read once: in the state folder, since it names files; gone afterwards.
 *
 * @throws ZferryError `config-invalid`; what `work` throws
 */
export async function withFetched<T>(stateDir: string, work: (path: string) => Promise<T>): Promise<T> {
  const folder = join(stateDir, "file-lists");
  await inStateFolder(`make the folder "${folder}"`, async () => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of (await readdir(folder)).filter((one) => /^[0-9a-f]{16}\.once$/.test(one))) {
      const { mtimeMs } = (await ifThere(stat(join(folder, name)))) ?? { mtimeMs: Infinity };
      if (Date.now() - mtimeMs > leftoverMs) await rm(join(folder, name), { force: true });
    }
  });
  const path = join(folder, `${randomBytes(8).toString("hex")}.once`);
  try {
    return await work(path);
  } finally {
    await rm(path, { force: true });
  }
}

export class FilesMemory {
  /** The list that is being written. */
  readonly draft: string;
  /** What a killed run has left of its own. */
  readonly left: string;
  /** Lists from the store: one that is gone by, or is to go; and one that is looked through. */
  readonly fetched: string;
  readonly looked: string;
  readonly #folder: string;
  readonly #known: string;

  constructor(stateDir: string, { job, dataset }: FilesPlace, storeUrl: string) {
    const name = `${job}-${dataset}`.replaceAll(/[^A-Za-z0-9_.-]/g, "-").slice(0, maxNameChars);
    const digest = createHash("sha256").update(`${job}\n${dataset}\n${storeUrl}`).digest("hex").slice(0, 12);
    this.#folder = join(stateDir, "file-lists");
    const path = join(this.#folder, `${name}-${digest}`);
    this.draft = `${path}.draft`;
    this.left = `${path}.left`;
    this.fetched = `${path}.fetched`;
    this.looked = `${path}.looked`;
    this.#known = `${path}.json`;
  }

  /**
   * Makes the folder, and takes what a killed run has left: the longer one, should there be two.
   *
   * @throws ZferryError `config-invalid`
   */
  async open(): Promise<void> {
    await inStateFolder(`make the folder "${this.#folder}"`, () => mkdir(this.#folder, { recursive: true, mode: 0o700 }));
    await inStateFolder(`take over "${this.draft}"`, async () => {
      const [draft, left] = await Promise.all([ifThere(stat(this.draft)), ifThere(stat(this.left))]);
      if (draft !== null && (left === null || draft.size >= left.size)) await rename(this.draft, this.left);
    });
  }

  /** Null when nothing is known, or nobody can read it. @throws ZferryError `config-invalid` */
  async known(): Promise<Known | null> {
    const bytes = await inStateFolder(`read "${this.#known}"`, () => readIfAny(this.#known));
    if (bytes === null) return null;
    try {
      return knownSchema.parse(JSON.parse(bytes.toString("utf8")));
    } catch {
      return null;
    }
  }

  /** @throws ZferryError `config-invalid` */
  async learn(known: Known): Promise<void> {
    await inStateFolder(`write "${this.#known}"`, () => writeWhole(this.#known, `${JSON.stringify(known)}\n`));
  }

  /** A list is committed: what led to it is of no more use. @throws ZferryError `config-invalid` */
  async tidy(): Promise<void> {
    await inStateFolder(`remove what is left of "${this.draft}"`, async () => {
      for (const path of [this.draft, this.left]) await rm(path, { force: true });
    });
  }

  /** @throws ZferryError `config-invalid` */
  async forgetFetched(): Promise<void> {
    await inStateFolder(`remove "${this.fetched}"`, async () => {
      for (const path of [this.fetched, this.looked]) await rm(path, { force: true });
    });
  }
}
