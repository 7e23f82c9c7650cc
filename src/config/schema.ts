/**
 * The configuration file as zod sees it: YAML with snake_case names, what each may hold, and the words that explain it to
 * editors (`docs/schema/zferry.schema.json`) and to readers (`docs/configuration.md`). `config.ts` makes of it what the
 * program works with. The sections `keep`, `copies`, `hooks` and `notify` have files of their own.
 */
import { z } from "zod";
import { GiB, MiB } from "../bytes.ts";
import { packetNames } from "../format/layout.ts";
import { copiesSchema } from "./copies.ts";
import { filesSchema } from "./files.ts";
import { hooksSchema } from "./hooks.ts";
import { keepSchema } from "./keep.ts";
import { metricsSchema, notifySchema } from "./notify.ts";
import { credentialName, keysSchema } from "./secret-source.ts";
import { argv, concurrency, dataset, dayMs, duration, fullEvery, pattern, percentage, setting, size, snapshotPrefix, threads } from "./values.ts";

/** Everything is optional in the file; these are the values when nothing is said. */
export const defaultSettings = {
  chunkBytes: GiB,
  partBytes: 16 * MiB,
  concurrency: 4,
  retryMs: 60 * 60 * 1000,
  packet: "ocb",
  fullEveryMs: 30 * dayMs as number | null,
  snapshotPrefix: "zferry-",
  zfs: ["zfs"] as [string, ...string[]],
  everyMs: dayMs,
  /** Times `every`: what `overdue_after` is when nothing is said. */
  overdueFactor: 1.5,
  drillSample: 20,
  disabledWarningMs: 7 * dayMs,
} as const;

/** No shorter than a live holder can keep, no longer than a night (`store/lease-object.ts`). */
const [minLeaseMs, maxLeaseMs] = [10_000, dayMs];

const leaseTtl = duration.refine((ms) => ms >= minLeaseMs && ms <= maxLeaseMs, "must be from 10s to 1d");

const storeSchema = z.strictObject({
  url: setting(z.string().min(1), "`s3://bucket/prefix?endpoint=…&region=…&provider=…&path_style=…&profile=…&ca=…`, `file:///path`, or a path"),
  part_size: setting(size.default(defaultSettings.partBytes), "size of an upload part, 4 KiB or more; S3 and R2 take 5 MiB to about 5 GiB", "16MiB"),
  concurrency: setting(concurrency.default(defaultSettings.concurrency), "1 to 64 parts in flight; `get`, `restore` and `download` fetch two ranges at a time at most", 4),
  retry_for: setting(duration.default(defaultSettings.retryMs), "how long one failing request is tried again; once that was in vain, each further one of the run is tried once, until one succeeds", "1h"),
  lease_ttl: setting(leaseTtl, "10 s to 1 d: how long a host that has died keeps others from its datasets; when left out `retry_for` (`1m` at least) and `1m`").optional(),
  credentials: setting(keysSchema, "where the keys of an S3 store are; when left out `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or a profile").optional(),
});

const encryptionSchema = z.strictObject({
  packet: setting(z.enum(packetNames).default(defaultSettings.packet), "OpenPGP packet of the data", defaultSettings.packet),
  passphrase_file: setting(z.string(), "file whose first line is the passphrase, mode 0600").optional(),
  passphrase_env: setting(z.string(), "name of an environment variable that holds the passphrase").optional(),
  passphrase_command: setting(z.string(), "run by `sh -c`; the first line of its output is the passphrase").optional(),
  passphrase_credential: setting(credentialName, "name of a systemd credential whose first line is the passphrase").optional(),
  recipients: setting(z.array(z.string()).default([]), "files with OpenPGP certificates that can open new backups too", []),
  private_keys: setting(z.array(z.string()).default([]), "files with OpenPGP private keys, mode 0600; a passphrase given above unlocks them", []),
});

const keepSidesSchema = z.strictObject({
  local: setting(keepSchema.nullable(), "which snapshots stay on the pool: `last`, `within`, `daily`, `weekly`, `monthly`, `yearly`, `fulls`; null for all").optional(),
  store: setting(keepSchema.nullable(), "which backups stay in the store, in the same words").optional(),
});

const drillSchema = z.strictObject({
  into: setting(dataset, "a dataset below which drills restore, each into a new one that it destroys again; when left out, and without `--into`, a pool in a file of the state folder").optional(),
  sample: setting(z.number().int().min(0).max(99_999), "files that are read in what was restored, and compared with the source's snapshot where it still is on the pool", 20).optional(),
});

/** What `defaults` and each job take. */
const sharedSchema = z.strictObject({
  store: setting(z.string(), "a name under `stores`, or a URL; when left out the only store there is").optional(),
  chunk_size: setting(size, "size of one object, a multiple of the store's part size", "1GiB").optional(),
  full_every: setting(fullEvery, "age of the anchor at which a new full is made, or `never`; an anchor from the future, which a wrong clock made, is replaced at once", "30d").optional(),
  full_when_incremental_exceeds: setting(percentage.nullable(), "a new full is made when the incremental would be larger than this share of the full, as in `50%`; null for never", null).optional(),
  snapshot_prefix: setting(snapshotPrefix, "what names of new snapshots begin with: letters, digits and `_ . : -`, 64 at most", "zferry-").optional(),
  zfs: setting(argv, "the zfs to run, as in `[ssh, backup@host, zfs]`", ["zfs"]).optional(),
  hooks: setting(hooksSchema, "what is run around the snapshot; a job's list replaces that of `defaults`", []).optional(),
  max_downtime: setting(duration, "how long hooks may keep services down before it is told").optional(),
  keep: setting(keepSidesSchema, "how much `prune` leaves").optional(),
  copies: setting(copiesSchema, "further stores, each `{store: NAME, keep: POLICY or null}`, to which every backup is copied; a job's list replaces that of `defaults`; see [copies.md](copies.md)", []).optional(),
  prune: setting(z.enum(["never", "after_backup"]), "whether a run prunes by itself once its backup is committed", "never").optional(),
  every: setting(duration, "how often a run is expected", "1d").optional(),
  overdue_after: setting(duration, "age of the last success at which a job is overdue; when left out one and a half times `every`").optional(),
  drill: setting(drillSchema, "how `zferry drill` tries the job's backups; given at all, `zferry systemd` makes a monthly timer for it; see [recovery.md](recovery.md#drills)").optional(),
  when_running: setting(z.enum(["queue", "skip"]), "what a run does when another one of the same dataset is at work", "queue").optional(),
  enabled: setting(z.boolean(), "`false` leaves the job out of runs that do not name it", true).optional(),
  disabled_warning_after: setting(duration, "how long a job may be disabled before `status` warns", "7d").optional(),
});

/** What holds for all jobs, and for commands that have none. */
const defaultsSchema = sharedSchema.extend({
  threads: setting(threads, "worker threads for ciphers and hashes; `auto`: 2 where there is more than one core, else 0. `--threads` wins", "auto"),
});

const jobSchema = sharedSchema.extend({
  dataset: setting(dataset, "one dataset").optional(),
  datasets: setting(z.array(pattern).min(1), "instead of it: names and globs; see [datasets of a job](#datasets-of-a-job)").optional(),
  exclude: setting(z.array(pattern), "names or globs of datasets that are left out, with all below them", []).optional(),
  recursive: setting(z.boolean(), "all below the datasets too: one atomic snapshot, and a backup of each", false).optional(),
  mode: setting(z.enum(["stream", "files"]), "`stream`: backups of ZFS streams in a store; `files`: the files of a snapshot are copied by an engine ([files-mode.md](files-mode.md))", "stream").optional(),
  files: setting(filesSchema, "how `mode: files` copies").optional(),
  group: setting(z.string().min(1), "jobs of one group share one stop of their services and one atomic snapshot").optional(),
});

export type JobInput = z.output<typeof jobSchema>;
export type SharedInput = z.output<typeof sharedSchema>;
export type ConfigInput = z.output<typeof configSchema>;

export const configSchema = z.strictObject({
  state_dir: setting(z.string(), "folder of this host's own: the state file (a cache), locks, and the journals of unfinished runs, which hold their keys; refused when it, or what lies in it, belongs to anyone but you and root, or others can write it. When left out `/var/lib/zferry` for root, else `$XDG_STATE_HOME/zferry` or `~/.local/state/zferry`").optional(),
  stores: z.record(z.string(), storeSchema).default({}),
  encryption: encryptionSchema.prefault({}),
  notify: setting(notifySchema, "who is told of failures and the like", []),
  metrics: metricsSchema.prefault({}),
  defaults: defaultsSchema.prefault({}),
  jobs: z.record(z.string(), jobSchema).default({}),
});
