/**
 * Whole processes, from a stream on stdin to where it is kept: a folder in memory, and S3. The baseline is gpg 2.2 with
 * the plainest tool behind it, as people use it.
 */
import { statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { aws, bare, feed, GiB, gpg1Encrypt, gpgEncrypt, libStorage, put, rclone, split } from "./lines.mjs";
import { dataFiles, prove } from "./proof.mjs";
import { openRealStore, openSink } from "./s3-targets.mjs";
import { needRoom } from "./scratch.mjs";

/** What is uploaded to see that it arrives right: three parts. */
const sampleBytes = 40 * 1024 ** 2;

export async function* pipelineSuite(bench) {
  const bytes = bench.sizeBytes ?? 2 * GiB;
  const input = await bench.input(bytes);
  yield directoryTrial(bench, input);
  yield* uploadTrial(bench, input, await openSink(bench));
  if (bench.options.tls) yield* uploadTrial(bench, input, await openSink(bench, { tls: true }));
  const real = await openRealStore(bench);
  if (real !== null) yield* uploadTrial(bench, input, real);
  else yield { name: "stdin → real S3 server", contenders: [], missing: [noServer] };
}

const noServer = { name: "the trial", why: "ZFERRY_TEST_S3 and its keys are not set" };

/** Sorts lines into those whose programs are here and those that are named as missing. */
function present(bench, lines) {
  const missing = lines
    .map(({ name, needs = [] }) => ({ name, peer: needs.find((peer) => !bench.has(peer)) }))
    .filter(({ peer }) => peer !== undefined)
    .map(({ name, peer }) => ({ name, why: bench.why(peer) }));
  return { there: lines.filter(({ needs = [] }) => needs.every(bench.has)), missing };
}

const sourceAlone = { name: "source alone (cat > /dev/null)", line: "cat > /dev/null", leavesNothing: true };

function directoryTrial(bench, input) {
  const { there, missing } = present(bench, [
    { name: "gpg -c | split", line: `${gpgEncrypt} | ${split}`, needs: ["gpg", "split"] },
    { name: "gpg1 -c | split", line: `${gpg1Encrypt} | ${split}`, needs: ["gpg1", "split"] },
    { name: "zferry put ocb", line: put("ocb"), isZferry: true },
    { name: "zferry put cfb", line: put("cfb"), isZferry: true },
    { name: "zferry put none", line: put("none"), isZferry: true },
    { name: "split alone", line: split, needs: ["split"], isPlain: true },
    sourceAlone,
  ]);
  return {
    name: "stdin → directory",
    bytes: input.sizeBytes,
    contenders: there.map((contender) => intoDirectory(bench, input, contender)),
    missing,
    targets: [
      { contender: "zferry put ocb", against: "gpg -c | split", atLeast: 2.5 },
      { contender: "zferry put ocb", against: "gpg1 -c | split", atLeast: 6 },
      { contender: "zferry put cfb", against: "gpg -c | split", atLeast: 1 },
    ],
  };
}

function intoDirectory(bench, input, { name, line, isZferry = false, isPlain = false, leavesNothing = false }) {
  const words = isPlain ? line.replaceAll(".zfs.gpg.", ".zfs.") : line;
  const once = async (look) => {
    needRoom(bench.scratch.folder, leavesNothing ? 0 : input.sizeBytes);
    const out = bench.scratch.empty("out");
    const extra = { INPUT: input.file, OUT: out, STORE: out, STATE: bench.scratch.empty("state") };
    const { seconds, cpuSeconds, peakRssBytes } = await bench.line(words, { source: feed, extra });
    if (!leavesNothing) await look(dataFiles(out), extra);
    bench.scratch.empty("out");
    return { seconds, cpuSeconds, peakRssBytes };
  };
  return {
    name,
    run: () => once((files) => wholeSize(files.map((file) => statSync(file).size), input)),
    check: () => once((files, store) => prove(bench, { files, sha256: input.sha256, store: isZferry ? store : null })),
  };
}

/** Encryption adds to the stream; what is smaller than it is not whole. */
function wholeSize(sizes, input) {
  if (sizes.reduce((sum, size) => sum + size, 0) < input.sizeBytes) throw new Error("it left less behind than it was given");
}

async function* uploadTrial(bench, input, target) {
  try {
    const sample = await bench.input(Math.min(sampleBytes, input.sizeBytes));
    const { there, missing } = present(bench, [
      { name: "gpg -c | rclone rcat", line: `${gpgEncrypt} | ${rclone}`, needs: ["gpg", "rclone"] },
      { name: "gpg -c | aws s3 cp -", line: `${gpgEncrypt} | ${aws}`, needs: ["gpg", "aws"] },
      { name: "gpg -c | lib-storage", line: `${gpgEncrypt} | ${libStorage}`, needs: ["gpg", "@aws-sdk/lib-storage"] },
      { name: "bare upload", line: bare },
      { name: "zferry put ocb", line: put("ocb"), isZferry: true },
      { name: "zferry put cfb", line: put("cfb"), isZferry: true },
      { name: "zferry put none", line: put("none"), isZferry: true },
      sourceAlone,
    ]);
    yield {
      name: `stdin → ${target.name}`,
      bytes: input.sizeBytes,
      contenders: there.map((contender) => intoBucket(bench, { input, sample, target }, contender)),
      missing,
      targets: uploadTargets(bench, target),
    };
  } finally {
    await target.close();
  }
}

/** The project's own; a peer that is not installed is replaced by the next best. */
function uploadTargets(bench, { name }) {
  const peer = bench.has("rclone") ? "gpg -c | rclone rcat" : bench.has("aws") ? "gpg -c | aws s3 cp -" : "gpg -c | lib-storage";
  return [
    { contender: "zferry put ocb", against: peer, atLeast: name.startsWith("real") ? 1.2 : 1.5 },
    { contender: "zferry put ocb", against: "bare upload", atLeast: 0.8 },
  ];
}

async function settle({ signal }, { settleMsPerGiB }, bytes) {
  await sleep((settleMsPerGiB * bytes) / GiB, undefined, { signal });
}

let serial = 0;

function intoBucket(bench, { input, sample, target }, { name, line, isZferry = false, leavesNothing = false }) {
  const once = async (stream, bucket, look) => {
    const folder = `run-${(serial += 1)}`;
    const place = { BUCKET: bucket, FOLDER: folder, STORE: target.url(bucket, folder), STATE: bench.scratch.empty("state") };
    const extra = { ...target.env, ...place, INPUT: stream.file, SIZE: String(stream.sizeBytes) };
    const { seconds, cpuSeconds, peakRssBytes } = await bench.line(line, { source: feed, extra });
    if (!leavesNothing) await look({ bucket, folder, extra });
    await target.empty(bucket);
    await settle(bench, target, leavesNothing ? 0 : stream.sizeBytes);
    return { seconds, cpuSeconds, peakRssBytes };
  };
  const checkSize = async ({ bucket, folder }) => wholeSize(await target.sizes(bucket, folder), input);
  const checkContent = async ({ bucket, folder, extra }) => {
    const files = await target.fetch(bucket, folder, bench.scratch.empty("read-back"));
    await prove(bench, { files, sha256: sample.sha256, store: isZferry ? extra : null });
    bench.scratch.remove("read-back");
  };
  return {
    name,
    run: () => once(input, target.bucket, checkSize),
    check: () => once(sample, target.proofBucket, checkContent),
  };
}
