/**
 * Holding a lease: renewing it in the background, noticing its loss, asking right before a commit, letting go.
 *
 * Every write is conditional on the version this holder wrote last, so a lease that was taken over cannot be renewed:
 * that is the fence. One write is under way at a time, and no sooner after the last than the store takes it.
 */
import { ZferryError } from "../errors.ts";
import type { DatasetName } from "../zfs/names.ts";
import { linkedController, reasonOf } from "./abort.ts";
import type { LinkedController } from "./abort.ts";
import { type LeaseClock, type Moment, momentOf, msSince } from "./lease-clock.ts";
import { findLease, isRefusal, leaseBody, type LeaseRecord, type LeaseTiming } from "./lease-object.ts";
import type { PutOptions, Store } from "./store.ts";

/** For letting go, which is a courtesy, and must not keep a run that was cancelled: a lease that stays runs out. */
const releaseMs = 3_000;
/** A lease nearer to its end is left alone: a late removal might hit the next one. */
const safeMs = 10_000;
/** Own writes whose answers were lost, before a renewal is given up for this heartbeat. */
const maxRefusals = 3;

export interface Lease {
  /** From 1; one more for each takeover. Starts again once a lease was released. */
  readonly epoch: number;
  /**
   * Aborted with `locked` when the lease was taken over, removed, or not renewed for its time to live; with the reason of
   * the caller's signal when that is aborted.
   */
  readonly signal: AbortSignal;
  /**
   * Renews the lease now: resolves only if the store still had this holder's version. Call it right before the commit.
   *
   * @throws ZferryError `locked` when the lease is lost, or what the store throws
   */
  check(): Promise<void>;
  /**
   * Asks the clocks alone, and neither store nor network: nobody else may have taken the lease over yet.
   *
   * @throws ZferryError `locked` when its time is over, and as `signal` was aborted
   */
  throwIfOver(): void;
  /**
   * Whether this holder's lease is what lies in the store, valid or run out: as long as it does, nobody has taken it over.
   *
   * @throws what the store throws
   */
  isStillOwn(signal: AbortSignal): Promise<boolean>;
  /**
   * Ends the renewals and removes the lease if it is this holder's and valid, within 3 s. Never throws; twice is safe.
   * Before the local lock is let go of, if `holder.id` relies on that.
   */
  release(): Promise<void>;
}

/** A lease just written, and all that is needed to keep it. */
export interface Grasp {
  readonly store: Store;
  readonly dataset: DatasetName;
  readonly key: string;
  readonly record: LeaseRecord;
  readonly etag: string;
  /** When the write was begun. */
  readonly writtenAt: Moment;
  /** False on a server that refuses every conditional replacement: then a look comes before each write. */
  readonly isConditional: boolean;
  readonly timing: LeaseTiming;
  readonly clock: LeaseClock;
  readonly signal: AbortSignal;
  readonly warn: (message: string) => void;
}

export function holdLease(grasp: Grasp): Lease {
  const held = new HeldLease(grasp);
  held.start();
  return held;
}

class HeldLease implements Lease {
  readonly epoch: number;
  readonly signal: AbortSignal;
  readonly #grasp: Grasp;
  readonly #life: LinkedController;
  /** Ends the loops and what they wait for, without the lease being lost. */
  readonly #upkeep: LinkedController;
  #etag: string;
  #isConditional: boolean;
  /** Begin of the last write the store has confirmed. */
  #renewedAt: Moment;
  #triedAt: Moment;
  #lastFailure: unknown;
  #queue: Promise<void> = Promise.resolve();
  #loops: Promise<unknown> = Promise.resolve();
  #released: Promise<void> | null = null;

  constructor(grasp: Grasp) {
    this.#grasp = grasp;
    this.epoch = grasp.record.epoch;
    this.#life = linkedController(grasp.signal);
    this.signal = this.#life.signal;
    this.#upkeep = linkedController(this.signal);
    this.#etag = grasp.etag;
    this.#isConditional = grasp.isConditional;
    this.#renewedAt = grasp.writtenAt;
    this.#triedAt = grasp.writtenAt;
  }

  start(): void {
    this.#loops = Promise.all([this.#beat(), this.#watch()]);
  }

  async check(): Promise<void> {
    if (this.#released !== null) throw new ZferryError("bug", "a lease was checked after its release");
    this.throwIfOver();
    await this.#renewInTurn();
  }

  async isStillOwn(signal: AbortSignal): Promise<boolean> {
    const { store, key, record } = this.#grasp;
    return (await findLease(store, key, signal))?.record?.token === record.token;
  }

  release(): Promise<void> {
    return (this.#released ??= this.#release());
  }

  /** Renews until the lease is lost or released. What fails is tried again at the next heartbeat. */
  async #beat(): Promise<void> {
    const { clock, timing } = this.#grasp;
    while (!this.#upkeep.signal.aborted) {
      try {
        await clock.sleep(timing.heartbeatMs, { signal: this.#upkeep.signal, isBackground: true });
        await this.#renewInTurn();
      } catch (error) {
        this.#lastFailure = error; // told when the lease runs out
      }
    }
  }

  /** Ends the lease when its time is over, whatever a renewal is still waiting for. */
  async #watch(): Promise<void> {
    const { clock, timing } = this.#grasp;
    while (!this.#upkeep.signal.aborted) {
      const leftMs = timing.ttlMs - msSince(this.#renewedAt, clock);
      // In short steps: timers stand still while the machine sleeps.
      const stepMs = Math.max(1, Math.min(leftMs, timing.heartbeatMs));
      await clock.sleep(stepMs, { signal: this.#upkeep.signal, isBackground: true }).catch(() => undefined);
      this.#expire();
    }
  }

  throwIfOver(): void {
    this.#expire();
    this.#upkeep.signal.throwIfAborted();
  }

  #expire(): void {
    const { timing, clock } = this.#grasp;
    if (this.#upkeep.signal.aborted || msSince(this.#renewedAt, clock) < timing.ttlMs) return;
    this.#lose(`could not be renewed for ${Math.round(timing.ttlMs / 1000)} s`, this.#lastFailure);
  }

  /** One renewal at a time; each begins after it was asked for. */
  #renewInTurn(): Promise<void> {
    const turn = this.#queue.then(() => this.#renew());
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #renew(): Promise<void> {
    const { store, clock } = this.#grasp;
    const { signal } = this.#upkeep;
    for (let refusals = 0; ; refusals += 1) {
      signal.throwIfAborted();
      const spacingMs = store.limits.sameKeySpacingMs - msSince(this.#triedAt, clock);
      if (spacingMs > 0) await clock.sleep(spacingMs, { signal, isBackground: false });
      this.throwIfOver();
      const begun = momentOf(clock);
      this.#triedAt = begun;
      if (await this.#write(refusals)) this.#renewedAt = begun;
      this.throwIfOver(); // an answer that came too late is none
      if (this.#renewedAt === begun) return;
    }
  }

  /** True when the store has taken the write, false when it has to be tried again from another version. */
  async #write(refusals: number): Promise<boolean> {
    const { store, key, record, clock } = this.#grasp;
    const { signal } = this.#upkeep;
    if (!this.#isConditional && (await this.#refused()) === "stale") return false;
    const when: PutOptions["when"] = this.#isConditional ? { etag: this.#etag } : "replace";
    const renewed = { ...record, renewedAt: new Date(clock.wallMs()).toISOString() };
    try {
      this.#etag = (await store.put(key, leaseBody(renewed), { when, signal })).etag;
      return true;
    } catch (error) {
      if (!isRefusal(error) || refusals >= maxRefusals) throw error;
      if ((await this.#refused()) === "unchanged" && refusals > 0) this.#doWithoutConditions();
      return false;
    }
  }

  /**
   * Looks at what is there instead of what was written last. An own version is one whose answer was lost.
   *
   * @throws ZferryError `locked` when it is not this holder's any more
   */
  async #refused(): Promise<"unchanged" | "stale"> {
    const { store, key, record } = this.#grasp;
    const found = await findLease(store, key, this.#upkeep.signal);
    if (found === null) throw this.#lose(`is gone from "${store.url}": somebody removed "${key}"`);
    if (found.record?.token !== record.token) {
      throw this.#lose(`was taken over by ${found.record === null ? "something else" : `"${found.record.host}"`}`);
    }
    if (found.object.etag === this.#etag) return "unchanged";
    this.#etag = found.object.etag;
    return "stale";
  }

  #doWithoutConditions(): void {
    this.#isConditional = false;
    this.#grasp.warn(withoutConditions(this.#grasp.store));
  }

  /** Aborts the signal, and returns its reason. */
  #lose(how: string, cause?: unknown): Error {
    const message = `the lease on "${this.#grasp.dataset}" ${how}`;
    const hint = "nothing was committed, because another run may be at work; run it again when that one has ended";
    this.#life.abort(new ZferryError("locked", message, cause === undefined ? { hint } : { hint, cause }));
    return reasonOf(this.signal);
  }

  async #release(): Promise<void> {
    const { clock, timing, warn, dataset } = this.#grasp;
    const isLost = this.signal.aborted && this.signal.reason !== this.#grasp.signal.reason;
    this.#upkeep.abort(new Error("released"));
    await Promise.all([this.#loops, this.#queue]);
    this.#upkeep.release();
    this.#life.release();
    // Deleting cannot be conditional. It need not be while nobody may take the lease over.
    const leftMs = timing.ttlMs - msSince(this.#renewedAt, clock);
    if (isLost || leftMs < Math.min(timing.ttlMs / 4, safeMs)) return;
    try {
      await this.#remove(AbortSignal.timeout(Math.ceil(Math.min(leftMs, releaseMs))));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      warn(`the lease on "${dataset}" could not be removed and runs out by itself: ${why}`);
    }
  }

  async #remove(signal: AbortSignal): Promise<void> {
    const { store, key } = this.#grasp;
    if (await this.isStillOwn(signal)) await store.delete([key], { signal });
  }
}

export function withoutConditions(store: Store): string {
  return `"${store.url}" refuses conditional writes: two hosts that start at the same moment are not kept apart`;
}
