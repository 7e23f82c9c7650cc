/** A user that the host has no name for, as in containers with numbers of their own. Only root could make one here. */
import { expect, it, vi } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { examineDatasets } from "../../src/machine/datasets.ts";
import { never } from "../ferrying.ts";
import { fakeZfs } from "../zfs/fake.ts";

vi.mock("node:os", async (original) => ({
  ...(await original<typeof import("node:os")>()),
  userInfo: () => {
    throw new Error("A system error occurred: uv_os_get_passwd returned ENOENT (no such file or directory)");
  },
}));

it("what such a user may do with zfs is not known, and all else is looked at", async () => {
  const config = parseConfig("stores: { main: { url: /backups } }\njobs: { home: { dataset: tank/home } }\n", "zferry.yaml");
  const { zfs } = fakeZfs({ datasets: { "tank/home": {} } });
  const results = await examineDatasets({
    config, stateDir: "", encryption: config.encryption, environment: {}, isRoot: false,
    zfsFor: () => zfs, storeUrlOf: ({ store }) => store, onResult: () => undefined, signal: never,
  });
  expect(results.map(({ name, outcome }) => [name, outcome])).toEqual([["job home", "ok"], ["zfs-permission", "skipped"], ["overlaps", "ok"]]);
  expect(results[1]?.detail).toContain("has no name");
});
