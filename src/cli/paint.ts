/**
 * Words that stand out on a terminal. Colour tells nothing that the words do not tell: whoever cannot see it, or reads a
 * log, misses nothing.
 */
import { styleText } from "node:util";
import { visible } from "../visible.ts";
import type { Terminal } from "./terminal.ts";

export type Tone = "good" | "bad" | "doubtful" | "faint" | "strong";

export interface Painted {
  readonly text: string;
  readonly tone: Tone;
}

/** A piece of a line. What a terminal would obey is taken out of it when it is shown. */
export type Span = string | Painted;

/** What `Report.text` takes: never with escape sequences of its own. */
export type Line = Span | readonly Span[];

const styles = {
  good: "green",
  bad: "red",
  doubtful: "yellow",
  faint: "dim",
  strong: "bold",
} as const satisfies Record<Tone, Parameters<typeof styleText>[0]>;

export function painted(text: string, tone: Tone): Painted {
  return { text, tone };
}

export function textOf(span: Span): string {
  return typeof span === "string" ? span : span.text;
}

/** The line as it is written. */
export function rendered(line: Line, isColoured: boolean): string {
  const spans = typeof line === "string" || "text" in line ? [line] : line;
  return spans.map((span) => renderedSpan(span, isColoured)).join("");
}

function renderedSpan(span: Span, isColoured: boolean): string {
  const shown = visible(textOf(span));
  if (typeof span === "string" || !isColoured) return shown;
  return styleText(styles[span.tone], shown, { validateStream: false }); // or Node would ask stdout, where this may go to stderr
}

/** `FORCE_COLOR` (0 is no) comes before `NO_COLOR`, as in Node; otherwise a terminal has colour unless it is a dumb one. */
export function wantsColour({ FORCE_COLOR: force = "", NO_COLOR: no = "", TERM: term }: Terminal["environment"], isTerminal: boolean): boolean {
  if (force !== "") return force !== "0" && force !== "false";
  return no === "" && isTerminal && term !== "dumb";
}
