/** That a run which says nothing is still at work. */

/** Calls `tell` when nothing was seen for so long, and again each time as long has passed. */
export function beat(everyMs: number, tell: (sinceBeginMs: number) => void): { readonly seen: () => void; readonly stop: () => void } {
  const begunAt = performance.now();
  const timer = setInterval(() => {
    tell(performance.now() - begunAt);
  }, everyMs);
  return {
    seen: () => {
      timer.refresh();
    },
    stop: () => {
      clearInterval(timer);
    },
  };
}
