/**
 * The questions `zferry init` asks on a terminal. Every question has an answer to begin with, a wrong one is told and asked
 * again, and no secret is typed or shown: a passphrase is in a file, or is made and put into one.
 */
import { randomBytes } from "node:crypto";
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { createInterface, type Interface } from "node:readline/promises";
import { flawOfPattern } from "../config/globs.ts";
import type { StarterValues } from "../config/starter.ts";
import { ZferryError } from "../errors.ts";
import { writeNew } from "../files.ts";
import { parseStoreUrl } from "../store/url.ts";
import { zfsThrough } from "../zfs/command.ts";
import { listDatasets } from "../zfs/inventory.ts";
import type { DatasetName } from "../zfs/names.ts";
import type { Terminal } from "./terminal.ts";

/** 192 bits in 32 letters, digits, - and _. */
const passphraseBytes = 24;
/** More datasets than that are a pool to look at with zfs itself. */
const maxShown = 20;

/** @param defaults - what is taken for an empty answer. @throws ZferryError `interrupted` when nobody answers any more */
export async function interview(terminal: Terminal, defaults: StarterValues): Promise<StarterValues> {
  const lines = createInterface({ input: terminal.stdin, output: terminal.stderr, terminal: true });
  try {
    const asker = new Asker(lines, terminal);
    asker.say("A few questions; an empty answer takes what stands in brackets, Ctrl-C writes nothing.");
    const store = await asker.ask("Where do backups go (folder, or s3://bucket/prefix?endpoint=…)?", defaults.store, (answer) => flawOfStore(answer, terminal));
    const listed = await datasetsHere(terminal);
    if (listed.length > 0) asker.say(`Datasets here: ${listed.slice(0, maxShown).join(", ")}${listed.length > maxShown ? ", …" : ""}`);
    const first = listed.find((name) => name.includes("/")) ?? defaults.datasets[0] ?? "";
    const datasets = wordsOf(await asker.ask("Which datasets (names or globs as tank/*, with commas)?", first, (answer) => flawOfList(wordsOf(answer))));
    const isRecursive = await asker.agree("All that is below them too?", false);
    const passphraseFile = await asker.ask("File with the passphrase?", defaults.passphraseFile, () => null);
    const isToBeMade = !(await isThere(passphraseFile)) && (await asker.agree("It is not there. Make one with a random passphrase?", true));
    const keep = countsOf(await asker.ask('How many daily, weekly and monthly backups does prune leave ("all": it removes none)?', "14 8 12", (answer) => countsOf(answer) === null && answer !== "all" ? "write three numbers, as in 14 8 12, or all" : null));
    if (isToBeMade) asker.say(await makePassphrase(passphraseFile)); // behind the last question: until then nothing is written
    return { store, datasets, isRecursive, passphraseFile, keep };
  } finally {
    lines.close();
  }
}

class Asker {
  readonly #lines: Interface;
  readonly #output: Terminal["stderr"];
  readonly #gone: Promise<never>;
  readonly #signal: AbortSignal;

  constructor(lines: Interface, { stderr, signal }: Terminal) {
    this.#lines = lines;
    this.#output = stderr;
    this.#signal = signal;
    this.#gone = new Promise((_, reject) => {
      lines.on("SIGINT", () => { lines.close(); });
      lines.once("close", () => {
        reject(new ZferryError("interrupted", "nothing was written: there was no answer", { hint: "give --store, --dataset and --passphrase-file to be asked nothing" }));
      });
    });
    this.#gone.catch(() => undefined); // closing it in the end is no failure
  }

  say(text: string): void {
    this.#output.write(`${text}\n`);
  }

  async ask(question: string, otherwise: string, flawOf: (answer: string) => string | null): Promise<string> {
    for (;;) {
      const given = await Promise.race([this.#answer(`${question} [${otherwise}] `), this.#gone]);
      const answer = given.trim() === "" ? otherwise : given.trim();
      const flaw = flawOf(answer);
      if (flaw === null) return answer;
      this.say(`  ${flaw}`);
    }
  }

  /** @throws the reason of the signal when that comes first, where readline has an error of its own */
  async #answer(prompt: string): Promise<string> {
    try {
      return await this.#lines.question(prompt, { signal: this.#signal });
    } catch (error) {
      this.#signal.throwIfAborted();
      throw error;
    }
  }

  async agree(question: string, otherwise: boolean): Promise<boolean> {
    const answer = await this.ask(question, otherwise ? "yes" : "no", (given) => (/^(y|yes|n|no)$/i.test(given) ? null : "write yes or no"));
    return /^y/i.test(answer);
  }
}

/** None where there is no zfs to ask. */
async function datasetsHere({ environment, signal }: Terminal): Promise<readonly DatasetName[]> {
  try {
    return await listDatasets(zfsThrough(["zfs"], environment), null, { signal });
  } catch {
    signal.throwIfAborted();
    return [];
  }
}

function wordsOf(answer: string): string[] {
  return answer.split(",").map((word) => word.trim()).filter((word) => word !== "");
}

function flawOfList(patterns: readonly string[]): string | null {
  if (patterns.length === 0) return "name at least one";
  if (new Set(patterns).size < patterns.length) return "name each of them once";
  return patterns.map(flawOfPattern).find((flaw) => flaw !== null) ?? null;
}

function flawOfStore(url: string, { environment }: Terminal): string | null {
  try {
    parseStoreUrl(url, environment);
    return null;
  } catch (error) {
    if (error instanceof ZferryError) return `${error.message}${error.hint === null ? "" : `: ${error.hint}`}`;
    throw error;
  }
}

/** Null for what is not three numbers, one of them above 0. */
function countsOf(answer: string): StarterValues["keep"] {
  const counts = /^(\d{1,4})[ ,]+(\d{1,4})[ ,]+(\d{1,4})$/.exec(answer)?.slice(1).map(Number);
  const [daily = 0, weekly = 0, monthly = 0] = counts ?? [];
  return daily + weekly + monthly === 0 ? null : { daily, weekly, monthly };
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(() => true, () => false);
}

/** For its owner's eyes; never over a file that is there. @returns what to say about it */
async function makePassphrase(file: string): Promise<string> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeNew(file, `${randomBytes(passphraseBytes).toString("base64url")}\n`);
    return `wrote ${file}: keep a copy where this machine cannot take it along; without it no backup can be opened`;
  } catch (error) {
    throw new ZferryError("config-invalid", `cannot write "${file}": ${(error as NodeJS.ErrnoException).code ?? "unknown"}`, { hint: "name a file in a folder you may write to", cause: error });
  }
}
