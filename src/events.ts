/**
 * What happens on the way, for programs that follow a run: with `--log-format json` one line each on stderr, which
 * `docs/json-output.md` describes. Names are never changed, members are added.
 *
 * The engine tells them to whoever asked for it, by {@link Tell}. It must not throw, and is waited for by nobody.
 */
import type { ErrorCode } from "./errors.ts";

export type Event =
  /** The command itself; `ended` is followed by an error when `exit` is not 0. */
  | { readonly event: "began"; readonly command: string; readonly version: string }
  | { readonly event: "ended"; readonly command: string; readonly exit: number; readonly seconds: number }
  /** A dataset of a job. */
  | { readonly event: "dataset-began"; readonly job: string; readonly dataset: string }
  | { readonly event: "planned"; readonly job: string; readonly dataset: string; readonly kind: "full" | "incremental" | "nothing"; readonly reason: string; readonly base: string | null }
  | { readonly event: "dataset-ended"; readonly job: string; readonly dataset: string; readonly outcome: string; readonly backup: string | null; readonly code: string | null; readonly seconds: number }
  /** Hooks before the snapshot are about to be run, and those after it have been. */
  | { readonly event: "hooks-began"; readonly jobs: readonly string[]; readonly hooks: readonly string[] }
  | { readonly event: "hooks-ended"; readonly jobs: readonly string[]; readonly downtimeSeconds: number | null; readonly failureCount: number }
  | { readonly event: "snapshot-taken"; readonly snapshot: string }
  /** `sent` is false for one that an earlier try had stored, which was only compared. */
  | { readonly event: "chunk-stored"; readonly store: string; readonly backup: string; readonly chunk: number; readonly bytes: number; readonly sent: boolean }
  /** From now on it exists. */
  | { readonly event: "committed"; readonly store: string; readonly backup: string; readonly kind: "full" | "incremental"; readonly streamBytes: number; readonly storedBytes: number; readonly chunkCount: number }
  /** Once a minute; `totalBytes` is a guess, and can be half of the truth. */
  | { readonly event: "progress"; readonly what: string; readonly bytes: number; readonly totalBytes: number | null; readonly seconds: number }
  | { readonly event: "request-retried"; readonly what: string; readonly attempt: number; readonly delaySeconds: number; readonly why: string }
  /** Another store is asked instead of one that failed. */
  | {
      readonly event: "fell-over";
      readonly backup: string | null;
      readonly chunk: number | null;
      readonly key: string | null;
      readonly store: string;
      readonly next: string;
      readonly code: ErrorCode;
      readonly why: string;
    }
  | { readonly event: "copy-began"; readonly job: string; readonly dataset: string; readonly from: string; readonly to: string }
  | { readonly event: "copy-ended"; readonly job: string; readonly dataset: string; readonly from: string; readonly to: string; readonly outcome: string; readonly code: string | null; readonly seconds: number }
  | { readonly event: "receive-began"; readonly backup: string; readonly target: string; readonly store: string; readonly bytes: number }
  | { readonly event: "receive-ended"; readonly backup: string; readonly target: string }
  | { readonly event: "backup-verified"; readonly backup: string; readonly level: string; readonly ok: boolean; readonly findingCount: number; readonly bytes: number }
  | { readonly event: "drill-began"; readonly job: string | null; readonly backup: string; readonly candidateCount: number; readonly seed: string }
  | { readonly event: "drill-ended"; readonly job: string | null; readonly backup: string | null; readonly ok: boolean; readonly rtoSeconds: number | null; readonly code: string | null }
  /** What was pruned, or could not be; `store` is null for a snapshot on the pool. */
  | { readonly event: "removed"; readonly what: "backup" | "snapshot" | "attempt"; readonly name: string; readonly store: string | null; readonly problem: string | null };

export type Tell = (event: Event) => void;
