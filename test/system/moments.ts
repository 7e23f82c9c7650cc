/** Random moments for crash tests: CRASH_SEED repeats a run, CRASH_POINTS makes it longer. */
export const seed = Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 1e9));

/** How many points a test tries; `all` is for the named ones (`crash-points.test.ts`). */
export function pointsOr(fallback: number): number {
  const asked = Number(process.env.CRASH_POINTS);
  return Number.isInteger(asked) && asked > 0 ? asked : fallback;
}

/** Mulberry32: small, seeded, good enough for moments. */
export function randomFrom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
