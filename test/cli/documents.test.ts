/**
 * Every type of document and line that `docs/schema/` describes is printed by some command, and what lies in the store and the
 * state folder afterwards is as described, too. `Scene` validates whatever any test prints; here it is seen that nothing is
 * described which nobody prints.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { eventNames } from "../documents/lines.ts";
import { lines, outputs, schemas } from "../documents/schemas.ts";
import { seen, validate } from "../documents/validate.ts";
import { nightInBucket } from "../plain/files-night.ts";
import { startResponder } from "../s3-responder.ts";
import { Night, tonight } from "./job-night.ts";
import { recorded } from "./zferry.ts";

/** `events.test.ts` comes to these. */
const leftToEvents = new Set<string>(["hooks-began", "hooks-ended", "progress", "request-retried", "fell-over", "removed"]);
/** What is gone when a run has ended, or is sent away, and the file under `test/` that validates it. */
const leftToOthers: Readonly<Record<string, string>> = { "store/lock": "cli/alone.test.ts", "notify/happening": "notify/listening.ts" };
const tomorrow = new Date("2026-11-22T09:00:00Z");
const settings = "dataset: tank/src, copies: [{store: away}], drill: {into: tank/place, sample: 0}, keep: {store: {last: 1}}";

/** A night with a copy, and everything one may ask for the day after. */
function dayAfter(): { readonly night: Night; readonly commands: readonly (readonly string[])[] } {
  const night = new Night(`  home: {${settings}}\n`, { datasets: ["tank", "tank/src", "tank/place"] });
  const { scene } = night;
  const file = join(scene.folder, "zferry.yaml");
  writeFileSync(file, readFileSync(file, "utf8").replace("stores:\n", `stores:\n  away: {url: ${join(scene.folder, "away")}, part_size: 16KiB}\n`));
  scene.write("exported/s1-full/tank-src@s1.zfs.gpg.0000", "no message");
  const synthetic = ["bench", "--source", "synthetic:1MiB", "--chunk-size", "1MiB", "--part-size", "64KiB", "--threads", "0"];
  const commands = [
    ...[["backup"], ["copy"], ["put", "tank/other@s1", ...scene.forBob], ["list"], ["list", "--all-hosts"]],
    ...[["verify", ...scene.asBob], ["drill", ...scene.asBob], ["status"], ["status", "--all-hosts"]],
    ...[["restore", "tank/src", "--to", "tank/back", "--dry-run", ...scene.asBob], ["restore", "tank/src", "--to", "tank/back", ...scene.asBob]],
    ...[["download", `tank/src@${tonight}`, join(scene.folder, "copy")], ["doctor"], ["doctor", "--restore", ...scene.asBob], ["state", "rebuild"], ["recover"], ["systemd"]],
    ...[["prune"], ["prune", "--strays"], ["key", "add", "spare", ...scene.asBob, "--new-recipient", scene.certificate("alice")], ["key", "list"], ["key", "remove", "spare", ...scene.asBob], ["import", join(scene.folder, "exported"), ...scene.secret], synthetic, ["bench", "--plan", "1TB", "--chunk-size", "1GiB"], ["init", "--config", "new.yaml", "--store", scene.store, "--dataset", "tank/src"], ["nonsense"]],
  ];
  return { night, commands };
}

/** Prints what the engine of files prints that wants a bucket. */
async function printOfFiles(): Promise<void> {
  const server = await startResponder({ bucket: "bucket", knowsCrc32: true });
  onTestFinished(() => server.close());
  const night = nightInBucket(`s3://bucket/host?endpoint=http://127.0.0.1:${server.port}&provider=minio`, { forBob: true });
  for (const words of [["backup"], ["files", "list"], ["files", "list", "papers", "--run", "000001"], ["files", "restore", "papers", "--into", "back"]]) {
    const { exit, stderr } = await night.run([...words, "--json"], { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "an-unused-secret" });
    expect([words, exit, stderr]).toEqual([words, 0, stderr]);
    if (words[1] === "restore") expect([...stderr.matchAll(/"event":"(?:began|ended)","command":"([^"]*)"/g)].map(([, name]) => name)).toEqual(["files restore", "files restore"]);
  }
}

it("every type that is described is printed", async () => {
  seen.clear(); // other tests may have run in this process
  const { night, commands } = dayAfter();
  for (const words of commands) {
    const now = words[0] === "backup" ? {} : { now: tomorrow };
    const { stderr } = await night.scene.run([...words, "--json"], { env: night.pool.env, stdin: words[0] === "put" ? recorded("full") : new Uint8Array(), ...now });
    expect(stderr).not.toContain('"code":"bug"');
  }
  await printOfFiles();
  const events = eventNames.filter((name) => !leftToEvents.has(name));
  expect([...seen].sort()).toEqual([...Object.keys(outputs).map((type) => `output/${type}`), ...Object.keys(lines).map((type) => `log/${type}`), ...events].sort());

  const { scene } = night;
  const linesOf = (path: string): unknown[] => readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as unknown);
  const wholeOf = (path: string): unknown[] => [JSON.parse(readFileSync(path, "utf8"))];
  const kept = [
    [/^store\/manifests\/.*\.json$/, "store/manifest", wholeOf],
    [/^state\/state\.json$/, "state/state", wholeOf],
    [/^state\/history\/.*\.jsonl$/, "state/history", linesOf],
    [/^state\/copies\/.*\.jsonl$/, "state/copies", linesOf],
    [/^state\/drills\.json$/, "state/drills", wholeOf],
  ] as const;
  const types = [...seen].filter((name) => name.includes("/"));
  expect([...types, ...kept.map(([, name]) => name), ...Object.keys(leftToOthers)].sort()).toEqual([...schemas.keys()].sort());
  for (const [pattern, name, read] of kept) {
    const paths = scene.files.filter((path) => pattern.test(path));
    expect(paths, name).not.toEqual([]);
    for (const path of paths) for (const value of read(join(scene.folder, path))) validate(name, value);
  }
}, 240_000);

it.for(Object.entries(leftToOthers))("%s, which is left to test/%s, is validated there", ([name, file]) => {
  expect(readFileSync(new URL(`../${file}`, import.meta.url), "utf8")).toContain(`validate("${name}", `);
});
