/**
 * What verification can find, and how a failure of the engine becomes a finding.
 */
import { isZferryError, type ZferryError } from "./errors.ts";
import type { ObjectKey } from "./store/store.ts";

/** A stable name for a kind of finding: part of the public contract, never renamed. */
export type FindingKind =
  | "missing-chunk"
  | "extra-object"
  | "size"
  | "digest"
  | "seal"
  | "stream"
  | "receive"
  | "sample"
  | "base-missing"
  | "manifest-damaged"
  | "foreign-manifest"
  | "rolled-back";

export interface Finding {
  readonly kind: FindingKind;
  /** Index of the chunk, when it is about one. */
  readonly chunk: number | null;
  /** The object it is about, when it is about one. */
  readonly key: ObjectKey | null;
  /** One line; names the chunk, and the record or the bytes where they are known. */
  readonly message: string;
}

/** A finding about a backup as a whole, or about one object of it. */
export function finding(kind: FindingKind, message: string, key: ObjectKey | null = null): Finding {
  return { kind, chunk: null, key, message };
}

/** What a failed reading says of the backup; null for a failure that is not the backup's fault and ends the run. */
export function findingOf(error: unknown): Finding | null {
  if (!isZferryError(error)) return null;
  const kind = kindOf(error);
  return kind === null ? null : finding(kind, error.message);
}

function kindOf({ code }: ZferryError): FindingKind | null {
  if (code === "manifest-invalid") return "seal";
  if (code === "chunk-invalid") return "digest";
  return code === "message-invalid" || code === "stream-invalid" ? "stream" : null;
}
