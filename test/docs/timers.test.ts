/** The NixOS module of docs/timers.md is Nix, and makes what it says. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { need } from "../systems.ts";

const module = fileURLToPath(new URL("../../docs/examples/nixos-module.nix", import.meta.url));
/** Stands for what of nixpkgs the module uses, so that it can be evaluated without. */
const library = fileURLToPath(new URL("nixpkgs.nix", import.meta.url));

interface Systemd {
  readonly services: Readonly<Record<string, { readonly serviceConfig: Readonly<Record<string, unknown>>; readonly wantedBy?: readonly string[] }>>;
  readonly timers: Readonly<Record<string, { readonly timerConfig: Readonly<Record<string, unknown>> }>>;
}

it("the NixOS module makes the units of a job, of its store, and those that are there once", (context) => {
  const nix = need(context, "nixInstantiate");
  const words = ["--eval", "--strict", "--json", library, "--arg", "module", module];
  const { stdout, stderr, status } = spawnSync(nix, words, { encoding: "utf8" });
  expect(status, stderr).toBe(0);
  const { services, timers } = JSON.parse(stdout) as Systemd;
  expect(Object.keys(services)).toEqual(["zferry-backup-home", "zferry-drill", "zferry-failed@", "zferry-recover", "zferry-status", "zferry-strays-r2", "zferry-verify-r2"]);
  expect(Object.keys(timers)).toEqual(["zferry-backup-home", "zferry-drill", "zferry-status", "zferry-strays-r2", "zferry-verify-r2"]);
  expect(services["zferry-backup-home"]?.serviceConfig).toMatchObject({
    ExecStart: "/zferry/bin/zferry --config /nix/store/zferry.yaml backup home",
    ExecStopPost: "-/zferry/bin/zferry --config /nix/store/zferry.yaml recover --state-dir /var/lib/zferry",
    KillMode: "process",
    LoadCredential: ["token:/run/keys/token"],
  });
  // One that is missing keeps a service from being started, and this one reads none.
  expect(services["zferry-recover"]?.serviceConfig).toMatchObject({ LoadCredential: [] });
  expect(services["zferry-recover"]?.wantedBy).toEqual(["multi-user.target"]);
  expect(timers["zferry-backup-home"]?.timerConfig).toMatchObject({ Persistent: true, FixedRandomDelay: true });
});
