/** What a drill that was killed has left is not forgotten before it is gone. */
import { expect, it } from "vitest";
import { clear, type Note, readNotes, writeNote } from "../../src/drill/notes.ts";
import { parseDatasetName, parseGuid } from "../../src/zfs/names.ts";
import { ownFolder } from "../folder.ts";
import { fakeZfs } from "../zfs/fake.ts";

const note: Note = { version: 1, id: "0011aabb", command: ["zfs"], into: parseDatasetName("tank/drills/zferry-drill-0011aabb"), guids: [parseGuid("7")], isPackage: false, pool: null };

it.for([
  ["stays while the pool is not imported, which has it again with the next import", {}, [note]],
  ["goes where the pool is there, and the dataset is not", { tank: {}, "tank/drills": {} }, []],
] as const)("its note %s", async ([, datasets, left]) => {
  const stateDir = ownFolder();
  await writeNote(stateDir, note);
  const ended = await clear(stateDir, note, fakeZfs({ datasets }).zfs).then(() => null, (error: unknown) => error);
  if (left.length === 0) expect(ended).toBeNull();
  else expect(ended).toMatchObject({ code: "zfs-not-found", message: 'the pool "tank" is not imported', hint: expect.stringContaining("drills/0011aabb.json") as string });
  expect(await readNotes(stateDir, (text) => expect.fail(text))).toEqual(left);
});
