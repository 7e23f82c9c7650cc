import { setImmediate as turn } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { linkedController, unlessAborted } from "../../src/store/abort.ts";

it("as many may wait for one upload to be stopped as there are parts in flight, and node warns of nothing", async () => {
  const warnings: string[] = [];
  const note = ({ name }: Error): void => void warnings.push(name);
  process.on("warning", note);
  onTestFinished(() => void process.off("warning", note));
  const upload = linkedController(new AbortController().signal);
  const waiting = Array.from({ length: 64 }, () => unlessAborted(new Promise<void>(() => undefined), upload.signal));
  await turn();
  upload.abort(new Error("stopped"));
  const ends = await Promise.allSettled(waiting);
  upload.release();
  expect(ends.every(({ status }) => status === "rejected")).toBe(true);
  expect(warnings).toEqual([]);
});
