/**
 * The plots of a dataset. Kinds are told apart by shape, and only then by colour; colours are variables of the page, which
 * has two sets of them.
 */
import { axisX, axisY, cell, dot, line, type PlotOptions, ruleY, text } from "@observablehq/plot";
import { formatRate, formatSize } from "../bytes.ts";
import type { RunRecord } from "../history.ts";
import { isIn, logSizeTicks, secondsText, secondTicks, sizeTicks, type Ticks } from "./axes.ts";
import type { Day } from "./days.ts";
import { drawn } from "./drawing.ts";
import type { Backup } from "./evidence.ts";
import type { Html } from "./html.ts";
import { lanesOf, rowsOf } from "./lanes.ts";

/** From and to: the same for all plots of a dataset. */
export type Span = readonly [Date, Date];

const [full, incremental, bad, faint] = ["var(--full)", "var(--incremental)", "var(--bad)", "var(--faint)"];

/** Of plots that stand side by side, in units of which a phone has about as many. */
const width = 400;
const small: PlotOptions = { width, height: 190, marginLeft: 62, marginRight: 12, marginTop: 10, marginBottom: 32 };

/** Lanes that fit below each other; the next ones begin at the top again. */
const maxRows = 18;
const rowHeight = 15;

/** The timeline: for wide pages, and once more for phones. */
export function timelines(backups: readonly Backup[], runs: readonly RunRecord[], span: Span, label: string): { readonly wide: Html; readonly narrow: Html } {
  const lanes = lanesOf(backups.filter(({ entry }) => isIn(span, entry.createdAt)));
  const rows = rowsOf(lanes, maxRows);
  const placed = lanes.map((lane, index) => ({ ...lane, y: rows[index] ?? 0 }));
  const rowCount = 1 + rows.reduce((most, row) => Math.max(most, row), 0);
  const failures = runs.filter(({ outcome, startedAt }) => outcome === "failed" && isIn(span, startedAt)).map(({ startedAt }) => startedAt);
  const good = placed.flatMap(({ incrementals, y }) => incrementals.filter(({ trouble }) => trouble === null).map(({ entry }) => ({ x: entry.createdAt, y })));
  const troubled = placed.flatMap(({ full: first, incrementals, y }) =>
    [...(first === null ? [] : [first]), ...incrementals].filter(({ trouble }) => trouble !== null).map(({ entry }) => ({ x: entry.createdAt, y })),
  );
  const spans = placed.map(({ full: first, incrementals, y }) => {
    const times = [...(first === null ? [] : [first]), ...incrementals].map(({ entry }) => entry.createdAt);
    return { x1: times[0], x2: times.at(-1), y };
  });
  const fulls = placed.flatMap(({ full: first, y }) => (first?.trouble !== null ? [] : [{ x: first.entry.createdAt, y, title: first.entry.backup }]));
  const bottom = rowCount - 0.4 + (failures.length > 0 ? 1 : 0);
  const options = (total: number): PlotOptions => ({
    width: total,
    height: 40 + Math.round((bottom + 0.6) * rowHeight),
    marginLeft: 8,
    marginRight: 10,
    marginTop: 6,
    marginBottom: 34,
    x: { type: "utc", domain: [...span], label: null },
    y: { axis: null, domain: [bottom, -0.6] },
    marks: [
      timeAxis(total),
      ruleY(spans, { x1: "x1", x2: "x2", y: "y", stroke: faint }),
      line(combed(good, 0.3), { x: "x", y: "y", stroke: incremental, strokeWidth: total < 500 ? 0.8 : 1.4, strokeLinecap: "butt" }),
      dot(fulls, { x: "x", y: "y", symbol: "square", r: 4.2, fill: full, title: "title" }),
      dot(troubled, { x: "x", y: "y", symbol: "times", r: 3.5, stroke: bad, strokeWidth: 2 }),
      dot(failures, { x: (time: Date) => time, y: rowCount, symbol: "triangle", r: 3.5, fill: bad }),
    ],
  });
  return { wide: drawn(options(900), label), narrow: drawn(options(360), label) };
}

/** A stroke for each point, all of them one path: a tenth of the bytes of a mark each. */
function combed(points: readonly { readonly x: Date; readonly y: number }[], half: number): { x: Date | null; y: number | null }[] {
  return points.flatMap(({ x, y }) => [{ x, y: y - half }, { x, y: y + half }, { x: null, y: null }]);
}

export function sizes(backups: readonly Backup[], span: Span, label: string): Html {
  const points = backups.map(({ entry }) => ({ x: entry.createdAt, y: entry.messageBytes, kind: entry.kind })).filter(({ x }) => isIn(span, x));
  const all = points.map(({ y }) => y);
  const [min, max] = [all.reduce((a, b) => Math.min(a, b), Infinity), all.reduce((a, b) => Math.max(a, b), 1)];
  const ticks = logSizeTicks(min / 1.5, max * 1.5);
  const y: NonNullable<PlotOptions["y"]> = { type: "log", base: 2, domain: [Math.min(min / 1.5, ticks[0]?.[0] ?? 1), Math.max(max * 1.5, ticks.at(-1)?.[0] ?? 2)], label: null };
  return drawn({ ...small, x: timeScale(span), y, marks: [timeAxis(width), ...valueAxis(ticks), ...pointsByKind(points)] }, label);
}

/** Of runs that stored something: bytes of the stream a second. */
export function rateOf({ outcome, streamBytes, startedAt, endedAt }: RunRecord): number | null {
  const seconds = (endedAt.getTime() - startedAt.getTime()) / 1000;
  return outcome !== "stored" || streamBytes === null || seconds <= 0 ? null : streamBytes / seconds;
}

export function throughput(runs: readonly RunRecord[], span: Span, label: string): Html {
  const points = runs.flatMap((run) => {
    const rate = rateOf(run);
    return rate === null || !isIn(span, run.startedAt) ? [] : [{ x: run.startedAt, y: rate, kind: run.kind }];
  });
  const max = points.reduce((most, { y }) => Math.max(most, y), 1);
  const ticks = sizeTicks(max * 1.05).map(([value, size]) => [value, value === 0 ? size : `${size}/s`] as const);
  return drawn({ ...small, x: timeScale(span), y: { domain: [0, max * 1.05], label: null }, marks: [timeAxis(width), ...valueAxis(ticks), ...pointsByKind(points)] }, label);
}

export function downtime(runs: readonly RunRecord[], span: Span, label: string): Html {
  const points = runs.flatMap(({ downtimeMs, startedAt }) => (downtimeMs === null || !isIn(span, startedAt) ? [] : [{ x: startedAt, y: downtimeMs / 1000 }]));
  const max = points.reduce((most, { y }) => Math.max(most, y), 1) * 1.05;
  const marks = [timeAxis(width), ...valueAxis(secondTicks(max)), ...(points.length > denseCount ? rings(points, 1.5) : [stems(points)])];
  return drawn({ ...small, x: timeScale(span), y: { domain: [0, max], label: null }, marks }, label);
}

/** Points that are more would run into each other. */
const denseCount = 120;

function stems(points: readonly Omit<Point, "kind">[]): ReturnType<typeof line> {
  const path = points.flatMap(({ x, y }) => [{ x, y: 0 }, { x, y }, { x: null, y: null }]);
  return line(path, { x: "x", y: "y", stroke: full, strokeWidth: 2, strokeLinecap: "butt" });
}

function rings(points: readonly Omit<Point, "kind">[], r: number): ReturnType<typeof dot>[] {
  return [dot(points, { x: "x", y: "y", r, stroke: incremental, strokeWidth: 1.2 })];
}

/** Months that fit below each other. */
export const shownMonths = 24;

/** A row for each month, a column for each day of it. @param days - of the newest {@link shownMonths} months at most */
export function calendar(days: readonly Day[], label: string): Html {
  const months = [...new Set(days.map(({ date }) => date.slice(0, 7)))];
  const cells = days.map(({ date, goodCount, badCount }) => ({ x: Number(date.slice(8)), y: date.slice(0, 7), kind: goodCount > 0 ? "good" : badCount > 0 ? "bad" : "none" }));
  const of = (kind: string): typeof cells => cells.filter((one) => one.kind === kind);
  return drawn(
    {
      ...small,
      height: 26 + months.length * 13,
      marginTop: 4,
      marginBottom: 22,
      x: { type: "band", domain: Array.from({ length: 31 }, (_, index) => index + 1), label: null, padding: 0.14 },
      y: { type: "band", domain: months, label: null, padding: 0.14 },
      marks: [
        axisX([1, 5, 10, 15, 20, 25, 31], { tickSize: 0 }),
        axisY({ tickSize: 0 }),
        cell(of("none"), { x: "x", y: "y", fill: "none", stroke: faint, inset: 0.5 }),
        cell(of("good"), { x: "x", y: "y", fill: full }),
        text(of("bad"), { x: "x", y: "y", text: () => "✕", fill: bad, fontWeight: 700 }),
      ],
    },
    label,
  );
}

function timeScale(span: Span): NonNullable<PlotOptions["x"]> {
  return { type: "utc", domain: [...span], label: null };
}

function timeAxis(total: number): ReturnType<typeof axisX> {
  return axisX({ ticks: Math.max(2, Math.floor(total / 90)), tickSize: 4 });
}

type Marks = NonNullable<PlotOptions["marks"]>;

function valueAxis(ticks: Ticks): Marks {
  const values = ticks.map(([value]) => value);
  const texts = new Map(ticks);
  return [ruleY(values, { stroke: faint }), axisY(values, { tickSize: 0, tickFormat: (value: number) => texts.get(value) ?? "" })];
}

interface Point {
  readonly x: Date;
  readonly y: number;
  readonly kind: string | null;
}

/** Squares for fulls, as in the timeline, and rings for incrementals. */
function pointsByKind(points: readonly Point[]): Marks {
  const of = (kind: string): Point[] => points.filter((point) => point.kind === kind);
  return [
    ...rings(of("incremental"), points.length > denseCount ? 1.5 : 2.5),
    dot(of("full"), { x: "x", y: "y", symbol: "square", r: 3.6, fill: full }),
  ];
}

/** What the plots show, in words. */
export function rangeText(values: readonly number[], format: (value: number) => string): string {
  const [min, max] = [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
  if (values.length === 0) return "none";
  return min === max ? format(min) : `${format(min)} to ${format(max)}`;
}

export const formats = { size: formatSize, rate: (bytes: number) => formatRate(bytes, 1), seconds: secondsText };
