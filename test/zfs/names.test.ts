import { describe, expect, it } from "vitest";
import * as names from "../../src/zfs/names.ts";

/** `function` that refuses, as its message or "" when it takes the text. */
function refusal(parse: (text: string) => unknown, text: string): string {
  try {
    parse(text);
    return "";
  } catch (error) {
    expect(error).toMatchObject({ code: "usage", hint: expect.stringContaining("pool/dataset@snapshot") as string });
    return (error as Error).message;
  }
}

const dataset254 = `p/${"d".repeat(252)}`;

const good = ["tank", "tank/home", "t/a/b/c/d", "tank/my data", "tank/x_y-z.1:2", "tank/-x", "tank/...", "tank/%recv", "tank/ home", "tank/home ", "tank/ ", `${dataset254}x`];
const bad = [
  "",
  "/",
  "/tank",
  "tank/",
  "tank//home",
  "tank/.",
  "tank/..",
  "tank/../etc",
  "tank/home\n",
  "tank/ho\tme",
  "tank/häuser",
  "tank/a;b",
  "tank/$(id)",
  "tank/a'b",
  'tank/a"b',
  "tank/a*",
  "tank/a\\b",
  "tank/a,b",
  "tank/a\0",
  `${dataset254}xx`,
];

describe("a dataset's name", () => {
  it.for(good)('may be "%s"', (text) => {
    expect(names.parseDatasetName(text)).toBe(text);
  });

  it.for([...bad, "tank@a", "tank#a", "-x", "1tank"])("may not be %j", (text) => {
    expect(refusal(names.parseDatasetName, text).startsWith(`"${text}" is not a dataset name: `)).toBe(true);
  });
});

describe.for([
  ["snapshot", "@", names.parseSnapshotName],
  ["bookmark", "#", names.parseBookmarkName],
] as const)("a %s's name", ([what, separator, parse]) => {
  it.for(good.filter((text) => text.length < 240))(`is a dataset's and one of its own: "%s${separator}monday"`, (text) => {
    for (const short of ["monday", " monday", "monday "]) {
      const name = parse(`${text}${separator}${short}`);
      expect(names.datasetOf(name)).toBe(text);
      expect(names.shortNameOf(name)).toBe(short);
    }
  });

  it.for([
    ...bad.map((text) => `${text}${separator}monday`),
    "tank",
    `tank${separator}`,
    `${separator}monday`,
    `tank${separator}a${separator}b`,
    `tank${separator}a/b`,
    `tank${separator}.`,
    `tank${separator}a\n`,
    "tank@a#b",
    "tank#a@b",
    `tank${separator}${"s".repeat(251)}`,
  ])("may not be %j", (text) => {
    expect(refusal(parse, text)).not.toBe("");
  });

  it("has 255 characters at most", () => {
    const longest = `tank${separator}${"s".repeat(250)}`;
    expect(parse(longest)).toBe(longest);
    expect(refusal(parse, `${longest}s`)).toBe(`"${longest}s" is not a ${what} name: longer than 255 characters`);
  });
});

describe("names made of halves", () => {
  const dataset = names.parseDatasetName("tank/home");

  it("are parsed like any other", () => {
    expect(names.snapshotName(dataset, "monday")).toBe("tank/home@monday");
    expect(names.bookmarkName(dataset, "monday")).toBe("tank/home#monday");
    for (const half of ["", "a@b", "a#b", "a/b", "a\n"]) {
      expect(refusal((text) => names.snapshotName(dataset, text), half)).not.toBe("");
      expect(refusal((text) => names.bookmarkName(dataset, text), half)).not.toBe("");
    }
  });

  it("have a leaf", () => {
    expect(names.leafOf(dataset)).toBe("home");
    expect(names.leafOf(names.parseDatasetName("tank"))).toBe("tank");
  });
});

describe("a 64-bit number", () => {
  it.for([
    ["0", 0n],
    ["1", 1n],
    ["9007199254740993", 9007199254740993n],
    ["18446744073709551615", 18446744073709551615n],
  ] as const)("is read from %s without rounding", ([text, value]) => {
    expect(names.parseU64(text)).toBe(value);
  });

  it.for(["", "-", "-1", "+1", "1.0", "0x1", "1e3", " 1", "1\n", "18446744073709551616", "99999999999999999999", "100000000000000000000"])(
    "is not %j",
    (text) => {
      expect(names.parseU64(text)).toBeNull();
    },
  );
});

describe("a guid", () => {
  it("is a 64-bit number other than 0", () => {
    expect(names.parseGuid("18446744073709551615")).toBe(18446744073709551615n);
    for (const text of ["0", "", "-", "none"]) {
      expect(() => names.parseGuid(text)).toThrow(expect.objectContaining({ code: "zfs-failed", message: `"${text}" is not a guid` }));
    }
  });

  it("of a stream's record is none when it is 0", () => {
    expect(names.guidFrom(0n)).toBeNull();
    expect(names.guidFrom(1n)).toBe(1n);
  });
});
