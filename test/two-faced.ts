/** A store that shows one thing to whoever looks first and another to whoever looks again, as only a dishonest one does. */
import type { ObjectKey, Store } from "../src/store/store.ts";
import { faultyStore } from "./faulty-store.ts";

/** `bytes` in the place of an object, for the GETs (counted from 0) that `isServed` picks; listings stay as they are. */
export function twoFaced(inner: Store, key: ObjectKey, bytes: Buffer, isServed: (nth: number) => boolean): Store {
  let gets = 0;
  return {
    ...faultyStore(inner),
    async *get(wanted, options) {
      if (wanted === key && isServed(gets++)) yield Buffer.from(bytes);
      else yield* inner.get(wanted, options);
    },
  };
}
