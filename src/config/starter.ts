/**
 * The configuration `zferry init` writes: every setting there is, commented, with what was asked for filled in.
 */

export interface StarterValues {
  readonly store: string;
  readonly dataset: string;
  readonly passphraseFile: string;
}

/** YAML text that `parseConfig` takes. */
export function starterConfig({ store, dataset, passphraseFile }: StarterValues): string {
  return `# zferry's configuration. Everything is optional; the values shown are the defaults unless said otherwise.
# Flags of the command line win over this file.

# The state file (a cache), locks, and the journals that let an unfinished run be gone on with. Of this host alone.
# state_dir: /var/lib/zferry

# Where backups go. Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile, never from here.
stores:
  main:
    # s3://bucket/prefix?endpoint=https://ACCOUNT.r2.cloudflarestorage.com&region=auto, file:///path, or a path
    url: ${JSON.stringify(store)}
    # Size of an upload part. Memory is (concurrency + 2) parts. One object has at most 10,000 parts.
    # part_size: 16MiB
    # concurrency: 4
    # How long a failing request is tried again before the run fails.
    # retry_for: 1h
    # How long a host that has died keeps others from its datasets: retry_for and a minute, unless said otherwise.
    # lease_ttl: 61m

encryption:
  # ocb (fast, gpg 2.2.21 reads it), cfb (every OpenPGP program reads it), rfc9580 (Sequoia reads it),
  # none (only for datasets that ZFS itself encrypts).
  # packet: ocb
  # The passphrase is the first line of this file, which only its owner may read. Without it the backups are lost:
  # keep a copy elsewhere. passphrase_env and passphrase_command are the other two ways to give it.
  passphrase_file: ${JSON.stringify(passphraseFile)}
  # OpenPGP certificates that can open new backups too, and private keys to open backups with.
  # recipients: [/etc/zferry/offsite.asc]
  # private_keys: [/root/offsite-secret.asc]

defaults:
  store: main
  # Size of one object, a multiple of part_size.
  # chunk_size: 1GiB
  # A new full is made when the last one is older; "never" to make one only when there is no other way.
  # full_every: 30d
  # snapshot_prefix: zferry-
  # The zfs to run, as in [ssh, backup@host, zfs].
  # zfs: [zfs]
  # Worker threads for ciphers and hashes: 0, 1, 2, or auto, which is 2 where there is more than one core and else 0.
  # threads: auto

# One dataset each. A job can override any of the defaults but threads.
jobs:
  ${JSON.stringify(dataset.replaceAll("/", "-"))}:
    dataset: ${JSON.stringify(dataset)}
`;
}
