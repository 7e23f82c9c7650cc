/**
 * What a person may set, in one schema: parsed once, wrong values refused with line and column.
 *
 * The file is YAML with snake_case names; the program sees the camelCase types below, sizes in bytes and times in
 * milliseconds. Flags of the command line replace single values afterwards (`cli/settings.ts`). No secret stands in
 * the file: it says where the secrets are.
 */
import type { packetNames } from "../format/layout.ts";
import { type JobSettings, jobSettings, type SharedSettings, sharedSettings } from "./jobs.ts";
import { type MetricsSettings, type NotifySettings, notifySettingsOf } from "./notify.ts";
import { misfitsOf, storeOf } from "./checks.ts";
import { refusal, refusalAt, refusalOf } from "./refusal.ts";
import { type ConfigInput, configSchema } from "./schema.ts";
import type { SecretSource } from "./secret-source.ts";
import { readSource } from "./source.ts";

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
  /** Where its keys are; null for the environment or a profile (`store/credentials.ts`). */
  readonly credentials: SecretSource | null;
}

/** How messages are locked and opened; files and commands, never the secrets themselves. */
export interface EncryptionSettings {
  readonly packet: (typeof packetNames)[number];
  readonly passphraseFile: string | null;
  readonly passphraseEnv: string | null;
  readonly passphraseCommand: string | null;
  /** Name of a file in `$CREDENTIALS_DIRECTORY`. */
  readonly passphraseCredential: string | null;
  readonly recipients: readonly string[];
  readonly privateKeys: readonly string[];
}

export interface Config {
  readonly stateDir: string | null;
  readonly stores: ReadonlyMap<string, StoreSettings>;
  readonly encryption: EncryptionSettings;
  readonly notify: readonly NotifySettings[];
  readonly metrics: MetricsSettings;
  readonly defaults: SharedSettings & {
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
  const { success, data, error } = configSchema.safeParse(source.value ?? {});
  if (!success) throw refusalOf(file, source, error.issues);
  const [misfit] = misfitsOf(data);
  if (misfit !== undefined) throw refusalAt(file, source, misfit);
  return toConfig(data);
}

function toConfig(file: ConfigInput): Config {
  const stores = storesOf(file);
  const { store, threads, ...common } = file.defaults;
  const storeFor = (own: string | undefined): string => storeOf(own, store, [...stores.keys()]) ?? "";
  const jobs = Object.entries(file.jobs).map(([name, job]) => [name, jobSettings(name, job, { common, store: storeFor(job.store) })] as const);
  return {
    stateDir: file.state_dir ?? null,
    stores,
    encryption: encryptionOf(file),
    notify: notifySettingsOf(file.notify),
    metrics: { textfile: file.metrics.textfile ?? null },
    defaults: { ...sharedSettings({}, common), store: store ?? null, threads },
    jobs: new Map(jobs),
  };
}

function storesOf({ stores }: ConfigInput): Map<string, StoreSettings> {
  const settings = new Map<string, StoreSettings>();
  for (const [name, { url, part_size, concurrency, retry_for, lease_ttl, credentials }] of Object.entries(stores)) {
    const sizes = { partBytes: part_size, concurrency };
    settings.set(name, { url, ...sizes, retryMs: retry_for, leaseMs: lease_ttl ?? null, credentials: credentials ?? null });
  }
  return settings;
}

function encryptionOf({ encryption }: ConfigInput): EncryptionSettings {
  return {
    packet: encryption.packet,
    passphraseFile: encryption.passphrase_file ?? null,
    passphraseEnv: encryption.passphrase_env ?? null,
    passphraseCommand: encryption.passphrase_command ?? null,
    passphraseCredential: encryption.passphrase_credential ?? null,
    recipients: encryption.recipients,
    privateKeys: encryption.private_keys,
  };
}
