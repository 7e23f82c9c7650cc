/**
 * An incremental that needs more of the stream format than its anchor did is not taken: a new full is.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { guids, nightly, remade } from "./pool.ts";
import { recorded, Scene } from "./zferry.ts";

/** LARGE_BLOCKS of `include/sys/zfs_ioctl.h`. */
const largeBlocks = 1n << 19n;

describe("an incremental whose stream has features its anchor was sent without", () => {
  it("becomes a full of the same snapshot, saying why", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    const words = ["backup", "--dataset", "tank/src", ...scene.place, ...scene.small, ...scene.forBob];
    expect(await scene.run(words, { env: pool.env })).toMatchObject({ exit: 0 });

    const identity = { toGuid: guids.two, laterSeconds: 0n, toName: "tank/src@s2" };
    writeFileSync(join(pool.folder, "two.zfs"), remade(recorded("inc-i"), { ...identity, features: largeBlocks }));
    writeFileSync(join(pool.folder, "two-full.zfs"), remade(recorded("full"), { ...identity, features: largeBlocks }));
    pool.change((state) => (state.streams = ["one.zfs", "two.zfs", "two-full.zfs"]));
    const { exit, stderr, stdout } = await scene.run(words, { env: pool.env, now: new Date("2026-11-22T00:00:00Z") });
    expect(exit, stderr).toBe(0);
    expect(stderr).toContain("has features the anchor");
    expect(stdout.toString()).toContain("stored full backup");
    expect(scene.manifests).toHaveLength(2);
  });
});
