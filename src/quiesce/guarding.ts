/**
 * The guard as zferry sees it: a child that outlives it if need be.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { FromGuard, ToGuard } from "./talk.ts";

/** Built by then: node takes no source. */
const program = fileURLToPath(new URL("./guard.js", import.meta.url));
/** A guard that has nothing more to do is gone in milliseconds. */
const leaveMs = 2000;

export type Over = FromGuard & { readonly kind: "over" };

export interface Guard {
  /** When all before-hooks have succeeded; false when that is not going to happen. */
  readonly quiet: Promise<boolean>;
  /** Its last word; null for a guard that died, or never lived. */
  readonly over: Promise<Over | null>;
  /** Milliseconds of `performance.now()`; null before the first hook. */
  readonly begunAt: () => number | null;
  /** Tells it to run the after-hooks. Calling it again is safe. */
  readonly release: () => void;
  /** Ends what is between us, and waits for it to be gone. */
  readonly dismiss: () => Promise<void>;
}

/** Starts a guard on its order. It never rejects: a guard that cannot be started is one that died. */
export function startGuard(
  order: ToGuard & { readonly kind: "order" },
  environment: Readonly<Record<string, string>>,
  warn: (text: string) => void,
): Guard {
  const child = fork(program, [], { detached: true, cwd: "/", env: environment, stdio: ["ignore", "ignore", "ignore", "ipc"] });
  const exited = new Promise<void>((resolve) => child.once("exit", () => {
    resolve();
  }));
  let begunAt: number | null = null;
  let becomeQuiet: (isQuiet: boolean) => void;
  let end: (over: Over | null) => void;
  const quiet = new Promise<boolean>((resolve) => (becomeQuiet = resolve));
  const over = new Promise<Over | null>((resolve) => (end = resolve));
  child.on("message", (message: FromGuard) => {
    if (message.kind === "begun") begunAt = performance.now();
    else if (message.kind === "quiet") becomeQuiet(true);
    else if (message.kind === "warn") warn(message.text);
    else end(message);
  });
  // Not at its exit: what it said before that may still have to be read.
  for (const event of ["disconnect", "error"] as const) {
    child.on(event, () => {
      end(null);
    });
  }
  void over.then(() => {
    becomeQuiet(false);
  });
  send(child, order);
  return { quiet, over, begunAt: () => begunAt, release: () => { send(child, { kind: "release" }); }, dismiss: () => dismiss(child, exited) };
}

/** What cannot be said is said by the guard's death, which is an event of its own. */
function send(child: ChildProcess, message: ToGuard): void {
  if (child.connected) child.send(message, () => undefined);
}

async function dismiss(child: ChildProcess, exited: Promise<void>): Promise<void> {
  if (child.connected) child.disconnect();
  if (child.pid === undefined) return;
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([exited, new Promise((resolve) => (timer = setTimeout(resolve, leaveMs)))]);
  clearTimeout(timer);
  child.unref();
}
