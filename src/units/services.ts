/** What a service and a timer look like, whatever they are for. */
import { confinement } from "./confinement.ts";
import { commandLine, plain, type Section, type Setting, unitFile, type UnitFile, word } from "./unit-text.ts";

/** What all services have in common: how zferry is started on this machine, and with what. */
export interface Ground {
  /** Node and the program, by full path. */
  readonly program: readonly [string, ...string[]];
  readonly configFile: string;
  readonly workingDirectory: string;
  readonly stateDir: string;
  /** Folders beside the state folder that are written to. */
  readonly writable: readonly string[];
  /** Names of the systemd credentials the configuration asks for: passphrase, keys of stores, and what notifiers need. */
  readonly credentials: readonly string[];
  /** Credentials as systemd-creds(1) encrypts them, rather than plain files that only root may read. */
  readonly isEncrypted: boolean;
  /** Notifiers or secrets are commands of the user's own. */
  readonly runsOthers: boolean;
}

/** One service. */
export interface ServiceRequest {
  /** Without its ending. */
  readonly name: string;
  readonly about: readonly string[];
  readonly description: string;
  /** Its command line, as {@link invocation} makes one. */
  readonly command: string;
  /** What the command runs that is neither zferry nor zfs. */
  readonly runsOthers: boolean;
  /** Names of those it needs: systemd does not start a service when one of them is missing. */
  readonly credentials: readonly string[];
  /** What is added to the sections every service has. */
  readonly unit: readonly Setting[];
  readonly service: readonly Setting[];
  readonly install: readonly Setting[];
}

/** Variables of S3 accounts and the like; need not be there. */
const environmentFile = "-/etc/zferry/environment";

export function service(ground: Ground, request: ServiceRequest): UnitFile {
  const { name, about, description, command, unit, install } = request;
  const sections: Section[] = [
    ["Unit", [["Description", plain(description)], ...unit]],
    ["Service", [["Type", "oneshot"], ["ExecStart", command], ...serviceSettings(ground, request)]],
  ];
  if (install.length > 0) sections.push(["Install", install]);
  return unitFile(`${name}.service`, about, sections);
}

/** A command line of zferry. */
export function invocation({ program, configFile }: Ground, words: readonly string[]): string {
  return commandLine([...program, "--config", configFile, ...words]);
}

function serviceSettings(ground: Ground, { runsOthers, credentials, service: own }: ServiceRequest): readonly Setting[] {
  const { workingDirectory, stateDir, writable } = ground;
  const isShared = runsOthers || ground.runsOthers;
  return [
    // zferry itself sees to its children; what it leaves is killed when it has ended.
    ...(own.some(([name]) => name === "KillMode") ? own : [["KillMode", "mixed"] as const, ...own]),
    ["WorkingDirectory", plain(workingDirectory)],
    ["EnvironmentFile", environmentFile],
    ...loaded(credentials, ground),
    ...stateFolder(stateDir),
    // What a hook starts, it would pass on.
    ...(isShared ? [] : [["UMask", "0077"] as const, ["Nice", 10] as const]),
    ...confinement({ runsOthers: isShared, writable: [stateDir, ...writable] }),
  ];
}

function loaded(names: readonly string[], { isEncrypted }: Ground): readonly Setting[] {
  if (isEncrypted) return [["LoadCredentialEncrypted", names.map((name) => `${name}:/etc/credstore.encrypted/${name}`)]];
  return [["LoadCredential", names.map((name) => `${name}:/etc/credstore/${name}`)]];
}

/** systemd makes a folder of /var/lib before the service starts; any other is zferry's own affair. */
function stateFolder(stateDir: string): readonly Setting[] {
  const match = /^\/var\/lib\/([A-Za-z0-9_.-]+)$/.exec(stateDir);
  return match === null ? [] : [["StateDirectory", match[1] ?? ""], ["StateDirectoryMode", "0700"]];
}

/** `%n` is the unit itself. */
export const onFailure = "zferry-failed@%n.service";

/** Waits for the network, the pools, and what a reset may have left stopped; its failure is told. */
export function atWork(folders: readonly string[]): readonly Setting[] {
  return [
    ["Wants", "network-online.target"],
    ["After", "network-online.target zfs.target time-sync.target zferry-recover.service"],
    ["RequiresMountsFor", folders.map(word)],
    ["OnFailure", onFailure],
  ];
}

/** @param delay - seconds by which a start may be moved */
export function timer(name: string, description: string, times: readonly Setting[], delay: number): UnitFile {
  return unitFile(`${name}.timer`, [], [
    ["Unit", [["Description", plain(description)]]],
    // The same delay each time, so that the time between two runs stays what it is.
    ["Timer", [...times, ["RandomizedDelaySec", `${delay}s`], ["FixedRandomDelay", "true"]]],
    ["Install", [["WantedBy", "timers.target"]]],
  ]);
}
