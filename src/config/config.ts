/**
 * What a person may set, in one schema: parsed once, wrong values refused with line and column.
 *
 * The file is YAML with snake_case names; the program sees the camelCase types below, sizes in bytes and times in
 * milliseconds. Flags of the command line replace single values afterwards (`cli/settings.ts`). No secret stands in
 * the file: it says where the secrets are.
 */
import { z } from "zod";
import { GiB, MiB } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { packetNames } from "../format/layout.ts";
import type { DatasetName } from "../zfs/names.ts";
import { type ConfigSource, readSource } from "./source.ts";
import { argv, concurrency, dataset, dayMs, duration, fullEvery, size, snapshotPrefix, threads } from "./values.ts";

/** Everything is optional in the file; these are the values when nothing is said. */
export const defaultSettings = {
  chunkBytes: GiB,
  partBytes: 16 * MiB,
  concurrency: 4,
  retryMs: 60 * 60 * 1000,
  packet: "ocb",
  fullEveryMs: 30 * dayMs as number | null,
  snapshotPrefix: "zferry-",
  zfs: ["zfs"] as [string, ...string[]],
} as const;

/** No shorter than a live holder can keep, no longer than a night (`store/lease-object.ts`). */
const [minLeaseMs, maxLeaseMs] = [10_000, dayMs];

const leaseTtl = duration.refine((ms) => ms >= minLeaseMs && ms <= maxLeaseMs, "must be from 10s to 1d");

const storeSchema = z.strictObject({
  url: z.string().min(1),
  part_size: size.default(defaultSettings.partBytes),
  concurrency: concurrency.default(defaultSettings.concurrency),
  retry_for: duration.default(defaultSettings.retryMs),
  lease_ttl: leaseTtl.optional(),
});

const encryptionSchema = z.strictObject({
  packet: z.enum(packetNames).default(defaultSettings.packet),
  passphrase_file: z.string().optional(),
  passphrase_env: z.string().optional(),
  passphrase_command: z.string().optional(),
  recipients: z.array(z.string()).default([]),
  private_keys: z.array(z.string()).default([]),
});

const jobDefaultsSchema = z.strictObject({
  store: z.string().optional(),
  chunk_size: size.optional(),
  full_every: fullEvery.optional(),
  snapshot_prefix: snapshotPrefix.optional(),
  zfs: argv.optional(),
});

/** What holds for all jobs, and for commands that have none. */
const defaultsSchema = jobDefaultsSchema.extend({ threads });

const configSchema = z
  .strictObject({
    state_dir: z.string().optional(),
    stores: z.record(z.string(), storeSchema).default({}),
    encryption: encryptionSchema.prefault({}),
    defaults: defaultsSchema.prefault({}),
    jobs: z.record(z.string(), jobDefaultsSchema.extend({ dataset })).default({}),
  })
  .superRefine(({ stores, defaults, jobs }, context) => {
    const homeless = Object.keys(jobs).find((name) => storeOf(jobs[name]?.store, defaults.store, Object.keys(stores)) === null);
    if (homeless === undefined) return;
    context.addIssue({ code: "custom", path: ["jobs", homeless], message: "names no store, and there is no default one" });
  });

/** The store a job uses: its own, the default one, or the only one there is. */
function storeOf(own: string | undefined, common: string | undefined, known: readonly string[]): string | null {
  return own ?? common ?? (known.length === 1 ? (known[0] ?? null) : null);
}

/** Where backups live and how they get there. */
export interface StoreSettings {
  readonly url: string;
  readonly partBytes: number;
  /** Parts uploaded, or ranges downloaded, at a time. */
  readonly concurrency: number;
  /** How long one request is retried before the run fails. */
  readonly retryMs: number;
  /** How long a lease in the store may go without a renewal; null for what outlives `retryMs` (`ttlFor`). */
  readonly leaseMs: number | null;
}

/** How messages are locked and opened; files and commands, never the secrets themselves. */
export interface EncryptionSettings {
  readonly packet: (typeof packetNames)[number];
  readonly passphraseFile: string | null;
  readonly passphraseEnv: string | null;
  readonly passphraseCommand: string | null;
  readonly recipients: readonly string[];
  readonly privateKeys: readonly string[];
}

/** One dataset, where it goes and how often it starts anew. */
export interface JobSettings {
  readonly name: string;
  readonly dataset: DatasetName;
  /** A name under `stores`, or a URL. */
  readonly store: string;
  readonly chunkBytes: number;
  /** Age of the anchor at which a new full is made; null for never. */
  readonly fullEveryMs: number | null;
  readonly snapshotPrefix: string;
  readonly zfs: readonly [string, ...string[]];
}

export interface Config {
  readonly stateDir: string | null;
  readonly stores: ReadonlyMap<string, StoreSettings>;
  readonly encryption: EncryptionSettings;
  readonly defaults: Omit<JobSettings, "name" | "dataset" | "store"> & {
    readonly store: string | null;
    /** Worker threads, 0 to 2; null for as many as the machine has use for. */
    readonly threads: number | null;
  };
  readonly jobs: ReadonlyMap<string, JobSettings>;
}

/** What holds when there is no file at all. */
export const emptyConfig: Config = toConfig(configSchema.parse({}));

/**
 * Parses a configuration file.
 *
 * @param file - its name, for messages
 * @throws ZferryError `config-invalid` naming file, line, column, member and what is allowed
 */
export function parseConfig(text: string, file: string): Config {
  const source = readSource(text);
  if ("why" in source) throw refusal(file, source.position, source.why);
  const result = configSchema.safeParse(source.value ?? {});
  if (result.success) return toConfig(result.data);
  const [issue] = result.error.issues;
  throw issue === undefined ? refusal(file, "1:1", "wrong") : refusal(file, positionOf(source, issue), describe(issue));
}

function refusal(file: string, position: string, why: string): ZferryError {
  return new ZferryError("config-invalid", `${file}:${position}: ${why}`, {
    hint: "see docs/configuration.md for every setting and its range",
  });
}

/** What is not known is shown where its name stands, everything else where its value does. */
function positionOf(source: ConfigSource, issue: z.core.$ZodIssue): string {
  if (issue.code !== "unrecognized_keys") return source.positionOf(issue.path);
  return source.positionOfName([...issue.path, ...issue.keys.slice(0, 1)]);
}

/** The path of the setting, and the schema's words in our style. */
function describe({ path, message }: z.core.$ZodIssue): string {
  const name = path.length === 0 ? "" : `${path.map(String).join(".")}: `;
  const why = message.endsWith("received undefined") ? "is missing" : message.replace(/^Invalid input: /, "");
  return `${name}${why.charAt(0).toLowerCase()}${why.slice(1)}`;
}

function toConfig(file: z.output<typeof configSchema>): Config {
  const stores = new Map<string, StoreSettings>();
  for (const [name, store] of Object.entries(file.stores)) {
    const { url, part_size, concurrency, retry_for, lease_ttl } = store;
    stores.set(name, { url, partBytes: part_size, concurrency, retryMs: retry_for, leaseMs: lease_ttl ?? null });
  }
  const { encryption: e, defaults: d } = file;
  const defaults = {
    store: d.store ?? null,
    chunkBytes: d.chunk_size ?? defaultSettings.chunkBytes,
    fullEveryMs: d.full_every === undefined ? defaultSettings.fullEveryMs : d.full_every,
    snapshotPrefix: d.snapshot_prefix ?? defaultSettings.snapshotPrefix,
    zfs: d.zfs ?? defaultSettings.zfs,
    threads: d.threads,
  };
  const jobs = new Map<string, JobSettings>();
  for (const [name, job] of Object.entries(file.jobs)) {
    jobs.set(name, {
      name,
      dataset: job.dataset,
      store: storeOf(job.store, d.store, [...stores.keys()]) ?? "",
      chunkBytes: job.chunk_size ?? defaults.chunkBytes,
      fullEveryMs: job.full_every === undefined ? defaults.fullEveryMs : job.full_every,
      snapshotPrefix: job.snapshot_prefix ?? defaults.snapshotPrefix,
      zfs: job.zfs ?? defaults.zfs,
    });
  }
  const encryption: EncryptionSettings = {
    packet: e.packet,
    passphraseFile: e.passphrase_file ?? null,
    passphraseEnv: e.passphrase_env ?? null,
    passphraseCommand: e.passphrase_command ?? null,
    recipients: e.recipients,
    privateKeys: e.private_keys,
  };
  return { stateDir: file.state_dir ?? null, stores, encryption, defaults, jobs };
}
