/**
 * Whose requests they are. Keys come from the environment or from a profile of the AWS credentials file; only for AWS
 * itself everything else the SDK knows (roles, SSO, instance metadata) is left to it. For other endpoints that search
 * would end at an address no one answers, after seconds of waiting.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ZferryError } from "../errors.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Keys that do not expire while we run. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

interface FindOptions {
  /** A section of the credentials file; goes before the environment. */
  readonly profile: string | null;
  readonly environment: Environment;
}

/** Null when there are none to be found here. */
export async function findCredentials({ profile, environment }: FindOptions): Promise<Credentials | null> {
  const fromEnvironment = profile === null ? keysOf(environment, upperCase) : null;
  if (fromEnvironment !== null) return fromEnvironment;
  const { HOME, AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE } = environment;
  const path = AWS_SHARED_CREDENTIALS_FILE ?? (HOME === undefined ? null : join(HOME, ".aws", "credentials"));
  if (path === null) return null;
  return keysOf(sectionOf(await readOrEmpty(path), profile ?? AWS_PROFILE ?? "default"), asItIs);
}

/** The keys in lines `AWS_ACCESS_KEY_ID=…`, as an environment file or one section of the AWS file has them; null without. */
export function keysIn(text: string): Credentials | null {
  const values: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const [, name = "", , value = ""] = /^\s*(?:export\s+)?([A-Za-z_]+)\s*=\s*(["']?)(.*?)\2\s*$/.exec(line) ?? [];
    if (Object.hasOwn(values, name.toLowerCase())) return null; // whose of the two?
    if (name !== "") values[name.toLowerCase()] = value;
  }
  return keysOf(values, asItIs);
}

/** The keys in the variables `PREFIX_ACCESS_KEY_ID`, `PREFIX_SECRET_ACCESS_KEY` and `PREFIX_SESSION_TOKEN`; null without. */
export function keysNamed(prefix: string, environment: Environment): Credentials | null {
  return keysOf(environment, (name) => `${prefix}${name.slice("aws".length).toUpperCase()}`);
}

function asItIs(text: string): string {
  return text;
}

function upperCase(text: string): string {
  return text.toUpperCase();
}

function keysOf(values: Environment, spell: (name: string) => string): Credentials | null {
  const accessKeyId = values[spell("aws_access_key_id")];
  const secretAccessKey = values[spell("aws_secret_access_key")];
  const sessionToken = values[spell("aws_session_token")];
  if (!accessKeyId || !secretAccessKey) return null;
  return { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) };
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    // Most machines have no such file; one that is there and cannot be read is worth saying.
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw new ZferryError("secret-unusable", `cannot read "${path}"`, { cause: error });
  }
}

/** The `name = value` lines of one `[section]`. */
function sectionOf(text: string, name: string): Environment {
  const values: Record<string, string> = {};
  let isInside = false;
  for (const line of text.split("\n").map((raw) => raw.trim())) {
    const heading = /^\[\s*(?:profile\s+)?(.*?)\s*\]$/.exec(line)?.[1];
    if (heading !== undefined) isInside = heading === name;
    const entry = /^([a-z_]+)\s*=\s*(\S*)/i.exec(line);
    if (isInside && entry?.[1] !== undefined) values[entry[1].toLowerCase()] = entry[2] ?? "";
  }
  return values;
}
