/**
 * A quiesce as a process that can be killed (`driver.mjs`), in a folder of its own, with hooks that note what they do.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { HookSettings } from "../../src/config/hooks.ts";
import type { QuiesceLimits } from "../../src/quiesce/stack.ts";
import { built } from "../build.ts";
import { ownFolder } from "../folder.ts";

const driver = fileURLToPath(new URL("driver.mjs", import.meta.url));
const main = "main.js";

interface ToldError {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

/** What came of a quiesce. */
export interface Outcome {
  readonly value?: string;
  readonly downtimeMs?: number | null;
  readonly failures?: readonly ToldError[];
  readonly error?: ToldError;
  readonly warnings: readonly string[];
}

export interface NightOptions {
  readonly hooks: readonly HookSettings[];
  /** A shell script that stands for the snapshot. */
  readonly work?: string;
  readonly limits?: Partial<QuiesceLimits>;
  readonly env?: Readonly<Record<string, string>>;
  /** More arguments of node. */
  readonly nodeFlags?: readonly string[];
}

export interface RunningNight {
  readonly child: ChildProcess;
  /** Null for one that was killed. */
  readonly outcome: Promise<Outcome | null>;
}

/** Tests wait less; and only for what never happens if all is well. */
const shortLimits: Partial<QuiesceLimits> = { graceMs: 300, pausesMs: [20, 50], workMs: 20_000, waitMs: 20_000 };

export class Night {
  readonly folder = ownFolder();
  readonly stateDir = join(this.folder, "state");
  readonly records = join(this.stateDir, "quiesce");
  readonly #log = join(this.folder, "log");

  /** What the hooks and the snapshot have noted so far. */
  get log(): string[] {
    return existsSync(this.#log) ? readFileSync(this.#log, "utf8").trimEnd().split("\n") : [];
  }

  get recordNames(): string[] {
    return existsSync(this.records) ? readdirSync(this.records) : [];
  }

  /** The start of a shell script that notes `words`. */
  note(words: string): string {
    return `echo '${words}' >>'${this.#log}'`;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** A hook that notes `before NAME` and `after NAME`; what else it does follows the note. */
  hook(name: string, { before = "", after = "", timeoutMs = 10_000 }: { before?: string; after?: string; timeoutMs?: number } = {}): HookSettings {
    return {
      name,
      before: ["/bin/sh", "-c", `${this.note(`before ${name}`)}\n${before}`],
      after: ["/bin/sh", "-c", `${this.note(`after ${name}`)}\n${after}`],
      timeoutMs,
    };
  }

  async start({ hooks, work = "", limits = {}, env = {}, nodeFlags = [] }: NightOptions): Promise<RunningNight> {
    const dist = dirname(await built());
    const request = {
      dist,
      stateDir: this.stateDir,
      hooks,
      work: ["/bin/sh", "-c", `${this.note("snapshot")}\n${work}`],
      limits: { ...shortLimits, ...limits },
    };
    const file = this.path(`request-${Math.random().toString(16).slice(2)}.json`);
    writeFileSync(file, JSON.stringify(request));
    const child = spawn(process.execPath, [...nodeFlags, driver, file], {
      env: { PATH: process.env.PATH ?? "", ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const outcome = text(child.stdout).then((line) => (line === "" ? null : (JSON.parse(line) as Outcome)));
    return { child, outcome };
  }

  async run(options: NightOptions): Promise<Outcome> {
    const outcome = await (await this.start(options)).outcome;
    if (outcome === null) throw new Error("the run was killed");
    return outcome;
  }

  /** `zferry recover`, the built program. */
  async recover(...flags: string[]): Promise<{ readonly exit: number | null; readonly records: readonly RecoveredDocument[]; readonly stderr: string }> {
    const words = [join(dirname(await built()), main), "recover", "--json", "--state-dir", this.stateDir, ...flags];
    const child = spawn(process.execPath, words, { cwd: this.folder, env: { PATH: process.env.PATH ?? "", HOME: this.folder }, stdio: ["ignore", "pipe", "pipe"] });
    const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
    const [stdout, stderr, exit] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
    const document = JSON.parse(stdout === "" ? '{"records":[]}' : stdout) as { records: readonly RecoveredDocument[] };
    return { exit, records: document.records, stderr };
  }

  /** Waits for a line of the log. */
  async noted(line: string): Promise<void> {
    await until(`"${line}" is noted; there is: ${this.log.join(", ")}`, () => this.log.includes(line));
  }
}

export interface RecoveredDocument {
  readonly id: string;
  readonly outcome: string;
  readonly since: string | null;
  readonly jobs: readonly string[];
  readonly hooks: readonly string[];
  readonly failures: readonly ToldError[];
}

/** Polls, which takes as long as it takes; a minute means never. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const startedAt = performance.now();
  while (!isSo()) {
    if (performance.now() - startedAt > 60_000) throw new Error(`never: ${what}`);
    await sleep(10);
  }
}

/** Whether a process runs; a zombie does not. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !"ZX".includes(stat.slice(stat.lastIndexOf(")") + 2).charAt(0));
  } catch {
    return false;
  }
}

/** The guard of a running night. */
export async function guardOf({ child }: RunningNight): Promise<number> {
  let found: number | undefined;
  await until("there is a guard", () => {
    const list = readFileSync(`/proc/${child.pid ?? 0}/task/${child.pid ?? 0}/children`, "utf8").trim().split(" ");
    found = list.map(Number).find((pid) => pid > 0 && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("guard.js"));
    return found !== undefined;
  });
  return found ?? 0;
}
