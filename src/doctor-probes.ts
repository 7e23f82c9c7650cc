/**
 * What the doctor tries, in this order: each probe one question to the store, answered by doing it.
 *
 * Needs only the verbs of `store/store.ts`. That a body damaged on its way is refused cannot be provoked through them
 * (checksums are computed below): the probes of content compare what comes back with what was sent.
 */
import { createHash, randomBytes } from "node:crypto";
import { type ByteSource, formatSize, gather, GiB, KiB, MiB, TiB } from "./bytes.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import { checkSizes } from "./store/sizes.ts";
import type { ByteRange, ObjectKey, PutOptions, Store, StoredObject } from "./store/store.ts";

/**
 * `finding`: backups work, but `consequence` says what does not. `failed`: backups do not work. `skipped`: could not be
 * tried because of an earlier failure.
 */
export type Outcome = "ok" | "finding" | "failed" | "skipped";

export interface ProbeResult {
  /** Stable, for programs. */
  readonly name: string;
  readonly outcome: Outcome;
  /** What was seen. */
  readonly detail: string;
  /** What follows from it; null when all is well. */
  readonly consequence: string | null;
}

/** What the probes work with, and what they tell each other. */
export interface Scene {
  readonly store: Store;
  readonly prefix: string;
  /** Everything that may have been made; noted before it is. */
  readonly keys: Set<ObjectKey>;
  readonly probePartBytes: number;
  readonly sizes: { readonly chunkBytes: readonly number[]; readonly partBytes: number };
  readonly now: () => Date;
  readonly signal: AbortSignal;
}

export interface Probe {
  readonly name: string;
  /** Without it nothing else can be tried. */
  readonly isVital: boolean;
  /** May throw a ZferryError, which then is the detail of `otherwise`. */
  readonly look: (scene: Scene) => Promise<Omit<ProbeResult, "name">>;
  readonly otherwise: { readonly outcome: Outcome; readonly consequence: string };
}

/** Who writes at the same moment, and how often: one lucky round proves little. */
const racerCount = 8;
const raceCount = 3;
/** The second, short part of the multipart probe. */
const lastPartBytes = MiB;
/** Objects that must show up in a listing at once. */
const listedCount = 5;
/** Clocks that differ by more are a finding; S3 refuses signatures that are off by more than fifteen minutes. */
const skewFindingMs = 60_000;
const skewRefusedMs = 15 * 60_000;
/** A store tells time in whole seconds, and may round. */
const clockGrainMs = 1000;

const unusable = "backups cannot be stored here";
const unreadable = "what is stored here could not be restored";
const noLeases = "leases cannot be used, and runs on several hosts must not overlap";

export const probes: readonly Probe[] = [
  { name: "put", isVital: true, look: putOne, otherwise: { outcome: "failed", consequence: unusable } },
  { name: "head", isVital: false, look: headBoth, otherwise: { outcome: "failed", consequence: `zferry cannot tell what is there: ${unusable}` } },
  { name: "get", isVital: false, look: getBack, otherwise: { outcome: "failed", consequence: unreadable } },
  { name: "range", isVital: false, look: getRanges, otherwise: { outcome: "failed", consequence: unreadable } },
  { name: "list", isVital: false, look: listAtOnce, otherwise: { outcome: "failed", consequence: "zferry cannot see which backups there are: neither backup nor restore works" } },
  { name: "delete", isVital: false, look: deleteOne, otherwise: { outcome: "finding", consequence: "prune will not work, and failed runs leave their objects; with bucket locks that may be what you want" } },
  { name: "create-only", isVital: false, look: createTwice, otherwise: { outcome: "finding", consequence: `a backup could be overwritten by another of the same name, and ${noLeases}` } },
  { name: "create-race", isVital: false, look: createAtOnce, otherwise: { outcome: "finding", consequence: `a create is not atomic: ${noLeases}` } },
  { name: "conditional-renew", isVital: false, look: renewStale, otherwise: { outcome: "finding", consequence: `a lease that was taken over could be renewed by its loser: ${noLeases}` } },
  { name: "multipart", isVital: false, look: putInParts, otherwise: { outcome: "failed", consequence: unusable } },
  { name: "unfinished", isVital: false, look: lookForUnfinished, otherwise: { outcome: "finding", consequence: "prune cannot remove what killed uploads left: set a lifecycle rule that aborts unfinished uploads" } },
  { name: "limits", isVital: false, look: checkLimits, otherwise: { outcome: "finding", consequence: "backups with these sizes are refused" } },
  { name: "clock", isVital: false, look: compareClocks, otherwise: { outcome: "finding", consequence: "the clocks could not be compared" } },
];

type Answer = Omit<ProbeResult, "name">;

function ok(detail: string): Answer {
  return { outcome: "ok", detail, consequence: null };
}

/** What a probe throws when the store answered, and the answer is wrong. */
function wrong(detail: string): ZferryError {
  return new ZferryError("findings", detail);
}

function keyOf({ prefix, keys }: Scene, name: string): ObjectKey {
  const key = `${prefix}${name}`;
  keys.add(key);
  return key;
}

function put(scene: Scene, name: string, body: Uint8Array | ByteSource, when: PutOptions["when"]): Promise<StoredObject> {
  return scene.store.put(keyOf(scene, name), body, { when, signal: scene.signal });
}

/** True when the put was refused because its condition does not hold. */
async function isRefused(attempt: Promise<StoredObject>): Promise<boolean> {
  try {
    await attempt;
    return false;
  } catch (error) {
    if (isZferryError(error, "object-exists")) return true;
    throw error;
  }
}

/** The object, up to a little more than it should be. */
async function read({ store, prefix, signal }: Scene, name: string, range?: ByteRange): Promise<Buffer> {
  const source = store.get(`${prefix}${name}`, { signal, ...(range === undefined ? {} : { range }) });
  return gather(source, MiB, () => wrong(`"${name}" came back longer than it was put`));
}

/** What `put` stores for the probes after it. */
const small = randomBytes(64 * KiB);

async function putOne(scene: Scene): Promise<Answer> {
  const { sizeBytes } = await put(scene, "small", small, "replace");
  if (sizeBytes !== small.length) throw wrong(`${small.length} bytes were put, and the store has ${sizeBytes}`);
  return ok(`${formatSize(small.length)} stored in "${scene.store.url}"`);
}

async function headBoth(scene: Scene): Promise<Answer> {
  const { store, prefix, signal } = scene;
  const found = await store.head(`${prefix}small`, { signal });
  if (found === null) throw wrong("an object that was just put is not there");
  if (found.sizeBytes !== small.length) throw wrong(`an object of ${small.length} bytes is said to have ${found.sizeBytes}`);
  if ((await store.head(`${prefix}missing`, { signal })) !== null) throw wrong("an object that was never put is there");
  return ok("an object is seen at once, and a missing one is said to be missing");
}

async function getBack(scene: Scene): Promise<Answer> {
  if (!(await read(scene, "small")).equals(small)) throw wrong("other bytes came back than were put");
  return ok("the bytes that were put come back");
}

async function getRanges(scene: Scene): Promise<Answer> {
  const ranges = [0, 1, 1000, small.length - 1].map((startBytes) => ({ startBytes, endBytes: Math.min(startBytes + 4097, small.length) }));
  for (const range of ranges) {
    const wanted = small.subarray(range.startBytes, range.endBytes);
    if (!(await read(scene, "small", range)).equals(wanted)) throw wrong(`bytes ${range.startBytes} to ${range.endBytes} are others`);
  }
  return ok("parts of an object can be read by themselves");
}

async function listAtOnce(scene: Scene): Promise<Answer> {
  const names = Array.from({ length: listedCount }, (_, index) => `list/${index}`);
  for (const name of names) await put(scene, name, Buffer.from(name), "replace");
  const listed: string[] = [];
  for await (const { key } of scene.store.list(`${scene.prefix}list/`, { signal: scene.signal })) listed.push(key);
  const wanted = names.map((name) => `${scene.prefix}${name}`);
  if (listed.join("\n") !== wanted.join("\n")) throw wrong(`${listedCount} objects were put, and the listing has ${listed.length} of them or in another order`);
  return ok("what was put is listed at once");
}

async function deleteOne(scene: Scene): Promise<Answer> {
  const { store, prefix, signal } = scene;
  const key = `${prefix}list/0`;
  await put(scene, "list/0", Buffer.from("list/0"), "replace");
  await store.delete([key], { signal });
  if ((await store.head(key, { signal })) !== null) throw wrong("an object that was deleted is still there");
  return ok("objects can be deleted");
}

async function createTwice(scene: Scene): Promise<Answer> {
  await put(scene, "create", Buffer.from("first"), "create");
  if (!(await isRefused(put(scene, "create", Buffer.from("second"), "create")))) throw wrong("a second create of one object was not refused");
  if ((await read(scene, "create")).toString() !== "first") throw wrong("a create that was refused has replaced the object");
  return ok("a second create is refused");
}

async function createAtOnce(scene: Scene): Promise<Answer> {
  for (let race = 0; race < raceCount; race += 1) {
    const name = `race/${race}`;
    const writers = Array.from({ length: racerCount }, (_, index) => `writer ${index}`);
    // All must have ended before anything is said, or one of them would write after the clean-up.
    const ended = await Promise.allSettled(writers.map((writer) => isRefused(put(scene, name, Buffer.from(writer), "create"))));
    for (const end of ended) if (end.status === "rejected") throw end.reason;
    const winners = writers.filter((_, index) => ended[index]?.status === "fulfilled" && !ended[index].value);
    if (winners.length !== 1) throw wrong(`of ${racerCount} that created one object at the same time, ${winners.length} won`);
    if ((await read(scene, name)).toString() !== winners[0]) throw wrong("the object is not that of the one who won");
  }
  return ok(`of ${racerCount} at the same time exactly one creates an object, ${raceCount} times over`);
}

async function renewStale(scene: Scene): Promise<Answer> {
  const first = await put(scene, "renew", Buffer.from("epoch 1"), "create");
  const second = await put(scene, "renew", Buffer.from("epoch 2"), { etag: first.etag });
  if (!(await isRefused(put(scene, "renew", Buffer.from("epoch 3"), { etag: first.etag })))) throw wrong("a version that is no longer there was replaced");
  if ((await read(scene, "renew")).toString() !== "epoch 2") throw wrong("a replacement that was refused has happened");
  await put(scene, "renew", Buffer.from("epoch 4"), { etag: second.etag });
  return ok("only the version that is there can be replaced");
}

async function putInParts(scene: Scene): Promise<Answer> {
  const sizeBytes = scene.probePartBytes + Math.min(lastPartBytes, scene.probePartBytes);
  const pattern = randomBytes(MiB);
  const sent = createHash("sha256");
  const { sizeBytes: storedBytes } = await put(scene, "parts", repeated(pattern, sizeBytes, sent), "replace");
  const back = createHash("sha256");
  let backBytes = 0;
  for await (const piece of scene.store.get(`${scene.prefix}parts`, { signal: scene.signal })) {
    back.update(piece);
    backBytes += piece.length;
  }
  if (storedBytes !== sizeBytes || backBytes !== sizeBytes) throw wrong(`${sizeBytes} bytes were put in two parts, and ${backBytes} came back`);
  if (back.digest("hex") !== sent.digest("hex")) throw wrong("an object put in two parts came back with other bytes");
  return ok(`${formatSize(sizeBytes)} in two parts come back as they were put`);
}

async function* repeated(pattern: Buffer, sizeBytes: number, digest: { update(bytes: Uint8Array): unknown }): ByteSource {
  await Promise.resolve();
  for (let offset = 0; offset < sizeBytes; offset += pattern.length) {
    const piece = Buffer.from(pattern.subarray(0, sizeBytes - offset));
    piece.writeUInt32BE(offset, 0);
    digest.update(piece);
    yield piece;
  }
}

async function lookForUnfinished({ store, prefix, signal }: Scene): Promise<Answer> {
  await store.removeUnfinished(prefix, { signal });
  return ok("unfinished uploads can be looked for");
}

/** The numbers of the provider table, not tried: trying them would take terabytes. */
function checkLimits({ store: { limits }, sizes }: Scene): Promise<Answer> {
  const { minPartBytes, maxPartBytes, maxPartCount, maxObjectBytes } = limits;
  const count = maxPartCount === Number.MAX_SAFE_INTEGER ? "any number of them" : `${maxPartCount} of them`;
  const taken = `parts of ${exactSize(minPartBytes)} to ${exactSize(maxPartBytes)}, ${count} in an object of up to ${exactSize(maxObjectBytes)}`;
  return Promise.resolve().then(() => {
    for (const chunkBytes of sizes.chunkBytes) checkSizes({ chunkBytes, partBytes: sizes.partBytes, limits });
    return ok(`${taken}; chunks of ${sizes.chunkBytes.map(exactSize).join(" and ")} in parts of ${exactSize(sizes.partBytes)} fit`);
  });
}

/** Without rounding: the largest part of R2 is 5115 MiB, and "5.00 GiB" would be a lie. */
function exactSize(bytes: number): string {
  const units = [["TiB", TiB], ["GiB", GiB], ["MiB", MiB], ["KiB", KiB]] as const;
  const unit = units.find(([, size]) => bytes % size === 0);
  return unit === undefined ? `${bytes} B` : `${bytes / unit[1]} ${unit[0]}`;
}

async function compareClocks(scene: Scene): Promise<Answer> {
  const before = scene.now().getTime();
  await put(scene, "clock", Buffer.from("tick"), "replace");
  const found = await scene.store.head(`${scene.prefix}clock`, { signal: scene.signal });
  const after = scene.now().getTime();
  if (found === null) throw wrong("an object that was just put is not there");
  const at = found.modifiedAt.getTime();
  const skewMs = at < before - clockGrainMs ? before - at : at > after + clockGrainMs ? at - after : 0;
  const seconds = `${Math.round(skewMs / 1000)} s ${at < before ? "behind" : "ahead of"} ours`;
  if (skewMs <= skewFindingMs) return ok(skewMs === 0 ? "the store's clock and ours agree" : `the store's clock is ${seconds}`);
  const consequence =
    skewMs > skewRefusedMs
      ? "requests signed with this clock are refused: set the clock (chrony, ntpd) before anything else"
      : "leases and grace periods are judged by the wrong time: set the clock";
  return { outcome: "finding", detail: `the store's clock is ${seconds}`, consequence };
}
