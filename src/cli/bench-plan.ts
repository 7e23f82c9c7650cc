/** `zferry bench --plan SIZE`: what a backup of a size takes, computed and not measured. */
import { formatSize, MiB } from "../bytes.ts";
import { defaultSettings } from "../config/schema.ts";
import { planScale, type ScalePlan } from "../bench/scale.ts";
import { priceWarning } from "../bench/scale-prices.ts";
import { parseLink, tablesOf } from "../bench/scale-text.ts";
import { embeddedLimits } from "../store/memory.ts";
import { checkSizes } from "../store/sizes.ts";
import type { SharedFlags } from "./options.ts";
import type { Session } from "./session.ts";
import { table } from "./table.ts";

const usualLinks = ["100Mbit", "1Gbit", "10Gbit"];

/** What shapes a plan, besides the shared flags. */
export interface PlanFlags extends SharedFlags {
  /** Bits per second. */
  readonly link?: readonly number[];
  /** Part of the data that is new each day. */
  readonly change?: number;
  /** Days. */
  readonly fullEvery?: number | "never";
}

/** @throws ZferryError `size-limits` for sizes no store takes */
export function plan({ report, settings }: Session, flags: PlanFlags, sizeBytes: number): void {
  const { fullEvery: every = 30, partSize: partBytes = defaultSettings.partBytes } = flags;
  const chunkBytes = flags.chunkSize ?? settings.config.defaults.chunkBytes;
  checkSizes({ chunkBytes, partBytes, limits: embeddedLimits });
  const result = planScale({
    sizeBytes,
    chunkBytes,
    partBytes,
    links: flags.link ?? usualLinks.map(parseLink),
    nights: flags.change === undefined ? null : { changePerDay: flags.change, fullEveryDays: every === "never" ? null : every },
  });
  report.json({ type: "bench-plan", ...planDocument(result) });
  const { shapes, costs, caps, months } = tablesOf([result]);
  const shown = [shapes, costs, caps, months].filter((rows) => rows.length > 0);
  report.text([...shown.flatMap((rows) => [...table(rows, { width: report.columns, folding: ["manifest", "to restore", "requests to store", "stopped by", "stopped by"] }), ""]), priceWarning, ...manifestNote(result)]);
}

/** From here on the manifest is what takes memory, when it is written and whenever it is read. */
const largeManifestBytes = 64 * MiB;

function manifestNote({ shape }: ScalePlan): string[] {
  if (shape.manifestBytes < largeManifestBytes) return [];
  return [`the manifest has ${formatSize(shape.manifestBytes)}, several times which is held when it is written or read: larger parts make it smaller`];
}

function planDocument({ request, shape, ceiling, hours, month, providers }: ScalePlan): Record<string, unknown> {
  const rows = providers.map(({ list, caps, ...costs }) => ({ name: list.name, provider: list.provider, source: list.source, ...costs, ...caps }));
  return { ...request, ...shape, ceiling, hours, month, prices: priceWarning, providers: rows };
}
