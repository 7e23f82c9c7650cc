/**
 * Small WebAssembly modules, assembled where they are used: the few loops over bulk bytes that JavaScript has no fast
 * operation for. What their text means is said there; here is how it is written down and made to run.
 */
import { ZferryError } from "./errors.ts";

/** What is used of the global; TypeScript has its type only in the browser's library. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

/** Value types. */
export const [i32, i64] = [0x7f, 0x7e];

/** A module with one memory of exactly so many pages of 64 KiB, and functions of one type. All are exported. */
export interface ModulePlan<Name extends string> {
  readonly pages: number;
  /** Of every function; nothing comes out of any. */
  readonly parameters: readonly number[];
  /** Declarations of locals, instructions, `end`. */
  readonly functions: Readonly<Record<Name, readonly number[]>>;
}

export interface Running<Name extends string> {
  readonly memory: Uint8Array;
  readonly functions: Readonly<Record<Name, (...parameters: number[]) => void>>;
}

/**
 * V8 reserves 10 GiB of addresses for a memory of any size, so that it need not check bounds.
 *
 * @throws ZferryError `usage` where the process may not have that many
 */
export function instantiate<Name extends string>(plan: ModulePlan<Name>): Running<Name> {
  try {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assemble(plan)));
    const functions = exports as Running<Name>["functions"] & { readonly memory: { readonly buffer: ArrayBuffer } };
    return { memory: new Uint8Array(functions.memory.buffer), functions };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new ZferryError("usage", "cannot reserve 10 GiB of address space for checksums and ciphers", {
      hint: "lift the limit on addresses (`ulimit -v`, systemd LimitAS=); to limit memory in use, set MemoryMax=",
      cause,
    });
  }
}

function assemble({ pages, parameters, functions }: ModulePlan<string>): Uint8Array {
  const names = Object.keys(functions);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic, version 1
    ...section(1, [1, 0x60, parameters.length, ...parameters, 0]), // the one type
    ...section(3, [names.length, ...names.map(() => 0)]), // the functions of it
    ...section(5, [1, 1, pages, pages]),
    ...section(7, [names.length + 1, ...name("memory"), 2, 0, ...names.flatMap((text, index) => [...name(text), 0, index])]),
    ...section(10, [names.length, ...Object.values(functions).flatMap((body) => [...unsigned(body.length), ...body])]),
  ]);
}

const section = (id: number, content: readonly number[]): number[] => [id, ...unsigned(content.length), ...content];
const name = (text: string): number[] => [text.length, ...Buffer.from(text, "ascii")];

/** Unsigned LEB128. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** Signed LEB128 of an i32. */
function signed(value: number): number[] {
  const last = value >= -0x40 && value < 0x40;
  return last ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}

/** Instructions on a variable by its number (parameters first, then locals), and of a constant. */
export const get = (variable: number): number[] => [0x20, variable];
export const set = (variable: number): number[] => [0x21, variable];
export const tee = (variable: number): number[] => [0x22, variable];
export const constant = (value: number): number[] => [0x41, ...signed(value)];
export const i32Add = 0x6a;
export const i64Add = 0x7c;
export const i64Xor = 0x85;
/** Takes an address; the offset must be below 128. */
export const i64Load = (offset: number): number[] => [0x29, 3, offset];
/** Takes an address and a value. */
export const i64Store = (offset: number): number[] => [0x37, 3, offset];

/** Adds to a variable. */
export const advance = (variable: number, by: number): number[] => [...get(variable), ...constant(by), i32Add, ...set(variable)];

/** `body` again and again while `at + strideBytes ≤ end`; the body has to advance `at`. */
export function turns({ at, end, strideBytes }: { at: number; end: number; strideBytes: number }, body: readonly number[]): number[] {
  return [
    ...[0x02, 0x40, 0x03, 0x40], // block, loop
    ...[...get(at), ...constant(strideBytes), i32Add, ...get(end), 0x4b, 0x0d, 1], // i32.gt_u, br_if 1
    ...body,
    ...[0x0c, 0], // br 0
    ...[0x0b, 0x0b], // end, end
  ];
}

export const endOfFunction = 0x0b;
