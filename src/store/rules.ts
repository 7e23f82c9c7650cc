/**
 * What a bucket does by itself, whatever zferry does: rules that delete objects when they are old, and locks that keep
 * them from being deleted. Read where the provider and the key allow it; not being allowed to look is an answer.
 */

/** What was read, or why it could not be: no right to look, or the provider has no such question. */
export type Look<T> = { readonly kind: "seen"; readonly value: T } | { readonly kind: "unknown"; readonly why: string };

/** A rule that deletes objects of ours. */
export interface Expiry {
  /** Its name at the provider. */
  readonly id: string;
  /** Of ours, what it is about: what keys begin with. */
  readonly prefix: string;
  /** After so many days, or on a day; null for the other of the two. */
  readonly afterDays: number | null;
  readonly on: Date | null;
}

/** How long each new object is locked. */
export interface DefaultLock {
  readonly mode: string;
  readonly days: number;
}

export interface BucketRules {
  /** Those that may hit objects under `manifests/` and `streams/`. */
  readonly expiries: Look<readonly Expiry[]>;
  /** Whether objects can be locked at all, and how new ones are; `byDefault` is null when they are not. */
  readonly locks: Look<{ readonly isEnabled: boolean; readonly byDefault: DefaultLock | null }>;
}

/** What keeps one object from being deleted. */
export interface ObjectLock {
  /** Null without a time. */
  readonly until: Date | null;
  /** `GOVERNANCE`, `COMPLIANCE`, or what the provider calls it; null without a time. */
  readonly mode: string | null;
  /** A legal hold: locked until somebody takes it off. */
  readonly isOnHold: boolean;
}
