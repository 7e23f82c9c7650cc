import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type Ended, Scene } from "./zferry.ts";

/** Tells of it into the file `told`, a line each. */
async function notified(unit: string, env: Readonly<Record<string, string>> = {}): Promise<{ ended: Ended; told: Record<string, unknown>[] }> {
  const scene = new Scene();
  const told = join(scene.folder, "told");
  const config = scene.write("zferry.yaml", `
state_dir: ${scene.stateDir}
stores: { nas: { url: /mnt/nas } }
notify: [{ type: command, command: [sh, -c, "cat >> ${told}; echo >> ${told}"] }]
jobs:
  home: { dataset: tank/home }
  db: { dataset: tank/db, group: services }
  wiki: { dataset: tank/wiki, group: services }
`);
  const ended = await scene.run(["--config", config, "notify", "--unit", unit], { env });
  const lines = existsSync(told) ? readFileSync(told, "utf8").split("\n").filter((line) => line !== "") : [];
  return { ended, told: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

it("tells of a unit that failed, whose job it was, and what systemd says of it", async () => {
  const { ended, told } = await notified("zferry-backup-home.service", { MONITOR_SERVICE_RESULT: "oom-kill", MONITOR_EXIT_STATUS: "KILL" });
  expect(ended, ended.stderr).toMatchObject({ exit: 0, stderr: "" });
  expect(told).toMatchObject([{ kind: "failure", job: "home", dataset: null, details: { unit: "zferry-backup-home.service", reason: "oom-kill, KILL" } }]);
  expect(told[0]?.text).toContain('the unit "zferry-backup-home.service" failed (oom-kill, KILL): see `journalctl -u zferry-backup-home.service`');
});

it("tells of each job of a group", async () => {
  const { told } = await notified("zferry-group-services.service");
  expect(told.map(({ job }) => job).sort()).toEqual(["db", "wiki"]);
});

it("tells of a unit that is no job's, and says nothing that systemd has not said", async () => {
  const { told } = await notified("zferry-verify-nas.service", { MONITOR_SERVICE_RESULT: "a\nb", MONITOR_EXIT_STATUS: "1" });
  expect(told).toMatchObject([{ kind: "failure", job: null, details: { unit: "zferry-verify-nas.service", reason: null } }]);
});

it("tells those whom a configuration with a mistake in it names all the same", async () => {
  const scene = new Scene();
  const told = join(scene.folder, "told");
  const config = scene.write("zferry.yaml", `
state_dir: ${scene.stateDir}
notify: [{ type: command, command: [sh, -c, "cat >> ${told}"], jobs: [home] }]
jobs: { home: { dataset: tank/home, evry: 1d }, db: { dataset: tank/db, group: services } }
`);
  const { exit, stderr } = await scene.run(["--config", config, "notify", "--unit", "zferry-backup-home.service"], { env: { MONITOR_SERVICE_RESULT: "exit-code", MONITOR_EXIT_STATUS: "2" } });
  expect([exit, stderr]).toEqual([0, expect.stringContaining('unknown setting "evry"')]);
  expect(JSON.parse(readFileSync(told, "utf8"))).toMatchObject({ job: "home", text: expect.stringMatching(/\(exit-code, 2\).*the configuration is refused, so nothing is backed up$/) as string });
});

it("cannot tell where the configuration cannot be read, which says whom", async () => {
  const scene = new Scene();
  const config = scene.write("zferry.yaml", "jobs: [");
  const { exit, stderr } = await scene.run(["--config", config, "notify", "--unit", "zferry-backup-home.service"]);
  expect([exit, stderr]).toEqual([2, expect.stringContaining(config)]);
  expect((await scene.run(["notify", "--help"])).stdout.toString()).not.toContain("nobody can read");
});

it("says so where there is nobody to tell", async () => {
  const { exit, stderr } = await new Scene().run(["notify", "--unit", "zferry-status.service"]);
  expect([exit, stderr]).toEqual([0, expect.stringContaining('nobody is told: the unit "zferry-status.service" failed')]);
});

it("says what it says in the form it is asked for", async () => {
  const scene = new Scene();
  const config = scene.write("zferry.yaml", `state_dir: ${scene.stateDir}\nstores: { nas: { url: /mnt/nas } }\n`);
  const { exit, stderr } = await scene.run(["notify", "--unit", "zferry-backup-home.service", "--config", config, "--log-format", "json"]);
  expect(exit, stderr).toBe(0);
  expect(JSON.parse(stderr)).toMatchObject({ type: "message", level: "warn", text: expect.stringContaining("nobody is told: ") as string });
});
