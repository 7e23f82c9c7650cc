/**
 * `zpool`, which lies beside `zfs`: a pool in a file for as long as a drill takes, and what a pool can do.
 */
import { ZferryError } from "../errors.ts";
import { runZfs, type Cancellable, type Zfs } from "./command.ts";
import { complained } from "./complaints.ts";
import type { DatasetName } from "./names.ts";

/** The zpool of a zfs: `["sudo", "-n", "zpool"]` for `["sudo", "-n", "zfs"]`. @throws ZferryError `usage` when the command does not end in one */
export function zpoolBeside(zfs: Zfs): Zfs {
  const last = zfs.command[zfs.command.length - 1] ?? "";
  if (!/(^|\/)zfs$/.test(last)) {
    throw new ZferryError("usage", `there is no telling which zpool goes with "${zfs.command.join(" ")}"`, {
      hint: "name a zfs whose command ends in zfs",
    });
  }
  const [program, ...rest] = [...zfs.command.slice(0, -1), last.replace(/zfs$/, "zpool")];
  return { ...zfs, command: [program, ...rest] };
}

/** Whether zfs runs where zferry does, as far as its command tells. */
export function isHere({ command: [program] }: Zfs): boolean {
  return !/(^|\/)ssh$/.test(program);
}

/** Names of the pools that are imported. */
export async function listPools(zpool: Zfs, options: Cancellable): Promise<readonly string[]> {
  return (await runZfs(zpool, ["list", "-H", "-o", "name"], options)).split("\n").filter((line) => line !== "");
}

/** Makes a pool of one file that is there, mounted nowhere and remembered by nobody: after a reboot it is not imported. */
export async function createFilePool(zpool: Zfs, name: DatasetName, file: string, options: Cancellable): Promise<void> {
  await runZfs(zpool, ["create", "-o", "cachefile=none", "-O", "mountpoint=none", "-O", "atime=off", "--", name, file], options);
}

/** Destroys the pool of that name if it lies on `file`. That it is gone already is what was wanted. @returns false when another has the name */
export async function destroyFilePool(zpool: Zfs, name: DatasetName, file: string, options: Cancellable): Promise<boolean> {
  try {
    const devices = await runZfs(zpool, ["list", "-v", "-H", "-P", "--", name], options);
    if (!devices.split(/[\t\n]/).includes(file)) return false;
    await runZfs(zpool, ["destroy", "-f", "--", name], options);
    return true;
  } catch (error) {
    if (complained(error, `'${name}': no such pool`)) return true;
    throw error;
  }
}

/** Names of the features (`large_blocks`) that a pool has enabled or in use. */
export async function readPoolFeatures(zpool: Zfs, dataset: DatasetName, options: Cancellable): Promise<ReadonlySet<string>> {
  const [pool = ""] = dataset.split("/", 1);
  const lines = (await runZfs(zpool, ["get", "-H", "-o", "property,value", "--", "all", pool], options)).split("\n");
  const pairs = lines.map((line) => line.split("\t"));
  return new Set(pairs.flatMap(([name = "", value = ""]) => (name.startsWith("feature@") && value !== "disabled" ? [name.slice("feature@".length)] : [])));
}
