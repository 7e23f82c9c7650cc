/**
 * A backup on paper: how many objects, parts and requests it makes, what it costs, how long it takes, and at which size
 * a limit of the format or of the provider bites. Pure; `docs/scale.md` is made of it.
 */
import { type PriceList, priceLists, priceOf, type Tier } from "./scale-prices.ts";
import { maxChunkCount } from "../format/layout.ts";
import { maxManifestBytes } from "../format/manifest.ts";
import { isZferryError } from "../errors.ts";
import { providerNamed } from "../store/providers.ts";
import { checkSizes } from "../store/sizes.ts";

export interface ScaleSizes {
  readonly chunkBytes: number;
  readonly partBytes: number;
}

/** What a backup of a size consists of. */
export interface Shape {
  readonly sizeBytes: number;
  readonly chunkCount: number;
  /** Parts of all chunks, which is also how many ranges a restore asks for. */
  readonly partCount: number;
  readonly manifestBytes: number;
  /** Writing requests of the backup, without its lease, which is renewed about once a minute. */
  readonly classACount: number;
  /** Reading requests of the backup: one look at each object after it was stored. */
  readonly classBCount: number;
  /** Reading requests of a full restore. */
  readonly restoreCount: number;
}

/**
 * The manifest has a line of 72 bytes for each mark, one of which falls at the end of each part but a chunk's last, six
 * lines for each chunk, and some 2 KiB besides (`format/manifest.ts`; `test/scale.test.ts` compares).
 */
const markLineBytes = 72;
const chunkLinesBytes = 137;
const manifestRestBytes = 2048;

/** @param sizeBytes - of the message; the stream is less by some 0.02 % */
export function shapeOf(sizeBytes: number, { chunkBytes, partBytes }: ScaleSizes): Shape {
  const chunkCount = Math.ceil(sizeBytes / chunkBytes);
  const lastBytes = sizeBytes - (chunkCount - 1) * chunkBytes;
  const partCount = (chunkCount - 1) * Math.ceil(chunkBytes / partBytes) + Math.ceil(lastBytes / partBytes);
  const manifestBytes = manifestRestBytes + chunkLinesBytes * chunkCount + markLineBytes * (partCount - chunkCount);
  const objects = [chunkBytes, lastBytes, manifestBytes, manifestRestBytes].map((bytes) => putRequests(bytes, partBytes));
  const [whole = 0, last = 0, manifest = 0, note = 0] = objects;
  return {
    sizeBytes,
    chunkCount,
    partCount,
    manifestBytes,
    classACount: (chunkCount - 1) * whole + last + manifest + note,
    classBCount: chunkCount + 2,
    restoreCount: partCount + 1,
  };
}

/** One PutObject; or Create, a request for each part, and Complete. */
function putRequests(bytes: number, partBytes: number): number {
  const parts = Math.ceil(bytes / partBytes);
  return parts <= 1 ? 1 : parts + 2;
}

/** The largest backup with these sizes, and what stops it there. */
export interface Ceiling {
  readonly maxBytes: number;
  readonly stoppedBy: "chunk numbers" | "manifest size";
}

export function ceilingOf({ chunkBytes, partBytes }: ScaleSizes): Ceiling {
  const entryBytes = chunkLinesBytes + markLineBytes * (Math.ceil(chunkBytes / partBytes) - 1);
  const chunksListed = Math.floor((maxManifestBytes - manifestRestBytes) / entryBytes);
  return chunksListed < maxChunkCount
    ? { maxBytes: chunksListed * chunkBytes, stoppedBy: "manifest size" }
    : { maxBytes: maxChunkCount * chunkBytes, stoppedBy: "chunk numbers" };
}

/** What a provider's own limits leave of it. */
export interface Caps {
  /** The largest chunk that can be sent in such parts. */
  readonly maxChunkBytes: number;
  readonly stoppedBy: "parts of an object" | "size of an object";
  /** Why a backup with these sizes cannot be stored there; null when it can. */
  readonly obstacle: string | null;
}

export function capsOf(sizeBytes: number, sizes: ScaleSizes, list: PriceList): Caps {
  const { limits } = providerNamed(list.provider);
  const inParts = limits.maxPartCount * sizes.partBytes;
  const isByCount = inParts <= limits.maxObjectBytes;
  return {
    maxChunkBytes: Math.min(inParts, limits.maxObjectBytes),
    stoppedBy: isByCount ? "parts of an object" : "size of an object",
    obstacle: refusalOf(sizes, list) ?? excessOf(sizeBytes, sizes),
  };
}

function refusalOf(sizes: ScaleSizes, { provider }: PriceList): string | null {
  try {
    checkSizes({ ...sizes, limits: providerNamed(provider).limits });
    return null;
  } catch (error) {
    if (isZferryError(error, "size-limits")) return error.message;
    throw error;
  }
}

function excessOf(sizeBytes: number, sizes: ScaleSizes): string | null {
  const { maxBytes, stoppedBy } = ceilingOf(sizes);
  if (sizeBytes <= maxBytes) return null;
  return stoppedBy === "manifest size" ? "its manifest would be too large: take larger parts" : "it needs too many chunks: take larger ones";
}

/** US dollars. */
export interface Cost {
  readonly uploadUsd: number;
  readonly storageUsdPerMonth: number;
  /** One full restore over the internet. */
  readonly restoreUsd: number;
}

export function costOf(shape: Shape, list: PriceList): Cost {
  const gb = shape.sizeBytes / list.gbBytes;
  const requests = shape.classACount * list.classAUsdPerMillion + shape.classBCount * list.classBUsdPerMillion;
  const paidEgress: readonly Tier[] = [{ upToGb: gb * list.freeEgressTimes, usdPerGb: 0 }, ...list.egress];
  return {
    uploadUsd: (requests + shape.chunkCount * list.transitionUsdPerMillion) / 1e6,
    storageUsdPerMonth: priceOf(gb, list.storage),
    restoreUsd: (shape.restoreCount * list.classBUsdPerMillion) / 1e6 + gb * list.retrievalUsdPerGb + priceOf(gb, paidEgress),
  };
}

/** A nightly backup over a month of 30 nights, nothing removed meanwhile. */
export interface Month {
  readonly fullCount: number;
  readonly incrementalCount: number;
  readonly storedBytes: number;
  readonly largestIncrementalBytes: number;
}

export interface Nights {
  /** Part of the data that is new each day, 0 to 1. No block changes twice in this: real nights are smaller. */
  readonly changePerDay: number;
  /** Nights from one full to the next; null for never. */
  readonly fullEveryDays: number | null;
}

const nightsOfMonth = 30;

/** An incremental holds everything since the last full, so it grows with each night. */
export function monthOf(sizeBytes: number, { changePerDay, fullEveryDays }: Nights): Month {
  const ages = Array.from({ length: nightsOfMonth }, (_, night) => (fullEveryDays === null ? night : night % fullEveryDays));
  const increments = ages.filter((age) => age > 0).map((age) => Math.round(sizeBytes * Math.min(1, age * changePerDay)));
  const fullCount = nightsOfMonth - increments.length;
  return {
    fullCount,
    incrementalCount: increments.length,
    storedBytes: fullCount * sizeBytes + increments.reduce((sum, bytes) => sum + bytes, 0),
    largestIncrementalBytes: Math.max(0, ...increments),
  };
}

/** What a line of so many bits a second needs for it, when nothing else is in the way. */
export function hoursAt(sizeBytes: number, bitsPerSecond: number): number {
  return (sizeBytes * 8) / bitsPerSecond / 3600;
}

export interface ScaleRequest extends ScaleSizes {
  readonly sizeBytes: number;
  /** Bits per second. */
  readonly links: readonly number[];
  readonly nights: Nights | null;
}

export interface ProviderPlan extends Cost {
  readonly list: PriceList;
  readonly caps: Caps;
  /** Of everything stored after the month; null when no nights were asked for. */
  readonly monthStorageUsd: number | null;
}

export interface ScalePlan {
  readonly request: ScaleRequest;
  readonly shape: Shape;
  readonly ceiling: Ceiling;
  readonly hours: readonly { readonly bitsPerSecond: number; readonly hours: number }[];
  readonly month: Month | null;
  readonly providers: readonly ProviderPlan[];
}

/** @param request - sizes of at least one byte, a chunk no smaller than a part */
export function planScale(request: ScaleRequest): ScalePlan {
  const { sizeBytes, links, nights } = request;
  const shape = shapeOf(sizeBytes, request);
  const month = nights === null ? null : monthOf(sizeBytes, nights);
  const providers = priceLists.map((list) => ({
    list,
    caps: capsOf(sizeBytes, request, list),
    ...costOf(shape, list),
    monthStorageUsd: month === null ? null : priceOf(month.storedBytes / list.gbBytes, list.storage),
  }));
  const hours = links.map((bitsPerSecond) => ({ bitsPerSecond, hours: hoursAt(sizeBytes, bitsPerSecond) }));
  return { request, shape, ceiling: ceilingOf(request), hours, month, providers };
}
