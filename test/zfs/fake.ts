/**
 * A pretended zfs for one test (`fixtures/bin/zfs`): its world, its streams, its faults, and what it was asked to do.
 */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env, kill } from "node:process";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { letResidentAnswer } from "./resident.ts";
import { zfsThrough, type Zfs } from "../../src/zfs/command.ts";

export const fakeProgram = fileURLToPath(new URL("bin/zfs", import.meta.url));

/** `state.json`, as `fixtures/bin/zfs.mjs` describes it. */
export interface FakeState {
  readonly old?: boolean;
  readonly streams?: readonly string[];
  readonly datasets: Readonly<Record<string, object>>;
  readonly faults?: Readonly<Record<string, object>>;
}

export interface Received {
  readonly target: string;
  readonly args: readonly string[];
  readonly bytes: number;
  readonly sha256: string | null;
  readonly ended: boolean;
}

export interface FakeZfs {
  readonly zfs: Zfs;
  readonly folder: string;
  /** The arguments of each call so far. */
  readonly calls: () => readonly (readonly string[])[];
  /** The process ids of each call so far. */
  readonly pids: () => readonly number[];
  readonly received: () => readonly Received[];
  /** Puts a stream into the folder, to be named in `streams`. */
  readonly record: (name: string, bytes: Uint8Array) => void;
}

/** Makes the world; it goes away with the test. */
export function fakeZfs(state: FakeState): FakeZfs {
  const folder = mkdtempSync(join(tmpdir(), "zferry-fake-"));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  writeFileSync(join(folder, "state.json"), JSON.stringify(state));
  letResidentAnswer(folder);
  const notes = (): { pid: number; args: string[] }[] => {
    const log = join(folder, "calls.log");
    if (!existsSync(log)) return [];
    const lines = readFileSync(log, "utf8").trimEnd().split("\n");
    return lines.map((line) => JSON.parse(line) as { pid: number; args: string[] });
  };
  return {
    zfs: { ...zfsThrough([fakeProgram], { PATH: env.PATH, ZFERRY_FAKE_ZFS: folder }), graceMs: 200 },
    folder,
    calls: () => notes().map(({ args }) => args),
    pids: () => notes().map(({ pid }) => pid),
    received: () => {
      const names = readdirSync(join(folder, "received")).filter((name) => name.endsWith(".json"));
      return names.sort().map((name) => JSON.parse(readFileSync(join(folder, "received", name), "utf8")) as Received);
    },
    record: (name, bytes) => {
      writeFileSync(join(folder, name), bytes);
    },
  };
}

interface StreamShape {
  readonly toGuid: bigint;
  readonly fromGuid?: bigint;
  readonly toName?: string;
  /** A multiple of 8, at least 624. */
  readonly sizeBytes: number;
}

/** Bytes with a BEGIN and an END record where they belong, and a counter in between; no checksums, no objects. */
export function streamBytes({ toGuid, fromGuid = 0n, toName = "tank/a@s1", sizeBytes }: StreamShape): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 8) bytes.writeDoubleLE(at, at);
  bytes.fill(0, 0, 312).fill(0, sizeBytes - 312);
  bytes.writeBigUInt64LE(0x2f5bacbacn, 8);
  bytes.writeBigUInt64LE(1_795_246_917n, 24);
  bytes.writeBigUInt64LE(toGuid, 40);
  bytes.writeBigUInt64LE(fromGuid, 48);
  bytes.write(toName, 56);
  bytes.writeUInt32LE(5, sizeBytes - 312);
  return bytes;
}

/** True while there is a process of that id. */
export function isAlive(pid: number): boolean {
  try {
    return kill(pid, 0);
  } catch {
    return false;
  }
}

/** A signal that nobody aborts. */
export const never = new AbortController().signal;
