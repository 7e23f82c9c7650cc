/** `zferry complete -- WORD…`: what the last word could become, for the scripts of `completion.ts`. Never fails. */
import { type Argument, Command, type Option } from "commander";
import type { Config } from "../config/config.ts";
import { commandTable, nameOf } from "./commands.ts";
import { withGlobals } from "./globals.ts";
import type { RunCommand } from "./run-command.ts";
import { settle } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { topicNames } from "./topics.ts";

/** A word, and what it means. */
export interface Reply {
  readonly word: string;
  readonly means: string;
}

/** `isFiles`: the shell's own files may follow. */
export interface Replies {
  readonly words: readonly Reply[];
  readonly isFiles: boolean;
}

export function completeCommand(command: Command, run: RunCommand): void {
  command.argument("[word...]").allowUnknownOption().action(run.bare(async (terminal, _flags, words) => {
    const { words: found, isFiles } = await repliesTo(words, terminal, run).catch((): Replies => ({ words: [], isFiles: true }));
    const current = words.at(-1) ?? "";
    const fitting = found.filter(({ word }) => word.startsWith(current) && !unsafe.test(word));
    terminal.stdout.write([...fitting.map(({ word, means }) => `${word}\t${means}`), ...(isFiles ? [":files"] : [])].map((line) => `${line}\n`).join(""));
  }));
}

/** What a shell takes for more than a part of a name: Bash writes an answer into the line as it is. */
const unsafe = /[\s"'`$&;|<>()*?[\]{}\\!#~]/;

const nothing: Replies = { words: [], isFiles: false };
const files: Replies = { words: [], isFiles: true };

/** @param words - behind `zferry`, the last one unfinished */
export async function repliesTo(words: readonly string[], terminal: Terminal, run: RunCommand): Promise<Replies> {
  const globals = withGlobals(new Command());
  const [before, current] = [words.slice(0, -1), words.at(-1) ?? ""];
  const { positional } = taken(before, [globals]);
  const name = positional[0] ?? "";
  const entry = commandTable.find((one) => nameOf(one) === name);
  const command = new Command(name);
  if (entry !== undefined) (await entry.load())(command, run);
  const inner = command.commands.find((one) => one.name() === positional[1]) ?? command;
  const { pending, positional: given } = taken(before, [globals, inner]);
  const known = (): Promise<Known> => knownHere(before, terminal);
  if (pending !== null) return valuesOf(pending, known);
  if (current.startsWith("-")) return { words: [globals, inner].flatMap(({ options }) => options).filter(({ hidden }) => !hidden).map(ofOption), isFiles: false };
  if (positional.length === 0) return { words: [...verbs(), { word: "help", means: "show what a command takes, or a topic" }], isFiles: false };
  if (name === "help") return { words: [...verbs(), ...(await topicNames()).map((word) => ({ word, means: "topic" }))], isFiles: false };
  if (inner === command && command.commands.length > 0) return { words: command.commands.map((one) => ({ word: one.name(), means: one.description() })), isFiles: false };
  // Arguments of the table's usage are the program's to declare.
  const usage = entry === undefined ? [] : entry.usage.split(" ").slice(1).map((one) => new Command().createArgument(one));
  const own = inner === command ? [...usage, ...command.registeredArguments] : inner.registeredArguments;
  return argumentValues(own, given.length - (inner === command ? 1 : 2), known);
}

function verbs(): Reply[] {
  return commandTable.filter(({ isHidden }) => isHidden !== true).map((entry) => ({ word: nameOf(entry), means: entry.summary }));
}

function ofOption({ long, short, description }: Option): Reply {
  return { word: long ?? short ?? "", means: description };
}

/** The positional words, and the option that waits for its value. */
function taken(words: readonly string[], commands: readonly Command[]): { readonly positional: readonly string[]; readonly pending: Option | null } {
  const positional: string[] = [];
  let pending: Option | null = null;
  for (const word of words) {
    if (pending !== null && !(pending.optional && word.startsWith("-"))) pending = null;
    else if (!word.startsWith("-")) positional.push(word);
    else {
      const option = commands.flatMap(({ options }) => options).find(({ long, short }) => word === long || word === short);
      pending = option !== undefined && (option.required || option.optional) ? option : null;
    }
  }
  return { positional, pending };
}

/** Names that the configuration has. */
interface Known {
  readonly jobs: readonly Reply[];
  readonly stores: readonly Reply[];
  readonly datasets: readonly Reply[];
}

async function knownHere(words: readonly string[], terminal: Terminal): Promise<Known> {
  const named = configIn(words)?.replace(/^~(?=\/)/, terminal.environment.HOME ?? "~"); // the line is as it was typed
  const flags = { logLevel: "error", ...(named === undefined ? {} : { config: named }) } as const;
  const config = await settle(flags, terminal).then(({ config: read }): Config | null => read, () => null);
  const jobs = [...(config?.jobs.values() ?? [])];
  const datasets = [...new Set(jobs.flatMap((job) => job.datasets))].filter((name) => !/[*?[{]/.test(name));
  return {
    jobs: jobs.map((job) => ({ word: job.name, means: job.datasets.join(", ") })),
    stores: [...(config?.stores ?? [])].map(([word, { url }]) => ({ word, means: url })),
    datasets: datasets.map((word) => ({ word, means: "dataset" })),
  };
}

function configIn(words: readonly string[]): string | undefined {
  const at = words.findLastIndex((word) => /^--config(=|$)/.test(word));
  return words[at] === "--config" ? words[at + 1] : words[at]?.slice("--config=".length);
}

async function valuesOf({ long, argChoices }: Option, known: () => Promise<Known>): Promise<Replies> {
  if (argChoices !== undefined) return { words: argChoices.map((word) => ({ word, means: "" })), isFiles: false };
  if (long === "--store" || long === "--from") return { words: (await known()).stores, isFiles: true };
  if (long === "--dataset" || long === "--to" || long === "--into" || long === "--backup") return { words: (await known()).datasets, isFiles: false };
  return files;
}

async function argumentValues(args: readonly Argument[], index: number, known: () => Promise<Known>): Promise<Replies> {
  const last = args.at(-1);
  const argument = args[index] ?? (last?.variadic === true ? last : undefined);
  if (argument === undefined) return nothing;
  const name = argument.name();
  if (argument.argChoices !== undefined) return { words: argument.argChoices.map((word) => ({ word, means: "" })), isFiles: false };
  if (name === "job" || name === "name") return { words: (await known()).jobs, isFiles: false };
  if (name.startsWith("dataset") || name === "backups") return { words: (await known()).datasets, isFiles: false };
  return files;
}
