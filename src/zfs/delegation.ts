/**
 * What `zfs allow` says somebody may do with a dataset.
 */
import { userInfo } from "node:os";
import { runZfs, type Cancellable, type Zfs } from "./command.ts";
import type { DatasetName } from "./names.ts";

/**
 * The permissions that a user has on a dataset, by name and as one of everyone.
 *
 * Whether the user is in a group is not looked up: what a group has counts, so that nobody is warned who need not be.
 *
 * @returns null where a set of permissions (`@name`) hides what they are
 */
export async function readDelegation(zfs: Zfs, dataset: DatasetName, user: string, options: Cancellable): Promise<ReadonlySet<string> | null> {
  const text = await runZfs(zfs, ["allow", "--", dataset], options);
  return permissionsIn(text, dataset, user);
}

/** Whom `zfs allow` would name for this process; null for a number that nobody has given a name, as in a container. */
export function ownName(): string | null {
  try {
    return userInfo().username;
  } catch {
    return null;
  }
}

/**
 * Reads its blocks, one for the dataset and one for each above it that hands permissions down. `Local` ones of a
 * dataset above do not come down; those of `Descendent` alone do not hold for the dataset itself.
 */
export function permissionsIn(text: string, dataset: DatasetName, user: string): ReadonlySet<string> | null {
  const granted = new Set<string>();
  let [isOwn, reach] = [false, ""];
  for (const line of text.split("\n")) {
    const block = /^---- Permissions on (.*?) -*$/.exec(line)?.[1];
    const heading = /^(Permission sets|Create time|Local\+Descendent|Local|Descendent)\b.*:$/.exec(line)?.[1];
    if (block !== undefined) isOwn = block === dataset;
    if (heading !== undefined) reach = heading;
    const [, who, name, list] = /^\t(?:(user|group) (\S+)|everyone) (\S+)$/.exec(line) ?? [];
    const holds = reach === "Local+Descendent" || reach === (isOwn ? "Local" : "Descendent");
    if (list === undefined || !holds || (who === "user" && name !== user)) continue;
    for (const permission of list.split(",")) granted.add(permission);
  }
  return [...granted].some((permission) => permission.startsWith("@")) ? null : granted;
}
