/**
 * The real systems that tests run against, and the one place where a test asks for them.
 *
 * `.ci/systems/up` starts them and prints the variables read here; programs are looked for in PATH. A test that asks for
 * what is not there is skipped, saying what is missing; with ZFERRY_TEST_ALL_SYSTEMS=1, as in CI, it fails instead.
 */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { env } from "node:process";
import type { TestContext } from "vitest";

/** A server with the S3 protocol. The keys are throw-away and the same for all of them. */
export interface S3System {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** A certificate to trust for an https endpoint, as a file; null where none is needed. */
  readonly caFile: string | null;
  /** Buckets that exist. Empty: make your own, under a random name. */
  readonly buckets: readonly string[];
}

/** OpenZFS 2.3 with pools `tsrc` and `tdst`, mounted under their names. Name datasets at random, destroy them after. */
export interface OpenZfsSystem {
  readonly zfs: string;
  readonly zpool: string;
  /** Runs where the pools are mounted: `sh -c "sha256sum /tsrc/x/file"`, with stdin and stdout passed through. */
  readonly sh: string;
}

/** OpenZFS 2.3 as programs without a kernel module (`.ci/systems/uz/uz.c` says what `uz` can do). */
export interface UserSpaceSystem {
  readonly uz: string;
  readonly zdb: string;
}

/** What each system is, as {@link need} hands it out. A string is the path of a program. */
export interface Systems {
  readonly openzfs: OpenZfsSystem;
  readonly uz: UserSpaceSystem;
  /** Put before a command: it then sees zfs-fuse 0.7 as `zfs`, pools `tsrc` and `tdst`, mounted in $ZFS_TEST_DIR/src and dst. */
  readonly fuse: string;
  /** Folder of a smallest Debian 12 with gpg and zfs-fuse and nothing else, to chroot into. */
  readonly rescue: string;
  readonly s3: S3System;
  readonly s3Tls: S3System;
  readonly r2: S3System;
  readonly gpg: string;
  readonly gpg1: string;
  readonly rnp: string;
  readonly rclone: string;
  readonly restic: string;
  readonly borg: string;
  /** Prometheus' checker of metrics and rules. */
  readonly promtool: string;
  readonly systemdAnalyze: string;
  /** util-linux' `script`, which gives a command a terminal. */
  readonly script: string;
  readonly sqlite3: string;
  readonly jq: string;
  /** Evaluates Nix. */
  readonly nixInstantiate: string;
  readonly shellcheck: string;
  /** A browser without a screen. */
  readonly chromium: string;
  readonly zsh: string;
  readonly fish: string;
  /** man-db with groff. */
  readonly man: string;
  readonly mandoc: string;
  readonly tmux: string;
  readonly nginx: string;
  readonly postgresql: PostgresqlSystem;
  readonly mariadb: MariadbSystem;
  readonly nodes: LaterNodes;
  readonly dpkgDeb: string;
  /** A folder with Debian 13 and its own Node, for `chroot`. */
  readonly debian13: string;
}

/** PostgreSQL's server, to be started by the test: in a folder of its own, and not as root, which it refuses. */
export interface PostgresqlSystem {
  readonly initdb: string;
  readonly pgCtl: string;
  readonly psql: string;
}

/** MariaDB's server, to be started by the test: in a folder of its own. */
export interface MariadbSystem {
  readonly installDb: string;
  readonly mariadbd: string;
  readonly mariadb: string;
}

/** Versions of Node later than the oldest that zferry runs on, each with `bin/node` in its folder. */
export interface LaterNodes {
  readonly node22: string;
  readonly node24: string;
}

/** The value, or the name of what is missing. */
type Found<T> = { readonly is: T } | { readonly missing: string };

/** Reads the variables of `names`, all of them or none. */
function variables<Name extends string, T>(names: readonly Name[], make: (values: Readonly<Record<Name, string>>) => T): Found<T> {
  const pairs = names.map((name) => [name, env[name] ?? ""] as const);
  const missing = pairs.filter(([, value]) => value === "").map(([name]) => name);
  if (missing.length > 0) return { missing: `${missing.join(", ")} not set: see .ci/systems/up` };
  return { is: make(Object.fromEntries(pairs) as Record<Name, string>) };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Looks in PATH, then where Debian keeps the programs of servers. */
function program(name: string): Found<string> {
  const folders = [...(env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/lib/postgresql/15/bin"];
  const path = folders.map((folder) => join(folder, name)).find(isExecutable);
  return path === undefined ? { missing: `the program "${name}" is not installed` } : { is: path };
}

/** Looks for all of `names`, by the key each has in the system. */
function programs<Key extends string>(names: Readonly<Record<Key, string>>): Found<Readonly<Record<Key, string>>> {
  const found = Object.entries<string>(names).map(([key, name]) => [key, program(name)] as const);
  const missing = found.flatMap(([, one]) => ("missing" in one ? [one.missing] : []));
  if (missing.length > 0) return { missing: missing.join(", ") };
  return { is: Object.fromEntries(found.flatMap(([key, one]) => ("is" in one ? [[key, one.is]] : []))) as Record<Key, string> };
}

const keys = ["ZFERRY_TEST_S3_ACCESS_KEY", "ZFERRY_TEST_S3_SECRET_KEY"] as const;

const ways: { readonly [Name in keyof Systems]: () => Found<Systems[Name]> } = {
  openzfs: () =>
    variables(["ZFERRY_TEST_ZFS", "ZFERRY_TEST_ZPOOL", "ZFERRY_TEST_GUEST_SH"], (of) => ({
      zfs: of.ZFERRY_TEST_ZFS,
      zpool: of.ZFERRY_TEST_ZPOOL,
      sh: of.ZFERRY_TEST_GUEST_SH,
    })),
  uz: () => variables(["ZFERRY_TEST_UZ", "ZFERRY_TEST_ZDB"], (of) => ({ uz: of.ZFERRY_TEST_UZ, zdb: of.ZFERRY_TEST_ZDB })),
  fuse: () => variables(["ZFERRY_TEST_FUSE"], (of) => of.ZFERRY_TEST_FUSE),
  rescue: () => variables(["ZFERRY_TEST_RESCUE"], (of) => of.ZFERRY_TEST_RESCUE),
  s3: () =>
    variables([...keys, "ZFERRY_TEST_S3"], (of) => ({
      endpoint: of.ZFERRY_TEST_S3,
      region: "us-east-1",
      accessKeyId: of.ZFERRY_TEST_S3_ACCESS_KEY,
      secretAccessKey: of.ZFERRY_TEST_S3_SECRET_KEY,
      caFile: null,
      buckets: [],
    })),
  s3Tls: () =>
    variables([...keys, "ZFERRY_TEST_S3_TLS", "ZFERRY_TEST_S3_CA"], (of) => ({
      endpoint: of.ZFERRY_TEST_S3_TLS,
      region: "us-east-1",
      accessKeyId: of.ZFERRY_TEST_S3_ACCESS_KEY,
      secretAccessKey: of.ZFERRY_TEST_S3_SECRET_KEY,
      caFile: of.ZFERRY_TEST_S3_CA,
      buckets: [],
    })),
  r2: () =>
    variables([...keys, "ZFERRY_TEST_R2"], (of) => ({
      endpoint: of.ZFERRY_TEST_R2,
      region: "auto",
      accessKeyId: of.ZFERRY_TEST_S3_ACCESS_KEY,
      secretAccessKey: of.ZFERRY_TEST_S3_SECRET_KEY,
      caFile: null,
      buckets: ["test-bucket", "bench"],
    })),
  nodes: () =>
    variables(["ZFERRY_TEST_NODES"], (of) => ({ node22: join(of.ZFERRY_TEST_NODES, "node22"), node24: join(of.ZFERRY_TEST_NODES, "node24") })),
  debian13: () => variables(["ZFERRY_TEST_TRIXIE"], (of) => of.ZFERRY_TEST_TRIXIE),
  dpkgDeb: () => program("dpkg-deb"),
  gpg: () => program("gpg"),
  gpg1: () => program("gpg1"),
  rnp: () => program("rnp"),
  rclone: () => program("rclone"),
  restic: () => program("restic"),
  borg: () => program("borg"),
  promtool: () => program("promtool"),
  systemdAnalyze: () => program("systemd-analyze"),
  script: () => program("script"),
  sqlite3: () => program("sqlite3"),
  jq: () => program("jq"),
  nixInstantiate: () => program("nix-instantiate"),
  shellcheck: () => program("shellcheck"),
  chromium: () => program("chromium"),
  zsh: () => program("zsh"),
  fish: () => program("fish"),
  man: () => program("man"),
  mandoc: () => program("mandoc"),
  tmux: () => program("tmux"),
  nginx: () => program("nginx"),
  postgresql: () => programs({ initdb: "initdb", pgCtl: "pg_ctl", psql: "psql" }),
  mariadb: () => programs({ installDb: "mariadb-install-db", mariadbd: "mariadbd", mariadb: "mariadb" }),
};

/**
 * The system, or null if it is not there: for `describe` and `beforeAll`, which have no test to skip.
 *
 * @throws Error if it is not there and ZFERRY_TEST_ALL_SYSTEMS is 1
 */
export function look<Name extends keyof Systems>(name: Name): Systems[Name] | null {
  const found = ways[name]();
  if ("is" in found) return found.is;
  if (env.ZFERRY_TEST_ALL_SYSTEMS === "1") throw new Error(`${name} is missing: ${found.missing}`);
  return null;
}

/** The system; where it is missing the running test ends here, skipped by name, or failed in CI. */
export function need<Name extends keyof Systems>(context: TestContext, name: Name): Systems[Name] {
  const found = look(name);
  if (found !== null) return found;
  const way = ways[name]();
  return context.skip(`${name} is missing: ${"missing" in way ? way.missing : ""}`);
}
