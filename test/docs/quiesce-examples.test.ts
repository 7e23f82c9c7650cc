/**
 * The examples of `docs/examples/quiesce` are run as they are shipped: their configuration is read by zferry's own reader, their
 * hooks stop and start real servers. Only docker and systemctl are stand-ins, where there is no engine and no init.
 */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import type { HookSettings } from "../../src/config/hooks.ts";
import { built } from "../build.ts";
import { isAlive, Night, type RunningNight, guardOf, until } from "../quiesce/night.ts";
import { need } from "../systems.ts";

const folder = fileURLToPath(new URL("../../docs/examples/quiesce", import.meta.url));
const installed = "/usr/local/lib/zferry/";
const names = readdirSync(folder);
const scripts = names.filter((name) => !name.includes("."));

beforeAll(built);

/** The hooks of an example, with the scripts where they are, and words put in the place of others. */
function hooksOf(example: string, words: Readonly<Record<string, string>> = {}): HookSettings[] {
  const file = `${example}.yaml`;
  const config = parseConfig(readFileSync(join(folder, file), "utf8"), file);
  const [job, other] = config.jobs.values();
  if (job === undefined || other !== undefined) throw new Error(`${file} has not one job`);
  const placed = (argv: HookSettings["before"]): HookSettings["before"] =>
    argv === null ? null : (argv.map((word) => words[word] ?? word.replace(installed, `${folder}/`)) as [string, ...string[]]);
  return job.hooks.map((hook) => ({ ...hook, before: placed(hook.before), after: placed(hook.after) }));
}

/** Runs a program to its end. @returns what it printed */
function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

/** A program of that name in a folder of its own. @returns the PATH that has it first */
function standIn(night: Night, name: string, script: string): string {
  const bin = night.path("bin");
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return `${bin}:${process.env.PATH ?? ""}`;
}

/** Waits for a zferry that kills itself in its snapshot, and for its guard. */
async function untilBothAreGone(running: RunningNight, night: Night): Promise<void> {
  const guard = await guardOf(running);
  writeFileSync(night.path("die"), "");
  expect(await running.outcome).toBeNull();
  await until("the guard is done", () => !isAlive(guard));
  expect(night.recordNames).toEqual([]);
}

/** As the snapshot: waits for the word, and kills zferry with SIGKILL. */
function killing(night: Night): string {
  return `until test -e '${night.path("die")}'; do sleep 0.02; done; kill -9 $PPID; sleep 1`;
}

describe("the examples", () => {
  it("are named in the manual, every one, and every script they name is there to be run", () => {
    const manual = readFileSync(join(folder, "../../quiesce.md"), "utf8");
    for (const name of names.filter((name) => name.endsWith(".yaml"))) {
      expect(manual).toContain(`examples/quiesce/${name}`);
      const programs = hooksOf(name.replace(".yaml", "")).flatMap(({ before, after }) => [before, after]);
      for (const [program = ""] of programs.filter((argv) => argv !== null)) {
        if (program.startsWith("/")) expect(statSync(program).mode & 0o111).toBe(0o111);
      }
    }
    expect(scripts.length).toBeGreaterThan(0);
  });

  it.for(scripts)("have a script that is plain sh and that shellcheck has nothing to say of: %s", (name, context) => {
    const shellcheck = need(context, "shellcheck");
    run("/bin/sh", "-n", join(folder, name));
    expect(run(shellcheck, "--shell=sh", join(folder, name))).toBe("");
  });
});

describe("docker (a stand-in)", () => {
  it("stops and starts the services of a compose file", async () => {
    const night = new Night();
    const PATH = standIn(night, "docker", `echo "$*" >>'${night.path("docker")}'`);
    const { failures } = await night.run({ hooks: hooksOf("docker-compose"), env: { PATH } });
    expect(failures).toEqual([]);
    expect(readFileSync(night.path("docker"), "utf8").trim().split("\n")).toEqual([
      "compose --file /srv/wiki/compose.yaml stop --timeout 30",
      "compose --file /srv/wiki/compose.yaml start",
    ]);
  });

  it("pauses what runs, and unpauses what is paused, though it is asked twice", async () => {
    const night = new Night();
    const state = night.path("state-of-docker");
    writeFileSync(state, "running");
    const engine = `echo "$*" >>'${night.path("docker")}'
case $1 in
  compose) [ "$6" = "$(cat '${state}')" ] && printf 'one\\ntwo\\n' ;;
  pause) [ "$(cat '${state}')" = running ] && printf paused >'${state}' ;;
  unpause) [ "$(cat '${state}')" = paused ] && printf running >'${state}' ;;
esac || [ "$1" = compose ]`;
    const PATH = standIn(night, "docker", engine);
    const [hook] = hooksOf("docker-pause");
    if (hook === undefined) throw new Error("there is no hook");
    const { error, failures } = await night.run({ hooks: [hook, { ...hook, name: "again" }], env: { PATH }, work: `grep -q paused '${state}'` });
    expect({ error, failures }).toEqual({ error: undefined, failures: [] });
    expect(readFileSync(state, "utf8")).toBe("running");
    const done = readFileSync(night.path("docker"), "utf8").trim().split("\n").filter((line) => !line.startsWith("compose"));
    expect(done).toEqual(["pause one two", "unpause one two"]);
  });
});

describe("PostgreSQL", () => {
  interface Database {
    readonly systemctl: string;
    readonly sockets: string;
    readonly query: (sql: string) => string;
    readonly isUp: () => boolean;
  }

  /** Started in a folder of its own, as the user `postgres` where we are root, and stopped with the test. */
  function start(night: Night, { initdb, pgCtl, psql }: { initdb: string; pgCtl: string; psql: string }): Database {
    const home = night.path("pg");
    mkdirSync(home);
    chmodSync(night.folder, 0o755);
    const isRoot = process.getuid?.() === 0;
    const asUser = isRoot ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] : ["env"];
    if (isRoot) chownSync(home, Number(run("id", "-u", "postgres")), Number(run("id", "-g", "postgres")));
    const [env = "", ...words] = asUser;
    const data = join(home, "data");
    run(env, ...words, initdb, "--pgdata", data, "--username=postgres", "--auth=trust", "--no-sync", "--no-instructions");
    const options = `-k ${home} -c listen_addresses= -c shared_buffers=1MB -c autovacuum=off -c fsync=off`;
    const control = `${asUser.join(" ")} ${pgCtl} --pgdata ${data} --wait --silent --log ${home}/log`;
    const isRunning = `${control} status >/dev/null`;
    const systemctl = `case $1 in
  stop) ${isRunning} || exit 0; exec ${control} stop --mode fast ;;
  start) ${isRunning} && exit 0; exec ${control} start --options '${options}' >/dev/null ;;
esac`;
    run("/bin/sh", "-c", `set -- start; ${systemctl}`);
    onTestFinished(() => void spawnSync("/bin/sh", ["-c", `${control} stop --mode immediate`]));
    const query = (sql: string): string => run(psql, "-h", home, "-U", "postgres", "-AtX", "-c", sql, "postgres");
    return { systemctl, sockets: home, query, isUp: () => spawnSync(psql, ["-h", home, "-U", "postgres", "-c", "SELECT 1", "postgres"]).status === 0 };
  }

  it("has written out what it had in memory before the snapshot, is stopped and started as a unit, and is up after SIGKILL", async (context) => {
    const night = new Night();
    const database = start(night, need(context, "postgresql"));

    database.query("CREATE TABLE t AS SELECT 1 AS n");
    const at = (): string => database.query("SELECT redo_lsn FROM pg_control_checkpoint()");
    const before = at();
    const checkpoint = hooksOf("postgresql", { "/var/run/postgresql": database.sockets });
    expect(await night.run({ hooks: checkpoint })).toMatchObject({ value: "snapshot", failures: [] });
    expect(database.query(`SELECT '${at()}'::pg_lsn > '${before}'::pg_lsn`)).toBe("t");

    const script = `echo "$*" >>'${night.path("systemctl")}'\ncase $2 in forgejo.service) exit 0 ;; esac\n${database.systemctl}`;
    const PATH = standIn(night, "systemctl", script);
    const units = hooksOf("systemd");
    const isDown = `test ! -e '${database.sockets}/data/postmaster.pid'`;
    expect(await night.run({ hooks: units, env: { PATH }, work: isDown })).toMatchObject({ value: "snapshot", failures: [] });
    expect(database.isUp()).toBe(true);
    expect(readFileSync(night.path("systemctl"), "utf8").trim().split("\n")).toEqual([
      "stop forgejo.service",
      "stop postgresql.service",
      "start postgresql.service",
      "start forgejo.service",
    ]);

    await untilBothAreGone(await night.start({ hooks: units, env: { PATH }, work: killing(night) }), night);
    expect(database.query("SELECT n FROM t")).toBe("1");
  }, 60_000);
});

describe("MariaDB", () => {
  it("reads only while the snapshot is taken, and writes again after it, also when zferry was killed", async (context) => {
    const { installDb, mariadbd, mariadb } = need(context, "mariadb");
    const night = new Night();
    const home = night.path("mariadb");
    mkdirSync(home);
    const own = ["--no-defaults", `--datadir=${home}/data`, `--socket=${home}/socket`];
    const user = process.getuid?.() === 0 ? ["--user=root"] : [];
    run(installDb, ...own, ...user, "--auth-root-authentication-method=normal", "--skip-test-db");
    const server = spawn(mariadbd, [...own, ...user, "--skip-networking", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"], { stdio: "ignore" });
    onTestFinished(() => void server.kill("SIGKILL"));
    const options = night.path("mariadb.cnf");
    writeFileSync(options, `[client]\nuser=root\nsocket=${home}/socket\n`, { mode: 0o600 });
    const client = [mariadb, `--defaults-extra-file=${options}`, "-BN", "-e"] as const;
    const isUp = (): boolean => spawnSync(client[0], [...client.slice(1), "SELECT 1"]).status === 0;
    await until("the server is up", () => existsSync(join(home, "socket")) && isUp());
    const query = (sql: string): string => run(client[0], ...client.slice(1), sql);
    query("CREATE DATABASE d; CREATE TABLE d.t (n INT) ENGINE=MyISAM; INSERT INTO d.t VALUES (1)");

    const hooks = hooksOf("mariadb", { "/etc/zferry/mariadb.cnf": options });
    const words = client.map((word) => `'${word}'`).join(" ");
    const write = `${words} 'SET lock_wait_timeout = 0; INSERT INTO d.t VALUES (2)'`;
    const work = `${words} 'SELECT n FROM d.t' >'${night.path("read")}' && ! ${write} 2>'${night.path("refused")}'`;
    expect(await night.run({ hooks, work })).toMatchObject({ value: "snapshot", failures: [] });
    expect(readFileSync(night.path("read"), "utf8")).toBe("1\n");
    expect(readFileSync(night.path("refused"), "utf8")).toMatch(/lock/i);
    query("SET lock_wait_timeout = 5; INSERT INTO d.t VALUES (3)");

    await untilBothAreGone(await night.start({ hooks, work: killing(night) }), night);
    query("SET lock_wait_timeout = 5; INSERT INTO d.t VALUES (4)");
    expect(query("SELECT n FROM d.t ORDER BY n")).toBe("1\n3\n4");
  }, 60_000);
});

describe("SQLite", () => {
  it("has a whole copy in the snapshot, of a database that is being written", async (context) => {
    const sqlite3 = need(context, "sqlite3");
    const night = new Night();
    const [database, copies] = [night.path("db.sqlite3"), night.path("backup")];
    run(sqlite3, database, "PRAGMA journal_mode=WAL; CREATE TABLE t(n); INSERT INTO t VALUES (1)");
    const hooks = hooksOf("sqlite", { "/tank/vault/db.sqlite3": database, "/tank/vault/backup": copies });
    expect(await night.run({ hooks })).toMatchObject({ value: "snapshot", failures: [] });

    const writer = spawn(sqlite3, [database], { stdio: ["pipe", "ignore", "inherit"] });
    onTestFinished(() => void writer.kill("SIGKILL"));
    writer.stdin.write("INSERT INTO t VALUES (2); BEGIN IMMEDIATE; INSERT INTO t VALUES (3);\n");
    await until("the second row is there", () => run(sqlite3, database, "SELECT count(*) FROM t") === "2");
    const { error } = await night.run({ hooks });
    expect(error).toBeUndefined();
    expect(run(sqlite3, join(copies, "db.sqlite3"), "SELECT group_concat(n) FROM t; PRAGMA integrity_check")).toBe("1,2\nok");
    expect(readdirSync(copies)).toEqual(["db.sqlite3"]);
  });

  it("that is not there, or is none, fails the run and leaves the last copy", async (context) => {
    const sqlite3 = need(context, "sqlite3");
    const night = new Night();
    const copies = night.path("backup");
    mkdirSync(copies);
    run(sqlite3, join(copies, "db.sqlite3"), "CREATE TABLE last(n)");
    for (const content of [null, "this is no database, but it is long enough to be looked at as one, which it is not"]) {
      const database = night.path("db.sqlite3");
      if (content !== null) writeFileSync(database, content);
      const { error } = await night.run({ hooks: hooksOf("sqlite", { "/tank/vault/db.sqlite3": database, "/tank/vault/backup": copies }) });
      expect(error).toMatchObject({ code: "hook-failed" });
      expect(readdirSync(copies)).toEqual(["db.sqlite3"]);
      expect(run(sqlite3, join(copies, "db.sqlite3"), ".tables")).toBe("last");
    }
  });
});
