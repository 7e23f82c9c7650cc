/**
 * What verification can find, and how a failure of the engine becomes a finding.
 */
import { isZferryError, type ZferryError } from "../errors.ts";
import { ManifestReplaced } from "../manifest-replaced.ts";
import type { ObjectKey } from "../store/store.ts";

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

/** In every message about what is gone or another one: why it is only a hint, and how to end it. */
export const memory = "this host's state file is the only witness: if that was done on purpose, run `zferry state rebuild`";

/** A manifest that is another one than this host has read, whatever the listing says. */
export function replaced({ message, key }: ManifestReplaced): Finding {
  return finding("rolled-back", `${message}; ${memory}`, key);
}

/** What a failed reading says of the backup; null for a failure that is not the backup's fault and ends the run. */
export function findingOf(error: unknown): Finding | null {
  if (!isZferryError(error)) return null;
  if (error instanceof ManifestReplaced) return replaced(error);
  const kind = kindOf(error);
  return kind === null ? null : finding(kind, error.message);
}

function kindOf({ code }: ZferryError): FindingKind | null {
  if (code === "manifest-invalid") return "seal";
  if (code === "chunk-invalid") return "digest";
  return code === "message-invalid" || code === "stream-invalid" ? "stream" : null;
}
