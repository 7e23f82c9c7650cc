/** `zferry recover` where nothing is owed: what it must be able to do after boot, whatever became of the configuration. */
import { expect, it } from "vitest";
import { Scene } from "./zferry.ts";

it("needs no configuration where the state folder is named, so that a broken one keeps nothing stopped", async () => {
  const scene = new Scene();
  const file = scene.write("broken.yaml", "jobs: [");
  const named = await scene.run(["recover", "--config", file, "--state-dir", scene.stateDir]);
  expect(named.exit, named.stderr).toBe(0);
  expect(named.stdout.toString()).toBe("nothing is owed\n");
  const unnamed = await scene.run(["recover", "--config", file]);
  expect(unnamed.exit).toBe(2);
  expect(unnamed.stderr).toContain("broken.yaml:1:");
});
