import { spawnSync } from "node:child_process";
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { need } from "../systems.ts";
import { documentOf, type Ended, Scene } from "./zferry.ts";

const plain = `
stores: { nas: { url: /mnt/nas } }
jobs: { home: { dataset: tank/home } }
`;
const hooks = [
  "{ name: db, before_snapshot: [systemctl, stop, db], after_snapshot: [systemctl, start, db], timeout: 90s }",
  "{ name: web, before_snapshot: [docker, compose, stop], after_snapshot: [docker, compose, start], timeout: 30s }",
].join(", ");
const grown = `
state_dir: /srv/zferry
stores: { r2: { url: "s3://backups/nas?endpoint=https://x" }, usb: { url: /mnt/usb } }
encryption: { passphrase_command: pass show zferry }
notify:
  - { type: ntfy, topic: { credential: ntfy-topic }, token: { credential: ntfy-token } }
  - { type: webhook, url: { credential: ntfy-topic } }
  - { type: mail, to: root }
metrics: { textfile: /var/lib/node_exporter/zferry.prom }
defaults: { store: r2, keep: { store: { daily: 3 } } }
jobs:
  cloud: { dataset: tank/cloud, group: services, every: 6h }
  db: { dataset: tank/db, group: services, every: 1h, hooks: [${hooks}] }
  off: { dataset: tank/off, enabled: false }
  photos: { dataset: tank/photos, store: usb, every: 2w, prune: after_backup, zfs: [ssh, nas, zfs] }
`;
const odd = `
state_dir: "/srv/of 100%/zferry"
stores: { "my disk": { url: "/mnt/my $DISK 5%" } }
jobs: { "a b/c;%i $X": { dataset: tank/a, every: 7m }, "ü\\"\\\\'": { dataset: tank/b, every: 45s } }
`;

async function made(config: string, ...flags: string[]): Promise<{ ended: Ended; folder: string; scene: Scene }> {
  const scene = new Scene();
  const folder = join(scene.folder, "units");
  const file = scene.write("zferry.yaml", config);
  const ended = await scene.run(["--config", file, "systemd", "--output", folder, ...flags]);
  return { ended, folder, scene };
}

const unitsOf = (folder: string): Record<string, string> =>
  Object.fromEntries(readdirSync(folder).sort().map((name) => [name, readFileSync(join(folder, name), "utf8")]));

it.for([
  ["a job", plain, []],
  ["groups, hooks, notifiers, credentials", grown, []],
  ["groups, hooks, notifiers, credentials, flags", grown, ["--prune", "--encrypted-credentials", "--calendar", "Mon..Fri 01:30", "--random-delay", "0s"]],
  ["names with anything in them", odd, []],
] as const)("systemd finds nothing wrong with the units of %s", async ([, config, flags], context) => {
  const analyze = need(context, "systemdAnalyze");
  const { ended, folder } = await made(config, ...flags);
  expect(ended.exit, ended.stderr).toBe(0);
  const files = readdirSync(folder).map((name) => join(folder, name));
  const { stdout, stderr, status } = spawnSync(analyze, ["verify", "--man=no", "--recursive-errors=no", ...files], { encoding: "utf8" });
  expect({ stdout, stderr, status }).toEqual({ stdout: "", stderr: "", status: 0 });
});

it("a job whose name ends in what continues a line keeps to its own", async (context) => {
  const analyze = need(context, "systemdAnalyze");
  const { folder } = await made(`{ stores: { nas: { url: /mnt/nas } }, jobs: { "end\\\\": { dataset: tank/home } } }`);
  const file = join(folder, "zferry-backup-end\\x5c.service");
  writeFileSync(file, readFileSync(file, "utf8").replace(/^(Description=.*)$/m, "$1\nNext=line"));
  const { stderr } = spawnSync(analyze, ["verify", "--man=no", "--recursive-errors=no", file], { encoding: "utf8" });
  expect(stderr).toContain("Unknown key 'Next'");
});

it("makes a service and a timer for each job or group that is enabled, and for each store what it needs", async () => {
  const { ended, folder } = await made(grown, "--prune");
  const stems = ["zferry-backup-photos", "zferry-group-services", "zferry-prune", "zferry-status", "zferry-strays-r2", "zferry-strays-usb", "zferry-verify-r2", "zferry-verify-usb"];
  const once = ["zferry-failed@.service", "zferry-recover.service"];
  expect(Object.keys(unitsOf(folder))).toEqual([...stems.flatMap((stem) => [`${stem}.service`, `${stem}.timer`]), ...once].sort());
  expect(ended.stderr).toContain('job "off" is disabled: no timer is made for it');
  expect(ended.stderr).toContain("next: systemctl daemon-reload && systemctl enable --now zferry-group-services.timer ");
  expect(ended.stderr).not.toContain("keep");
});

it("lets a run write to the stores of its copies, looks after those as well, and has a drill for each job that speaks of one", async () => {
  const copies = "copies: [{ store: disk }, { store: r2 }]";
  const jobs = `home: { dataset: tank/home, ${copies}, drill: {} }, srv: { dataset: tank/srv }, "my vms": { dataset: tank/vms, drill: { into: tank/drills } }, off: { dataset: tank/off, enabled: false, drill: {} }`;
  const stores = 'nas: { url: /mnt/nas }, disk: { url: /mnt/disk }, r2: { url: "s3://backups?endpoint=https://x", credentials: { credential: r2.keys } }';
  const { ended, folder, scene } = await made(`{ stores: { ${stores} }, defaults: { store: nas }, jobs: { ${jobs} } }`);
  const units = unitsOf(folder);
  expect(units["zferry-backup-home.service"]).toContain("\nReadWritePaths=-/mnt/nas\nReadWritePaths=-/mnt/disk\n");
  expect(units["zferry-backup-home.service"]).toContain("\nLoadCredential=r2.keys:/etc/credstore/r2.keys\n");
  for (const name of ["verify-nas", "verify-disk", "verify-r2", "strays-disk", "strays-r2"]) expect(units).toHaveProperty([`zferry-${name}.timer`]);
  expect(units["zferry-drill.service"]).toContain(`--config ${join(scene.folder, "zferry.yaml")} drill home "my vms"\n`);
  expect(units["zferry-drill.timer"]).toContain("\nOnCalendar=*-*-01 12:00:00\nPersistent=true\nRandomizedDelaySec=21600s\n");
  expect(ended.stderr).toContain(" zferry-drill.timer ");
});

it("tells how to be rid of the units of a job that is gone, in words that a shell takes as they are", async () => {
  const { folder, scene } = await made(`{ stores: { nas: { url: /mnt/nas } }, jobs: { home: { dataset: tank/home }, "my vms": { dataset: tank/vms } } }`);
  const { stderr } = await scene.run(["--config", scene.write("zferry.yaml", plain), "systemd", "--output", folder]);
  expect(stderr).toContain("zferry-backup-my\\x20vms.timer is of an earlier run and made no more: systemctl disable --now 'zferry-backup-my\\x20vms.timer', and remove it\n");
});

it("runs a group's jobs in one go, as often as the most frequent of them, and leaves their services to be started again", async () => {
  const { folder, scene } = await made(grown);
  const units = unitsOf(folder);
  const service = units["zferry-group-services.service"] ?? "";
  const line = (name: string): string[] => service.split("\n").filter((one) => one.startsWith(`${name}=`));
  const zferry = `${process.execPath} /opt/zferry/main.js --config ${join(scene.folder, "zferry.yaml")}`;
  expect(line("ExecStart")).toEqual([`ExecStart=${zferry} backup cloud db`]);
  expect(line("ExecStopPost")).toEqual([`ExecStopPost=-${zferry} recover --state-dir /srv/zferry`]);
  // 60 s, the hooks' 120, and three tries of ten seconds with two pauses of five to tell of it.
  expect([line("KillMode"), line("OOMPolicy"), line("TimeoutStopSec")]).toEqual([["KillMode=process"], ["OOMPolicy=continue"], ["TimeoutStopSec=220s"]]);
  expect(line("LoadCredential")).toEqual(["LoadCredential=ntfy-topic:/etc/credstore/ntfy-topic", "LoadCredential=ntfy-token:/etc/credstore/ntfy-token"]);
  expect(line("ReadWritePaths")).toEqual(["ReadWritePaths=-/srv/zferry", "ReadWritePaths=-/mnt/usb", "ReadWritePaths=-/var/lib/node_exporter"]);
  expect(units["zferry-group-services.timer"]).toContain("OnCalendar=*-*-* 00/1:00:00\nPersistent=true\nRandomizedDelaySec=360s\nFixedRandomDelay=true\n");
});

it("shuts a job in that runs nothing but zfs, and leaves more to one with commands of its own", async () => {
  const [closed, open] = [unitsOf((await made(plain)).folder), unitsOf((await made(grown, "--prune")).folder)];
  const [home, group] = [closed["zferry-backup-home.service"] ?? "", open["zferry-group-services.service"] ?? ""];
  for (const setting of ["ProtectSystem=strict", "DeviceAllow=/dev/zfs rw", "StateDirectory=zferry", "KillMode=mixed"]) expect(home).toContain(`\n${setting}\n`);
  expect(group).toContain("\nProtectSystem=full\n");
  expect(open["zferry-prune.service"]).toContain("\nProtectSystem=full\n");
  for (const [name, text] of Object.entries({ ...closed, ...open }).filter(([one]) => one.endsWith(".service"))) {
    expect(text, name).toContain("\nNoNewPrivileges=yes\n");
    expect(text, name).not.toMatch(/PrivateDevices|MemoryDenyWriteExecute|DynamicUser|CapabilityBoundingSet/);
  }
});

const credentialed = `
stores: { r2: { url: "s3://backups/nas?endpoint=https://x", credentials: { credential: r2.keys } }, b2: { url: "s3://other?endpoint=https://y", credentials: { credential: b2.keys } } }
encryption: { passphrase_credential: passphrase }
notify: [{ type: ntfy, topic: { credential: topic } }]
jobs: { home: { dataset: tank/home, store: r2 } }
`;

it("each service is handed the credentials that it reads, and no other, which might be missing", async () => {
  const units = unitsOf((await made(credentialed)).folder);
  const handed = (name: string): string[] => [...(units[`zferry-${name}.service`] ?? "").matchAll(/^LoadCredential=(\S+?):/gm)].map(([, one = ""]) => one);
  for (const name of ["backup-home", "verify-r2", "strays-r2"]) expect(handed(name), name).toEqual(["passphrase", "r2.keys", "topic"]);
  for (const name of ["status", "failed@"]) expect(handed(name), name).toEqual(["topic"]);
  expect(handed("recover")).toEqual([]);
});

it("a store whose keys a command prints is none that runs nothing but zfs", async () => {
  const config = `{ stores: { r2: { url: "s3://backups?endpoint=https://x", credentials: { command: pass show r2 } } }, jobs: { home: { dataset: tank/home } } }`;
  expect(unitsOf((await made(config)).folder)["zferry-backup-home.service"]).toContain("\nProtectSystem=full\n");
});

it("prints the units where no folder is named, and as a document with --json", async () => {
  const scene = new Scene();
  const words = ["--config", scene.write("zferry.yaml", plain), "systemd"];
  const printed = (await scene.run(words)).stdout.toString();
  expect(printed).toMatch(/^# ==> zferry-backup-home\.service\n# Written by `zferry systemd`\.\n\n\[Unit\]\n/);
  const { units, folder } = documentOf(await scene.run([...words, "--json"])) as { units: { name: string; text: string }[]; folder: null };
  expect(folder).toBeNull();
  expect(printed).toBe(units.map(({ name, text }) => `# ==> ${name}\n${text}\n`).join(""));
});

it("its services run commands and flags that there are", async () => {
  const { folder, scene } = await made(grown, "--prune");
  const lines = Object.values(unitsOf(folder)).flatMap((text) => [...text.matchAll(/^Exec\w+=.* --config \S+ (.+)$/gm)].map(([, words = ""]) => words));
  expect(lines.length).toBeGreaterThan(9);
  for (const [command = "", ...words] of lines.map((line) => line.split(" "))) {
    const { exit, stdout } = await scene.run([command, "--help"]);
    expect(exit, command).toBe(0);
    for (const flag of words.filter((word) => word.startsWith("--"))) expect(stdout.toString(), command).toContain(flag);
  }
});

it("a second run changes nothing, one over a changed unit is refused, and --force says what it replaced", async () => {
  const { folder, scene } = await made(plain);
  const again = async (...flags: string[]): Promise<Ended> => scene.run(["--config", join(scene.folder, "zferry.yaml"), "systemd", "--output", folder, ...flags]);
  expect((await again()).stderr).toContain("0 units written, 10 unchanged");
  appendFileSync(join(folder, "zferry-backup-home.timer"), "AccuracySec=1s\n");
  expect(await again()).toMatchObject({ exit: 2, stderr: expect.stringContaining("is there and says something else") as string });
  expect((await again("--force")).stderr).toContain("replaced zferry-backup-home.timer");
});

it("says that nothing acts on a policy, unless a timer or the job itself does", async () => {
  const warning = /nothing acts on "keep" of job "(.+?)"/g;
  const jobsIn = ({ stderr }: Ended): string[] => [...stderr.matchAll(warning)].map(([, job = ""]) => job);
  expect(jobsIn((await made(grown)).ended)).toEqual(["cloud", "db", "off"]);
  expect(jobsIn((await made(grown, "--prune")).ended)).toEqual([]);
});

it.for([
  ["no configuration", [], "there are no jobs to make timers for"],
  ["a calendar of two lines", ["--calendar", "daily\nUnit=x"], "--calendar"],
  ["a budget that is no size", ["--verify-budget", "lots"], "--verify-budget"],
] as const)("is refused: %s", async ([, flags, why]) => {
  const scene = new Scene();
  const { exit, stderr } = await scene.run(["systemd", ...flags]);
  expect([exit, stderr]).toEqual([2, expect.stringContaining(why)]);
});
