/**
 * A pretended pool for the command line: `fixtures/bin/zfs` comes first in a scene's PATH and finds its world by the
 * variable {@link Pool.env}. What it was asked and what it received can be looked at, what exists can be changed.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fakeZfs, isAlive, type FakeState, type Received } from "../zfs/fake.ts";
import { seal, split, type } from "../replay/forge.ts";
import { recorded } from "./zferry.ts";

interface SnapshotState {
  readonly guid: string;
  readonly holds: string[];
  /** Its mark; true for one of no particular run. */
  readonly ours: boolean | string;
}

interface DatasetState {
  snapshots: Record<string, SnapshotState>;
  bookmarks: Record<string, { readonly guid: string }>;
}

/** As `state.json` may be, which is filled in when something has changed. */
interface WrittenState {
  readonly streams?: string[];
  readonly datasets: Record<string, Partial<DatasetState>>;
  readonly faults?: Record<string, object>;
}

interface PoolState {
  streams: string[];
  datasets: Record<string, DatasetState>;
  faults: Record<string, object>;
}

export class Pool {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;

  constructor(state: FakeState) {
    const { folder, record } = fakeZfs(state);
    this.folder = folder;
    this.env = { ZFERRY_FAKE_ZFS: folder };
    for (const [name, bytes] of nights()) record(name, bytes);
  }

  get state(): PoolState {
    const { streams = [], faults = {}, datasets } = JSON.parse(readFileSync(join(this.folder, "state.json"), "utf8")) as WrittenState;
    const whole = Object.entries(datasets).map(([name, one]) => [name, { snapshots: {}, bookmarks: {}, ...one }] as const);
    return { streams, faults, datasets: Object.fromEntries(whole) };
  }

  change(edit: (state: PoolState) => void): void {
    const { state } = this;
    edit(state);
    writeFileSync(join(this.folder, "state.json"), JSON.stringify(state));
  }

  dataset(name: string): DatasetState {
    const found = this.state.datasets[name];
    if (found === undefined) throw new Error(`the pretended pool has no "${name}"`);
    return found;
  }

  /** All hold tags on the snapshots of a dataset. */
  holds(name: string): string[] {
    return Object.values(this.dataset(name).snapshots).flatMap(({ holds }) => holds);
  }

  /** The calls so far that begin with these words. */
  calls(...words: string[]): string[][] {
    return this.#log.map(({ args }) => args).filter((args) => words.every((word, at) => args[at] === word));
  }

  /** What the last snapshot was to be marked with, whether it was taken or not. */
  get lastMark(): string {
    const [, , assignment = ""] = this.calls("snapshot").at(-1) ?? [];
    return assignment.split("=")[1] ?? "";
  }

  /** Processes of it that still run. */
  get alive(): number[] {
    return this.#log.map(({ pid }) => pid).filter(isAlive);
  }

  /** What the N-th receive got, or null when there was none. */
  received(index: number): (Received & { readonly stream: Buffer }) | null {
    const path = join(this.folder, "received", String(index));
    const text = existsSync(`${path}.json`) ? readFileSync(`${path}.json`, "utf8") : "";
    if (text === "") return null; // being written this moment
    const note = JSON.parse(text) as Received;
    return { ...note, stream: existsSync(`${path}.zfs`) ? readFileSync(`${path}.zfs`) : Buffer.alloc(0) };
  }

  get #log(): readonly { pid: number; args: string[] }[] {
    const log = join(this.folder, "calls.log");
    if (!existsSync(log)) return [];
    const lines = readFileSync(log, "utf8").split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as { pid: number; args: string[] });
  }
}

/** One dataset without snapshots, and the streams of three nights: a full, and two increments of that full. */
export function nightly(extra: Partial<FakeState> = {}): Pool {
  return new Pool({ streams: ["one.zfs", "two.zfs", "three.zfs"], datasets: { "tank/src": { snapshots: {} } }, ...extra });
}

/** Guids of the three nights' snapshots, and of a later full. */
export const guids = {
  one: guidOf("full"),
  two: guidOf("inc-i"),
  three: 0x3333333333333333n,
  later: guidOf("holes"),
} as const;

function guidOf(name: string): bigint {
  return recorded(name).readBigUInt64LE(40);
}

/** `three` is `inc-i` a day later: ZFS would make such a stream when nothing else had changed since. */
function nights(): ReadonlyMap<string, Uint8Array> {
  return new Map([
    ["one.zfs", streamOf("one")],
    ["two.zfs", streamOf("two")],
    ["three.zfs", streamOf("three")],
    ["later.zfs", recorded("holes")],
  ]);
}

/** What `zfs send` gives in that night. */
export function streamOf(night: "one" | "two" | "three"): Uint8Array {
  if (night !== "three") return recorded(night === "one" ? "full" : "inc-i");
  return remade(recorded("inc-i"), { toGuid: guids.three, laterSeconds: 86_400n, toName: "tank/src@s3" });
}

interface Identity {
  readonly toGuid: bigint;
  readonly laterSeconds: bigint;
  readonly toName: string;
  /** Feature flags to add to those of the stream. */
  readonly features?: bigint;
}

/** A recorded stream as if it were of another snapshot, with right checksums. */
export function remade(stream: Uint8Array, { toGuid, laterSeconds, toName, features = 0n }: Identity): Uint8Array {
  const pieces = split(stream);
  for (const { record } of pieces) {
    const view = new DataView(record.buffer);
    const number = view.getUint32(0, true);
    if (number === type.begin || number === type.end) view.setBigUint64(40, toGuid, true);
    if (number !== type.begin) continue;
    view.setBigUint64(16, view.getBigUint64(16, true) | (features << 2n), true);
    view.setBigUint64(24, view.getBigUint64(24, true) + laterSeconds, true);
    record.fill(0, 56);
    record.set(Buffer.from(toName), 56);
  }
  return seal(pieces);
}
