import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createHmac } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { version } from "../../src/version.ts";
import { ownFolder } from "../folder.ts";
import { at, happening, listener, nobody, tellerOf } from "./listening.ts";

const title = `zferry on ${hostname()}: backup failed: tank/home`;
const words = 'backup of "tank/home" failed: no space';
const token = "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2";

function secretFile(content = `${token}\n`, mode = 0o600): string {
  const file = join(ownFolder(), "token");
  writeFileSync(file, content);
  chmodSync(file, mode);
  return file;
}

describe("what each service gets", () => {
  it("a webhook: the document, headers of its own, and a signature over the body", async () => {
    const { url, received } = await listener();
    const headers = { "X-Plain": "yes", Authorization: { file: secretFile(`Bearer ${token}\n`) } };
    const teller = tellerOf([{ type: "webhook", url: `${url}/hook?a=b`, headers, sign_with: { env: "KEY" } }], { environment: { KEY: "the key" } });
    await teller.tell(happening());
    await teller.end();
    expect(teller.warnings).toEqual([]);
    const [{ method, path, headers: got, body }] = received as [(typeof received)[0]];
    expect([method, path, got["content-type"], got["x-plain"], got.authorization]).toEqual(["POST", "/hook?a=b", "application/json", "yes", `Bearer ${token}`]);
    expect(got["x-zferry-signature"]).toBe(`sha256=${createHmac("sha256", "the key").update(body).digest("hex")}`);
    expect(JSON.parse(body)).toEqual({
      type: "happening",
      version: 1,
      kind: "failure",
      job: "home",
      dataset: "tank/home",
      at: at.toISOString(),
      host: hostname(),
      zferry: version,
      title,
      text: words,
      isBad: true,
      details: { code: "store-full" },
    });
  });

  it("ntfy: JSON to the server, the token in a header", async () => {
    const { url, received } = await listener();
    const teller = tellerOf([{ type: "ntfy", server: url, topic: "nights", token: { file: secretFile() } }]);
    await teller.tell(happening());
    await teller.end();
    const [{ path, headers, body }] = received as [(typeof received)[0]];
    expect([path, headers.authorization]).toEqual(["/", `Bearer ${token}`]);
    expect(JSON.parse(body)).toEqual({ topic: "nights", title, message: words, priority: 4, tags: ["warning"] });
  });

  it("Pushover: a form with token and user, of the priority that fits", async () => {
    const { url, received } = await listener();
    const folder = ownFolder();
    writeFileSync(join(folder, "app"), "app-token-0123\n");
    chmodSync(join(folder, "app"), 0o440); // as systemd's access lists make it look
    const teller = tellerOf([{ type: "pushover", server: url, token: { credential: "app" }, user: { env: "WHO" }, on: ["failure", "success"] }], {
      environment: { CREDENTIALS_DIRECTORY: folder, WHO: "user-0123" },
    });
    await teller.tell(happening());
    await teller.tell(happening({ kind: "success", dataset: null, text: "2 datasets stored" }));
    await teller.end();
    const forms = received.map(({ path, body }) => [path, Object.fromEntries(new URLSearchParams(body))]);
    const same = { token: "app-token-0123", user: "user-0123", timestamp: "1795226400" };
    expect(forms).toEqual([
      ["/1/messages.json", { ...same, title, message: words, priority: "1" }],
      ["/1/messages.json", { ...same, title: `zferry on ${hostname()}: backup done: home`, message: "2 datasets stored", priority: "-1" }],
    ]);
  });

  it("a ping: start, success and fail of a check for each job, every time, with the text", async () => {
    const { url, received } = await listener();
    const teller = tellerOf([{ type: "healthchecks", url: `${url}/ping/key/zferry-{job}` }]);
    for (const kind of ["start", "success", "start", "failure", "recovery"] as const) {
      await teller.tell(happening({ kind, dataset: null, job: "my home" }));
    }
    await teller.end();
    expect(received.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "POST /ping/key/zferry-my%20home/start",
      "POST /ping/key/zferry-my%20home",
      "POST /ping/key/zferry-my%20home/start",
      "POST /ping/key/zferry-my%20home/fail",
    ]);
    expect(received[3]?.body).toBe(`zferry on ${hostname()}: backup failed: my home\n${words}\n`);
  });

  it("no ping of a job's check for what is of no job", async () => {
    const { url, received } = await listener();
    const warnings: string[] = [];
    const teller = tellerOf([{ type: "healthchecks", url: `${url}/zferry-{job}` }, { type: "healthchecks", name: "all", url: `${url}/zferry` }], { warn: (text) => warnings.push(text) });
    await teller.tell(happening({ dataset: null, job: null }));
    await teller.end();
    expect(received.map(({ path }) => path)).toEqual(["/zferry/fail"]);
    expect(warnings).toEqual(['notifier "healthchecks" was not told of "failure": its URL is that of a job\'s check, and this is of no job']);
  });
});

describe("what goes wrong with a secret is said without it", () => {
  it.for([
    ["a file others can read", { file: "OPEN" }, /^notifier "ntfy" was not told of "failure" of job "home": the token of notifier "ntfy" file ".*" can be read by others \(mode 0644\)$/],
    ["a file that is not there", { file: "/nowhere/token" }, /: cannot read the token of notifier "ntfy" file "\/nowhere\/token": ENOENT$/],
    ["a variable that is not set", { env: "NOT_SET" }, /: the environment variable "NOT_SET" for the token of notifier "ntfy" is not set$/],
    ["a credential outside of systemd", { credential: "t" }, /: there is no credential "t" for the token of notifier "ntfy": systemd has handed none over$/],
    ["a line no header can carry", { file: "ODD" }, /: its token is not printable ASCII$/],
  ] as const)("%s", async ([, source, warning]) => {
    const { url, received } = await listener();
    const open = secretFile(`${token}\n`, 0o644);
    const odd = secretFile(`${token}\u0007\n`);
    const token_ = "file" in source ? { file: source.file === "OPEN" ? open : source.file === "ODD" ? odd : source.file } : source;
    const teller = tellerOf([{ type: "ntfy", server: url, topic: "nights", token: token_ }]);
    await teller.tell(happening());
    await teller.end();
    expect(received).toEqual([]);
    expect(teller.warnings).toEqual([expect.stringMatching(warning)]);
    expect(teller.warnings.join()).not.toContain(token);
  });

  it("a URL that fetch would quote, password and all", async () => {
    const teller = tellerOf([{ type: "webhook", url: { env: "HOOK" } }], { environment: { HOOK: `https://me:${token}@127.0.0.1/` } });
    await teller.tell(happening());
    await teller.end();
    expect(teller.warnings).toEqual(['notifier "webhook" was not told of "failure" of job "home": its URL must be an http:// or https:// URL without user and password']);
  });

  it("neither URL nor reply is shown or remembered when a request fails", async () => {
    const stateDir = ownFolder();
    const { url } = await listener((_request, response) => {
      response.writeHead(403).end(`who is ${token}?`);
    });
    const teller = tellerOf([{ type: "webhook", url: `${url}/${token}` }, { type: "healthchecks", url: `${await nobody()}/${token}` }], { stateDir });
    await teller.tell(happening());
    await teller.end();
    expect(teller.warnings.sort()).toEqual([
      'notifier "healthchecks" was not told of "failure" of job "home": it cannot be reached: ECONNREFUSED',
      'notifier "webhook" was not told of "failure" of job "home": it answered 403',
    ]);
    const notes = readdirSync(join(stateDir, "notify")).map((name) => readFileSync(join(stateDir, "notify", name), "utf8"));
    expect(notes).toHaveLength(1);
    expect(notes.join()).not.toContain(token);
  });

  it("a redirection is not followed", async () => {
    const other = await listener();
    const { url } = await listener((_request, response) => {
      response.writeHead(302, { location: other.url }).end();
    });
    const teller = tellerOf([{ type: "webhook", url }]);
    await teller.tell(happening());
    await teller.end();
    expect(other.received).toEqual([]);
    expect(teller.warnings).toEqual(['notifier "webhook" was not told of "failure" of job "home": it answered 302']);
  });
});
