/**
 * The configuration `zferry init` writes: every setting there is, commented, with what was asked for filled in.
 */

import { maxNameLength } from "./checks.ts";
import { isPlain } from "./globs.ts";

export interface StarterValues {
  readonly store: string;
  /** Names and globs, at least one. */
  readonly datasets: readonly string[];
  readonly isRecursive: boolean;
  readonly passphraseFile: string;
  /** What prune leaves in the store; null for everything. */
  readonly keep: { readonly daily: number; readonly weekly: number; readonly monthly: number } | null;
}

/** YAML text that `parseConfig` takes. What stands behind `# ` is a default, what stands behind `#   ` an example. */
export function starterConfig(values: StarterValues): string {
  return [head(values), encryption(values), told, defaults(values), jobs(values)].join("\n");
}

function head({ store }: StarterValues): string {
  return `# zferry's configuration. Everything is optional; the values shown are the defaults unless said otherwise.
# docs/configuration.md explains every setting. Flags of the command line win over this file.

# The state file (a cache), locks, and the journals that let an unfinished run be gone on with. Of this host alone.
# state_dir: /var/lib/zferry

# Where backups go.
stores:
  main:
    # s3://bucket/prefix?endpoint=https://ACCOUNT.r2.cloudflarestorage.com&region=auto, file:///path, or a path
    url: ${JSON.stringify(store)}
    # Where the keys of a bucket are: a file, variables, a command or a systemd credential. When left out they come from
    # AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from a profile.
    #   credentials: { file: /etc/zferry/r2.keys }
    # Size of an upload part. Memory is (concurrency + 1) parts. One object has at most 10,000 parts.
    # part_size: 16MiB
    # concurrency: 4
    # How long a failing request is tried again before the run fails.
    # retry_for: 1h
    # How long a host that has died keeps others from its datasets: retry_for and a minute, unless said otherwise.
    # lease_ttl: 61m
  # Another store, for copies of what is in the first one.
  #   usb: { url: /mnt/usb/zferry }
`;
}

function encryption({ passphraseFile }: StarterValues): string {
  return `encryption:
  # ocb (fast, gpg 2.2.21 reads it), cfb (every OpenPGP program reads it), rfc9580 (Sequoia reads it),
  # none (only for datasets that ZFS itself encrypts).
  # packet: ocb
  # The passphrase is the first line of this file, which only its owner may read. Without it the backups are lost:
  # keep a copy elsewhere.
  passphrase_file: ${JSON.stringify(passphraseFile)}
  # The other ways to give it:
  #   passphrase_env: ZFERRY_PASSPHRASE
  #   passphrase_command: pass show zferry
  #   passphrase_credential: zferry
  # OpenPGP certificates that can open new backups too, and private keys to open backups with.
  #   recipients: [/etc/zferry/offsite.asc]
  #   private_keys: [/root/offsite-secret.asc]
  # recipients: []
  # private_keys: []
`;
}

const told = `# Who is told of failures, recoveries and what is overdue; docs/monitoring.md has all kinds.
#   notify: [{ type: ntfy, topic: my-backups }, { type: mail, to: root }]
# notify: []
# A file for Prometheus's textfile collector.
#   metrics: { textfile: /var/lib/prometheus/node-exporter/zferry.prom }
# metrics: {}
`;

function defaults({ keep }: StarterValues): string {
  const policy = keep === null ? "# keep: { local: null, store: null }" : `keep: { store: { last: 3, daily: ${keep.daily}, weekly: ${keep.weekly}, monthly: ${keep.monthly} } }`;
  return `defaults:
  store: main
  # Size of one object, a multiple of part_size.
  # chunk_size: 1GiB
  # A new full is made when the last one is older; "never" to make one only when there is no other way.
  # full_every: 30d
  # And when an incremental would be larger than this share of the full, as in 50%.
  # full_when_incremental_exceeds: null
  # snapshot_prefix: zferry-
  # The zfs to run, as in [ssh, backup@host, zfs].
  # zfs: [zfs]
  # What is stopped for the moment of the snapshot, and started again; docs/quiesce.md has examples.
  #   hooks: [{ name: db, before_snapshot: [systemctl, stop, db], after_snapshot: [systemctl, start, db], timeout: 60s }]
  # hooks: []
  # How long that may take before it is told.
  #   max_downtime: 2m
  # What prune leaves, on the pool and in the store: last, within, daily, weekly, monthly, yearly, fulls; null for everything.
  ${policy}
  # Further stores to which every backup is copied, each with what is kept there; docs/copies.md.
  #   copies: [{ store: usb, keep: { daily: 7, monthly: 12 } }]
  # copies: []
  # Whether a run prunes by itself once its backup is committed: never, or after_backup.
  # prune: never
  # How often a run is expected, and the age of the last success at which a job is overdue.
  # every: 1d
  # overdue_after: 36h
  # Below which dataset drills restore (without one: a pool in a file), and how many files they read there; docs/recovery.md.
  #   drill: { into: tank/drills, sample: 20 }
  # drill: {}
  # When another run of the dataset is at work: queue, or skip.
  # when_running: queue
  # A job that is not enabled is left out of runs that do not name it; status warns after a while.
  # enabled: true
  # disabled_warning_after: 7d
  # Worker threads for ciphers and hashes: 0, 1, 2, or auto, which is 2 where there is more than one core and else 0.
  # threads: auto
`;
}

function jobs({ datasets, isRecursive }: StarterValues): string {
  const [first = ""] = datasets;
  const isOne = datasets.length === 1 && isPlain(first);
  return `# A job can override any of the defaults but threads.
jobs:
  ${JSON.stringify(nameOf(first))}:
    # One dataset, or several: datasets: [tank/home, tank/services/*]
    ${isOne ? `dataset: ${JSON.stringify(first)}` : `datasets: ${JSON.stringify(datasets)}`}
    # All below them too, but for those that are excluded.
    ${isRecursive ? "recursive: true" : "# recursive: false"}
    # exclude: []
    # Jobs of one group share one stop of their services, and one atomic snapshot.
    #   group: evening
    # Files instead of streams, copied by rclone, restic or the like: docs/files-mode.md.
    #   mode: files
    #   files: { engine: rclone, remote: "r2:bucket/folder" }
`;
}

/** The dataset's own name, without globs, as far as a job's may go (`checks.ts`). */
function nameOf(pattern: string): string {
  const name = pattern.split("/").filter(isPlain).join("-").replace(/^-+/, "").slice(0, maxNameLength);
  return name === "" ? "all" : name;
}
