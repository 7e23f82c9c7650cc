import { expect, it } from "vitest";
import { maxSnapshotCount, SnapshotPackage } from "../../src/replay/package.ts";
import { readBegin } from "../../src/replay/records.ts";
import type { BeginRecord } from "../../src/replay/records.ts";
import { begin } from "./forge.ts";

function named(toName: string, toGuid: bigint, fromGuid: bigint): BeginRecord {
  return readBegin(new DataView(begin({ toName, toGuid, fromGuid }).record.buffer), "little");
}

it("a package may hold a million snapshots and not one more", () => {
  const all = new SnapshotPackage(named("tank/a@s", 0n, 0n));
  const snapshot = named("tank/a@s", 1n, 1n);
  for (let count = 1; count <= maxSnapshotCount; count++) {
    const problem = all.add(snapshot);
    if (problem !== null) throw new Error(`refused after ${count}`);
  }
  expect(all.add(snapshot)?.what).toBe("is of more than 1000000 snapshots");
});

it("an increment on the origin of a clone begins a data set as well as a full stream does", () => {
  const all = new SnapshotPackage(named("tank/clone@s", 0n, 0n));
  expect(all.add(named("tank/a@s", 5n, 0n))).toBeNull();
  expect(all.add(named("tank/clone@s", 6n, 5n))).toBeNull();
  expect(all.missing()).toBeNull();
});

it("a data set whose name begins like another's is another", () => {
  const all = new SnapshotPackage(named("tank/a@s", 0n, 0n));
  expect(all.add(named("tank/a@s", 5n, 0n))).toBeNull();
  expect(all.add(named("tank/ab@s", 6n, 0n))).toBeNull();
});
