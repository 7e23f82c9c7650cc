/**
 * Every fenced block of README and of the pages in `docs/` is run, or read by what reads such a thing; `blocks.ts` says on which
 * machine. A block without a language, and one of a language that is not here, fails.
 *
 *   sh     run, line by line, from the top of the page to its end on one machine
 *   yaml   read as a configuration; one that begins with `# /etc/zferry/NAME.yaml` is there for what follows
 *   json   parsed      ini, cron   lines of what systemd and cron take, whose commands zferry knows      text   only shown
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished, type TestContext } from "vitest";
import { commandTable } from "../../src/cli/commands.ts";
import { parseConfig } from "../../src/config/config.ts";
import { guids } from "../cli/pool.ts";
import { documentOf, fixtures } from "../cli/zferry.ts";
import { need } from "../systems.ts";
import { type Block, blocksOf, Machine, stepsOf } from "./blocks.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const pages = ["README.md", "docs", "docs/guides"].flatMap(pagesIn).sort();

/** Where there is one. */
function pagesIn(place: string): string[] {
  if (place.endsWith(".md")) return readdirSync(root).includes(place) ? [place] : [];
  return readdirSync(join(root, place)).filter((name) => name.endsWith(".md")).map((name) => `${place}/${name}`);
}

/** What cannot be run here, by page and the beginning of its first line, and why. Keep it short. */
const notRun: readonly (readonly [page: string, begin: string, why: string])[] = [
  ["README.md", "npm run demo", "this is npm test, which runs the demo too (test/cli/demo.test.ts)"],
  ["README.md", "npm install", "what npm test has done before this; and it would change the machine's npm"],
];

/** Blocks that a test of their own runs to the letter, where there is what they want. */
const runElsewhere: readonly (readonly [page: string, begin: string, test: string])[] = [
  ["docs/files-mode.md", "zferry files list", "test/plain/engine-s3.test.ts"],
  ["docs/pull.md", "useradd", "test/system/pull.test.ts"],
  ["docs/pull.md", "zfs allow", "test/system/pull.test.ts"],
  ["docs/install.md", "npm pack", "test/package/package.test.ts"],
];

/** Pages that a test of their own follows to the letter. */
const followedElsewhere: Readonly<Record<string, string>> = {
  "docs/recovery.md": "test/docs/recovery.test.ts",
  "docs/guides/rescue.md": "test/system/rescue.test.ts",
};

/** What a page takes for granted. */
const before: Readonly<Record<string, (machine: Machine, context: TestContext) => Promise<void> | void>> = {
  "README.md": async (machine, context) => {
    need(context, "gpg");
    rmSync(machine.config);
    rmSync(machine.path("/etc/zferry/passphrase"));
    machine.pool.change((state) => {
      state.streams = ["one.zfs", "later.zfs"]; // two fulls
      state.datasets["pool/data"] = { snapshots: { monday: { guid: String(guids.one), holds: [], ours: false } }, bookmarks: {} };
    });
    await machine.put("/mnt/download", "tank/home@zferry-20261121T020000Z", "full");
    machine.folder = machine.chunksOf("/mnt/download", "tank/home@zferry-20261121T020000Z");
  },
  "docs/format.md": async (machine, context) => {
    need(context, "gpg");
    await machine.put("/mnt/download", "tank/home@zferry-20261121T020000Z", "full");
    machine.folder = machine.chunksOf("/mnt/download", "tank/home@zferry-20261121T020000Z");
  },
  "docs/copies.md": async (machine) => {
    machine.write("/etc/zferry/zferry.yaml", "stores: {main: {url: /mnt/backup/zferry}, offsite: {url: s3://backups/nas}}\nencryption: {passphrase_file: /etc/zferry/passphrase}\njobs: {home: {dataset: tank/home, store: main, copies: [{store: offsite}]}}\n");
    for (const store of ["/mnt/backup/zferry", "s3://backups/nas"]) await machine.put(store, "tank/home@s1", "full");
  },
  "docs/pull.md": async (machine) => {
    for (const host of ["web1", "db1"]) await machine.put(`s3://backups/${host}`, "tank/data@s1", "full");
  },
  "docs/retention.md": async (machine) => {
    await machine.put("/mnt/backup/zferry", "tank/home@s1", "full");
    await machine.put("s3://my-bucket/a", "tank/a@s1", "full");
    machine.write("/etc/zferry/zferry.yaml", "stores: {main: {url: /mnt/backup/zferry}}\nencryption: {passphrase_file: /etc/zferry/passphrase}\njobs: {home: {dataset: tank/home, store: main, keep: {store: {last: 3}, local: {within: 3d}}}}\n");
  },
  "docs/guides/tuning.md": (machine) => {
    machine.pool.change(({ datasets }) => {
      datasets["tank/home"] = { snapshots: { monday: { guid: String(guids.one), holds: [], ours: false } }, bookmarks: {} };
    });
  },
  "docs/timers.md": (machine, context) => {
    need(context, "systemdAnalyze");
    machine.pretend("systemctl", `[ "$1" = enable ] || exit 0 # the rest asks an init
shift 2
exec /usr/bin/systemctl --root='${machine.path("/")}' enable "$@"`);
    // The key of a host lies where a disk is, for which it looks.
    const host = mkdtempSync("/var/tmp/zf-host-");
    onTestFinished(() => { rmSync(host, { recursive: true }); });
    machine.pretend("systemd-creds", `exec unshare -m sh -c 'mount --bind "$0" /var/lib/systemd && exec /usr/bin/systemd-creds "$@"' '${host}' "$@"`);
    mkdirSync(machine.path("/etc/systemd/system"), { recursive: true });
  },
  "docs/guides/r2.md": (machine) => {
    rmSync(machine.path("/etc/zferry/passphrase"));
  },
  "docs/json-output.md": (_, context) => void need(context, "jq"),
  "docs/terminal.md": (machine) => {
    for (const folder of ["/etc/bash_completion.d", "/usr/local/share/zsh/site-functions"]) mkdirSync(machine.path(folder), { recursive: true });
    mkdirSync(join(machine.scene.folder, ".config/fish/completions"), { recursive: true });
  },
  "docs/guides/keys.md": async (machine, context) => {
    need(context, "gpg");
    const key = (name: string): Buffer => readFileSync(join(fixtures, "keys", name));
    machine.write("/etc/zferry/backup.public.asc", key("bob.public.asc"));
    machine.write("/root/backup.private.asc", key("bob.private.asc"));
    // The second key is the one that gpg finds in its configuration.
    machine.write("/root/safe-passphrase", readFileSync(machine.scene.passphraseFile));
    machine.write("/etc/zferry/passphrase", "the first passphrase\n");
    machine.write("/etc/zferry/zferry.yaml", "stores: {r2: {url: s3://backups/nas}}\ndefaults: {store: r2}\nencryption: {passphrase_file: /etc/zferry/passphrase}\njobs: {home: {dataset: tank/home}}\n");
    await machine.put("s3://backups/nas", "tank/home@zferry-20261121T020000Z", "full", "--passphrase-file", machine.path("/etc/zferry/passphrase"));
    machine.folder = machine.chunksOf("s3://backups/nas", "tank/home@zferry-20261121T020000Z");
    machine.pool.change((state) => {
      state.streams = ["one.zfs", "later.zfs"]; // two fulls
    });
  },
  "docs/guides/from-zfs2cloud.md": async (machine) => {
    // ZFS2Cloud's layout over what gpg -c would have made: our own message of the same kind.
    await machine.put("/var/lib/z", "tank/home@20240101000000", "full", "--packet", "cfb");
    const chunks = machine.chunksOf("/var/lib/z", "tank/home@20240101000000");
    mkdirSync(machine.path("/var/lib/zfs2cloud"));
    for (const name of readdirSync(chunks).filter((one) => one.includes(".zfs.gpg."))) {
      machine.write(`/var/lib/zfs2cloud/20240101000000-full/tank-home@20240101000000.zfs.gpg.${name.slice(-4)}`, readFileSync(join(chunks, name)));
    }
    machine.write("/etc/zferry/zferry.yaml", "stores: {r2: {url: s3://my-bucket/my-host}}\ndefaults: {store: r2}\nencryption: {passphrase_file: /etc/zferry/passphrase}\njobs: {home: {dataset: tank/home}}\n");
    mkdirSync(machine.path("/stores/my-bucket/my-host"), { recursive: true });
  },
};

/** What a page promises besides that its commands go well. */
const after: Readonly<Record<string, (machine: Machine) => Promise<void>>> = {
  "docs/guides/keys.md": async (machine) => {
    const { backups } = documentOf(await machine.scene.run(["key", "list", "--json", "--config", machine.path("/etc/zferry/web.yaml")])) as { backups: { keys: unknown[] }[] };
    expect(backups.map(({ keys }) => keys)).toEqual([[{ name: null, passphraseCount: 0, keyIds: [expect.any(String)] }]]);
  },
};

/** What a fragment of a configuration leaves to the rest of it. */
const rest: Readonly<Record<string, string>> = {
  stores: "stores: {main: {url: /mnt/main}, db1: {url: /mnt/db1}}",
  defaults: "defaults: {store: main}",
  jobs: "jobs: {home: {dataset: tank/home, store: main}, mail: {dataset: tank/mail, store: main}}",
};

function readConfig({ page, line, text }: Block): void {
  const has = (name: string): boolean => new RegExp(`^${name}:`, "m").test(text);
  const missing = has("stores") ? [] : Object.entries(rest).filter(([name]) => !has(name));
  parseConfig(`${text}\n${missing.map(([, more]) => more).join("\n")}\n`, `${page}:${line}`);
}

/** Every `zferry COMMAND` in lines that somebody else runs. */
function knowCommands({ text }: Block): void {
  const names = commandTable.map(({ usage }) => usage.split(" ", 1)[0]);
  const used = [...text.matchAll(/\bzferry((?: +-{1,2}[a-z-]+(?: +[^\s-]\S*)?)*) +([a-z]+)\b/g)].map(([, , command = ""]) => command);
  expect(used.length).toBeGreaterThan(0);
  expect(names).toEqual(expect.arrayContaining(used));
}

async function follow(block: Block, machine: Machine): Promise<void> {
  switch (block.language) {
    case "sh":
      return machine.run(block.text);
    case "yaml":
      readConfig(block);
      for (const [, place = ""] of block.text.matchAll(/^# (\/etc\/zferry\/\w+\.yaml)/g)) machine.write(place, block.text);
      return;
    case "json":
      JSON.parse(block.text);
      return;
    case "ini":
    case "cron":
      knowCommands(block);
      return;
    case "text":
    case "mermaid":
      return;
    default:
      throw new Error(`a block of language "${block.language}": say what it is, as this test's first lines have it`);
  }
}

function isRunHere({ page, text }: Block): boolean {
  return ![...notRun, ...runElsewhere].some(([of, begin]) => of === page && text.startsWith(begin));
}

describe("every block", () => {
  const withBlocks = pages.filter((page) => followedElsewhere[page] === undefined && blocksOf(page).length > 0);

  it.for(withBlocks)("of %s does what it says", { timeout: 180_000 }, async (page, context) => {
    const machine = new Machine(["tank", "tank/home", "tank/data", "tank/a"]);
    await before[page]?.(machine, context);
    for (const block of blocksOf(page)) {
      if (!isRunHere(block)) continue;
      await follow(block, machine).catch((error: unknown) => {
        throw new Error(`${page}:${block.line}: ${(error as Error).message}`, { cause: error });
      });
    }
    await after[page]?.(machine);
  });

  it.for(Object.entries(followedElsewhere))("of %s is followed in %s, which is there", ([page, test]) => {
    expect(readFileSync(join(root, test), "utf8")).toContain(page);
  });

  it.for(runElsewhere)("of %s that begins with %j is run in %s, which is there", ([page, begin, test]) => {
    const text = readFileSync(join(root, test), "utf8");
    expect([text.includes(page), text.includes(`"${begin}`)]).toEqual([true, true]);
  });

  it("that is not run here is still there", () => {
    const all = pages.flatMap(blocksOf);
    for (const [page, begin] of [...notRun, ...runElsewhere]) expect(all.filter((block) => block.page === page && block.text.startsWith(begin)).length, `${page}: ${begin}`).toBeGreaterThan(0);
  });
});

it.for(pages.flatMap(blocksOf).flatMap(({ page, text }) => text.split("\n").filter((line) => line.includes("/dev/urandom")).map((line) => [page, line] as const)))("of %s a new passphrase is not written over one that is there: %s", async ([, line]) => {
  const machine = new Machine(["tank"]);
  const there = readFileSync(machine.path("/etc/zferry/passphrase"), "utf8");
  await expect(machine.run(line)).rejects.toThrow("cannot overwrite existing file");
  expect(readFileSync(machine.path("/etc/zferry/passphrase"), "utf8")).toBe(there);
});

describe("a script", () => {
  it.for([
    ["zferry list --json 'a b' \"c\"   # words", [{ kind: "zferry", words: ["list", "--json", "a b", "c"] }]],
    ["zferry list \\\n  --json", [{ kind: "zferry", words: ["list", "--json"] }]],
    ["zferry get a@b | wc", [{ kind: "bash", script: "zferry get a@b | wc" }]],
    ["zferry list $HOME", [{ kind: "bash", script: "zferry list $HOME" }]],
    ["cd /\n\nls\nzferry list", [{ kind: "bash", script: "cd /\nls" }, { kind: "zferry", words: ["list"] }]],
    ["zferry", [{ kind: "zferry", words: [] }]],
  ] as const)("%j is what it is to bash", ([script, steps]) => {
    expect(stepsOf(script)).toEqual(steps);
  });
});
