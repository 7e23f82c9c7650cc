/**
 * Which files a sample has and what it finds in them, on plain folders. That file systems are mounted and taken away again
 * is in `test/system/verify.test.ts`, on a real pool.
 */
import { chmodSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { chooseFiles, compareFiles, compareSample } from "../../src/verify/sample.ts";
import { zfsThrough } from "../../src/zfs/command.ts";
import { parseDatasetName, parseGuid, parseSnapshotName } from "../../src/zfs/names.ts";
import { backupEntry } from "../entries.ts";
import { never } from "../ferrying.ts";
import { ownFolder } from "../folder.ts";

/** Twenty files in folders within folders, and things that are no files. */
function tree(): string {
  const root = ownFolder();
  for (let index = 0; index < 20; index += 1) {
    const folder = join(root, ["a", "a/b", "c d", ""][index % 4] ?? "");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `file ${index}`), `content ${index}`);
  }
  symlinkSync("/etc/passwd", join(root, "link"));
  symlinkSync("/etc", join(root, "folder link"));
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x66, 0xff, 0xe9])]), "a name that is no text");
  return root;
}

describe("the files of a sample", () => {
  it.for([[1, 1], [5, 5], [21, 21], [1000, 21]])("asked for %i are %i, all of them files, each once", async ([fileCount, expected]) => {
    const chosen = await chooseFiles(tree(), { fileCount: fileCount ?? 0, seed: "x" }, never);
    expect(new Set(chosen).size).toBe(expected);
    expect(chosen.filter((path) => path.includes("link"))).toEqual([]);
  });

  it("are the same for the same seed, wherever the tree is, and others for another", async () => {
    const pick = async (seed: string): Promise<string> => (await chooseFiles(tree(), { fileCount: 5, seed }, never)).join();
    expect(await pick("one")).toBe(await pick("one"));
    expect(await pick("one")).not.toBe(await pick("another"));
  });

  it("end with the signal's reason", async () => {
    const reason = new Error("enough");
    await expect(chooseFiles(tree(), { fileCount: 5, seed: "x" }, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it.for([["ENOENT", "nowhere"], ["ENOTDIR", "file"]] as const)("says %s of a folder that cannot be read, which is no bug", async ([code, name]) => {
    const root = tree();
    writeFileSync(join(root, "file"), "");
    const at = join(root, name);
    await expect(chooseFiles(at, { fileCount: 5, seed: "x" }, never)).rejects.toMatchObject({ code: "zfs-failed", message: `the folder "${at}/" cannot be read from here: ${code}` });
  });
});

it("a file system that cannot be unmounted either does not hide why its files could not be read", async () => {
  const program = join(ownFolder(), "zfs");
  writeFileSync(program, "#!/bin/sh\ncase $1 in get|unmount) echo no luck with $1 >&2; exit 1;; esac\n", { mode: 0o700 });
  const entry = backupEntry({ backup: parseSnapshotName("tank/a@s1"), guid: parseGuid("1"), createdAt: new Date(0) });
  const where = { zfs: zfsThrough([program], {}), into: parseDatasetName("tank/scratch") };
  const { sample } = await compareSample(where, entry, { fileCount: 1, seed: "x", isReadAnyway: true }, never);
  expect(sample.obstacle).toContain("its file system is not mounted where zferry runs");
});

describe("a file that is compared", () => {
  const findings = async (harm: (folder: string) => void): Promise<string[]> => {
    const [source, received] = [tree(), tree()];
    harm(received);
    const all = await chooseFiles(source, { fileCount: 100, seed: "x" }, never);
    return (await compareFiles(source, received, all, never)).map(({ kind, message }) => `${kind}: ${message}`);
  };
  const file = (folder: string): string => join(folder, "a/b/file 1");

  it.for([
    ["is the same", () => undefined, []],
    ["has another byte", (folder: string) => { writeFileSync(file(folder), "content 2"); }, [/^sample: the file "a\/b\/file 1" is not what it is .*: SHA-256 [0-9a-f]{64} in the backup, SHA-256 [0-9a-f]{64} there$/]],
    ["is cut short", (folder: string) => { truncateSync(file(folder), 3); }, [/file 1".*SHA-256/]],
    ["is missing", (folder: string) => { rmSync(file(folder)); }, [/file 1".*: ENOENT in the backup/]],
    ["is a link now", (folder: string) => { rmSync(file(folder)); symlinkSync("/etc/passwd", file(folder)); }, [/file 1".*: ELOOP in the backup/]],
    ["has another mode and the same content", (folder: string) => { chmodSync(file(folder), 0o400); }, []],
  ] as const)("and %s", async ([, harm, patterns]) => {
    const found = await findings(harm);
    expect(found).toHaveLength(patterns.length);
    for (const [at, pattern] of patterns.entries()) expect(found[at]).toMatch(pattern);
  });
});
