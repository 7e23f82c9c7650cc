/**
 * What a hook finds around it: a short list of the run's variables, and what tells it what this is about.
 */
import { KiB } from "../bytes.ts";
import type { QuiesceRecord } from "./record.ts";

/**
 * For finding programs and for talking to their servers. Nothing else is handed on, because a passphrase, a token and the
 * store's keys are in variables whose names only the configuration knows.
 */
const passedOn = new Set([
  ..."PATH HOME USER LOGNAME SHELL TZ TMPDIR LANG LANGUAGE LC_ALL LC_CTYPE LC_MESSAGES LC_TIME LD_LIBRARY_PATH".split(" "),
  ..."XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS SSH_AUTH_SOCK".split(" "),
  ..."DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG COMPOSE_FILE COMPOSE_PROJECT_NAME COMPOSE_PROFILES CONTAINER_HOST KUBECONFIG".split(" "),
  ..."PGHOST PGPORT PGUSER PGDATABASE PGPASSFILE PGSERVICE PGSERVICEFILE MYSQL_HOME".split(" "),
]);

/** Linux takes 128 KiB for one variable, and a hook needs no more to know what it is for. */
const maxListChars = 64 * KiB;

/** Of a run's environment what hooks get. */
export function handedOn(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined && passedOn.has(entry[0]));
  return Object.fromEntries(kept);
}

/** The singular is the first of the list; a list has a line for each, and is left empty when it is longer than 64 KiB. */
export function surroundings({ environment, subject }: QuiesceRecord, phase: "before_snapshot" | "after_snapshot"): Record<string, string> {
  return {
    ...environment,
    ZFERRY_PHASE: phase,
    ZFERRY_JOB: subject.jobs[0] ?? "",
    ZFERRY_JOBS: listed(subject.jobs),
    ZFERRY_DATASET: subject.datasets[0] ?? "",
    ZFERRY_DATASETS: listed(subject.datasets),
    ZFERRY_SNAPSHOT: subject.snapshots[0] ?? "",
    ZFERRY_SNAPSHOTS: listed(subject.snapshots),
  };
}

function listed(names: readonly string[]): string {
  const text = names.join("\n");
  return Buffer.byteLength(text) > maxListChars ? "" : text;
}
