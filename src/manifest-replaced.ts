/**
 * The store gave one manifest to whoever listed and chose, and another one to whoever reads.
 */
import { ZferryError } from "./errors.ts";
import type { BackupEntry } from "./format/entry.ts";
import { manifestKey } from "./format/layout.ts";
import type { ObjectKey } from "./store/store.ts";

/** A `manifest-invalid` of its own, which `verify` tells as `rolled-back`. */
export class ManifestReplaced extends ZferryError {
  readonly key: ObjectKey;

  constructor(listed: BackupEntry, now: BackupEntry) {
    const told = ({ attempt, committedAt }: BackupEntry): string => `attempt ${attempt}, committed at ${committedAt.toISOString()}`;
    super("manifest-invalid", `the manifest of "${listed.backup}" is not the one it was: ${told(now)}, in the place of ${told(listed)}`, {
      hint: "someone has replaced it, or the store gives one answer at one time and another at the next: try again, then use a second copy; `zferry state rebuild` forgets what this host has read before",
    });
    this.key = manifestKey(listed.backup);
  }
}
