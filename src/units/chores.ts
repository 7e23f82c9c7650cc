/** What runs around the backups: once for each store, or once. */
import type { JobSettings } from "../config/jobs.ts";
import { atWork, type Ground, invocation, onFailure, service, timer } from "./services.ts";
import { type Setting, type UnitFile, unitName } from "./unit-text.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

export interface ChoreGround extends Ground {
  /** Of the credentials those that notifiers need. */
  readonly tellingCredentials: readonly string[];
  /** Bytes that are read a week for each store, as `--budget` takes them. */
  readonly verifyBudget: string;
}

/** One of them. */
interface Chore {
  readonly name: string;
  readonly says: string;
  readonly words: readonly string[];
  readonly calendar: string;
  /** By how much its start may be moved. */
  readonly delayMs: number;
  readonly own?: readonly Setting[];
  /** Runs what is neither zferry nor zfs. */
  readonly runsOthers?: boolean;
  /** All when left out. */
  readonly credentials?: readonly string[];
}

function chore(ground: ChoreGround, { name, says, words, calendar, delayMs, own = [], runsOthers = false, credentials = ground.credentials }: Chore): readonly UnitFile[] {
  return [
    service(ground, {
      name,
      about: [],
      description: says,
      command: invocation(ground, words),
      runsOthers,
      credentials,
      unit: atWork(ground.writable),
      service: own,
      install: [],
    }),
    timer(name, `When: ${says}`, [["OnCalendar", calendar], ["Persistent", "true"]], delayMs / 1000),
  ];
}

/** What is done for each store by itself. @param store - as jobs name it */
export function choresOf(ground: ChoreGround, store: string): readonly UnitFile[] {
  return [
    ...chore(ground, {
      name: unitName("zferry-verify-", store),
      says: `zferry verify of what is stored in ${store}, the longest unverified first`,
      words: ["verify", "--store", store, "--budget", ground.verifyBudget],
      calendar: "Sat *-*-* 10:00:00",
      delayMs: 6 * hourMs,
    }),
    ...chore(ground, {
      name: unitName("zferry-strays-", store),
      says: `zferry removal of what killed runs left in ${store}`,
      words: ["prune", "--strays", "--store", store, "--yes"],
      calendar: "Sat *-*-* 06:00:00",
      delayMs: hourMs,
    }),
  ];
}

/** @param runsOthers - the zfs of a job is more than one word, as over ssh */
export function pruneUnits(ground: ChoreGround, { runsOthers }: { runsOthers: boolean }): readonly UnitFile[] {
  return chore(ground, {
    name: "zferry-prune",
    says: "zferry removal of what the retention policies do not keep",
    words: ["prune", "--yes"],
    calendar: "*-*-* 07:00:00",
    delayMs: hourMs,
    runsOthers,
  });
}

/** @param jobs - at least one; each has one of its backups restored, by lot */
export function drillUnits(ground: ChoreGround, jobs: readonly Pick<JobSettings, "name" | "zfs">[]): readonly UnitFile[] {
  return chore(ground, {
    name: "zferry-drill",
    says: "zferry trial restores",
    words: ["drill", ...jobs.map(({ name }) => name)],
    calendar: "*-*-01 12:00:00",
    delayMs: 6 * hourMs,
    runsOthers: jobs.some(({ zfs }) => zfs.length > 1),
  });
}

/**
 * Finding something is what `status` is for: it has told of it, and is no failure of the unit.
 *
 * @param everyMs - how often the most frequent job runs
 */
export function statusUnits(ground: ChoreGround, everyMs: number): readonly UnitFile[] {
  return chore(ground, {
    name: "zferry-status",
    says: "zferry look at what is overdue, and word of it",
    words: ["status", "--notify"],
    calendar: everyMs < hourMs ? "*-*-* *:00/10:00" : "*-*-* *:00:00",
    delayMs: 5 * minuteMs,
    own: [["SuccessExitStatus", 3]],
    credentials: ground.tellingCredentials,
  });
}

/** Once after boot; the runs wait for it. Started again by hand it does nothing more. */
export function recoverService(ground: ChoreGround, { hasHooks }: { hasHooks: boolean }): UnitFile {
  return service(ground, {
    name: "zferry-recover",
    about: ["After a reset in the middle of a snapshot: starts again what zferry had stopped."],
    description: "zferry start of what a killed run left stopped",
    command: invocation(ground, ["recover", "--state-dir", ground.stateDir]),
    runsOthers: hasHooks,
    credentials: [], // it reads no configuration
    unit: [
      ["Wants", "network-online.target"],
      ["After", "local-fs.target zfs.target network-online.target dbus.service docker.service podman.service"],
      ["OnFailure", onFailure],
    ],
    service: [["RemainAfterExit", "yes"], ["KillMode", "process"]],
    install: [["WantedBy", "multi-user.target"]],
  });
}

/** Started by systemd for a unit that failed, however it did: killed, out of memory, with a configuration nobody can read. */
export function failedService(ground: ChoreGround): UnitFile {
  return service(ground, {
    name: "zferry-failed@",
    about: ["Started by OnFailure= of the other units; the instance is the unit that failed."],
    description: "zferry word of a failed unit",
    command: `${invocation(ground, ["notify", "--unit"])} %i`,
    runsOthers: false,
    credentials: ground.tellingCredentials,
    unit: [["Wants", "network-online.target"], ["After", "network-online.target"]],
    service: [],
    install: [],
  });
}
