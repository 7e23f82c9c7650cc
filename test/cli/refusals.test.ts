/**
 * What zferry refuses: with which exit status, with a hint what to do, and with nothing written to the store.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { version } from "../../src/version.ts";
import { built } from "../build.ts";
import { nightly, Pool, streamOf } from "./pool.ts";
import { type Ended, recorded, type RunOptions, Scene } from "./zferry.ts";

beforeAll(built);

/** Runs, and looks at what every refusal has in common. @returns what it said */
async function refused(scene: Scene, exit: number, words: readonly string[], options: RunOptions = {}): Promise<string> {
  const before = scene.objects;
  const ended = await scene.run(words, options);
  expectRefusal(ended, exit);
  expect(scene.objects).toEqual(before);
  return ended.stderr;
}

function expectRefusal({ exit, stderr, stdout }: Ended, status: number): void {
  expect(stderr).toMatch(/zferry: error: .*[^.]\nzferry: hint: .*[^.]\n$/s);
  expect(exit).toBe(status);
  expect(stdout.toString()).toBe("");
}

const put = (scene: Scene, ...flags: readonly string[]): string[] => ["put", "tank/src@s1", ...scene.place, ...flags];

describe("a command line", () => {
  it.for([
    [[], "no command is given"],
    [["bogus"], 'unknown command "bogus"'],
    [["list", "--nope"], 'unknown option "--nope"'],
    [["put"], 'missing required argument "dataset@snapshot"'],
    [["put", "a@b", "c@d"], "too many arguments"],
    [["restore", "tank/src"], 'required option "--to <target>" not specified'],
    [["put", "tank/src", "--store", "/x"], '"tank/src" is not a snapshot name'],
    [["get", "tank/../src@s1", "--store", "/x"], "is not a dataset name"],
    [["get", "tank/src@a@b", "--store", "/x"], "what follows @ is not a name"],
    [["list", "@", "--store", "/x"], "is not a dataset name"],
    [["backup", "--full", "--incremental"], "cannot be used with"],
    [["backup"], "there is nothing to back up"],
    [["backup", "job", "--dataset", "tank/src"], "jobs and --dataset cannot be given together"],
    [["put", "a@b", "--packet", "zip"], "Allowed choices are ocb, cfb, rfc9580, none"],
    [["put", "a@b", "--chunk-size", "1GB"], "write it as 16MiB or 1GiB"],
    [["put", "a@b", "--chunk-size", "-1"], "argument"],
    [["put", "a@b", "--concurrency", "65"], "a whole number from 1 to 64"],
    [["put", "a@b", "--retry-for", "1"], "write it as 30d"],
    [["restore", "a@b", "--to", "x", "--at", "yesterday"], "write it as 2026-11-21"],
    [["restore", "a@b", "--to", "x", "--at", "2026-11-21", "--store", "/x"], "a snapshot and --at cannot be given together"],
    [["restore", "a@b", "--to", "x", "-o", "=1"], "write it as property=value"],
    [["list", "--log-level", "loud"], "Allowed choices are error, warn, info, debug"],
  ] as const)("%j is refused", async ([words, why]) => {
    expect(await refused(new Scene(), 2, words)).toContain(why);
  });

  it.for([[["--help"]], [["help"]], [["put", "--help"]], [["state", "--help"]]] as const)("%j is answered on stdout", async ([words]) => {
    const { exit, stdout, stderr } = await new Scene().run(words);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    expect(stdout.toString()).toMatch(/^Usage: zferry /);
  });

  it("--version is the package's", async () => {
    const { exit, stdout } = await new Scene().spawn(["--version"]);
    expect([exit, stdout.toString()]).toEqual([0, `${version}\n`]);
    const { version: packaged } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
    expect(packaged).toBe(version);
  });

  it("is refused by the built program in the same words and with the same exit status", async () => {
    const ended = await new Scene().spawn(["bogus"]);
    expectRefusal(ended, 2);
    expect(ended.stderr).toContain('unknown command "bogus"');
  });
});

describe("a passphrase", () => {
  it("is needed to store and to open", async () => {
    const scene = new Scene();
    await refused(scene, 12, put(scene, ...scene.small), { stdin: recorded("inc-i") });
    await scene.put("tank/src@s1", recorded("inc-i"), ...scene.secret);
    expect(await refused(scene, 12, ["get", "tank/src@s1", ...scene.place])).toContain("needs a passphrase");
  });

  it("that is wrong is told from damage", async () => {
    const scene = new Scene();
    await scene.put("tank/src@s1", recorded("inc-i"), ...scene.secret);
    const wrong = scene.write("wrong", "something else\n");
    await refused(scene, 12, ["get", "tank/src@s1", ...scene.place, "--passphrase-file", wrong]);
  });

  it.for([0o640, 0o604, 0o666, 0o610])("in a file of mode %o is refused, with the chmod to run", async (mode) => {
    const scene = new Scene();
    const file = scene.write("open", "secret\n", mode);
    const said = await refused(scene, 2, put(scene, ...scene.small, "--passphrase-file", file), { stdin: recorded("inc-i") });
    expect(said).toContain(`hint: run chmod 600 '${file}'`);
  });

  it.for([
    ["a file that is not there", ["--passphrase-file", "/nowhere/at/all"], "cannot read the passphrase file"],
    ["a folder", ["--passphrase-file", "/"], "EISDIR"],
    ["a variable that is not set", ["--passphrase-env", "NOT_SET"], 'variable "NOT_SET" for the passphrase is not set'],
    ["a command that fails", ["--passphrase-command", "echo SECRET; exit 3"], "the passphrase command failed (exit 3)"],
    ["a command that prints nothing", ["--passphrase-command", "true"], "is empty"],
    ["a certificate that is none", ["--recipient", "/dev/null"], "a recipient's certificate cannot be read"],
  ] as const)("from %s is refused", async ([, flags, why]) => {
    const scene = new Scene();
    const said = await refused(scene, 2, put(scene, ...scene.small, ...flags), { stdin: recorded("inc-i") });
    expect(said).toContain(why);
    expect(said).not.toContain("SECRET");
  });

  it("that is empty is refused", async () => {
    const scene = new Scene();
    const file = scene.write("empty", "\nsecond line\n");
    expect(await refused(scene, 2, put(scene, ...scene.small, "--passphrase-file", file))).toContain("is empty");
  });
});

describe("a configuration", () => {
  it.for([
    ["a size that is none", "defaults:\n  chunk_size: 12 parsecs\n", "2:15: defaults.chunk_size: "],
    ["a member nobody knows", "stores:\n  main:\n    url: /x\n    colour: red\n", "4:5: stores.main: "],
    ["a number out of range", "stores:\n  main: {url: /x, concurrency: 65}\n", "2:32: stores.main.concurrency: "],
    ["a dataset that is none", "jobs:\n  a: {dataset: tank@x, store: /x}\n", "2:16: jobs.a.dataset: "],
    ["text that is not YAML", "jobs: [\n", ":"],
    ["the same job twice", "jobs:\n  a: {dataset: t}\n  a: {dataset: t}\n", "3:3: "],
    ["a job without a store", "jobs:\n  a: {dataset: tank/a}\n", "jobs.a: names no store"],
  ] as const)("with %s is refused, with line and column", async ([, text, where]) => {
    const scene = new Scene();
    const file = scene.write("zferry.yaml", text);
    const said = await refused(scene, 2, ["backup"]);
    expect(said).toContain(`${file}:`);
    expect(said).toContain(where);
    expect(said).toMatch(/zferry\.yaml:\d+:\d+: /);
  });

  it.for([[["--config", "nowhere.yaml"], {}], [[], { ZFERRY_CONFIG: "nowhere.yaml" }]] as const)("that was named and is not there is refused: %j", async ([flags, env]) => {
    expect(await refused(new Scene(), 2, [...flags, "list"], { env })).toContain('nowhere.yaml": ENOENT');
  });
});

describe("a store", () => {
  it("that nobody named is refused", async () => {
    expect(await refused(new Scene(), 2, ["list"])).toContain("no store is named");
  });

  it.for(["ftp://host/x", "s4://bucket", "not-a-path", "s3:/bucket", "file://host/x", "s3://key:secret@bucket"])("of the unknown kind %s is refused", async (url) => {
    const said = await refused(new Scene(), 2, ["list", "--store", url]);
    expect(said).not.toContain("secret@");
  });

  it("that is a folder which is not there is not an empty one", async () => {
    const scene = new Scene();
    for (const words of [["list"], ["get", "tank/src@s1", ...scene.secret], ["restore", "tank/src", "--to", "x", ...scene.secret]]) {
      expect(await refused(scene, 15, [...words, ...scene.place])).toContain("there is no folder");
    }
  });
});

describe("sizes", () => {
  it.for([
    [["--chunk-size", "100KiB", "--part-size", "16KiB"], "are not a whole number of 16 KiB parts"],
    [["--chunk-size", "8KiB", "--part-size", "16KiB"], "are not a whole number of 16 KiB parts"],
    [["--chunk-size", "4KiB", "--part-size", "2KiB"], "takes no parts of 2 KiB"],
    [["--part-size", "0"], "takes no parts of 0 B"],
    [["--chunk-size", "0"], "are not a whole number"],
    [["--store", "s3://bucket", "--chunk-size", "8MiB", "--part-size", "4MiB"], "takes no parts of 4 MiB"],
    [["--store", "s3://bucket", "--chunk-size", "1TiB", "--part-size", "16MiB"], "would have 65536 parts of 16 MiB"],
    [["--store", "s3://bucket", "--chunk-size", "6GiB", "--part-size", "6GiB"], "takes no parts of 6 GiB"],
  ] as const)("%j are refused before anything is read", async ([flags, why]) => {
    const scene = new Scene();
    const said = await refused(scene, 2, ["put", "tank/src@s1", ...scene.place, ...scene.forBob, ...flags], { stdin: recorded("inc-i") });
    expect(said).toContain(why);
  });
});

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
  const script = `"$NODE" "$MAIN" get tank/src@s1 ${flags} | head -c 1000 >/dev/null; echo "\${PIPESTATUS[0]}"`;
  const said = execFileSync("bash", ["-c", `exec 2>'${join(scene.folder, "err")}'; ${script}`], {
    env: { PATH: process.env.PATH, HOME: scene.folder, NODE: process.execPath, MAIN: await built() },
    encoding: "utf8",
  });
  expect(said).toBe("2\n");
  expect(readFileSync(join(scene.folder, "err"), "utf8")).toContain("stdout was closed before the stream ended");
});
