/** What `bench` prints. */
import { z } from "zod";
import { bytes, count, document, packet, storeUrl, text } from "./values.ts";

const stage = z.enum(["source", "inspect", "seal", "store", "upload"]);
const figure = z.number();

const figures = z.object({
  stage,
  packet: packet.nullable(),
  threads: count.nullable(),
  concurrency: count.nullable(),
  bytes,
  seconds: figure,
  mibPerSecond: figure,
  cpuSecondsPerGib: figure,
  busyCores: figure,
  mainThreadShare: figure.describe("0 to 1"),
  peakRssBytes: bytes,
});

export const bench = document("bench", "of zferry bench", {
  source: text,
  store: storeUrl.nullable(),
  chunkBytes: bytes,
  partBytes: bytes,
  coreCount: count,
  stages: z.array(figures).describe("each with those before it"),
  comparisons: z.array(figures),
  peakRssBytes: bytes,
  limit: z.object({ stage, resource: z.enum(["processor", "main-thread", "waiting"]), mibPerSecond: figure, withoutItMibPerSecond: figure.nullable() }),
  advice: z.array(z.object({ code: z.enum(["source", "packet", "threads", "concurrency", "line", "store", "processor", "unsteady", "short"]), text })),
});

export const benchPlan = document("bench-plan", "of zferry bench --plan", {
  sizeBytes: bytes,
  chunkBytes: bytes,
  partBytes: bytes,
  links: z.array(figure).describe("bits per second"),
  nights: z.object({ changePerDay: figure, fullEveryDays: count.nullable() }).nullable(),
  chunkCount: count,
  partCount: count,
  manifestBytes: bytes,
  classACount: count,
  classBCount: count,
  restoreCount: count,
  ceiling: z.object({ maxBytes: bytes, stoppedBy: text }),
  hours: z.array(z.object({ bitsPerSecond: figure, hours: figure })),
  month: z.object({ fullCount: count, incrementalCount: count, storedBytes: bytes, largestIncrementalBytes: bytes }).nullable(),
  prices: text.describe("their date"),
  providers: z.array(
    z.object({
      name: text,
      provider: text,
      source: text,
      uploadUsd: figure,
      storageUsdPerMonth: figure,
      restoreUsd: figure,
      maxChunkBytes: bytes,
      stoppedBy: text,
      obstacle: text.nullable(),
      monthStorageUsd: figure.nullable(),
    }),
  ),
});
