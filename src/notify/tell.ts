/**
 * Telling people what happened, without ever being in the way of what happens.
 *
 * A teller takes happenings and returns at once; what is to be sent goes out behind the run's back, and only
 * {@link Teller.end} waits, no longer than {@link longestWaitMs}. Nothing here rejects: what could not be told is a warning.
 *
 * What a run tells: `start` when a job begins and `success` when all of its datasets went well, both with `dataset` null;
 * `failure` of a dataset, or of the job when it came to none; `success` with a dataset, which is not sent, but is how a
 * `recovery` is known: that of whatever was told of this job and dataset before.
 */
import type { HappeningKind, NotifySettings } from "../config/notify.ts";
import type { DatasetName } from "../zfs/names.ts";

/** Something worth telling. `recovery` is never told from outside: it follows from a `success`. */
export interface Happening {
  readonly kind: HappeningKind;
  /** Null for what belongs to no job, as a `verify` of a dataset that has none. */
  readonly job: string | null;
  /** Null for the job as a whole. */
  readonly dataset: DatasetName | null;
  readonly at: Date;
  /** What, which dataset, why, and what to do; a line or few. Any length and any characters: it is cut and cleaned. */
  readonly text: string;
  /** Facts for programs, as they go into JSON. */
  readonly details: Readonly<Record<string, string | number | null>>;
}

export interface TellerOptions {
  readonly stateDir: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly warn: (text: string) => void;
  readonly now: () => Date;
  /** Aborting leaves what is still to be told two seconds. */
  readonly signal: AbortSignal;
}

export interface Teller {
  /** Takes note and returns at once; never rejects. */
  tell(happening: Happening): Promise<void>;
  /** Sees that what was told is sent, or given up and warned of. Never rejects; the teller is of no use afterwards. */
  end(): Promise<void>;
}

/** Tries to send one message. */
export const tryCount = 3;
/** Before each further try; Pushover asks for five seconds. */
export const pauseMs = 5000;

/** The longest that `end` can take, whatever there is to tell and whoever does not listen: notifiers are told side by side. */
export function longestWaitMs(settings: readonly NotifySettings[]): number {
  return Math.max(0, ...settings.map(({ timeoutMs }) => tryCount * timeoutMs + (tryCount - 1) * pauseMs));
}

/** A teller for the notifiers of the configuration; with none of them it does nothing. */
export function makeTeller(settings: readonly NotifySettings[], { warn }: TellerOptions): Teller {
  if (settings.length > 0) warn("nobody is told of this run: this version knows no notifiers");
  return { tell: () => Promise.resolve(), end: () => Promise.resolve() };
}
