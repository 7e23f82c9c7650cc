/**
 * Tables: columns padded to their widest cell where nobody looks (a pipe, a file), so that scripts see the same columns
 * everywhere; on a terminal made to fit, without leaving anything out.
 */
import stringWidth from "string-width";
import { visible } from "../visible.ts";
import { type Line, painted, type Span, textOf } from "./paint.ts";

/** Room the last column has at least before others leave the row for it. */
const lastColumns = 40;
/** What it is wrapped into when nothing else can leave. */
const leastColumns = 16;
const gap = 2;
const indent = 4;

export interface TableOptions {
  /** Columns of the terminal; null for as wide as it gets. */
  readonly width: number | null;
  /** Headings of columns that leave their row where it is too wide, first those that are missed least; never the last one. */
  readonly folding?: readonly string[];
}

/** @param rows - the first one has the headings */
export function table(rows: readonly (readonly Span[])[], { width, folding = [] }: TableOptions): Line[] {
  const shown = rows.map((row) => row.map(neutral));
  const [heading = []] = shown;
  const widths = heading.map((_, column) => shown.reduce((widest, row) => Math.max(widest, widthOf(row[column] ?? "")), 0));
  if (width === null || lineWidth(widths) <= width) return shown.map((row, index) => padded(row, widths, index === 0 && width !== null));
  const folded = foldedColumns(heading, widths, width, folding);
  const isFolded = (column: number): boolean => folded.has(column);
  const staying = widths.filter((_, column) => !isFolded(column));
  const lastWidth = width - lineWidth([...staying.slice(0, -1), 0]);
  if (lastWidth < Math.min(leastColumns, widths.at(-1) ?? 0)) return shown.slice(1).flatMap((row) => stacked(row, heading, width));
  return shown.flatMap((row, index) => {
    const isHeading = index === 0;
    const kept = row.filter((_, column) => !isFolded(column));
    const details = isHeading ? [] : detailLines(row.flatMap((cell, column) => (isFolded(column) ? [[textOf(heading[column] ?? ""), textOf(cell)] as const] : [])), width);
    return [...wrappedRow(kept, staying, lastWidth, isHeading), ...details];
  });
}

/** The columns that leave: as few as give the last one its room. */
function foldedColumns(heading: readonly Span[], widths: readonly number[], width: number, folding: readonly string[]): ReadonlySet<number> {
  const folded = new Set<number>();
  const wanted = Math.min(widths.at(-1) ?? 0, lastColumns);
  for (const name of folding) {
    const others = widths.filter((_, column) => column < widths.length - 1 && !folded.has(column));
    if (lineWidth([...others, wanted]) <= width) break;
    const column = heading.findIndex((cell, index) => textOf(cell) === name && !folded.has(index));
    if (column >= 0) folded.add(column);
  }
  return folded;
}

function lineWidth(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, gap * Math.max(0, widths.length - 1));
}

function neutral(span: Span): Span {
  return typeof span === "string" ? visible(span) : painted(visible(span.text), span.tone);
}

function widthOf(span: Span): number {
  return stringWidth(textOf(span));
}

/** The last cell as it is. */
function padded(row: readonly Span[], widths: readonly number[], isStrong: boolean): Line {
  return row.flatMap((cell, column) => {
    const shown = isStrong ? painted(textOf(cell), "strong") : cell;
    const isLast = column === row.length - 1;
    return isLast ? [shown] : [shown, " ".repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell)) + gap)];
  });
}

/** For what fits no row at all: the first cell, and everything else under it. */
function stacked(row: readonly Span[], heading: readonly Span[], width: number): Line[] {
  const [first = "", ...others] = row;
  const details = detailLines(others.map((cell, index) => [textOf(heading[index + 1] ?? ""), textOf(cell)] as const), width);
  return [...wrapped(textOf(first), width).map((text): Line => painted(text, "strong")), ...details];
}

/** The last cell goes on below itself. */
function wrappedRow(row: readonly Span[], widths: readonly number[], lastWidth: number, isHeading: boolean): Line[] {
  const last = row.at(-1) ?? "";
  const [first = "", ...more] = wrapped(textOf(last), lastWidth);
  const toned = (text: string): Span => (typeof last === "string" ? text : painted(text, last.tone));
  const offset = " ".repeat(lineWidth([...widths.slice(0, -1), 0]));
  return [padded([...row.slice(0, -1), toned(first)], widths, isHeading), ...more.map((text): Line => [offset, toned(text)])];
}

/** What left the row, under it: `stored 462 KiB; packet ocb`. What says nothing is not said. */
function detailLines(cells: readonly (readonly [heading: string, text: string])[], width: number): Line[] {
  const said = cells.filter(([, text]) => text !== "" && text !== "-" && text !== "–").map(([heading, text]) => `${heading} ${text}`);
  return said.length === 0 ? [] : wrapped(said.join("; "), width - indent).map((text): Line => [" ".repeat(indent), painted(text, "faint")]);
}

/** Lines of at most `width` columns, broken at spaces, and inside of words that are longer. At least one line. */
export function wrapped(text: string, width: number): string[] {
  const room = Math.max(1, width);
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((each) => pieces(each, room))) {
    const joined = line === "" ? word : `${line} ${word}`;
    if (stringWidth(joined) <= room) line = joined;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

/** The word, cut where it is wider than the room. */
function pieces(word: string, room: number): string[] {
  if (stringWidth(word) <= room) return [word];
  const cut: string[] = [];
  let piece = "";
  for (const { segment } of new Intl.Segmenter().segment(word)) {
    if (piece !== "" && stringWidth(piece + segment) > room) {
      cut.push(piece);
      piece = "";
    }
    piece += segment;
  }
  return [...cut, piece];
}
