/**
 * Several stores that should hold the same backups: which of them is asked, and which is asked next when that one fails.
 *
 * They are asked in the order they were given. One that has something damaged is asked last for the rest of that object; one
 * that cannot be asked at all is asked last for everything. Whoever reads checks what came, whichever store it came from.
 */
import { type ErrorCode, isZferryError, ZferryError } from "./errors.ts";
import type { ObjectKey, Store } from "./store/store.ts";
import type { SnapshotName } from "./zfs/names.ts";

/** That one store failed and another was asked. */
export interface FallOver {
  readonly backup: SnapshotName | null;
  /** Index of the chunk; null for a manifest, and for a store that could not be asked. */
  readonly chunk: number | null;
  /** The object; null for a store that could not be asked. */
  readonly key: ObjectKey | null;
  /** URL of the store that failed. */
  readonly store: string;
  /** URL of the store that was asked instead. */
  readonly next: string;
  readonly code: ErrorCode;
  /** One line, which names the object where it is about one. */
  readonly why: string;
}

/** As it is told. */
export function fallOverText({ store, next, why }: FallOver): string {
  return `in "${store}": ${why}; going on with "${next}"`;
}

/** What all views of the same stores know of them. */
interface Known {
  /** Could not be asked. */
  readonly away: Set<Store>;
  /** By object: have not got it as it was stored. */
  readonly bad: Map<ObjectKey, Set<Store>>;
  readonly onFallOver: (fallOver: FallOver) => void;
}

/** What is looked for: an object, and the words for it. */
export interface Sought {
  readonly backup: SnapshotName;
  readonly chunk: number | null;
  readonly key: ObjectKey;
}

/** One store or several, in the order they are asked. */
export class Sources {
  readonly stores: readonly Store[];
  readonly #known: Known;

  /** @param stores - one at least */
  constructor(stores: readonly Store[], onFallOver: (fallOver: FallOver) => void = () => undefined, known?: Known) {
    this.stores = stores;
    this.#known = known ?? { away: new Set(), bad: new Map(), onFallOver };
  }

  /** Whether there is none to fall over to. */
  get isOne(): boolean {
    return this.stores.length === 1;
  }

  /** The same stores, these before the others. */
  preferring(first: readonly Store[]): Sources {
    const rest = this.stores.filter((store) => !first.includes(store));
    return new Sources([...first, ...rest], undefined, this.#known);
  }

  /** Looks for one object. */
  search(sought: Sought, among: readonly Store[] = this.stores): Search {
    return new Search(this.#known, sought, among);
  }

  /**
   * Asks every store, and leaves out those that cannot be asked, or answer with nothing that is of use.
   *
   * @throws ZferryError `noneOf` them when none can be; at once what no other store can cure
   */
  async askAll<T>(ask: (store: Store) => Promise<T>): Promise<ReadonlyMap<Store, T>> {
    const answers = new Map<Store, T>();
    const failures: Failure[] = [];
    for (const store of this.stores) {
      try {
        answers.set(store, await ask(store));
      } catch (error) {
        if (this.isOne || !isCurable(error)) throw error;
        this.#known.away.add(store);
        failures.push({ url: store.url, error });
      }
    }
    const [first] = answers.keys();
    if (first === undefined) throw noneOf(failures);
    for (const { url, error } of failures) {
      const why = `it cannot be asked, and may hold newer backups: ${error.message}`;
      this.tell({ backup: null, chunk: null, key: null, store: url, next: first.url, code: error.code, why });
    }
    return answers;
  }

  tell(fallOver: FallOver): void {
    this.#known.onFallOver(fallOver);
  }
}

/** A store alone is the shortest list of stores. */
export function sourcesOf(from: Store | Sources): Sources {
  return from instanceof Sources ? from : new Sources([from]);
}

interface Failure {
  readonly url: string;
  readonly error: ZferryError;
}

/** The error that names every place; a store that could not be asked may have it after all, and so decides the code. */
function noneOf(failures: readonly Failure[]): ZferryError {
  const away = failures.find(({ error }) => isAway(error))?.error;
  const first = away ?? failures[0]?.error ?? new ZferryError("bug", "nothing was asked");
  if (failures.length < 2) return first;
  const places = failures.map(({ url, error }) => `in "${url}": ${error.message}`).join("; ");
  const isDamage = first.code === "chunk-invalid" || first.code === "manifest-invalid";
  const own = isDamage ? "name another store with --store, or choose another backup with `zferry list`" : (first.hint ?? "`zferry doctor` tries a store");
  const hint = away === undefined ? own : "see that every store can be reached, and try again";
  return new ZferryError(first.code, `no store has what is wanted: ${places}`, { hint, cause: first });
}

/** The search for one object. No store is asked twice. */
export class Search {
  readonly #known: Known;
  readonly #sought: Sought;
  readonly #left: Store[];
  readonly #failures: Failure[] = [];
  /** The one to ask. */
  store: Store;

  constructor(known: Known, sought: Sought, among: readonly Store[]) {
    this.#known = known;
    this.#sought = sought;
    this.#left = [...among];
    this.store = this.#next() ?? missing();
  }

  /** Asks one store after the other until one has it. @throws as {@link failed} */
  async first<T>(ask: (store: Store) => Promise<T>, signal: AbortSignal): Promise<T> {
    for (;;) {
      try {
        return await ask(this.store);
      } catch (error) {
        signal.throwIfAborted(); // whoever stopped it has something to say, and not this store
        this.failed(error);
      }
    }
  }

  /**
   * That the store has not got it, or not as it was stored: from here on `store` is another one.
   *
   * @throws `error` itself when no other store could cure it, or there is only one; else an error that names every place
   */
  failed(error: unknown): void {
    if (!isCurable(error)) throw error;
    const { backup, chunk, key } = this.#sought;
    const failed = this.store;
    this.#failures.push({ url: failed.url, error });
    const isNews = this.#note(failed, error);
    const next = this.#next();
    if (next === null) throw noneOf(this.#failures);
    this.store = next;
    const where = isAway(error) ? { chunk: null, key: null } : { chunk, key };
    if (isNews) this.#known.onFallOver({ backup, ...where, store: failed.url, next: next.url, code: error.code, why: error.message });
  }

  /** Whether it was not known yet. */
  #note(store: Store, error: ZferryError): boolean {
    const { away, bad } = this.#known;
    const known = isAway(error) ? away : (bad.get(this.#sought.key) ?? new Set<Store>());
    const isNews = !known.has(store);
    known.add(store);
    if (known !== away) bad.set(this.#sought.key, known);
    return isNews;
  }

  #next(): Store | null {
    const { away, bad } = this.#known;
    const rank = (store: Store): number => (away.has(store) ? 2 : bad.get(this.#sought.key)?.has(store) === true ? 1 : 0);
    const best = Math.min(...this.#left.map(rank));
    const at = this.#left.findIndex((store) => rank(store) === best);
    return this.#left.splice(at, 1)[0] ?? null;
  }
}

function missing(): never {
  throw new ZferryError("bug", "a search among no stores");
}

/** What says nothing of what is in the store. */
const awayCodes = ["store-failed", "store-denied", "store-not-found", "secret-unusable"] as const satisfies readonly ErrorCode[];

/** Whether the store could not be asked. */
export function isAway(error: unknown): error is ZferryError {
  return isZferryError(error, ...awayCodes);
}

/** What may be another one, or another answer, in another store. */
const curableCodes = ["chunk-invalid", "backup-not-found", "manifest-invalid", "format-too-new", "key-wrong", "key-missing", ...awayCodes] as const satisfies readonly ErrorCode[];

/** Whether another store may do better. */
export function isCurable(error: unknown): error is ZferryError {
  return isZferryError(error, ...curableCodes);
}
