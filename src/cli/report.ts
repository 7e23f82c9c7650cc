/**
 * What commands say: to people on stderr, to programs on stdout. One voice for all of them.
 *
 * stdout is data: with `--json` one document per result (`docs/json-output.md`). stderr is conversation: lines that
 * begin with the program's name, or with `--json` one JSON object per line.
 */
import { type ErrorCode, exitStatus, isZferryError } from "../errors.ts";
import { visible, visibleLines } from "../visible.ts";
import type { Terminal } from "./terminal.ts";

export const logLevels = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof logLevels)[number];

const rank: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };

export interface ReportOptions {
  readonly isJson: boolean;
  readonly level: LogLevel;
}

/** Bound to one command's run. */
export class Report {
  readonly #terminal: Terminal;
  readonly #options: ReportOptions;

  constructor(terminal: Terminal, options: ReportOptions) {
    this.#terminal = terminal;
    this.#options = options;
  }

  get isJson(): boolean {
    return this.#options.isJson;
  }

  /** Whether a moving progress line makes sense. */
  get isLive(): boolean {
    return this.#terminal.isInteractive && !this.isJson && rank[this.#options.level] >= rank.info;
  }

  info(text: string): void {
    this.#say("info", text);
  }

  readonly warn = (text: string): void => {
    this.#say("warn", text);
  };

  /** Text that replaces the last one of its kind; only when `isLive`. */
  live(text: string): void {
    this.#terminal.stderr.write(`\r\u001b[2K${text}`);
  }

  /** The result for people; nothing with `--json`. */
  text(lines: readonly string[]): void {
    if (!this.isJson) this.#terminal.stdout.write(lines.map((line) => `${visible(line)}\n`).join(""));
  }

  /** The result for programs; nothing without `--json`. */
  json(document: Readonly<Record<string, unknown>>): void {
    if (this.isJson) this.#terminal.stdout.write(`${toJson(document)}\n`);
  }

  /** The last word of a run that failed. */
  failure(error: unknown): void {
    const told = describeFailure(error);
    if (this.isLive) this.live("");
    if (this.isJson) this.#terminal.stderr.write(`${toJson({ type: "error", ...told })}\n`);
    else {
      this.#terminal.stderr.write(`zferry: error: ${visible(told.message)}\n`);
      if (told.hint !== null) this.#terminal.stderr.write(`zferry: hint: ${visible(told.hint)}\n`);
    }
    if (this.#options.level === "debug") {
      for (const cause of causesOf(error)) this.#say("debug", cause.stack ?? cause.message);
    }
  }

  #say(level: LogLevel, text: string): void {
    if (rank[level] > rank[this.#options.level]) return;
    if (this.isLive) this.live("");
    const shown = level === "debug" ? visibleLines(text) : visible(text);
    const line = level === "info" ? shown : `${level === "warn" ? "warning" : level}: ${shown}`;
    this.#terminal.stderr.write(this.isJson ? `${toJson({ type: "message", level, text })}\n` : `zferry: ${line}\n`);
  }
}

/** The error, what caused it, what caused that; each once, because someone else's error can be its own cause. */
function causesOf(error: unknown): ReadonlySet<Error> {
  const causes = new Set<Error>();
  for (let cause = error; cause instanceof Error && !causes.has(cause); cause = cause.cause) causes.add(cause);
  return causes;
}

interface ToldFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | null;
  readonly exit: number;
}

function describeFailure(error: unknown): ToldFailure {
  if (isZferryError(error)) {
    return { code: error.code, message: error.message, hint: error.hint, exit: exitStatus(error) };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: "bug", message, hint: "this is a bug in zferry: please report it with --log-level debug", exit: 1 };
}

/** JSON with identities as decimal strings, because a double would round them. */
export function toJson(document: unknown): string {
  return JSON.stringify(document, (_name, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

/** Three decimals, as documents have them: more would be noise. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** `1 chunk`, `2 chunks`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** Columns padded to their widest cell, the last one left as it is. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => rows.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0));
  return rows.map((row) => row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join("  "));
}
