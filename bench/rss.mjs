/**
 * Peak memory as streams grow. `put` goes to the discarding sink, so that no size needs room: once as fast as it can, where the
 * engine is what limits, and once over a link, as most uploads go; its stream is made while it is read. `get` reads a folder
 * on a disk (memory would not hold it), where there is room.
 */
import { tmpdir } from "node:os";
import { formatSize } from "../dist/bytes.js";
import { get, GiB, put } from "./lines.mjs";
import { openSink } from "./s3-targets.mjs";
import { makeScratch, roomLacks } from "./scratch.mjs";

const source = '"$NODE" "$BENCH/synthetic-stream.mjs" "$SIZE"';
const common = { unit: "MiB peak", warmUp: false, rounds: 3 };
const limitMiB = 256;
/** 1.6 Gbit/s: about half of what the engine does on two cores. */
const linkBytesPerSecond = 200_000_000;
const peak = ({ peakRssBytes }) => (peakRssBytes ?? Number.NaN) / 1024 ** 2;

export async function* rssSuite(bench) {
  const largest = bench.sizeBytes ?? 16 * GiB;
  const sizes = [largest / 16, largest / 4, largest].map(Math.ceil);
  yield* putTrial(bench, sizes, await openSink(bench));
  yield* putTrial(bench, sizes, await openSink(bench, { bytesPerSecond: linkBytesPerSecond }));
  yield* getTrial(bench, sizes);
}

const getName = "get: folder on disk → /dev/null";

async function* putTrial(bench, sizes, target) {
  try {
    yield trial("put", `put: stdin → ${target.name}`, sizes, (bytes, serial) => putOnce(bench, target, bytes, serial));
  } finally {
    await target.close();
  }
}

function trial(verb, name, sizes, once) {
  let serial = 0;
  const nameOf = (bytes) => `zferry ${verb} ${formatSize(bytes)}`;
  const [first, , last] = sizes.map(nameOf);
  return {
    ...common,
    name,
    contenders: sizes.map((bytes) => ({ name: nameOf(bytes), bytes, value: peak, run: () => once(bytes, (serial += 1)) })),
    targets: [
      { contender: last, against: first, atMost: 1.1 },
      { contender: last, atMost: limitMiB },
    ],
  };
}

async function putOnce(bench, target, bytes, serial) {
  const folder = `rss-${serial}`;
  const extra = { ...target.env, SIZE: String(bytes), STORE: target.url(target.bucket, folder), STATE: bench.scratch.empty("state") };
  const { seconds, cpuSeconds, peakRssBytes } = await bench.line(put("ocb"), { source, extra });
  const stored = (await target.sizes(target.bucket, folder)).reduce((sum, size) => sum + size, 0);
  if (stored < bytes) throw new Error("it stored less than it was given");
  await target.empty(target.bucket);
  return { seconds, cpuSeconds, peakRssBytes };
}

async function* getTrial(bench, sizes) {
  const folder = bench.options.disk ?? tmpdir();
  const lack = roomLacks(folder, sizes.reduce((sum, size) => sum + size, 0));
  if (lack !== null) {
    yield { name: getName, contenders: [], missing: [{ name: "the trial", why: `there is no room: ${lack}` }] };
    return;
  }
  const disk = makeScratch(folder);
  const placeOf = (bytes) => ({ SIZE: String(bytes), STORE: disk.path(`store-${bytes}`), STATE: bench.scratch.path("state") });
  try {
    for (const bytes of sizes) {
      bench.scratch.empty("state");
      await bench.line(put("ocb"), { source, extra: placeOf(bytes) });
    }
    yield trial("get", getName, sizes, async (bytes) => {
      const { seconds, cpuSeconds, peakRssBytes } = await bench.line(`${get} > /dev/null`, { extra: placeOf(bytes) });
      return { seconds, cpuSeconds, peakRssBytes };
    });
  } finally {
    disk.close();
  }
}
