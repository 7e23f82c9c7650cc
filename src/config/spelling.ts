/**
 * The word somebody meant: the nearest one that is known, if any is near enough to be worth asking.
 */

/** Of what is typed, this much may be wrong. */
const maxShareWrong = 0.4;

/** @returns one of `known`, or null when none is like it */
export function nearest(word: string, known: readonly string[]): string | null {
  const spelt = plain(word);
  const limit = Math.max(1, Math.floor(spelt.length * maxShareWrong));
  const near = known.map((name) => ({ name, away: distance(spelt, plain(name)) })).filter(({ away }) => away <= limit);
  return near.sort((a, b) => a.away - b.away)[0]?.name ?? null;
}

/** `did you mean "x"?` behind a semicolon, or nothing. */
export function suggestion(word: string, known: readonly string[]): string {
  const name = nearest(word, known);
  return name === null ? "" : `; did you mean "${name}"?`;
}

/** `fullEvery` and `full-every` are spelt like `full_every`. */
function plain(word: string): string {
  return word.replaceAll(/([a-z])([A-Z])/g, "$1_$2").replaceAll("-", "_").toLowerCase();
}

/** Letters to add, drop, change, or swap with their neighbour (optimal string alignment), row by row. */
function distance(a: string, b: string): number {
  let [before, last]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= a.length; row += 1) {
    const next = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const change = a[row - 1] === b[column - 1] ? 0 : 1;
      const isSwap = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      next.push(
        Math.min(
          (last[column] ?? 0) + 1,
          (next[column - 1] ?? 0) + 1,
          (last[column - 1] ?? 0) + change,
          isSwap ? (before[column - 2] ?? 0) + 1 : Infinity,
        ),
      );
    }
    [before, last] = [last, next];
  }
  return last[b.length] ?? 0;
}
