/**
 * What zferry refuses of what it is told: with which exit status, with a hint what to do, and with nothing written.
 */
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { version } from "../../src/version.ts";
import { built } from "../build.ts";
import { expectRefusal, put, refused } from "./refusing.ts";
import { recorded, Scene } from "./zferry.ts";

beforeAll(built);

describe("a command line", () => {
  it.for([
    [[], "no command is given"],
    [["bogus"], 'unknown command "bogus"'],
    [["help", "bogus"], 'there is no command and no topic "bogus"'],
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
    [["restore", "a", "--to", "x", "--at", "5"], "write it as 2026-11-21"], // May 2001, says Date
    [["restore", "a", "--to", "x", "--at", "2026-02-30"], "write it as 2026-11-21"],
    [["restore", "a", "--to", "x", "--at", "2026-02-30T02:00Z"], "write it as 2026-11-21"],
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
