/**
 * Who is told of what: the `notify` and `metrics` sections of the configuration.
 *
 * Each notifier has a type with settings of its own, and says which kinds of happening it wants, of which jobs, how long a
 * try may take and how seldom it is told the same. Tokens and the like never stand in the file: it says where they are.
 */
import { z } from "zod";
import { credentialName, type SecretSource, variableName } from "./secret-source.ts";
import { argv, duration, parseDuration, setting } from "./values.ts";

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

/** Where a notifier's secret is: the first line of a private file, a variable, or a credential that systemd hands over. */
export type NotifierSecret = Exclude<SecretSource, { readonly kind: "command" }>;

/** What may stand in the file, or be a secret. Neither is ever shown. */
export type Confidential = NotifierSecret | { readonly kind: "plain"; readonly value: string };

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
  readonly signWith: NotifierSecret | null;
}

export interface NtfySettings extends NotifierBasics {
  readonly type: "ntfy";
  readonly server: string;
  readonly topic: Confidential;
  readonly token: NotifierSecret | null;
}

export interface PushoverSettings extends NotifierBasics {
  readonly type: "pushover";
  readonly server: string;
  readonly token: NotifierSecret;
  readonly user: NotifierSecret;
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
      z.strictObject({ file: setting(z.string().min(1), "file with the secret in its first line, mode 0600") }),
      z.strictObject({ env: setting(variableName, "environment variable with the secret") }),
      z.strictObject({ credential: setting(credentialName, "name of a systemd credential with the secret in its first line") }),
    ],
    secretWords,
  )
  .transform((source): NotifierSecret => {
    if ("file" in source) return { kind: "file", path: source.file };
    if ("env" in source) return { kind: "env", variable: source.env };
    return { kind: "credential", name: source.credential };
  });

export const urlWords = "must be an http:// or https:// URL without user and password";
const webUrl = z.string().refine(isWebUrl, urlWords);

export function isWebUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return (protocol === "https:" || protocol === "http:") && username === "" && password === "";
}

/** @param words - what the plain value must be */
function confidential(plain: z.ZodType<string>, words: string): z.ZodType<Confidential> {
  return z.union([plain.transform((value): Confidential => ({ kind: "plain", value })), secret], `${words}, or where it is: {file: PATH}, {env: VARIABLE} or {credential: NAME}`);
}

const addressWords = "must be a bare address, as in admin@example.org or root";
const address = z
  .string()
  .regex(/^[A-Za-z0-9.!#$%&*+/=?^_{|}~-]+(@[A-Za-z0-9.-]+)?$/, addressWords)
  .max(254);

/** No longer than it may delay the end of a run by. */
const timeout = duration.refine((ms) => ms <= maxTimeoutMs, "must be 1m at most").default(defaultTimeoutMs);

const interval = z.string("must be a duration, as in 1h, or 0s").transform((text, context) => {
  const ms = parseDuration(text);
  if (ms !== null) return ms;
  context.addIssue(`"${text}" is not a duration; write it as 1h, 30m or 0s`);
  return z.NEVER;
});

const notifierName = z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/, "may hold letters, digits and _ . - only, after a letter, 64 at most");

const common = {
  name: setting(notifierName, "what messages and notes call it, unique; the type when left out").optional(),
  jobs: setting(z.array(z.string()).min(1), "names of the jobs it is told of; all of them when left out").optional(),
  timeout: setting(timeout, "of one try of three, 1m at most", "10s"),
};

const kinds = setting(z.array(z.enum(happeningKinds)).min(1).default([...defaultKinds]), "what it is told of", defaultKinds);
const minInterval = setting(interval.default(defaultMinIntervalMs), "how long it is not told of the same job and kind again; 0s for always", "1h");
const headerWords = "must be printable ASCII";
const headerName = z.string().regex(/^[A-Za-z0-9-]{1,64}$/, "is not the name of a header");
const headerValue = z.string().regex(/^[\x20-\x7e]*$/, headerWords);

const notifierSchema = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("webhook"),
    ...common,
    on: kinds,
    min_interval: minInterval,
    url: setting(confidential(webUrl, urlWords), "where the document is posted to"),
    headers: setting(z.record(headerName, confidential(headerValue, headerWords)).default({}), "sent along, by name"),
    sign_with: setting(secret, "key of the HMAC-SHA256 over the body, in x-zferry-signature").optional(),
  }),
  z.strictObject({
    type: z.literal("ntfy"),
    ...common,
    on: kinds,
    min_interval: minInterval,
    server: setting(webUrl.default("https://ntfy.sh"), "the server", "https://ntfy.sh"),
    topic: setting(confidential(z.string().regex(/^[A-Za-z0-9_-]{1,64}$/), "must be a topic"), "who knows it reads along"),
    token: setting(secret, "access token, for topics that are protected").optional(),
  }),
  z.strictObject({
    type: z.literal("pushover"),
    ...common,
    on: kinds,
    min_interval: minInterval,
    server: setting(webUrl.default("https://api.pushover.net"), "the server", "https://api.pushover.net"),
    token: setting(secret, "the application's token"),
    user: setting(secret, "key of the user or group"),
  }),
  z.strictObject({
    type: z.literal("healthchecks"),
    ...common,
    on: setting(z.array(z.enum(pingKinds)).min(1).default([...pingKinds]), "what it is told of", pingKinds),
    // Whoever waits for a ping must get each of them.
    min_interval: setting(interval.default(0), "how long it is not told of the same job and kind again", "0s"),
    url: setting(confidential(webUrl, urlWords), "the check's address, in which {job} stands for the job's name"),
  }),
  z.strictObject({
    type: z.literal("mail"),
    ...common,
    on: kinds,
    min_interval: minInterval,
    to: setting(z.union([address.transform((one) => [one]), z.array(address).min(1)], `${addressWords}, or a list of them`), "one or several addresses"),
    from: setting(address, "who sends it; what sendmail makes of the user when left out").optional(),
    sendmail: setting(argv.default(["/usr/sbin/sendmail"]), "run with -t -i", ["/usr/sbin/sendmail"]),
  }),
  z.strictObject({ type: z.literal("command"), ...common, on: kinds, min_interval: minInterval, command: setting(argv, "gets the document on stdin") }),
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

const textfile = z.string().regex(/\.prom$/, "must end in .prom, or the textfile collector does not read it");

/** The `metrics` section. */
export const metricsSchema = z.strictObject({
  textfile: setting(textfile, "file for Prometheus' textfile collector, which ends in .prom; its folder must exist").optional(),
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
