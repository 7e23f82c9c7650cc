import { describe, expect, it } from "vitest";
import { manifestKey } from "../src/format/layout.ts";
import { list } from "../src/list.ts";
import { updateStoreState } from "../src/state.ts";
import { MemoryStore } from "../src/store/memory.ts";
import { parseDatasetName, parseSnapshotName } from "../src/zfs/names.ts";
import { ownFolder } from "./folder.ts";
import * as golden from "./format/sealing.ts";

const { signal } = new AbortController();

describe("a listing", () => {
  async function store(): Promise<MemoryStore> {
    const memory = new MemoryStore();
    const put = async (name: string, members: Record<string, unknown>): Promise<void> => {
      const backup = parseSnapshotName(name);
      const bytes = golden.sealMembers({ ...golden.goldenMembers(), ...members, backup });
      await memory.put(manifestKey(backup), bytes, { when: "create", signal });
    };
    const { snapshot } = golden.goldenMembers();
    const of = (guid: string): Record<string, unknown> => ({ snapshot: { ...(snapshot as object), guid } });
    await put("tank/moved@a", of("1"));
    await put("tank/home@b", { ...of("2"), kind: "incremental", base: { guid: "1", backup: null } });
    await put("tank/home@c", { ...of("3"), kind: "incremental", base: { guid: "7", backup: null } });
    for (const name of ["tank/home@broken", "tank/moved@broken"]) {
      await memory.put(manifestKey(parseSnapshotName(name)), golden.broken("bit-flip.json"), { when: "create", signal });
    }
    return memory;
  }

  const options = { stateDir: null, warn: (): void => undefined, signal };

  it("says of every backup whether it can be restored, or why not", async () => {
    const { backups, damaged } = await list(await store(), { ...options, dataset: null });
    const obstacles = Object.fromEntries(backups.map(({ entry: { backup }, obstacle }) => [backup, obstacle]));
    expect(obstacles).toEqual({
      "tank/moved@a": null,
      "tank/home@b": null,
      "tank/home@c": "its base, the snapshot with guid 7, is not in the store",
    });
    expect(damaged).toHaveLength(2);
  });

  it("says when the manifest that is there was last verified, and of another version nothing", async () => {
    const [memory, stateDir] = [await store(), ownFolder()];
    const key = manifestKey(parseSnapshotName("tank/home@b"));
    const etag = (await memory.head(key, { signal }))?.etag ?? "";
    const at = new Date("2026-11-21T02:00:00Z");
    const result = { at, findingCount: 0, findings: [] };
    await updateStoreState(stateDir, memory.url, (state) => {
      state.verified = { [key]: { digest: { ...result, etag }, stream: { ...result, etag: "of another" } } };
    });
    const { backups } = await list(memory, { ...options, stateDir, dataset: parseDatasetName("tank/home") });
    expect(backups.map(({ verified }) => verified?.level ?? null)).toEqual(["digest", null]);
  });

  it("of one dataset shows that one alone, and finds bases that lie elsewhere", async () => {
    const { backups, damaged } = await list(await store(), { ...options, dataset: parseDatasetName("tank/home") });
    expect(backups.map(({ entry: { backup }, obstacle }) => [backup, obstacle === null])).toEqual([
      ["tank/home@b", true],
      ["tank/home@c", false],
    ]);
    expect(damaged.map(({ key }) => key)).toEqual(["manifests/tank/home@broken.json"]);
  });
});
