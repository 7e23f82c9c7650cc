import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Config, emptyConfig, parseConfig } from "../../src/config/config.ts";
import { defaultSettings } from "../../src/config/schema.ts";
import { parseDuration } from "../../src/config/values.ts";
import { ZferryError } from "../../src/errors.ts";
import { knownNames } from "../../src/config/json-schema.ts";
import { starterConfig } from "../../src/config/starter.ts";
import { maxTtlMs, minTtlMs, ttlFor } from "../../src/store/lease-object.ts";

const folder = new URL("../../fixtures/config/", import.meta.url);

function valid(name: string): Config {
  return parseConfig(readFileSync(new URL(`valid/${name}.yaml`, folder), "utf8"), name);
}

const plain = { store: "/b", datasets: ["tank/home"], isRecursive: false, passphraseFile: "/p", keep: null };

describe("a configuration", () => {
  it("sets everything it can", () => {
    const config = valid("everything");
    expect(config.stateDir).toBe("/srv/zferry");
    expect(Object.fromEntries(config.stores)).toEqual({
      r2: {
        url: "s3://backups/nas?endpoint=https://abc.r2.cloudflarestorage.com",
        partBytes: 64 * 2 ** 20,
        concurrency: 12,
        retryMs: 6 * 3_600_000,
        leaseMs: 600_000,
        credentials: { kind: "credential", name: "r2-keys" },
      },
      usb: { url: "/mnt/usb", partBytes: 16 * 2 ** 20, concurrency: 4, retryMs: 3_600_000, leaseMs: null, credentials: null },
      attic: { url: "/mnt/attic", partBytes: 16 * 2 ** 20, concurrency: 4, retryMs: 3_600_000, leaseMs: null, credentials: null },
    });
    expect(config.encryption).toEqual({
      packet: "cfb",
      passphraseFile: "/etc/zferry/passphrase",
      passphraseEnv: "ZFERRY_PASSPHRASE",
      passphraseCommand: "pass show zferry",
      passphraseCredential: "zferry",
      recipients: ["/etc/zferry/a.asc", "/etc/zferry/b.asc"],
      privateKeys: ["/root/a.asc"],
    });
    const hooks = [
      { name: "database", before: ["systemctl", "stop", "db"], after: ["systemctl", "start", "db"], timeoutMs: 90_000 },
      { name: "sync", before: ["sync"], after: null, timeoutMs: 60_000 },
    ];
    const none = { last: 0, withinMs: null, daily: 0, weekly: 0, monthly: 0, yearly: 0, fulls: 0 };
    const defaults = {
      store: "r2",
      chunkBytes: 512 * 2 ** 20,
      fullEveryMs: 14 * 86_400_000,
      fullWhenIncrementalExceeds: 0.5,
      snapshotPrefix: "nightly-",
      zfs: ["ssh", "backup@nas", "zfs"],
      hooks,
      maxDowntimeMs: 120_000,
      keep: { local: { ...none, last: 3 }, store: { last: 2, withinMs: 7 * 86_400_000, daily: 14, weekly: 8, monthly: 12, yearly: 5, fulls: 2 } },
      copies: [{ store: "attic", keep: { ...none, monthly: 12 } }],
      prune: "after_backup",
      everyMs: 12 * 3_600_000,
      overdueAfterMs: 30 * 3_600_000,
      drill: { into: "tank/drills", sampleCount: 5, isTimed: true },
      whenRunning: "skip",
      isEnabled: false,
      disabledWarningMs: 2 * 86_400_000,
    };
    expect(config.metrics).toEqual({ textfile: "/var/lib/node_exporter/zferry.prom" });
    expect(config.defaults).toEqual({ ...defaults, threads: 1 });
    const whole = { exclude: [], isRecursive: false, group: null, files: null };
    expect(Object.fromEntries(config.jobs)).toEqual({
      home: { ...defaults, ...whole, name: "home", datasets: ["tank/home"] },
      services: {
        ...defaults,
        name: "services",
        datasets: ["tank/services/**", "tank/db?"],
        files: null,
        exclude: ["tank/services/*/cache"],
        isRecursive: true,
        group: "evening",
        keep: { local: null, store: { ...none, daily: 3 } },
      },
      photos: {
        ...whole,
        name: "photos",
        datasets: ["tank/my photos"],
        store: "usb",
        chunkBytes: 67108864,
        fullEveryMs: null,
        fullWhenIncrementalExceeds: null,
        snapshotPrefix: "",
        zfs: ["/sbin/zfs"],
        hooks: [],
        maxDowntimeMs: 1000,
        keep: defaults.keep,
        copies: [{ store: "r2", keep: null }, { store: "attic", keep: null }],
        prune: "never",
        everyMs: 7 * 86_400_000,
        overdueAfterMs: 8 * 86_400_000,
        drill: { into: "scratch", sampleCount: 20, isTimed: true },
        whenRunning: "queue",
        isEnabled: true,
        disabledWarningMs: 86_400_000,
      },
    });
  });

  it.for(["empty", "comments-only"])("that is %s sets the defaults and nothing else", (name) => {
    const config = valid(name);
    expect(config).toEqual(emptyConfig);
    expect(config).toEqual({
      stateDir: null,
      stores: new Map(),
      encryption: {
        packet: "ocb",
        passphraseFile: null,
        passphraseEnv: null,
        passphraseCommand: null,
        passphraseCredential: null,
        recipients: [],
        privateKeys: [],
      },
      notify: [],
      metrics: { textfile: null },
      defaults: {
        store: null,
        chunkBytes: 2 ** 30,
        fullEveryMs: 30 * 86_400_000,
        fullWhenIncrementalExceeds: null,
        snapshotPrefix: "zferry-",
        zfs: ["zfs"],
        hooks: [],
        maxDowntimeMs: null,
        keep: { local: null, store: null },
        copies: [],
        prune: "never",
        everyMs: 86_400_000,
        overdueAfterMs: 129_600_000,
        drill: { into: null, sampleCount: 20, isTimed: false },
        whenRunning: "queue",
        isEnabled: true,
        disabledWarningMs: 7 * 86_400_000,
        threads: null,
      },
      jobs: new Map(),
    });
  });

  it("with one store needs no one to name it", () => {
    const config = valid("minimal");
    expect(config.jobs.get("home")).toMatchObject({ store: "main", chunkBytes: defaultSettings.chunkBytes });
    expect(config.stores.get("main")).toEqual({ url: "file:///backups", partBytes: 2 ** 24, concurrency: 4, retryMs: 3_600_000, leaseMs: null, credentials: null });
  });

  it.for([
    ["10s", minTtlMs],
    ["1d", maxTtlMs],
  ] as const)("may let leases live for %s", ([text, ms]) => {
    const config = parseConfig(`stores: { a: { url: /a, lease_ttl: ${text} } }`, "x.yaml");
    expect(config.stores.get("a")?.leaseMs).toBe(ms);
  });

  it("may use YAML's anchors, and numbers as names", () => {
    const config = valid("anchors");
    expect(config.stores.get("second")).toEqual(config.stores.get("first"));
    expect([...config.jobs.keys()]).toEqual(["2024"]);
  });

  it.for([1, 2, 5])("lets a job that says nothing of its store take a default of %i stores", (count) => {
    const stores = Array.from({ length: count }, (_, index) => `  s${index}: { url: /s${index} }\n`).join("");
    const config = parseConfig(`stores:\n${stores}defaults: { store: s0 }\njobs: { a: { dataset: t } }\n`, "x.yaml");
    expect(config.jobs.get("a")?.store).toBe("s0");
  });

  it("as `init` writes it is valid and means what was asked for, whatever the names hold", () => {
    for (const dataset of ["tank/home", "tank", "tank/my data: 100%"]) {
      const values = { ...plain, store: 's3://b/p?endpoint=https://h:1#"x"', datasets: [dataset], passphraseFile: "/etc/it's: # mine" };
      const config = parseConfig(starterConfig(values), "zferry.yaml");
      const [job] = config.jobs.values();
      expect(job).toMatchObject({ datasets: [dataset], store: "main", chunkBytes: 2 ** 30, zfs: ["zfs"] });
      expect(config.stores.get("main")?.url).toBe(values.store);
      expect(config.encryption.passphraseFile).toBe(values.passphraseFile);
    }
  });

  it("as `init` writes it shows the defaults, and stays valid when they are uncommented", () => {
    const starter = starterConfig(plain);
    const config = parseConfig(starter.replaceAll(/^( *)# (\w+: )/gm, "$1$2"), "zferry.yaml");
    const leaseMs = ttlFor(defaultSettings.retryMs); // what it shows is what follows from the other defaults
    expect(config.stores.get("main")).toEqual({ url: "/b", partBytes: 2 ** 24, concurrency: 4, retryMs: 3_600_000, leaseMs, credentials: null });
    expect(config.encryption).toMatchObject({ packet: "ocb", passphraseFile: "/p", recipients: [] });
    expect(config.defaults).toEqual({ ...emptyConfig.defaults, store: "main", drill: { ...emptyConfig.defaults.drill, isTimed: true } });
  });
});

describe("the configuration that `init` writes", () => {
  it("shows every setting there is", () => {
    const starter = starterConfig(plain);
    const sections = [[], ["stores", "x"], ["encryption"], ["metrics"], ["defaults"], ["jobs", "x"]];
    const names = sections.flatMap((path) => knownNames(path, {}));
    expect(names.length).toBeGreaterThan(35);
    expect(names.filter((name) => !new RegExp(`\\b${name}: `).test(starter) && !new RegExp(`^${name}:$`, "m").test(starter))).toEqual([]);
  });

  it("stays valid with its examples in the place of defaults", () => {
    const text = starterConfig({ ...plain, store: "s3://bucket" }).replaceAll(/^( *)# {3}(\w+: )/gm, "$1$2");
    const config = parseConfig(text, "zferry.yaml");
    expect(config.defaults.maxDowntimeMs).toBe(120_000);
  });

  it.for([
    [["tank/a", "tank/b/*"], "tank-a", "datasets: [\"tank/a\",\"tank/b/*\"]"],
    [["tank/srv/**"], "tank-srv", "datasets: [\"tank/srv/**\"]"],
    [["**"], "all", "datasets: [\"**\"]"],
    [["tank/home"], "tank-home", "dataset: \"tank/home\""],
  ] as const)("has the datasets %j in a job %s", ([datasets, name, line]) => {
    const text = starterConfig({ ...plain, datasets, isRecursive: true, keep: { daily: 7, weekly: 0, monthly: 3 } });
    const [job] = parseConfig(text, "zferry.yaml").jobs.values();
    expect(text).toContain(line);
    expect(job).toMatchObject({ name, datasets, isRecursive: true, keep: { local: null, store: { last: 3, daily: 7, weekly: 0, monthly: 3 } } });
  });
});

describe("a configuration that must be refused", () => {
  const names = readdirSync(new URL("invalid/", folder)).sort();

  it.for(names)("in %s is, with the place and the words of its first line", (name) => {
    const text = readFileSync(new URL(`invalid/${name}`, folder), "utf8");
    const [expected = ""] = text.slice(2).split("\n", 1);
    let found: unknown = null;
    try {
      parseConfig(text, "zferry.yaml");
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(ZferryError);
    expect(found).toMatchObject({ code: "config-invalid", message: `zferry.yaml:${expected}` });
    expect(found).toMatchObject({ hint: "see docs/configuration.md for every setting and its range" });
  });

  it("is one of at least forty", () => {
    expect(names.length).toBeGreaterThanOrEqual(40);
  });

  it("may be a bomb of aliases, which is not expanded", () => {
    const levels = Array.from({ length: 12 }, (_, level) => `a${level}: &a${level} [${`*a${level - 1}, `.repeat(level === 0 ? 0 : 10)}x]\n`);
    expect(() => parseConfig(levels.join(""), "zferry.yaml")).toThrow(
      expect.objectContaining({ code: "config-invalid", message: expect.stringMatching(/^zferry\.yaml:\d+:\d+: /) as string }),
    );
  });
});

describe("a duration", () => {
  it.for([
    ["45s", 45_000],
    ["90m", 5_400_000],
    ["12h", 43_200_000],
    ["30d", 2_592_000_000],
    ["2w", 1_209_600_000],
    ["0s", 0],
    ["999999w", 999_999 * 604_800_000],
  ] as const)("of %s is %i ms", ([text, ms]) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.for(["", "30", "d", "30 d", "30D", "1.5h", "-1d", "1h30m", "1000000s", "30d\n", "30days", "toString"])('is not "%s"', (text) => {
    expect(parseDuration(text)).toBeNull();
  });
});
