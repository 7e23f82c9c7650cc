/**
 * How long a command takes that does next to nothing, against an empty node. Started directly, without a shell whose own
 * start would be in every figure.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";

/** Runs node to its end. @throws when it does not end with status 0 */
async function node(words, { env, signal }) {
  const child = spawn(process.execPath, words, { env, signal, stdio: "ignore" });
  const [exit] = await once(child, "exit");
  if (exit !== 0) throw new Error(`exit ${exit}`);
}

export function startupSuite(bench) {
  const place = ["--store", bench.scratch.empty("startup-store"), "--state-dir", bench.scratch.empty("startup-state")];
  const run = (name, words) => ({ name, run: () => node(words, bench) });
  const zferry = (...words) => run(`zferry ${words[0]}`, [bench.env.ZFERRY, ...words]);
  return [
    {
      name: "from start to end",
      unit: "ms",
      rounds: 15,
      contenders: [run("node -e 0", ["-e", "0"]), zferry("--version"), zferry("--help"), zferry("list", ...place)],
      targets: [
        { contender: "zferry --version", against: "node -e 0", atMost: 2.5 },
        { contender: "zferry --help", against: "node -e 0", atMost: 2.5 },
      ],
    },
  ];
}
