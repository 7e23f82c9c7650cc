/**
 * Plans as people read them: words to numbers, and plans to tables. `docs/scale.md` has its tables from here.
 */
import { formatSize, parseSize } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import type { ScalePlan } from "./scale.ts";
import { priceLists } from "./scale-prices.ts";

/** A heading of columns and rows of cells. */
export type Rows = readonly (readonly string[])[];

const decimalUnits = new Map([["GB", 1e9], ["TB", 1e12], ["PB", 1e15]]);
const bitUnits = new Map([["mbit", 1e6], ["gbit", 1e9]]);

/**
 * `10TB` or `1GB` (powers of ten, as providers bill), or `10TiB`, `1GiB`.
 *
 * @throws ZferryError `usage`
 */
export function parsePlanSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([GTP]B)$/.exec(text);
  const bytes = match === null ? parseSize(text) : Math.round(Number(match[1]) * (decimalUnits.get(match[2] ?? "") ?? Number.NaN));
  if (bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
  throw new ZferryError("usage", `cannot plan for "${text}"`, { hint: "write it as 10TB or 10TiB, up to 9000TB" });
}

/** `100Mbit`, `1Gbit`, `2.5Gbit` in bits per second. @throws ZferryError `usage` */
export function parseLink(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([MG]bit)(?:\/s)?$/i.exec(text);
  const bits = match === null ? Number.NaN : Number(match[1]) * (bitUnits.get((match[2] ?? "").toLowerCase()) ?? Number.NaN);
  if (bits > 0) return bits;
  throw new ZferryError("usage", `"${text}" is no speed of a line`, { hint: "write it as 100Mbit or 1Gbit" });
}

/** `1%`, `0.5%` as a part of one. @throws ZferryError `usage` */
export function parseChange(text: string): number {
  const match = /^(\d{1,3}(?:\.\d+)?) ?%$/.exec(text);
  const part = Number(match?.[1] ?? Number.NaN) / 100;
  if (part >= 0 && part <= 1) return part;
  throw new ZferryError("usage", `"${text}" is no part of the data`, { hint: "write what changes in a day as 1%" });
}

/** The tables of plans for one layout, the plans side by side where that helps. */
export interface PlanTables {
  readonly shapes: Rows;
  readonly costs: Rows;
  readonly caps: Rows;
  /** Empty when no plan has nights. */
  readonly months: Rows;
}

export function tablesOf(plans: readonly ScalePlan[]): PlanTables {
  const [first] = plans;
  if (first === undefined) throw new Error("no plan");
  return { shapes: shapeRows(plans, first), costs: costRows(plans), caps: capRows(first), months: monthRows(plans) };
}

function shapeRows(plans: readonly ScalePlan[], { hours }: ScalePlan): Rows {
  const links = hours.map(({ bitsPerSecond }) => `at ${link(bitsPerSecond)}`);
  return [
    ["backup", "chunks", "parts", "requests to store", "to restore", "manifest", ...links],
    ...plans.map(({ request, shape, hours: own }) => [
      decimal(request.sizeBytes),
      count(shape.chunkCount),
      count(shape.partCount),
      count(shape.classACount + shape.classBCount),
      count(shape.restoreCount),
      formatSize(shape.manifestBytes),
      ...own.map((one) => duration(one.hours)),
    ]),
  ];
}

function costRows(plans: readonly ScalePlan[]): Rows {
  const rows = plans.flatMap(({ request, providers }) =>
    providers.map(({ list, uploadUsd, storageUsdPerMonth, restoreUsd, caps }) => {
      const name = [decimal(request.sizeBytes), list.name];
      return caps.obstacle === null
        ? [...name, usd(uploadUsd), usd(storageUsdPerMonth), usd(restoreUsd)]
        : [...name, "–", "–", `not possible: ${caps.obstacle}`];
    }),
  );
  return [["backup", "provider", "to store", "a month", "a full restore"], ...rows];
}

function capRows({ providers, ceiling }: ScalePlan): Rows {
  const own = ["the format", "–", "–", formatSize(ceiling.maxBytes), ceiling.stoppedBy];
  return [
    ["whose limit", "largest chunk in such parts", "stopped by", "largest backup", "stopped by"],
    ...providers.filter(({ list }, at) => priceLists.findIndex(({ provider }) => provider === list.provider) === at).map(({ list, caps }) => [
      list.provider.toUpperCase(),
      formatSize(caps.maxChunkBytes),
      caps.stoppedBy,
      "–",
      "–",
    ]),
    own,
  ];
}

function monthRows(plans: readonly ScalePlan[]): Rows {
  const rows = plans.flatMap(({ request, month, providers }) => {
    if (month === null) return [];
    const { fullCount, incrementalCount, storedBytes, largestIncrementalBytes } = month;
    const costs = providers.map(({ monthStorageUsd }) => usd(monthStorageUsd ?? 0));
    return [[decimal(request.sizeBytes), `${fullCount} + ${incrementalCount}`, decimal(largestIncrementalBytes), decimal(storedBytes), ...costs]];
  });
  const names = priceLists.map(({ name }) => `${name}, a month`);
  return rows.length === 0 ? [] : [["data", "fulls + incrementals", "largest incremental", "stored after 30 nights", ...names], ...rows];
}

/** As Markdown has tables. */
export function markdown(rows: Rows): string {
  const [head = [], ...rest] = rows;
  return [head, head.map(() => "---"), ...rest].map((row) => `| ${row.join(" | ")} |\n`).join("");
}

function decimal(bytes: number): string {
  const [unit, size] = [...decimalUnits].reverse().find(([, one]) => bytes >= one) ?? ["GB", 1e9];
  return `${Number((bytes / size).toPrecision(3))} ${unit}`;
}

function link(bitsPerSecond: number): string {
  return bitsPerSecond >= 1e9 ? `${bitsPerSecond / 1e9} Gbit/s` : `${bitsPerSecond / 1e6} Mbit/s`;
}

function duration(hours: number): string {
  return hours < 48 ? `${hours.toFixed(1)} h` : `${(hours / 24).toFixed(1)} days`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

function usd(value: number): string {
  return `$${value < 100 ? value.toFixed(2) : count(Math.round(value))}`;
}
