/**
 * Man pages: zferry(1), and one for each command, of what `--help` shows and of docs/environment.md. `npm run build` writes
 * them into dist/man, from where npm and packages install them.
 */
import { Command, type Option } from "commander";
import { marked, type Tokens } from "marked";
import { version } from "../version.ts";
import { commandTable } from "./commands.ts";
import { description, exitCodes, withGlobals } from "./globals.ts";
import { inlineText } from "./markdown.ts";
import type { RunCommand } from "./run-command.ts";
import { topicText } from "./topics.ts";

export interface ManPage {
  /** As `zferry-list.1`. */
  readonly file: string;
  /** In man(7), every line ended. */
  readonly text: string;
}

/** Nothing is run: only what is declared is asked for. */
const unrun: RunCommand = Object.assign(() => () => Promise.resolve(), { bare: () => () => Promise.resolve() });

export async function manPages(): Promise<readonly ManPage[]> {
  const shown = commandTable.filter(({ isHidden }) => isHidden !== true);
  const commands = await Promise.all(shown.map(async (entry) => {
    const command = new Command("zferry").command(entry.usage).description(entry.summary);
    (await entry.load())(command, unrun);
    return command;
  }));
  return [await mainPage(commands), ...commands.map(commandPage)];
}

async function mainPage(commands: readonly Command[]): Promise<ManPage> {
  const environment = await topicText("environment");
  return page("zferry", description.replace(/\.$/, "").replace(/^F/, "f"), [
    ["SYNOPSIS", [".B zferry", "[\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]"]],
    ["DESCRIPTION", filled("zferry pipes zfs send through OpenPGP encryption and a fixed-size chunker into object storage or a folder, and restores with zfs receive. A backup exists once its manifest is stored, which is after everything else was found right.\n\nzferry help TOPIC shows its documents; zferry help topics lists them.")],
    ["COMMANDS", commands.flatMap((command) => item(`\\fBzferry\\-${escaped(command.name())}\\fR(1)`, command.description()))],
    ["OPTIONS", options(withGlobals(new Command()))],
    ["EXIT STATUS", filled(exitCodes.replace(/^\s*Exit status: /, ""))],
    ["ENVIRONMENT", variables(environment)],
    ["FILES", [...item("\\fI/etc/zferry/zferry.yaml\\fR", "the configuration, where none is named and there is no ./zferry.yaml"), ...item("\\fI/var/lib/zferry\\fR", "locks, journals, and the state file, which is only a cache")]],
    ["SEE ALSO", [".BR zfs (8),", ".BR gpg (1)"]],
  ]);
}

function commandPage(command: Command): ManPage {
  const name = `zferry-${command.name()}`;
  const inner = command.commands.flatMap((one) => [`.SS "${escaped(command.name())} ${escaped(one.name())} ${escaped(usageOf(one))}"`, ...filled(sentence(one.description())), ...filled(afterHelp(one)), ...options(one)]);
  return page(name, command.description(), [
    ["SYNOPSIS", [`.B zferry ${escaped(command.name())}`, escaped(usageOf(command))]],
    ["DESCRIPTION", filled(`${sentence(command.description())}\n\n${afterHelp(command)}`)],
    ...(inner.length === 0 ? [] : [["SUBCOMMANDS", inner] as const]),
    ...(command.options.length === 0 ? [] : [["OPTIONS", options(command)] as const]),
    ["SEE ALSO", ["Options of every command, exit status, environment and files:", ".BR zferry (1)"]],
  ]);
}

function page(name: string, summary: string, sections: readonly (readonly [title: string, lines: readonly string[]])[]): ManPage {
  const head = [`.TH ${name.toUpperCase()} 1 "" "zferry ${version}" "zferry"`, ".SH NAME", `${escaped(name)} \\- ${escaped(summary)}`];
  const body = sections.flatMap(([title, lines]) => [`.SH "${title}"`, ...lines]);
  return { file: `${name}.1`, text: [...head, ...body].map((line) => `${line}\n`).join("") };
}

function usageOf(command: Command): string {
  return command.usage();
}

function sentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
}

/** What a command adds below its options. */
function afterHelp(command: Command): string {
  let whole = "";
  command.configureOutput({ writeOut: (text) => (whole += text) }).outputHelp();
  return whole.slice(command.helpInformation().length).trim();
}

function options(command: Command): string[] {
  return command.options.filter(({ hidden }) => !hidden).flatMap((option) => item(flagsOf(option), `${option.description}${choicesOf(option)}`));
}

function flagsOf({ flags }: Option): string {
  return flags.replaceAll(/[<[][^>\]]*[>\]]|-{1,2}[\w-]+/g, (part) => (part.startsWith("-") ? `\\fB${escaped(part)}\\fR` : `\\fI${escaped(part)}\\fR`));
}

function choicesOf({ argChoices }: Option): string {
  return argChoices === undefined ? "" : `: ${argChoices.join(", ")}`;
}

/** @param term - in man(7) already */
function item(term: string, text: string): string[] {
  return [".TP", term, escaped(text)];
}

/** Every row of the tables: a variable, and what it is. */
function variables(markdown: string): string[] {
  const tables = marked.lexer(markdown).filter((token): token is Tokens.Table => token.type === "table");
  return tables.flatMap(({ rows }) => rows).flatMap(([name, is]) => (name === undefined || is === undefined ? [] : item(`\\fB${escaped(plain(inlineText(name)))}\\fR`, plain(inlineText(is)))));
}

function plain(text: string): string {
  return text.replaceAll("`", "");
}

/** Paragraphs are filled; what is indented is a term and its meaning, or stays as it is, line by line. */
function filled(text: string): string[] {
  const lines: string[] = [];
  let isKept = false;
  for (const line of text.split("\n")) {
    const [, term, meaning] = /^ {2,}(\S+) {2,}(.+)$/.exec(line) ?? [];
    if (term !== undefined && meaning !== undefined) {
      lines.push(...item(`\\fB${escaped(term)}\\fR`, meaning));
      continue;
    }
    const keeps = line.startsWith("  ");
    if (keeps !== isKept) lines.push(keeps ? ".nf" : ".fi");
    isKept = keeps;
    if (line.trim() === "") {
      if (lines.length > 0 && lines.at(-1) !== ".PP") lines.push(".PP");
    } else lines.push(escaped(keeps ? line : line.trim()));
  }
  if (isKept) lines.push(".fi");
  while (lines.at(-1) === ".PP") lines.pop();
  return lines;
}

/** Text that is text to roff: no request, no escape, and dashes that can be copied. */
function escaped(text: string): string {
  const inner = text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll("…", "...");
  return /^[.']/.test(inner) ? `\\&${inner}` : inner;
}
