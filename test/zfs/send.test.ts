import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { MiB } from "../../src/bytes.ts";
import { readDataset } from "../../src/zfs/inventory.ts";
import { parseBookmarkName, parseDatasetName, parseSnapshotName } from "../../src/zfs/names.ts";
import { estimateSend, send, sendFlagsFor, type SendPlan } from "../../src/zfs/send.ts";
import { fakeZfs, isAlive, never, streamBytes, type FakeZfs } from "./fake.ts";

const sizeBytes = MiB;
const full = streamBytes({ toGuid: 1n, sizeBytes });
const plan: SendPlan = { snapshot: parseSnapshotName("tank/a@s1"), base: null, flags: ["-L", "-c"] };

/** A zfs with a snapshot of 1 MiB, three times what all buffers between us and it can hold. */
function sending(fault?: object): FakeZfs {
  const fake = fakeZfs({
    datasets: { "tank/a": { snapshots: { s1: { guid: "1" }, s2: { guid: "2" } }, bookmarks: { b1: { guid: "1" } } } },
    streams: ["full", "incremental"],
    ...(fault === undefined ? {} : { faults: { send: fault } }),
  });
  fake.record("full", full);
  fake.record("incremental", streamBytes({ toGuid: 2n, fromGuid: 1n, sizeBytes: 624 }));
  return fake;
}

async function bytesOf(source: AsyncIterable<Buffer>): Promise<{ bytes: Buffer; error: unknown }> {
  const pieces: Buffer[] = [];
  try {
    for await (const piece of source) pieces.push(piece);
    return { bytes: Buffer.concat(pieces), error: null };
  } catch (error) {
    return { bytes: Buffer.concat(pieces), error };
  }
}

function livingChildren(fake: FakeZfs): readonly number[] {
  return fake.pids().filter(isAlive);
}

describe("a sent stream", () => {
  it("has every byte that zfs wrote", async () => {
    const fake = sending();
    const { bytes, error } = await bytesOf(send(fake.zfs, plan, { signal: never }));
    expect(error).toBeNull();
    expect(bytes.equals(full)).toBe(true);
    expect(fake.calls()).toEqual([["send", "-L", "-c", "--", "tank/a@s1"]]);
  });

  it.for(["tank/a@s1", "tank/a#b1"])("can start from %s", async (base) => {
    const fake = sending();
    const name = base.includes("@") ? parseSnapshotName(base) : parseBookmarkName(base);
    const incremental: SendPlan = { snapshot: parseSnapshotName("tank/a@s2"), base: name, flags: [] };
    const { bytes, error } = await bytesOf(send(fake.zfs, incremental, { signal: never }));
    expect(error).toBeNull();
    expect(bytes).toHaveLength(624);
    expect(fake.calls()).toEqual([["send", "-i", base, "--", "tank/a@s2"]]);
  });

  it("starts nothing before it is read", () => {
    const fake = sending();
    send(fake.zfs, plan, { signal: never });
    expect(fake.calls()).toEqual([]);
  });

  it("waits for its reader: zfs sleeps on a full pipe", async () => {
    const fake = sending();
    const stream = send(fake.zfs, plan, { signal: never });
    await stream.next();
    for (let turn = 0; turn < 100; turn += 1) await setImmediate();
    expect(livingChildren(fake)).toHaveLength(1);
    await stream.return();
  });

  it.for(["-R", "-I", "--redact", "-p", ""])("is refused with the flag %s from a manifest", async (flag) => {
    const fake = sending();
    const { error } = await bytesOf(send(fake.zfs, { ...plan, flags: [flag] }, { signal: never }));
    expect(error).toMatchObject({ code: "usage" });
    expect(fake.calls()).toEqual([]);
  });
});

describe("a send that fails", () => {
  it.for([
    ["before the first byte", { at: 0, exit: 1, stderr: "cannot open 'tank/a@s1': dataset does not exist" }, "zfs-not-found", 0],
    ["half-way", { at: 500_000, exit: 1, stderr: "warning: cannot send 'tank/a@s1': I/O error" }, "zfs-failed", 500_000],
    ["after the last byte", { at: "end", exit: 3 }, "zfs-failed", sizeBytes],
    ["after a megabyte on stderr", { at: "end", exit: 1, stderrBytes: MiB }, "zfs-failed", sizeBytes],
    ["by SIGKILL half-way", { at: 500_000, signal: "SIGKILL" }, "zfs-failed", 500_000],
    ["by SIGKILL after the last byte", { at: "end", signal: "SIGKILL" }, "zfs-failed", sizeBytes],
  ] as const)("%s throws after the bytes it had sent", async ([, fault, code, sentBytes]) => {
    const fake = sending(fault);
    const { bytes, error } = await bytesOf(send(fake.zfs, plan, { signal: never }));
    expect(error).toMatchObject({ code });
    expect(bytes).toHaveLength(sentBytes);
    expect(livingChildren(fake)).toEqual([]);
  });

  it("is not told from success when zfs itself calls a cut-off stream good: that is for the inspector to see", async () => {
    const { bytes, error } = await bytesOf(send(sending({ at: 1000, exit: 0 }).zfs, plan, { signal: never }));
    expect(error).toBeNull();
    expect(bytes).toHaveLength(1000);
  });

  it("is not a failure when zfs only talked a lot", async () => {
    const { bytes, error } = await bytesOf(send(sending({ at: 0, exit: 0, stderrBytes: MiB }).zfs, plan, { signal: never }));
    expect(error).toBeNull();
    expect(bytes).toHaveLength(0);
  });
});

describe("leaving a send early", () => {
  it.for([
    ["in the middle", undefined],
    ["when zfs hangs", { at: 65_536, hang: true }],
    ["when zfs ignores SIGTERM and the broken pipe", { at: 65_536, hang: true, deaf: true }],
  ] as const)("%s leaves no process and is no error", async ([, fault]) => {
    const fake = sending(fault);
    for await (const piece of send(fake.zfs, plan, { signal: never })) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    expect(fake.pids()).toHaveLength(1);
    expect(livingChildren(fake)).toEqual([]);
  });
});

describe("aborting a send", () => {
  it.for([1, 2, 5, 11])("after %i pieces throws the reason and leaves no process", async (pieceCount) => {
    const fake = sending();
    const abort = new AbortController();
    let takenCount = 0;
    const taking = async (): Promise<void> => {
      for await (const piece of send(fake.zfs, plan, { signal: abort.signal })) {
        takenCount += Math.sign(piece.length);
        if (takenCount === pieceCount) abort.abort(new Error("enough"));
      }
    };
    await expect(taking()).rejects.toThrow("enough");
    expect(takenCount).toBe(pieceCount);
    expect(livingChildren(fake)).toEqual([]);
  });

  it.for([
    ["hangs", { at: 65_536, hang: true }],
    ["hangs and ignores SIGTERM", { at: 65_536, hang: true, deaf: true }],
  ] as const)("while it waits for a zfs that %s throws the reason", async ([, fault]) => {
    const fake = sending(fault);
    const abort = new AbortController();
    const stream = bytesOf(send(fake.zfs, plan, { signal: abort.signal }));
    await vi.waitFor(() => {
      expect(fake.pids()).toHaveLength(1);
    });
    abort.abort(new Error("enough"));
    expect(await stream).toMatchObject({ error: { message: "enough" } });
    expect(livingChildren(fake)).toEqual([]);
  });

  it("ends zfs at once, even while nobody reads and it sleeps on a full pipe", async () => {
    const fake = sending();
    const abort = new AbortController();
    const stream = send(fake.zfs, plan, { signal: abort.signal });
    await stream.next();
    abort.abort(new Error("enough"));
    await vi.waitFor(() => {
      expect(livingChildren(fake)).toEqual([]);
    });
    await expect(stream.next()).rejects.toThrow("enough");
  });
});

describe("the flags of a send", () => {
  it.for([
    ["of large blocks, compressed", { datasets: { "tank/a": {} } }, ["-L", "-c"]],
    ["raw for an encrypted dataset", { datasets: { "tank/a": { encryption: "aes-256-gcm" } } }, ["-w"]],
    ["none where zfs knows none", { old: true, datasets: { "tank/a": {} } }, []],
  ] as const)("are %s", async ([, state, flags]) => {
    const { zfs } = fakeZfs(state);
    const dataset = await readDataset(zfs, parseDatasetName("tank/a"), { signal: never });
    if (dataset === null) throw new Error("the fake has lost its dataset");
    expect(await sendFlagsFor(zfs, dataset, { signal: never })).toEqual(flags);
  });

  it("are not guessed when zfs could not be asked", async () => {
    const { zfs, folder } = fakeZfs({ datasets: { "tank/a": {} } });
    const dataset = await readDataset(zfs, parseDatasetName("tank/a"), { signal: never });
    if (dataset === null) throw new Error("the fake has lost its dataset");
    const absent = { ...zfs, command: [join(folder, "zfs")] as const };
    await expect(sendFlagsFor(absent, dataset, { signal: never })).rejects.toMatchObject({ code: "zfs-failed" });
  });
});

describe("the estimate of a send", () => {
  it("is what a dry run says", async () => {
    const fake = sending();
    expect(await estimateSend(fake.zfs, plan, { signal: never })).toBe(sizeBytes);
    expect(fake.calls()).toEqual([["send", "-nP", "-L", "-c", "--", "tank/a@s1"]]);
  });

  it("is null where zfs has no dry run", async () => {
    const { zfs } = fakeZfs({ old: true, datasets: { "tank/a": { snapshots: { s1: {} } } } });
    expect(await estimateSend(zfs, plan, { signal: never })).toBeNull();
  });

  it("fails for a snapshot that is not there", async () => {
    const { zfs } = fakeZfs({ datasets: { "tank/a": {} } });
    await expect(estimateSend(zfs, plan, { signal: never })).rejects.toMatchObject({ code: "zfs-not-found" });
  });

  it.for(recordedDryRuns())("is read from $text", async ({ text, bytes }) => {
    const printed = { command: ["sh", "-c", 'printf "%s" "$0"', text] as const, environment: {}, graceMs: 200, answerMs: 60_000 };
    expect(await estimateSend(printed, plan, { signal: never })).toBe(bytes);
  });
});

/** As OpenZFS 2.3.2 printed them. */
function recordedDryRuns(): readonly { text: string; bytes: number }[] {
  return [
    { text: "full\ttank/src@s1\t393184\nsize\t393184\n", bytes: 393_184 },
    { text: "incremental\ttank/src#bm1\ttank/src@s2\t64112\nsize\t64112\n", bytes: 64_112 },
    { text: "full\ttank/src@s1\t1\nsize\t9007199254740991\n", bytes: Number.MAX_SAFE_INTEGER },
  ];
}
