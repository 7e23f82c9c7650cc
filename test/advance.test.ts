/** The anchor right behind a commit, when the run is stopped at that very moment. */
import { env } from "node:process";
import { expect, it } from "vitest";
import { backup } from "../src/backup.ts";
import { ZferryError } from "../src/errors.ts";
import { MemoryStore } from "../src/store/memory.ts";
import { zfsThrough } from "../src/zfs/command.ts";
import { parseDatasetName } from "../src/zfs/names.ts";
import { nightly } from "./cli/pool.ts";
import { smallSettings } from "./ferrying.ts";
import { ownFolder } from "./folder.ts";
import { fakeProgram } from "./zfs/fake.ts";

const nothing = (): void => undefined;

it("a run that is stopped right behind its commit secures its anchor all the same, and says nothing of it", async () => {
  const [pool, stop, store, warnings] = [nightly(), new AbortController(), new MemoryStore(), [] as string[]];
  const put = store.put.bind(store);
  store.put = async (key, body, options) => {
    const stored = await put(key, body, options);
    if (key.startsWith("manifests/")) stop.abort(new ZferryError("terminated", "stopped by SIGTERM"));
    return stored;
  };
  const { manifest } = await backup({
    zfs: zfsThrough([fakeProgram], { ...env, ...pool.env }),
    store,
    dataset: parseDatasetName("tank/src"),
    snapshot: null,
    snapshotPrefix: "zferry-",
    policy: { ask: "auto", fullEveryMs: null },
    settings: smallSettings,
    stateDir: ownFolder(),
    leaseMs: null,
    isAbandoning: false,
    isDryRun: false,
    now: () => new Date(),
    progress: { onRead: nothing, onStored: nothing, onPlan: nothing, onEstimate: nothing, warn: (text) => void warnings.push(text) },
    signal: stop.signal,
  });
  expect(manifest?.kind).toBe("full");
  expect(warnings).toEqual([]);
  expect(pool.holds("tank/src")).toEqual([expect.stringContaining("zferry:anchor:")]);
  expect(Object.keys(pool.dataset("tank/src").bookmarks)).toHaveLength(1);
});
