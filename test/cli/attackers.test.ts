/**
 * What `docs/threat-model.md` says nobody can do, where no other test shows it already: each test stands in the place of
 * one attacker and tries with all that attacker has.
 */
import { chmodSync, readFileSync, statSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { begin, end, seal, write } from "../replay/forge.ts";
import { MemoryStore, openBackup, parseSnapshotName } from "../../src/index.ts";
import { manifestKey } from "../../src/format/layout.ts";
import { need } from "../systems.ts";
import { fixtureKey } from "../openpgp/sample.ts";
import { keysSeen } from "./net.mjs";
import { nightly, streamOf } from "./pool.ts";
import { filesUnder, passphrase, Scene } from "./zferry.ts";

describe("the owner of the store", () => {
  it.for(["ocb", "cfb", "rfc9580"])("finds nothing of the content in any object, and nothing that opens it, with packet %s", async (packet) => {
    const scene = new Scene();
    const marker = "the content of a file that nobody else may read";
    const piece = write(4096);
    Buffer.from(piece.payload.buffer).fill(marker);
    await scene.put("tank/src@one", seal([begin(), piece, write(65_536), end()]), "--packet", packet);
    const sessionKey = keysSeen().at(-2);
    const needles = [marker.slice(0, 16), marker.slice(-16), sessionKey, sessionKey?.toString("hex"), sessionKey?.toString("base64")];
    for (const object of scene.objects) {
      const bytes = readFileSync(join(scene.store, object));
      expect([object, needles.findIndex((needle) => needle === undefined || bytes.includes(needle))]).toEqual([object, -1]);
    }
    expect(await scene.run(["get", "tank/src@one", ...scene.place])).toMatchObject({ exit: 12, stdout: Buffer.alloc(0) });
    expect(await scene.run(["get", "tank/src@one", ...scene.place, ...scene.secret])).toMatchObject({ exit: 12, stdout: Buffer.alloc(0) });
  });

  it("writes the same stream to two different messages, which tell nothing of each other", async () => {
    const scene = new Scene();
    await scene.put("tank/src@one", streamOf("one"));
    await scene.put("tank/other@one", streamOf("one"));
    const chunks = scene.objects.filter((file) => file.includes(".gpg.")).map((file) => readFileSync(join(scene.store, file)));
    expect(chunks.length).toBe(16);
    const windows = chunks.slice(0, 8).flatMap((chunk) => Array.from({ length: 30 }, (_, at) => chunk.subarray(1000 + at * 2000, 1016 + at * 2000)));
    const other = Buffer.concat(chunks.slice(8));
    expect(windows.filter((window) => window.length === 16 && other.includes(window))).toEqual([]);
  });

  it("can name an object as they like, and neither moves the cursor nor adds a line to what is said", async () => {
    const scene = new Scene();
    await scene.put("tank/src@one", streamOf("one"));
    scene.write("store/manifests/x\nok: tank/src@one (stream)\u001b[2J\u009b1A\u202e", "x");
    for (const words of [["verify", "--level", "exists"], ["list"]]) {
      const { stdout, stderr } = await scene.run([...words, ...scene.place]);
      const said = `${stdout.toString()}${stderr}`;
      expect(said).toContain(String.raw`x\u000aok: tank/src@one (stream)\u001b[2J\u009b1A\u202e`);
      expect(said.split("\n").filter((line) => line.startsWith("ok: tank/src@one (stream)"))).toEqual([]);
      expect(/[\p{Cc}\u202e]/u.test(said.replaceAll("\n", ""))).toBe(false);
    }
  });
});

describe("whoever listens on the network", () => {
  it("to a store without TLS sees no access key's secret and no passphrase, in no header and in no body", async () => {
    const heard: Buffer[] = [];
    const server = createServer((request, response) => {
      heard.push(Buffer.from(`${request.method ?? ""} ${request.url ?? ""}\n${request.rawHeaders.join("\n")}\n`));
      request.on("data", (piece: Buffer) => heard.push(piece));
      request.on("end", () => {
        response.writeHead(403, { "content-type": "application/xml" }).end("<Error><Code>AccessDenied</Code></Error>");
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const secret = "wJalrXUtnFEMIK7MDENGbPxRfiCYzzz";
    const url = `s3://bucket/p?endpoint=http://127.0.0.1:${(server.address() as AddressInfo).port}&provider=ceph&region=us-east-1`;
    const scene = new Scene();
    const env = { AWS_ACCESS_KEY_ID: "AKIAIOSFODNN7", AWS_SECRET_ACCESS_KEY: secret };
    const put = ["put", "tank/src@one", "--store", url, "--state-dir", scene.stateDir, "--part-size", "5MiB", "--chunk-size", "5MiB", ...scene.secret];
    expect((await scene.run(put, { env, stdin: streamOf("one") })).exit).toBe(15);
    const all = Buffer.concat(heard);
    expect(all.includes("AKIAIOSFODNN7")).toBe(true); // the name of the key is no secret
    for (const text of [secret, passphrase]) {
      for (const form of [text, Buffer.from(text).toString("base64"), Buffer.from(text).toString("hex")]) expect(all.includes(form)).toBe(false);
    }
  });

  it.for(["file", "env", "command", "credential"] as const)("is shown the name of the configured key, and nobody the key: from %s", async (place) => {
    const secret = "xZalrZUtnFEMIK7MDENGbPxRfiCYyyy";
    let authorization = "";
    const server = createServer((request, response) => {
      authorization = request.headers.authorization ?? "";
      response.writeHead(403, { "content-type": "application/xml" }).end("<Error><Code>AccessDenied</Code></Error>");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const scene = new Scene();
    const keys = scene.write("r2.keys", `AWS_ACCESS_KEY_ID=AKR2\nAWS_SECRET_ACCESS_KEY=${secret}\n`);
    chmodSync(keys, 0o600);
    const where = { file: keys, env: "R2", command: `cat '${keys}'`, credential: "r2.keys" }[place];
    const url = `s3://bucket/p?endpoint=http://127.0.0.1:${(server.address() as AddressInfo).port}&provider=ceph`;
    const config = scene.write("zferry.yaml", `stores: { far: { url: "${url}", credentials: { ${place}: ${JSON.stringify(where)} } } }\n`);
    // The net knows the secret by the second variable.
    const env = { AWS_ACCESS_KEY_ID: "AKOTHER", AWS_SECRET_ACCESS_KEY: "of another store", CREDENTIALS_DIRECTORY: scene.folder, R2_ACCESS_KEY_ID: "AKR2", R2_SECRET_ACCESS_KEY: secret };
    for (const flags of [[], ["--json", "--log-level", "debug"]]) {
      const { exit, stdout, stderr } = await scene.run(["list", "--config", config, "--state-dir", scene.stateDir, ...flags], { env });
      expect([exit, `${String(stdout)}${stderr}`.includes(secret)]).toEqual([15, false]);
      expect(authorization).toContain("Credential=AKR2/");
    }
  });

  it("cannot stand in for a store with TLS: a certificate nobody vouches for ends the run before a request is sent", async (context) => {
    const { endpoint, accessKeyId, secretAccessKey } = need(context, "s3Tls");
    const scene = new Scene();
    const config = scene.write("zferry.yaml", `stores: { far: { url: "s3://bucket/p?endpoint=${endpoint}&region=us-east-1&provider=ceph", retry_for: 1s } }\n`);
    const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    const { exit, stderr } = await scene.run(["list", "--config", config, "--state-dir", scene.stateDir], { env });
    expect(exit).toBe(15);
    expect(stderr).toMatch(/certificate/);
  });
});

describe("another local user", () => {
  it("can read and enter nothing that any verb has made: files 0600, folders 0700", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    const mask = process.umask(0o022); // the usual one, which would make files readable
    onTestFinished(() => void process.umask(mask));
    const common = [...scene.place, ...scene.asBob];
    const far = join(scene.folder, "far");
    const verbs: readonly (readonly string[])[] = [
      ["put", "tank/a@one", ...scene.place, ...scene.small, ...scene.forBob],
      ["backup", "--dataset", "tank/src", "--full-every", "36500d", ...scene.place, ...scene.small, ...scene.forBob],
      ["list", ...scene.place],
      ["verify", ...common],
      ["get", "tank/a@one", ...common],
      ["restore", "tank/a@one", "--to", "pool/back", ...common],
      ["download", "tank/a@one", far, ...scene.place],
      ["prune", "--strays", ...scene.place],
      ["state", "rebuild", ...scene.place],
    ];
    for (const words of verbs) {
      const { exit, stderr } = await scene.run(words, { env: pool.env, stdin: words[0] === "put" ? streamOf("one") : new Uint8Array() });
      expect([words[0], exit], stderr).toEqual([words[0], 0]);
      for (const folder of [scene.stateDir, scene.store, far]) expect([words[0], openIn(folder)]).toEqual([words[0], []]);
    }
    const stopped = await scene.start(["put", "tank/b@one", ...scene.place, ...scene.small, ...scene.forBob]);
    stopped.feed(streamOf("one").subarray(0, 200_000));
    await expect.poll(() => filesUnder(scene.stateDir).some((file) => file.endsWith(".journal")), { timeout: 10_000 }).toBe(true);
    stopped.kill("SIGKILL");
    await stopped.ended;
    expect([scene.stateDir, scene.store].flatMap(openIn)).toEqual([]);
  });

  /** What lies in a folder, itself included, and is not its owner's alone. */
  function openIn(folder: string): string[] {
    if (statSync(folder, { throwIfNoEntry: false }) === undefined) return [];
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    const paths = [folder, ...entries.map((entry) => join(entry.parentPath, entry.name))];
    return paths.filter((path) => {
      const stats = statSync(path);
      return (stats.mode & 0o777) !== (stats.isDirectory() ? 0o700 : 0o600);
    });
  }
});

describe("whoever has the host afterwards, when it locked for certificates only", () => {
  it("finds nothing on it that opens a finished backup, and no journal", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    const ended = await scene.run(["backup", "--dataset", "tank/src", "--full-every", "36500d", ...scene.place, ...scene.small, ...scene.forBob, "--log-level", "debug"], { env: pool.env });
    expect(ended.exit, ended.stderr).toBe(0);
    const [name = ""] = scene.manifests;
    const backup = parseSnapshotName(name.slice(0, -".json".length));
    const store = new MemoryStore();
    const { signal } = new AbortController();
    await store.put(manifestKey(backup), readFileSync(join(scene.store, manifestKey(backup))), { when: "create", signal });
    const { sessionKey } = await openBackup(store, backup, fixtureKey("bob").keyring, signal);
    if (sessionKey === null) throw new Error("it was not locked");
    for (const file of filesUnder(scene.folder)) {
      const bytes = readFileSync(join(scene.folder, file));
      const forms = [sessionKey, sessionKey.toString("hex"), sessionKey.toString("base64")];
      expect([file, forms.findIndex((form) => bytes.includes(form))]).toEqual([file, -1]);
    }
    expect(filesUnder(scene.stateDir).filter((file) => file.includes("journal"))).toEqual([]);
    const get = await scene.run(["get", backup, ...scene.place, "--private-key", scene.certificate("bob")]);
    expect([get.exit === 0, get.stdout.length]).toEqual([false, 0]);
    expect(await scene.run(["get", backup, ...scene.place])).toMatchObject({ exit: 12, stdout: Buffer.alloc(0) });
  });
});
