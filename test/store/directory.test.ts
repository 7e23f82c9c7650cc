import { createHash } from "node:crypto";
import { mkdtemp, mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { gather } from "../../src/bytes.ts";
import { tryTo } from "../../src/store/directory-files.ts";
import { linkUnlessTaken, openTemporary } from "../../src/store/directory-unfinished.ts";
import { openDirectory } from "../../src/store/directory.ts";
import { defaultRetryPolicy } from "../../src/store/retry.ts";
import type { Store } from "../../src/store/store.ts";
import { withRetry } from "../../src/store/with-retry.ts";
import { collect } from "../store.bodies.ts";
import { storeSuite } from "../store.suite.ts";

const { signal } = new AbortController();
let base = "";

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), "zferry-directory-"));
});
afterAll(async () => {
  await rm(base, { recursive: true });
});

const freshRoot = (): Promise<string> => mkdtemp(join(base, "root-"));

/** Unfinished files, and folders without an object in them. */
async function leftovers(store: Store): Promise<string[]> {
  const root = new URL(store.url).pathname;
  const unfinished = (await namesIn(join(root, ".zferry-tmp"))).map((name) => `unfinished ${name}`);
  const entries = await readdir(root, { withFileTypes: true, recursive: true });
  const folders = entries.filter((entry) => entry.isDirectory() && entry.name !== ".zferry-tmp");
  const empty: string[] = [];
  for (const folder of folders) {
    if ((await namesIn(join(folder.parentPath, folder.name))).length === 0) empty.push(`empty ${folder.name}`);
  }
  return [...unfinished, ...empty];
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch {
    return [];
  }
}

const suite = { partBytes: 4096, listLength: 1003, leftovers };

storeSuite("the directory store", { ...suite, open: async () => openDirectory(await freshRoot(), "write") });
storeSuite("the directory store behind retries", {
  ...suite,
  listLength: 20,
  open: async () => withRetry(await openDirectory(await freshRoot(), "write"), defaultRetryPolicy),
});

describe("the directory store", () => {
  let root = "";
  let store: Store;
  beforeEach(async () => {
    root = await freshRoot();
    store = await openDirectory(root, "write");
  });

  const put = async (key: string, text = "x"): Promise<void> => {
    await store.put(key, Buffer.from(text), { when: "replace", signal });
  };
  const keys = async (): Promise<string[]> => (await collect(store.list("", { signal }))).map(({ key }) => key);

  it("keeps an object as a file under its key, for its owner only", async () => {
    await put("a/b@c", "hello");
    expect(await readFile(join(root, "a/b@c"), "utf8")).toBe("hello");
    expect((await stat(join(root, "a/b@c"))).mode & 0o777).toBe(0o600);
    expect((await stat(join(root, "a"))).mode & 0o777).toBe(0o700);
  });

  it("removes the folders that a delete has emptied, and no other", async () => {
    await put("a/b/c/1");
    await put("a/2");
    await store.delete(["a/b/c/1"], { signal });
    expect(await namesIn(join(root, "a"))).toEqual(["2"]);
    await store.delete(["a/2"], { signal });
    expect((await namesIn(root)).filter((name) => !name.startsWith("."))).toEqual([]);
  });

  it("neither lists nor follows a symbolic link, to a file or to a folder", async () => {
    const outside = await freshRoot();
    await writeFile(join(outside, "secret"), "secret");
    await symlink(join(outside, "secret"), join(root, "file"));
    await symlink(outside, join(root, "folder"));
    await put("real");
    expect(await keys()).toEqual(["real"]);
    expect(await store.head("file", { signal })).toBeNull();
    await expect(collect(store.get("file", { signal }))).rejects.toMatchObject({ code: "object-missing" });
    await expect(store.head("folder/secret", { signal })).rejects.toMatchObject({ code: "store-failed" });
    await expect(put("folder/new")).rejects.toMatchObject({ code: "store-failed" });
    await expect(store.delete(["folder/secret"], { signal })).rejects.toMatchObject({ code: "store-failed" });
    expect(await namesIn(outside)).toEqual(["secret"]);
  });

  it("refuses a component of over 255 bytes by name", async () => {
    await put("a".repeat(255));
    await expect(put(`a/${"é".repeat(128)}`)).rejects.toMatchObject({
      code: "store-failed",
      message: expect.stringContaining("over 255 bytes") as string,
    });
  });

  it("refuses keys where unfinished files live", async () => {
    await expect(put(".zferry-tmp/x")).rejects.toMatchObject({ code: "store-failed" });
    await put(".zferry-tmp2");
    expect(await keys()).toEqual([".zferry-tmp2"]);
  });

  it("says that an object is in the way of a folder, and the reverse", async () => {
    await put("a");
    await expect(put("a/b")).rejects.toThrow("in the way");
    await put("c/d");
    await expect(put("c")).rejects.toThrow("in the way");
    expect(await keys()).toEqual(["a", "c/d"]);
  });

  it("lists what other programs have put there", async () => {
    await mkdir(join(root, "copied"));
    await writeFile(join(root, "copied", "chunk"), "12345");
    const [object] = await collect(store.list("", { signal }));
    expect(object).toMatchObject({ key: "copied/chunk", sizeBytes: 5 });
    expect((await gather(store.get("copied/chunk", { signal }), 9, () => new Error("long"))).toString()).toBe("12345");
  });

  it("is not there to be read when its folder is not, and is made to be written", async () => {
    const path = join(root, "x", "y");
    await expect(openDirectory(path, "read")).rejects.toMatchObject({ code: "store-not-found" });
    await openDirectory(path, "write");
    await openDirectory(path, "read");
    await writeFile(join(root, "file"), "");
    await expect(openDirectory(join(root, "file"), "read")).rejects.toMatchObject({ code: "store-not-found" });
  });

  it("never says that an object is not there when the folder itself has gone", async () => {
    await put("a");
    await rm(root, { recursive: true });
    const gone = { code: "store-not-found" };
    await expect(store.head("a", { signal })).rejects.toMatchObject(gone);
    await expect(collect(store.get("a", { signal }))).rejects.toMatchObject(gone);
    await expect(keys()).rejects.toMatchObject(gone);
    await expect(store.delete(["a"], { signal })).rejects.toMatchObject(gone);
    await expect(put("a")).rejects.toMatchObject(gone);
  });

  it("removes unfinished files of a crashed run after a day, not before, and only when it is to be written", async () => {
    const folder = join(root, ".zferry-tmp");
    await mkdir(folder, { recursive: true });
    const unfinished = (digit: string): string => `${digit.repeat(16)}-${digit.repeat(24)}`;
    const [old, young, lock] = [unfinished("0"), unfinished("1"), `${"2".repeat(32)}.lock`];
    const others = ["not ours", `${old}.txt`, `x${lock}`];
    const dayAgo = Date.now() / 1000 - 24 * 3600 - 60;
    for (const name of [old, young, lock, ...others]) {
      await writeFile(join(folder, name), "");
      if (name !== young) await utimes(join(folder, name), dayAgo, dayAgo);
    }
    await mkdir(join(folder, unfinished("3")));
    await utimes(join(folder, unfinished("3")), dayAgo, dayAgo);
    await openDirectory(root, "read");
    expect(await namesIn(folder)).toHaveLength(7);
    await openDirectory(root, "write");
    expect((await namesIn(folder)).sort()).toEqual([young, unfinished("3"), ...others].sort());
    expect(await keys()).toEqual([]);
  });

  /** Leaves the lock of "k" behind, written so many seconds ago. */
  async function leaveLock(ageSeconds: number): Promise<void> {
    const name = createHash("sha256").update(join(root, "k")).digest("hex").slice(0, 32);
    const lock = join(root, ".zferry-tmp", `${name}.lock`);
    await writeFile(lock, "");
    const then = Date.now() / 1000 - ageSeconds;
    await utimes(lock, then, then);
  }

  it.for([
    ["long ago", 120],
    ["at a time to come, by a clock that was wrong", -86_400],
  ] as const)("breaks the lock of a process that died with it %s", async ([, ageSeconds]) => {
    await put("k", "old");
    await leaveLock(ageSeconds);
    await put("k", "new");
    expect(await readFile(join(root, "k"), "utf8")).toBe("new");
    expect(await namesIn(join(root, ".zferry-tmp"))).toEqual([]);
  });

  it("waits for a lock no longer than its signal lets it, and leaves nothing but the lock", async () => {
    await put("k", "old");
    await leaveLock(0);
    const [stop, reason] = [new AbortController(), new Error("stopped")];
    const waiting = store.put("k", Buffer.from("new"), { when: "replace", signal: stop.signal });
    setTimeout(() => { stop.abort(reason); }, 50);
    await expect(waiting).rejects.toBe(reason);
    expect(await readFile(join(root, "k"), "utf8")).toBe("old");
    expect(await namesIn(join(root, ".zferry-tmp"))).toEqual([expect.stringMatching(/\.lock$/)]);
  });

  it("passes an error of the body on as it is, errno and all", async () => {
    const failure = Object.assign(new Error("the pipe broke"), { code: "ENOSPC", syscall: "read" });
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("x");
      await Promise.resolve();
      throw failure;
    }
    await expect(store.put("k", failing(), { when: "replace", signal })).rejects.toBe(failure);
    expect(await keys()).toEqual([]);
  });

  it("creates exactly once where there are no hard links, too", async () => {
    const refusing = (): Promise<void> => Promise.reject(Object.assign(new Error("no links here"), { code: "EPERM" }));
    const writers = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const { path, handle } = await openTemporary(root, "k");
        await handle.writeFile(`writer ${index}`);
        await handle.close();
        return path;
      }),
    );
    const outcomes = await Promise.all(writers.map((path) => linkUnlessTaken(root, path, join(root, "k"), { signal, linkFile: refusing })));
    expect(outcomes.filter((outcome) => outcome === "placed")).toHaveLength(1);
    expect(await readFile(join(root, "k"), "utf8")).toBe(`writer ${outcomes.indexOf("placed")}`);
  });

  it.for([
    ["ENOSPC", "store-full"],
    ["EDQUOT", "store-full"],
    ["EACCES", "store-denied"],
    ["EROFS", "store-denied"],
    ["EISDIR", "store-failed"],
    ["EIO", "store-failed"],
  ] as const)("says of %s from the kernel: %s", async ([errno, code]) => {
    const refused = Object.assign(new Error("from the kernel"), { code: errno });
    const work = tryTo("write it", () => Promise.reject(refused));
    await expect(work).rejects.toMatchObject({
      code,
      cause: refused,
      message: expect.stringMatching(/^cannot write it: /) as string,
    });
  });
});
