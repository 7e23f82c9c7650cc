import { createHash } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { MiB } from "../../src/bytes.ts";
import { readDataset } from "../../src/zfs/inventory.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { defaultReceiveOptions, receive, type ReceiveOptions, type ReceivePlan } from "../../src/zfs/receive.ts";
import { fakeZfs, isAlive, never, streamBytes, type FakeZfs } from "./fake.ts";

const stream = streamBytes({ toGuid: 9n, toName: "elsewhere@s1", sizeBytes: MiB });
const pieceBytes = 64 * 1024;
const target = parseDatasetName("tank/restored");
const plan: ReceivePlan = { target, options: defaultReceiveOptions };

function receiving(fault?: object): FakeZfs {
  return fakeZfs({ datasets: { tank: {} }, ...(fault === undefined ? {} : { faults: { receive: fault } }) });
}

/** The stream in pieces; notes when it was let go of, and can throw or stall after so many pieces. */
class Source {
  released = false;
  givenCount = 0;
  readonly #failAfter: number;
  readonly #error: Error;

  constructor({ failAfter = Infinity, error = new Error("chunk 17 is damaged") } = {}) {
    this.#failAfter = failAfter;
    this.#error = error;
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    try {
      for (let at = 0; at < stream.length; at += pieceBytes) {
        if (this.givenCount >= this.#failAfter) throw this.#error;
        this.givenCount += 1;
        yield await Promise.resolve(stream.subarray(at, at + pieceBytes));
      }
      if (this.givenCount >= this.#failAfter) throw this.#error;
    } finally {
      this.released = true;
    }
  }
}

function livingChildren(fake: FakeZfs): readonly number[] {
  return fake.pids().filter(isAlive);
}

describe("receiving a stream", () => {
  it("gives zfs every byte and then the end", async () => {
    const fake = receiving();
    await receive(fake.zfs, new Source().pieces(), plan, { signal: never });
    const sha256 = createHash("sha256").update(stream).digest("hex");
    expect(fake.received()).toMatchObject([{ target, bytes: stream.length, sha256, ended: true }]);
    const facts = await readDataset(fake.zfs, target, { signal: never });
    expect(facts?.snapshots).toMatchObject([{ name: "tank/restored@s1", guid: 9n }]);
  });

  const everything: ReceiveOptions = {
    unmounted: false,
    force: true,
    resumable: true,
    set: { readonly: "on", "org:note": "a b; $(c)" },
    exclude: ["mountpoint"],
  };
  it.for([
    ["only unmounted by default", defaultReceiveOptions, ["-u"]],
    ["as asked", everything, ["-F", "-s", "-o", "readonly=on", "-o", "org:note=a b; $(c)", "-x", "mountpoint"]],
  ] as const)("passes on its options: %s", async ([, options, args]) => {
    const fake = receiving();
    await receive(fake.zfs, new Source().pieces(), { target, options }, { signal: never });
    expect(fake.calls()).toEqual([["receive", ...args, "--", target]]);
  });

  it("refuses to let zfs ask for a key on the input that carries the stream", async () => {
    const fake = receiving();
    const options = { ...defaultReceiveOptions, set: { keylocation: "prompt" } };
    const source = new Source();
    const received = receive(fake.zfs, source.pieces(), { target, options }, { signal: never });
    await expect(received).rejects.toMatchObject({ code: "usage" });
    expect(fake.calls()).toEqual([]);
    expect(source.givenCount).toBe(0);
  });
});

describe("a source that throws", () => {
  it.for([
    ["before the first piece", 0, {}],
    ["half-way", 9, {}],
    ["after the last piece, in place of its end", stream.length / pieceBytes, {}],
    ["half-way, to a zfs that ignores SIGTERM", 9, { at: "end", exit: 0, deaf: true }],
  ] as const)("%s kills zfs before it can see an end of input", async ([, failAfter, fault]) => {
    const fake = "at" in fault ? receiving(fault) : receiving();
    const source = new Source({ failAfter });
    await expect(receive(fake.zfs, source.pieces(), plan, { signal: never })).rejects.toThrow("chunk 17 is damaged");
    expect(source.released).toBe(true);
    expect(livingChildren(fake)).toEqual([]);
    expect(fake.calls().length === 0 || fake.received().every(({ ended }) => !ended)).toBe(true);
    expect(await readDataset(fake.zfs, target, { signal: never })).toBeNull();
  });
});

describe("a zfs that fails", () => {
  it.for([
    ["before it reads", { at: 0, exit: 1, stderr: "cannot receive: destination 'tank/x' exists" }, "target-exists"],
    ["half-way", { at: 500_000, exit: 1, stderr: "cannot receive: out of space" }, "zfs-no-space"],
    ["half-way by SIGKILL", { at: 500_000, signal: "SIGKILL" }, "zfs-failed"],
    ["half-way, without an error", { at: 500_000, exit: 0 }, "zfs-failed"],
    ["after it read everything", { at: "end", exit: 1, stderr: "cannot receive: checksum mismatch" }, "zfs-failed"],
    ["half-way after a megabyte on stderr", { at: 500_000, exit: 1, stderrBytes: MiB }, "zfs-failed"],
  ] as const)("%s is heard, not its broken pipe, and the source is let go of", async ([, fault, code]) => {
    const fake = receiving(fault);
    const source = new Source();
    await expect(receive(fake.zfs, source.pieces(), plan, { signal: never })).rejects.toMatchObject({ code });
    expect(source.released).toBe(true);
    expect(livingChildren(fake)).toEqual([]);
  });

  it("says which end of the stream it did not want to see", async () => {
    const fake = receiving({ at: 500_000, exit: 0 });
    await expect(receive(fake.zfs, new Source().pieces(), plan, { signal: never })).rejects.toThrow(
      '"zfs receive" into "tank/restored" stopped reading before the end of the stream',
    );
  });

  it("lets go of the source when there is no such program", async () => {
    const source = new Source();
    const absent = { ...receiving().zfs, command: ["/nonexistent/zfs"] as const };
    await expect(receive(absent, source.pieces(), plan, { signal: never })).rejects.toMatchObject({ code: "zfs-failed" });
    expect(source.givenCount).toBe(0);
  });
});

describe("aborting a receive", () => {
  it.for([
    ["while zfs does not read and the pipe is full", { at: 1, hang: true }],
    ["while zfs does not read and ignores SIGTERM", { at: 1, hang: true, deaf: true }],
    ["after zfs has read everything", { at: "end", hang: true }],
  ] as const)("%s throws the reason and leaves no process", async ([, fault]) => {
    const fake = receiving(fault);
    const source = new Source();
    const abort = new AbortController();
    const received = receive(fake.zfs, source.pieces(), plan, { signal: abort.signal });
    const expected = expect(received).rejects.toThrow("enough");
    await vi.waitFor(() => {
      expect(fake.pids()).toHaveLength(1);
      expect(source.givenCount).toBeGreaterThan(fault.at === "end" ? 15 : 0);
    });
    abort.abort(new Error("enough"));
    await expected;
    expect(source.released).toBe(true);
    expect(livingChildren(fake)).toEqual([]);
  });

  it.for([1, 5, 9, 15])("at piece %i throws the reason, and zfs sees no end of input", async (pieceCount) => {
    const fake = receiving();
    const abort = new AbortController();
    const source = new Source();
    async function* interrupted(): AsyncGenerator<Uint8Array> {
      for await (const piece of source.pieces()) {
        if (source.givenCount === pieceCount) abort.abort(new Error("enough"));
        abort.signal.throwIfAborted();
        yield piece;
      }
    }
    await expect(receive(fake.zfs, interrupted(), plan, { signal: abort.signal })).rejects.toThrow("enough");
    expect(livingChildren(fake)).toEqual([]);
    expect(await readDataset(fake.zfs, target, { signal: never })).toBeNull();
  });
});
