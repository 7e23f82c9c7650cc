/**
 * The guard: a process of its own, in a session of its own, which runs the hooks of one quiesce for the zferry that
 * started it, and starts again what they stopped when that zferry is gone.
 *
 * It knows that from the socket between them, which the kernel closes for a process that was killed. Signals to stop are not
 * for it: it ends by itself, in bounded time, when nothing is owed or nothing more can be done.
 */
import process from "node:process";
import { ZferryError } from "../errors.ts";
import { Ledger } from "./record.ts";
import { goDown, goUp } from "./stack.ts";
import type { FromGuard, ToGuard, ToldError } from "./talk.ts";
import { inTurn } from "./turn.ts";

/** Aborted by the word of zferry, by its death, and when the snapshot takes too long. */
const release = new AbortController();

function letGo(): void {
  release.abort(new ZferryError("hook-failed", "zferry has let go", {}));
}

/** Zferry may have died a moment ago: then there is nobody to be told, and the work goes on. */
function say(message: FromGuard): void {
  if (process.connected) process.send?.(message, () => undefined);
}

function warn(text: string): void {
  say({ kind: "warn", text });
}

async function obey({ stateDir, path, record, limits }: ToGuard & { kind: "order" }): Promise<void> {
  const { signal } = release;
  await inTurn(stateDir, { waitMs: limits.waitMs, signal }, async () => {
    const ledger = await Ledger.begin(path, record);
    let refusal: ToldError | null = null;
    try {
      say({ kind: "begun" });
      await goDown(ledger, { limits, warn, signal });
      say({ kind: "quiet" });
      await released(limits.workMs);
    } catch (error) {
      refusal = told(error);
    }
    const failures = await goUp(ledger, { limits, warn, signal: new AbortController().signal }).catch(die);
    return { kind: "over", refusal, failures: failures.map(told) } as const;
  }).then(say, (error: unknown) => {
    say({ kind: "over", refusal: told(error), failures: [] });
  });
}

/** Whoever finds the record does the rest. */
function die(): never {
  process.exit(1);
}

function released(workMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(letGo, workMs);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    if (release.signal.aborted) done();
    else release.signal.addEventListener("abort", done, { once: true });
  });
}

function told(error: unknown): ToldError {
  if (error instanceof ZferryError) return { code: error.code, message: error.message, hint: error.hint };
  return { code: "bug", message: error instanceof Error ? error.message : String(error), hint: null };
}

for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE"] as const) process.on(name, () => undefined);
process.on("disconnect", letGo);
process.on("message", (message: ToGuard) => {
  if (message.kind === "release") letGo();
  else void obey(message).finally(leaveWhenAlone);
});

/** Not before zferry has read the last word. */
function leaveWhenAlone(): void {
  if (process.connected) process.once("disconnect", leave);
  else leave();
}

/** What the hooks have started may hold our pipes open; nothing more is to be read from them. */
function leave(): void {
  process.exit(0);
}
