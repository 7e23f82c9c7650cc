/**
 * The units of a configuration: a service and a timer for each job, or for each group of jobs, and what runs around them.
 *
 * A pure function; `install.ts` puts them where they belong. docs/timers.md explains the choices to whoever reads the units.
 */
import { type JobSettings, jobsOfStreams } from "../config/jobs.ts";
import { delaySeconds, timesOf } from "./calendar.ts";
import { type ChoreGround, choresOf, drillUnits, failedService, pruneUnits, recoverService, statusUnits } from "./chores.ts";
import { type Crew, crewsOf } from "./crews.ts";
import { atWork, invocation, service, timer } from "./services.ts";
import { plain, type Setting, type UnitFile } from "./unit-text.ts";

export interface UnitsRequest extends ChoreGround {
  readonly jobs: readonly JobSettings[];
  /** When backups begin, in the words of systemd.time(7), instead of what each job's `every` gives. */
  readonly calendar: string | null;
  /** By how much a start may be moved, instead of a tenth of `every`. */
  readonly randomDelayMs: number | null;
  /** Removes what `keep` does not keep of jobs that do not prune by themselves. */
  readonly isPruning: boolean;
  /** The longest that telling somebody of a run's end takes. */
  readonly tellingMs: number;
}

/** What a stopped run needs beside its hooks: `zfs` that no signal reaches is given up after 20 s. */
const stopSeconds = 60;

/** Files in the order in which a person reads them: each job's service, its timer, then what is there once. */
export function unitsFor(request: UnitsRequest): readonly UnitFile[] {
  const crews = crewsOf(request.jobs);
  const ofStreams = jobsOfStreams(request.jobs);
  const stores = [...new Set(ofStreams.flatMap(({ store, copies }) => [store, ...copies.map((copy) => copy.store)]))];
  const drilled = ofStreams.filter(({ isEnabled, drill }) => isEnabled && drill.isTimed);
  return [
    ...crews.flatMap((crew) => [backupService(request, crew), backupTimer(request, crew)]),
    ...stores.flatMap((store) => choresOf(request, store)),
    ...(request.isPruning ? pruneUnits(request, { runsOthers: request.jobs.some(({ zfs }) => zfs.length > 1) }) : []),
    ...(drilled.length > 0 ? drillUnits(request, drilled) : []),
    ...statusUnits(request, Math.min(...request.jobs.map(({ everyMs }) => everyMs))),
    recoverService(request, { hasHooks: request.jobs.some(({ hooks, files }) => hooks.length > 0 || files !== null) }),
    failedService(request),
  ];
}

function backupService(request: UnitsRequest, { unit, jobs }: Crew): UnitFile {
  const hooks = jobs.flatMap((job) => job.hooks);
  const names = jobs.map((job) => job.name);
  const hookSeconds = hooks.reduce((sum, { timeoutMs }) => sum + Math.ceil(timeoutMs / 1000), 0);
  return service(request, {
    name: unit,
    about: [],
    description: `zferry backup of ${names.join(", ")}`,
    command: invocation(request, ["backup", ...names]),
    runsOthers: hooks.length > 0 || jobs.some(({ zfs, files }) => zfs.length > 1 || files !== null),
    credentials: request.credentials,
    unit: atWork(request.writable),
    service: [
      ...(hooks.length > 0 ? withHooks(request) : []),
      ["TimeoutStopSec", `${stopSeconds + hookSeconds + Math.ceil(request.tellingMs / 1000)}s`],
    ],
    install: [],
  });
}

/**
 * What was stopped for the snapshot is started again by a process beside zferry when zferry itself is killed: that one must
 * not be killed with it. What it cannot do any more, `recover` does, however the run ended.
 */
function withHooks(request: UnitsRequest): readonly Setting[] {
  return [
    ["KillMode", "process"],
    ["OOMPolicy", "continue"],
    ["ExecStopPost", `-${invocation(request, ["recover", "--state-dir", request.stateDir])}`],
  ];
}

function backupTimer(request: UnitsRequest, { unit, label, jobs }: Crew): UnitFile {
  const everyMs = Math.min(...jobs.map((job) => job.everyMs));
  const times: readonly Setting[] =
    request.calendar === null ? timesOf(everyMs) : [["OnCalendar", plain(request.calendar)], ["Persistent", "true"]];
  const delay = request.randomDelayMs === null ? delaySeconds(everyMs) : Math.floor(request.randomDelayMs / 1000);
  return timer(unit, `When zferry backs up ${label}`, times, delay);
}
