import type { ByteOrder } from "../../src/replay/fletcher4.ts";

/** The four sums of fletcher-4. */
export type Sums = readonly [bigint, bigint, bigint, bigint];

const nothing: Sums = [0n, 0n, 0n, 0n];

/** Fletcher-4 by its definition, in BigInt: slow and plain. `bytes` must be whole words. */
export function oracle(bytes: Uint8Array, byteOrder: ByteOrder, before: Sums = nothing): Sums {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let [a, b, c, d] = before;
  for (let at = 0; at < bytes.length; at += 4) {
    a += BigInt(view.getUint32(at, byteOrder === "little"));
    b += a;
    c += b;
    d += c;
  }
  return [BigInt.asUintN(64, a), BigInt.asUintN(64, b), BigInt.asUintN(64, c), BigInt.asUintN(64, d)];
}
