/**
 * What a package of snapshots (`zfs send -R`, `-I`, `-p`) must hold, as far as its records tell.
 *
 * No checksum ties the snapshots of a package together, so a whole one could be cut out. Two things give that away:
 * within a data set each snapshot must follow on the one before, and the snapshot the package is named for must be
 * there. A child data set of `-R` that is missing altogether is not noticed (its name stands in an nvlist that is not
 * read here).
 */
import type { BeginRecord } from "./records.ts";

export interface PackageProblem {
  /** Ends a sentence that begins with the record. */
  readonly what: string;
  readonly hint: string;
}

/** More than libzfs can describe in the 64 MiB of a package's head. */
export const maxSnapshotCount = 1_000_000;

const hint = "a snapshot is missing from the package: look at the error output of `zfs send` and send it again";

export class SnapshotPackage {
  readonly #toName: string;
  #previous: BeginRecord | null = null;
  #count = 0;
  #hasNamesake = false;

  /** @param head - the BEGIN of the package itself */
  constructor(head: BeginRecord) {
    this.#toName = head.toName;
  }

  /** Takes the BEGIN of the next snapshot; null when it fits. */
  add(begin: BeginRecord): PackageProblem | null {
    const previous = this.#previous;
    this.#previous = begin;
    this.#hasNamesake ||= begin.toName === this.#toName;
    if (++this.#count > maxSnapshotCount) {
      return { what: `is of more than ${maxSnapshotCount} snapshots`, hint: "send the data sets one by one" };
    }
    if (previous === null || datasetOf(previous) !== datasetOf(begin)) return null;
    if (begin.fromGuid === previous.toGuid) return null;
    return { what: `("${begin.toName}") does not follow on "${previous.toName}", which came before it`, hint };
  }

  /** What is missing at the package's end; null when nothing is. */
  missing(): PackageProblem | null {
    if (this.#hasNamesake) return null;
    return { what: `ends a package that does not hold "${this.#toName}", for which it is named`, hint };
  }
}

function datasetOf({ toName }: BeginRecord): string {
  return toName.slice(0, toName.indexOf("@"));
}
