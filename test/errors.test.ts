import { describe, expect, it } from "vitest";
import { type ErrorCode, exitStatus, exitStatusOf, isZferryError, ZferryError } from "../src/errors.ts";

const codes = Object.keys(exitStatusOf) as ErrorCode[];

describe("a failure", () => {
  it("carries code, message, hint and cause", () => {
    const cause = new Error("ECONNRESET");
    const error = new ZferryError("store-failed", "cannot list", { hint: "check the connection", cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: "ZferryError", code: "store-failed", message: "cannot list", hint: "check the connection", cause });
  });

  it("without hint and cause has none", () => {
    const error = new ZferryError("usage", "no store is named");
    expect(error.hint).toBeNull();
    expect("cause" in error).toBe(false);
  });

  it("is known by its codes, or as one of ours", () => {
    const error = new ZferryError("store-full", "full");
    expect(isZferryError(error)).toBe(true);
    expect(isZferryError(error, "store-full")).toBe(true);
    expect(isZferryError(error, "store-failed", "store-full")).toBe(true);
    expect(isZferryError(error, "store-failed")).toBe(false);
    for (const other of [new Error("full"), { code: "store-full" }, null, undefined, "store-full"]) {
      expect(isZferryError(other)).toBe(false);
      expect(isZferryError(other, "store-full")).toBe(false);
    }
  });
});

describe("the exit status", () => {
  it.for(codes)("of %s is its own", (code) => {
    expect(exitStatus(new ZferryError(code, "x"))).toBe(exitStatusOf[code]);
  });

  it("of anything unforeseen is 1", () => {
    for (const error of [new TypeError("x"), "text", null, undefined, 7]) expect(exitStatus(error)).toBe(1);
  });

  it("is never 0, and only those the manual knows", () => {
    const known = new Set([1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17, 18, 130, 143]);
    expect(codes.filter((code) => !known.has(exitStatusOf[code]))).toEqual([]);
  });

  it("keeps wrong keys, damage, the pool's side and the store's side apart", () => {
    const of = (status: number): string[] => codes.filter((code) => exitStatusOf[code] === status);
    expect(of(12)).toEqual(["key-missing", "key-wrong"]);
    expect(of(13)).toEqual(["stream-invalid", "message-invalid", "manifest-invalid", "chunk-invalid", "backup-conflict"]);
    expect(of(14).every((code) => code.startsWith("zfs-") || code.startsWith("target-"))).toBe(true);
    expect(of(15).every((code) => code.startsWith("store-") || code.startsWith("object-"))).toBe(true);
    expect(of(130)).toEqual(["interrupted"]);
    expect(of(143)).toEqual(["terminated"]);
  });
});
