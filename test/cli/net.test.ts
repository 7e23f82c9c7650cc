/**
 * That the net in which all runs of the command line are caught when they show a secret has no holes: a secret is
 * planted in each place where none may be.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { streamOf } from "./pool.ts";
import { keysSeen } from "./net.mjs";
import { filesUnder, passphrase, Scene } from "./zferry.ts";

/** Whatever is wrong with a setting is told with its value: a way to have the program print something. */
function showing(scene: Scene, text: string): string {
  return scene.write("zferry.yaml", `defaults:\n  full_every: ${JSON.stringify(text)}\n`);
}

const secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

describe("the net for secrets catches", () => {
  it.for([
    ["the passphrase", passphrase],
    ["the passphrase as base64", Buffer.from(passphrase).toString("base64")],
    ["the passphrase as hexadecimal digits", Buffer.from(passphrase).toString("hex")],
    ["an access key's secret", secretKey],
  ] as const)("%s on stderr, in both ways of running", async ([, text]) => {
    const scene = new Scene();
    const words = ["verify", ...scene.place, ...scene.secret, "--config", showing(scene, text)];
    const options = { env: { AWS_SECRET_ACCESS_KEY: secretKey } };
    await expect(scene.run(words, options)).rejects.toThrow(/net has caught a secret .* in stderr/);
    await expect(scene.run([...words, "--json"], options)).rejects.toThrow(/net has caught a secret .* in stderr/);
    await expect(scene.spawn(words, options)).rejects.toThrow(/net has caught a secret .* in stderr/);
  });

  it("a secret on stdout, in text and in JSON, in both ways of running", async () => {
    const scene = new Scene();
    await scene.put("tank/src@one", streamOf("one"));
    scene.write(`store/manifests/${passphrase}`, "");
    const words = ["verify", "--level", "exists", ...scene.place, ...scene.secret];
    await expect(scene.run(words)).rejects.toThrow(/net has caught a secret .* in stdout/);
    await expect(scene.run([...words, "--json"])).rejects.toThrow(/net has caught a secret .* in stdout/);
    await expect(scene.spawn(words)).rejects.toThrow(/net has caught a secret .* in stdout/);
  });

  it("a secret in argv, its own and that of a program it starts", async () => {
    const scene = new Scene();
    const words = ["verify", ...scene.place, ...scene.secret];
    await expect(scene.run([...words, "--log-level", passphrase])).rejects.toThrow(/net has caught a secret .* in argv/);
    const config = scene.write("zferry.yaml", `defaults: { zfs: ["zfs", "--key=${passphrase}"] }\n`);
    const backup = ["backup", "--dataset", "tank/src", ...scene.place, ...scene.secret, "--config", config];
    await expect(scene.spawn(backup)).rejects.toThrow(/net has caught a secret .* in the arguments of "zfs"/);
  });

  it("a secret in a state file, whichever run made it, and in a file's name", async () => {
    const scene = new Scene();
    await scene.put("tank/src@one", streamOf("one"), ...scene.secret);
    const [made] = keysSeen().slice(-2);
    for (const text of [passphrase, made?.toString("base64") ?? "", made?.toString("hex") ?? ""]) {
      const file = scene.write("state/state-x.json", `{"why":"${text}"}`);
      expect(() => { scene.refuseSecretsInState(); }).toThrow(/net has caught a secret .* in the state file "state-x.json"/);
      rmSync(file);
    }
    const file = scene.write(`state/${passphrase}`, "");
    expect(() => { scene.refuseSecretsInState(); }).toThrow(/in the name/);
    rmSync(file);
    scene.refuseSecretsInState();
  });

  it("a session key of a program that was started, and lets it stand in its journal alone", async () => {
    const scene = new Scene();
    const before = new Set(keysSeen().map((key) => key.toString("hex")));
    const started = await scene.start(["put", "tank/src@one", ...scene.place, ...scene.small, ...scene.forBob]);
    started.feed(streamOf("one").subarray(0, 200_000));
    const journal = (): string | undefined => filesUnder(scene.stateDir).find((file) => file.endsWith(".journal"));
    await expect.poll(journal, { timeout: 10_000 }).toBeDefined();
    scene.refuseSecretsInState(); // the key is in the journal
    const made = keysSeen().filter((key) => !before.has(key.toString("hex")));
    expect(made.length).toBeGreaterThan(0);
    const file = scene.write("state/state-x.json", made[0]?.toString("base64") ?? "");
    expect(() => { scene.refuseSecretsInState(); }).toThrow(/session key/);
    rmSync(file);
    const planted = scene.write("state/journal/x.journal", passphrase);
    expect(() => { scene.refuseSecretsInState(); }).toThrow(/content of --passphrase-file|secret/);
    rmSync(planted);
    started.kill("SIGKILL");
    await started.ended;
    expect(filesUnder(join(scene.stateDir, "journal"))).toHaveLength(1);
  });
});
