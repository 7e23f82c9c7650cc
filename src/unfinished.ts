/**
 * Unfinished uploads, for a key that may not look for them: that is a right of its own
 * (`s3:ListBucketMultipartUploads`), and removing them another. Nothing that is stored needs them gone, so whoever lacks
 * the right is told, and goes on; until the bucket's lifecycle rules remove them they are paid for and do no harm.
 */
import { isZferryError } from "./errors.ts";
import type { Store, UnfinishedPut } from "./store/store.ts";

interface Looking {
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
}

/** As the store's `removeUnfinished`, and 0 for who may not. */
export function removeUnfinished(store: Store, prefix: string, { warn, signal }: Looking): Promise<number> {
  return ifAllowed(store.removeUnfinished(prefix, { signal }), 0, (denial) => {
    warn(`${denial}; what a run that was cut off has left of them is left to the bucket's lifecycle rules`);
  });
}

/** As the store's `listUnfinished`, and none for who may not: an attempt of which objects are stored is found by those. */
export function listUnfinished(store: Store, prefix: string, { warn, signal }: Looking): Promise<readonly UnfinishedPut[]> {
  return ifAllowed(store.listUnfinished(prefix, { signal }), [], (denial) => {
    warn(`${denial}; those of which nothing else is stored are not found`);
  });
}

async function ifAllowed<T>(work: Promise<T>, otherwise: T, tell: (denial: string) => void): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!isZferryError(error, "store-denied")) throw error;
    tell(error.message);
    return otherwise;
  }
}
