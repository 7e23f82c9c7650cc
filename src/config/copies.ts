/**
 * Where else a job's backups go: `copies`, each a store with a policy of its own (`docs/copies.md`).
 */
import { z } from "zod";
import { type KeepPolicy, keepSchema } from "./keep.ts";
import { setting } from "./values.ts";

/** One copy of a job's backups. */
export interface CopySettings {
  /** A name under `stores`: not the job's own, nor that of another copy. */
  readonly store: string;
  /** What is copied, and what `prune` leaves there; null for everything. */
  readonly keep: KeepPolicy | null;
}

/** More than anybody has places for; beyond it a list is made by mistake. */
const maxCopies = 16;

/** The list as it stands in the file; copies are made in its order. */
export const copiesSchema = z
  .array(
    z.strictObject({
      store: setting(z.string(), "a name under `stores`"),
      keep: setting(keepSchema.nullable(), "what is copied, and what `prune` leaves there; null for everything", null).default(null),
    }),
  )
  .max(maxCopies, `must be ${maxCopies} copies or fewer`);
