/** Work done several at a time, within a bound, and told in the order in which it was begun. */

/** Something to be done. */
export interface Piece<T> {
  /** Of the bound, in whatever it counts; never more than all of it is taken. */
  readonly weight: number;
  readonly work: () => Promise<T>;
  /** In the place of `work` for one that is not begun any more: lets go of what it holds. */
  readonly drop?: () => Promise<void>;
}

export interface WindowBounds {
  readonly maxCount: number;
  readonly maxWeight: number;
}

export interface WindowOptions extends WindowBounds {
  /** Told of a failure, of a piece or of asking for one, when it happens, which may be long before its turn comes: to end what is at work. */
  readonly stop: (reason: unknown) => void;
}

/**
 * What the pieces come to. The next piece is asked for when there is room for it, or when the oldest is done.
 *
 * @throws what the oldest failed of, or asking for the next, once nothing is at work any more; stopping what is at work is for
 * whoever gave it, also before leaving the loop
 */
export async function* inOrder<T>(pieces: AsyncIterable<Piece<T>>, { maxCount, maxWeight, stop }: WindowOptions): AsyncGenerator<T> {
  const flights: { readonly weight: number; readonly done: Promise<T> }[] = [];
  let waiting: Piece<T> | null = null;
  const weightOf = (): number => flights.reduce((sum, { weight }) => sum + weight, 0);
  try {
    for await (const piece of pieces) {
      waiting = piece;
      const weight = Math.min(piece.weight, maxWeight);
      while (flights.length >= maxCount || (flights.length > 0 && weightOf() + weight > maxWeight)) {
        const oldest = flights[0];
        if (oldest === undefined) break;
        yield await oldest.done;
        flights.shift();
      }
      waiting = null;
      const done = piece.work();
      done.catch(stop);
      flights.push({ weight, done });
    }
    for (const { done } of flights) yield await done;
  } catch (error) {
    stop(error);
    throw error;
  } finally {
    await Promise.allSettled([...flights.map(({ done }) => done), waiting?.drop?.()]);
  }
}
