/**
 * `docs/guides/rescue.md`, followed word for word on a Debian that has gpg, coreutils and zfs and nothing else: no Node, no zferry.
 *
 * It is entered by chroot, so its kernel is this machine's. In the place of OpenZFS and its kernel module stands zfs-fuse 0.7, whose
 * `zfs` and `zpool` it is; the streams were sent by that, too. What a person types, the passphrase, gpg finds in its configuration.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { filesUnder, fixtures, passphrase, recorded, Scene } from "../cli/zferry.ts";
import { blocksOf } from "../docs/blocks.ts";
import { need } from "../systems.ts";

const page = "docs/guides/rescue.md";

/** The SHA-256 of each file, as `sha256sum -c` reads them. */
function sumsOf(stream: string): string {
  return readFileSync(join(fixtures, "streams", "zfs-fuse", `${stream}.manifest.txt`), "utf8").split("\n--\n")[0] ?? "";
}

/** Around the page: a pool `tank` with room, the store under `/mnt/backup`, and what becomes of both when the shell ends. */
function scriptFor(typed: string): string {
  return `set -e
mount -t proc proc /proc
install -d -m 700 /root/.gnupg
printf 'batch\\nno-tty\\npinentry-mode loopback\\npassphrase-file /root/typed\\n' >/root/.gnupg/gpg.conf
printf '%s\\n' '${passphrase}' >/root/typed
mkdir -p /run/lock/zfs /run/zfs
zfs-fuse --no-daemon --no-kstat-mount --pidfile /tmp/pid -m 64 >/tmp/log 2>&1 </dev/null &
daemon=$!
trap 'kill -KILL $daemon; gpgconf --kill all' EXIT
for try in $(seq 100); do zpool list >/dev/null 2>&1 && break; sleep 0.1; done
truncate -s 256M /tmp/tank.img
zpool create -m /mnt/tank tank /tmp/tank.img
${typed}
cd /mnt/restored
sha256sum --quiet -c /tmp/sums
`;
}

function enter(rescue: string, store: string, script: string): { readonly status: number | null; readonly output: string } {
  const mounts = ["mnt", "tmp", "run", "root", "var/lib/zfs"].map((folder) => `mkdir -p '${rescue}/${folder}'; mount -t tmpfs tmpfs '${rescue}/${folder}'`);
  const around = `set -e
[ -e /dev/fuse ] || mknod /dev/fuse c 10 229
${mounts.join("\n")}
mkdir '${rescue}/mnt/backup' '${rescue}/mnt/restored'
mount --bind '${store}' '${rescue}/mnt/backup'
mount --rbind /dev '${rescue}/dev'
cat >'${rescue}/tmp/sums' <<'SUMS'
${sumsOf("inc-i")}
SUMS
exec chroot '${rescue}' /bin/bash --norc -s`;
  const env = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root", LC_ALL: "C" };
  const { status, stdout, stderr } = spawnSync("unshare", ["-m", "--propagation", "private", "-p", "--fork", "--kill-child", "bash", "-c", around], { env, input: script, encoding: "utf8", timeout: 100_000, killSignal: "SIGKILL" });
  return { status, output: `${stdout}${stderr}` };
}

/** What is typed: every block of the page but the one that installs, which would need the network. */
function typedOn(): string {
  const blocks = blocksOf(page).map(({ text }) => text);
  const [install, ...others] = blocks;
  expect(install).toMatch(/^apt-get install /);
  expect(others.length).toBeGreaterThan(3);
  return others.join("\n");
}

it("the rescue guide brings data back with gpg, coreutils and zfs alone", { timeout: 120_000 }, async (context) => {
  const rescue = need(context, "rescue");
  for (const name of ["node", "zferry"]) expect(existsSync(join(rescue, "usr/bin", name))).toBe(false);
  const scene = new Scene();
  await scene.put("tank/home@zferry-20261121T020000Z", recorded("zfs-fuse/full"), ...scene.secret);
  await scene.put("tank/home@zferry-20261122T020000Z", recorded("zfs-fuse/inc-i"), ...scene.secret);
  chmodSync(scene.folder, 0o755);
  const { status, output } = enter(rescue, scene.store, scriptFor(typedOn()));
  expect(status, output).toBe(0);
  expect(output.match(/src|home@zferry-\d{8}T\d{6}Z\.zfs\.gpg\.\d{6}: OK/g)?.length).toBe(filesUnder(scene.store).filter((name) => name.includes(".zfs.gpg.")).length);
  expect(output).toContain("random.bin");
});

it("a chunk that is not what was stored stops it before zfs has it", { timeout: 120_000 }, async (context) => {
  const rescue = need(context, "rescue");
  const scene = new Scene();
  await scene.put("tank/home@zferry-20261121T020000Z", recorded("zfs-fuse/full"), ...scene.secret);
  mkdirSync(join(scene.store, "streams/tank/home@zferry-20261122T020000Z/00000000"), { recursive: true });
  const [chunk = ""] = filesUnder(scene.store).filter((name) => name.endsWith(".zfs.gpg.000002"));
  scene.write(join("store", chunk), Buffer.alloc(65_536));
  const [, check = ""] = /(cd [^\n]*\nsed [^\n]*\n)/.exec(typedOn()) ?? [];
  const { status, output } = enter(rescue, scene.store, `set -e -o pipefail\n${check}echo received\n`);
  expect(output).toContain("home@zferry-20261121T020000Z.zfs.gpg.000002: FAILED");
  expect(output).not.toContain("received");
  expect(status).not.toBe(0);
});
