/**
 * Every command on a terminal of 80 and of 200 columns, in tmux, as fixtures/screens keeps it. To be looked at by eye when one
 * changes: `npx vitest run test/cli/screens.test.ts --update` writes what is shown now.
 */
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { built } from "../build.ts";
import { need } from "../systems.ts";
import { residentBin } from "../zfs/resident.ts";
import { Pool, streamOf } from "./pool.ts";
import { screenOf } from "./screens.ts";
import { fixtures, recorded, Scene } from "./zferry.ts";

beforeAll(built);

const config = (scene: Scene): string => `state_dir: state
stores:
  main: {url: ./backups}
  usb: {url: ./usb}
encryption:
  recipients: [${scene.certificate("bob")}]
  private_keys: [bob.private.asc]
jobs:
  home: {dataset: tank/src, store: main, copies: [{store: usb}], keep: {store: {last: 1}}, drill: {into: tank/place}}
`;

interface Step {
  readonly name: string;
  /** A line of shell. */
  readonly line: string;
  readonly answer?: string;
}

/** In this order: each has what those before it have made. */
const steps: readonly Step[] = [
  { name: "help", line: "zferry --help" },
  { name: "help-restore", line: "zferry restore --help" },
  { name: "unknown", line: "zferry lsit" },
  { name: "init", line: "zferry init --config new.yaml --store ./backups --dataset tank/src --passphrase-file passphrase" },
  { name: "backup-dry-run", line: "zferry backup --dry-run" },
  { name: "backup", line: "zferry backup" },
  { name: "backup-incremental", line: "zferry backup" },
  { name: "put", line: "zferry put tank/other@one --store main <one.zfs" },
  { name: "get", line: "zferry get tank/other@one --store main | cmp - one.zfs" },
  { name: "list", line: "zferry list --store main" },
  { name: "verify", line: "zferry verify --store main" },
  { name: "status", line: "zferry status" },
  { name: "drill", line: "zferry drill --dataset tank/other --into tank/place --store main --seed 1 --sample 0" },
  { name: "doctor", line: "zferry doctor --config /dev/null --store ./backups --state-dir state" },
  { name: "restore-dry-run", line: "zferry restore tank/src --store main --to tank/back --dry-run" },
  { name: "restore", line: "zferry restore tank/src --store main --to tank/back" },
  { name: "restore-there", line: "zferry restore tank/other --store main --to tank/src" },
  { name: "download", line: "zferry download tank/other@one ./folder --store main" },
  { name: "copy", line: "zferry copy --from main --to ./second" },
  { name: "key-list", line: "zferry key list --store main" },
  { name: "prune-keeps", line: "zferry prune home" },
  { name: "prune-asked", line: "zferry put -q tank/two@one --store main <one.zfs; zferry put -q tank/two@two --store main <later.zfs; zferry prune --dataset tank/two --keep-last 1 --store main", answer: "n" },
  { name: "prune", line: "zferry prune --dataset tank/two --keep-last 1 --store main --yes" },
  { name: "prune-strays", line: "zferry prune --strays --store main" },
  { name: "recover", line: "zferry recover" },
  { name: "state", line: "zferry state rebuild --store main" },
  { name: "systemd", line: "zferry systemd --output units --program /usr/bin/zferry" },
  { name: "bench-plan", line: "zferry bench --plan 10TB" },
  { name: "list-nowhere", line: "zferry list --store /nowhere" },
];

it.for([80, 200])("is what is kept, at %d columns", { timeout: 300_000 }, async (columns, context) => {
  const tmux = need(context, "tmux");
  const scene = new Scene();
  const pool = new Pool({ streams: ["one.zfs", "two.zfs"], datasets: { tank: {}, "tank/src": { snapshots: {} }, "tank/place": {} } });
  scene.write("zferry.yaml", config(scene));
  scene.write("one.zfs", streamOf("one"));
  scene.write("later.zfs", recorded("holes"));
  scene.privateKey("bob");
  scene.write("bin/zferry", `#!/bin/sh\nexec '${process.execPath}' '${await built()}' "$@"\n`, 0o755);
  const path = [join(scene.folder, "bin"), residentBin, join(fixtures, "bin"), process.env.PATH ?? ""].join(":");
  const env = { ...pool.env, PATH: path, HOME: scene.folder, TZ: "Europe/Berlin" };
  for (const { name, line, answer = null } of steps) {
    const screen = await screenOf(line, { tmux, columns, folder: scene.folder, env, answer });
    await expect(screen, name).toMatchFileSnapshot(`../../fixtures/screens/${name}.${columns}.txt`);
  }
});
