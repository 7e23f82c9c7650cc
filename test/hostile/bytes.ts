/**
 * What hostile input is made of, and what every reader of it must come to: a value or a documented error, with little
 * memory and in little time.
 */
import fc from "fast-check";
import { exitStatusOf, isZferryError } from "../../src/errors.ts";

const MiB = 1024 * 1024;

/** One thing done to bytes; places are taken modulo the length. */
type Edit =
  | { readonly kind: "set" | "insert"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "cut" | "repeat"; readonly at: number; readonly count: number };

/** Numbers that lengths, counts and offsets are best not. */
const awkward = fc.constantFrom("00000000", "ffffffff", "7fffffff", "80000000", "ffffffffffffffff", "0000000100000000", "feffffff", "ff", "00");
const someBytes = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 9 }), awkward.map((hex) => new Uint8Array(Buffer.from(hex, "hex"))));
const place = fc.nat({ max: 1 << 20 });
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ kind: fc.constantFrom("set" as const, "insert" as const), at: place, bytes: someBytes }),
  fc.record({ kind: fc.constantFrom("cut" as const, "repeat" as const), at: place, count: fc.nat({ max: 400 }) }),
);

function edited(bytes: Buffer, one: Edit): Buffer {
  const at = bytes.length === 0 ? 0 : one.at % bytes.length;
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (one.kind) {
    case "insert":
      return Buffer.concat([before, one.bytes, after]);
    case "set":
      return Buffer.concat([before, one.bytes, after.subarray(one.bytes.length)]);
    case "cut":
      return Buffer.concat([before, after.subarray(one.count)]);
    case "repeat":
      return Buffer.concat([before, after.subarray(0, one.count), after]);
  }
}

/** A valid input with one to four things done to it. */
function mutated(valid: Uint8Array): fc.Arbitrary<Buffer> {
  return fc.array(edit, { minLength: 1, maxLength: 4 }).map((edits) => edits.reduce(edited, Buffer.from(valid)));
}

/** Any bytes, any text as bytes, and mutations of the valid inputs, which are most of them. */
export function hostile(...valid: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  const any = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
  const text = fc.string({ unit: "binary", maxLength: 200 }).map((value) => Buffer.from(value));
  return fc.oneof(any, text, ...valid.flatMap((bytes) => [mutated(bytes), mutated(bytes)]));
}

/** Runs a reader; a value, or a documented error, which is returned. Anything else it throws is thrown. */
export async function documented<T>(read: () => T | Promise<T>): Promise<{ readonly value: T } | { readonly code: string }> {
  try {
    return { value: await read() };
  } catch (error) {
    if (!isZferryError(error) || error.code === "bug") throw error;
    if (!(error.code in exitStatusOf)) throw new Error(`"${error.code}" is no documented code`, { cause: error });
    return { code: error.code };
  }
}

/** How much more memory the process holds at any moment of `work` than before, buffers included; sampled as it runs. */
export async function growthOf(work: () => Promise<unknown>): Promise<number> {
  const held = (): number => {
    const { heapUsed, external, rss } = process.memoryUsage();
    return Math.max(heapUsed + external, rss);
  };
  const before = held();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, held());
  }, 1);
  try {
    await work();
  } finally {
    clearInterval(timer);
    most = Math.max(most, held());
  }
  return most - before;
}

/** Room for garbage that was not collected yet; far below what the huge lengths of these tests claim. */
export const roomBytes = 192 * MiB;
