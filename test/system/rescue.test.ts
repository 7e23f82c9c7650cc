/**
 * `docs/guides/rescue.md`, followed word for word on a Debian that has gpg, coreutils and zfs and nothing else: no Node, no zferry.
 *
 * It is entered by chroot, so its kernel is this machine's. In the place of OpenZFS and its kernel module stand zfs-fuse 0.7, and a `zfs` that
 * leads to OpenZFS 2.3 in the guest (`rescue-ways.ts`). What a person types, the passphrase, gpg finds in its configuration.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { filesUnder, passphrase, recorded, Scene } from "../cli/zferry.ts";
import { blocksOf } from "../docs/blocks.ts";
import { need } from "../systems.ts";
import { byFuse, byGuest, type Way } from "./rescue-ways.ts";

const page = "docs/guides/rescue.md";

/** Around the page: gpg's configuration, a pool with room, and what is looked at when it has been followed. */
function scriptFor({ before, after }: Pick<Way, "before" | "after">, typed: string): string {
  return `set -e
mount -t proc proc /proc
install -d -m 700 /root/.gnupg
printf 'batch\\nno-tty\\npinentry-mode loopback\\npassphrase-file /root/typed\\n' >/root/.gnupg/gpg.conf
printf '%s\\n' '${passphrase}' >/root/typed
${before}
${typed}
${after}
`;
}

/** Runs the script in the rescue system, with the store under `/mnt/backup`; whatever it starts or mounts is gone when it ends. */
function enter(rescue: string, store: string, script: string, outside = ""): { readonly status: number | null; readonly output: string } {
  const mounts = ["mnt", "tmp", "run", "root", "var/lib/zfs"].map((folder) => `mkdir -p "$root/${folder}"; mount -t tmpfs tmpfs "$root/${folder}"`);
  const around = `set -e
root='${rescue}'
${mounts.join("\n")}
mkdir "$root/mnt/backup" "$root/mnt/restored"
mount --bind '${store}' "$root/mnt/backup"
${outside}
mount --rbind /dev "$root/dev"
chroot "$root" /bin/bash --norc -s 2>&1 | cat
exit "\${PIPESTATUS[0]}"`; // through a pipe: Node gives sockets, and the guest's program shuts those down when a command has ended
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

it.for([
  ["zfs-fuse", byFuse],
  ["OpenZFS", byGuest],
] as const)("the rescue guide brings data back with gpg, coreutils and zfs alone, which is %s", { timeout: 120_000 }, async ([, storeBy], context) => {
  const rescue = need(context, "rescue");
  for (const name of ["node", "zferry"]) expect(existsSync(join(rescue, "usr/bin", name))).toBe(false);
  const scene = new Scene();
  const way = await storeBy(scene, context);
  chmodSync(scene.folder, 0o755);
  const { status, output } = enter(rescue, scene.store, scriptFor(way, way.here(typedOn())), way.outside);
  expect(status, output).toBe(0);
  expect(output.match(/home@zferry-\d{8}T\d{6}Z\.zfs\.gpg\.\d{6}: OK/g)?.length).toBe(filesUnder(scene.store).filter((name) => name.includes(".zfs.gpg.")).length);
  await way.check(output);
});

it("a chunk that is not what was stored stops it before zfs has it, and nothing is run of what the store's owner wrote", { timeout: 120_000 }, async (context) => {
  const rescue = need(context, "rescue");
  const scene = new Scene();
  await scene.put("tank/home@zferry-20261121T020000Z", recorded("zfs-fuse/full"), ...scene.secret);
  mkdirSync(join(scene.store, "streams/tank/home@zferry-20261122T020000Z/00000000"), { recursive: true });
  const files = filesUnder(scene.store);
  const [chunk = ""] = files.filter((name) => name.endsWith(".zfs.gpg.000002"));
  scene.write(join("store", chunk), Buffer.alloc(65_536));
  const [note = ""] = files.filter((name) => name.endsWith("RESTORE.md"));
  scene.write(join("store", note), readFileSync(join(scene.store, note), "utf8").replace("sha256sum -c", "sha256sum --version; echo ran what somebody wrote; sha256sum -c"));
  const [check = ""] = /cd [^\n]*20261121[^\n]*\n[^\n]*RESTORE\.md[^\n]*\n/.exec(typedOn()) ?? [];
  const { status, output } = enter(rescue, scene.store, `set -o pipefail\n${check}echo received\n`);
  expect(output).toContain("home@zferry-20261121T020000Z.zfs.gpg.000002: FAILED");
  expect(output).not.toMatch(/received|ran what/);
  expect(status).not.toBe(0);
});
