/**
 * A backup server that pulls two hosts into one bucket by a command in place of `zfs` (`docs/pull.md`): OpenZFS 2.3, there as a
 * user to whom the page's own lines have given permissions, and zfs-fuse. Each backup comes back on the other host.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { documentOf, type Ended, Scene } from "../cli/zferry.ts";
import { blocksOf } from "../docs/blocks.ts";
import { need } from "../systems.ts";
import { newBucket } from "./bucket.ts";
import { clockedZfs } from "./clocked-zfs.ts";
import { Guest } from "./guest.ts";

const minuteMs = 60_000;
const user = "zferry";

/** The lines of a block of the page that make the user, or give permissions. @param begin - of the block */
function linesOf(begin: "useradd" | "zfs allow"): readonly string[] {
  const lines = blocksOf("docs/pull.md").find(({ text }) => text.startsWith(begin))?.text.trim().split("\n");
  if (lines === undefined) throw new Error(`docs/pull.md has no block with ${begin}`);
  return lines;
}

/** What is under a folder, for a shell where it is mounted. */
const sumsIn = (folder: string): string => `cd ${folder} && find . -type f | sort | xargs sha256sum`;

const fill = (folder: string): string => `mkdir -p ${folder}/d && head -c 300000 /dev/urandom > ${folder}/d/base && echo one > ${folder}/changing`;

/** `zfs` on the guest for a user without other rights; and without `-c`, which makes streams that a ZFS of 2011 cannot receive. */
function delegatedZfs(shell: string): string {
  return `#!/bin/sh
for word; do [ "$1 $word" != "send -c" ] || { echo "invalid option 'c'" >&2; exit 2; }; done
exec ${shell} -c 'exec su -s /bin/sh -c '\\''exec zfs "$@"'\\'' -- ${user} zfs "$@"' zfs "$@"
`;
}

/** Makes the user. Everybody may open /dev/zfs on any Linux with udev, which the guest has not. */
const welcome = `chmod 666 /dev/zfs; grep -q ^${user}: /etc/passwd || echo ${user}:x:4242:4242::/:/bin/sh >> /etc/passwd; grep -q ^${user}: /etc/group || echo ${user}:x:4242: >> /etc/group`;

it("pulls two hosts into one bucket, tells them apart, and restores each into the other", { timeout: 10 * minuteMs }, async (context) => {
  const [openzfs, system] = [need(context, "openzfs"), need(context, "s3")];
  need(context, "fuse");
  const [scene, guest, bucket, fuse] = [new Scene(), new Guest(openzfs), await newBucket(system), await clockedZfs("fuse", new Date())];
  const [source, scratch] = [guest.newName("tsrc"), guest.newName("tdst")];
  await guest.sh(`${welcome}; zfs create -o version=4 ${source} && ${fill(`/${source}`)} && zfs create ${scratch}`);
  const [, allowToSend = ""] = linesOf("useradd");
  const [allowToReceive = ""] = linesOf("zfs allow");
  await guest.sh(allowToSend.replace("tank/data", source));
  await guest.sh(allowToReceive.replace("tank/restored", scratch));
  await fuse.sh(`zfs create tsrc/data && ${fill(fuse.mountOf("tsrc/data"))}`);
  const delegated = scene.write("guest-zfs", delegatedZfs(openzfs.sh), 0o700);
  const urlOf = (folder: string): string => bucket.url.replace("/host?", `${folder}?`);
  const config = scene.write(
    "zferry.yaml",
    `state_dir: ${scene.stateDir}
stores: {modern: {url: "${urlOf("/modern")}", part_size: 5MiB}, old: {url: "${urlOf("/old")}", part_size: 5MiB}}
encryption: {recipients: [${scene.certificate("bob")}], private_keys: [${scene.privateKey("bob")}]}
defaults: {chunk_size: 5MiB}
jobs:
  modern: {dataset: ${source}, store: modern, zfs: [${delegated}]}
  old: {dataset: tsrc/data, store: old, zfs: [${fuse.zfs}]}
`,
  );
  const zferry = async (...words: string[]): Promise<Ended> => {
    const ended = await scene.run([...words, "--config", config], { env: { ...bucket.env, PATH: process.env.PATH ?? "" }, now: new Date() });
    expect([words, ended.exit, ended.stderr]).toEqual([words, 0, ended.stderr]);
    return ended;
  };
  await zferry("backup");
  await guest.sh(`echo two > /${source}/changing`);
  await fuse.sh(`echo zwei > ${fuse.mountOf("tsrc/data")}/changing`);
  await zferry("backup");

  const listed = documentOf(await zferry("list", "--all-hosts", "--json", "--store", urlOf(""))) as { backups: { host: string; backup: string; kind: string }[] };
  const of = (host: string, dataset: string, kind: string): string => `${host} ${dataset} ${kind}`;
  expect(listed.backups.map(({ host, backup, kind }) => of(host, backup.split("@")[0] ?? "", kind))).toEqual(
    [["modern", source], ["old", "tsrc/data"]].flatMap(([host = "", dataset = ""]) => [of(host, dataset, "full"), of(host, dataset, "incremental")]),
  );
  const { datasets } = documentOf(await zferry("status", "--all-hosts", "--check", "--json")) as { datasets: { host: string; dataset: string; state: string }[] };
  expect(datasets.map(({ host, dataset, state }) => [host, dataset, state])).toEqual([["modern", source, "ok"], ["old", "tsrc/data", "ok"]]);

  await zferry("restore", "tsrc/data", "--store", "old", "--zfs", delegated, "--to", `${scratch}/from-old`);
  await guest.sh(`zfs mount ${scratch}/from-old`);
  expect(await guest.sums(`${scratch}/from-old`)).toBe(await fuse.sh(sumsIn(fuse.mountOf("tsrc/data"))));
  await zferry("restore", source, "--store", "modern", "--zfs", fuse.zfs, "--to", "tdst/from-modern");
  // zfs-fuse takes a file system's root for object 3, which it is not in one made by OpenZFS, and cannot show it: so it sends what it has got.
  const newest = listed.backups.findLast(({ host }) => host === "modern")?.backup.replace(/^.*@/, "") ?? "";
  await fuse.sh(`zfs send tdst/from-modern@${newest} | ${openzfs.zfs} receive ${scratch}/and-back`);
  expect(await guest.sums(`${scratch}/and-back`)).toBe(await guest.sums(source));
  await bucket.remove();
});

it("the user whom the page makes can be made on a Debian, which has users of its own, and can be logged in as", (context) => {
  const debian = need(context, "debian13");
  const scene = new Scene();
  const [make = ""] = linesOf("useradd");
  const around = `set -e
cp -a "$0/etc" "$1"
mount --bind "$1" "$0/etc"
mount -t tmpfs tmpfs "$0/home"
exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -euc "$2; stat -c %U /home/${user}; exec su ${user} -c id"`;
  const said = execFileSync("unshare", ["--mount", "sh", "-c", around, debian, join(scene.folder, "etc"), make], { encoding: "utf8" });
  expect(said).toMatch(new RegExp(`^${user}\nuid=\\d+\\(${user}\\)`));
});
