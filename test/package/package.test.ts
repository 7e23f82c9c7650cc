/**
 * What people install: the tarball that `npm pack` makes, and the Debian package made of it.
 *
 * It is packed from a copy of the working tree, since packing makes `dist/` anew while other tests run what is in it.
 */
import { execFile } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { passphrase, recorded } from "../cli/zferry.ts";
import { built } from "../build.ts";
import { blocksOf } from "../docs/blocks.ts";
import { deadLinks } from "../docs/links.ts";
import { Guest } from "../system/guest.ts";
import { need } from "../systems.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const minutes = 60_000;
const sources = [".ci/man.mjs", ".ci/package", "src", "docs", "package.json", "package-lock.json", "tsconfig.json", "README.md", "CHANGELOG.md", "LICENSE", ".npmrc"];
const here = mkdtempSync(join(tmpdir(), "zferry-package-"));
const tree = join(here, "tree");
const unpacked = join(here, "package");
let tarball = "";
/** The little of nixpkgs that the expression uses; gives the commands it is built by. */
const nix = `{ file }: import file {
  lib = { getExe = program: program; licenses.mit = {}; platforms.linux = []; };
  stdenvNoCC.mkDerivation = given: { inherit (given) unpackPhase installPhase; };
  dpkg = {}; makeWrapper = {}; nodejs = "${process.execPath}"; src = "";
}`;

/** The parts of a CycloneDX bill, and of package-lock.json, that are compared. */
interface Bill {
  readonly components: readonly { readonly name: string; readonly version: string; readonly licenses: readonly unknown[] }[];
}
interface Lock {
  readonly packages: Readonly<Record<string, { readonly version: string; readonly dev?: boolean }>>;
}

const quietNpm = { npm_config_audit: "false", npm_config_fund: "false", npm_config_prefer_offline: "true", npm_config_loglevel: "error" };

function filesIn(folder: string): string[] {
  const below = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return below.filter((name) => statSync(join(folder, name)).isFile()).sort();
}

/** What `docs/install.md` says makes the packages, run to the letter, by somebody whose files nobody else may read. */
const [pack = "", ...furtherLines] = blocksOf("docs/install.md").find(({ text }) => text.startsWith("npm pack"))?.text.trim().split("\n") ?? [];
const inTree = (line: string): Promise<unknown> => run("bash", ["-c", `umask 077; ${line}`], { cwd: tree, env: { ...process.env, ...quietNpm }, maxBuffer: 2 ** 26 });

beforeAll(async () => {
  for (const name of sources) cpSync(join(root, name), join(tree, name), { recursive: true });
  await run("chmod", ["-R", "go-rwx", tree]);
  symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
  mkdirSync(join(tree, "dist"));
  writeFileSync(join(tree, "dist", "left-from-before.js"), "");
  await inTree(pack);
  tarball = join(tree, readdirSync(tree).find((name) => name.endsWith(".tgz")) ?? "");
  await run("tar", ["xzf", tarball, "-C", here]);
}, 3 * minutes);
afterAll(() => {
  rmSync(here, { recursive: true, force: true });
});

it("the package holds the program, its documents and the versions it was tested with, and nothing else", () => {
  const files = filesIn(unpacked);
  const rest = files.filter((name) => !/^dist\/.*(\.js|\.d\.ts)$|^dist\/man\/zferry.*\.1$|^docs\/.*\.(md|json|yaml|nix)$|^docs\/examples\//.test(name));
  expect(rest).toEqual(["CHANGELOG.md", "LICENSE", "README.md", "npm-shrinkwrap.json", "package.json"]);
  expect(files.filter((name) => name.includes("left-from-before") || name.startsWith("docs/adr/"))).toEqual([]);
  const read = (path: string): string => readFileSync(path, "utf8");
  expect(read(join(unpacked, "npm-shrinkwrap.json"))).toBe(read(join(root, "package-lock.json")));
});

it("two builds of the same sources, in different folders, make the same program", { timeout: 3 * minutes }, async () => {
  const ours = join(await built(), "..");
  const programs = filesIn(join(unpacked, "dist")).filter((name) => /\.(js|d\.ts)$/.test(name));
  expect(programs.length).toBeGreaterThan(100);
  for (const name of programs) expect(readFileSync(join(unpacked, "dist", name)).equals(readFileSync(join(ours, name))), name).toBe(true);
});

it("every file of it has the same date and owner, and is anybody's to read, so that the same sources give the same tarball whoever packs", async () => {
  const { stdout } = await run("tar", ["--utc", "--full-time", "-tvzf", tarball], { maxBuffer: 2 ** 26 });
  const lines = stdout.trim().split("\n").map((line) => line.split(/\s+/));
  const all = (column: number): string[] => [...new Set(lines.map((words) => words[column] ?? ""))].sort();
  expect({ modes: all(0), owners: all(1), dates: all(3) }).toEqual({ modes: ["-rw-r--r--", "-rwxr-xr-x"], owners: ["0/0"], dates: ["1985-10-26"] });
});

it("every link between its documents leads somewhere in it", () => {
  expect(deadLinks(unpacked)).toEqual([]);
});

it.for(["this Node", "node22", "node24"] as const)("installed into an empty folder with %s it runs the demo and a real backup", { timeout: 5 * minutes }, async (version, context) => {
  const folder = version === "this Node" ? join(process.execPath, "../..") : need(context, "nodes")[version];
  const env = { PATH: [join(folder, "bin"), process.env.PATH ?? ""].join(delimiter) };
  const prefix = join(here, `prefix ${version}`);
  mkdirSync(prefix);
  await run("npm", ["install", "--global", "--prefix", prefix, tarball], { cwd: here, env: { ...process.env, ...quietNpm, ...env }, maxBuffer: 2 ** 26 });
  const zferry = join(prefix, "bin", "zferry");
  const inside = async (words: readonly string[]): Promise<string> => (await run(zferry, [...words], { env: { ...process.env, ...env }, cwd: prefix })).stdout;

  const demo = await run("node", [join(root, "test", "demo.mjs"), "--program", zferry], { env: { ...process.env, ...env } });
  expect(demo.stdout).toContain("Both streams came back byte for byte, one of them out of two copies.");

  const guest = new Guest(need(context, "openzfs"));
  const [source, target] = [guest.newName("tsrc"), guest.newName("tdst")];
  await guest.zfs("create", source);
  await guest.sh(`head -c 3000000 /dev/urandom >/${source}/file`);
  writeFileSync(join(prefix, "passphrase"), `${passphrase}\n`, { mode: 0o600 });
  const place = ["--store", "./store", "--state-dir", "./state", "--zfs", guest.zfsPath];
  await inside(["backup", "--dataset", source, ...place, "--passphrase-file", "./passphrase"]);
  await inside(["restore", source, "--to", target, ...place, "--passphrase-file", "./passphrase"]);
  await guest.zfs("mount", target);
  expect(await guest.sums(target)).toBe(await guest.sums(source));
});

let deb: Promise<string> | null = null;

/** The Debian package, made by the page's words when it is first asked for. @returns its path */
function theDeb(): Promise<string> {
  return (deb ??= inTree(furtherLines.join("\n")).then(() => join(tree, readdirSync(tree).find((name) => name.endsWith(".deb")) ?? "")));
}

it("the Debian package is the same each time it is made, and its bill of materials names all that is in it", { timeout: 3 * minutes }, async (context) => {
  need(context, "dpkgDeb");
  const first = await theDeb();
  mkdirSync(join(here, "deb again"));
  const second = (await run(join(root, ".ci", "package", "deb"), [tarball, join(here, "deb again")])).stdout.trim();
  expect(readFileSync(first).equals(readFileSync(second))).toBe(true);
  const contents = (await run("dpkg-deb", ["--contents", first], { maxBuffer: 2 ** 26 })).stdout.trim().split("\n").map((line) => line.split(/\s+/));
  expect([...new Set(contents.map(([mode = "", owner = ""]) => `${mode} ${owner}`))].sort()).toEqual(["-rw-r--r-- root/root", "-rwxr-xr-x root/root", "drwxr-xr-x root/root", "lrwxrwxrwx root/root"]);
  const bill = JSON.parse(readFileSync(first.replace("_all.deb", ".cdx.json"), "utf8")) as Bill;
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as Lock;
  const tested = Object.entries(lock.packages).filter(([path, { dev }]) => path !== "" && dev !== true);
  const names = new Set(tested.map(([path, one]) => `${path.slice(path.lastIndexOf("node_modules/") + 13)}@${one.version}`));
  expect(bill.components.map(({ name, version: one }) => `${name}@${one}`).sort()).toEqual([...names].sort());
  expect(bill.components.filter(({ licenses }) => licenses.length === 0)).toEqual([]);
});

it("installed by Debian 13's dpkg, with Debian's Node, it stores a stream and gives it back, and goes without a trace", { timeout: 3 * minutes }, async (context) => {
  need(context, "dpkgDeb");
  const debian = need(context, "debian13");
  const folder = mkdtempSync(join(debian, "root", "zferry-"));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  copyFileSync(await theDeb(), join(folder, "zferry.deb"));
  writeFileSync(join(folder, "stream"), recorded("full"));
  writeFileSync(join(folder, "passphrase"), `${passphrase}\n`, { mode: 0o600 });
  const script = `
    set -eu
    mount -t proc proc "$1/proc"
    cd "$1"
    exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -euc '
      cd "$1"
      dpkg --install zferry.deb >&2
      zferry put tank/a@s --store ./store --state-dir ./state --passphrase-file ./passphrase <stream >&2
      zferry get tank/a@s --store ./store --state-dir ./state --passphrase-file ./passphrase | cmp - stream
      zferry list --store ./store --state-dir ./state --json
      zferry help retention >&2
      [ -e /usr/lib/zferry/CHANGELOG.md ] # to which documents lead
      [ -e /usr/share/man/man1/zferry-backup.1.gz ]
      dpkg --purge zferry >&2
      [ ! -e /usr/bin/zferry ] && [ ! -e /usr/lib/zferry ]
    ' sh "$2"`;
  const { stdout } = await run("unshare", ["--mount", "sh", "-c", script, "sh", debian, `/root/${basename(folder)}`]);
  expect(JSON.parse(stdout)).toMatchObject({ backups: [{ backup: "tank/a@s", restorable: true }] });
});

it("the Nix expression lays out the same program, by its own commands", { timeout: 3 * minutes }, async (context) => {
  const evaluate = need(context, "nixInstantiate");
  need(context, "dpkgDeb");
  const words = ["--eval", "--strict", "--json", "--expr", nix, "--argstr", "file", join(root, "docs", "examples", "package.nix")];
  const { unpackPhase, installPhase } = JSON.parse((await run(evaluate, words)).stdout) as { unpackPhase: string; installPhase: string };
  const build = join(here, "nix");
  mkdirSync(build);
  const out = join(build, "out");
  // What nixpkgs' own makes of `makeWrapper PROGRAM OUT --add-flags FLAGS`.
  const makeWrapper = String.raw`makeWrapper() { printf '#!/bin/sh\nexec %s %s "$@"\n' "$1" "$4" >"$2"; chmod +x "$2"; }`;
  const options = { cwd: build, env: { ...process.env, src: await theDeb(), out } };
  await run("bash", ["-euc", [makeWrapper, unpackPhase, installPhase].join("\n")], options);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  expect((await run(join(out, "bin", "zferry"), ["--version"])).stdout).toBe(`${version}\n`);
});
