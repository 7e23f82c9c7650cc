/**
 * The disaster plan is followed word for word: every block of `docs/recovery.md`, in its order, on a pretended pool with the
 * configuration it shows. What stands between the blocks for somebody to do (destroy, go into a folder) is done here.
 */
import { beforeAll, expect, it } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { built } from "../build.ts";
import { recordedAt } from "../cli/zferry.ts";
import { need } from "../systems.ts";
import { blocksOf, Machine } from "./blocks.ts";

beforeAll(built, 180_000); // its time is not the plan's

const plan = blocksOf("docs/recovery.md");
const backup = "tank/home@zferry-20261121T020000Z";
const stores = "stores: {main: {url: /mnt/main}}\ndefaults: {store: main}\nencryption: {passphrase_file: /etc/zferry/passphrase}\n";

it("every command of the disaster plan does what it is there for", { timeout: 120_000 }, async (context) => {
  need(context, "gpg");
  const machine = new Machine(["tank", "tank/drills"], () => new Date(recordedAt.getTime() + 12 * 3_600_000));
  await machine.put("/mnt/main", backup, "full");
  machine.folder = machine.chunksOf("/mnt/main", backup);
  const shown = plan.filter(({ language }) => language === "yaml").map(({ text }) => text).join("");
  parseConfig(stores + shown, "docs/recovery.md");
  machine.write("/etc/zferry/zferry.yaml", stores + shown);
  const lines = plan.filter(({ language }) => language === "sh").flatMap(({ text }) => text.replace(/^set -o pipefail\n/, "set -o pipefail; ").trim().split("\n"));
  expect(lines.length).toBeGreaterThan(10);
  const failures: string[] = [];
  for (const line of lines) {
    if (line.includes("gpg -d")) machine.pool.change(({ datasets }) => delete datasets["tank/restored"]);
    await machine.run(line).catch((error: unknown) => failures.push(`${line}: ${(error as Error).message}`));
  }
  // Before the first drill nobody knows that it would restore, which the checklist says.
  expect(failures).toEqual([expect.stringMatching(/^zferry doctor --restore: (.|\n)* ended with 3: (.|\n)*not all is as it should be/)]);
  expect(Object.keys(machine.pool.state.datasets).sort()).toEqual(["tank", "tank/drills", "tank/home", "tank/home2", "tank/restored"]);
});
