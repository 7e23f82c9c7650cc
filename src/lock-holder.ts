/**
 * Who holds a local lock, said so exactly that another process can see whether it is still there. A process number alone
 * is not enough: it is given out again, and means nothing after a reboot or in another container.
 */
import { readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

export const lockHolderSchema = z.object({
  /** Null where there is no `/proc`; the same for the next three. */
  pid: z.int().positive().nullable(),
  /** `/proc/sys/kernel/random/boot_id`. */
  bootId: z.string().nullable(),
  /** The PID namespace: a container has its own, and its numbers mean nothing outside. */
  pidNamespace: z.string().nullable(),
  /** Clock ticks from boot to the start of the process, decimal (proc(5), `/proc/PID/stat` field 22). */
  startTime: z.string().nullable(),
  since: z.iso.datetime(),
  /** Random, so that no two locks have the same content. */
  nonce: z.string(),
});

export type LockHolder = z.output<typeof lockHolderSchema>;
export type ProcessIdentity = Pick<LockHolder, "pid" | "bootId" | "pidNamespace" | "startTime">;

/** This process; nulls where `procDir` does not say. */
export async function thisProcess(procDir: string): Promise<ProcessIdentity> {
  const [own, bootId, pidNamespace] = await Promise.all([
    readStat(join(procDir, "self")).catch(() => null),
    readFile(join(procDir, "sys/kernel/random/boot_id"), "utf8").catch(() => null),
    readlink(join(procDir, "self/ns/pid")).catch(() => null),
  ]);
  return { pid: own?.pid ?? null, bootId: bootId?.trim() ?? null, pidNamespace, startTime: own?.startTime ?? null };
}

/** Another process in sight of this one, as it is now. */
export async function processAt(pid: number, self: ProcessIdentity, procDir: string): Promise<ProcessIdentity> {
  const found = await readStat(join(procDir, String(pid))).catch(() => null);
  return { ...self, pid, startTime: found?.startTime ?? null };
}

/** `unknown` when it cannot be looked up from here. A zombie is gone: it runs no more code. */
export async function presenceOf(
  holder: ProcessIdentity,
  self: ProcessIdentity,
  procDir: string,
): Promise<"running" | "gone" | "unknown"> {
  const { pid, bootId, pidNamespace, startTime } = holder;
  if (pid === null || startTime === null || bootId === null || self.bootId === null) return "unknown";
  if (bootId !== self.bootId) return "gone";
  if (pidNamespace === null || pidNamespace !== self.pidNamespace) return "unknown";
  try {
    const found = await readStat(join(procDir, String(pid)));
    if (found === null) return "unknown";
    return found.startTime === startTime && !"ZXx".includes(found.state) ? "running" : "gone";
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    return ["ENOENT", "ESRCH"].includes(code) ? "gone" : "unknown";
  }
}

interface Stat {
  readonly pid: number;
  readonly state: string;
  readonly startTime: string;
}

/** Null for what is no such file. The second field is the program's name, which may hold anything, `)` included. */
async function readStat(folder: string): Promise<Stat | null> {
  const text = await readFile(join(folder, "stat"), "utf8");
  const pid = Number.parseInt(text, 10);
  const [state, ...further] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const startTime = further[18];
  return Number.isNaN(pid) || state === undefined || startTime === undefined ? null : { pid, state, startTime };
}
