import { expect, it } from "vitest";
import { latest } from "../../src/status/held.ts";

it("the latest of more times than a call has room for arguments is found", () => {
  const times = Array.from({ length: 300_000 }, (_, index) => (index % 3 === 0 ? null : new Date(index)));
  expect(latest(times)).toEqual(new Date(299_999));
  expect(latest([null])).toBe(null);
});
