/**
 * Who is told of what: the `notify` and `metrics` sections of the configuration.
 *
 * Each notifier has a type with settings of its own, and says which kinds of happening it wants, of which jobs, how long a
 * try may take and how seldom it is told the same. Tokens and the like never stand in the file: it says where they are.
 */
import { z } from "zod";
import { argv, duration, parseDuration } from "./values.ts";

/** What can be told of; `src/notify/tell.ts` says what each means. */
export const happeningKinds = ["start", "success", "failure", "recovery", "overdue", "drill", "downtime", "disabled"] as const;
export type HappeningKind = (typeof happeningKinds)[number];

/** What somebody who wants to sleep wants to hear of. */
const defaultKinds: readonly HappeningKind[] = ["failure", "recovery", "overdue", "drill", "downtime", "disabled"];
/** What a ping can say. */
const pingKinds = ["start", "success", "failure"] as const;
const defaultTimeoutMs = 10_000;
const maxTimeoutMs = 60_000;
const defaultMinIntervalMs = 60 * 60 * 1000;

/** Where a secret is: the first line of a private file, a variable, or a credential that systemd hands over. */
export type SecretSource =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "env"; readonly variable: string }
  | { readonly kind: "credential"; readonly name: string };

/** What may stand in the file, or be a secret. Neither is ever shown. */
export type Confidential = SecretSource | { readonly kind: "plain"; readonly value: string };

interface NotifierBasics {
  /** Unique; what messages and the remembered state call it. */
  readonly name: string;
  readonly on: readonly HappeningKind[];
  /** Names of jobs; null for all, and for what belongs to no job. */
  readonly jobs: readonly string[] | null;
  /** Of one try. */
  readonly timeoutMs: number;
  /** How long it is not told of the same job and kind again; 0 for always. */
  readonly minIntervalMs: number;
}

export interface WebhookSettings extends NotifierBasics {
  readonly type: "webhook";
  readonly url: Confidential;
  readonly headers: ReadonlyMap<string, Confidential>;
  /** Key of the HMAC-SHA256 over the body; null for none. */
  readonly signWith: SecretSource | null;
}

export interface NtfySettings extends NotifierBasics {
  readonly type: "ntfy";
  readonly server: string;
  readonly topic: Confidential;
  readonly token: SecretSource | null;
}

export interface PushoverSettings extends NotifierBasics {
  readonly type: "pushover";
  readonly server: string;
  readonly token: SecretSource;
  readonly user: SecretSource;
}

export interface HealthchecksSettings extends NotifierBasics {
  readonly type: "healthchecks";
  /** `{job}` in it stands for the job's name. */
  readonly url: Confidential;
}

export interface MailSettings extends NotifierBasics {
  readonly type: "mail";
  readonly to: readonly string[];
  /** Null for what sendmail makes of the user. */
  readonly from: string | null;
  readonly sendmail: readonly [string, ...string[]];
}

export interface CommandSettings extends NotifierBasics {
  readonly type: "command";
  readonly command: readonly [string, ...string[]];
}

export type NotifySettings =
  | WebhookSettings
  | NtfySettings
  | PushoverSettings
  | HealthchecksSettings
  | MailSettings
  | CommandSettings;

export interface MetricsSettings {
  /** A file for Prometheus' textfile collector, which ends in `.prom`; null for none. */
  readonly textfile: string | null;
}

const secretWords = "a secret does not stand here: write {file: PATH}, {env: VARIABLE} or {credential: NAME}";

const secret = z
  .union(
    [
      z.strictObject({ file: z.string().min(1) }),
      z.strictObject({ env: z.string().min(1) }),
      z.strictObject({ credential: z.string().regex(/^[A-Za-z0-9_.-]{1,255}$/) }),
    ],
    secretWords,
  )
  .transform((source): SecretSource => {
    if ("file" in source) return { kind: "file", path: source.file };
    if ("env" in source) return { kind: "env", variable: source.env };
    return { kind: "credential", name: source.credential };
  });

const webUrl = z.string().refine(isWebUrl, "must be an http:// or https:// URL without user and password");

function isWebUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return (protocol === "https:" || protocol === "http:") && username === "" && password === "";
}

function confidential(plain: z.ZodType<string>): z.ZodType<Confidential> {
  return z.union([plain.transform((value): Confidential => ({ kind: "plain", value })), secret]);
}

const address = z
  .string()
  .regex(/^[A-Za-z0-9.!#$%&*+/=?^_{|}~-]+(@[A-Za-z0-9.-]+)?$/, "must be a bare address, as in admin@example.org or root")
  .max(254);

/** No longer than it may delay the end of a run by. */
const timeout = duration.refine((ms) => ms <= maxTimeoutMs, "must be 1m at most").default(defaultTimeoutMs);

const interval = z.string("must be a duration, as in 1h, or 0s").transform((text, context) => {
  const ms = parseDuration(text);
  if (ms !== null) return ms;
  context.addIssue(`"${text}" is not a duration; write it as 1h, 30m or 0s`);
  return z.NEVER;
});

const common = {
  name: z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/, "may hold letters, digits and _ . - only, after a letter, 64 at most").optional(),
  jobs: z.array(z.string()).min(1).optional(),
  timeout,
};

const kinds = z.array(z.enum(happeningKinds)).min(1).default([...defaultKinds]);
const minInterval = interval.default(defaultMinIntervalMs);
const headerName = z.string().regex(/^[A-Za-z0-9-]{1,64}$/, "is not the name of a header");
const headerValue = z.string().regex(/^[\x20-\x7e]*$/, "must be printable ASCII");

const notifierSchema = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("webhook"),
    ...common,
    on: kinds,
    min_interval: minInterval,
    url: confidential(webUrl),
    headers: z.record(headerName, confidential(headerValue)).default({}),
    sign_with: secret.optional(),
  }),
  z.strictObject({
    type: z.literal("ntfy"),
    ...common,
    on: kinds,
    min_interval: minInterval,
    server: webUrl.default("https://ntfy.sh"),
    topic: confidential(z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "is not a topic")),
    token: secret.optional(),
  }),
  z.strictObject({
    type: z.literal("pushover"),
    ...common,
    on: kinds,
    min_interval: minInterval,
    server: webUrl.default("https://api.pushover.net"),
    token: secret,
    user: secret,
  }),
  z.strictObject({
    type: z.literal("healthchecks"),
    ...common,
    on: z.array(z.enum(pingKinds)).min(1).default([...pingKinds]),
    // Whoever waits for a ping must get each of them.
    min_interval: interval.default(0),
    url: confidential(webUrl),
  }),
  z.strictObject({
    type: z.literal("mail"),
    ...common,
    on: kinds,
    min_interval: minInterval,
    to: z.union([address.transform((one) => [one]), z.array(address).min(1)]),
    from: address.optional(),
    sendmail: argv.default(["/usr/sbin/sendmail"]),
  }),
  z.strictObject({ type: z.literal("command"), ...common, on: kinds, min_interval: minInterval, command: argv }),
]);

/** The `notify` section: a list. */
export const notifySchema = z
  .array(notifierSchema)
  .default([])
  .superRefine((notifiers, context) => {
    const names = namesOf(notifiers);
    const twice = names.findIndex((name, at) => names.indexOf(name) !== at);
    if (twice >= 0) context.addIssue({ code: "custom", path: [twice, "name"], message: `"${names[twice] ?? ""}" is the name of another notifier` });
  });

/** The `metrics` section. */
export const metricsSchema = z.strictObject({
  textfile: z.string().regex(/\.prom$/, "must end in .prom, or the textfile collector does not read it").optional(),
});

type NotifierFile = z.output<typeof notifierSchema>;

/** The given names; where there is none the type, numbered from the second one on. */
function namesOf(notifiers: readonly Pick<NotifierFile, "type" | "name">[]): string[] {
  const count = new Map<string, number>();
  return notifiers.map(({ type, name }) => {
    if (name !== undefined) return name;
    const number = (count.get(type) ?? 0) + 1;
    count.set(type, number);
    return number === 1 ? type : `${type}-${number}`;
  });
}

/** The section as the program sees it. */
export function notifySettingsOf(section: z.output<typeof notifySchema>): readonly NotifySettings[] {
  const names = namesOf(section);
  return section.map((notifier, at) => settingsOf(notifier, names[at] ?? notifier.type));
}

function settingsOf(file: NotifierFile, name: string): NotifySettings {
  const { on, jobs = null, timeout: timeoutMs, min_interval: minIntervalMs } = file;
  const basics: NotifierBasics = { name, on, jobs, timeoutMs, minIntervalMs };
  switch (file.type) {
    case "webhook":
      return { type: "webhook", ...basics, url: file.url, headers: new Map(Object.entries(file.headers)), signWith: file.sign_with ?? null };
    case "ntfy":
      return { type: "ntfy", ...basics, server: file.server, topic: file.topic, token: file.token ?? null };
    case "pushover":
      return { type: "pushover", ...basics, server: file.server, token: file.token, user: file.user };
    case "healthchecks":
      return { type: "healthchecks", ...basics, url: file.url };
    case "mail":
      return { type: "mail", ...basics, to: file.to, from: file.from ?? null, sendmail: file.sendmail };
    case "command":
      return { type: "command", ...basics, command: file.command };
  }
}
