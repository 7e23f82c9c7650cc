import { MessageChannel, type MessagePort } from "node:worker_threads";
import { describe, expect, it, onTestFinished } from "vitest";
import { isZferryError, ZferryError } from "../../src/errors.ts";
import { asBuffer } from "../../src/bytes.ts";
import { blockBytes, Receiver, Sender } from "../../src/thread/link.ts";
import { bytesOf } from "../openpgp/sample.ts";

function link(): { readonly near: MessagePort; readonly far: MessagePort } {
  const { port1, port2 } = new MessageChannel();
  onTestFinished(() => {
    port1.close();
    port2.close();
  });
  return { near: port1, far: port2 };
}

describe("a link", () => {
  it.for([0, 1, blockBytes - 1, blockBytes, blockBytes + 1, 5 * blockBytes + 17])("carries %i bytes in slices of any size, in order", async (sizeBytes) => {
    const { near, far } = link();
    const [sender, receiver] = [new Sender<null>(near), new Receiver<null>(far)];
    const bytes = bytesOf(sizeBytes, "link");
    const sending = (async () => {
      for (let at = 0; at < bytes.length; at += 300_007) await sender.write(bytes.subarray(at, at + 300_007), null);
      sender.end(null);
    })();
    const pieces: Buffer[] = [];
    for await (const block of receiver) {
      pieces.push(Buffer.from(asBuffer(block.slice)));
      receiver.giveBack(block.slice.buffer);
    }
    await sending;
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
  });

  it("lets the sender fill three blocks and no more until one comes back", async () => {
    const { near, far } = link();
    const [sender, receiver] = [new Sender<null>(near), new Receiver<null>(far)];
    expect(sender.write(bytesOf(3 * blockBytes, "link"), null)).toBeUndefined();
    const fourth = sender.write(bytesOf(1, "more"), null);
    expect(fourth).toBeInstanceOf(Promise);
    const first = await receiver.next();
    if (first.done === true) throw new Error("nothing came");
    receiver.giveBack(first.value.slice.buffer);
    await fourth;
  });

  it("carries answers back in order, whether or not they were asked for yet, and none once it was stopped", async () => {
    const { near, far } = link();
    const [sender, receiver] = [new Sender<null>(near), new Receiver<null>(far)];
    const first = sender.answer();
    for (const answer of [true, false, true]) receiver.answer(answer);
    expect([await first, await sender.answer(), await sender.answer()]).toEqual([true, false, true]);
    const never = sender.answer();
    sender.stop(new Error("gone"));
    await expect(never).rejects.toThrow("gone");
    await expect(sender.answer()).rejects.toThrow("gone");
  });

  it("takes from the sender what it gave away: the memory is gone", async () => {
    const { near, far } = link();
    const [sender, receiver] = [new Sender<null>(near), new Receiver<null>(far)];
    const own = new Uint8Array(new ArrayBuffer(16)).fill(7);
    sender.forward(own, null);
    expect(own.length).toBe(0);
    expect((await receiver.next()).value?.slice).toEqual(new Uint8Array(16).fill(7));
  });

  it("that was stopped keeps nobody waiting for a block, before or after", async () => {
    const { near } = link();
    const sender = new Sender<null>(near);
    const before = sender.write(bytesOf(4 * blockBytes, "link"), null);
    sender.stop(new Error("gone"));
    await expect(before).rejects.toThrow("gone");
    await expect(sender.write(bytesOf(1, "more"), null)).rejects.toThrow("gone");
  });

  it("tells a failure of ours as what it was, and any other as a bug", async () => {
    for (const [failure, code] of [[new ZferryError("chunk-invalid", "chunk 3 is bad", { hint: "look" }), "chunk-invalid"], [new TypeError("oops"), "bug"]] as const) {
      const { near, far } = link();
      const receiver = new Receiver<null>(far);
      new Sender<null>(near).fail(failure);
      const error: unknown = await receiver.next().catch((reason: unknown) => reason);
      expect(isZferryError(error, code)).toBe(true);
      expect((error as Error).message).toContain(failure.message);
    }
  });
});
