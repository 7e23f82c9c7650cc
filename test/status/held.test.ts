import { expect, it } from "vitest";
import { manifestKey } from "../../src/format/layout.ts";
import { heldOf, knownStore } from "../../src/status/held.ts";
import { parseDatasetName, parseGuid, parseSnapshotName } from "../../src/zfs/names.ts";
import { backupEntry } from "../entries.ts";
import { ago, dayMs } from "./standings.ts";

it("looks through a store once, for however many datasets", () => {
  const entries = Array.from({ length: 50 }, (_, index) => backupEntry({ backup: parseSnapshotName(`tank/d${index}@one`), guid: parseGuid(String(index + 1)), createdAt: ago(index * dayMs) }));
  let lookCount = 0;
  const manifests = new Proxy(Object.fromEntries(entries.map((entry) => [manifestKey(entry.backup), { etag: "e", sizeBytes: 1, entry }])), {
    ownKeys: (held) => {
      lookCount += 1;
      return Reflect.ownKeys(held);
    },
  });
  const store = knownStore({ url: "x", anchors: {}, manifests }, "main");
  const counts = entries.map((_, index) => heldOf(store, parseDatasetName(`tank/d${index}`)).backupCount);
  expect([new Set(counts), lookCount]).toEqual([new Set([1]), 1]);
  expect(heldOf(store, parseDatasetName("tank/none"))).toMatchObject({ backupCount: 0, newest: null, storedBytes: 0 });
});
