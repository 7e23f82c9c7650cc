/**
 * The one error class and the closed list of codes a caller may branch on.
 *
 * A message says what happened, to what and why; `hint` says what to do now. Both are lower case, end without a full
 * stop and put values in double quotes. Secrets never appear in either. `docs/errors.md` describes every code.
 */

/** Every code, with the exit status the command line gives it (`docs/errors.md`; design §7). */
export const exitStatusOf = {
  bug: 1,
  usage: 2,
  "config-invalid": 2,
  "secret-unusable": 2,
  "size-limits": 2,
  findings: 3,
  "backup-not-found": 10,
  locked: 11,
  "key-missing": 12,
  "key-wrong": 12,
  "stream-invalid": 13,
  "message-invalid": 13,
  "manifest-invalid": 13,
  "chunk-invalid": 13,
  "backup-conflict": 13,
  "zfs-failed": 14,
  "zfs-not-found": 14,
  "zfs-busy": 14,
  "zfs-permission": 14,
  "zfs-no-space": 14,
  "target-exists": 14,
  "target-modified": 14,
  "store-failed": 15,
  "store-denied": 15,
  "store-not-found": 15,
  "store-full": 15,
  "object-exists": 15,
  "object-missing": 15,
  "hook-failed": 16,
  "format-too-new": 17,
  "view-failed": 18,
  "engine-failed": 18,
  interrupted: 130,
  terminated: 143,
} as const;

/** A stable name for a kind of failure: part of the public contract, never renamed. */
export type ErrorCode = keyof typeof exitStatusOf;

interface ErrorDetails {
  /** What to do now, one line. */
  readonly hint?: string;
  /** The error underneath, kept for `--log-level debug`. */
  readonly cause?: unknown;
}

/** A failure the user is meant to read. Anything else that reaches `main` is a bug (exit 1). */
export class ZferryError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | null;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.name = "ZferryError";
    this.code = code;
    this.hint = details.hint ?? null;
  }
}

/** True for a {@link ZferryError} of one of the given codes (of any code when none is given). */
export function isZferryError(error: unknown, ...codes: readonly ErrorCode[]): error is ZferryError {
  return error instanceof ZferryError && (codes.length === 0 || codes.includes(error.code));
}

/** The exit status for whatever was thrown: the code's own, or 1 for anything unforeseen. */
export function exitStatus(error: unknown): number {
  return error instanceof ZferryError ? exitStatusOf[error.code] : exitStatusOf.bug;
}
