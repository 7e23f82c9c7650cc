/**
 * Waiting that ends when a signal says so. A promise cannot be cancelled, only no longer waited for; these helpers do
 * that without leaking a listener on a signal that lives as long as a run (`AbortSignal.any` leaks on Node 20,
 * nodejs/node#54614).
 */
import { setMaxListeners } from "node:events";
import type { ByteSource } from "../bytes.ts";

/** What an aborted signal carries, as something that may be thrown. */
export function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error("aborted", { cause: signal.reason });
}

/** Settles as `work` does, or rejects with the signal's reason as soon as it is aborted. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(reasonOf(signal));
    };
    const settled = (): void => {
      signal.removeEventListener("abort", onAbort);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    work.then(resolve, reject).finally(settled).catch(onAbort);
  });
}

/** A controller that is aborted together with `parent`, and on its own. `release` it, or it stays with the parent. */
export interface LinkedController {
  readonly signal: AbortSignal;
  /** Only the first reason counts. */
  abort(reason: unknown): void;
  release(): void;
}

export function linkedController(parent: AbortSignal): LinkedController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal); // every part in flight listens, and how many there are is bounded elsewhere
  const onAbort = (): void => {
    controller.abort(parent.reason);
  };
  if (parent.aborted) onAbort();
  parent.addEventListener("abort", onAbort, { once: true });
  return {
    signal: controller.signal,
    abort: (reason) => {
      controller.abort(reason);
    },
    release: () => {
      parent.removeEventListener("abort", onAbort);
    },
  };
}

/**
 * Settles as `work` does, which watches the controller's signal. Aborts it when that takes longer than `limitMs`, and
 * fails then with a `TimeoutError`, which is worth another try.
 */
export async function withinTime<T>(request: LinkedController, limitMs: number, work: () => Promise<T>): Promise<T> {
  const late = Object.assign(new Error(`no whole reply within ${limitMs / 1000} s`), { name: "TimeoutError" });
  const timer = setTimeout(() => {
    request.abort(late);
  }, limitMs);
  try {
    return await work();
  } catch (error) {
    throw request.signal.reason === late ? late : error;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The pieces of a body, until the signal is aborted. The body is always exhausted or returned. One that is stuck in
 * `next()` at that moment cannot be waited for (a generator answers `return()` only after it): it is told, not awaited,
 * because what unsticks it may be the very error this is thrown for.
 */
export async function* pull(source: ByteSource, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
  const iterator = source[Symbol.asyncIterator]();
  let state: "between" | "waiting" | "ended" = "between";
  try {
    for (;;) {
      signal.throwIfAborted();
      state = "waiting";
      const step = await unlessAborted(iterator.next(), signal);
      state = "between";
      if (step.done === true) {
        state = "ended";
        return;
      }
      yield step.value;
    }
  } finally {
    if (state !== "ended") {
      // A body that fails while it is let go of has nothing to add to why it was let go of.
      const returned = Promise.resolve(iterator.return?.()).catch(() => undefined);
      if (state === "between") await returned;
    }
  }
}
