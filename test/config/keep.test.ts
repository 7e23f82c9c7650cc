import { describe, expect, it } from "vitest";
import { keepSchema } from "../../src/config/keep.ts";
import { dayMs } from "../../src/config/values.ts";

const nothing = { last: 0, withinMs: null, daily: 0, weekly: 0, monthly: 0, yearly: 0, fulls: 0 };

describe("a policy in the configuration", () => {
  it.for([
    [{ last: 1 }, { last: 1 }],
    [{ within: "2w" }, { withinMs: 14 * dayMs }],
    [{ daily: 7, weekly: 5, monthly: 12, yearly: 3 }, { daily: 7, weekly: 5, monthly: 12, yearly: 3 }],
    [{ fulls: 2, last: 0 }, { fulls: 2 }],
    [{ last: 100_000 }, { last: 100_000 }],
  ] as const)("reads %o", ([given, wanted]) => {
    expect(keepSchema.parse(given)).toEqual({ ...nothing, ...wanted });
  });

  it.for([
    [{}, "keeps nothing"],
    [{ last: 0, daily: 0 }, "keeps nothing"],
    [{ last: -1 }, "must be a whole number from 0 to 100000"],
    [{ last: 1.5 }, "must be a whole number from 0 to 100000"],
    [{ last: 100_001 }, "must be a whole number from 0 to 100000"],
    [{ last: "7" }, "must be a whole number from 0 to 100000"],
    [{ last: 1, within: "0d" }, "is not a duration"],
    [{ last: 1, within: 30 }, "must be a duration"],
    [{ last: 1, hourly: 3 }, "hourly"],
  ] as const)("refuses %o", ([given, why]) => {
    const result = keepSchema.safeParse(given);
    expect(result.error?.issues.map(({ message }) => message).join()).toContain(why);
  });
});
