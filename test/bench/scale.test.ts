/** A backup on paper: what it consists of and costs, at which size each limit bites, and that `docs/scale.md` says the same. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { GiB, KiB, MiB, TiB } from "../../src/bytes.ts";
import { maxManifestBytes, type Manifest, sealManifest } from "../../src/format/manifest.ts";
import { capsOf, ceilingOf, costOf, hoursAt, monthOf, planScale, shapeOf } from "../../src/bench/scale.ts";
import { priceLists, type PriceList, priceOf, pricesReadOn, priceWarning } from "../../src/bench/scale-prices.ts";
import { markdown, parseChange, parseLink, parsePlanSize, tablesOf } from "../../src/bench/scale-text.ts";
import { guidFrom, parseSnapshotName } from "../../src/zfs/names.ts";

const usual = { chunkBytes: GiB, partBytes: 16 * MiB };

function listed(name: string): PriceList {
  const found = priceLists.find((list) => list.name === name);
  if (found === undefined) throw new Error(`no prices of ${name}`);
  return found;
}

describe("the shape of a backup", () => {
  it.for([
    [1, 1, 1, 3],
    [16 * MiB, 1, 1, 3],
    [16 * MiB + 1, 1, 2, 6],
    [GiB - 1, 1, 64, 68],
    [GiB, 1, 64, 68],
    [GiB + 1, 2, 65, 69],
    [3 * GiB, 3, 192, 200],
  ] as const)("of %i bytes is %i chunks, %i parts and %i writing requests", ([sizeBytes, chunkCount, partCount, classACount]) => {
    expect(shapeOf(sizeBytes, usual)).toMatchObject({ chunkCount, partCount, classACount, classBCount: chunkCount + 2, restoreCount: partCount + 1 });
  });

  it.for([
    [1, 64],
    [200, 64],
    [20, 1],
  ] as const)("has a manifest as large as one of %i chunks of %i parts is", ([chunkCount, parts]) => {
    const sizes = { chunkBytes: parts * MiB, partBytes: MiB };
    const { manifestBytes } = shapeOf(chunkCount * sizes.chunkBytes, sizes);
    const real = sealManifest(manifestOf(chunkCount, parts), Buffer.alloc(32)).length;
    expect(manifestBytes).toBeGreaterThanOrEqual(real);
    expect(manifestBytes - real).toBeLessThan(2 * KiB);
  });
});

function manifestOf(chunkCount: number, parts: number): Manifest {
  const sha256 = "a".repeat(64);
  const chunk = { sizeBytes: 1073741824, sha256, marks: Array.from({ length: parts - 1 }, () => sha256) };
  const at = new Date(0);
  return {
    format: 1,
    backup: parseSnapshotName("tank/home@zferry-20261121T020000Z"),
    kind: "full",
    attempt: "00000000",
    snapshot: { guid: guidFrom(1n) ?? (0n as never), createTxg: 1n, createdAt: at },
    base: null,
    stream: { sizeBytes: 1, recordCount: 1, kind: "single", featureFlags: "0x0", flags: ["-L", "-c"] },
    encryption: { packet: "ocb", sessionKeyPackets: "A".repeat(200), keyCheck: "0".repeat(16) },
    messageBytes: 1,
    chunkBytes: GiB,
    markBytes: MiB,
    chunks: Array.from({ length: chunkCount }, () => chunk),
    startedAt: at,
    committedAt: at,
    writer: "zferry 0.1.0",
  };
}

describe("the largest backup", () => {
  it.for([
    ["the usual sizes", usual, "manifest size"],
    ["smaller parts", { chunkBytes: GiB, partBytes: 8 * MiB }, "manifest size"],
    ["one part a chunk", { chunkBytes: 64 * MiB, partBytes: 64 * MiB }, "chunk numbers"],
    ["six parts a chunk", { chunkBytes: 96 * MiB, partBytes: 16 * MiB }, "chunk numbers"],
    ["seven parts a chunk", { chunkBytes: 112 * MiB, partBytes: 16 * MiB }, "manifest size"],
  ] as const)("with %s is stopped by what it says, one byte above what it says", ([, sizes, stoppedBy]) => {
    const { maxBytes, stoppedBy: found } = ceilingOf(sizes);
    expect(found).toBe(stoppedBy);
    const [fits, over] = [maxBytes, maxBytes + 1].map((bytes) => shapeOf(bytes, sizes));
    expect(fits?.manifestBytes).toBeLessThanOrEqual(maxManifestBytes);
    expect(fits?.chunkCount).toBeLessThanOrEqual(1_000_000);
    expect((over?.chunkCount ?? 0) > 1_000_000).toBe(stoppedBy === "chunk numbers");
    // One more chunk of that size would not fit.
    const next = shapeOf(maxBytes + sizes.chunkBytes, sizes);
    expect(next.manifestBytes > maxManifestBytes || next.chunkCount > 1_000_000).toBe(true);
    const r2 = listed("R2");
    expect(capsOf(maxBytes, sizes, r2).obstacle).toBeNull();
    expect(capsOf(maxBytes + 1, sizes, r2).obstacle).toContain(stoppedBy === "chunk numbers" ? "too many chunks" : "manifest would be too large");
  });

  it("with the usual sizes is above 100 TB", () => {
    expect(ceilingOf(usual).maxBytes).toBeGreaterThan(100e12);
  });
});

describe("a provider's caps", () => {
  it.for(priceLists.map(({ name }) => name))("of %s: ten thousand parts of an object, and not one more", (name) => {
    const partBytes = 16 * MiB;
    expect(capsOf(TiB, { chunkBytes: 10_000 * partBytes, partBytes }, listed(name))).toEqual({
      maxChunkBytes: 10_000 * partBytes,
      stoppedBy: "parts of an object",
      obstacle: null,
    });
    expect(capsOf(TiB, { chunkBytes: 10_001 * partBytes, partBytes }, listed(name)).obstacle).toContain("10001 parts");
  });

  it.for([
    ["R2", GiB, 5 * TiB - 5 * GiB],
    ["B2", GiB, 5 * TiB],
    ["S3 Standard", 5 * GiB, 50_000 * GiB],
  ] as const)("of %s: an object of parts of %i bytes may have %i bytes, and not one part more", ([name, partBytes, largest]) => {
    expect(capsOf(TiB, { chunkBytes: largest, partBytes }, listed(name)).obstacle).toBeNull();
    expect(capsOf(TiB, { chunkBytes: largest + partBytes, partBytes }, listed(name)).obstacle).not.toBeNull();
  });

  it.for([
    ["R2", 5 * GiB - 5 * MiB],
    ["B2", 5 * GiB],
    ["S3 Standard", 5 * GiB],
  ] as const)("of %s: parts from 5 MiB to %i bytes", ([name, largest]) => {
    const obstacle = (partBytes: number): string | null => capsOf(TiB, { chunkBytes: 4 * partBytes, partBytes }, listed(name)).obstacle;
    expect([5 * MiB, largest].map(obstacle)).toEqual([null, null]);
    expect(obstacle(5 * MiB - 1)).toContain("takes no parts");
    expect(obstacle(largest + MiB)).toContain("takes no parts");
  });
});

describe("the cost", () => {
  it.for([
    [0, 0],
    [50 * 1024, 50 * 1024 * 0.023],
    [50 * 1024 + 1, 50 * 1024 * 0.023 + 0.022],
    [500 * 1024 + 1, 50 * 1024 * 0.023 + 450 * 1024 * 0.022 + 0.021],
  ] as const)("of storing %i GB in S3 goes by tiers", ([gb, usd]) => {
    expect(priceOf(gb, listed("S3 Standard").storage)).toBeCloseTo(usd, 6);
  });

  it.for([
    ["R2", { storageUsdPerMonth: 15, restoreUsd: 0.0215 }],
    ["S3 Standard", { storageUsdPerMonth: 21.42, restoreUsd: 83.84 }],
    ["S3 Glacier IR", { storageUsdPerMonth: 3.73, restoreUsd: 112.355 }],
    ["B2", { storageUsdPerMonth: 6.95, restoreUsd: 0 }],
  ] as const)("of a terabyte at %s is that of its list", ([name, expected]) => {
    const cost = costOf(shapeOf(1e12, usual), listed(name));
    expect(cost.storageUsdPerMonth).toBeCloseTo(expected.storageUsdPerMonth, 2);
    expect(cost.restoreUsd).toBeCloseTo(expected.restoreUsd, 2);
  });

  it("of requests falls with the size of the parts", () => {
    const uploadUsd = (partBytes: number): number => costOf(shapeOf(TiB, { chunkBytes: GiB, partBytes }), listed("R2")).uploadUsd;
    expect(uploadUsd(8 * MiB)).toBeCloseTo(0.6, 1);
    expect(uploadUsd(64 * MiB)).toBeCloseTo(0.083, 3);
  });

  it("has a date and a source for every price", () => {
    expect(priceWarning).toBe(`list prices of ${pricesReadOn}; check them`);
    for (const { source } of priceLists) expect(source).toMatch(/^https:\/\/[a-z.]+\//);
  });
});

describe("a month of nights", () => {
  it.for([
    [0.01, 30, 1, 29, 1 + 0.01 * 435],
    [0.01, 7, 5, 25, 5 + 0.01 * (4 * 21 + 1)],
    [0.01, 1, 30, 0, 30],
    [0.01, null, 1, 29, 1 + 0.01 * 435],
    [0, 30, 1, 29, 1],
    [0.5, 30, 1, 29, 1 + 0.5 + 28],
  ] as const)("of %f a day with a full every %i days has %i fulls, %i incrementals and stores that many times the data", ([change, every, fulls, increments, times]) => {
    const month = monthOf(1e9, { changePerDay: change, fullEveryDays: every });
    expect(month).toMatchObject({ fullCount: fulls, incrementalCount: increments });
    expect(month.storedBytes / 1e9).toBeCloseTo(times, 6);
  });
});

it.for([
  [1e12, 100e6, 22.22],
  [1e12, 1e9, 2.22],
  [100e12, 1e9, 222.22],
] as const)("%i bytes at %i bit/s take %f hours", ([bytes, bits, hours]) => {
  expect(hoursAt(bytes, bits)).toBeCloseTo(hours, 2);
});

describe("words", () => {
  it.for([["10TB", 10e12], ["1.5TB", 1.5e12], ["10TiB", 10 * TiB], ["1GB", 1e9], ["1PB", 1e15], ["100G", 100 * GiB]] as const)("%s is a size to plan for", ([text, bytes]) => {
    expect(parsePlanSize(text)).toBe(bytes);
  });
  it.for(["0", "0TB", "10tb", "TB", "1MB", "10000PB", "-1TB", ""])("%j is none", (text) => {
    expect(() => parsePlanSize(text)).toThrow(expect.objectContaining({ code: "usage" }));
  });
  it.for([["100Mbit", 1e8], ["1Gbit", 1e9], ["2.5gbit/s", 2.5e9]] as const)("%s is a speed", ([text, bits]) => {
    expect(parseLink(text)).toBe(bits);
  });
  it.for(["0Mbit", "100", "100MB", "1Gbps", ""])("%j is none", (text) => {
    expect(() => parseLink(text)).toThrow(expect.objectContaining({ code: "usage" }));
  });
  it.for([["1%", 0.01], ["0.5 %", 0.005], ["0%", 0], ["100%", 1]] as const)("%s is a change", ([text, part]) => {
    expect(parseChange(text)).toBe(part);
  });
  it.for(["1", "101%", "-1%", "%"])("%j is none", (text) => {
    expect(() => parseChange(text)).toThrow(expect.objectContaining({ code: "usage" }));
  });
});

describe("docs/scale.md", () => {
  const text = readFileSync(new URL("../../docs/scale.md", import.meta.url), "utf8");
  const plans = ["1TB", "10TB", "100TB"].map((size) =>
    planScale({
      ...usual,
      sizeBytes: parsePlanSize(size),
      links: ["100Mbit", "1Gbit", "10Gbit"].map(parseLink),
      nights: { changePerDay: 0.01, fullEveryDays: 30 },
    }),
  );
  const tables = tablesOf(plans);

  it.for(["shapes", "costs", "caps", "months"] as const)("has the table of %s that the code makes", (name) => {
    expect(text).toContain(`\n\n${markdown(tables[name])}`);
  });

  it("has the date of the prices, and where each comes from", () => {
    expect(text).toContain(priceWarning);
    for (const { source } of priceLists) expect(text).toContain(source);
  });
});
