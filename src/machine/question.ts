/** What the doctor asks of this machine: with what, and the two answers there are. */
import { access } from "node:fs/promises";
import type { Config, EncryptionSettings } from "../config/config.ts";
import type { JobSettings } from "../config/jobs.ts";
import type { ProbeResult } from "../doctor-probes.ts";
import type { Zfs } from "../zfs/command.ts";

export interface MachineRequest {
  readonly config: Config;
  readonly stateDir: string;
  readonly encryption: EncryptionSettings;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly isRoot: boolean;
  readonly zfsFor: (job: JobSettings) => Zfs;
  /** Where a job's backups go: its store, and those of its copies. @throws ZferryError when one cannot be told */
  readonly storeUrlsOf: (job: JobSettings) => readonly string[];
  /** Called as each question is answered. */
  readonly onResult: (result: ProbeResult) => void;
  readonly signal: AbortSignal;
}

export function fine(name: string, detail: string): ProbeResult {
  return { name, outcome: "ok", detail, consequence: null };
}

export function finding(name: string, detail: string, consequence: string): ProbeResult {
  return { name, outcome: "finding", detail, consequence };
}

/** @param mode - of `fs.constants`: what must be possible */
export async function isThere(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode);
    return true;
  } catch {
    return false;
  }
}
