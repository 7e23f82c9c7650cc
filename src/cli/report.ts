/**
 * What commands say: to people on stderr, to programs on stdout. One voice for all of them.
 *
 * stdout is data: with `--json` one document per result (`docs/json-output.md`). stderr is conversation: lines that
 * begin with the program's name, or with `--json` or `--log-format json` one JSON object per line, which besides what
 * people are told has the events (`events.ts`).
 */
import { type ErrorCode, exitStatus, isZferryError } from "../errors.ts";
import type { Event, Tell } from "../events.ts";
import { visible, visibleJson, visibleLines } from "../visible.ts";
import { type Line, painted, rendered, type Tone, wantsColour } from "./paint.ts";
import type { Terminal } from "./terminal.ts";
import type { Traffic } from "./traffic.ts";

export const logLevels = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof logLevels)[number];

export const logFormats = ["text", "json"] as const;
export type LogFormat = (typeof logFormats)[number];

const rank: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };

export interface ReportOptions {
  readonly isJson: boolean;
  /** Whether stderr has JSON lines; as `isJson` when left out. */
  readonly isJsonLog?: boolean;
  readonly level: LogLevel;
  /** Of what was done nothing is said, unless it went wrong. */
  readonly isQuiet?: boolean;
}

interface ReportFlags {
  readonly json?: boolean;
  readonly logFormat?: LogFormat;
  readonly logLevel: LogLevel;
  readonly quiet?: boolean;
}

/** What the flags of every command make of it. `--quiet` says no more than warnings, whatever the level. */
export function reportOptions({ json, logLevel, logFormat, quiet }: ReportFlags): ReportOptions {
  const [isQuiet, isJson] = [quiet === true, json === true];
  return { isJson, isJsonLog: logFormat === undefined ? isJson : logFormat === "json", isQuiet, level: isQuiet && rank[logLevel] > rank.warn ? "warn" : logLevel };
}

/** Bound to one command's run. */
export class Report {
  readonly #terminal: Terminal;
  readonly #options: ReportOptions;
  #liveLines = 1;
  /** Between this run and its stores, once it has any. */
  traffic: Traffic | null = null;

  constructor(terminal: Terminal, options: ReportOptions) {
    this.#terminal = terminal;
    this.#options = options;
  }

  get isJson(): boolean {
    return this.#options.isJson;
  }

  /** Whether a moving progress line makes sense: a dumb terminal cannot take one back. */
  get isLive(): boolean {
    return this.isAttended && this.#terminal.environment.TERM !== "dumb";
  }

  /** Whether somebody sits there who wants to hear more than warnings. */
  get isAttended(): boolean {
    return this.isConversation && rank[this.#options.level] >= rank.info;
  }

  /** Whether stderr is read by somebody who can answer. */
  get isConversation(): boolean {
    return this.#terminal.isInteractive && !this.#isJsonLog;
  }

  /** The width results for people must fit into, in columns; null where nobody looks at them as they are written. */
  get columns(): number | null {
    return this.#terminal.stdoutColumns;
  }

  /** The width of the conversation; null where it is kept and not looked at. */
  get liveColumns(): number | null {
    return this.#terminal.stderrColumns;
  }

  get #isJsonLog(): boolean {
    return this.#options.isJsonLog ?? this.isJson;
  }

  /** What happens on the way, for programs; people hear of it when there are words for it. */
  event(event: Event, { level = "info", text }: { readonly level?: LogLevel; readonly text?: string } = {}): void {
    if (this.#isJsonLog) this.#jsonLine("event", level, { ...event, ...(text === undefined ? {} : { text }) });
    else if (text !== undefined) this.#say(level, text);
  }

  readonly tell: Tell = (event) => {
    this.event(event);
  };

  info(text: string): void {
    this.#say("info", text);
  }

  readonly warn = (text: string): void => {
    this.#say("warn", text);
  };

  /** Text that replaces the last one of its kind; only when `isLive`. Lines must not be wider than the terminal. */
  live(text: string): void {
    this.#terminal.stderr.write(`${"\r\u001b[2K\u001b[1A".repeat(this.#liveLines - 1)}\r\u001b[2K${text}`);
    this.#liveLines = text.split("\n").length;
  }

  /** What was asked for, for people; nothing with `--json`. */
  text(lines: readonly Line[]): void {
    const { stdout, stdoutColumns, environment } = this.#terminal;
    const isColoured = wantsColour(environment, stdoutColumns !== null);
    if (!this.isJson) stdout.write(lines.map((line) => `${rendered(line, isColoured)}\n`).join(""));
  }

  /** What was done, for people; nothing with `--json` or `--quiet`. */
  done(lines: readonly Line[]): void {
    if (this.#options.isQuiet !== true) this.text(lines);
  }

  /** What a log has from other lines already; only for somebody who sits there. */
  remark(text: string): void {
    if (this.isAttended) this.#say("info", text);
  }

  /** What can be done now; only for somebody who sits there. */
  next(text: string): void {
    if (this.isAttended) this.#say("info", text, "next:");
  }

  /** The result for programs; nothing without `--json`. */
  json(document: Readonly<Record<string, unknown>>): void {
    if (this.isJson) this.#terminal.stdout.write(`${toJson(document)}\n`);
  }

  /** The last word of a run that failed. */
  failure(error: unknown): void {
    const told = describeFailure(error);
    if (this.isLive) this.live("");
    if (this.#isJsonLog) this.#jsonLine("error", "error", { ...told });
    else {
      this.#line(told.message, painted("error:", "bad"));
      if (told.hint !== null) this.#line(told.hint, painted("hint:", "strong"));
    }
    if (this.#options.level === "debug") {
      for (const cause of causesOf(error)) this.#say("debug", cause.stack ?? cause.message);
    }
  }

  #say(level: LogLevel, text: string, label: string | null = level === "info" ? null : level === "warn" ? "warning:" : `${level}:`): void {
    if (rank[level] > rank[this.#options.level]) return;
    if (this.isLive) this.live("");
    if (this.#isJsonLog) this.#jsonLine("message", level, { text });
    else this.#line(text, label === null ? null : painted(label, toneOf[level]), level === "debug" ? visibleLines : visible);
  }

  #jsonLine(type: "message" | "event" | "error", level: LogLevel, members: Readonly<Record<string, unknown>>): void {
    if (rank[level] > rank[this.#options.level]) return;
    this.#terminal.stderr.write(`${toJson({ type, time: this.#terminal.now(), level, ...members })}\n`);
  }

  #line(text: string, label: ReturnType<typeof painted> | null, neutral = visible): void {
    const { stderr, isInteractive, environment } = this.#terminal;
    const shown = label === null ? "" : `${rendered(label, wantsColour(environment, isInteractive))} `;
    stderr.write(`zferry: ${shown}${neutral(text)}\n`);
  }
}

const toneOf: Readonly<Record<LogLevel, Tone>> = { error: "bad", warn: "doubtful", info: "strong", debug: "faint" };

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

/** JSON with identities as decimal strings, because a double would round them; a terminal obeys nothing in it. */
export function toJson(document: unknown): string {
  return visibleJson(JSON.stringify(document, (_name, value: unknown) => (typeof value === "bigint" ? String(value) : value)));
}

/** Three decimals, as documents have them: more would be noise. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** `1 chunk`, `2 chunks`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
