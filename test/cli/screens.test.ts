/**
 * Every command on a terminal of 80 and of 200 columns, in tmux, as fixtures/screens keeps it. To be looked at by eye when one
 * changes: `npx vitest run test/cli/screens.test.ts --update` writes what is shown now.
 */
import { execFileSync } from "node:child_process";
import { closeSync, copyFileSync, mkdirSync, openSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { beforeAll, expect, it, onTestFinished } from "vitest";
import { commandTable, nameOf } from "../../src/cli/commands.ts";
import { runCommandOn } from "../../src/cli/run-command.ts";
import { built } from "../build.ts";
import { shown } from "../plain/files-night.ts";
import { startResponder } from "../s3-responder.ts";
import { need } from "../systems.ts";
import { residentBin } from "../zfs/resident.ts";
import { Pool, streamOf } from "./pool.ts";
import { steps } from "./screen-steps.ts";
import { screensOf } from "./screens.ts";
import { ownTerminal } from "./terminal.ts";
import { fixtures, passphrase, recorded, Scene } from "./zferry.ts";

beforeAll(built);

const widths = [80, 200];

const config = (scene: Scene, port: number): string => `state_dir: state
stores:
  main: {url: ./backups}
  usb: {url: ./usb}
  busy: {url: "s3://papers/busy?endpoint=http://127.0.0.1:${port}&region=here&provider=ceph"}
encryption:
  recipients: [${scene.certificate("bob")}]
  private_keys: [bob.private.asc]
jobs:
  home: {dataset: tank/src, store: main, copies: [{store: usb}], keep: {store: {last: 1}}, overdue_after: 3650d, drill: {into: tank/place}}
`;

const filesConfig = (scene: Scene, port: number): string => `state_dir: files-state
stores:
  cloud: {url: "s3://papers/host?endpoint=http://127.0.0.1:${port}&region=here&provider=ceph"}
encryption:
  recipients: [${scene.certificate("bob")}]
  private_keys: [bob.private.asc]
notify: [{type: command, command: [sh, -c, "cat >told"]}]
jobs:
  papers:
    dataset: tank/papers
    store: cloud
    mode: files
    files:
      engine: s3${shown}
`;

/** A folder that ZFS2Cloud would have made. */
function exported(scene: Scene, gpg1: string): void {
  mkdirSync(join(scene.folder, "exported", "one-full"), { recursive: true });
  const words = ["-c", "--compress-algo", "none", "--cipher-algo", "AES256", "--batch", "--passphrase", passphrase];
  const message = execFileSync(gpg1, words, { input: streamOf("one"), env: { HOME: scene.folder }, stdio: ["pipe", "pipe", "pipe"] });
  scene.write("exported/one-full/tank-src@s1.zfs.gpg.0000", message);
}

/** A pipe that gives the beginning of a stream and then nothing. */
function slowPipe(scene: Scene): void {
  const pipe = join(scene.folder, "slow");
  execFileSync("mkfifo", [pipe]);
  const end = openSync(pipe, "r+");
  onTestFinished(() => {
    closeSync(end);
  });
  writeSync(end, streamOf("one").subarray(0, 60_000)); // less than a pipe holds
}

it.for(widths)("is what is kept, at %d columns", { timeout: 300_000 }, async (columns, context) => {
  const [tmux, gpg1] = [need(context, "tmux"), need(context, "gpg1")];
  const scene = new Scene();
  const pool = new Pool({ streams: ["one.zfs", "two.zfs"], datasets: { tank: {}, "tank/src": { snapshots: {} }, "tank/place": {}, "tank/papers": { snapshots: {} } } });
  const cloud = await startResponder({ bucket: "papers", knowsCrc32: true, busy: /^busy\/streams\// });
  onTestFinished(() => cloud.close());
  scene.write("zferry.yaml", config(scene, cloud.port));
  scene.write("papers.yaml", filesConfig(scene, cloud.port));
  scene.write("one.zfs", streamOf("one"));
  slowPipe(scene);
  scene.write("later.zfs", recorded("holes"));
  scene.write("tree/letters/to the tax office", "Dear Sir or Madam,\n");
  scene.write("tree/notes", "milk, eggs\n");
  scene.privateKey("bob");
  copyFileSync(scene.certificate("alice"), join(scene.folder, "alice.asc"));
  exported(scene, gpg1);
  scene.write("bin/zferry", `#!/bin/sh\nexec '${process.execPath}' '${await built()}' "$@"\n`, 0o755);
  scene.write("bin/zpool", `#!/bin/sh\nfor name in large_blocks embedded_data lz4_compress; do printf 'feature@%s\\tenabled\\n' $name; done\n`, 0o755);
  const path = [join(scene.folder, "bin"), residentBin, join(fixtures, "bin"), process.env.PATH ?? ""].join(":");
  const keys = { AWS_ACCESS_KEY_ID: "any", AWS_SECRET_ACCESS_KEY: "an-unused-secret" };
  const env = { ...pool.env, ...keys, PATH: path, HOME: scene.folder, TZ: "Europe/Berlin", TREE: join(scene.folder, "tree") };
  for (const { name, line, live, typed = [] } of steps) {
    const { before, end } = await screensOf(line, { tmux, columns, folder: scene.folder, env, typed });
    expect(before, end).toHaveLength(typed.length);
    if (live !== undefined) await expect(before[0], live).toMatchFileSnapshot(`../../fixtures/screens/${live}.${columns}.txt`);
    await expect(end, name).toMatchFileSnapshot(`../../fixtures/screens/${name}.${columns}.txt`);
  }
});

it("is of every command there is, and none is kept of one that is gone", async () => {
  const commands: string[] = [];
  for (const entry of commandTable.filter(({ isHidden }) => isHidden !== true)) {
    const command = new Command(nameOf(entry));
    (await entry.load())(command, runCommandOn(ownTerminal()));
    commands.push(...(command.commands.length === 0 ? [command.name()] : command.commands.map((inner) => `${command.name()} ${inner.name()}`)));
  }
  expect(commands.filter((words) => !steps.some(({ line }) => `${line} `.includes(`zferry ${words} `)))).toEqual([]);
  const names = steps.flatMap(({ name, live }) => (live === undefined ? [name] : [name, live]));
  const kept = names.flatMap((name) => widths.map((columns) => `${name}.${columns}.txt`));
  expect(readdirSync(join(fixtures, "screens")).filter((name) => !kept.includes(name))).toEqual([]);
});
