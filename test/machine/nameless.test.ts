/** A user that the host has no name for, as in containers with numbers of their own. Only root could make one here. */
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { Pool, streamOf } from "../cli/pool.ts";
import { ownTerminal } from "../cli/terminal.ts";
import { fixtures, Scene } from "../cli/zferry.ts";
import { never } from "../ferrying.ts";
import { fakeZfs } from "../zfs/fake.ts";

// Other tests run in this process, too: what is mocked is loaded for this file alone.
beforeAll(() => {
  vi.resetModules();
  vi.doMock("node:os", async (original) => ({
    ...(await original<typeof import("node:os")>()),
    userInfo: () => {
      throw new Error("A system error occurred: uv_os_get_passwd returned ENOENT (no such file or directory)");
    },
  }));
});
afterAll(() => {
  vi.doUnmock("node:os");
  vi.resetModules();
});

it("what such a user may do with zfs is not known, and all else is looked at", async () => {
  const { examineDatasets } = await import("../../src/machine/datasets.ts");
  const config = parseConfig("stores: { main: { url: /backups } }\njobs: { home: { dataset: tank/home } }\n", "zferry.yaml");
  const { zfs } = fakeZfs({ datasets: { "tank/home": {} } });
  const results = await examineDatasets({
    config, stateDir: "", encryption: config.encryption, environment: {}, isRoot: false,
    zfsFor: () => zfs, storeUrlsOf: ({ store, copies }) => [store, ...copies.map((copy) => copy.store)], onResult: () => undefined, signal: never,
  });
  expect(results.map(({ name, outcome }) => [name, outcome])).toEqual([["job home", "ok"], ["zfs-permission", "skipped"], ["overlaps", "ok"]]);
  expect(results[1]?.detail).toContain("has no name");
});

it("nor is it when a restore is thought of", { timeout: 120_000 }, async () => {
  const { runToExit } = await import("../../src/cli/program.ts");
  const scene = new Scene();
  await scene.put("tank/src@one", streamOf("one"));
  const { env } = new Pool({ datasets: { tank: { available: "1000000000" }, "tank/src": { snapshots: {} } } });
  const file = scene.write("z.yaml", `stores: {main: {url: ${scene.store}}}\nstate_dir: ${scene.stateDir}\njobs: {src: {dataset: tank/src}}\n`);
  const environment = { PATH: `${join(fixtures, "bin")}:${dirname(process.execPath)}:${process.env.PATH ?? ""}`, ...env };
  const terminal = { ...ownTerminal({ environment, workingDirectory: scene.folder }), isRoot: false };
  await runToExit(["doctor", "--restore", "--config", file, ...scene.asBob], terminal);
  expect(terminal.written.stdout).toMatch(/permission src.*has no name/);
});
