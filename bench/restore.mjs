/**
 * The way back, from a folder in memory to stdout: `zferry get`, which verifies everything, and gpg on the very same
 * files. Once to /dev/null and once through a pipe, since `zfs recv` reads one.
 */
import { statSync } from "node:fs";
import { feed, get, GiB, gpgDecrypt, put } from "./lines.mjs";
import { dataFiles, prove, proveOutput } from "./proof.mjs";
import { needRoom } from "./scratch.mjs";

const chunks = 'cat "$STORE"/streams/"$BACKUP"/*/*.zfs.gpg.*';
const ratios = { ocb: 1.2, cfb: 0.9 };

export async function* restoreSuite(bench) {
  const input = await bench.input(bench.sizeBytes ?? 2 * GiB);
  for (const packet of Object.keys(ratios)) {
    needRoom(bench.scratch.folder, input.sizeBytes);
    const store = bench.scratch.empty("store");
    const extra = { INPUT: input.file, STORE: store, STATE: bench.scratch.empty("state") };
    await bench.line(put(packet), { source: feed, extra });
    const files = dataFiles(store);
    await prove(bench, { files, sha256: input.sha256, store: extra });
    for (const way of [
      { name: "/dev/null", behind: "" },
      { name: "a pipe", behind: " | cat" },
    ]) {
      yield restoreTrial(bench, { input, packet, extra, way, storedBytes: files.reduce((sum, file) => sum + statSync(file).size, 0) });
    }
    bench.scratch.empty("store");
  }
}

function restoreTrial(bench, { input, packet, extra, way, storedBytes }) {
  const lines = [
    { name: "cat chunks | gpg -d", line: `${chunks} | ${gpgDecrypt}`, needs: "gpg" },
    { name: `zferry get ${packet}`, line: get },
    { name: "source alone (cat chunks)", line: chunks, isCiphertext: true },
  ];
  const there = lines.filter(({ needs }) => needs === undefined || bench.has(needs));
  const missing = lines.filter((entry) => !there.includes(entry)).map(({ name, needs }) => ({ name, why: bench.why(needs) }));
  return {
    name: `directory (${packet}) → ${way.name}`,
    bytes: input.sizeBytes,
    notes: [`${storedBytes} bytes stored`],
    contenders: there.map(({ name, line, isCiphertext = false }) => ({
      name,
      run: async () => {
        const { seconds, cpuSeconds, peakRssBytes } = await bench.line(`${line}${way.behind} > /dev/null`, { extra });
        return { seconds, cpuSeconds, peakRssBytes };
      },
      ...(isCiphertext ? {} : { check: () => proveOutput(bench, { line, extra, sha256: input.sha256 }) }),
    })),
    missing,
    targets: [{ contender: `zferry get ${packet}`, against: "cat chunks | gpg -d", atLeast: ratios[packet] }],
  };
}
