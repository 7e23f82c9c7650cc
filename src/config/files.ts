/**
 * How a job of `mode: files` copies the files of its datasets: by which engine, and where that one sees them
 * (docs/files-mode.md).
 */
import { z } from "zod";
import { type KeepPolicy, keepSchema } from "./keep.ts";
import { argv, dayMs, duration, setting } from "./values.ts";

type Argv = readonly [string, ...string[]];

/** What does the copying, with the files in front of it. */
export type FilesEngine =
  | { readonly kind: "command"; readonly command: Argv }
  | { readonly kind: "rclone"; readonly operation: "sync" | "copy"; readonly remote: string; readonly args: readonly string[] }
  /** `isEncrypted`: each file as an OpenPGP message. `keep`: how many lists stay; null for all. */
  | { readonly kind: "s3"; readonly isEncrypted: boolean; readonly keep: KeepPolicy | null };

/** Those that are programs, which get their files by a working directory. */
export type ProgramEngine = Exclude<FilesEngine, { kind: "s3" }>;

/** Where the files of the snapshot are seen: in ZFS's own folder, by a mount of ours, or by what two commands make of it. */
export type FilesView = "auto" | "snapdir" | "mount" | { readonly mount: Argv; readonly unmount: Argv };

export interface FilesSettings {
  readonly engine: FilesEngine;
  readonly view: FilesView;
  /** Names of variables that are handed on to the engine; one that ends in `*` is a beginning. */
  readonly passEnvironment: readonly string[];
  /** Exit statuses that are a success with a warning. */
  readonly warningExits: readonly number[];
  /** After which the engine is ended; null for never. */
  readonly timeoutMs: number | null;
  /** Of silence, after which a run says that it is still at work. */
  readonly heartbeatMs: number;
}

/** Node's timers count to 2^31 - 1 ms. */
const maxWaitMs = 24 * dayMs;
const wait = duration.refine((ms) => ms <= maxWaitMs, "must be 24d or less");
const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*\*?$/, "must be the name of an environment variable, or the beginning of some and a *");

const defaultHeartbeatMs = 5 * 60_000;
/** Which members go with one engine only. */
const memberOf = { command: "command", remote: "rclone", operation: "rclone", args: "rclone", encrypt: "s3", keep: "s3" } as const;
/** What an engine cannot do without. */
const needed = { command: "command", rclone: "remote", s3: null } as const;

export const filesSchema = z
  .strictObject({
    engine: setting(z.enum(["command", "rclone", "s3"]), "what copies them: a program of yours, rclone, or zferry itself into the job's `store`"),
    command: setting(argv, "of engine `command`: the program and its arguments, run in the folder of the files, which `ZFERRY_VIEW` names too").optional(),
    remote: setting(z.string().min(1), "of engine `rclone`: where to, as in `r2:bucket/documents`").optional(),
    operation: setting(z.enum(["sync", "copy"]), "of engine `rclone`: `sync` removes from the remote what is gone, `copy` does not", "sync").optional(),
    args: setting(z.array(z.string()), "of engine `rclone`: more of its arguments; those that zferry gives come before them", []).optional(),
    encrypt: setting(z.boolean(), "of engine `s3`: each file is an OpenPGP message, as `encryption` says; `false` leaves files as they are, and their list is sealed all the same where there is a key", true).optional(),
    keep: setting(keepSchema, "of engine `s3`: which runs can be restored, in the words of `keep`, without `fulls`; all when left out").optional(),
    view: setting(z.enum(["auto", "snapdir", "mount"]), "where the files are seen: `snapdir` in `.zfs/snapshot`, `mount` on a mount of zferry's own, `auto` in the first if it works", "auto").optional(),
    mount: setting(argv, "instead of `view`: a command that puts the files of `$ZFERRY_SNAPSHOT` into the empty folder `$ZFERRY_VIEW`").optional(),
    unmount: setting(argv, "with `mount`: leaves that folder empty again; may find it so").optional(),
    pass_environment: setting(z.array(variable), "variables the commands get, beside the few that hooks get: `RESTIC_PASSWORD_FILE`, `AWS_*`", []).optional(),
    warning_exits: setting(z.array(z.int().min(1).max(125)), "exit statuses that are a success with a warning, as borg's 1", []).optional(),
    timeout: setting(wait, "how long the engine may take before it is ended, 24 d at most; when left out as long as it likes").optional(),
    heartbeat: setting(wait, "of silence, after which the run says that it is still at work", "5m").optional(),
  })
  .superRefine((file, context) => {
    const issue = (path: string, message: string): void => {
      context.addIssue({ code: "custom", path: [path], message });
    };
    for (const [member, engine] of Object.entries(memberOf)) {
      if (engine !== file.engine && file[member as keyof typeof memberOf] !== undefined) issue(member, `goes with engine: ${engine}`);
    }
    const own = needed[file.engine];
    if (own !== null && file[own] === undefined) issue(own, "is missing");
    if (file.engine === "s3" && file.warning_exits !== undefined) issue("warning_exits", "goes with a program that copies");
    if (file.engine === "s3" && file.mount === undefined && file.pass_environment !== undefined) issue("pass_environment", "goes with a program");
    if (file.keep !== undefined && file.keep.fulls > 0) issue("keep", "of files has no fulls");
    if (file.mount === undefined && file.unmount !== undefined) issue("unmount", "goes with mount");
    if (file.mount !== undefined && file.unmount === undefined) issue("mount", "goes with unmount");
    if (file.mount !== undefined && file.view !== undefined) issue("mount", "has no place beside view: give one of them");
  })
  .transform((file): FilesSettings => ({
    engine: engineOf(file),
    view: file.mount !== undefined && file.unmount !== undefined ? { mount: file.mount, unmount: file.unmount } : (file.view ?? "auto"),
    passEnvironment: file.pass_environment ?? [],
    warningExits: file.warning_exits ?? [],
    timeoutMs: file.timeout ?? null,
    heartbeatMs: file.heartbeat ?? defaultHeartbeatMs,
  }));

interface EngineFile {
  readonly engine: FilesEngine["kind"];
  readonly command?: Argv | undefined;
  readonly remote?: string | undefined;
  readonly operation?: "sync" | "copy" | undefined;
  readonly args?: readonly string[] | undefined;
  readonly encrypt?: boolean | undefined;
  readonly keep?: KeepPolicy | undefined;
}

function engineOf({ engine, command, remote, operation, args, encrypt, keep }: EngineFile): FilesEngine {
  if (engine === "s3") return { kind: "s3", isEncrypted: encrypt ?? true, keep: keep ?? null };
  if (engine === "rclone") return { kind: "rclone", operation: operation ?? "sync", remote: remote ?? "", args: args ?? [] };
  return { kind: "command", command: command ?? [""] };
}

/**
 * What a job's files go to, for people: without arguments and the parameters of a remote, which could be anything.
 *
 * @param store - of the job, which engine `s3` puts them into
 */
export function targetOf({ engine }: FilesSettings, store: string): string {
  if (engine.kind === "s3") return store;
  return engine.kind === "rclone" ? `rclone:${engine.remote.split(",", 1)[0] ?? ""}` : `command:${engine.command[0].split("/").at(-1) ?? ""}`;
}

/** All programs it starts, as a shell would look for them. */
export function programsOf({ engine, view }: FilesSettings): readonly string[] {
  const engines = engine.kind === "s3" ? [] : engine.kind === "rclone" ? ["rclone"] : [engine.command[0]];
  return typeof view === "string" ? [...engines, ...(view === "snapdir" ? [] : ["mount", "umount"])] : [...engines, view.mount[0], view.unmount[0]];
}
