/**
 * The table of failures: which of them another try may cure. Driven by what real services answer (R2 behind its edge
 * says 520–527 with HTML; B2, RGW and S3 their own codes), wider than the SDK's own table, which gives up on 408, 520,
 * `BadDigest` and `IncompleteBody` (measured with client-s3 3.1169).
 */
import { ZferryError } from "../errors.ts";

/**
 * `transient`: try again until the budget is gone. `digest`: bytes were damaged on their way; a second and third time
 * is no accident any more. `clock`: the SDK has just learnt the server's time; once is enough. `permanent`: trying
 * again is noise at best.
 */
export type Fault = "permanent" | "transient" | "digest" | "clock";

/** How many further tries each kind of failure is worth, whatever the budget. */
export const triesAfter: Readonly<Record<Fault, number>> = { permanent: 0, transient: Infinity, digest: 3, clock: 1 };

const faultOfCode = new Map<string, Fault>([
  ...[
    "ECONNRESET",
    "ECONNREFUSED",
    "ECONNABORTED",
    "EPIPE",
    "ETIMEDOUT",
    "EHOSTUNREACH",
    "EHOSTDOWN",
    "ENETUNREACH",
    "ENETDOWN",
    "ENETRESET",
    "ENOTFOUND",
    "EAI_AGAIN",
    "ESTALE",
    "ERR_STREAM_PREMATURE_CLOSE",
    "HPE_INVALID_EOF_STATE",
    "TimeoutError",
    "TruncatedReply",
    "RequestTimeout",
    "RequestTimeoutException",
    "IncompleteBody",
    "InternalError",
    "SlowDown",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "ClientDisconnect",
    "OperationAborted",
    "ConcurrentModification", // Ceph RGW, 409, for racing conditional puts
    "ConditionalRequestConflict",
  ].map((code): [string, Fault] => [code, "transient"]),
  ["BadDigest", "digest"],
  ["XAmzContentSHA256Mismatch", "digest"],
  ["RequestTimeTooSkewed", "clock"],
  ["QuotaExceeded", "permanent"],
  ["NotImplemented", "permanent"],
]);

/** 5xx that say "never" rather than "not now". */
const permanentStatuses = new Set([501, 505, 507]);

function faultOfStatus(status: number): Fault {
  if (status === 408 || status === 429) return "transient";
  return status >= 500 && !permanentStatuses.has(status) ? "transient" : "permanent";
}

/** A reply that ended before it was whole, or is not what the service promised. Another try may cure it. */
export function truncatedReply(message: string): Error {
  return Object.assign(new Error(message), { name: "TruncatedReply" });
}

/** The store received other bytes than were sent. */
export function badDigest(message: string): Error {
  return Object.assign(new Error(message), { name: "BadDigest" });
}

const exhausted = new WeakSet<Error>();

interface Tries {
  readonly count: number;
  readonly elapsedMs: number;
  /** Whether it was known before that the store is out of reach (`retry.ts`). */
  readonly isKnown: boolean;
}

/** The same failure, as one that has had all its tries; {@link faultOf} calls it permanent. */
export function givenUp(error: unknown, tries: Tries): Error {
  const message = error instanceof Error ? error.message : String(error);
  const spent = tries.isKnown ? "not tried for longer, because this store has been waited for in vain just before" : `given up after ${tries.count} tries in ${Math.round(tries.elapsedMs / 1000)} s`;
  const last = new ZferryError("store-failed", `${message}; ${spent}`, {
    hint: (error instanceof ZferryError ? error.hint : null) ?? "check the connection and the provider's status page",
    cause: error,
  });
  exhausted.add(last);
  return last;
}

/** The HTTP status of an SDK error; null when there was no reply. */
export function statusOf(error: unknown): number | null {
  if (!(error instanceof Error) || !("$metadata" in error)) return null;
  const status = (error.$metadata as { httpStatusCode?: unknown } | undefined)?.httpStatusCode;
  return typeof status === "number" ? status : null;
}

/** Looks a failure up, through the causes of a `store-failed`. */
export function faultOf(error: unknown): Fault {
  if (!(error instanceof Error) || exhausted.has(error)) return "permanent";
  if (error instanceof ZferryError) return error.code === "store-failed" ? faultOf(error.cause) : "permanent";
  const code = "code" in error && typeof error.code === "string" ? faultOfCode.get(error.code) : undefined;
  const named = code ?? faultOfCode.get(error.name);
  if (named !== undefined) return named;
  const status = statusOf(error);
  if (status === null) return "permanent";
  // A success that could not be read is a reply cut short.
  return status >= 200 && status < 300 ? "transient" : faultOfStatus(status);
}

/** The wait a server asked for with `Retry-After`, in milliseconds; 0 when it did not. */
export function retryAfterMs(error: unknown): number {
  if (error instanceof ZferryError) return retryAfterMs(error.cause);
  if (!(error instanceof Error) || !("$response" in error)) return 0;
  const response = error.$response as { headers?: Readonly<Record<string, string | undefined>> } | undefined;
  const seconds = Number(response?.headers?.["retry-after"] ?? "0");
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}
