/** Markdown as a terminal shows it: wrapped text, headings that stand out, tables that fit. */
import { marked, type Token, type Tokens } from "marked";
import { type Line, painted } from "./paint.ts";
import { table, wrapped } from "./table.ts";

/** @param width - in columns */
export function shownMarkdown(text: string, width: number): Line[] {
  const lines = blocks(marked.lexer(text), width);
  while (lines.at(-1) === "") lines.pop();
  return lines;
}

function blocks(tokens: readonly Token[], width: number): Line[] {
  return tokens.flatMap((token) => block(token, width));
}

function block(token: Token, width: number): Line[] {
  switch (token.type) {
    case "heading":
      return [painted(inlineText(token), "strong"), ""];
    case "paragraph":
    case "text":
      return [...wrapped(inlineText(token), width), ""];
    case "code":
      return [...(token as Tokens.Code).text.split("\n").map((line): Line => `    ${line}`), ""];
    case "list":
      return listLines(token as Tokens.List, width);
    case "table":
      return tableLines(token as Tokens.Table, width);
    case "space":
      return [];
    default:
      return [...wrapped(token.raw.trim(), width), ""];
  }
}

function listLines({ items, ordered, start }: Tokens.List, width: number): Line[] {
  const lines = items.flatMap((item, index) => {
    const mark = ordered ? `${Number(start) + index}. ` : "- ";
    const indent = " ".repeat(mark.length);
    const inner = blocks(item.tokens, width - mark.length).filter((line) => line !== "");
    return inner.map((line, at): Line => [at === 0 ? mark : indent, ...(typeof line === "string" || "text" in line ? [line] : line)]);
  });
  return [...lines, ""];
}

/** What lies between first and last column is the first to leave. */
function tableLines({ header, rows }: Tokens.Table, width: number): Line[] {
  const heading = header.map(inlineText);
  return [...table([heading, ...rows.map((row) => row.map(inlineText))], { width, folding: heading.slice(1, -1).reverse() }), ""];
}

/** The words without their marks; code keeps its, where they tell words from names. */
export function inlineText(token: { readonly tokens?: Token[] | undefined; readonly text?: string }): string {
  if (token.tokens === undefined) return flat(token.text ?? "");
  return token.tokens.map((one) => (one.type === "codespan" ? flat(one.raw) : one.type === "br" ? " " : inlineText(one as Tokens.Generic))).join("");
}

function flat(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ");
}
