import { expect, it } from "vitest";
import { permissionsIn } from "../../src/zfs/delegation.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";

/** As OpenZFS 2.3.2 prints it for `tank/a/b`, with a user's lines added. */
const printed = `---- Permissions on tank/a/b -----------------------------------------
Local permissions:
\tuser night bookmark
Descendent permissions:
\tuser night rename
---- Permissions on tank/a -------------------------------------------
Permission sets:
\t@x rename
Create time permissions:
\tdestroy
Local permissions:
\tuser night promote
Descendent permissions:
\tgroup operators release
Local+Descendent permissions:
\tuser night send,snapshot
\tuser other hold
\teveryone mount
`;
const dataset = parseDatasetName("tank/a/b");

it("what a user has on a dataset is its own, what comes down from above, what everyone has, and what groups have", () => {
  expect([...(permissionsIn(printed, dataset, "night") ?? [])].sort()).toEqual(["bookmark", "mount", "release", "send", "snapshot"]);
});

it("nobody has what another has, and what a newly made dataset would get", () => {
  expect([...(permissionsIn(printed, dataset, "nobody") ?? [])].sort()).toEqual(["mount", "release"]);
  expect([...(permissionsIn("", dataset, "night") ?? [])]).toEqual([]);
});

it("a permission set hides what is in it", () => {
  expect(permissionsIn(printed.replace("send,snapshot", "send,@x"), dataset, "night")).toBeNull();
});
