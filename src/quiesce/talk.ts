/**
 * What zferry and its guard say to each other, as JSON over a socket pair that both hold: when one of them dies, however,
 * the other sees it end.
 */
import type { ErrorCode } from "../errors.ts";
import type { QuiesceRecord } from "./record.ts";
import type { QuiesceLimits } from "./stack.ts";

/** An error as it goes from one process to another. */
export interface ToldError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | null;
}

export type ToGuard =
  | { readonly kind: "order"; readonly stateDir: string; readonly path: string; readonly record: QuiesceRecord; readonly limits: QuiesceLimits }
  /** The snapshot is there, or came to nothing. A socket that ends says the same. */
  | { readonly kind: "release" };

export type FromGuard =
  /** The first before-hook is about to begin. */
  | { readonly kind: "begun" }
  /** All before-hooks have succeeded. */
  | { readonly kind: "quiet" }
  | { readonly kind: "warn"; readonly text: string }
  /** Nothing more is going to happen. */
  | {
      readonly kind: "over";
      /** Why it never was quiet; null when it was. */
      readonly refusal: ToldError | null;
      readonly failures: readonly ToldError[];
    };
