/** What came of one try to tell somebody, and how long a try may take. */

/** `why` is fit to be shown: it names no URL, no header and no token. A final failure is one that no further try mends. */
export type Outcome = { readonly kind: "sent" } | { readonly kind: "failed"; readonly why: string; readonly isFinal: boolean };

export const sent: Outcome = { kind: "sent" };

export function failed(why: string, { isFinal }: { isFinal: boolean }): Outcome {
  return { kind: "failed", why, isFinal };
}

/**
 * Does one try within its time. What does not heed the signal it is given is left behind, and nobody waits for it.
 *
 * @param attempt - never rejects once it was aborted; otherwise its error is a bug and rethrown
 */
export async function within(
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
  attempt: (signal: AbortSignal) => Promise<Outcome>,
): Promise<Outcome> {
  if (signal.aborted) return failed("there was no time left", { isFinal: true });
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let onAbort = (): void => undefined;
  const over = new Promise<Outcome>((resolve) => {
    const end = (outcome: Outcome): void => {
      resolve(outcome);
      stop.abort();
    };
    timer = setTimeout(() => {
      end(failed(`no answer within ${timeoutMs / 1000} s`, { isFinal: false }));
    }, timeoutMs);
    onAbort = () => {
      end(failed("there was no time left", { isFinal: true }));
    };
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([attempt(stop.signal), over]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
