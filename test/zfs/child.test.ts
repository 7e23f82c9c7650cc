/** A child that no signal of ours reaches: `sudo zfs`, or one stuck in the kernel. */
import { spawn } from "node:child_process";
import { kill } from "node:process";
import { expect, it, onTestFinished } from "vitest";
import { takeCareOf, type Child } from "../../src/zfs/child.ts";
import { never } from "./fake.ts";

/** A process that says something, sleeps, and may not be killed by who started it. */
async function unkillable(signal: AbortSignal): Promise<Child> {
  const spawned = spawn("sh", ["-c", "echo out of reach >&2; exec sleep 60"]);
  onTestFinished(() => {
    kill(spawned.pid ?? 0, "SIGKILL");
  });
  spawned.kill = () => false;
  const child = takeCareOf(spawned, { what: "zfs send", graceMs: 50, signal });
  await new Promise((resolve) => spawned.stderr.once("data", resolve));
  return child;
}

it("is waited for twice the grace period and no longer, when it is stopped", async () => {
  const child = await unkillable(never);
  await child.stop();
  await child.stop();
  await expect(child.succeeded()).rejects.toMatchObject({
    code: "zfs-failed",
    message: '"zfs send" did not end when it was killed: out of reach',
  });
});

it("keeps nobody waiting who asks how it ended, when its signal is aborted", async () => {
  const stop = new AbortController();
  const child = await unkillable(stop.signal);
  const asking = child.succeeded();
  stop.abort(new Error("stopped"));
  await expect(asking).rejects.toMatchObject({ code: "zfs-failed" });
});
