/**
 * Which datasets a job means: names and globs, matched against what `zfs list` prints.
 *
 * `*` stands for any characters of one component and `?` for one of them; `**`, which is a component by itself, for any
 * number of components, at the end at least one: `tank/**` is all below `tank` without `tank` itself.
 */
import { type DatasetName, parseDatasetName } from "../zfs/names.ts";

/** The part of a job's settings that says which datasets. */
export interface Selection {
  /** Names and globs. */
  readonly datasets: readonly string[];
  /** Names and globs; each takes what is below it out as well. */
  readonly exclude: readonly string[];
  /** Takes in all that is below what `datasets` matches. */
  readonly isRecursive: boolean;
}

/** What a job's patterns came to. */
export interface Selected {
  /** In the order of `listed`; then names that were given in full and are not in it, so that nobody overlooks them. */
  readonly datasets: readonly DatasetName[];
  /** The patterns of `datasets`, and then those of `exclude`, that match nothing. */
  readonly idle: readonly string[];
}

/** Whether a pattern is a name. */
export function isPlain(pattern: string): boolean {
  return !/[*?]/.test(pattern);
}

/** Whether the selection stands as it is, without a look at what there is. */
export function isSettled({ datasets, isRecursive }: Selection): boolean {
  return !isRecursive && datasets.every(isPlain);
}

/** @param listed - every dataset there is, as `zfs list` sorts them */
export function selectDatasets({ datasets, exclude, isRecursive }: Selection, listed: readonly DatasetName[]): Selected {
  const [wanted, unwanted] = [datasets.map(matcherOf), exclude.map(matcherOf)];
  const among = (matchers: readonly RegExp[], name: string): boolean => matchers.some((matcher) => matcher.test(name));
  const isTaken = (name: DatasetName): boolean =>
    (isRecursive ? lineOf(name) : [name]).some((each) => among(wanted, each)) && !lineOf(name).some((each) => among(unwanted, each));
  const missing = datasets.filter((pattern) => isPlain(pattern) && !listed.some((name) => name === pattern)).map(parseDatasetName);
  const idleOf = (patterns: readonly string[], matchers: readonly RegExp[]): string[] =>
    patterns.filter((_, index) => !listed.some((name) => matchers[index]?.test(name) === true));
  return {
    datasets: [...listed.filter(isTaken), ...new Set(missing)],
    idle: [...idleOf(datasets, wanted), ...idleOf(exclude, unwanted)],
  };
}

/** What is wrong with a pattern; null when nothing is. */
export function flawOfPattern(text: string): string | null {
  if (text.split("/").some((part) => part.includes("**") && part !== "**")) return `in "${text}" the ** is not a component by itself, as in tank/**`;
  try {
    parseDatasetName(text.replaceAll(/[*?]/g, "x"));
    return null;
  } catch (error) {
    return isPlain(text) ? (error as Error).message : `"${text}" matches no dataset name there can be`;
  }
}

/** A dataset and all above it. */
function lineOf(name: string): string[] {
  return name.split("/").map((_, depth, parts) => parts.slice(0, depth + 1).join("/"));
}

function matcherOf(pattern: string): RegExp {
  const parts = pattern.split("/").map((part, index, { length }) => {
    const isLast = index === length - 1;
    if (part === "**") return isLast ? "[^/]+(?:/[^/]+)*" : "(?:[^/]+/)*";
    const text = part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`).replaceAll(String.raw`\*`, "[^/]*").replaceAll(String.raw`\?`, "[^/]");
    return isLast ? text : `${text}/`;
  });
  return new RegExp(`^${parts.join("")}$`);
}
