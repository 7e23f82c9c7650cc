import { describe, expect, it } from "vitest";
import { maxXorBytes, xorInto } from "../../src/openpgp/xor.ts";
import { bytesOf } from "./sample.ts";

describe("XOR", () => {
  it.for([0, 16, 32, 48, 4096, maxXorBytes - 16, maxXorBytes])("of %i bytes is that of each of them", (sizeBytes) => {
    const [target, other] = [bytesOf(sizeBytes, "target"), bytesOf(sizeBytes, "other")];
    const expected = target.map((octet, at) => octet ^ (other[at] ?? 0));
    xorInto(target, other);
    expect(target.equals(expected)).toBe(true);
    expect(other.equals(bytesOf(sizeBytes, "other"))).toBe(true);
  });
});
