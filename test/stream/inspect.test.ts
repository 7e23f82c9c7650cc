import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isZferryError } from "../../src/errors.ts";
import { inspection } from "../../src/stream/inspect.ts";
import type { BeginFacts } from "../../src/stream/inspect.ts";
import type { Guid } from "../../src/zfs/names.ts";
import { begin, end, guid, record, recorded, seal, split, swapped, type, write } from "../replay/forge.ts";
import type { Piece } from "../replay/forge.ts";
import { oracle } from "../replay/oracle.ts";
import { inspect, slices } from "./inspecting.ts";
import { drain, lent } from "./sources.ts";

const signal = new AbortController().signal;

const names = [
  "full",
  "inc-i",
  "empty-inc",
  "comp-lz4",
  "large-L",
  "embedded-e",
  "raw-w",
  "raw-w-inc",
  "zvol",
  "holes",
  "inc-I",
  "repl-R",
  "resume-full",
  "resume-part2-t",
  "zfs-fuse/full",
  "zfs-fuse/inc-i",
] as const;

/** What `zstream dump` printed about the stream when it was recorded. */
function dumped(name: string): { begins: Record<string, string>[]; recordCount: number; sizeBytes: number } {
  const text = readFileSync(new URL(`../../fixtures/streams/${name}.dump.txt`, import.meta.url), "utf8");
  const begins = text
    .split(/^BEGIN record$/m)
    .slice(1)
    .map((part) => {
      const rows = part.matchAll(/^\t(\w+) = (\S+)$/gm);
      return Object.fromEntries([...rows].map(([, key = "", value = ""]) => [key, value] as const));
    });
  const total = (what: string): number => Number(new RegExp(`Total ${what} = (\\d+)`).exec(text)?.[1]);
  return { begins, recordCount: total("records"), sizeBytes: total("stream length") };
}

const hex = (text = "0"): bigint => BigInt(`0x${text}`);
const guidOrNull = (text?: string): bigint | null => (hex(text) === 0n ? null : hex(text));

/** The stream with one byte other. */
function damaged(stream: Uint8Array, at: number, flip = 0x10): Uint8Array {
  const copy = Uint8Array.from(stream);
  copy[at] = (copy[at] ?? 0) ^ flip;
  return copy;
}

function startsWith(stream: Uint8Array, part: Uint8Array): boolean {
  return Buffer.compare(stream.subarray(0, part.length), part) === 0;
}

describe.for(names)("the recorded stream %s", (name) => {
  const stream = recorded(name);
  const dump = dumped(name);

  it("passes unchanged and gives the facts zstream gives", async () => {
    const { released, message, facts } = await inspect(stream);
    expect(message).toBe("");
    expect(Buffer.compare(released, stream)).toBe(0);
    const [first, ...rest] = dump.begins;
    const isPackage = first?.hdrtype === "2";
    expect(facts).toMatchObject({
      byteOrder: "little",
      kind: isPackage ? "compound" : "single",
      toName: first?.toname,
      toGuid: guidOrNull(first?.toguid),
      fromGuid: guidOrNull(first?.fromguid),
      featureFlags: hex(first?.features),
      creationTime: new Date(Number(hex(first?.creation_time)) * 1000),
      sizeBytes: dump.sizeBytes,
      recordCount: dump.recordCount,
      raw: name.startsWith("raw"),
      resuming: name === "resume-part2-t",
      redacted: false,
      holds: isPackage ? null : name === "zvol" ? "volume" : "filesystem",
    });
    expect(facts?.snapshots).toMatchObject(
      (isPackage ? rest : dump.begins).map(({ toname, toguid, fromguid }) => ({
        toName: toname,
        toGuid: guidOrNull(toguid),
        fromGuid: guidOrNull(fromguid),
      })),
    );
  });

  it.for([311, 313, 4_093, 65_537])("passes in slices of %i bytes", async (sliceBytes) => {
    const { released, message, facts } = await inspect(stream, { sliceBytes });
    expect(message).toBe("");
    expect(Buffer.compare(released, stream)).toBe(0);
    expect(facts?.recordCount).toBe(dump.recordCount);
  });

  it("is refused wherever one byte is changed, and its END is not released", async () => {
    let at = 0;
    const places = split(stream).flatMap(({ payload }) => {
      const start = at;
      at += 312 + payload.length;
      const inPayload = payload.length === 0 ? [] : [0, payload.length >> 1, payload.length - 1];
      return [...[0, 8, 57, 200, 279, 280, 311], ...inPayload.map((offset) => 312 + offset)].map((n) => start + n);
    });
    // Some 60 of them, spread over the stream, and each one of the last two records.
    const stride = Math.max(1, Math.floor(places.length / 60));
    const sampled = places.filter((_, index) => index % stride === 0 || index >= places.length - 14);
    for (const place of sampled) {
      const bad = damaged(stream, place);
      const { released, error, message } = await inspect(bad, { sliceBytes: 20_011 });
      expect([place, isZferryError(error, "stream-invalid")]).toEqual([place, true]);
      expect(message).toMatch(/byte \d+/);
      expect(released.length).toBeLessThanOrEqual(stream.length - 312);
      expect(startsWith(bad, released)).toBe(true);
    }
  });

  it("is refused wherever it is cut off, and its END is not released", async () => {
    const boundaries = split(stream).map(({ payload }) => 312 + payload.length);
    let at = 0;
    const cuts = boundaries.flatMap((bytes) => [(at += bytes) - bytes, at - bytes + 1, at - bytes + 312, at - 1]);
    const stride = Math.max(1, Math.floor(cuts.length / 40));
    const sampled = cuts.filter((_, index) => index % stride === 0 || index >= cuts.length - 8);
    for (const cut of sampled.filter((bytes) => bytes < stream.length)) {
      const { released, error, message } = await inspect(stream.subarray(0, cut), { sliceBytes: 50_021 });
      expect([cut, isZferryError(error, "stream-invalid")]).toEqual([cut, true]);
      expect(message).toMatch(cut === 0 ? /is empty/ : new RegExp(`cut off at byte ${cut}\\b`));
      expect(released.length).toBeLessThanOrEqual(stream.length - 312);
    }
  });
});

describe("the shortest stream, BEGIN and END alone", () => {
  const stream = recorded("empty-inc");

  it.for([1, 2, 3, 7, 101, 312, 623])("passes in slices of %i bytes", async (sliceBytes) => {
    const { released, message } = await inspect(stream, { sliceBytes });
    expect(message).toBe("");
    expect(Buffer.compare(released, stream)).toBe(0);
  });

  it("is refused with any single bit changed", async () => {
    for (let bit = 0; bit < stream.length * 8; bit++) {
      const { error, released } = await inspect(damaged(stream, bit >> 3, 1 << (bit & 7)));
      expect([bit, isZferryError(error, "stream-invalid")]).toEqual([bit, true]);
      // A BEGIN that says bytes follow takes those of END for them, and so does whoever reads what was released.
      if (bit < 4 * 8 || bit >= 8 * 8) expect([bit, released.length]).toEqual([bit, 0]);
    }
  });

  it("is refused after any number of bytes, byte by byte, its END unreleased", async () => {
    for (let cut = 0; cut < stream.length; cut++) {
      const { error, released } = await inspect(stream.subarray(0, cut), { sliceBytes: 1 });
      expect([cut, isZferryError(error, "stream-invalid")]).toEqual([cut, true]);
      expect(released.length).toBe(cut < 312 ? 0 : 312);
    }
  });
});

describe("bytes no checksum of the format covers", () => {
  it.for([
    ["the END of a stream without record checksums", "zfs-fuse/full", -312],
    ["the last END of a package", "inc-I", -312],
    ["the END of a package's head", "inc-I", 312],
  ] as const)("%s: every byte is checked all the same", async ([, name, where]) => {
    const stream = recorded(name);
    const start = where < 0 ? stream.length + where : where;
    for (let at = start; at < start + 312; at++) {
      const { error } = await inspect(damaged(stream, at, 0x04));
      expect([at - start, isZferryError(error, "stream-invalid")]).toEqual([at - start, true]);
    }
  });

  it("a stream that has record checksums may not stop having them", async () => {
    const pieces = split(seal([begin(), write(64), write(64), end()]));
    pieces[2]?.record.fill(0, 280);
    const { message } = await inspect(Buffer.concat(pieces.flatMap((piece) => [piece.record, piece.payload])));
    expect(message).toMatch(/^the checksum in record 3 \(WRITE\) at byte 688 is wrong: bytes 624 to 1000 /);
  });

  it("a data set missing from a package altogether is not noticed: nothing in the records names it", async () => {
    const pieces = split(recorded("repl-R"));
    const isOfChild = inSubstream(pieces, (name) => name.startsWith("tank/tree/kid1@"));
    const rest = pieces.filter((_, index) => !isOfChild[index]);
    const { message, facts } = await inspect(seal(rest));
    expect(message).toBe("");
    expect(facts?.snapshots).toHaveLength(6);
  });
});

/** For each piece, whether it belongs to a snapshot of that name. */
function inSubstream(pieces: readonly Piece[], isMeant: (toName: string) => boolean): readonly boolean[] {
  let inside = false;
  return pieces.map(({ record: bytes }) => {
    const number = bytes[0];
    if (number === type.begin) inside = isMeant(Buffer.from(bytes.subarray(56)).toString("utf8").replace(/\0.*/s, ""));
    const isPart = inside;
    if (number === type.end) inside = false;
    return isPart;
  });
}

describe("what is no good stream", () => {
  const whole = seal([begin(), write(128), end()]);
  const raise = (piece: Piece, offset: number, value: bigint): Piece => {
    new DataView(piece.record.buffer).setBigUint64(offset, value, true);
    return piece;
  };

  it.for<[string, Uint8Array, RegExp]>([
    ["nothing at all", new Uint8Array(), /^the send stream is empty$/],
    ["a text", Buffer.from("cannot open 'tank/a@s': dataset does not exist\n"), /^not a zfs send stream: .* byte 0$/],
    ["another format, long enough", new Uint8Array(1000).fill(0x1f), /^not a zfs send stream: .* byte 0$/],
    ["the first bytes only", whole.subarray(0, 200), /cut off at byte 200, inside record 1$/],
    ["a BEGIN only", whole.subarray(0, 312), /cut off at byte 312, before record 2, without its END record$/],
    ["a piece of a record", whole.subarray(0, 400), /cut off at byte 400, inside record 2$/],
    ["a piece of a payload", whole.subarray(0, 700), /at byte 700, in the payload of record 2 \(WRITE\), 52 bytes short$/],
    ["no END", whole.subarray(0, 752), /cut off at byte 752, before record 3, without its END record$/],
    ["one byte too many", Buffer.concat([whole, Buffer.alloc(1)]), /^bytes follow the END .* record 3, at byte 1064$/],
    ["two streams in a row", Buffer.concat([whole, whole]), /^bytes follow the END .* record 3, at byte 1064$/],
    ["an unknown record type", seal([begin(), record(11), end()]), /^record 2 \(type 11\) at byte 312 .* type unknown/],
    ["a second BEGIN", seal([begin(), begin(), end()]), /^record 2 \(BEGIN\) at byte 312 .* before the last one had its END$/],
    ["a BEGIN of no magic", seal([begin(), record(0), end()]), /^the checksum in record 2|record 2 \(BEGIN\) .* without the magic/],
    ["header type 3", seal([begin({ headerType: 3 }), end()]), /^record 1 \(BEGIN\) at byte 0 .* unknown header type 3$/],
    ["header type 0", seal([begin({ headerType: 0 }), end()]), /^record 1 \(BEGIN\) at byte 0 .* unknown header type 0$/],
    ["no snapshot name", seal([begin({ toName: "tank/a" }), end()]), /names no snapshot but "tank\/a"$/],
    ["a time no date can hold", seal([begin({ seconds: 1n << 63n }), end()]), /absurd creation time 9223372036854775808$/],
    ["an END of another snapshot", seal([begin(), end(guid - 1n)]), /ends the snapshot with guid "18364758544493064719", not/],
    ["a huge WRITE", seal([begin(), raise(write(0), 32, 1n << 40n), end()]), /^record 2 \(WRITE\) at byte 312 .* 1099511627776, more than 16777216 bytes$/],
    ["a WRITE of a length no checksum is defined for", seal([begin(), raise(write(0), 32, 1022n), end()]), /is 1022, not a multiple of 4$/],
    ["a huge nvlist", seal([raise(begin(), 0, 0x1000_0004n << 32n), end()]), /^record 1 \(BEGIN\) .* payload length is 268435460, more than 268435456/],
  ])("is refused: %s", async ([, stream, wanted]) => {
    for (const sliceBytes of [Infinity, 100]) {
      const { error, message, released } = await inspect(stream, { sliceBytes });
      expect(message).toMatch(wanted);
      expect(isZferryError(error, "stream-invalid") && error.hint).toMatch(/^\S.*[^.]$/);
      expect(startsWith(stream, released)).toBe(true);
    }
  });

  it("is refused: a recording broken off in the middle", async () => {
    const { message } = await inspect(recorded("resume-part1-truncated"), { sliceBytes: 65_536 });
    expect(message).toMatch(/^the send stream is cut off at byte 500000, /);
  });

  it.for([
    ["the records' own are right", true],
    ["the records have none", false],
  ] as const)("is refused: a wrong checksum of the whole in END, where %s", async ([, records]) => {
    const stream = damaged(seal([begin(), write(128), end()], "little", { records }), 752 + 8);
    if (records) {
      const view = new DataView(stream.buffer);
      oracle(stream.subarray(0, 752 + 280), "little").forEach((sum, index) => {
        view.setBigUint64(752 + 280 + 8 * index, sum, true);
      });
    }
    const { message } = await inspect(stream);
    expect(message).toMatch(/^the checksum of the whole stream in record 3 \(END\) at byte 752 is wrong/);
  });

  it("says between which bytes the damage lies", async () => {
    const { message } = await inspect(damaged(whole, 630));
    expect(message).toBe(
      "the checksum in record 3 (END) at byte 752 is wrong: bytes 624 to 1064 are not what was sent",
    );
  });

  it("releases what came before the bad record and nothing from then on", async () => {
    const stream = seal([begin(), write(64), write(64), end()]);
    const bad = damaged(stream, 312 + 376 + 20);
    const { released } = await inspect(bad, { sliceBytes: 8 });
    expect(released.length).toBe(312 + 376);
  });
});

describe("packages", () => {
  const head = begin({ headerType: 2, flags: 0n, seconds: 0n, toGuid: 0n, toName: "tank/a@s3", payloadBytes: 64 });
  const snap = (number: number, fields: { fromGuid?: bigint; dataset?: string } = {}): Piece[] => {
    const { dataset = "tank/a", fromGuid = BigInt(number - 1) } = fields;
    return [begin({ toName: `${dataset}@s${number}`, toGuid: BigInt(number), fromGuid }), write(8), end(BigInt(number))];
  };
  const outerEnd = end(0n);
  const good = [head, end(0n), ...snap(1), ...snap(2), ...snap(3), outerEnd];

  it("are known for what they are, with what is in them", async () => {
    const { facts } = await inspect(seal(good));
    expect(facts).toMatchObject({ kind: "compound", toName: "tank/a@s3", toGuid: null, fromGuid: null, recordCount: 12 });
    expect(facts?.snapshots).toMatchObject([
      { toName: "tank/a@s1", toGuid: 1n, fromGuid: null },
      { toName: "tank/a@s2", toGuid: 2n, fromGuid: 1n },
      { toName: "tank/a@s3", toGuid: 3n, fromGuid: 2n },
    ]);
  });

  it.for<[string, Piece[], RegExp]>([
    ["its last END", good.slice(0, -1), /cut off at byte \d+, before record 12, without its END record$/],
    ["any snapshot", [head, end(0n), outerEnd], /^record 3 \(END\) .* does not hold "tank\/a@s3", for which it is named$/],
    ["its last snapshot", [head, end(0n), ...snap(1), ...snap(2), outerEnd], /does not hold "tank\/a@s3"/],
    ["one from the middle", [head, end(0n), ...snap(1), ...snap(3), outerEnd], /\("tank\/a@s3"\) does not follow on "tank\/a@s1"/],
    ["the END of its head", [head, ...snap(3), outerEnd], /^record 2 \(BEGIN\) at byte 376 .* cannot stand here/],
    ["the END of a snapshot", [head, end(0n), ...snap(2).slice(0, 2), ...snap(3), outerEnd], /before the last one had its END$/],
    ["a BEGIN", [head, end(0n), ...snap(3).slice(1), outerEnd], /^record 3 \(WRITE\) .* cannot stand here/],
  ])("are refused without %s", async ([, pieces, wanted]) => {
    const { error, message } = await inspect(seal(pieces));
    expect(message).toMatch(wanted);
    expect(isZferryError(error, "stream-invalid")).toBe(true);
  });

  it("are refused within packages", async () => {
    const { message } = await inspect(seal([head, end(0n), head, end(0n), ...snap(3), outerEnd, outerEnd]));
    expect(message).toMatch(/^record 3 \(BEGIN\) at byte 688 of the send stream begins a package within a package$/);
  });

  it("are refused when a snapshot in them comes in another byte order", async () => {
    const [first, ...rest] = snap(3);
    if (first === undefined) throw new Error("no BEGIN");
    const { message } = await inspect(seal([head, end(0n), swapped(first), ...rest, outerEnd]));
    expect(message).toMatch(/another byte order than the package$/);
  });

  it("may hold several data sets, each with its own line of snapshots", async () => {
    const child = [...snap(7, { dataset: "tank/a/b", fromGuid: 0n }), ...snap(8, { dataset: "tank/a/b" })];
    const { facts, message } = await inspect(seal([head, end(0n), ...snap(3, { fromGuid: 0n }), ...child, outerEnd]));
    expect(message).toBe("");
    expect(facts?.snapshots.map(({ toName }) => toName)).toEqual(["tank/a@s3", "tank/a/b@s7", "tank/a/b@s8"]);
  });
});

describe("big-endian streams", () => {
  it.for(["full", "embedded-e", "raw-w-inc", "comp-lz4", "zvol"])("pass: %s as another machine sends it", async (name) => {
    const stream = seal(split(recorded(name)).map(swapped), "big");
    const { facts, message, released } = await inspect(stream, { sliceBytes: 30_011 });
    const original = await inspect(recorded(name));
    expect(message).toBe("");
    expect(Buffer.compare(released, stream)).toBe(0);
    expect(facts).toEqual({ ...original.facts, byteOrder: "big" });
    for (const at of [20, 400, stream.length - 1000, stream.length - 1]) {
      expect(isZferryError((await inspect(damaged(stream, at))).error, "stream-invalid")).toBe(true);
    }
  });
});

it("a stream taken apart and put together by the oracle is the recorded one", () => {
  for (const name of ["full", "raw-w", "embedded-e"]) {
    expect(Buffer.compare(seal(split(recorded(name))), recorded(name))).toBe(0);
  }
  expect(Buffer.compare(seal(split(recorded("zfs-fuse/inc-i")), "little", { records: false }), recorded("zfs-fuse/inc-i"))).toBe(0);
});

it("records of every type pass, with payloads where they have them", async () => {
  const set = (number: number, offset: number, value: number, payloadBytes: number): Piece =>
    record(number, (view) => { view.setUint32(offset, value, true); }, payloadBytes);
  const pieces = [
    begin({ payloadBytes: 1028 }),
    ...[set(type.object, 28, 169, 176), set(type.object, 36, 320, 320), write(512), set(type.spill, 16, 512, 512)],
    ...[set(type.writeEmbedded, 52, 50, 56), record(type.writeByref), record(type.objectRange), record(type.redact)],
    ...[record(type.free), record(type.freeobjects), end()],
  ];
  const { message, facts } = await inspect(seal(pieces), { sliceBytes: 37 });
  expect(message).toBe("");
  expect(facts?.recordCount).toBe(12);
});

describe("the expected snapshot", () => {
  const stream = seal([begin({ fromGuid: 5n }), end()]);

  it.for<[string, { toGuid?: Guid; fromGuid?: Guid | null }]>([
    ["nothing", {}],
    ["its guid, above 2^63", { toGuid: guid as Guid }],
    ["its base", { fromGuid: 5n as Guid }],
    ["both", { toGuid: guid as Guid, fromGuid: 5n as Guid }],
  ])("is passed on when asked for by %s", async ([, expected]) => {
    expect((await inspect(stream, { expect: expected })).message).toBe("");
  });

  it.for<[string, Uint8Array, { toGuid?: Guid; fromGuid?: Guid | null }, RegExp]>([
    ["another guid, one apart above 2^53", stream, { toGuid: (guid + 1n) as Guid }, /"tank\/a@s" with guid "18364758544493064720", not of guid "18364758544493064721"/],
    ["another base", stream, { fromGuid: 6n as Guid }, /"tank\/a@s" is an increment of guid "5", not an increment of guid "6"/],
    ["a full one", stream, { fromGuid: null }, /is an increment of guid "5", not a full one/],
    ["an increment", seal([begin(), end()]), { fromGuid: 5n as Guid }, /is a full one, not an increment of guid "5"/],
    ["one snapshot", recorded("inc-I"), { toGuid: guid as Guid }, /is of the package "tank\/src@s4", not of guid/],
  ])("is refused before a byte is released when %s was asked for", async ([, bytes, expected, wanted]) => {
    const { message, released, error } = await inspect(bytes, { expect: expected });
    expect(message).toMatch(wanted);
    expect(isZferryError(error, "stream-invalid")).toBe(true);
    expect(released.length).toBe(0);
  });
});

describe("passing on", () => {
  const stream = recorded("full");

  it("hands over views of the slices it was given, and copies of what was cut off at their ends only", async () => {
    const given = new Set<ArrayBufferLike>();
    async function* source(): AsyncGenerator<Uint8Array> {
      for await (const slice of slices(stream, 10_007)) {
        const own = Uint8Array.from(slice);
        given.add(own.buffer);
        yield own;
      }
    }
    for await (const slice of inspection({ signal }).through(source())) {
      if (!given.has(slice.buffer)) expect(slice.length).toBeLessThanOrEqual(312);
    }
  });

  it.for([1, 100, 311, 312, 313, 10_007, 131_072])("takes lent slices of %i bytes", async (sliceBytes) => {
    expect((await drain(inspection({ signal }).through(lent(slices(stream, sliceBytes))))).bytes.equals(stream)).toBe(true);
  });

  it("hands over the very slice when no record is cut in two at its end", async () => {
    const slice = stream.subarray(0, 312);
    const iterator = inspection({ signal }).through(slices(stream, 312));
    expect((await iterator.next()).value).toEqual(slice);
    await iterator.return(undefined);
  });

  it("tells of the BEGIN and waits before it releases the first byte", async () => {
    const order: string[] = [];
    const onBegin = async (facts: BeginFacts): Promise<void> => {
      order.push(`begin ${facts.toName}`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push("ready");
    };
    for await (const slice of inspection({ signal, onBegin }).through(slices(stream, 100))) {
      if (slice.length > 0) order.push("bytes");
    }
    expect(order.slice(0, 4)).toEqual(["begin tank/src@s1", "ready", "bytes", "bytes"]);
    expect(order.filter((entry) => entry !== "bytes")).toHaveLength(2);
  });

  it("ends with what onBegin throws, before the first byte", async () => {
    const { message, released } = await inspect(stream, { onBegin: () => Promise.reject(new Error("no lease")) });
    expect(message).toBe("no lease");
    expect(released.length).toBe(0);
  });

  it("withholds END until the source has ended, and for good when it ends in an error", async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield stream;
      await Promise.resolve();
      throw new Error("zfs send exited with status 1");
    }
    const { message, released, facts } = await inspect(failing());
    expect(message).toBe("zfs send exited with status 1");
    expect(released.length).toBe(stream.length - 312);
    expect(facts).toBeNull();
  });

  it("refuses trailing bytes that come late, END still withheld", async () => {
    const late = Buffer.concat([stream, Buffer.from("x")]);
    async function* source(): AsyncGenerator<Uint8Array> {
      yield stream;
      await Promise.resolve();
      yield late.subarray(stream.length);
    }
    const { message, released } = await inspect(source());
    expect(message).toMatch(/^bytes follow the END/);
    expect(released.length).toBe(stream.length - 312);
  });

  it("lets empty slices pass for nothing", async () => {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array();
      yield* slices(stream, 1_000);
      yield new Uint8Array();
    }
    const { message, released } = await inspect(source());
    expect(message).toBe("");
    expect(Buffer.compare(released, stream)).toBe(0);
  });

  it("stops with the signal's reason and lets go of the source", async () => {
    const abort = new AbortController();
    let isReturned = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        yield* slices(stream, 50_000);
      } finally {
        isReturned = true;
      }
    }
    const iterator = inspection({ signal: abort.signal }).through(source());
    await iterator.next();
    abort.abort(new Error("interrupted"));
    const rest = (async () => {
      for await (const slice of iterator) expect(slice.length).toBeGreaterThan(0);
    })();
    await expect(rest).rejects.toThrow("interrupted");
    expect(isReturned).toBe(true);
  });

  it("does not release END when it was interrupted while the source ended", async () => {
    const abort = new AbortController();
    async function* source(): AsyncGenerator<Uint8Array> {
      yield stream;
      await Promise.resolve();
      abort.abort(new Error("interrupted"));
    }
    const { message, released } = await inspect(source(), { signal: abort.signal });
    expect(message).toBe("interrupted");
    expect(released.length).toBe(stream.length - 312);
  });

  it("gives no facts before it has ended well, and is for one stream", async () => {
    const stage = inspection({ signal });
    expect(() => stage.facts()).toThrow("not ended");
    const iterator = stage.through(slices(stream));
    await iterator.next();
    expect(() => stage.facts()).toThrow("not ended");
    await iterator.return(undefined);
    expect(() => stage.facts()).toThrow("not ended");
    await expect(stage.through(slices(stream)).next()).rejects.toThrow("one stream");
  });
});
