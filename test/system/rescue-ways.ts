/**
 * The two ZFS that a rescue system may have here, and what was sent by each.
 *
 * `zfs-fuse`: 0.7, a program in the rescue system itself, with a pool `tank` in a file; the streams are recorded ones. `guest`: OpenZFS 2.3 with
 * its kernel module, in the guest: the rescue system's `zfs` hands everything to it, so the data appears over there. Its pool is shared, so
 * a dataset stands for `tank`.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type TestContext } from "vitest";
import { fixtures, recorded, type Scene } from "../cli/zferry.ts";
import { need } from "../systems.ts";
import { Guest } from "./guest.ts";

/** What the page names. */
const page = { pool: "tank", full: "zferry-20261121T020000Z", incremental: "zferry-20261122T020000Z" };

export interface Way {
  /** The page's commands, with what there is here for what it names. */
  readonly here: (typed: string) => string;
  /** Run outside, before the chroot to `$root`, in its mount namespace. */
  readonly outside: string;
  /** Run inside before the page, after which there is a pool with room. */
  readonly before: string;
  /** Run inside after the page. */
  readonly after: string;
  /** Throws unless what was restored is what was stored. */
  readonly check: (output: string) => Promise<void>;
}

/** The SHA-256 of each file, as `sha256sum -c` reads them. */
const sums = readFileSync(join(fixtures, "streams", "zfs-fuse", "inc-i.manifest.txt"), "utf8").split("\n--\n")[0] ?? "";

/** Stores a full and an incremental of a dataset `home`. */
export async function byFuse(scene: Scene): Promise<Way> {
  await scene.put(`tank/home@${page.full}`, recorded("zfs-fuse/full"), ...scene.secret);
  await scene.put(`tank/home@${page.incremental}`, recorded("zfs-fuse/inc-i"), ...scene.secret);
  return {
    here: (typed) => typed,
    outside: `[ -e /dev/fuse ] || mknod /dev/fuse c 10 229\ncat >"$root/tmp/sums" <<'SUMS'\n${sums}\nSUMS`,
    before: `mkdir -p /run/lock/zfs /run/zfs
zfs-fuse --no-daemon --no-kstat-mount --pidfile /tmp/pid -m 64 >/tmp/log 2>&1 </dev/null &
daemon=$!
trap 'kill -KILL $daemon; gpgconf --kill all' EXIT
for try in $(seq 100); do zpool list >/dev/null 2>&1 && break; sleep 0.1; done
truncate -s 256M /tmp/tank.img
zpool create -m /mnt/tank tank /tmp/tank.img`,
    after: "cd /mnt/restored\nsha256sum --quiet -c /tmp/sums",
    check: (output) => {
      expect(output).toContain("random.bin");
      return Promise.resolve();
    },
  };
}

/** The same by its own OpenZFS and `zferry backup`. */
export async function byGuest(scene: Scene, context: TestContext): Promise<Way> {
  const system = need(context, "openzfs");
  const guest = new Guest(system);
  const pool = guest.newName("tdst");
  const home = `${pool}/home`;
  const backup = async (kind: string): Promise<string> => {
    const words = ["backup", "--dataset", home, ...scene.place, ...scene.small, ...scene.secret, "--zfs", guest.zfsPath, "--json"];
    const ended = await scene.run(words, { now: new Date() });
    expect(ended.exit, ended.stderr).toBe(0);
    const [document = ""] = ended.stdout.toString().split("\n");
    const stored = JSON.parse(document) as { readonly backup: string };
    expect(stored).toMatchObject({ outcome: "stored", plan: { kind } });
    return stored.backup.split("@")[1] ?? "";
  };
  await guest.sh(`zfs create -p ${home} && cd /${home} && mkdir d && head -c 300000 /dev/urandom >d/base && echo one >changing`);
  const full = await backup("full");
  await guest.sh(`cd /${home} && echo two >changing && head -c 100000 /dev/urandom >d/new`);
  const incremental = await backup("incremental");
  // Its program finds the guest by a network namespace, which has no name inside; and it reads all of stdin, which may be the shell's script.
  const [, shim = "", network = ""] = /^exec (\S+) (\S+) zfs /m.exec(readFileSync(system.zfs, "utf8")) ?? [];
  return {
    here: (typed) => typed.replaceAll(/\btank\b/g, pool).replaceAll(page.full, full).replaceAll(page.incremental, incremental),
    outside: `mount -t tmpfs tmpfs "$root/usr/local/sbin"
touch "$root/run/guest"
mount --bind '${network}' "$root/run/guest"
cp '${shim}' "$root/usr/local/sbin/shim"
printf '#!/bin/sh\\n[ "$1" = recv ] || exec </dev/null\\nexec shim /run/guest zfs "$@"\\n' >"$root/usr/local/sbin/zfs"
chmod +x "$root/usr/local/sbin/zfs"`,
    before: "trap 'gpgconf --kill all' EXIT\n[ \"$(command -v zfs)\" = /usr/local/sbin/zfs ]",
    after: "",
    check: async () => {
      const restored = await guest.sh("cd /mnt/restored && find . -type f | sort | xargs sha256sum");
      expect(restored).toBe(await guest.sums(home));
      expect(restored.split("\n")).toHaveLength(3);
      expect(await guest.zfs("get", "-Ho", "value", "mounted,mountpoint", `${pool}/restored`)).toBe("yes\n/mnt/restored");
      expect(await guest.guid(`${pool}/restored@${incremental}`)).toBe(await guest.guid(`${home}@${incremental}`));
    },
  };
}
