/**
 * What an S3 service refused, in the words of the store's contract. The message names the S3 code, the HTTP status and
 * the request id, which is what a provider's support asks for; it never holds a header or a key.
 */
import { ZferryError } from "../errors.ts";
import { statusOf } from "./transient.ts";

/** A service's own name for the failure, or Node's. */
export function s3CodeOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if ("Code" in error && typeof error.Code === "string") return error.Code;
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}

/** True when the service says there is no such object or upload: 404 of a HEAD has no code. */
export function isMissing(error: unknown): boolean {
  return ["NoSuchKey", "NotFound"].includes(s3CodeOf(error) ?? "") || (statusOf(error) === 404 && !isNoBucket(error));
}

export function isNoUpload(error: unknown): boolean {
  return s3CodeOf(error) === "NoSuchUpload";
}

function isNoBucket(error: unknown): boolean {
  return s3CodeOf(error) === "NoSuchBucket";
}

/** AWS says 400 to temporary credentials that have run out (docs.aws API/ErrorResponses). */
const spentCredentials = new Set(["ExpiredToken", "InvalidToken", "TokenRefreshRequired"]);

/** A clock that is wrong is not a right that is missing, and the SDK learns the server's time from this reply. */
function isDenied(status: number | null, code: string): boolean {
  return ((status === 401 || status === 403) && code !== "RequestTimeTooSkewed") || spentCredentials.has(code);
}

/** True when `If-None-Match` or `If-Match` said no. */
export function isRefusedByCondition(error: unknown): boolean {
  return statusOf(error) === 412 || s3CodeOf(error) === "PreconditionFailed";
}

/** `SlowDown (503), request id "…"`. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const status = statusOf(error);
  const requestId = (error as { readonly $metadata?: { readonly requestId?: string } }).$metadata?.requestId;
  const code = s3CodeOf(error) ?? "Error";
  // A HEAD's refusal has no body, so the SDK has only placeholders to say.
  const isNamed = !["Unknown", "UnknownError", "Error", String(status)].includes(code);
  // With a reply that was no XML the message is a parser's, over several lines, and may quote a page of HTML.
  const isParsers = error.message.includes("\n") || error.message.length > 200;
  const isSaid = !["", "UnknownError", code].includes(error.message) && !isParsers;
  return [
    status === null ? code : isNamed ? `${code} (${status})` : `HTTP status ${status}`,
    isSaid ? `: ${error.message}` : "",
    requestId === undefined ? "" : `, request id "${requestId}"`,
  ].join("");
}

/**
 * @param what - completes "cannot …", with the key and the store's URL
 * @returns the error itself when it already speaks those words
 */
export function asS3Error(error: unknown, what: string): ZferryError {
  if (error instanceof ZferryError) return error;
  const message = `cannot ${what}: ${describe(error)}`;
  const status = statusOf(error);
  const code = s3CodeOf(error) ?? "";
  if (isNoBucket(error)) {
    const hint = "check the bucket's name, the region and the endpoint";
    return new ZferryError("store-not-found", message, { hint, cause: error });
  }
  if (code === "QuotaExceeded" || status === 507) {
    return new ZferryError("store-full", message, { hint: "raise the quota or prune", cause: error });
  }
  if (code === "CredentialsProviderError") {
    const hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with ?profile=";
    return new ZferryError("store-denied", message, { hint, cause: error });
  }
  if (isDenied(status, code)) {
    const hint = "check the access key, its permissions on this bucket and prefix, and the clock";
    return new ZferryError("store-denied", message, { hint, cause: error });
  }
  const hint = status === 501 ? { hint: "name the provider with ?provider= if it was not recognised" } : {};
  return new ZferryError("store-failed", message, { ...hint, cause: error });
}
