/**
 * What zferry refuses of what it is given: streams that are none, backups that cannot be read or exist already, datasets
 * that are not there.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { built } from "../build.ts";
import { nightly, Pool, streamOf } from "./pool.ts";
import { put, refused } from "./refusing.ts";
import { net, recorded, Scene } from "./zferry.ts";

beforeAll(built);

describe("what is on stdin", () => {
  it.for([
    ["nothing", Buffer.alloc(0), "is empty"],
    ["text", Buffer.from("cannot open 'tank/src@s1': dataset does not exist\n".repeat(20)), "not a zfs send stream"],
    ["a few zeros", Buffer.alloc(10), ""],
    ["many zeros", Buffer.alloc(100_000), ""],
    ["a stream that gzip packed", Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), recorded("inc-i")]), ""],
    ["a stream with something behind it", Buffer.concat([recorded("inc-i"), Buffer.from("\n")]), ""],
    ["a stream with a changed byte", changed(recorded("inc-i")), ""],
  ] as const)("%s is no stream", async ([, stdin, why]) => {
    const scene = new Scene();
    expect(await refused(scene, 13, put(scene, ...scene.small, ...scene.forBob), { stdin })).toContain(why);
    const list = await scene.run(["list", ...scene.place]);
    expect(list.stdout.toString()).toBe("no backups\n");
  });
});

function changed(stream: Buffer): Buffer {
  const copy = Buffer.from(stream);
  copy.writeUInt8(copy.readUInt8(50_000) ^ 1, 50_000);
  return copy;
}

describe("a backup", () => {
  it("of a newer format is told from a damaged one", async () => {
    const scene = new Scene();
    await scene.put("tank/src@s1", recorded("inc-i"));
    const file = join(scene.store, "manifests/tank/src@s1.json");
    const body = readFileSync(file, "utf8").replace(/,"seal".*$/s, "").replace('"format": 1', '"format": 2');
    const sum = createHash("sha256").update(body).digest("hex");
    writeFileSync(file, `${body},"seal":"v2:${sum}:${"0".repeat(64)}"}\n`);
    for (const words of [["get", "tank/src@s1", ...scene.asBob], ["restore", "tank/src@s1", "--from", scene.store, "--to", "pool/x", ...scene.asBob]]) {
      const { env } = nightly();
      expect(await refused(scene, 17, [...words, ...scene.place], { env })).toContain("upgrade zferry");
    }
    const list = await scene.run(["list", ...scene.place]);
    expect(list.stdout.toString()).toContain("has format 2, newer than 1");
  });

  it.for([
    ["another guid", "full", "holes", "with guid 13043067825435035368 and not 2476246662441121182"],
    ["the same guid", "full", "full", "with the same guid"],
    ["a package", "full", "repl-R", "with guid 13043067825435035368 and not"],
  ] as const)("is never overwritten by one of its name with %s", async ([, first, second, why]) => {
    const scene = new Scene();
    await scene.put("tank/src@s1", recorded(first));
    expect(await refused(scene, 13, put(scene, ...scene.small, ...scene.forBob), { stdin: recorded(second) })).toContain(why);
    const { stdout } = await scene.run(["get", "tank/src@s1", ...scene.place, ...scene.asBob]);
    expect(stdout.equals(recorded(first))).toBe(true);
  });

  it("that is not there is exit 10", async () => {
    const scene = new Scene();
    await scene.put("tank/src@s1", recorded("inc-i"));
    for (const words of [["get", "tank/src@s2", ...scene.secret], ["download", "tank/src@s2", join(scene.folder, "copy")]]) {
      expect(await refused(scene, 10, [...words, ...scene.place])).toContain('there is no backup "tank/src@s2"');
    }
  });

  it("in clear text is stored only when asked for, said so, and opened with a key only when that is allowed", async () => {
    const scene = new Scene();
    const clear = await scene.run(put(scene, ...scene.small, "--packet", "none"), { stdin: recorded("raw-w") });
    expect(clear).toMatchObject({ exit: 0, stderr: expect.stringContaining("readable by whoever can read the store") as string });
    const words = ["get", "tank/src@s1", ...scene.place];
    expect(await refused(scene, 13, [...words, ...scene.secret])).toContain("give --allow-unauthenticated");
    const open = await scene.run([...words, ...scene.secret, "--allow-unauthenticated"]);
    expect(open.stdout.equals(recorded("raw-w"))).toBe(true);
    const keyless = await scene.run(words);
    expect(keyless.stderr).toContain("is unauthenticated");
    expect(keyless.stdout.equals(recorded("raw-w"))).toBe(true);
  });
});

describe("a manifest that cannot be read", () => {
  it("is never passed over in silence when the newest backup is wanted", async () => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    await scene.put("tank/src@one", streamOf("one"));
    await scene.put("tank/src@two", streamOf("two"));
    writeFileSync(join(scene.store, "manifests/tank/src@two.json"), "damaged");
    const words = ["restore", "tank/src", "--to", "pool/back", ...scene.place, ...scene.asBob];
    const { exit, stderr } = await scene.run(words, { env: pool.env });
    expect(exit).toBe(0);
    expect(stderr).toContain('warning: manifest "manifests/tank/src@two.json" is damaged');
  });

  it.for(["tank/src@one", "tank/src@two"])("is damage, and no missing backup, when %s is wanted and the full is what cannot be read", async (name) => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    await scene.put("tank/src@one", streamOf("one"));
    await scene.put("tank/src@two", streamOf("two"));
    writeFileSync(join(scene.store, "manifests/tank/src@one.json"), "damaged");
    const words = ["restore", name, "--to", "pool/back", ...scene.place, ...scene.asBob];
    expect(await refused(scene, 13, words, { env: pool.env })).toContain('manifest "manifests/tank/src@one.json" is damaged');
    expect(pool.calls()).toEqual([]);
  });
});

describe("the zfs side", () => {
  const backup = (scene: Scene, ...flags: string[]): string[] => ["backup", ...scene.place, ...scene.small, ...scene.forBob, ...flags];

  it("a dataset or snapshot that is not there is exit 14", async () => {
    const [scene, { env }] = [new Scene(), nightly()];
    expect(await refused(scene, 14, backup(scene, "--dataset", "tank/nope"), { env })).toContain('there is no dataset "tank/nope"');
    expect(await refused(scene, 14, backup(scene, "--dataset", "tank/src@nope"), { env })).toContain('there is no snapshot "tank/src@nope"');
  });

  it("a zfs that is not there is exit 14", async () => {
    const scene = new Scene();
    expect(await refused(scene, 14, backup(scene, "--dataset", "tank/src", "--zfs", "/nowhere/zfs"))).toContain('cannot run "/nowhere/zfs": ENOENT');
  });

  it("packet none is for datasets that ZFS encrypts", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    expect(await refused(scene, 2, backup(scene, "--dataset", "tank/src", "--packet", "none"), { env: pool.env })).toContain("in clear text");
    expect(pool.calls("snapshot")).toEqual([]);
  });
});

it("the reader behind get went away: exit 2 and no word about a bug", async () => {
  const scene = new Scene();
  await scene.put("tank/src@s1", recorded("large-L"));
  const flags = [...scene.place, ...scene.asBob].map((flag) => `'${flag}'`).join(" ");
  const script = `"$NODE" --import "$NET" "$MAIN" get tank/src@s1 ${flags} | head -c 1000 >/dev/null; echo "\${PIPESTATUS[0]}"`;
  const said = execFileSync("bash", ["-c", `exec 2>'${join(scene.folder, "err")}'; ${script}`], {
    env: { PATH: process.env.PATH, HOME: scene.folder, NODE: process.execPath, MAIN: await built(), NET: net },
    encoding: "utf8",
  });
  expect(said).toBe("2\n");
  expect(readFileSync(join(scene.folder, "err"), "utf8")).toContain("stdout was closed before the stream ended");
});
