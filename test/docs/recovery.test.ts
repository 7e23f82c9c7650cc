/**
 * The disaster plan is followed word for word: every `zferry` line of `docs/recovery.md`, in its order, on a pretended pool
 * with the configuration it shows. What needs somebody to act (zfs, files) is left out.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { Pool } from "../cli/pool.ts";
import { recorded, recordedAt, Scene } from "../cli/zferry.ts";

const plan = readFileSync(fileURLToPath(new URL("../../docs/recovery.md", import.meta.url)), "utf8");
const blocks = [...plan.matchAll(/^ *```sh\n(.*?)^ *```$/gms)].map(([, text = ""]) => text);
const lines = blocks.flatMap((text) => text.split("\n").map((line) => line.trim())).filter((line) => line.startsWith("zferry "));

it("every command of the disaster plan does what it is there for", { timeout: 120_000 }, async () => {
  const scene = new Scene();
  await scene.put("tank/home@zferry-1", recorded("full"));
  const pool = new Pool({ datasets: { tank: {}, "tank/drills": {} } });
  const config = scene.write("z.yaml", `stores: {main: {url: ${scene.store}}}\nstate_dir: ${scene.stateDir}\nencryption: {private_keys: [${scene.privateKey("bob")}]}\njobs:\n  home: {dataset: tank/home, drill: {into: tank/drills}}\n`);
  expect(lines.length).toBeGreaterThan(10);
  const exits: (readonly [string, number | null])[] = [];
  for (const line of lines) {
    const { exit, stderr } = await scene.run(line.split(" ").slice(1), { env: { ...pool.env, ZFERRY_CONFIG: config }, now: new Date(recordedAt.getTime() + 12 * 3_600_000) });
    exits.push([line, exit]);
    if (exit !== 0 && !stderr.includes("not all is as it should be")) throw new Error(`${line} ended with ${exit ?? "a signal"}: ${stderr}`);
  }
  // Before the first drill nobody knows that it would restore, which the checklist says.
  expect(exits.filter(([, exit]) => exit !== 0)).toEqual([["zferry doctor --restore", 3]]);
  expect(Object.keys(pool.state.datasets).sort()).toEqual(["tank", "tank/drills", "tank/home", "tank/home2", "tank/restored"]);
});
