import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { entryOf } from "../src/format/entry.ts";
import { parseManifest } from "../src/format/manifest.ts";
import {
  forgetManifests,
  type KnownManifest,
  noteManifests,
  readStoreState,
  type StoreState,
  storeIdOf,
  updateStoreState,
} from "../src/state.ts";
import { ownFolder } from "./folder.ts";
import { goldenBackup, goldenKeyed } from "./format/sealing.ts";
import { failureOf } from "./stream/sources.ts";

const url = "s3://bucket/prefix/";
const entry = entryOf(parseManifest(goldenKeyed, "key", goldenBackup));
const anchor = { backup: "tank/home@golden", guid: "18446744073709551557" };
const empty: StoreState = { url, anchors: {}, manifests: {} };

/** Reads, and collects where garbage was put. */
async function read(stateDir: string, of = url): Promise<{ state: StoreState; setAside: string[] }> {
  const setAside: string[] = [];
  const state = await readStoreState(stateDir, of, (where) => setAside.push(where));
  return { state, setAside };
}

function remember(state: StoreState): void {
  state.anchors["tank/home"] = anchor;
  state.manifests["manifests/tank/home@golden.json"] = { etag: "e1", entry };
}

describe("the state of a store", () => {
  it("is empty when nothing was ever remembered, and reading it makes no file", async () => {
    const folder = join(ownFolder(), "not there yet");
    expect(await read(folder)).toEqual({ state: empty, setAside: [] });
    expect(existsSync(folder)).toBe(false);
  });

  it("is what was remembered, identities and times included", async () => {
    const folder = ownFolder();
    await updateStoreState(folder, url, remember);
    const expected = { url, anchors: { "tank/home": anchor }, manifests: { "manifests/tank/home@golden.json": { etag: "e1", entry } } };
    expect(await read(folder)).toEqual({ state: expected, setAside: [] });
    expect(statSync(join(folder, "state.json")).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(["locks", "state.json"]);
  });

  it("keeps what was remembered and what was forgotten at the same moment", async () => {
    const folder = ownFolder();
    const gone = "manifests/tank/home@golden.json";
    await updateStoreState(folder, url, remember);
    const datasets = Array.from({ length: 8 }, (_, index) => `tank/${index}`);
    await Promise.all([
      ...datasets.map((dataset) => updateStoreState(folder, url, (state) => {
        state.anchors[dataset] = anchor;
      })),
      updateStoreState(folder, url, (state) => {
        forgetManifests(state, new Set([gone]));
      }),
    ]);
    const { state } = await read(folder);
    expect(Object.keys(state.anchors).sort()).toEqual([...datasets, "tank/home"].sort());
    expect(state.manifests).toEqual({});
    expect([...readdirSync(folder), ...readdirSync(join(folder, "locks"))]).toEqual(["locks", "state.json"]);
  });

  it("is kept apart from that of other stores", async () => {
    const folder = ownFolder();
    await updateStoreState(folder, url, remember);
    await updateStoreState(folder, "file:///backups", (state) => {
      state.anchors["tank/home"] = { backup: "tank/home@other", guid: "1" };
    });
    expect((await read(folder)).state.anchors).toEqual({ "tank/home": anchor });
    expect((await read(folder, "file:///backups")).state.anchors).toEqual({ "tank/home": { backup: "tank/home@other", guid: "1" } });
    expect((await read(folder, "file:///elsewhere")).state).toEqual({ ...empty, url: "file:///elsewhere" });
  });

  it("keeps what two updates one after the other remember", async () => {
    const folder = ownFolder();
    for (const [dataset, guid] of [["tank/a", "1"], ["tank/b", "2"]] as const) {
      await updateStoreState(folder, url, (state) => {
        state.anchors[dataset] = { backup: `${dataset}@s`, guid };
      });
    }
    expect(Object.keys((await read(folder)).state.anchors)).toEqual(["tank/a", "tank/b"]);
  });
});

const garbage: readonly (readonly [what: string, text: string])[] = [
  ["empty", ""],
  ["cut off", '{"version":1,"stores":{"ab'],
  ["no JSON", "\0\0\0\0"],
  ["a list", "[]"],
  ["null", "null"],
  ["of another version", '{"version":2,"stores":{}}'],
  ["without a version", '{"stores":{}}'],
  ["without stores", '{"version":1}'],
  ["of the wrong shape inside", `{"version":1,"stores":{"${storeIdOf(url)}":{"url":"x","anchors":{"t":{}},"manifests":{}}}}`],
  [
    "of a wrong identity inside",
    `{"version":1,"stores":{"00000000":{"url":"x","anchors":{},"manifests":{"k":{"etag":"e","entry":{"guid":"x"}}}}}}`,
  ],
];

describe("a state file that is", () => {
  it.for(garbage)("%s is set aside as it was, reported, and taken for nothing", async ([, text]) => {
    const folder = ownFolder();
    const file = join(folder, "state.json");
    writeFileSync(file, text);
    const { state, setAside } = await read(folder);
    expect(state).toEqual(empty);
    expect(setAside).toHaveLength(1);
    expect(setAside[0]?.startsWith(`${file}.unreadable-`)).toBe(true);
    expect(readFileSync(setAside[0] ?? "", "utf8")).toBe(text);
    expect(existsSync(file)).toBe(false);
  });

  it("garbage does not stop an update, which sets it aside as well", async () => {
    const folder = ownFolder();
    writeFileSync(join(folder, "state.json"), "garbage");
    await updateStoreState(folder, url, remember);
    expect((await read(folder)).state.anchors).toEqual({ "tank/home": anchor });
    expect(readdirSync(folder).filter((name) => name.includes(".unreadable-"))).toHaveLength(1);
  });

  it("not readable at all is an error that names it, and nothing is lost", async () => {
    const folder = ownFolder();
    mkdirSync(join(folder, "state.json"));
    const expected = {
      code: "config-invalid",
      message: expect.stringContaining(`cannot read the state file "${join(folder, "state.json")}": `) as string,
      hint: expect.stringContaining("--state-dir") as string,
    };
    expect(await failureOf(read(folder))).toMatchObject(expected);
    expect(await failureOf(updateStoreState(folder, url, remember))).toMatchObject(expected);
    expect(readdirSync(folder)).toEqual(["locks", "state.json"]);
  });
});

describe("a state folder that cannot be written", () => {
  it.for([
    ["the folder would lie in a file", "a file/state"],
    ["the folder is a link that leads nowhere", "link"],
  ] as const)("because %s is an error that names it and says what to do", async ([, path]) => {
    const folder = ownFolder();
    writeFileSync(join(folder, "a file"), "");
    symlinkSync(join(folder, "nowhere", "at", "all"), join(folder, "link"));
    const stateDir = join(folder, path);
    expect(await failureOf(updateStoreState(stateDir, url, remember))).toMatchObject({
      code: "config-invalid",
      message: expect.stringMatching(/^cannot lock the state file with ".*state\.lock": E/) as string,
      hint: expect.stringContaining("--state-dir") as string,
    });
    expect(readdirSync(folder).sort()).toEqual(["a file", "link"]);
  });
});

describe("the id of a store", () => {
  it("is eight hex digits of its URL", () => {
    expect(storeIdOf(url)).toBe("825cd766"); // it stands in hold tags and bookmarks on people's pools
    expect(storeIdOf(url)).not.toBe(storeIdOf("s3://bucket/other/"));
  });
});

describe("manifests that were seen once", () => {
  const known = (attempt: string, time = "2026-11-21T02:00:00Z", sha256: string | null = `${attempt}, ${time}`): KnownManifest => ({
    etag: attempt,
    entry: { ...entry, attempt, committedAt: new Date(time), sha256 },
  });
  const [a, b] = ["manifests/tank/home@a.json", "manifests/tank/other@b.json"];

  /** The attempts remembered as there and as lost, after each listing of `manifests/tank/home@`. */
  function after(first: Record<string, KnownManifest>, ...listings: readonly Record<string, KnownManifest>[]): unknown {
    const state: StoreState = { ...empty, manifests: { ...first } };
    for (const seen of listings) noteManifests(state, "manifests/tank/home@", new Map(Object.entries(seen)));
    const attempts = (of: StoreState["manifests"] = {}): unknown => Object.entries(of).map(([key, { entry: one }]) => [key, one.attempt]);
    return [attempts(state.manifests), attempts(state.lost)];
  }

  it.for([
    ["nothing while nothing is gone", [{ [a]: known("1") }, { [a]: known("1") }], [[[a, "1"]], []]],
    ["one that is gone", [{ [a]: known("1") }, {}], [[], [[a, "1"]]]],
    ["one that is another commit now", [{ [a]: known("1") }, { [a]: known("2") }], [[[a, "2"]], [[a, "1"]]]],
    ["one that is of another time now", [{ [a]: known("1") }, { [a]: known("1", "2026-11-20T02:00:00Z") }], [[[a, "1"]], [[a, "1"]]]],
    ["one whose attempt and time are copied, and nothing else", [{ [a]: known("1") }, { [a]: known("1", undefined, "forged") }], [[[a, "1"]], [[a, "1"]]]],
    ["nothing of what was remembered without its SHA-256, while attempt and time are the same", [{ [a]: known("1", undefined, null) }, { [a]: known("1") }], [[[a, "1"]], []]],
    ["what was remembered without its SHA-256 and has another attempt now", [{ [a]: known("1", undefined, null) }, { [a]: known("2") }], [[[a, "2"]], [[a, "1"]]]],
    ["nothing when the same was written again", [{ [a]: known("1") }, { [a]: { ...known("1"), etag: "new" } }], [[[a, "1"]], []]],
    ["nothing any more when it is back", [{ [a]: known("1") }, {}, { [a]: known("1") }], [[[a, "1"]], []]],
    ["the first of several", [{ [a]: known("1") }, { [a]: known("2") }, { [a]: known("3") }], [[[a, "3"]], [[a, "1"]]]],
    ["nothing of what was not listed", [{ [b]: known("1") }, {}], [[[b, "1"]], []]],
  ] as const)("are kept as lost: %s", ([, [first, ...listings], expected]) => {
    expect(after(first, ...listings)).toEqual(expected);
  });

  it("are forgotten when they were removed on purpose", () => {
    const state: StoreState = { ...empty, manifests: { [a]: known("1"), [b]: known("1") }, lost: { [a]: known("0") }, verified: { [a]: {}, [b]: {} } };
    forgetManifests(state, new Set([a]));
    expect(state).toEqual({ ...empty, manifests: { [b]: known("1") }, lost: {}, verified: { [b]: {} } });
  });

  it("and what was verified are read back, and a file without them is still a state file", async () => {
    const folder = ownFolder();
    await updateStoreState(folder, url, remember);
    expect((await read(folder)).setAside).toEqual([]);
    const verified = { [a]: { digest: { etag: "e", at: new Date(0), findingCount: 1, findings: ["size: chunk 0"] } } };
    const extra = { lost: { [a]: known("1") }, verified };
    await updateStoreState(folder, url, (state) => Object.assign(state, extra));
    expect((await read(folder)).state).toMatchObject(extra);
  });
});
