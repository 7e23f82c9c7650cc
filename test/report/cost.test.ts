import { describe, expect, it } from "vitest";
import { estimatesOf } from "../../src/report/cost.ts";
import type { Chapter } from "../../src/report/evidence.ts";
import { dollars } from "../../src/report/words.ts";

const GB = 1e9;

/** A full and incrementals against it, of so many bytes. */
function backupsOf(...sizes: readonly number[]): Chapter["backups"] {
  const entries = sizes.map((messageBytes) => ({ messageBytes }));
  return entries.map((entry, index) => ({ entry, chain: index === 0 ? [entry] : [entries[0], entry], trouble: null })) as unknown as Chapter["backups"];
}

describe("what backups cost", () => {
  it("is the storage of all of them, and the way back of the newest with the full it needs", () => {
    const [r2, s3, , b2] = estimatesOf({ backups: backupsOf(1000 * GB, 20 * GB, 30 * GB), provider: null });
    expect(r2?.list.name).toBe("R2");
    expect(r2?.storageUsdPerMonth).toBeCloseTo(1050 * 0.015, 6);
    expect(r2?.restoreUsd).toBeLessThan(0.05); // no egress; a request for every 16 MiB
    expect(s3?.restoreUsd).toBeGreaterThan((1030 * GB * 0.09) / 2 ** 30);
    expect(b2?.restoreUsd).toBe(0); // three times what is stored is free
  });

  it("counts no way back where nothing can be restored", () => {
    const broken = backupsOf(GB).map((backup) => ({ ...backup, trouble: "its base is gone" }));
    expect(estimatesOf({ backups: broken, provider: null }).map(({ restoreUsd }) => restoreUsd)).toEqual([null, null, null, null]);
  });

  it.for([
    ["aws", ["S3 Standard", "R2", "S3 Glacier IR", "B2"], 1],
    ["b2", ["B2", "R2", "S3 Standard", "S3 Glacier IR"], 1],
    ["minio", ["R2", "S3 Standard", "S3 Glacier IR", "B2"], 0],
    [null, ["R2", "S3 Standard", "S3 Glacier IR", "B2"], 0],
  ] as const)("has the price of a store with %s first, in the class that zferry writes", ([provider, names, ownCount]) => {
    const estimates = estimatesOf({ backups: backupsOf(GB), provider });
    expect(estimates.map(({ list }) => list.name)).toEqual(names);
    expect(estimates.filter(({ isOwn }, index) => isOwn && index === 0)).toHaveLength(ownCount);
    expect(estimates.filter(({ isOwn }) => isOwn)).toHaveLength(ownCount);
  });

  it.for([[0, "$0.00"], [0.001, "< $0.01"], [0.01, "$0.01"], [1234.567, "$1,234.57"]] as const)("of %f dollars is written %s", ([usd, text]) => {
    expect(dollars(usd)).toBe(text);
  });
});
