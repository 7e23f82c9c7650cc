/**
 * XOR of two buffers: a loop of 64-bit words in WebAssembly. In JavaScript it took 0.45 CPU-s/GiB, more than the AES of ECB
 * itself; here it takes a quarter, the copies into linear memory and back included.
 */
import { KiB } from "../bytes.ts";
import { advance, endOfFunction, get, i32, i64Load, i64Store, i64Xor, instantiate, type Running, turns } from "../wasm.ts";

/** Lengths are a multiple of this. */
const strideBytes = 16;
/** The most that can be XORed at a time. */
export const maxXorBytes = 64 * KiB;
/** Where the second buffer stands in the module's memory; the first is at 0. */
const otherStart = maxXorBytes;

let instance: Running<"xor"> | null = null;

/**
 * `target` ⊕= `other`, of one length: a multiple of 16, up to 64 KiB.
 *
 * @throws ZferryError as `instantiate`
 */
export function xorInto(target: Buffer, other: Buffer): void {
  instance ??= instantiate({ pages: 2, parameters: [i32, i32, i32], functions: { xor: xorFunction() } });
  const { memory, functions } = instance;
  memory.set(target);
  memory.set(other, otherStart);
  functions.xor(0, target.length, otherStart);
  target.set(memory.subarray(0, target.length));
}

/**
 * ```wat
 * (func (export "xor") (param $at i32) (param $end i32) (param $other i32)
 *   (block (loop
 *     (br_if 1 (i32.gt_u (i32.add (local.get $at) (i32.const 16)) (local.get $end)))
 *     (i64.store offset=0 (local.get $at)                ;; and at 8
 *       (i64.xor (i64.load offset=0 (local.get $at)) (i64.load offset=0 (local.get $other))))
 *     …                                                  ;; $at and $other move on by 16
 *     (br 0))))
 * ```
 */
function xorFunction(): number[] {
  const [at, end, other] = [0, 1, 2];
  const word = (offset: number): number[] => [
    ...[...get(at), ...get(at), ...i64Load(offset), ...get(other), ...i64Load(offset), i64Xor],
    ...i64Store(offset),
  ];
  const body = [...word(0), ...word(8), ...advance(at, strideBytes), ...advance(other, strideBytes)];
  return [0, ...turns({ at, end, strideBytes }, body), endOfFunction];
}
