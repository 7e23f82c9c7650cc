/**
 * `zferry doctor`, the part without the store: whether this machine has what the configuration speaks of.
 *
 * Nothing is changed. Whatever would make a run fail, or leave something without a backup, is a finding; what cannot be
 * looked into from here is skipped and says why.
 */
import { constants } from "node:fs";
import { dirname } from "node:path";
import { type JobSettings, jobsOfStreams } from "../config/jobs.ts";
import { programsOf } from "../config/files.ts";
import type { ProbeResult } from "../doctor-probes.ts";
import { isZferryError } from "../errors.ts";
import { readKeyring, readRecipients } from "../secrets.ts";
import { examineDatasets } from "./datasets.ts";
import { missingPrograms } from "./programs.ts";
import { fine, finding, isThere, type MachineRequest } from "./question.ts";

/** @throws the signal's reason; everything else is a result */
export async function examineMachine(request: MachineRequest): Promise<readonly ProbeResult[]> {
  const results: ProbeResult[] = [];
  const note = (more: readonly ProbeResult[]): void => {
    results.push(...more);
    more.forEach(request.onResult);
  };
  const jobs = [...request.config.jobs.values()];
  note([await examineStateFolder(request.stateDir)]);
  note([await examineSecrets(request)]);
  note(await examineDatasets(request));
  request.signal.throwIfAborted();
  note([await examineHooks(jobs, request.environment), ...(await examineEngines(jobs, request.environment)), disabledJobs(jobs)]);
  return results;
}

/** One that is not there is made by the first run, in the nearest folder above it that is. */
async function examineStateFolder(stateDir: string): Promise<ProbeResult> {
  const name = "state-folder";
  let folder = stateDir;
  while (!(await isThere(folder, constants.F_OK)) && folder !== dirname(folder)) folder = dirname(folder);
  if (!(await isThere(folder, constants.W_OK | constants.X_OK))) {
    return finding(name, `cannot write to "${folder}"`, "nothing runs: locks and journals have no place");
  }
  return fine(name, folder === stateDir ? `"${stateDir}" can be written` : `the first run makes "${stateDir}"`);
}

/** Reads them all, as a backup and a restore would. */
async function examineSecrets({ config, encryption, environment }: MachineRequest): Promise<ProbeResult> {
  const name = "secrets";
  try {
    const { passphrases, certificates } = await readRecipients(encryption, environment);
    await readKeyring(encryption, environment);
    const isNeeded = encryption.packet !== "none" && jobsOfStreams(config.jobs.values()).length > 0;
    if (passphrases.length + certificates.length === 0 && isNeeded) {
      return finding(name, "neither a passphrase nor a certificate is configured", "backups have nothing to be locked with and are refused");
    }
    return fine(name, `passphrases: ${passphrases.length}; certificates: ${certificates.length}; private keys: ${encryption.privateKeys.length}`);
  } catch (error) {
    if (!isZferryError(error)) throw error;
    return finding(name, error.message, `no backup is made or opened: ${error.hint ?? "see to it"}`);
  }
}

async function examineHooks(jobs: readonly JobSettings[], environment: MachineRequest["environment"]): Promise<ProbeResult> {
  const name = "hooks";
  const commands = jobs.flatMap(({ hooks }) => hooks.flatMap(({ before, after }) => [before, after])).filter((command) => command !== null);
  if (commands.length === 0) return fine(name, "no job has any");
  const missing = await missingPrograms(commands.map(([program]) => program), environment);
  if (missing.length === 0) return fine(name, `the programs of all ${commands.length} commands can be run`);
  const programs = missing.map((program) => `"${program}"`).join(", ");
  return finding(name, `cannot be run: ${programs}`, "jobs with these hooks fail before their snapshot, or leave services stopped after it");
}

/** What jobs of files run; nothing is said where there are none. */
async function examineEngines(jobs: readonly JobSettings[], environment: MachineRequest["environment"]): Promise<readonly ProbeResult[]> {
  const name = "engines";
  const programs = jobs.flatMap(({ files }) => (files === null ? [] : programsOf(files)));
  if (programs.length === 0) return [];
  const missing = (await missingPrograms(programs, environment)).map((program) => `"${program}"`).join(", ");
  if (missing === "") return [fine(name, "the programs of all jobs of files can be run")];
  return [finding(name, `cannot be run: ${missing}`, "jobs with these engines fail: install them, or give their full path")];
}

function disabledJobs(jobs: readonly JobSettings[]): ProbeResult {
  const name = "disabled";
  const disabled = jobs.filter(({ isEnabled }) => !isEnabled).map((job) => `"${job.name}"`);
  if (disabled.length === 0) return fine(name, "all jobs are enabled");
  return finding(name, `disabled: ${disabled.join(", ")}`, "no timer backs them up until enabled is true again");
}
