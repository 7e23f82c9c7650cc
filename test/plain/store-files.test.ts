/** Engine `s3`, as a job runs it: what it says while it is at work, and its end when it takes too long. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { storeFiles, type StoreFilesRequest } from "../../src/plain/store-files.ts";
import { unlessAborted } from "../../src/store/abort.ts";
import type { StoredObject, UploadOptions } from "../../src/store/store.ts";
import { parseSnapshotName } from "../../src/zfs/names.ts";
import { NotedMemory } from "../tree/noted-memory.ts";
import { place, TreeScene } from "../tree/scene.ts";

/** Keeps the file `late` waiting until it is let go on, or stopped. */
class Slow extends NotedMemory {
  readonly goesOn: Promise<void>;

  constructor(goesOn: Promise<void>) {
    super();
    this.goesOn = goesOn;
  }

  override async upload(options: UploadOptions): Promise<StoredObject> {
    if (options.key.endsWith("/late")) await unlessAborted(this.goesOn, options.signal);
    return super.upload(options);
  }
}

function requestOf(goesOn: Promise<void>, more: Pick<StoreFilesRequest, "heartbeatMs" | "timeoutMs" | "info">): { scene: TreeScene; request: StoreFilesRequest } {
  const scene = new TreeScene(new Slow(goesOn));
  for (const name of ["early", "late"]) writeFileSync(join(scene.tree, name), name);
  const settings = { packet: "none" as const, recipients: { passphrases: [], certificates: [] }, partBytes: 5 * 1024 * 1024 };
  const request = {
    ...{ ...place, snapshot: parseSnapshotName("tank/home@monday"), root: scene.tree, stateDir: scene.stateDir, ...more },
    engine: { kind: "s3" as const, isEncrypted: false, keep: null },
    place: { store: scene.store, settings, leaseMs: null, concurrency: 2, readKeyring: () => Promise.resolve({ passphrases: [], privateKeys: [] }) },
    warn: (text: string): unknown => expect.fail(text),
    now: () => scene.now,
    signal: new AbortController().signal,
  };
  return { scene, request };
}

describe("a run of engine s3", () => {
  it("says at each heartbeat that it is at work, and how far it is", async () => {
    const said: string[] = [];
    let letGo = (): void => undefined;
    const goesOn = new Promise<void>((resolve) => (letGo = resolve));
    const { request } = requestOf(goesOn, {
      heartbeatMs: 5,
      timeoutMs: null,
      info: (text) => {
        said.push(text);
        if (text.includes("1 files so far")) letGo();
      },
    });
    expect(await storeFiles(request)).toMatchObject({ fileCount: 2 });
    expect(said).toContain("at work for 0 min: 1 files so far, 5 B sent");
  });

  it("ends when it takes too long, and leaves no list", async () => {
    const { scene, request } = requestOf(new Promise(() => undefined), { heartbeatMs: 60_000, timeoutMs: 300, info: () => undefined });
    await expect(storeFiles(request)).rejects.toMatchObject({ code: "engine-failed", message: "the files took longer than 0.3 s" });
    expect(await scene.runs()).toEqual([]);
  });
});
